// The annotator's messages to Python, and the pointer.
// A click is drawn before the answer comes, so a slow connection does not slow the hand. Each message carries a number;
// `update` skips answers to older messages than the last.

const TIMEOUTS_MS = { guess: 60000, export: 60000 }; // the first guess loads an estimator
const DEFAULT_TIMEOUT_MS = 5000;
const DRAG_THRESHOLD = 3; // screen pixels a press may move and still be a click
const EDGE_TOLERANCE = 12; // screen pixels beside the image where a click still places a joint

function send(ui, op, args = {}) {
  ui.sent += 1;
  clearTimeout(ui.timer);
  ui.timer = setTimeout(
    () =>
      notify(
        ui,
        '! no answer from the kernel: the last change may not be saved. Reload the page, or run the cell again',
      ),
    TIMEOUTS_MS[op] || DEFAULT_TIMEOUT_MS,
  );
  ui.model.send({ op, ...args, echo: [ui.id, ui.sent] });
}

function placeNext(ui, at, occluded) {
  const joint = ui.state.joint;
  if (joint === null) {
    notify(ui, 'all 18 joints are placed: drag one to correct it, or press Enter when done');
    return;
  }
  const [x, y] = toImage(ui, at);
  if (distance(at, toScreen(ui, [x, y])) > EDGE_TOLERANCE + ui.scale) {
    notify(ui, 'click on the image');
    return;
  }
  ui.state.xy[joint] = [x, y];
  ui.state.flags[joint] = occluded ? OCCLUDED : VISIBLE;
  ui.lastJoint = joint;
  const order = [...Array(N_JOINTS).keys()].map((i) => (joint + 1 + i) % N_JOINTS);
  ui.state.joint = order.find((j) => ui.state.flags[j] === UNLABELED) ?? null;
  send(ui, 'place', { x, y, occluded, joint });
  show(ui);
}

function onPointerDown(ui, event) {
  event.preventDefault();
  ui.root.focus({ preventScroll: true });
  ui.canvas.setPointerCapture(event.pointerId);
  const at = pointerPosition(ui.canvas, event);
  ui.press = { last: at, start: at, button: event.button, moved: false };
  ui.dragged = event.button === 0 && !event.shiftKey ? nearestJoint(ui, at) : null;
  draw(ui);
}

function onPointerMove(ui, event) {
  const at = pointerPosition(ui.canvas, event);
  const press = ui.press;
  ui.pointer = at;
  if (!press) {
    updateHover(ui);
    ui.canvas.style.cursor = ui.hover === null ? 'crosshair' : 'grab';
    draw(ui);
    return;
  }
  if (distance(at, press.start) > DRAG_THRESHOLD) press.moved = true;
  if (press.moved && ui.dragged !== null) {
    ui.state.xy[ui.dragged] = toImage(ui, at);
  } else if (press.moved) {
    ui.offsetX += at[0] - press.last[0];
    ui.offsetY += at[1] - press.last[1];
    ui.fitted = false;
    ui.canvas.style.cursor = 'move';
  }
  press.last = at;
  draw(ui);
}

function onPointerUp(ui, event) {
  const press = ui.press;
  const at = pointerPosition(ui.canvas, event);
  ui.press = null;
  if (!press) return;
  if (press.moved && ui.dragged !== null) {
    const [x, y] = toImage(ui, at);
    ui.lastJoint = ui.dragged;
    send(ui, 'move', { joint: ui.dragged, x, y });
  } else if (!press.moved && ui.state.joint === null && ui.dragged !== null) {
    ui.lastJoint = ui.dragged;
  } else if (!press.moved && press.button !== 1) {
    ui.lastPlacedAt = at;
    placeNext(ui, at, event.shiftKey || press.button === 2);
  }
  ui.dragged = null;
  ui.pointer = at;
  updateHover(ui);
  draw(ui);
}

function onPointerLeave(ui) {
  if (ui.press) return;
  ui.pointer = null;
  ui.hover = null;
  draw(ui);
}

function onPointerCancel(ui) {
  ui.press = null;
  ui.dragged = null;
  draw(ui);
}

// In a notebook the wheel scrolls the page until the annotator has the focus.
function onWheel(ui, event) {
  if (!event.ctrlKey && !ui.ownsPage && !ui.root.contains(document.activeElement)) return;
  event.preventDefault();
  zoom(ui, Math.exp(-clamp(event.deltaY, -120, 120) / 400), pointerPosition(ui.canvas, event));
}

function bindPointer(ui) {
  const { canvas } = ui;
  canvas.addEventListener('contextmenu', (event) => event.preventDefault());
  canvas.addEventListener('pointerdown', (event) => onPointerDown(ui, event));
  canvas.addEventListener('pointermove', (event) => onPointerMove(ui, event));
  canvas.addEventListener('pointerup', (event) => onPointerUp(ui, event));
  canvas.addEventListener('pointerleave', () => onPointerLeave(ui));
  canvas.addEventListener('pointercancel', () => onPointerCancel(ui));
  canvas.addEventListener('wheel', (event) => onWheel(ui, event), { passive: false });
}
