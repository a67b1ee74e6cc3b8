// The arithmetic of charts: ticks, scales, smoothing, thinning. No DOM.

import {local} from "./format.js";

export function within(value, low, high) {
	return Math.max(low, Math.min(high, value));
}

/** The largest size, for what is drawn in relation to it: never 0. */
export function peak(values) {
	return Math.max(1e-12, ...values.map(Math.abs));
}

export function ascending(values) {
	return [...values].sort((a, b) => a - b);
}

function gaps(values) {
	return Array.from(values.slice(1), (value, index) => value - values[index]);
}

/**
 * Round numbers that divide low..high into about `count` pieces: steps of 1, 2 or 5 times a power of ten, none outside.
 * Source: Heckbert's "Nice numbers for graph labels", Graphics Gems (1990).
 */
export function linearTicks(low, high, count = 5) {
	if (!(high > low) || !Number.isFinite(high - low)) return Number.isFinite(low) ? [low] : [];
	const step = niceStep((high - low) / Math.max(1, count));
	const first = Math.ceil(low / step - 1e-9);
	const length = Math.floor(high / step + 1e-9) - first + 1;
	return Array.from({length}, (_, index) => tidy((first + index) * step, step));
}

function magnitude(value) {
	return Math.floor(Math.log10(Math.abs(value)) + 1e-9);
}

function niceStep(rough) {
	const power = 10 ** Math.floor(Math.log10(rough));
	const lead = rough / power;
	return power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
}

function tidy(value, step) {
	const decimals = Math.min(100, Math.max(0, 1 - Math.floor(Math.log10(step))));
	return Number(value.toFixed(decimals)) + 0; // 0.30000000000000004 is 0.3; + 0: no minus zero
}

/** Powers of ten, with 2 and 5 between where they are few; linear ticks within a decade. */
export function logTicks(low, high, count = 5) {
	const decades = low > 0 ? Math.log10(high / low) : 0;
	if (!(decades >= 1)) return linearTicks(low, high, count);
	const every = Math.max(1, Math.ceil(decades / count));
	const leads = decades <= count / 2 ? [1, 2, 5] : [1];
	const [first, last] = [low, high].map(magnitude);
	const powers = Array.from({length: last - first + 1}, (_, index) => first + index).filter(power => power % every === 0);
	const ticks = powers.flatMap(power => leads.map(lead => Number(`${lead}e${power}`)));
	return ticks.filter(value => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
}

export function wholeTicks(low, high, count = 6) {
	const ticks = linearTicks(low, high, count).filter(Number.isInteger);
	const [from, to] = [Math.ceil(low), Math.floor(high)];
	return ticks.length > 1 || to <= from ? ticks : linearTicks(from, to, Math.min(count + 1, to - from));
}

/** A tick with as many decimals as tell neighbours apart. */
export function tickText(value, ticks) {
	const steps = gaps(ticks);
	const step = steps.length ? Math.min(...steps.map(Math.abs)) : Math.abs(value) || 1;
	const size = Math.max(...ticks.map(Math.abs), Math.abs(value));
	const isSpread = Math.max(...steps) > 1.5 * Math.min(...steps); // log ticks: each has its own decimals
	const text = value !== 0 && (size >= 1e6 || size < 1e-3)
		? value.toExponential(within(magnitude(value) - magnitude(step), 0, 6)).replace("e+", "e")
		: local(value, Math.max(0, -magnitude(isSpread ? value || 1 : step)));
	return text.replaceAll("-", "−");
}

/** Values to pixels: `scale(value)`, `scale.invert(pixel)`; what has no place on a log scale gives NaN. */
export function makeScale(low, high, from, to, kind = "linear") {
	const log = kind === "log" && low > 0 && high > 0;
	const same = value => value;
	const [forward, back] = log ? [Math.log, Math.exp] : [same, same];
	const [start, end] = [forward(low), forward(high)];
	const span = end - start || 1;
	const scale = value => (log && value <= 0 ? NaN : from + ((forward(value) - start) / span) * (to - from));
	scale.invert = pixel => back(start + ((pixel - from) / (to - from || 1)) * span);
	return scale;
}

/** Lowest and highest finite y of several {x, y} within the window, or null. */
export function extent(columns, {from = -Infinity, to = Infinity, positive = false} = {}) {
	let [low, high] = [Infinity, -Infinity];
	for (const {x, y} of columns) {
		for (let index = 0; index < x.length; index += 1) {
			const value = y[index];
			if (x[index] < from || x[index] > to || !Number.isFinite(value) || (positive && value <= 0)) continue;
			if (value < low) low = value;
			if (value > high) high = value;
		}
	}
	return low <= high ? [low, high] : null;
}

/** A range a little wider, never of zero width: lines must not lie on the frame. */
export function padded([low, high], kind = "linear") {
	if (kind === "log" && low > 0) {
		const factor = high > low ? (high / low) ** 0.06 : 2;
		return [low / factor, high * factor];
	}
	const room = high > low ? 0.06 * (high - low) : Math.abs(low) * 0.1 || 1;
	return [low - room, high + room];
}

/**
 * An exponential moving average of y, corrected for its start as TensorBoard's; weight: 0 to below 1. As points may be
 * unevenly spaced, the memory fades with the distance in x, in units of the median. What is not finite stays as it is.
 */
export function smooth(x, y, weight) {
	if (!(weight > 0) || y.length < 3) return Array.from(y);
	const steps = ascending(gaps(x));
	const unit = steps[Math.floor(steps.length / 2)] || 1;
	let [sum, mass, before] = [0, 0, x[0]];
	return Array.from(y, (value, index) => {
		if (!Number.isFinite(value)) return value;
		const fade = weight ** Math.max(0, (x[index] - before) / unit);
		sum = fade * sum + (1 - weight) * value;
		mass = fade * mass + (1 - weight);
		before = x[index];
		return sum / mass;
	});
}

/** At most `limit` points: first, last, and the lowest and highest of each stretch between, as in watching/curves.py. */
export function thin({x, y}, limit) {
	if (x.length <= limit || limit < 4) return {x: Array.from(x), y: Array.from(y)};
	const inner = x.length - 2;
	const stretches = Math.floor((limit - 2) / 2);
	const kept = [0];
	const startOf = stretch => 1 + Math.floor((inner * stretch) / stretches);
	for (let stretch = 0; stretch < stretches; stretch += 1) {
		const start = startOf(stretch);
		let [lowest, highest] = [-1, -1];
		for (let index = start; index < startOf(stretch + 1); index += 1) {
			if (!Number.isFinite(y[index])) continue;
			if (lowest < 0 || y[index] < y[lowest]) lowest = index;
			if (highest < 0 || y[index] > y[highest]) highest = index;
		}
		kept.push(...(lowest < 0 ? [start] : ascending(new Set([lowest, highest]))));
	}
	kept.push(x.length - 1);
	return {x: kept.map(index => x[index]), y: kept.map(index => y[index])};
}

export function mergeWindow(coarse, fine, from, to) {
	const of = ({x, y}, wanted) => x.map((at, index) => [at, y[index]]).filter(([at]) => wanted(at));
	// the neighbours that a server adds to a window are there already
	const points = [...of(coarse, x => x < from), ...of(fine, x => x >= from && x <= to), ...of(coarse, x => x > to)];
	return {x: points.map(([x]) => x), y: points.map(([, y]) => y)};
}

/** `series` with later points; those up to its last are left out: they may be sent twice. */
export function appended(series, later) {
	const last = series.x.at(-1) ?? -Infinity;
	const fresh = later.x.map((_, index) => index).filter(index => later.x[index] > last);
	const grown = name => [...series[name], ...fresh.map(index => later[name][index])];
	return {x: grown("x"), y: grown("y")};
}

/** The index of the nearest of ascending values; -1 if there are none. */
export function nearest(values, wanted) {
	let [low, high] = [0, values.length - 1];
	if (high < 0) return -1;
	while (high - low > 1) {
		const middle = (low + high) >> 1;
		if (values[middle] < wanted) low = middle;
		else high = middle;
	}
	return wanted - values[low] <= values[high] - wanted ? low : high;
}

/** A window zoomed by `factor` around `center`, within the whole; null: all of it. */
export function zoomed([from, to], [low, high], center, factor) {
	const width = Math.min(high - low, (to - from) * factor);
	if (width >= (high - low) * 0.999) return null;
	const share = (center - from) / (to - from || 1);
	const start = within(center - share * width, low, high - width);
	return [start, start + width];
}
