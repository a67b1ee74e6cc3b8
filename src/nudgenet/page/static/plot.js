// Painting a chart on a canvas: frame, axes, lines, marks. No events and no state: chart.js has those.

import {logTicks, linearTicks, tickText, wholeTicks} from "./scales.js";

const FONT = '12px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';
const LINE_HEIGHT = 15;

/** The page's colours as the theme has them now; `of("--train")` is any other. */
export function paints(element) {
	const style = getComputedStyle(element);
	const of = name => style.getPropertyValue(name).trim() || "#888";
	return {of, ink: of("--ink"), soft: of("--soft"), edge: of("--edge"), paper: of("--paper"), accent: of("--accent"), overfit: of("--overfit")};
}

/** A canvas of this size in CSS pixels, sharp on dense screens, wiped; its context. */
export function prepared(canvas, width, height) {
	const dense = window.devicePixelRatio || 1;
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
	return {
		x: across.map(value => [value * divide, tickText(value, across)]),
		y: up.map(value => [value, tickText(value, up)]),
	};
}

export function leftMargin(context, ticks) {
	return Math.ceil(Math.max(24, ...ticks.map(([, text]) => context.measureText(text).width)) + 12);
}

export function paintAxes(context, frame, ticks, paint, xTitle) {
	const {left, right, bottom, sx, sy} = frame;
	context.lineWidth = 1;
	context.fillStyle = paint.soft;
	context.strokeStyle = paint.edge;
	context.textBaseline = "middle";
	context.textAlign = "right";
	for (const [value, text] of ticks.y) {
		const y = Math.round(sy(value)) + 0.5;
		stroke(context, [
			[left, y],
			[right, y],
		]);
		context.fillText(text, left - 8, y);
	}
	context.strokeStyle = paint.of("--control");
	stroke(context, [
		[left, bottom + 0.5],
		[right, bottom + 0.5],
	]);
	context.textBaseline = "top";
	context.textAlign = "center";
	const titleWidth = context.measureText(xTitle).width;
	for (const [value, text] of ticks.x) {
		const x = Math.round(sx(value)) + 0.5;
		stroke(context, [
			[x, bottom],
			[x, bottom + 4],
		]);
		const clear = x + context.measureText(text).width / 2 < right - titleWidth - 8;
		if (clear) context.fillText(text, x, bottom + 8);
	}
	context.textAlign = "right";
	context.fillText(xTitle, right, bottom + 8);
	context.textAlign = "left";
	context.textBaseline = "alphabetic";
}

function stroke(context, points) {
	context.beginPath();
	points.forEach(([x, y], index) => (index ? context.lineTo(x, y) : context.moveTo(x, y)));
	context.stroke();
}

export function paintRegion(context, frame, region, paint) {
	const start = Math.max(frame.left, frame.sx(region.from));
	const end = Math.min(frame.right, frame.sx(region.to));
	if (!(end > start)) return;
	context.fillStyle = paint.overfit;
	context.fillRect(start, frame.top, end - start, frame.bottom - frame.top);
	context.strokeStyle = paint.of("--validation");
	context.lineWidth = 1;
	context.setLineDash([2, 3]);
	stroke(context, [
		[Math.round(start) + 0.5, frame.top],
		[Math.round(start) + 0.5, frame.bottom],
	]);
	context.setLineDash([]);
}

/** At the top, below the labels that stand there already. */
export function paintRegionLabel(context, frame, region, paint, taken) {
	const width = context.measureText(region.label).width;
	const start = Math.max(frame.left, frame.sx(region.from));
	if (width + 12 > frame.right - frame.left || !(frame.sx(region.to) > frame.left && start < frame.right)) return;
	let y = frame.top + 14;
	while (taken.some(other => Math.abs(other - y) < LINE_HEIGHT)) y += LINE_HEIGHT;
	tag(context, region.label, Math.min(start + 6, frame.right - width - 4), y, paint, "--warn");
}

export function paintLine(context, frame, {x, y, colour, dash = [], width = 2, alpha = 1}) {
	const {sx, sy} = frame;
	context.save();
	context.beginPath();
	context.rect(frame.left - 1, frame.top - 2, frame.right - frame.left + 2, frame.bottom - frame.top + 4);
	context.clip();
	Object.assign(context, {strokeStyle: colour, fillStyle: colour, lineWidth: width, globalAlpha: alpha, lineJoin: "round"});
	context.setLineDash(dash);
	const alone = [];
	let [drawn, last] = [0, null];
	context.beginPath();
	for (let index = 0; index < x.length; index += 1) {
		const there = Number.isFinite(y[index]);
		const [a, b] = there ? [sx(x[index]), sy(y[index])] : [NaN, NaN];
		if (!Number.isFinite(b)) {
			if (drawn === 1) alone.push(last);
			drawn = 0;
			continue;
		}
		if (drawn) context.lineTo(a, b);
		else context.moveTo(a, b);
		drawn += 1;
		last = [a, b];
	}
	if (drawn === 1) alone.push(last);
	context.stroke();
	for (const [a, b] of alone) dot(context, a, b, width + 1);
	context.restore();
}

function dot(context, x, y, radius) {
	context.beginPath();
	context.arc(x, y, radius, 0, 2 * Math.PI);
	context.fill();
}

/** Labelled level lines (baselines); labels that would lie on each other are moved apart. Returns where they are. */
export function paintLevels(context, frame, levels, paint) {
	const inside = levels
		.map(level => ({...level, at: frame.sy(level.y)}))
		.filter(({at}) => at >= frame.top && at <= frame.bottom)
		.sort((a, b) => a.at - b.at);
	const taken = [];
	for (const level of inside) {
		context.strokeStyle = paint.soft;
		context.lineWidth = 1;
		context.setLineDash([2, 4]);
		stroke(context, [
			[frame.left, level.at],
			[frame.right, level.at],
		]);
		const text = Math.max(level.at - 4, (taken.at(-1) ?? -Infinity) + LINE_HEIGHT, frame.top + 11);
		taken.push(text);
		context.setLineDash([]);
		tag(context, level.label, frame.right - context.measureText(level.label).width - 4, text, paint);
	}
	return taken;
}

/** A text with the paper's colour behind it, so that lines do not run through the letters. */
function tag(context, text, x, y, paint, colour = "--soft") {
	Object.assign(context, {strokeStyle: paint.paper, fillStyle: paint.of(colour), lineWidth: 4, lineJoin: "round"});
	context.strokeText(text, x, y);
	context.fillText(text, x, y);
}

/** A named point (the best epoch): a ring on the line, a thin stem, a text. */
export function paintMark(context, frame, mark, paint) {
	const x = frame.sx(mark.x);
	if (x < frame.left - 1 || x > frame.right + 1) return;
	context.strokeStyle = paint.ink;
	context.lineWidth = 1;
	context.setLineDash([]);
	stroke(context, [
		[Math.round(x) + 0.5, frame.bottom],
		[Math.round(x) + 0.5, frame.bottom - 8],
	]);
	const y = Number.isFinite(mark.y) ? frame.sy(mark.y) : NaN;
	if (y >= frame.top && y <= frame.bottom) {
		context.fillStyle = paint.paper;
		dot(context, x, y, 4.5);
		context.lineWidth = 2;
		context.beginPath();
		context.arc(x, y, 4.5, 0, 2 * Math.PI);
		context.stroke();
	}
	const width = context.measureText(mark.label).width;
	const above = y >= frame.top + 24 && y <= frame.bottom ? y - 12 : frame.top + 14;
	const clear = Number.isFinite(y) ? above : frame.bottom - 12;
	tag(context, mark.label, Math.min(Math.max(frame.left + 2, x - width / 2), frame.right - width), clear, paint);
}

/** What moves with the person: the slider's step, the hovered position, the dragged window. */
export function paintOverlay(context, frame, {cursor, hovered, dots, dragged}, paint) {
	const upright = (x, colour, dash) => {
		if (x < frame.left - 1 || x > frame.right + 1) return;
		Object.assign(context, {strokeStyle: colour, lineWidth: dash.length ? 1 : 1.5});
		context.setLineDash(dash);
		stroke(context, [
			[Math.round(x) + 0.5, frame.top],
			[Math.round(x) + 0.5, frame.bottom],
		]);
		context.setLineDash([]);
	};
	if (dragged) {
		context.globalAlpha = 0.14;
		context.fillStyle = paint.accent;
		context.fillRect(Math.min(...dragged), frame.top, Math.abs(dragged[1] - dragged[0]), frame.bottom - frame.top);
		context.globalAlpha = 1;
	}
	if (cursor !== null) {
		const x = frame.sx(cursor);
		upright(x, paint.accent, []);
		context.fillStyle = paint.accent;
		if (x >= frame.left - 1 && x <= frame.right + 1) dot(context, Math.round(x) + 0.5, frame.top, 4);
	}
	if (hovered !== null) upright(frame.sx(hovered), paint.soft, [3, 3]);
	for (const {x, y, colour} of dots) {
		const [a, b] = [frame.sx(x), frame.sy(y)];
		if (!(a >= frame.left - 1 && a <= frame.right + 1 && b >= frame.top - 2 && b <= frame.bottom + 2)) continue;
		context.fillStyle = paint.paper;
		dot(context, a, b, 4.5);
		context.fillStyle = colour;
		dot(context, a, b, 3);
	}
}
