// Maps on canvas: a surface of answers over two columns, and small heat maps of weights.

import { colour } from "./panel.js";

const CLASS_COLOURS = ["--line-1", "--line-2", "--line-3", "--line-4", "--line-5", "--line-6"];

/** The colour of class `index`, as [red, green, blue]. */
export function classColour(index) {
  return rgb(colour(CLASS_COLOURS[index % CLASS_COLOURS.length]));
}

/** A theme's colour as [red, green, blue]. */
export function rgb(text) {
  const hex = /^#([0-9a-f]{6})$/i.exec(text);
  return hex ? [0, 2, 4].map((at) => parseInt(hex[1].slice(at, at + 2), 16)) : [128, 128, 128];
}

function blend(from, to, share) {
  return from.map((value, channel) => value + (to[channel] - value) * share);
}

/**
 * Paints a grid (rows from low to high y) over the whole box: for two classes the probability of the second, for
 * more a list of probabilities per point, for numbers a value between `low` and `high`.
 */
export function paintSurface(context, width, height, grid, { classes, low = 0, high = 1 }) {
  const [rows, columns] = [grid.length, grid[0]?.length ?? 0];
  if (!rows || !columns) return;
  const image = new ImageData(columns, rows);
  const paper = rgb(colour("--paper"));
  const colours = Array.from({ length: Math.max(2, classes?.length ?? 2) }, (_, index) => classColour(index));
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const pixel = pixelOf(grid[row][column], { paper, colours, low, high });
      const place = 4 * ((rows - 1 - row) * columns + column);
      image.data.set([pixel[0], pixel[1], pixel[2], 255], place);
    }
  }
  const small = new OffscreenCanvas(columns, rows);
  small.getContext("2d").putImageData(image, 0, 0);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, width, height);
  drawBorder(context, width, height, grid, { classes, low, high });
}

function pixelOf(value, { paper, colours, low, high }) {
  if (Array.isArray(value)) {
    const best = value.reduce((most, share, index) => (share > value[most] ? index : most), 0);
    const least = 1 / value.length;
    return blend(paper, colours[best % colours.length], 0.12 + 0.6 * Math.max(0, (value[best] - least) / (1 - least)));
  }
  if (value === null) return paper;
  const share = Math.max(0, Math.min(1, (value - low) / (high - low || 1)));
  return blend(paper, colours[share < 0.5 ? 0 : 1], 0.72 * Math.abs(2 * share - 1));
}

/** The line where the answer turns, so that it does not depend on telling colours apart. */
function drawBorder(context, width, height, grid, { classes, low, high }) {
  if (!classes) return;
  const [rows, columns] = [grid.length, grid[0].length];
  const place = (column, row) => [((column + 0.5) / columns) * width, height - ((row + 0.5) / rows) * height];
  context.beginPath();
  if (Array.isArray(grid[0][0])) {
    classes.forEach((_, one) => contour(context, grid.map((row) => row.map((shares) => lead(shares, one))), place));
  } else contour(context, grid.map((row) => row.map((value) => value - (low + high) / 2)), place);
  context.strokeStyle = colour("--ink");
  context.globalAlpha = 0.6;
  context.lineWidth = 1.5;
  context.stroke();
  context.globalAlpha = 1;
}

function lead(shares, one) {
  return shares[one] - Math.max(...shares.filter((_, other) => other !== one));
}

/** Where a field is 0: in each square of the grid, lines between its sides' crossings (marching squares). */
function contour(context, field, place) {
  for (let row = 0; row + 1 < field.length; row += 1) {
    for (let column = 0; column + 1 < field[row].length; column += 1) {
      const corners = [[column, row], [column + 1, row], [column + 1, row + 1], [column, row + 1]];
      const values = corners.map(([x, y]) => field[y][x]);
      const crossings = [];
      for (let side = 0; side < 4; side += 1) {
        const [from, to] = [values[side], values[(side + 1) % 4]];
        if (from > 0 === to > 0) continue;
        const [[x1, y1], [x2, y2]] = [corners[side], corners[(side + 1) % 4]];
        const share = from / (from - to);
        crossings.push(place(x1 + share * (x2 - x1), y1 + share * (y2 - y1)));
      }
      for (let at = 0; at + 1 < crossings.length; at += 2) line(context, ...crossings[at], ...crossings[at + 1]);
    }
  }
}

function line(context, x1, y1, x2, y2) {
  context.moveTo(x1, y1);
  context.lineTo(x2, y2);
}

/** A point: a shape and a colour of its class, round for numbers. */
export function drawPoint(context, x, y, kind, size = 4, hollow = false) {
  context.beginPath();
  if (kind % 4 === 1) context.rect(x - size * 0.85, y - size * 0.85, size * 1.7, size * 1.7);
  else if (kind % 4 === 2) polygon(context, [[x, y - size * 1.15], [x + size * 1.1, y + size * 0.85], [x - size * 1.1, y + size * 0.85]]);
  else if (kind % 4 === 3) polygon(context, [[x, y - size * 1.2], [x + size * 1.2, y], [x, y + size * 1.2], [x - size * 1.2, y]]);
  else context.arc(x, y, size, 0, 2 * Math.PI);
  context.fillStyle = hollow ? colour("--paper") : `rgb(${classColour(kind)})`;
  context.fill();
  context.lineWidth = hollow ? 1.5 : 1;
  context.strokeStyle = hollow ? `rgb(${classColour(kind)})` : colour("--raised");
  context.stroke();
}

function polygon(context, corners) {
  corners.forEach(([x, y], index) => context[index ? "lineTo" : "moveTo"](x, y));
  context.closePath();
}

/** Where your row is. */
export function drawCross(context, x, y) {
  for (const [width, name] of [[5, "--raised"], [2, "--ink"]]) {
    context.beginPath();
    context.arc(x, y, 8, 0, 2 * Math.PI);
    line(context, x - 13, y, x - 4, y);
    line(context, x + 4, y, x + 13, y);
    line(context, x, y - 13, x, y - 4);
    line(context, x, y + 4, x, y + 13);
    context.lineWidth = width;
    context.strokeStyle = colour(name);
    context.stroke();
  }
}

/** A heat map of signed values on a canvas element: blue above zero, vermilion below, paper at zero. */
export function heatMap(canvas, values, most = null) {
  const [rows, columns] = [values.length, values[0]?.length ?? 0];
  if (!rows || !columns) return;
  Object.assign(canvas, { width: columns, height: rows });
  const largest = most ?? Math.max(1e-12, ...values.map((row) => Math.max(...row.map(Math.abs))));
  const [paper, up, down] = [rgb(colour("--raised")), rgb(colour("--positive")), rgb(colour("--negative"))];
  const image = new ImageData(columns, rows);
  values.forEach((row, at) =>
    row.forEach((value, column) => {
      const pixel = blend(paper, value < 0 ? down : up, Math.min(1, Math.abs(value) / largest));
      image.data.set([...pixel, 255], 4 * (at * columns + column));
    }),
  );
  canvas.getContext("2d").putImageData(image, 0, 0);
}

/** A filter over an image, [row][column][channel]: one channel as a heat map, three as colours around grey. */
export function paintFilter(canvas, values) {
  if (values[0][0].length !== 3) return heatMap(canvas, values.map((row) => row.map((channels) => [channels].flat()[0])));
  const [rows, columns] = [values.length, values[0].length];
  Object.assign(canvas, { width: columns, height: rows });
  const most = Math.max(1e-12, ...values.flat(2).map(Math.abs));
  const image = new ImageData(columns, rows);
  values.flat().forEach((channels, at) => image.data.set([...channels.map((value) => 128 + (127 * value) / most), 255], 4 * at));
  return canvas.getContext("2d").putImageData(image, 0, 0);
}
