// Painting a chart on a canvas. Events and state are chart.js's.

import {logTicks, linearTicks, tickText, wholeTicks} from "./scales.js";

const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const LINE_HEIGHT = 15;

/** The theme's colours; `of("--train")` is any other. */
export function paints(element) {
	const style = getComputedStyle(element);
	const of = name => style.getPropertyValue(name).trim() || "#888";
	const named = name => [name, of(`--${name}`)];
	return {of, ...Object.fromEntries(["ink", "soft", "edge", "paper", "accent", "overfit", "control", "validation"].map(named))};
}

/** The context of a canvas of this size in CSS pixels, sharp on dense screens, wiped. */
export function prepared(canvas, width, height) {
	const dense = devicePixelRatio || 1;
	const [wide, high] = [Math.round(width * dense), Math.round(height * dense)];
	if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, {width: wide, height: high});
	const context = canvas.getContext("2d");
	context.setTransform(dense, 0, 0, dense, 0, 0);
	context.clearRect(0, 0, width, height);
	context.font = FONT;
	return context;
}

export function axisTicks({from, to, low, high, log, divide, width, height}) {
	const across = wholeTicks(from / divide, to / divide, Math.max(2, Math.floor(width / 90)));
	const up = (log ? logTicks : linearTicks)(low, high, Math.max(2, Math.floor(height / 55)));
	return {x: across.map(value => [value * divide, tickText(value, across)]), y: up.map(value => [value, tickText(value, up)])};
}

export function leftMargin(context, ticks, xTitle) {
	return Math.ceil(Math.max(...[xTitle, ...ticks.map(([, text]) => text)].map(text => context.measureText(text).width)) + 12);
}

function crisp(pixel) {
	return Math.round(pixel) + 0.5;
}

function straight(context, [x1, y1, x2, y2], strokeStyle, dash = [], lineWidth = 1) {
	Object.assign(context, {strokeStyle, lineWidth});
	context.setLineDash(dash);
	context.beginPath();
	context.moveTo(x1, y1);
	context.lineTo(x2, y2);
	context.stroke();
	context.setLineDash([]);
}

export function paintAxes(context, {left, right, bottom, sx, sy}, ticks, paint, xTitle) {
	Object.assign(context, {fillStyle: paint.soft, textBaseline: "middle", textAlign: "right"});
	for (const [value, text] of ticks.y) {
		const y = crisp(sy(value));
		straight(context, [left, y, right, y], paint.edge);
		context.fillText(text, left - 8, y);
	}
	straight(context, [left, bottom + 0.5, right, bottom + 0.5], paint.control);
	context.textBaseline = "top";
	context.fillText(xTitle, left - 8, bottom + 8);
	context.textAlign = "center";
	for (const [value, text] of ticks.x) {
		const x = crisp(sx(value));
		straight(context, [x, bottom, x, bottom + 4], paint.control);
		context.fillText(text, Math.min(x, right + 10 - context.measureText(text).width / 2), bottom + 8);
	}
	Object.assign(context, {textBaseline: "alphabetic", textAlign: "left"});
}

export function paintRegion(context, {left, right, top, bottom, sx}, {from, to}, paint) {
	const [start, end] = [Math.max(left, sx(from)), Math.min(right, sx(to))];
	if (!(end > start)) return;
	context.fillStyle = paint.overfit;
	context.fillRect(start, top, end - start, bottom - top);
	straight(context, [crisp(start), top, crisp(start), bottom], paint.validation, [2, 3]);
}

function isTaken(y, taken) {
	return taken.some(other => Math.abs(other - y) < LINE_HEIGHT);
}

export function paintRegionLabel(context, {left, right, top, sx}, {label, from, to}, paint, taken) {
	const width = context.measureText(label).width;
	const start = Math.max(left, sx(from));
	if (width + 12 > right - left || !(sx(to) > left && start < right)) return;
	let y = top + 14;
	while (isTaken(y, taken)) y += LINE_HEIGHT;
	tag(context, label, Math.min(start + 6, right - width - 4), y, paint, "--warn");
}

/** A line with gaps where values are missing; a point without neighbours is a dot. */
export function paintLine(context, {left, right, top, bottom, sx, sy}, {x, y, colour, dash, width, alpha}) {
	const heights = Array.from(y, value => (Number.isFinite(value) ? sy(value) : NaN));
	const isThere = index => Number.isFinite(heights[index]);
	const there = [...heights.keys()].filter(isThere);
	context.save();
	context.beginPath();
	context.rect(left - 1, top - 2, right - left + 2, bottom - top + 4);
	context.clip();
	Object.assign(context, {strokeStyle: colour, fillStyle: colour, lineWidth: width, globalAlpha: alpha, lineJoin: "round"});
	context.setLineDash(dash);
	context.beginPath();
	for (const index of there) context[isThere(index - 1) ? "lineTo" : "moveTo"](sx(x[index]), heights[index]);
	context.stroke();
	for (const index of there) if (!isThere(index - 1) && !isThere(index + 1)) dot(context, sx(x[index]), heights[index], width + 1);
	context.restore();
}

function dot(context, x, y, radius, fillStyle = context.fillStyle) {
	context.fillStyle = fillStyle;
	context.beginPath();
	context.arc(x, y, radius, 0, 2 * Math.PI);
	context.fill();
}

/** Labelled level lines (baselines), their labels moved apart. Returns where these are. */
export function paintLevels(context, {left, right, top, bottom, sy}, levels, paint) {
	const inside = levels.map(({label, y}) => ({label, at: sy(y)})).filter(({at}) => at >= top && at <= bottom);
	const taken = [];
	for (const {label, at} of inside.sort((a, b) => a.at - b.at)) {
		straight(context, [left, at, right, at], paint.soft, [2, 4]);
		const text = Math.max(at - 4, (taken.at(-1) ?? -Infinity) + LINE_HEIGHT, top + 11);
		taken.push(text);
		tag(context, label, right - context.measureText(label).width - 4, text, paint);
	}
	return taken;
}

function tag(context, text, x, y, paint, colour = "--soft") {
	Object.assign(context, {strokeStyle: paint.paper, fillStyle: paint.of(colour), lineWidth: 4, lineJoin: "round"});
	context.strokeText(text, x, y);
	context.fillText(text, x, y);
}

export function paintMark(context, {left, right, top, bottom, sx, sy}, mark, paint, taken) {
	const x = sx(mark.x);
	if (x < left - 1 || x > right + 1) return;
	straight(context, [crisp(x), bottom, crisp(x), bottom - 8], paint.ink);
	const y = Number.isFinite(mark.y) ? sy(mark.y) : NaN;
	const isInside = y >= top && y <= bottom;
	if (isInside) {
		dot(context, x, y, 4.5, paint.paper);
		context.lineWidth = 2;
		context.stroke();
	}
	const width = context.measureText(mark.label).width;
	const start = Math.min(Math.max(left + 2, x - width / 2), right - width);
	let at = !Number.isFinite(y) ? bottom - 12 : isInside && y >= top + 24 ? y - 12 : top + 14;
	const isBeside = start + width > (left + right) / 2; // the labels of levels end at the right
	while (isBeside && isTaken(at, taken) && at > top + LINE_HEIGHT) at -= LINE_HEIGHT;
	tag(context, mark.label, start, at, paint);
}

export function paintOverlay(context, {left, right, top, bottom, sx, sy}, {cursor, hovered, dots, dragged}, paint) {
	const isInside = x => x >= left - 1 && x <= right + 1;
	const upright = (x, ...looks) => isInside(x) && straight(context, [crisp(x), top, crisp(x), bottom], ...looks);
	context.fillStyle = paint.accent;
	if (dragged) {
		context.globalAlpha = 0.14;
		context.fillRect(Math.min(...dragged), top, Math.abs(dragged[1] - dragged[0]), bottom - top);
		context.globalAlpha = 1;
	}
	if (cursor !== null) {
		const x = sx(cursor);
		upright(x, paint.accent, [], 1.5);
		if (isInside(x)) dot(context, crisp(x), top, 4);
	}
	if (hovered !== null) upright(sx(hovered), paint.soft, [3, 3]);
	for (const {x, y, colour} of dots) {
		const [a, b] = [sx(x), sy(y)];
		if (!(isInside(a) && b >= top - 2 && b <= bottom + 2)) continue;
		dot(context, a, b, 4.5, paint.paper);
		dot(context, a, b, 3, colour);
	}
}
