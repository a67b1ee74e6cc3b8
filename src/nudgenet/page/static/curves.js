// The curves of a run: which are shown, fetched as finely as the window needs, grown while it trains.

import {get, piece, withQuery} from "./api.js";
import {createChart} from "./chart.js";
import {append, button, folded, h, labelled, problem, replace, select, shareSlider, tick} from "./dom.js";
import {MODELS, METRICS, capital, metricLabel, number, score} from "./format.js";
import {term} from "./glossary.js";
import {appended, mergeWindow, thin} from "./scales.js";

const POINTS = 800;
const MOST_HELD = 4000; // points of one line that grew while it was watched; then it is thinned again
const TRAIN = {colour: "--train", dash: []};
const VALIDATION = {colour: "--validation", dash: [7, 4]};
const BATCH = {colour: "--batch", dash: [], width: 1, quiet: true, smoothed: true};
// Forks lie over the run they came from: each with a colour and a pattern of its own.
const FORKS = [
	{colour: "--line-3", dash: [7, 4]},
	{colour: "--line-4", dash: [2, 3]},
	{colour: "--line-5", dash: [10, 3, 2, 3]},
];

/** What can be chosen to be shown, from the names that a run has. */
function subjects(available, detail) {
	const has = new Set(available.map(({name}) => name));
	const metrics = [...has].filter(name => name.startsWith("validation_") && name !== "validation_loss").map(name => name.slice(11));
	const found = [{key: "loss", label: "Loss", lines: ["train_loss", "validation_loss"], batch: "batch_loss"}];
	for (const metric of metrics) {
		found.push({key: metric, label: capital(metricLabel(metric)), metric, lines: [`train_${metric}`, `validation_${metric}`]});
	}
	if (detail === "practitioner") {
		found.push({key: "learning_rate", label: "Learning rate", lines: ["learning_rate"], batch: "batch_learning_rate"});
		found.push({key: "gradient_norm", label: "Gradient norm", lines: ["gradient_norm"], batch: "batch_gradient_norm"});
	}
	return found.map(one => ({...one, lines: one.lines.filter(name => has.has(name)), batch: has.has(one.batch) ? one.batch : null}));
}

/** Whether the loss of a run is the log loss, so that the baselines' scores have a place beside it. */
function lossIsLogLoss({task, settings = {}}) {
	const usual = [null, undefined, "cross_entropy"].includes(settings.objective);
	return task?.kind !== "regression" && usual && !settings.label_smoothing && settings.class_weights !== "balanced";
}

function lineOf(name, detail) {
	const plain = detail === "beginner";
	if (name.startsWith("batch_")) return {...BATCH, label: plain ? "each step, on its batch" : `${metricLabel(name.slice(6))} of each batch`};
	if (name.startsWith("validation_")) return {...VALIDATION, label: plain ? "on validation rows" : `validation ${metricLabel(name.slice(11))}`};
	if (name.startsWith("train_")) return {...TRAIN, label: plain ? "on training rows" : `training ${metricLabel(name.slice(6))}`};
	return {...TRAIN, label: `${metricLabel(name)}, per epoch`};
}

/** The panel with a run's curves: {grow(message of the live feed), overlay({name, label} of a fork), refresh()}. */
export function mountCurves(container, run, store, cleanup, toTries) {
	const view = {subject: "loss", kind: "linear", smoothing: 0, unit: "epoch", batches: false};
	const known = {available: [], series: new Map(), best_step: null, overfit_from_step: null, steps_per_epoch: run.plan?.steps_per_epoch || 1, baselines: {}};
	const forks = new Map(); // name -> {label, series: Map}
	const controls = h("div.controls");
	const overfit = h("div.overfit-words", {"aria-live": "polite"});
	const chart = createChart({
		title: "Loss",
		onWindow: part => (part ? fetchWindow(part) : restore()),
		onPick: step => step !== undefined && store.set({step: Math.round(step), mode: "exact"}),
	});
	append(container, controls, chart.element, overfit);
	let windowed = null; // {from, to, series: Map} while a window is shown finer than the whole
	let asked = 0;

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
		return get(withQuery(`runs/${piece(name)}/series`, {names: wanted.join(","), x: "step", points: POINTS, ...window}));
	}

	function take(answer, into) {
		for (const [name, series] of Object.entries(answer.series ?? {})) {
			const grown = appended(series, into.get(name) ?? {x: []}); // the live feed may be ahead of this answer
			into.set(name, {...series, ...grown, total: series.total + grown.x.length - series.x.length});
		}
		for (const key of ["available", "best_step", "overfit_from_step", "steps_per_epoch", "baselines"]) {
			if (answer[key] != null) known[key] = answer[key];
		}
	}

	async function refresh() {
		const wanted = known.available.length ? names() : ["train_loss", "validation_loss"];
		const answer = await fetchSeries(run.name, wanted);
		if (cleanup.ended) return;
		known.overfit_from_step = null;
		take(answer, known.series);
		drawControls();
		draw();
	}

	/** A zoomed window in full: only where the whole had to be thinned. */
	async function fetchWindow([from, to]) {
		const coarse = names().filter(name => (known.series.get(name)?.total ?? 0) > (known.series.get(name)?.x.length ?? 0));
		if (!coarse.length) return;
		asked += 1;
		const mine = asked;
		const answer = await fetchSeries(run.name, coarse, {from: Math.floor(from), to: Math.ceil(to)});
		if (mine !== asked || cleanup.ended || !chart.window) return;
		windowed = {from: Math.floor(from), to: Math.ceil(to), series: new Map(Object.entries(answer.series))};
		draw();
	}

	function restore() {
		asked += 1;
		windowed = null;
		draw();
	}

	function lines() {
		const {metric} = subject() ?? {};
		const format = metric ? value => score(metric, value) : value => number(value, 4);
		const own = names()
			.filter(name => known.series.has(name))
			.map(name => {
				const coarse = known.series.get(name);
				const fine = windowed?.series.get(name);
				const points = fine ? mergeWindow(coarse, fine, windowed.from, windowed.to) : coarse;
				return {name, format, ...lineOf(name, store.state.detail), ...points, total: fine?.total ?? coarse.total, shown: (fine ?? coarse).x.length};
			});
		const others = [...forks.values()].flatMap(({label, series}, index) =>
			names()
				.filter(name => name.startsWith("validation_") && series.has(name))
				.map(name => ({name: `${label} ${name}`, format, ...FORKS[index % FORKS.length], label: `${label}, validation`, ...series.get(name)})),
		);
		return [...own, ...others];
	}

	function levels() {
		const {metric, key} = subject() ?? {};
		const wanted = metric ?? (key === "loss" && lossIsLogLoss(run) ? "log_loss" : null);
		return Object.entries(known.baselines ?? {})
			.filter(([, scores]) => Number.isFinite(scores?.[wanted]))
			.map(([model, scores]) => ({label: `${MODELS[model] ?? model} ${score(wanted, scores[wanted])}`, y: scores[wanted]}));
	}

	const epochOf = step => number(Math.round(step / (known.steps_per_epoch || 1)));

	function draw() {
		const own = lines();
		const divide = view.unit === "epoch" ? known.steps_per_epoch || 1 : 1;
		const {key} = subject() ?? {};
		const validation = own.find(({colour, quiet}) => colour === VALIDATION.colour && !quiet);
		const best = known.best_step;
		const last = Math.max(0, ...own.map(({x}) => x.at(-1) ?? 0));
		const marks = best && validation ? [{x: best, y: validation.y[validation.x.indexOf(best)] ?? NaN, label: `best, epoch ${epochOf(best)}`}] : [];
		const from = known.overfit_from_step;
		const regions = from && ["loss", "log_loss"].includes(key) ? [{from, to: Math.max(last, from), label: `overfitting since epoch ${epochOf(from)}`}] : [];
		chart.update({
			series: own,
			levels: levels(),
			marks,
			regions,
			kind: view.kind,
			smoothing: view.smoothing,
			unit: {name: view.unit, divide},
			cursor: store.state.step,
		});
		drawOverfit(from);
	}

	function valueAt(name, step) {
		const series = known.series.get(name);
		const index = series?.x.indexOf(step) ?? -1;
		return index < 0 ? null : series.y[index];
	}

	function drawOverfit(from) {
		overfit.hidden = !from;
		const last = known.series.get("validation_loss")?.x.at(-1);
		const state = [from, known.best_step, last].join();
		if (!from || overfit.dataset.state === state) return;
		overfit.dataset.state = state;
		const said = step => `training ${number(valueAt("train_loss", step))}, validation ${number(valueAt("validation_loss", step))}`;
		replace(
			overfit,
			h(
				"p",
				h("strong", term("overfitting", "Overfitting"), ` since epoch ${epochOf(from)}.`),
				" The weights of the ",
				term("best epoch"),
				`, ${epochOf(known.best_step)}, are the ones that are kept.`,
			),
			folded(
				"Why? The evidence",
				h(
					"p",
					"From there on the network still gets better on the rows that it trains on, and clearly worse on the validation rows, which it never sees: it learns its training rows by heart.",
				),
				h("p", `Loss at epoch ${epochOf(known.best_step)}, the best: ${said(known.best_step)}. At epoch ${epochOf(last)}, the last: ${said(last)}.`),
			),
			run.advice?.length > 0 && button("What to try", toTries, {class: "link"}),
		);
	}

	function drawControls() {
		const options = subjects(known.available, store.state.detail);
		const state = JSON.stringify([options, view.subject, store.state.detail]);
		if (controls.dataset.state === state) return; // what has the focus keeps it
		controls.dataset.state = state;
		const batch = subject()?.batch;
		replace(
			controls,
			labelled(
				"Show",
				select(
					options.map(({key, label}) => [key, label]),
					subject()?.key,
					choose,
					{"aria-label": "What is shown"},
				),
			),
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
		chart.setTitle(subject().label);
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
		for (const key of ["train_loss", "validation_loss", "learning_rate", "gradient_norm"])
			add(
				key,
				steps,
				epochs.map(epoch => epoch[key]),
			);
		for (const part of ["train", "validation"]) {
			for (const metric of Object.keys(METRICS))
				add(
					`${part}_${metric}`,
					steps,
					epochs.map(epoch => epoch[`${part}_metrics`]?.[metric] ?? null),
				);
		}
		if (batches?.step?.length) add("batch_loss", batches.step, batches.loss);
		for (const epoch of epochs) {
			if (!known.steps_per_epoch || known.steps_per_epoch === 1) known.steps_per_epoch = epoch.step / epoch.epoch;
			const best = valueAt("validation_loss", known.best_step);
			if (Number.isFinite(epoch.validation_loss) && !(best <= epoch.validation_loss && best !== null)) known.best_step = epoch.step;
		}
		if (!known.available.length && epochs.length) refreshQuietly();
		else draw();
	}

	async function overlay({name, label}) {
		const wanted = names().filter(one => one.startsWith("validation_"));
		const {series} = await fetchSeries(name, wanted);
		if (cleanup.ended) return;
		forks.set(name, {label, series: new Map(Object.entries(series))});
		draw();
	}

	cleanup.add(chart.destroy);
	cleanup.add(
		store.subscribe((state, changed) => {
			if (changed.has("step")) chart.update({cursor: state.step});
			if (changed.has("detail")) {
				drawControls();
				draw();
			}
			if (changed.has("dark")) chart.redraw();
		}),
	);
	return {grow, overlay, refresh};
}
