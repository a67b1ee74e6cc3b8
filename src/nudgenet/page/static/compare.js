// Runs side by side: curves over each other, what was set differently, scores with their intervals.

import {get, ofRun, piece} from "./api.js";
import {createChart, swatch} from "./chart.js";
import {append, complaint, frame, h, labelled, problem, replace, s, select, shareSlider, table, tick} from "./dom.js";
import {ABSENT, METRICS, metricLabel, number, plural, score, settingText} from "./format.js";
import {term} from "./glossary.js";
import {verdictBadge} from "./runs.js";
import {makeScale, padded} from "./scales.js";
import {createCleanup} from "./state.js";

const POINTS = 800;
const NOTHING = {x: [], y: [], total: 0};
// Kinds of lines: told apart by their dashes, too.
const LOOKS = [
	{colour: "--line-1", dash: []},
	{colour: "--line-2", dash: [7, 4]},
	{colour: "--line-3", dash: [2, 3]},
	{colour: "--line-4", dash: [11, 3, 2, 3]},
	{colour: "--line-5", dash: [4, 2]},
	{colour: "--line-6", dash: [1, 2, 6, 2]},
];

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
		await curvesPanel(chartPanel, answer.runs, app, cleanup);
	} catch (error) {
		replace(place, problem(error));
	}
	return cleanup.end;
}

async function curvesPanel(panel, runs, app, cleanup) {
	const view = {metric: "loss", part: "validation", kind: "linear", smoothing: 0};
	const metrics = [...new Set(runs.map(run => run.metric?.name).filter(Boolean))];
	const controls = h("div.controls");
	const chart = createChart({title: "Validation loss", finer});
	const wrong = complaint();
	append(panel, controls, wrong.element, chart.element);
	cleanup.add(chart.destroy);
	cleanup.on(app.preferences, ["dark"], chart.redraw);
	const held = new Map(); // run's name and line -> promise of its points
	const line = () => `${view.part}_${view.metric}`;

	/** A line of a run over epochs, so that runs of unlike batch sizes lie over each other. */
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
				wrong.say(error.message);
				return NOTHING;
			});
		});
		const lines = await Promise.all(wanted);
		if (shown !== line() || cleanup.ended) return;
		const format = view.metric === "loss" ? value => number(value, 4) : value => score(view.metric, value);
		const series = runs.map(({name}, index) => ({name, label: name, format, ...LOOKS[index % LOOKS.length], ...lines[index]}));
		chart.setTitle(`${view.part === "train" ? "Training" : "Validation"} ${metricLabel(view.metric)}`);
		chart.update({series, kind: view.kind, smoothing: view.smoothing, unit: {name: "epoch", divide: 1}});
	}

	const set = values => {
		Object.assign(view, values);
		if (values.metric || values.part) chart.setWindow(null); // its finer points are of the line before
		draw();
	};
	const choices = [["loss", "Loss"], ...metrics.map(name => [name, metricLabel(name)])];
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
	const names = [...new Set(runs.map(run => run.metric?.name).filter(Boolean))];
	const rows = runs.map((run, index) => {
		const {name: metric, validation, test, low, high} = run.metric ?? {};
		const link = h("a", {href: `#/run/${piece(run.name)}`}, run.name);
		const [read, known] = [test, low].map(Number.isFinite);
		const between = known ? `${score(metric, low)} to ${score(metric, high)}` : ABSENT;
		return [
			h("span", lineKey(index), " ", link),
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
		frame("Scores", table("Scores of the runs", head, rows, {numeric: [2, 3, 4], className: "stacked"})),
		pairs.length ? h("ul.tests", pairs) : h("p.note", untold),
	);
}

function lineKey(index) {
	const look = LOOKS[index % LOOKS.length];
	return swatch(look, `var(${look.colour})`);
}

/** Test scores with their intervals as dots with whiskers; the table below says the same in numbers. */
function whiskers(runs, name) {
	const known = runs.map((run, index) => ({...run.metric, index})).filter(({test, low}) => [test, low].every(Number.isFinite));
	if (!known.length) return null;
	const room = padded([Math.min(...known.map(one => one.low)), Math.max(...known.map(one => one.high))]);
	const [low, high] = METRICS[name]?.share ? [Math.max(0, room[0]), Math.min(1, room[1])] : room;
	const x = makeScale(low, high, 0, 100);
	const lines = known.map(({test, low: from, high: to, index}, row) => {
		const colour = `var(${LOOKS[index % LOOKS.length].colour})`;
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
	const content = rows.length ? frame(words, table(words, head, rows)) : h("p.soft", "Nothing: they have the same settings.");
	return h("section.panel", h("h2", "What was set differently"), content);
}
