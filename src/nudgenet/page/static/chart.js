// A chart of lines, with zoom, readout, keyboard, words and a table; scales.js has its arithmetic, plot.js paints it.

import {announce, button, debounce, h, lazily, onSize, onTheme, perFrame, put, replace, s, table, uniqueId} from "./dom.js";
import {number} from "./format.js";
import {axisTicks, leftMargin, paintAxes, paintLevels, paintLine, paintMark, paintOverlay, paintRegion, paintRegionLabel, paints, prepared} from "./plot.js";
import {ascending, extent, makeScale, mergeWindow, nearest, padded, smooth, thin, within, zoomed} from "./scales.js";

const HELP = "Drag, or plus and minus, to zoom; 0 to see all again; left and right to read values; shift with them to move along; Enter to go to that step.";
const ROWS = 200;
const LISTED = 8;
const EMPTY = {series: [], levels: [], marks: [], regions: [], cursor: null, kind: "linear", smoothing: 0, unit: {name: "step", divide: 1}};

/** Kinds of lines: told apart by their dashes, too. */
export const LOOKS = [
	{colour: "--line-1", dash: []},
	{colour: "--line-2", dash: [7, 4]},
	{colour: "--line-3", dash: [2, 3]},
	{colour: "--line-4", dash: [11, 3, 2, 3]},
	{colour: "--line-5", dash: [4, 2]},
	{colour: "--line-6", dash: [1, 2, 6, 2]},
];

/**
 * onPick(step): a click or Enter. finer(series, from, to) -> promise of {name: {x, y, total}}: the points of a zoomed
 * window, of those series that have more (`total`) than they show. update(model) with any of
 *   title    what it shows
 *   series   [{name, label, colour: "--train", dash: [6, 4], x, y, width, smoothed: false, quiet, total, format}]
 *   levels   [{label, y}]      marks  [{x, y, label}]      regions  [{from, to, label}]
 *   cursor   step or null      kind   "linear" | "log"     smoothing  0 to below 1
 *   unit     {name: "epoch", divide: steps per epoch}: x is always in steps
 */
export function createChart({title, low, finer, onPick, cleanup}) {
	const [base, overlay] = ["lines", "overlay"].map(() => h("canvas", {"aria-hidden": "true"})); // the overlay follows each move of the mouse
	const readout = h("div.readout", {hidden: true, "aria-hidden": "true"});
	const help = h("span.unseen", {id: uniqueId("help")}, HELP);
	const stage = h("div.stage", {tabindex: "0", role: "application", "aria-roledescription": "chart", "aria-describedby": help.id}, base, overlay, readout);
	const legend = h("ul.legend");
	const thinned = h("span");
	const reset = button("Show all", () => setWindow(null), {class: "link", hidden: true});
	const numbers = lazily("The numbers", () => numbersTable(`${model.title}, each ${model.unit.name}`, shown, model.unit));
	const element = h(low ? "div.chart.low" : "div.chart", legend, stage, help, h("div.below", thinned, reset), numbers.element);

	let model = {...EMPTY, title};
	let shown = [];
	let frame = null;
	let part = null; // the zoomed window in steps, or null
	let fine = null;
	let hovered = null;
	let drag = null;
	let isInSight = true;

	function whole() {
		const [from, to] = extent(shown.map(({x}) => ({x, y: x}))) ?? [0, 1];
		return [from, Math.max(to, from + 1)];
	}

	const inView = () => part ?? whole();

	function setWindow(next) {
		part = next;
		reset.hidden = part === null;
		if (!part && fine) {
			fine = null;
			arrange();
		}
		refine();
		paintAll();
	}

	const refine = debounce(async () => {
		const coarse = model.series.filter(({total, x}) => total > x.length);
		if (!part || !finer || !coarse.length) return;
		const [from, to, asked] = [Math.floor(part[0]), Math.ceil(part[1]), part];
		const found = await finer(coarse, from, to).catch(error => replace(thinned, error.message) && null);
		if (!found || part !== asked) return; // it was moved on meanwhile
		fine = {from, to, found};
		arrange();
		paintSoon();
	}, 60);

	function arrange() {
		shown = model.series.map(one => {
			const more = fine?.found[one.name];
			const points = more ? mergeWindow(one, more, fine.from, fine.to) : one;
			const smoothed = one.smoothed !== false && model.smoothing > 0;
			const {total, x} = more ?? one;
			return {width: 2, dash: [], format: number, ...one, ...points, total, given: x.length, smooth: smoothed && smooth(points.x, points.y, model.smoothing)};
		});
		describe();
	}

	function layOut(context, width, height) {
		const log = model.kind === "log";
		const [from, to] = inView();
		const columns = shown.filter(({quiet}) => !quiet);
		const range = extent(columns, {from, to, positive: log}) ?? extent(columns, {positive: log}) ?? extent(shown, {positive: log}) ?? [0, 1];
		const room = 1.5 * (range[1] - range[0]);
		const near = part ? [] : model.levels.map(({y}) => y).filter(y => y > range[0] - room && y < range[1] + room && (!log || y > 0));
		const [bottom, top] = padded([Math.min(range[0], ...near), Math.max(range[1], ...near)], model.kind);
		const space = {from, to, low: bottom, high: top, log: log && bottom > 0, divide: model.unit.divide};
		const ticks = axisTicks({...space, width: width - 60, height: height - 40});
		const box = {left: leftMargin(context, ticks.y, model.unit.name), right: width - 10, top: 8, bottom: height - 28};
		return {...box, ticks, sx: makeScale(from, to, box.left, box.right), sy: makeScale(bottom, top, box.bottom, box.top, space.log ? "log" : "linear")};
	}

	function paintAll() {
		const {width, height} = stage.getBoundingClientRect();
		if (width < 40 || height < 40) return;
		const context = prepared(base, width, height);
		const paint = paints(element);
		frame = layOut(context, width, height);
		paintAxes(context, frame, frame.ticks, paint, model.unit.name);
		for (const region of model.regions) paintRegion(context, frame, region, paint);
		for (const one of shown) {
			const colour = paint.of(one.colour);
			const rough = one.smooth && {width: 1, alpha: 0.8, dash: []};
			paintLine(context, frame, {alpha: 1, ...one, colour, ...rough});
			if (rough) paintLine(context, frame, {...one, y: one.smooth, colour});
		}
		const taken = paintLevels(context, frame, model.levels, paint);
		for (const region of model.regions) paintRegionLabel(context, frame, region, paint, taken);
		for (const mark of model.marks) paintMark(context, frame, mark, paint, taken);
		paintOver();
	}

	function paintOver() {
		if (!frame) return;
		const {width, height} = stage.getBoundingClientRect();
		const paint = paints(element);
		const found = hovered === null ? [] : readings(hovered);
		const dots = found.map(({one, x, y}) => ({x, y, colour: paint.of(one.colour)}));
		const at = found.length ? found[0].x : hovered;
		paintOverlay(prepared(overlay, width, height), frame, {cursor: model.cursor, hovered: at, dots, dragged: drag?.moved ? [drag.from, drag.to] : null}, paint);
		showReadout(found, at, width, paint);
	}

	/** What the lines say at or next to a step, the nearest first. */
	function readings(step) {
		const [from, to] = inView();
		const at = one => {
			const index = nearest(one.x, step);
			return {one, x: one.x[index], y: one.y[index], far: Math.abs(one.x[index] - step)};
		};
		const near = shown.map(at).filter(({x}) => x >= from && x <= to);
		const closest = Math.min(...near.map(({far}) => far));
		return near.filter(({far}) => far <= closest + model.unit.divide * 0.5).sort((a, b) => a.far - b.far);
	}

	function showReadout(found, at, width, paint) {
		readout.hidden = hovered === null || found.length === 0 || drag !== null;
		if (readout.hidden) return;
		const ordered = shown.map(one => found.find(reading => reading.one === one)).filter(Boolean);
		const line = ({one, y}) => h("span", h("i", {style: {color: "inherit"}}, swatch(one, paint.of(one.colour), 16), ` ${one.label}`), one.format(y));
		const hidden = ordered.length - LISTED;
		replace(readout, h("b", position(at)), ordered.slice(0, LISTED).map(line), hidden > 0 && h("span", `and ${hidden} more`));
		const wide = readout.offsetWidth;
		const x = frame.sx(at);
		put(readout, {style: {left: `${x + 14 + wide < width ? x + 14 : Math.max(0, x - wide - 14)}px`, top: `${frame.top + 4}px`}});
	}

	function position(step) {
		const {name, divide} = model.unit;
		return divide === 1 ? `${name} ${number(step)}` : `${name} ${number(step / divide)} (step ${number(step)})`;
	}

	function update(changes) {
		model = {...model, ...changes};
		if ("series" in changes || "smoothing" in changes) arrange();
		if (Object.keys(changes).some(name => name !== "cursor")) paintSoon();
		else paintOverSoon();
	}

	function describe() {
		stage.setAttribute("aria-label", summary({...model, series: shown}));
		replace(legend, shown.map(one => h("li", swatch(one, `var(${one.colour})`), one.label)));
		const [most] = shown.filter(({total, given}) => total > given).sort((a, b) => b.total - a.total);
		replace(thinned, most && `Shows ${number(most.given)} of ${number(most.total)} points; the extremes are kept.`);
		numbers.changed();
	}

	const paintSoon = perFrame(() => isInSight && paintAll());
	const paintOverSoon = perFrame(paintOver);
	const pixelAt = event => within(event.clientX - stage.getBoundingClientRect().left, frame.left, frame.right);
	const zoom = (center, factor) => setWindow(zoomed(inView(), whole(), center, factor));

	function pointerDown(event) {
		if (!frame || event.button !== 0) return;
		stage.focus({preventScroll: true});
		const from = pixelAt(event);
		drag = {from, to: from, moved: false};
		stage.setPointerCapture(event.pointerId);
	}

	function pointerMove(event) {
		if (!frame) return;
		const to = pixelAt(event);
		if (drag) Object.assign(drag, {to, moved: drag.moved || Math.abs(to - drag.from) > 6});
		hovered = frame.sx.invert(to);
		paintOverSoon();
	}

	function pointerUp() {
		if (!drag) return;
		const {from, to, moved} = drag;
		drag = null;
		if (moved) {
			const window = ascending([from, to].map(frame.sx.invert));
			if (window[1] - window[0] >= 1) return setWindow(window);
		} else if (onPick && hovered !== null) {
			const found = readings(hovered);
			if (found.length) onPick(found[0].x);
		}
		paintOverSoon();
	}

	function wheel(event) {
		if (!frame || !(event.ctrlKey || event.metaKey || document.activeElement === stage)) return; // else the page scrolls
		event.preventDefault();
		zoom(frame.sx.invert(pixelAt(event)), Math.exp(within(event.deltaY / 240, -1, 1)));
	}

	function walk(direction) {
		const [from, to] = inView();
		const places = stepsOf(shown.filter(({quiet}) => !quiet)).filter(x => x >= from && x <= to);
		if (!places.length) return;
		hovered = places[within(nearest(places, hovered ?? model.cursor ?? from) + direction, 0, places.length - 1)];
		paintOver();
		announce(`${position(hovered)}: ${readings(hovered).map(({one, y}) => `${one.label} ${one.format(y)}`).join(", ")}`);
	}

	function pan(direction) {
		if (!part) return;
		const [low, high] = whole();
		const width = part[1] - part[0];
		const start = within(part[0] + direction * width * 0.25, low, high - width);
		setWindow([start, start + width]);
	}

	const around = factor => {
		const [from, to] = inView();
		zoom(hovered ?? (from + to) / 2, factor);
	};
	const keys = {
		"+": () => around(0.6),
		"=": () => around(0.6),
		"-": () => around(1 / 0.6),
		0: () => setWindow(null),
		ArrowLeft: event => (event.shiftKey ? pan(-1) : walk(-1)),
		ArrowRight: event => (event.shiftKey ? pan(1) : walk(1)),
		Home: () => walk(-Infinity),
		End: () => walk(Infinity),
		Enter: () => onPick && hovered !== null && onPick(readings(hovered)[0]?.x),
	};
	function keydown(event) {
		if (event.key === "Escape" && (part || hovered !== null)) {
			hovered = null;
			setWindow(null);
		} else if (keys[event.key] && !event.ctrlKey && !event.metaKey && !event.altKey) keys[event.key](event);
		else return;
		event.preventDefault();
		event.stopPropagation(); // the time slider listens for arrows, too
	}

	const forget = () => {
		hovered = null;
		paintOverSoon();
	};
	const pointer = {pointerdown: pointerDown, pointermove: pointerMove, pointerup: pointerUp, pointercancel: () => (drag = null), pointerleave: forget};
	put(stage, {on: {...pointer, keydown, blur: forget, dblclick: () => setWindow(null)}});
	stage.addEventListener("wheel", wheel, {passive: false});
	onSize(stage, paintSoon, cleanup);
	onTheme(paintAll, cleanup);
	const sight = new IntersectionObserver(entries => {
		isInSight = entries.at(-1).isIntersecting;
		paintSoon();
	});
	sight.observe(stage);
	cleanup.add(() => sight.disconnect());
	return {element, update, setWindow, redraw: paintAll};
}

export function epochAt(step, stepsPerEpoch) {
	return number(Math.round(step / (stepsPerEpoch || 1)));
}

/** The best epoch, on the line `validation`, and where overfitting began, as a chart's marks and regions. */
export function landmarks({best_step: best, overfit_from_step: from, steps_per_epoch: each}, validation, lines) {
	const y = validation?.y[validation.x.indexOf(best)] ?? NaN;
	const to = Math.max(from, ...lines.map(({x}) => x.at(-1) ?? 0));
	return {
		marks: best && validation ? [{x: best, y, label: `best, epoch ${epochAt(best, each)}`}] : [],
		regions: from ? [{from, to, label: `overfitting since epoch ${epochAt(from, each)}`}] : [],
	};
}

export function swatch(one, colour, width = 26) {
	const looks = {"stroke-dasharray": one.dash?.join(" ") || null, "stroke-width": Math.min(3, one.width ?? 2.5)};
	return s("svg", {width, height: 12, "aria-hidden": "true"}, s("line", {x2: width, y1: 6, y2: 6, ...looks, style: {stroke: colour}}));
}

/** What a chart shows, in words. */
function summary({title, series, levels, marks, regions, unit: {name, divide}}) {
	const at = step => `${name} ${number(step / divide)}`;
	const lines = series.map(one => {
		const known = one.y.map((y, index) => [one.x[index], y]).filter(([, y]) => Number.isFinite(y));
		if (!known.length) return `${one.label}: nothing yet`;
		const place = ([step, value]) => `${one.format(value)} at ${at(step)}`;
		const lowest = known.reduce((a, b) => (b[1] < a[1] ? b : a));
		const highest = known.reduce((a, b) => (b[1] > a[1] ? b : a));
		return `${one.label}: from ${place(known[0])} to ${place(known.at(-1))}; lowest ${place(lowest)}, highest ${place(highest)}`;
	});
	const places = [...marks.map(({label, x}) => `${label} at ${at(x)}`), ...regions.map(({label}) => label)];
	return [`${title} by ${name}`, ...lines, ...places, ...levels.map(({label, y}) => `${label}: ${number(y)}`)].join(". ");
}

function stepsOf(series) {
	return ascending(new Set(series.flatMap(({x}) => Array.from(x))));
}

function numbersTable(caption, series, unit) {
	const kept = series.map(one => thin(one, ROWS));
	const places = stepsOf(kept).slice(0, ROWS * 2);
	const columns = kept.map(({x, y}, at) => new Map(x.map((step, index) => [step, series[at].format(y[index])])));
	const rows = places.map(x => [number(x / unit.divide), ...columns.map(column => column.get(x) ?? "")]);
	return table(caption, [unit.name, ...series.map(({label}) => label)], rows, {numeric: [0]});
}
