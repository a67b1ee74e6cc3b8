// Maps on canvas: answers over two columns, and heat maps of weights.

import {h, labelled, onSize, onTheme, select} from "./dom.js";
import {number, percent, shortened} from "./format.js";
import {prepared} from "./plot.js";
import {peak, within} from "./scales.js";

export function numberColumns(run) {
	return (run.columns ?? []).filter(({kind, used}) => kind === "number" && used !== false).map(({name}) => name);
}

export function axisChoices(columns, chosen, changed) {
	const options = columns.map(name => [name, shortened(name, 30)]);
	const pick = axis => select(options, chosen[axis], name => ((chosen[axis] = name), changed()));
	return [labelled("Across", pick("x")), labelled("Up", pick("y"))];
}

export function picture(label, height, paint, cleanup) {
	const canvas = h("canvas", {role: "img", "aria-label": label, style: {width: "100%", height: `${height}px`}});
	const draw = () => {
		const {clientWidth: wide, clientHeight: high} = canvas;
		if (wide && high) paint(prepared(canvas, wide, high), wide, high);
	};
	onSize(canvas, draw, cleanup);
	onTheme(draw, cleanup);
	return {canvas, draw};
}

function rgb(name) {
	const hex = parseInt(getComputedStyle(document.documentElement).getPropertyValue(name).trim().slice(1), 16);
	return [hex >> 16, (hex >> 8) & 255, hex & 255];
}

function css(name) {
	return `rgb(${rgb(name)})`;
}

function classColour(index) {
	return `--line-${1 + (index % 6)}`;
}

function blend(from, to, share) {
	return from.map((value, channel) => value + (to[channel] - value) * share);
}

/** Pixels, row by row, as an image; `pixelOf(row, column)` is [red, green, blue]. */
function imageOf(rows, columns, pixelOf) {
	const image = new ImageData(columns, rows);
	for (let at = 0; at < rows * columns; at += 1) image.data.set([...pixelOf(Math.floor(at / columns), at % columns), 255], 4 * at);
	return image;
}

/**
 * Paints answers over the whole box, with the rows as points and your row as a cross.
 * grid: rows from low to high y; of two classes the probability of the second, of more a list, else a number.
 * x, y: their ranges, from the first to the last of each. points: [{x, y, truth, part}]; own: [x, y] or null.
 */
export function paintMap(context, width, height, {grid, classes, x, y, points, own}) {
	const [rows, columns] = [grid.length, grid[0].length];
	const values = classes ? [0, 1] : grid.flat().filter(value => value !== null);
	const [low, high] = [Math.min(...values), Math.max(...values)];
	const paper = rgb("--paper");
	const colours = Array.from({length: Math.max(2, classes?.length ?? 2)}, (_, index) => rgb(classColour(index)));
	const image = imageOf(rows, columns, (row, column) => pixelOf(grid[rows - 1 - row][column], {paper, colours, low, high}));
	const small = new OffscreenCanvas(columns, rows);
	small.getContext("2d").putImageData(image, 0, 0);
	Object.assign(context, {imageSmoothingEnabled: true, imageSmoothingQuality: "high"});
	context.drawImage(small, 0, 0, width, height);
	if (classes) drawBorder(context, width, height, grid, classes);
	const share = (value, axis) => (value - axis[0]) / (axis.at(-1) - axis[0] || 1);
	const place = (across, up) => [width * share(across, x), height - height * share(up, y)];
	const kindOf = truth => (classes ? Math.max(0, classes.indexOf(truth)) : Number(truth > (low + high) / 2));
	for (const point of points) drawPoint(context, ...place(point.x, point.y), kindOf(point.truth), point.part !== "train");
	if (own?.every(Number.isFinite)) drawCross(context, ...place(...own));
}

function pixelOf(value, {paper, colours, low, high}) {
	if (Array.isArray(value)) {
		const best = value.indexOf(Math.max(...value));
		const least = 1 / value.length;
		return blend(paper, colours[best % colours.length], 0.12 + 0.6 * Math.max(0, (value[best] - least) / (1 - least)));
	}
	if (value === null) return paper;
	const share = within((value - low) / (high - low || 1), 0, 1);
	return blend(paper, colours[share < 0.5 ? 0 : 1], 0.72 * Math.abs(2 * share - 1));
}

export function answerAt(value, classes) {
	if (Array.isArray(value)) return classes[value.indexOf(Math.max(...value))];
	return classes && value !== null ? classes[value > 0.5 ? 1 : 0] : value;
}

export function mapWords(grid, classes) {
	const all = grid.flat(1).map(value => answerAt(value, classes));
	if (!classes) return `Answers from ${number(Math.min(...all))} (blue) to ${number(Math.max(...all))} (orange).`;
	const largest = classes.map(name => [name, all.filter(answer => answer === name).length / all.length]).sort((a, b) => b[1] - a[1]).slice(0, 4);
	const held = largest.filter(([, share]) => share > 0);
	return `${held.map(([name, share]) => `${shortened(name, 20)} on ${percent(share, 0)}`).join(", ")} of the area.`;
}

/** The line where the answer turns: not everybody can tell the colours apart. */
function drawBorder(context, width, height, grid, classes) {
	const [rows, columns] = [grid.length, grid[0].length];
	const place = (column, row) => [((column + 0.5) / columns) * width, height - ((row + 0.5) / rows) * height];
	const draw = fieldOf => contour(context, grid.map(row => row.map(fieldOf)), place);
	context.beginPath();
	if (Array.isArray(grid[0][0])) for (const one of classes.keys()) draw(shares => lead(shares, one));
	else draw(value => value - 0.5);
	Object.assign(context, {strokeStyle: css("--ink"), globalAlpha: 0.6, lineWidth: 1.5});
	context.stroke();
	context.globalAlpha = 1;
}

function lead(shares, one) {
	return shares[one] - Math.max(...shares.filter((_, other) => other !== one));
}

/** Where a field is 0, by marching squares: lines between the crossings of each square's sides. */
function contour(context, field, place) {
	const square = [[0, 0], [1, 0], [1, 1], [0, 1]];
	for (let row = 0; row + 1 < field.length; row += 1) {
		for (let column = 0; column + 1 < field[row].length; column += 1) {
			const corners = square.map(([right, up]) => [column + right, row + up]);
			const values = corners.map(([x, y]) => field[y][x]);
			const crossings = [];
			for (let side = 0; side < 4; side += 1) {
				const [from, to] = [values[side], values[(side + 1) % 4]];
				if (from > 0 === to > 0) continue;
				crossings.push(place(...blend(corners[side], corners[(side + 1) % 4], from / (from - to))));
			}
			for (let at = 0; at + 1 < crossings.length; at += 2) line(context, ...crossings[at], ...crossings[at + 1]);
		}
	}
}

function line(context, x1, y1, x2, y2) {
	context.moveTo(x1, y1);
	context.lineTo(x2, y2);
}

const SHAPES = ["M-1 0a1 1 0 1 0 2 0a1 1 0 1 0-2 0Z", "M-.85-.85h1.7v1.7h-1.7Z", "M0-1.15L1.1.85H-1.1Z", "M0-1.2L1.2 0 0 1.2-1.2 0Z"];

/** Hollow: not trained on. */
function drawPoint(context, x, y, kind, hollow) {
	const size = 3.5;
	const path = new Path2D(SHAPES[kind % 4]);
	const [fill, edge] = hollow ? ["--paper", classColour(kind)] : [classColour(kind), "--raised"];
	context.save();
	context.translate(x, y);
	context.scale(size, size);
	Object.assign(context, {fillStyle: css(fill), strokeStyle: css(edge), lineWidth: (hollow ? 1.5 : 1) / size});
	context.fill(path);
	context.stroke(path);
	context.restore();
}

function drawCross(context, x, y) {
	context.beginPath();
	context.arc(x, y, 8, 0, 2 * Math.PI);
	for (const sign of [1, -1]) {
		line(context, x + 4 * sign, y, x + 13 * sign, y);
		line(context, x, y + 4 * sign, x, y + 13 * sign);
	}
	for (const [name, lineWidth] of Object.entries({"--raised": 5, "--ink": 2})) {
		Object.assign(context, {lineWidth, strokeStyle: css(name)});
		context.stroke();
	}
}

/** Signed values on a canvas: blue above zero, orange below, paper at zero. */
export function heatMap(canvas, values) {
	const largest = peak(values.map(peak));
	const [paper, up, down] = ["--raised", "--positive", "--negative"].map(rgb);
	show(canvas, values, value => blend(paper, value < 0 ? down : up, Math.abs(value) / largest));
}

function show(canvas, values, pixel) {
	const [rows, columns] = [values.length, values[0].length];
	Object.assign(canvas, {width: columns, height: rows});
	canvas.getContext("2d").putImageData(imageOf(rows, columns, (row, column) => pixel(values[row][column])), 0, 0);
}

/** A filter, [row][column][channel]: one channel as a heat map, three as colours around grey. */
export function paintFilter(canvas, values) {
	const first = values.map(row => row.map(channels => [channels].flat()[0]));
	if (values[0][0].length !== 3) return heatMap(canvas, first);
	const most = peak(values.flat(2));
	return show(canvas, values, channels => channels.map(value => 128 + (127 * value) / most));
}
