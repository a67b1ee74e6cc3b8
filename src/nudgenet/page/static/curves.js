// The curves of a run, fetched as finely as the window needs, grown while it trains.

import {get, ofRun} from "./api.js";
import {LOOKS, createChart, epochAt, landmarks} from "./chart.js";
import {append, button, folded, h, isNewState, labelled, problem, replace, select, shareSlider, tick} from "./dom.js";
import {METRICS, capital, metricLabel, number, score} from "./format.js";
import {term} from "./glossary.js";
import {appended, thin} from "./scales.js";

const POINTS = 800;
const MOST_HELD = 4000; // points of a line that grows; then it is thinned
const TRAIN = {colour: "--train", dash: []};
const VALIDATION = {colour: "--validation", dash: [7, 4]};
const BATCH = {colour: "--batch", dash: [], width: 1, quiet: true, smoothed: true};
const FORKS = LOOKS.slice(2);

function subjects(available, detail) {
	const has = new Set(available.map(({name}) => name));
	const metrics = [...has].filter(name => name.startsWith("validation_") && name !== "validation_loss").map(name => name.slice(11));
	const found = [
		{key: "loss", label: "Loss", lines: ["train_loss", "validation_loss"], batch: "batch_loss"},
		...metrics.map(metric => ({key: metric, label: capital(metricLabel(metric)), metric, lines: [`train_${metric}`, `validation_${metric}`]})),
	];
	if (detail === "practitioner")
		for (const key of ["learning_rate", "gradient_norm"]) found.push({key, label: capital(metricLabel(key)), lines: [key], batch: `batch_${key}`});
	return found.map(one => ({...one, lines: one.lines.filter(name => has.has(name)), batch: has.has(one.batch) ? one.batch : null}));
}

/** Whether the loss is the log loss, as the baselines' scores beside it are. */
function lossIsLogLoss({task, settings = {}}) {
	const usual = [null, undefined, "cross_entropy"].includes(settings.objective);
	return task?.kind !== "regression" && usual && !settings.label_smoothing && settings.class_weights !== "balanced";
}

function lineOf(name, detail) {
	const [, part, rest] = /^(batch|validation|train)_(.*)$/.exec(name) ?? [];
	const metric = metricLabel(rest ?? name);
	const [looks, plain, exact] = {
		batch: [BATCH, "each step, on its batch", `${metric} of each batch`],
		validation: [VALIDATION, "on validation rows", `validation ${metric}`],
		train: [TRAIN, "on training rows", `training ${metric}`],
	}[part] ?? [TRAIN, `${metric}, per epoch`, `${metric}, per epoch`];
	return {...looks, label: detail === "beginner" ? plain : exact};
}

/** The curves: {grow(message of the live feed), overlay({name, label} of a fork), refresh()}. */
export function mountCurves(container, run, store, cleanup, toTries) {
	const view = {subject: "loss", kind: "linear", smoothing: 0, unit: "epoch", batches: false};
	const known = {available: [], series: new Map(), best_step: null, overfit_from_step: null, steps_per_epoch: run.plan?.steps_per_epoch || 1, baselines: {}};
	const forks = new Map();
	const controls = h("div.controls");
	const overfit = h("div.overfit-words", {"aria-live": "polite"});
	const chart = createChart({title: "Loss", cleanup, finer, onPick: step => step !== undefined && store.set({step: Math.round(step), mode: "exact"})});
	append(container, controls, chart.element, overfit);

	const subject = () => {
		const all = subjects(known.available, store.state.detail);
		return all.find(({key}) => key === view.subject) ?? all[0];
	};
	const names = () => {
		const {lines = [], batch = null} = subject() ?? {};
		return [...(view.batches && batch ? [batch] : []), ...lines];
	};

	async function fetchSeries(name, wanted, window = {}) {
		if (!wanted.length) return {series: {}};
		return get(ofRun(name, "series", {names: wanted.join(","), x: "step", points: POINTS, ...window}));
	}

	async function finer(lines, from, to) {
		const wanted = lines.map(({name}) => name).filter(name => known.series.has(name)); // forks are drawn as they came
		return (await fetchSeries(run.name, wanted, {from, to})).series;
	}

	async function refresh() {
		const wanted = known.available.length ? names() : ["train_loss", "validation_loss"];
		const {series, ...answer} = await fetchSeries(run.name, wanted);
		if (cleanup.ended) return;
		for (const [name, fetched] of Object.entries(series)) {
			const grown = appended(fetched, known.series.get(name) ?? {x: []}); // the live feed may be ahead of this answer
			known.series.set(name, {...fetched, ...grown, total: fetched.total + grown.x.length - fetched.x.length});
		}
		known.overfit_from_step = null;
		for (const key of ["available", "best_step", "overfit_from_step", "steps_per_epoch", "baselines"]) known[key] = answer[key] ?? known[key];
		drawControls();
		draw();
	}

	function lines() {
		const {metric} = subject() ?? {};
		const format = metric ? value => score(metric, value) : value => number(value, 4);
		const held = names().filter(name => known.series.has(name));
		const own = held.map(name => ({name, format, ...lineOf(name, store.state.detail), ...known.series.get(name)}));
		const [judged] = held.filter(name => name.startsWith("validation_"));
		const looks = index => FORKS[index % FORKS.length];
		const others = [...forks].map(([name, {label, series}], index) => ({name, format, label: `${label}, validation`, ...looks(index), ...series[judged]}));
		return [...own, ...others.filter(({x}) => x)];
	}

	function levels() {
		const {metric, key} = subject() ?? {};
		const wanted = metric ?? (key === "loss" && lossIsLogLoss(run) ? "log_loss" : null);
		return Object.entries(known.baselines)
			.filter(([, scores]) => Number.isFinite(scores?.[wanted]))
			.map(([model, scores]) => ({label: `${run.models?.[model] ?? model} ${score(wanted, scores[wanted])}`, y: scores[wanted]}));
	}

	const epochOf = step => epochAt(step, known.steps_per_epoch);

	function draw() {
		const own = lines();
		const divide = view.unit === "epoch" ? known.steps_per_epoch || 1 : 1;
		const {key, label = "Loss"} = subject() ?? {};
		const {marks, regions} = landmarks(known, own.find(({colour, quiet}) => colour === VALIDATION.colour && !quiet), own);
		const told = ["loss", "log_loss"].includes(key) ? regions : [];
		const {kind, smoothing, unit} = view;
		const asked = {kind, smoothing, unit: {name: unit, divide}, cursor: store.state.step};
		chart.update({title: label, series: own, levels: levels(), marks, regions: told, ...asked});
		drawOverfit(known.overfit_from_step);
	}

	function valueAt(name, step) {
		const series = known.series.get(name);
		const index = series?.x.indexOf(step) ?? -1;
		return index < 0 ? null : series.y[index];
	}

	function drawOverfit(from) {
		overfit.hidden = !from;
		const last = known.series.get("validation_loss")?.x.at(-1);
		if (!from || !isNewState(overfit, [from, known.best_step, last])) return;
		const best = epochOf(known.best_step);
		const since = h("strong", term("overfitting", "Overfitting"), ` since epoch ${epochOf(from)}.`);
		const said = step => `training ${number(valueAt("train_loss", step))}, validation ${number(valueAt("validation_loss", step))}`;
		const evidence = [
			"From there on the network still gets better on the rows that it trains on, and clearly worse on the validation rows, which it never sees: it learns its training rows by heart.",
			`Loss at epoch ${best}, the best: ${said(known.best_step)}. At epoch ${epochOf(last)}, the last: ${said(last)}.`,
		];
		replace(
			overfit,
			h("p", since, " The weights of the ", term("best epoch"), `, ${best}, are the ones that are kept.`),
			folded("Why? The evidence", evidence.map(line => h("p", line))),
			run.advice?.length > 0 && button("What to try", toTries, {class: "link"}),
		);
	}

	function drawControls() {
		const options = subjects(known.available, store.state.detail);
		if (!isNewState(controls, [options, view.subject, store.state.detail])) return;
		const {batch, key: chosen} = subject() ?? {};
		const choices = options.map(({key, label}) => [key, label]);
		replace(
			controls,
			labelled("Show", select(choices, chosen, choose, {"aria-label": "What is shown"})),
			batch && tick("each batch", view.batches, batches => set({batches}, true)),
			tick("log scale", view.kind === "log", log => set({kind: log ? "log" : "linear"})),
			tick("in steps", view.unit === "step", steps => set({unit: steps ? "step" : "epoch"})),
			shareSlider(term("smoothing"), view.smoothing, smoothing => set({smoothing})),
		);
	}

	function set(values, fetch = false) {
		Object.assign(view, values);
		if (fetch) refreshQuietly();
		else draw();
	}

	function choose(key) {
		view.subject = key;
		chart.setWindow(null);
		refreshQuietly();
		for (const [name, {label}] of forks) overlay({name, label});
	}

	const refreshQuietly = () => refresh().catch(error => replace(overfit, problem(error)));

	function add(name, x, y) {
		if (!known.series.has(name) || !x.length) return;
		const before = known.series.get(name);
		const grown = appended(before, {x, y});
		const total = before.total + grown.x.length - before.x.length;
		known.series.set(name, {...(grown.x.length > MOST_HELD ? thin(grown, MOST_HELD / 2) : grown), total});
	}

	function grow({epochs = [], batches = null}) {
		const steps = epochs.map(({step}) => step);
		const addEpochs = (name, of) => add(name, steps, epochs.map(of));
		for (const key of ["train_loss", "validation_loss", "learning_rate", "gradient_norm"]) addEpochs(key, epoch => epoch[key]);
		for (const metric of Object.keys(METRICS))
			for (const part of ["train", "validation"]) addEpochs(`${part}_${metric}`, epoch => epoch[`${part}_metrics`]?.[metric] ?? null);
		if (batches?.step?.length) add("batch_loss", batches.step, batches.loss);
		for (const epoch of epochs) {
			if (!known.steps_per_epoch || known.steps_per_epoch === 1) known.steps_per_epoch = epoch.step / epoch.epoch;
			const best = valueAt("validation_loss", known.best_step);
			if (Number.isFinite(epoch.validation_loss) && !(best <= epoch.validation_loss && best !== null)) known.best_step = epoch.step;
		}
		if (!known.available.length && epochs.length) refreshQuietly();
		else if (epochs.length || view.batches) draw();
	}

	async function overlay({name, label}) {
		const wanted = names().filter(one => one.startsWith("validation_"));
		const {series} = await fetchSeries(name, wanted);
		if (cleanup.ended) return;
		forks.set(name, {label, series});
		draw();
	}

	cleanup.on(store, ["step"], ({step}) => chart.update({cursor: step}));
	cleanup.on(store, ["detail"], () => (drawControls(), draw()));
	return {grow, overlay, refresh};
}
