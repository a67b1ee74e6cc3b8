// Runs side by side: their curves, scores with intervals, what was set differently.

import {get, ofRun, piece} from "./api.js";
import {LOOKS, createChart, swatch} from "./chart.js";
import {append, complaint, framedTable, h, labelled, problem, replace, s, select, shareSlider, tick} from "./dom.js";
import {ABSENT, METRICS, metricLabel, number, plural, score, settingText} from "./format.js";
import {term} from "./glossary.js";
import {verdictBadge} from "./runs.js";
import {makeScale, padded} from "./scales.js";
import {createCleanup} from "./state.js";

const POINTS = 800;
const NOTHING = {x: [], y: [], total: 0};
const looksOf = index => LOOKS[index % LOOKS.length];
const colourOf = index => `var(${looksOf(index).colour})`;

export async function mountCompare(container, app, names) {
	const cleanup = createCleanup();
	append(container, h("div.head", h("h1", `${plural(names.length, "run")} side by side`), h("p.soft", h("a", {href: "#/"}, "All runs"))));
	if (names.length < 2) {
		append(container, h("p.soft", "Tick two runs or more in the list of runs, then Compare."));
		return cleanup.end;
	}
	const place = h("div", h("p.soft", "Looking …"));
	container.append(place);
	app.feed.watch(null);
	try {
		const answer = await get(`compare?${names.map(name => `runs=${piece(name)}`).join("&")}`);
		const chartPanel = h("section.panel", h("h2", "Curves"));
		replace(place, chartPanel, scoresPanel(answer), differencesPanel(answer));
		await curvesPanel(chartPanel, answer.runs, cleanup);
	} catch (error) {
		replace(place, problem(error));
	}
	return cleanup.end;
}

function metricsOf(runs) {
	return [...new Set(runs.map(run => run.metric?.name).filter(Boolean))];
}

async function curvesPanel(panel, runs, cleanup) {
	const view = {metric: "loss", part: "validation", kind: "linear", smoothing: 0};
	const controls = h("div.controls");
	const chart = createChart({title: "Validation loss", finer, cleanup});
	const wrong = complaint();
	append(panel, controls, wrong.element, chart.element);
	const held = new Map();
	const line = () => `${view.part}_${view.metric}`;

	/** Over epochs, so that runs of unlike batch sizes lie over each other. */
	async function fetchLine(run, from = null, to = null) {
		const name = line();
		const {series} = await get(ofRun(run, "series", {names: name, x: "epoch", points: POINTS, from, to}));
		return series[name] ?? NOTHING;
	}

	async function finer(lines, from, to) {
		return Object.fromEntries(await Promise.all(lines.map(async ({name}) => [name, await fetchLine(name, from, to)])));
	}

	async function draw() {
		const shown = line();
		wrong.say();
		const wanted = runs.map(({name}) => {
			const key = `${name}/${shown}`;
			if (!held.has(key)) held.set(key, fetchLine(name));
			return held.get(key).catch(error => {
				if (error.status === 400) return NOTHING; // it has no such line
				held.delete(key);
				wrong.say(error);
				return NOTHING;
			});
		});
		const lines = await Promise.all(wanted);
		if (shown !== line() || cleanup.ended) return;
		const format = view.metric === "loss" ? value => number(value, 4) : value => score(view.metric, value);
		const series = runs.map(({name}, index) => ({name, label: name, format, ...looksOf(index), ...lines[index]}));
		const title = `${view.part === "train" ? "Training" : "Validation"} ${metricLabel(view.metric)}`;
		chart.update({title, series, kind: view.kind, smoothing: view.smoothing, unit: {name: "epoch", divide: 1}});
	}

	const set = values => {
		Object.assign(view, values);
		if (values.metric || values.part) chart.setWindow(null); // its finer points are of the line before
		draw();
	};
	const choices = [["loss", "Loss"], ...metricsOf(runs).map(name => [name, metricLabel(name)])];
	const parts = Object.entries({validation: "validation rows", train: "training rows"});
	const ofMetric = select(choices, "loss", metric => set({metric}));
	const onPart = select(parts, "validation", part => set({part}));
	append(
		controls,
		labelled("Show", ofMetric),
		labelled("on", onPart),
		tick("log scale", false, log => set({kind: log ? "log" : "linear"})),
		shareSlider(term("smoothing"), 0, smoothing => set({smoothing})),
	);
	await draw();
}

function scoresPanel({runs, tests}) {
	const names = metricsOf(runs);
	const rows = runs.map((run, index) => {
		const {name: metric, validation, test, low, high} = run.metric ?? {};
		const link = h("a", {href: `#/run/${piece(run.name)}`}, run.name);
		const [read, known] = [test, low].map(Number.isFinite);
		const between = known ? `${score(metric, low)} to ${score(metric, high)}` : ABSENT;
		return [
			h("span", swatch(looksOf(index), colourOf(index)), " ", link),
			verdictBadge(run),
			metric ? score(metric, validation) : ABSENT,
			read ? score(metric, test) : "unread",
			between,
		];
	});
	const head = ["run", "verdict", `validation ${metricLabel(names[0] ?? "score")}`, "test", "very likely between"];
	const pairs = (tests ?? []).map(({words, a, b}) => h("li", h("strong", `${a} and ${b}: `), words));
	const untold = "These runs have no test rows in common, or did not read them: overlapping intervals would not tell which is better.";
	return h(
		"section.panel",
		h("h2", "Scores"),
		names.length === 1 && whiskers(runs, names[0]),
		framedTable("Scores of the runs", head, rows, {numeric: [2], className: "stacked"}),
		pairs.length ? h("ul.tests", pairs) : h("p.note", untold),
	);
}

function whiskers(runs, name) {
	const known = runs.map((run, index) => ({...run.metric, index})).filter(({test, low}) => [test, low].every(Number.isFinite));
	if (!known.length) return null;
	const room = padded([Math.min(...known.map(one => one.low)), Math.max(...known.map(one => one.high))]);
	const [low, high] = METRICS[name]?.share ? [Math.max(0, room[0]), Math.min(1, room[1])] : room;
	const x = makeScale(low, high, 0, 100);
	const lines = known.map(({test, low: from, high: to, index}, row) => {
		const colour = colourOf(index);
		const y = 14 + 24 * row;
		const whisker = s("line", {x1: `${x(from)}%`, x2: `${x(to)}%`, y1: y, y2: y, "stroke-width": 2, style: {stroke: colour}});
		return [whisker, s("circle", {cx: `${x(test)}%`, cy: y, r: 5, style: {fill: colour}})];
	});
	const label = `${metricLabel(name)} on the test rows with 95% intervals, from ${score(name, low)} at the left to ${score(name, high)} at the right`;
	return h(
		"div.whiskers",
		s("svg", {width: "100%", height: 4 + 24 * known.length, overflow: "visible", role: "img", "aria-label": label}, lines),
		h("div.row.spread.small.soft", h("span", score(name, low)), h("span", metricLabel(name)), h("span", score(name, high))),
	);
}

function differencesPanel({runs, differences}) {
	const rows = (differences ?? []).map(({setting, values}) => [h("code", setting), ...values.map(settingText)]);
	const [words, head] = ["Settings that differ", ["setting", ...runs.map(({name}) => name)]];
	return h("section.panel", h("h2", "What was set differently"), rows.length ? framedTable(words, head, rows) : h("p.soft", "Nothing: they have the same settings."));
}
