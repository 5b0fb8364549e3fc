// The translation explorer: choose a person and a pose, drag the joints, watch the generated image follow.

const BACKGROUNDS = ['generated', 'target pose', 'truth', 'source'];

function update(ui) {
  const state = structuredClone(ui.model.get('view_state'));
  acknowledge(ui, state.echo);
  if (ui.dragged !== null && ui.state) state.xy[ui.dragged] = ui.state.xy[ui.dragged];
  ui.state = state;
  ui.image.src = state.pictures[ui.background.value] || state.pictures.generated;
  for (const [name, tile] of Object.entries(ui.tiles)) {
    tile.parentElement.hidden = !state.pictures[name];
    if (state.pictures[name]) tile.src = state.pictures[name];
  }
  ui.sourceButtons.forEach((button, i) => button.classList.toggle('xp-here', i === state.source));
  ui.targetButtons.forEach((button, i) => button.classList.toggle('xp-here', i === state.target));
  ui.fraction.value = state.fraction;
  notify(ui, state.notice);
  if (ui.scale) draw(ui);
  else fit(ui);
}

// A row of thumbnails to choose from: the row and its buttons.
function makeStrip(ui, title, sources, argument) {
  const row = make('div', 'xp-thumbs');
  const buttons = sources.map((source, i) => {
    const button = makeButton('xp-thumb', '', () => post(ui, 'pick', { [argument]: i }));
    const thumbnail = make('img');
    thumbnail.src = source;
    thumbnail.alt = `${title} ${i}`;
    button.append(thumbnail);
    row.append(button);
    return button;
  });
  const strip = make('div', 'xp-strip');
  strip.append(make('b', '', title), row);
  return [strip, buttons];
}

function onDrag(ui, event) {
  ui.pointer = pointerPosition(ui.canvas, event);
  if (ui.dragged === null) {
    ui.hover = nearestJoint(ui, ui.pointer);
    ui.canvas.style.cursor = ui.hover === null ? 'default' : 'grab';
    draw(ui);
    return;
  }
  const [x, y] = toImage(ui, ui.pointer);
  ui.state.xy[ui.dragged] = [x, y];
  draw(ui);
  post(ui, 'move', { joint: ui.dragged, x, y });
}

function bindDrag(ui) {
  const { canvas } = ui;
  const endDrag = () => {
    ui.dragged = null;
    ui.press = null;
    draw(ui);
  };
  canvas.addEventListener('pointerdown', (event) => {
    event.preventDefault();
    ui.dragged = nearestJoint(ui, pointerPosition(canvas, event));
    if (ui.dragged !== null) {
      ui.press = true;
      canvas.setPointerCapture(event.pointerId);
    }
    draw(ui);
  });
  canvas.addEventListener('pointermove', (event) => onDrag(ui, event));
  canvas.addEventListener('pointerup', endDrag);
  canvas.addEventListener('pointercancel', endDrag);
  canvas.addEventListener('pointerleave', () => {
    if (ui.press) return;
    ui.hover = null;
    draw(ui);
  });
}

function makeFraction(ui) {
  const slider = make('input', 'xp-fraction');
  Object.assign(slider, { type: 'range', min: 0, max: 1, step: 0.02 });
  slider.setAttribute('aria-label', 'from its own pose to the target pose');
  slider.addEventListener('input', () => post(ui, 'interpolate', { fraction: Number(slider.value) }));
  return slider;
}

function makeTiles(ui, names) {
  const row = make('div', 'xp-row');
  for (const name of names) {
    const tile = make('img');
    tile.alt = name;
    const figure = make('figure');
    figure.append(tile, make('figcaption', '', name));
    row.append(figure);
    ui.tiles[name] = tile;
  }
  return row;
}

function render({ model, el }) {
  const settings = model.get('settings');
  const ui = makeExplorer(model, 'xp-root');
  ui.stage.append(ui.image, ui.canvas, ui.note);
  const [people, sourceButtons] = makeStrip(ui, 'person', settings.sources, 'source');
  const [poses, targetButtons] = makeStrip(ui, 'pose', settings.targets, 'target');
  Object.assign(ui, { sourceButtons, targetButtons });
  ui.fraction = makeFraction(ui);
  const shown = BACKGROUNDS.filter((name) => settings.names.includes(name)).map((name) => [name, `over: ${name}`]);
  ui.background = makeSelect('image under the skeleton', shown, () => update(ui));
  const bar = make('div', 'xp-bar');
  const reset = makeButton('xp-b', 'undo the dragging', () => post(ui, 'reset'));
  bar.append(make('span', '', 'own pose'), ui.fraction, make('span', '', 'target'), ui.background, reset);
  const side = make('div', 'xp-side');
  side.append(people, poses, bar, makeTiles(ui, settings.names));
  ui.root.append(ui.stage, side);
  el.append(ui.root);
  bindDrag(ui);
  return follow(ui, () => fit(ui));
}

export default { render };
