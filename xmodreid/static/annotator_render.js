// The annotator follows the state that Python sends, and starts here.

const FLAG_LABELS = ['not labeled', 'absent', 'occluded', 'visible'];
const DONE_COLOR = '#3fae6a';

function showTopBar(ui) {
  const { number, total, name, finished, done, only_unfinished } = ui.state;
  ui.jump.value = number + 1;
  ui.total.textContent = `/ ${total}`;
  ui.name.textContent = name;
  ui.name.title = name;
  ui.finished.textContent = finished ? '✓ done' : '';
  ui.progress.firstChild.style.width = `${(100 * done) / total}%`;
  ui.count.textContent = `${done} of ${total} done`;
  ui.unfinishedBox.checked = only_unfinished;
}

function showJoints(ui) {
  const { flags, joint: next } = ui.state;
  ui.jointButtons.forEach((button, joint) => {
    button.className = 'xm-j xm-f' + flags[joint] + (joint === next ? ' xm-here' : '');
    button.title = `${ui.jointNames[joint]}: ${FLAG_LABELS[flags[joint]]}`;
    button.setAttribute('aria-label', button.title);
  });
}

function showNextJoint(ui) {
  const { flags, joint, finished } = ui.state;
  if (joint === null) {
    ui.next.replaceChildren(make('small', '', 'all 18 joints'), make('b', '', finished ? 'done' : 'check, then Done'));
    ui.next.style.setProperty('--c', DONE_COLOR);
    return;
  }
  const left = flags.filter((flag) => flag === UNLABELED).length;
  const prompt = left === N_JOINTS ? 'click the' : `${left} to go, click the`;
  ui.next.replaceChildren(make('small', '', prompt), make('b', '', ui.jointNames[joint]));
  ui.next.style.setProperty('--c', ui.colors[joint]);
}

function showCommands(ui) {
  const { can_undo, can_redo, can_copy, can_guess, joint } = ui.state;
  ui.commands.undo.disabled = !can_undo;
  ui.commands.redo.disabled = !can_redo;
  ui.commands.copy.disabled = !can_copy;
  ui.commands.guess.disabled = !can_guess;
  ui.commands.absent.disabled = joint === null;
}

function show(ui) {
  showTopBar(ui);
  showJoints(ui);
  showNextJoint(ui);
  showCommands(ui);
  draw(ui);
}

function isAnotherImage(before, state) {
  return !before || before.number !== state.number || String(before.size) !== String(state.size);
}

// Take over the state, unless it answers an older message than the last one sent from here.
function update(ui) {
  const state = structuredClone(ui.model.get('view_state'));
  if (state.echo && state.echo[0] === ui.id && state.echo[1] < ui.sent) return;
  clearTimeout(ui.timer);
  const changed = isAnotherImage(ui.state, state);
  ui.state = state;
  if (ui.pointer) updateHover(ui);
  else if (ui.hover !== null && !isPlaced(ui, ui.hover)) ui.hover = null;
  if (changed) {
    Object.assign(ui, { lastJoint: null, hover: null, dragged: null, press: null, lastPlacedAt: null });
    fit(ui);
  }
  show(ui);
  notify(ui, state.notice);
}

function loadImage(ui) {
  const before = ui.image.src;
  ui.image.src = URL.createObjectURL(new Blob([ui.model.get('picture')]));
  if (before) URL.revokeObjectURL(before);
}

function makeHelp(keys) {
  const table = make('table');
  for (const [key, text] of keys) {
    const cell = make('td');
    cell.append(make('kbd', '', key));
    const row = make('tr');
    row.append(cell, make('td', '', text));
    table.append(row);
  }
  const help = make('div', 'xm-help');
  help.append(table);
  help.addEventListener('click', () => help.classList.remove('xm-on'));
  return help;
}

// On a page of its own: style the page, and take the token out of the address.
function setUpPage(css) {
  document.head.append(make('style', '', css));
  const address = new URL(location);
  if (!address.searchParams.has('token')) return;
  address.searchParams.delete('token');
  history.replaceState(null, '', address);
}

function makeAnnotator(model) {
  const settings = model.get('settings');
  const ui = {
    model,
    id: Math.random().toString(36).slice(2),
    sent: 0,
    ownsPage: Boolean(settings.app),
    jointNames: settings.joints,
    limbs: settings.limbs,
    colors: settings.colors,
    root: make('div', 'xm-annotator'),
    stage: make('div', 'xm-stage'),
    canvas: make('canvas'),
    image: make('img'),
    note: make('div', 'xm-note'),
    help: makeHelp(settings.help),
    jointButtons: [],
    lastJoint: null,
    hover: null,
    dragged: null,
    press: null,
    pointer: null,
    lastPlacedAt: null,
  };
  ui.root.tabIndex = 0;
  ui.root.dataset.lmSuppressShortcuts = 'true';
  ui.root.style.setProperty('--h', settings.height);
  ui.image.draggable = false;
  ui.image.alt = '';
  ui.stage.append(ui.image, ui.canvas, ui.note, ui.help);
  ui.root.append(makeTopBar(ui), makeGroup('xm-main-area', ui.stage, makePanel(ui)));
  return ui;
}

function onResize(ui) {
  if (!ui.state) return;
  if (ui.fitted || !ui.scale) fit(ui);
  else draw(ui);
}

function render({ model, el }) {
  const ui = makeAnnotator(model);
  el.append(ui.root);
  bindPointer(ui);
  bindKeys(ui);
  ui.root.xmSend = (message) => send(ui, message.op, message);
  const onState = () => update(ui);
  const onPicture = () => loadImage(ui);
  const observer = new ResizeObserver(() => onResize(ui));
  model.on('change:view_state', onState);
  model.on('change:picture', onPicture);
  loadImage(ui);
  update(ui);
  observer.observe(ui.stage);
  if (ui.ownsPage) setUpPage(model.get('settings').app);
  return () => {
    model.off('change:view_state', onState);
    model.off('change:picture', onPicture);
    observer.disconnect();
    clearTimeout(ui.timer);
    URL.revokeObjectURL(ui.image.src);
  };
}

export default { render };
