// The health of a network's layers: what is ill in one plain line first, then the figures, with their trend.

import {get, ofRun} from "./api.js";
import {debounce, folded, frame, h, put, replace, s, table} from "./dom.js";
import {ABSENT, capital, layerName, number, percent} from "./format.js";
import {term} from "./glossary.js";

const TREND = 40; // points of a small trend

export function mountHealth(container, run, store, cleanup) {
	const place = h("div.health", h("p.soft", "Looking …"));
	const trends = new Map(); // layer -> [[step, update ratio]]
	let latest = null;
	let turn = 0; // only the last question's answer is shown
	container.append(place);

	const lookAt = step => get(ofRun(run.name, "health", {step}));

	async function refresh() {
		const mine = (turn += 1);
		try {
			const answer = await lookAt(store.state.step);
			if (cleanup.ended || mine !== turn) return;
			show(answer);
			await fetchTrend(answer.steps ?? []);
		} catch (error) {
			if (!cleanup.ended && mine === turn) replace(place, h("p.soft", error.message));
		}
	}

	/** A few recorded steps, spread over the training, for the small trends. */
	async function fetchTrend(steps) {
		if (trends.size || steps.length < 3) return;
		const every = Math.max(1, Math.ceil(steps.length / 12));
		const wanted = steps.filter((_, index) => index % every === 0 || index === steps.length - 1);
		const answers = await Promise.all(wanted.map(lookAt));
		if (cleanup.ended) return;
		for (const answer of answers) remember(answer);
		draw();
	}

	function remember(answer) {
		for (const layer of answer.layers ?? []) {
			const trend = trends.get(layer.name) ?? [];
			if (!trend.length || answer.step > trend.at(-1)[0]) trend.push([answer.step, layer.update_ratio]);
			trends.set(layer.name, trend.slice(-TREND));
		}
	}

	function show(answer) {
		latest = answer;
		if (store.state.live) remember(answer);
		draw();
	}

	function draw() {
		const layers = latest?.layers ?? [];
		if (!layers.length)
			return replace(place, h("p.soft", store.state.live ? "The first figures come soon." : "Nothing was recorded about the layers of this run."));
		const ill = layers.filter(({line}) => line);
		const lines = ill.map(({name, line}) => h("li", h("strong", capital(layerName(name)), ": "), line));
		const words = ill.length
			? h("div.callout.warn", h("ul", lines))
			: h("p.healthy", h("span.badge.good", "✓ healthy"), " Every layer learns at a sensible pace.");
		const figures = healthTable(layers, trends, store.state.detail);
		const at = h("p.small.soft", `Measured at step ${number(latest.step)}.`);
		return replace(
			place,
			words,
			store.state.detail === "beginner" && !ill.length
				? put(folded("The figures of each layer", figures, at), {open: place.querySelector("details")?.open})
				: [figures, at],
		);
	}

	cleanup.on(store, ["step"], debounce(refresh, 200));
	cleanup.on(store, ["detail"], draw);
	return {show, refresh};
}

function healthTable(layers, trends, detail) {
	const share = value => (value == null ? ABSENT : percent(value, value > 0 && value < 0.1 ? 1 : 0));
	const full = detail === "practitioner";
	const columns = [
		[term("layer", "Layer"), layer => [layer.line && h("span.ill", {title: layer.line}, "▲ "), layerName(layer.name)]],
		[term("dead neuron", "dead"), layer => share(layer.dead)],
		full && [term("saturated neuron", "saturated"), layer => share(layer.saturated)],
		[term("update ratio", full ? "update/weight" : "nudge size"), layer => number(layer.update_ratio, 2)],
		full && [term("gradient norm", "gradient"), layer => number(layer.gradient_norm, 2)],
		[h("span.unseen", "trend of the update ratio"), layer => spark(trends.get(layer.name) ?? [])],
	].filter(Boolean);
	const rows = layers.map(layer => columns.map(([, cell]) => cell(layer)));
	const heads = columns.map(([head]) => head);
	const numeric = [...columns.keys()].slice(1, -1);
	return frame("Health of each layer", table("Health of each layer", heads, rows, {numeric, className: "full compact"}));
}

function spark(points) {
	const known = points.filter(([, value]) => value > 0);
	if (known.length < 2) return null;
	const values = known.map(([, value]) => Math.log(value));
	const [low, high] = [Math.min(...values), Math.max(...values)];
	const [first, last] = [known[0][0], known.at(-1)[0]];
	const place = ([step], index) => [2 + (76 * (step - first)) / (last - first || 1), 22 - (18 * (values[index] - low)) / (high - low || 1)];
	const places = known.map(place);
	const [endX, endY] = places.at(-1);
	const path = places.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
	const words = `from ${number(known[0][1], 2)} to ${number(known.at(-1)[1], 2)}`;
	return s(
		"svg.spark",
		{viewBox: "0 0 84 26", width: 56, height: 22, role: "img", "aria-label": words},
		s("title", words),
		s("path", {d: path}),
		s("circle", {cx: endX, cy: endY, r: 2.5}),
	);
}
