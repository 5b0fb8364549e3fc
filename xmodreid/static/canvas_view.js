// Shared by all widgets: where the image lies on the canvas, which joint is under the pointer, and notices.
// `ui.scale` is screen pixels per image pixel; `ui.offsetX`, `ui.offsetY` place the image's top left corner.
// The center of image pixel x is x itself, hence the halves.

const UNLABELED = 0;
const ABSENT = 1;
const OCCLUDED = 2;
const VISIBLE = 3;
const N_JOINTS = 18;
const MARGIN = 24; // screen pixels around an image that fills the stage
const HIT_RADIUS = 11; // screen pixels between the pointer and a joint that is hit
const PLACED_RADIUS = 8; // screen pixels around a joint just placed, where keys mean the next joint

function make(tag, className = '', text = '') {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

// Show a text over the stage; one that begins with "! " is an error.
function notify(ui, text) {
  const isError = text.startsWith('! ');
  ui.note.textContent = isError ? text.slice(2) : text;
  ui.note.className = 'xm-note' + (text ? ' xm-on' : '') + (isError ? ' xm-bad' : '');
}

function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

function distance(a, b) {
  return Math.hypot(a[0] - b[0], a[1] - b[1]);
}

function toScreen(ui, [x, y]) {
  return [ui.offsetX + (x + 0.5) * ui.scale, ui.offsetY + (y + 0.5) * ui.scale];
}

function toImage(ui, [x, y]) {
  const [height, width] = ui.state.size;
  return [
    clamp((x - ui.offsetX) / ui.scale - 0.5, 0, width - 1),
    clamp((y - ui.offsetY) / ui.scale - 0.5, 0, height - 1),
  ];
}

function pointerPosition(canvas, event) {
  const box = canvas.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}

function fit(ui) {
  const [height, width] = ui.state.size;
  const { clientWidth, clientHeight } = ui.stage;
  ui.scale = Math.min((clientWidth - MARGIN) / width, (clientHeight - MARGIN) / height);
  ui.offsetX = (clientWidth - width * ui.scale) / 2;
  ui.offsetY = (clientHeight - height * ui.scale) / 2;
  ui.fitted = true;
  updateHover(ui);
  draw(ui);
}

function zoom(ui, factor, center) {
  const [x, y] = center || [ui.stage.clientWidth / 2, ui.stage.clientHeight / 2];
  const scale = clamp(ui.scale * factor, 0.02, 80);
  const ratio = scale / ui.scale;
  ui.offsetX = x - (x - ui.offsetX) * ratio;
  ui.offsetY = y - (y - ui.offsetY) * ratio;
  ui.scale = scale;
  ui.fitted = false;
  updateHover(ui);
  draw(ui);
}

function isPlaced(ui, joint) {
  return ui.state.flags[joint] > ABSENT;
}

// The joint under the pointer, but not the one just placed: keys then mean the next one.
function updateHover(ui) {
  if (!ui.pointer) return;
  if (ui.lastPlacedAt && distance(ui.pointer, ui.lastPlacedAt) > PLACED_RADIUS) ui.lastPlacedAt = null;
  ui.hover = ui.lastPlacedAt || ui.press ? null : nearestJoint(ui, ui.pointer);
}

function nearestJoint(ui, at) {
  let nearest = null;
  let least = HIT_RADIUS;
  for (let joint = 0; joint < N_JOINTS; joint++) {
    if (!isPlaced(ui, joint)) continue;
    const d = distance(toScreen(ui, ui.state.xy[joint]), at);
    if (d < least) {
      nearest = joint;
      least = d;
    }
  }
  return nearest;
}
