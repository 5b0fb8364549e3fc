// Shared by all widgets: the skeleton over the image.
// Visible joints are discs, occluded ones rings with dashed limbs. The limbs that the next click would draw follow the pointer.

const SHADOW = 'rgba(10,12,16,.55)';
const LAST_DRAWN_LIMB = 16; // the limbs from shoulder to ear are not drawn

function drawLimb(context, from, to, color, dashed, alpha) {
  for (const [width, style] of [
    [5, SHADOW],
    [2.6, color],
  ]) {
    context.globalAlpha = alpha;
    context.lineWidth = width;
    context.strokeStyle = style;
    context.setLineDash(dashed ? [5, 5] : []);
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
  }
  context.setLineDash([]);
  context.globalAlpha = 1;
}

function drawJoint(context, at, color, hollow, large) {
  const radius = large ? 8 : 5.5;
  context.beginPath();
  context.arc(...at, radius + 1.6, 0, 7);
  context.fillStyle = 'rgba(10,12,16,.75)';
  context.fill();
  context.beginPath();
  context.arc(...at, radius, 0, 7);
  if (hollow) {
    context.lineWidth = 2.6;
    context.strokeStyle = color;
    context.stroke();
    return;
  }
  context.fillStyle = color;
  context.fill();
  context.lineWidth = 1.2;
  context.strokeStyle = '#fff';
  context.stroke();
}

function drawLabel(context, at, text, stageWidth) {
  context.font = '600 12px system-ui, sans-serif';
  const width = context.measureText(text).width + 14;
  const right = at[0] + 14;
  const x = right + width > stageWidth ? at[0] - 14 - width : right;
  const y = Math.max(at[1] - 26, 4);
  context.fillStyle = 'rgba(10,12,16,.82)';
  context.beginPath();
  context.roundRect(x, y, width, 20, 6);
  context.fill();
  context.fillStyle = '#fff';
  context.fillText(text, x + 7, y + 14);
}

// A context of the canvas that is as large as the stage, sharp on every screen, and empty.
function clearedContext(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const pixelWidth = Math.round(width * ratio);
  const pixelHeight = Math.round(height * ratio);
  if (canvas.width !== pixelWidth || canvas.height !== pixelHeight) {
    canvas.width = pixelWidth;
    canvas.height = pixelHeight;
  }
  const context = canvas.getContext('2d');
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

function placeImage(ui) {
  const [height, width] = ui.state.size;
  Object.assign(ui.image.style, {
    width: `${width * ui.scale}px`,
    height: `${height * ui.scale}px`,
    transform: `translate(${ui.offsetX}px,${ui.offsetY}px)`,
    imageRendering: ui.scale > 14 ? 'pixelated' : 'auto',
  });
}

// Where the next joint would be placed, or null where a click would not place one.
function nextJointAt(ui) {
  const wouldPlace = ui.pointer && !ui.press && ui.state.joint !== null && ui.hover === null;
  return wouldPlace ? ui.pointer : null;
}

function drawLimbs(ui, context, pointer) {
  const { xy, flags, joint: next } = ui.state;
  ui.limbs.slice(0, LAST_DRAWN_LIMB + 1).forEach(([a, b]) => {
    const color = ui.colors[b > 1 ? b : a];
    if (isPlaced(ui, a) && isPlaced(ui, b)) {
      const dashed = flags[a] === OCCLUDED || flags[b] === OCCLUDED;
      drawLimb(context, toScreen(ui, xy[a]), toScreen(ui, xy[b]), color, dashed, 0.95);
      return;
    }
    if (!pointer || (a !== next && b !== next)) return;
    const other = a === next ? b : a;
    if (isPlaced(ui, other)) drawLimb(context, pointer, toScreen(ui, xy[other]), color, true, 0.6);
  });
}

function drawJoints(ui, context) {
  for (let joint = 0; joint < N_JOINTS; joint++) {
    if (!isPlaced(ui, joint)) continue;
    const hollow = ui.state.flags[joint] === OCCLUDED;
    const large = joint === ui.hover || joint === ui.dragged;
    drawJoint(context, toScreen(ui, ui.state.xy[joint]), ui.colors[joint], hollow, large);
  }
}

function draw(ui) {
  if (!ui.state) return;
  const { clientWidth, clientHeight } = ui.stage;
  const context = clearedContext(ui.canvas, clientWidth, clientHeight);
  placeImage(ui);
  if (ui.skeletonHidden) return;
  const pointer = nextJointAt(ui);
  drawLimbs(ui, context, pointer);
  drawJoints(ui, context);
  const named = ui.dragged ?? ui.hover ?? null;
  if (named !== null) {
    const text = ui.jointNames[named] + (ui.state.flags[named] === OCCLUDED ? ' (occluded)' : '');
    drawLabel(context, toScreen(ui, ui.state.xy[named]), text, clientWidth);
  } else if (pointer) {
    drawLabel(context, pointer, ui.jointNames[ui.state.joint], clientWidth);
  }
}
