// Shared by the translation explorer and the pose explorer.

// Send a message, or keep it until the last answer has come back: a slow connection then only shows fewer steps.
function post(ui, op, args = {}) {
  if (ui.waiting) {
    ui.queued = [op, args];
    return;
  }
  ui.waiting = true;
  ui.sent += 1;
  ui.model.send({ op, ...args, echo: ui.sent });
}

// An answer to the last message, or a change from Python: send what was kept.
function acknowledge(ui, echo) {
  if (echo !== ui.sent && echo !== null) return;
  ui.waiting = false;
  if (!ui.queued) return;
  const [op, args] = ui.queued;
  ui.queued = null;
  post(ui, op, args);
}

function makeExplorer(model, className) {
  const settings = model.get('settings');
  const ui = {
    model,
    sent: 0,
    waiting: false,
    queued: null,
    jointNames: settings.joints,
    limbs: settings.limbs,
    colors: settings.colors,
    root: make('div', className),
    stage: make('div', 'xm-stage xp-stage'),
    canvas: make('canvas'),
    image: make('img'),
    note: make('div', 'xm-note'),
    tiles: {},
    hover: null,
    dragged: null,
    press: null,
    pointer: null,
    lastPlacedAt: null,
  };
  ui.image.alt = 'the image under the skeleton';
  ui.image.draggable = false;
  ui.root.dataset.lmSuppressShortcuts = 'true';
  return ui;
}

function makeButton(className, text, onClick) {
  const button = make('button', className, text);
  button.type = 'button';
  button.addEventListener('click', onClick);
  return button;
}

function makeSelect(label, options, onChange) {
  const select = make('select', 'xp-b');
  select.setAttribute('aria-label', label);
  for (const [value, text] of options) {
    const option = make('option', '', text);
    option.value = value;
    select.append(option);
  }
  select.addEventListener('change', onChange);
  return select;
}

// Follow the model and the size of the stage; returns what ends that.
function follow(ui, onResize) {
  const onState = () => update(ui);
  const observer = new ResizeObserver(() => ui.state && onResize());
  ui.model.on('change:view_state', onState);
  update(ui);
  observer.observe(ui.stage);
  return () => {
    ui.model.off('change:view_state', onState);
    observer.disconnect();
  };
}
