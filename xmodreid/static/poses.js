// The pose explorer: browse images with their joints, the estimator's beside them, and a table of the errors.
// The canvas is drawn twice: the annotation solid, below it the estimator's skeleton, dashed.

const TABLE_HEAD = ['joint', 'annotated', 'estimate', 'error'];

function redraw(ui) {
  const { state } = ui;
  const chosen = ui.hover === null && state.chosen !== null && isPlaced(ui, state.chosen);
  ui.dragged = chosen ? state.chosen : null; // drawn large, with its name
  ui.skeletonHidden = !ui.showAnnotation.checked;
  draw(ui);
  draw({
    ...ui,
    canvas: ui.estimateCanvas,
    dragged: null,
    hover: null,
    skeletonHidden: !ui.showEstimate.checked || !state.predicted,
    state: { ...state, xy: state.predicted || state.xy, flags: state.predicted_flags || state.flags },
  });
}

function refit(ui) {
  fit(ui);
  ui.fittedSize = String(ui.state.size);
}

function selectJoint(ui, joint) {
  post(ui, 'select', { joint: joint === ui.state.chosen ? null : joint });
}

function setHover(ui, joint) {
  ui.hover = joint;
  redraw(ui);
}

function bindSelection(ui) {
  const { canvas } = ui;
  const jointAt = (event) => (ui.showAnnotation.checked ? nearestJoint(ui, pointerPosition(canvas, event)) : null);
  canvas.addEventListener('pointermove', (event) => {
    const joint = jointAt(event);
    canvas.style.cursor = joint === null ? 'default' : 'pointer';
    setHover(ui, joint);
  });
  canvas.addEventListener('pointerleave', () => setHover(ui, null));
  canvas.addEventListener('click', (event) => {
    const joint = jointAt(event);
    if (joint !== null) selectJoint(ui, joint);
  });
}

function showRows(ui) {
  const { rows, chosen } = ui.state;
  ui.rows.forEach(({ row, cells }, joint) => {
    const look = rows[joint][cells.length];
    row.className = `xq-${look}` + (joint === chosen ? ' xp-here' : '');
    cells.forEach((cell, i) => {
      cell.textContent = rows[joint][i];
    });
  });
}

function showTiles(ui) {
  const { pictures } = ui.state;
  if (!pictures[ui.background]) ui.background = 'image';
  ui.image.src = pictures[ui.background];
  for (const [name, tile] of Object.entries(ui.tiles)) {
    tile.hidden = !pictures[name];
    if (pictures[name]) tile.firstChild.src = pictures[name];
    tile.classList.toggle('xp-here', name === ui.background);
  }
}

function update(ui) {
  const state = structuredClone(ui.model.get('view_state'));
  acknowledge(ui, state.echo);
  ui.state = state;
  if (ui.hover !== null && !isPlaced(ui, ui.hover)) ui.hover = null;
  showTiles(ui);
  showRows(ui);
  ui.jump.value = state.number + 1;
  ui.total.textContent = `/ ${state.total}`;
  ui.only.value = state.only;
  ui.caption.textContent = state.caption;
  ui.name.textContent = state.name;
  ui.tilesOf.textContent = state.of;
  notify(ui, state.notice);
  if (ui.fittedSize !== String(state.size)) refit(ui);
  redraw(ui);
}

function makeRow(ui, joint) {
  const mark = make('i');
  mark.style.background = ui.colors[joint];
  const name = make('td', '', ui.jointNames[joint]);
  name.prepend(mark);
  const cells = TABLE_HEAD.slice(1).map(() => make('td'));
  const row = make('tr');
  row.append(name, ...cells);
  row.addEventListener('click', () => selectJoint(ui, joint));
  row.addEventListener('mouseenter', () => setHover(ui, isPlaced(ui, joint) ? joint : null));
  row.addEventListener('mouseleave', () => setHover(ui, null));
  return { row, cells };
}

function makeTable(ui, hasEstimator) {
  const head = make('tr');
  head.append(...TABLE_HEAD.map((text) => make('th', '', text)));
  ui.rows = ui.jointNames.map((_, joint) => makeRow(ui, joint));
  const table = make('table', 'xq-table');
  table.append(head, ...ui.rows.map(({ row }) => row));
  table.classList.toggle('xq-alone', !hasEstimator);
  return table;
}

function makeCheckbox(ui, text, title) {
  const box = make('input');
  box.type = 'checkbox';
  box.checked = true;
  box.addEventListener('change', () => redraw(ui));
  const label = make('label', 'xq-tick');
  label.title = title;
  label.append(box, ` ${text}`);
  return [label, box];
}

function makeJump(ui) {
  const jump = make('input', 'xq-jump');
  jump.inputMode = 'numeric';
  jump.setAttribute('aria-label', 'image number');
  jump.addEventListener('change', () => post(ui, 'go', { number: Number(jump.value) - 1 }));
  return jump;
}

function makeStepButton(ui, text, title, by) {
  const button = makeButton('xp-b', text, () => post(ui, 'step', { by }));
  button.title = title;
  return button;
}

function makeBar(ui, settings) {
  const [annotation, showAnnotation] = makeCheckbox(ui, 'annotation', 'solid');
  const [estimate, showEstimate] = makeCheckbox(ui, 'estimate', 'dashed');
  estimate.hidden = !settings.estimator;
  Object.assign(ui, { showAnnotation, showEstimate });
  ui.jump = makeJump(ui);
  ui.total = make('span', 'xq-dim');
  const filters = settings.only.map(([text], i) => [i, text]);
  ui.only = makeSelect('which images', filters, () => post(ui, 'filter', settings.only[ui.only.value][1]));
  const bar = make('div', 'xp-bar');
  const previous = makeStepButton(ui, '‹', 'previous (left arrow)', -1);
  const next = makeStepButton(ui, '›', 'next (right arrow)', 1);
  bar.append(previous, ui.jump, ui.total, next, ui.only, annotation, estimate);
  return bar;
}

function makeTile(ui, name) {
  const thumbnail = make('img');
  thumbnail.alt = name;
  const tile = makeButton('xp-thumb', '', () => {
    ui.background = name;
    update(ui);
  });
  tile.append(thumbnail, make('span', '', name));
  ui.tiles[name] = tile;
  return tile;
}

function makeSide(ui, settings) {
  ui.tilesOf = make('div', 'xq-dim');
  const tiles = make('div', 'xq-tiles');
  tiles.append(...settings.layers.map((name) => makeTile(ui, name)));
  const right = make('div', 'xq-right');
  right.append(ui.tilesOf, tiles);
  const body = make('div', 'xq-body');
  body.append(makeTable(ui, settings.estimator), right);
  ui.caption = make('div', 'xq-words');
  ui.name = make('div', 'xq-dim');
  const side = make('div', 'xp-side');
  side.append(makeBar(ui, settings), ui.caption, ui.name, body);
  return side;
}

function onKeyDown(ui, event) {
  event.stopPropagation();
  const { tagName, type } = event.target;
  if (['INPUT', 'SELECT'].includes(tagName) && type !== 'checkbox') return;
  const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  post(ui, 'step', { by });
}

function render({ model, el }) {
  const ui = makeExplorer(model, 'xp-root xq-root');
  Object.assign(ui, { estimateCanvas: make('canvas'), background: 'image', fittedSize: '' });
  ui.stage.append(ui.image, ui.estimateCanvas, ui.canvas, ui.note);
  ui.root.append(ui.stage, makeSide(ui, model.get('settings')));
  ui.root.tabIndex = 0;
  ui.root.addEventListener('keydown', (event) => onKeyDown(ui, event));
  el.append(ui.root);
  bindSelection(ui);
  return follow(ui, () => {
    refit(ui);
    redraw(ui);
  });
}

export default { render };
