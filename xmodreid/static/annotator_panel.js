// The annotator's bar above the image and its panel beside it.
// The joint buttons stand as on a person who faces the camera: the right side is on the left.

const JOINT_ROWS = [
  [14, 15],
  [16, 17],
  [2, 5],
  [3, 6],
  [4, 7],
  [8, 11],
  [9, 12],
  [10, 13],
]; // right and left joint of each row

const EXPORTS = [
  ['', 'Export …'],
  ['keypoints', 'keypoints .npz'],
  ['heatmaps', '18×H×W .npy'],
  ['coco', 'COCO JSON'],
];

const HINTS = [
  ['A', 'absent'],
  ['O', 'occluded'],
  ['Del', 'clear'],
  ['Z', 'undo'],
  ['0', 'fit'],
  ['?', 'all keys'],
];

function focusRoot(ui) {
  ui.root.focus({ preventScroll: true });
}

function makeGroup(className, ...children) {
  const group = make('div', className);
  group.append(...children);
  return group;
}

function makeButton(ui, text, title, act, className = '') {
  const button = make('button', 'xm-b ' + className, text);
  button.title = title;
  button.type = 'button';
  button.addEventListener('click', () => {
    act(ui);
    focusRoot(ui);
  });
  return button;
}

function makeJointButton(ui, joint) {
  const button = make('button', 'xm-j');
  button.type = 'button';
  button.style.setProperty('--c', ui.colors[joint]);
  button.append(make('i'));
  button.addEventListener('click', () => {
    send(ui, 'select', { joint });
    focusRoot(ui);
  });
  button.addEventListener('mouseenter', () => {
    ui.hover = isPlaced(ui, joint) ? joint : null;
    draw(ui);
  });
  button.addEventListener('mouseleave', () => {
    ui.hover = null;
    draw(ui);
  });
  ui.jointButtons[joint] = button;
  return button;
}

function makeNamedJointButton(ui, joint) {
  const button = makeJointButton(ui, joint);
  button.append(ui.jointNames[joint]);
  return button;
}

function makeJointTable(ui) {
  const sides = makeGroup(
    'xm-r',
    make('span', 'xm-side', 'right'),
    make('span', 'xm-side', 'the person’s'),
    make('span', 'xm-side', 'left'),
  );
  const middle = makeGroup('xm-mid', makeNamedJointButton(ui, 0), makeNamedJointButton(ui, 1));
  const rows = JOINT_ROWS.map(([right, left]) =>
    makeGroup(
      'xm-r',
      makeJointButton(ui, right),
      make('span', '', ui.jointNames[right].replace('right ', '')),
      makeJointButton(ui, left),
    ),
  );
  return makeGroup('xm-body', sides, middle, ...rows);
}

function makeExportMenu(ui) {
  const menu = make('select', 'xm-b');
  menu.title = 'write the finished images into the folder export/';
  for (const [kind, text] of EXPORTS) {
    const option = make('option', '', text);
    option.value = kind;
    menu.append(option);
  }
  menu.addEventListener('change', () => {
    if (menu.value) send(ui, 'export', { kind: menu.value });
    menu.value = '';
    ui.root.focus();
  });
  return menu;
}

function makeHints() {
  const hints = HINTS.map(([key, text]) => {
    const hint = make('span');
    hint.append(make('kbd', '', key), text);
    return hint;
  });
  return makeGroup('xm-hints', ...hints);
}

function makeBrightness(ui) {
  const slider = make('input');
  Object.assign(slider, { type: 'range', min: 0.5, max: 3, step: 0.05, value: 1 });
  slider.title = 'brightness of the image on the screen';
  slider.addEventListener('input', () => {
    ui.image.style.filter = `brightness(${slider.value})`;
  });
  const label = make('label', 'xm-light', 'brightness');
  label.append(slider);
  return label;
}

function makeCommands(ui) {
  const command = (text, title, op) => makeButton(ui, text, title, () => send(ui, op));
  return {
    undo: command('↶ Undo', 'Z', 'undo'),
    redo: command('↷ Redo', 'Y', 'redo'),
    copy: command('Copy previous', 'C: copy the joints of the previous image', 'copy'),
    swap: command('Swap sides', 'S: exchange left and right', 'swap'),
    guess: command('Estimate', 'E: let the estimator place the joints that are not placed', 'guess'),
    absent: makeButton(ui, 'Absent', 'A: the joint is outside the image or cannot be located', () =>
      mark(ui, ui.state.joint, ABSENT),
    ),
    occluded: makeButton(ui, 'Occluded', 'O: the joint placed last is hidden, but can be located', toggleOccluded),
  };
}

function makePanel(ui) {
  ui.next = make('div', 'xm-next');
  ui.commands = makeCommands(ui);
  const { undo, redo, copy, swap, guess, absent, occluded } = ui.commands;
  const done = makeButton(
    ui,
    'Done  ⏎',
    'joints not placed are absent; open the next image (Enter)',
    () => send(ui, 'finish'),
    'xm-main',
  );
  return makeGroup(
    'xm-panel',
    ui.next,
    makeGroup('xm-g', absent, occluded),
    makeJointTable(ui),
    makeGroup('xm-g', undo, redo),
    makeGroup('xm-g', copy, swap),
    makeGroup('xm-g', guess, makeExportMenu(ui)),
    makeBrightness(ui),
    makeHints(),
    done,
  );
}

function makeJump(ui) {
  const jump = make('input', 'xm-jump');
  jump.type = 'text';
  jump.inputMode = 'numeric';
  jump.title = 'number of an image, then Enter';
  jump.setAttribute('aria-label', 'image number');
  jump.addEventListener('change', () => {
    send(ui, 'go', { number: Number(jump.value) - 1 });
    ui.root.focus();
  });
  return jump;
}

function makeUnfinishedBox(ui) {
  const box = make('input');
  box.type = 'checkbox';
  box.addEventListener('change', () => {
    send(ui, 'filter', { on: box.checked });
    ui.root.focus();
  });
  return box;
}

function makeTopBar(ui) {
  ui.jump = makeJump(ui);
  ui.unfinishedBox = makeUnfinishedBox(ui);
  ui.total = make('span', 'xm-dim');
  ui.name = make('span', 'xm-name');
  ui.finished = make('span', 'xm-tick');
  ui.progress = make('div', 'xm-bar');
  ui.progress.append(make('i'));
  ui.count = make('span', 'xm-dim');
  const unfinished = make('label', 'xm-only');
  unfinished.append(ui.unfinishedBox, ' not done only');
  unfinished.title = 'F: next and previous skip finished images';
  return makeGroup(
    'xm-top',
    makeButton(ui, '‹', 'previous (left arrow)', () => send(ui, 'step', { by: -1 })),
    ui.jump,
    ui.total,
    makeButton(ui, '›', 'next (right arrow)', () => send(ui, 'step', { by: 1 })),
    ui.name,
    ui.finished,
    make('span', 'xm-gap'),
    ui.progress,
    ui.count,
    unfinished,
    makeButton(ui, '?', 'keys', () => ui.help.classList.toggle('xm-on'), 'xm-round'),
  );
}
