// Pictures and what was found in them, on a canvas.

const LARGEST = 1400; // px of the longer side; larger pictures are drawn smaller, boxes with them

/** Draw an upright picture turned clockwise by `turnDeg`; returns canvas px per picture px. */
export function drawPicture(canvas, bitmap, turnDeg = 0) {
  const across = turnDeg % 180 !== 0;
  const [width, height] = across ? [bitmap.height, bitmap.width] : [bitmap.width, bitmap.height];
  const scale = Math.min(1, LARGEST / Math.max(width, height));
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  const context = canvas.getContext("2d");
  context.save();
  context.translate(canvas.width / 2, canvas.height / 2);
  context.rotate((turnDeg * Math.PI) / 180);
  context.scale(scale, scale);
  context.drawImage(bitmap, -bitmap.width / 2, -bitmap.height / 2);
  context.restore();
  return scale;
}

/**
 * Draw boxes of faces.
 *
 * marks: `{ box: [x0, y0, x1, y1], kind, label }`; boxes in px of the picture, whose origin is the centre of its
 * top-left pixel; kind is "match", "no_match", "undecided", "refused" or "face"; a kind has its own dash, so that
 * colour is not all that tells.
 */
export function drawMarks(canvas, marks, scale) {
  const context = canvas.getContext("2d");
  const thick = Math.max(2, Math.min(canvas.width, canvas.height) / 140);
  const size = Math.max(12, Math.min(canvas.width, canvas.height) / 24);
  context.font = `600 ${size}px system-ui, sans-serif`;
  context.textBaseline = "middle";
  for (const { box, kind, label } of marks) {
    const [x0, y0, x1, y1] = box.map((value) => (value + 0.5) * scale);
    const { line, dash } = KINDS[kind] ?? KINDS.face;
    context.setLineDash([]);
    outline(context, "#fff", thick * 2.2, x0, y0, x1, y1);
    context.setLineDash(dash.map((length) => length * thick));
    outline(context, line, thick, x0, y0, x1, y1);
    context.setLineDash([]);
    if (label) tag(context, label, { x: x0, y: y0, size, line, canvas, bottom: y1 });
  }
}

const KINDS = {
  match: { line: "#00795a", dash: [] },
  no_match: { line: "#b03a00", dash: [4, 2] },
  undecided: { line: "#8a5a00", dash: [2, 1.5] },
  refused: { line: "#b03a00", dash: [4, 2] },
  face: { line: "#0b5cad", dash: [] },
};

function outline(context, colour, width, x0, y0, x1, y1) {
  context.lineWidth = width;
  context.strokeStyle = colour;
  context.strokeRect(x0, y0, x1 - x0, y1 - y0);
}

/** A label above the box, or below it where there is no room. */
function tag(context, label, { x, y, size, line, canvas, bottom }) {
  const width = context.measureText(label).width + size;
  const height = size * 1.5;
  const left = Math.max(0, Math.min(x, canvas.width - width));
  const top = y - height >= 0 ? y - height : Math.min(bottom, canvas.height - height);
  context.fillStyle = line;
  context.fillRect(left, top, width, height);
  context.fillStyle = "#fff";
  context.fillText(label, left + size / 2, top + height / 2);
}

/** A box of a picture that was turned clockwise, in px of the picture before, whose size is given. */
export function unturned([x0, y0, x1, y1], turnDeg, { width, height }) {
  const [right, bottom] = [width - 1, height - 1];
  switch (turnDeg) {
    case 90:
      return [y0, bottom - x1, y1, bottom - x0];
    case 180:
      return [right - x1, bottom - y1, right - x0, bottom - y0];
    case 270:
      return [right - y1, x0, right - y0, x1];
    default:
      return [x0, y0, x1, y1];
  }
}
