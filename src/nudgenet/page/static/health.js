// The health of layers: what is ill in plain lines first, then figures with their trend.

import {get, ofRun} from "./api.js";
import {debounce, folded, framedTable, h, put, replace, s} from "./dom.js";
import {ABSENT, capital, layerName, number, percent} from "./format.js";
import {term} from "./glossary.js";
import {makeScale} from "./scales.js";

const TREND = 40;

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
		const none = store.state.live ? "The first figures come soon." : "Nothing was recorded about the layers here.";
		if (!layers.length) return replace(place, h("p.soft", none));
		const ill = layers.filter(({line}) => line);
		const lines = ill.map(({name, line}) => h("li", h("strong", capital(layerName(name)), ": "), line));
		const words = ill.length
			? h("div.callout.warn", h("ul", lines))
			: h("p.healthy", h("span.badge.good", "✓ healthy"), " Every layer learns at a sensible pace.");
		const figures = healthTable(layers, trends, store.state.detail);
		const at = h("p.small.soft", `Measured at step ${number(latest.step)}.`);
		const isFolded = store.state.detail === "beginner" && !ill.length;
		const open = place.querySelector("details")?.open;
		return replace(place, words, isFolded ? put(folded("The figures of each layer", figures, at), {open}) : [figures, at]);
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
	return framedTable("Health of each layer", columns.map(([head]) => head), rows, {numeric: [1, columns.length - 1], className: "full compact"});
}

function spark(points) {
	const known = points.filter(([, value]) => value > 0);
	if (known.length < 2) return null;
	const values = known.map(([, value]) => value);
	const x = makeScale(known[0][0], known.at(-1)[0], 2, 78);
	const y = makeScale(Math.min(...values), Math.max(...values), 22, 4, "log");
	const places = known.map(([step, value]) => [x(step), y(value)]);
	const [endX, endY] = places.at(-1);
	const path = `M${places.map(([across, up]) => `${across.toFixed(1)} ${up.toFixed(1)}`).join("L")}`;
	const words = `from ${number(known[0][1], 2)} to ${number(known.at(-1)[1], 2)}`;
	const content = [s("title", words), s("path", {d: path}), s("circle", {cx: endX, cy: endY, r: 2.5})];
	return s("svg.spark", {viewBox: "0 0 84 26", width: 56, height: 22, role: "img", "aria-label": words}, content);
}
