// Runs side by side: curves over each other, what was set differently, scores with their intervals.

import {get, piece, withQuery} from "./api.js";
import {createChart, swatch} from "./chart.js";
import {append, frame, h, labelled, problem, replace, s, select, shareSlider, table, tick} from "./dom.js";
import {ABSENT, METRICS, metricLabel, number, plural, score, settingText} from "./format.js";
import {term} from "./glossary.js";
import {verdictBadge} from "./runs.js";
import {makeScale, mergeWindow, padded} from "./scales.js";
import {createCleanup} from "./state.js";

const POINTS = 800;
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
	const chart = createChart({title: "Validation loss", onWindow: () => draw()});
	append(panel, controls, chart.element);
	cleanup.add(chart.destroy);
	cleanup.add(app.preferences.subscribe((_, changed) => changed.has("dark") && chart.redraw()));
	const held = new Map(); // run's name and line -> its points over epochs
	let asked = 0;

	/** A line of a run over epochs, so that runs of unlike batch sizes lie over each other. */
	async function fetchLine(run, name, window) {
		const key = `${run.name}/${name}`;
		const epoch = held.get(key)?.epoch ?? 1; // in steps
		const [from, to] = window ? [Math.floor(window[0] * epoch), Math.ceil(window[1] * epoch)] : [null, null];
		const answer = await get(withQuery(`runs/${piece(run.name)}/series`, {names: name, x: "step", points: POINTS, from, to}));
		const steps = answer.steps_per_epoch || 1;
		const found = answer.series[name] ?? {x: [], y: [], total: 0};
		const points = {...found, epoch: steps, x: found.x.map(step => step / steps), shown: found.x.length};
		if (window) return {...points, ...mergeWindow(held.get(key), points, ...window)};
		held.set(key, points);
		return points;
	}

	async function draw() {
		asked += 1;
		const mine = asked;
		const name = `${view.part}_${view.metric}`;
		const window = chart.window;
		const thinned = run => held.get(`${run.name}/${name}`)?.total > held.get(`${run.name}/${name}`)?.x.length;
		const lines = await Promise.all(
			runs.map(run => (held.has(`${run.name}/${name}`) && !(window && thinned(run)) ? held.get(`${run.name}/${name}`) : fetchLine(run, name, window))),
		);
		if (mine !== asked || cleanup.ended) return;
		const format = view.metric === "loss" ? value => number(value, 4) : value => score(view.metric, value);
		const series = runs.map((run, index) => ({name: run.name, label: run.name, format, ...LOOKS[index % LOOKS.length], ...lines[index]}));
		chart.setTitle(`${view.part === "train" ? "Training" : "Validation"} ${metricLabel(view.metric)}`);
		chart.update({series, kind: view.kind, smoothing: view.smoothing, unit: {name: "epoch", divide: 1}});
	}

	const set = values => {
		Object.assign(view, values);
		draw();
	};
	append(
		controls,
		labelled(
			"Show",
			select([["loss", "Loss"], ...metrics.map(name => [name, metricLabel(name)])], "loss", metric => set({metric})),
		),
		labelled(
			"on",
			select(
				[
					["validation", "validation rows"],
					["train", "training rows"],
				],
				"validation",
				part => set({part}),
			),
		),
		tick("log scale", false, log => set({kind: log ? "log" : "linear"})),
		shareSlider(term("smoothing"), 0, smoothing => set({smoothing})),
	);
	await draw();
}

function scoresPanel({runs, tests}) {
	const names = [...new Set(runs.map(run => run.metric?.name).filter(Boolean))];
	const rows = runs.map((run, index) => [
		h("span", lineKey(index), " ", h("a", {href: `#/run/${piece(run.name)}`}, run.name)),
		verdictBadge(run),
		run.metric ? score(run.metric.name, run.metric.validation) : ABSENT,
		run.metric && Number.isFinite(run.metric.test) ? score(run.metric.name, run.metric.test) : "unread",
		run.metric && Number.isFinite(run.metric.low) ? `${score(run.metric.name, run.metric.low)} to ${score(run.metric.name, run.metric.high)}` : ABSENT,
	]);
	return h(
		"section.panel",
		h("h2", "Scores"),
		names.length === 1 && whiskers(runs, names[0]),
		frame(
			"Scores",
			table("Scores of the runs", ["run", "verdict", `validation ${metricLabel(names[0] ?? "score")}`, "test", "very likely between"], rows, {
				numeric: [2, 3, 4],
			}),
		),
		tests?.length
			? h(
					"ul.tests",
					tests.map(({words, a, b}) => h("li", h("strong", `${a} and ${b}: `), words)),
				)
			: h("p.note", "These runs have no test rows in common, or did not read them: overlapping intervals would not tell which is better."),
	);
}

function lineKey(index) {
	const look = LOOKS[index % LOOKS.length];
	return swatch(look, `var(${look.colour})`);
}

/** Test scores with their intervals as dots with whiskers; the table below says the same in numbers. */
function whiskers(runs, name) {
	const known = runs.map((run, index) => ({...run.metric, index})).filter(({test, low}) => Number.isFinite(test) && Number.isFinite(low));
	if (!known.length) return null;
	const room = padded([Math.min(...known.map(one => one.low)), Math.max(...known.map(one => one.high))]);
	const [low, high] = METRICS[name]?.share ? [Math.max(0, room[0]), Math.min(1, room[1])] : room;
	const x = makeScale(low, high, 0, 100);
	const lines = known.map(({test, low: from, high: to, index}, row) => {
		const {colour} = LOOKS[index % LOOKS.length];
		const y = 14 + 24 * row;
		const whisker = s("line", {x1: `${x(from)}%`, x2: `${x(to)}%`, y1: y, y2: y, "stroke-width": 2});
		const point = s("circle", {cx: `${x(test)}%`, cy: y, r: 5});
		whisker.style.stroke = `var(${colour})`;
		point.style.fill = `var(${colour})`;
		return [whisker, point];
	});
	const label = `${metricLabel(name)} on the test rows with 95 % intervals, from ${score(name, low)} at the left to ${score(name, high)} at the right`;
	return h(
		"div.whiskers",
		s("svg", {width: "100%", height: 4 + 24 * known.length, overflow: "visible", role: "img", "aria-label": label}, lines),
		h("div.row.spread.small.soft", h("span", score(name, low)), h("span", metricLabel(name)), h("span", score(name, high))),
	);
}

function differencesPanel({runs, differences}) {
	const rows = (differences ?? []).map(({setting, values}) => [h("code", setting), ...values.map(settingText)]);
	return h(
		"section.panel",
		h("h2", "What was set differently"),
		rows.length
			? frame("Settings that differ", table("Settings that differ", ["setting", ...runs.map(({name}) => name)], rows))
			: h("p.soft", "Nothing: they have the same settings."),
	);
}
