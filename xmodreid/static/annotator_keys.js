// The annotator's keys. The notebook has keys of its own (D D deletes a cell), so the annotator keeps the events it gets,
// and marks itself as a place where the notebook's keys are off (`data-lm-suppress-shortcuts`, set in `render`).

function mark(ui, joint, flag) {
  if (joint === null || joint === undefined) {
    notify(ui, 'point at a joint first');
    return;
  }
  ui.lastJoint = flag === UNLABELED ? null : joint;
  send(ui, 'mark', { joint, flag });
}

function selectNext(ui, step) {
  const current = ui.state.joint ?? (step > 0 ? N_JOINTS - 1 : 0);
  send(ui, 'select', { joint: (current + step + N_JOINTS) % N_JOINTS });
}

function nudge(ui, dx, dy) {
  const joint = touchedJoint(ui);
  if (joint === null || !isPlaced(ui, joint)) {
    notify(ui, 'point at a joint first');
    return;
  }
  const x = ui.state.xy[joint][0] + dx;
  const y = ui.state.xy[joint][1] + dy;
  ui.state.xy[joint] = [x, y];
  draw(ui);
  send(ui, 'move', { joint, x, y });
}

// The joint under the pointer, else the one touched last.
function touchedJoint(ui) {
  return ui.hover ?? ui.lastJoint;
}

function toggleOccluded(ui) {
  const joint = touchedJoint(ui);
  const occluded = joint !== null && ui.state.flags[joint] === OCCLUDED;
  mark(ui, joint, occluded ? VISIBLE : OCCLUDED);
}

function toggleSkeleton(ui) {
  ui.skeletonHidden = !ui.skeletonHidden;
  draw(ui);
}

const KEYS = {
  a: (ui) => mark(ui, ui.hover ?? ui.state.joint, ABSENT),
  o: toggleOccluded,
  delete: (ui) => mark(ui, touchedJoint(ui), UNLABELED),
  backspace: (ui) => mark(ui, touchedJoint(ui), UNLABELED),
  z: (ui, event) => send(ui, event.shiftKey ? 'redo' : 'undo'),
  y: (ui) => send(ui, 'redo'),
  c: (ui) => send(ui, 'copy'),
  s: (ui) => send(ui, 'swap'),
  e: (ui) => send(ui, 'guess'),
  enter: (ui) => send(ui, 'finish'),
  arrowright: (ui) => send(ui, 'step', { by: 1 }),
  arrowleft: (ui) => send(ui, 'step', { by: -1 }),
  arrowdown: (ui) => selectNext(ui, 1),
  arrowup: (ui) => selectNext(ui, -1),
  f: (ui) => send(ui, 'filter', { on: !ui.state.only_unfinished }),
  '+': (ui) => zoom(ui, 1.25),
  '=': (ui) => zoom(ui, 1.25),
  '-': (ui) => zoom(ui, 0.8),
  0: fit,
  h: toggleSkeleton,
  '?': (ui) => ui.help.classList.toggle('xm-on'),
  escape: (ui) => ui.help.classList.remove('xm-on'),
};

// With Shift, the arrow keys move a joint by one pixel.
const NUDGES = { arrowright: [1, 0], arrowleft: [-1, 0], arrowdown: [0, 1], arrowup: [0, -1] };

function onKeyDown(ui, event) {
  event.stopPropagation();
  if (['INPUT', 'SELECT'].includes(event.target.tagName) || event.altKey) return;
  const key = event.key.toLowerCase();
  const ctrl = event.ctrlKey || event.metaKey;
  if (ctrl && key !== 'z' && key !== 'y') return;
  if (key === 'enter' && event.target.tagName === 'BUTTON') event.target.blur();
  if (event.shiftKey && NUDGES[key]) {
    event.preventDefault();
    nudge(ui, ...NUDGES[key]);
    return;
  }
  if (KEYS[key]) {
    event.preventDefault();
    KEYS[key](ui, event);
  }
}

function bindKeys(ui) {
  const target = ui.ownsPage ? document : ui.root; // on a page of its own, keys work wherever the focus is
  target.addEventListener('keydown', (event) => onKeyDown(ui, event));
}
