// One run: what came of it, its curves and health, what to try, and its inside.

import {get, isExported, ofRun, post} from "./api.js";
import {announce, append, atMost, button, copyable, debounce, folded, h, oops, problem, prose, put, replace, toast} from "./dom.js";
import {METRICS, TASKS, VERDICTS, duration, metricLabel, number, plural, score, when} from "./format.js";
import {mountCurves} from "./curves.js";
import {decisionsPart, baselinesPart, columnsPart, settingsPart, warningsPart} from "./facts.js";
import {mountForks} from "./forks.js";
import {term} from "./glossary.js";
import {mountHealth} from "./health.js";
import {both} from "./panel.js";
import {verdictBadge} from "./runs.js";
import {createCleanup, createStore} from "./state.js";

export async function mountRun(container, app, [name]) {
	const cleanup = createCleanup();
	const xrayModule = import("./xray.js"); // it travels while the run is asked for
	const run = await get(ofRun(name)).catch(problem);
	if (run instanceof Node) {
		append(container, run, h("p", h("a", {href: "#/"}, "All runs")));
		return cleanup.end;
	}
	const {detail} = app.preferences.state;
	const times = {step: null, last_step: run.trained?.steps ?? 0, best_step: run.best?.step ?? null, live: run.state === "live"};
	const store = createStore({name, run, detail, layer: null, neuron: null, ...times});
	cleanup.on(app.preferences, ["detail"], now => store.set({detail: now.detail}));

	const head = h("div.head");
	const timeSlot = h("div.time-slot");
	const titled = (...words) => h("section.panel", h("h2", both(...words)));
	const curvesPanel = titled("How it learned", "Curves");
	const healthPanel = titled("Is every layer well?", "Health");
	const tries = h("section.panel.wide", {hidden: true});
	const xray = h("div.wide.xray");
	const facts = h("section.panel.wide");
	append(container, head, timeSlot, h("div.panels", curvesPanel, healthPanel, tries, xray, facts));

	drawHead(head, run, app);
	const curves = mountCurves(curvesPanel, run, store, cleanup, () => {
		tries.scrollIntoView({block: "center"});
		tries.querySelector("button, h2").focus();
	});
	const health = mountHealth(healthPanel, run, store, cleanup);
	const forks = mountForks(tries, run, curves, cleanup);

	openXray(xray, xrayModule, run, store, cleanup);
	await curves.refresh().catch(oops);
	health.refresh();
	drawFacts(facts, run);
	follow({app, run, store, cleanup, curves, health, forks, head, facts});
	return cleanup.end;
}

function follow({app, run, store, cleanup, curves, health, forks, head, facts}) {
	let state = run.state;
	const read = async () => {
		if (cleanup.ended) return;
		Object.assign(run, await get(ofRun(run.name)));
		store.set({live: run.state === "live", run: {...run}, best_step: run.best?.step ?? null});
		drawHead(head, run, app);
		drawFacts(facts, run);
		forks.draw();
		await Promise.all([curves.refresh(), health.refresh()]);
		announce(`The training of ${run.name} ${run.state === "live" ? "goes on" : "has ended"}`);
	};
	const reload = debounce(() => read().catch(oops), 300);
	const every = atMost(() => cleanup.ended || curves.refresh().catch(() => {}), 5000); // the server's word on overfitting
	const onMessage = message => {
		if (message.run !== run.name) return;
		if (message.error) oops({message: message.error});
		if (message.epochs?.length || message.batches?.step?.length) curves.grow(message);
		const last = message.epochs?.at(-1);
		if (last) {
			run.trained = {epochs: last.epoch, steps: last.step};
			replace(head.querySelector(".facts"), factsLine(run));
			every();
		}
		if (message.health?.layers) {
			store.set({health: message.health});
			if (store.state.step === null) health.show(message.health);
		}
		if (message.time) store.set({last_step: message.time.last_step});
		if (message.state && message.state !== state) {
			state = message.state;
			if (state === "live") Object.assign(run, {state});
			reload();
		}
	};
	cleanup.add(app.feed.subscribe(onMessage));
	app.feed.watch(run.name, {epoch: run.trained?.epochs ?? 0, step: run.trained?.steps ?? 0});
	cleanup.add(() => app.feed.watch(null));
}

function drawHead(head, run, app) {
	const {metric, metrics, interval} = run.summary ?? {};
	const value = metrics?.test?.[metric];
	const said = VERDICTS[run.verdict?.state];
	const measured = [METRICS[metric] ? term(metricLabel(metric)) : metricLabel(metric), " on the ", term("test part", "test rows")];
	const between = interval && [", ", term("interval", "very likely between"), ` ${score(metric, interval[0])} and ${score(metric, interval[1])}`];
	replace(
		head,
		h("div.row.spread", h("div.row", h("h1", run.name), verdictBadge({...run, verdict: run.verdict?.state})), h("div.row", headLinks(run, app))),
		h("p.soft.facts", factsLine(run)),
		Number.isFinite(value) && h("p.result", h("span.big", score(metric, value)), h("span.soft", measured, between)),
		run.exported && h("p.note", prose(run.exported.note)),
		said && run.verdict.reason && h("p.reason", prose(run.verdict.reason)),
	);
}

function factsLine(run) {
	const rows = Object.entries(run.parts ?? {}).map(([part, count]) => `${number(count)} ${part}`);
	const most = run.state === "live" && run.plan?.epochs ? ` of at most ${number(run.plan.epochs)}` : "";
	const facts = [
		run.task && ["predicts ", h("code", run.task.target), ` (${TASKS[run.task.kind] ?? run.task.kind})`],
		run.source && `from ${run.source.name}`,
		rows.length && `${rows.join(", ")} rows`,
		run.trained?.epochs && plural(run.trained.epochs, "epoch") + most,
		run.summary?.seconds?.total && duration(run.summary.seconds.total),
	];
	return facts.filter(Boolean).map((fact, index) => [index ? " · " : "", fact]);
}

function headLinks(run, app) {
	if (isExported()) return [];
	const stop = event => {
		event.currentTarget.disabled = true;
		post(ofRun(run.name, "stop")).then(() => toast("Stopping after this step. What was learned so far is kept."), oops);
	};
	return [
		run.state === "live" && run.started_here && button("Stop", stop, {class: "stop"}),
		run.report && h("a.button", {href: `api/${ofRun(run.name, "report")}`, target: "_blank", rel: "noopener"}, "Report"),
		h("a.button", {href: "#/"}, "All runs"),
	];
}

function drawFacts(place, run) {
	const folds = [...place.querySelectorAll("details")].filter(({open}) => open).map(({dataset}) => dataset.part);
	const parts = [
		["warnings", both("Worth a look", "Warnings"), warningsPart(run)],
		["baselines", both("Was a network worth it?", "Baselines"), baselinesPart(run)],
		["decisions", both("What was chosen for you, and why", "Decisions"), decisionsPart(run)],
		["settings", "Settings", settingsPart(run)],
		["columns", "Columns", columnsPart(run)],
	].filter(([, , content]) => content);
	const again = "This line in a terminal gives the same training, to the last digit on this machine.";
	const knobs = run.summary?.parameters;
	replace(
		place,
		h("h2", both("Everything else", "Record")),
		parts.map(([part, title, content]) => put(folded(title, content), {data: {part}, open: folds.includes(part)})),
		run.command && [h("h3", "Do it again"), h("p.note", again), copyable(run.command)],
		h("p.small.soft", `Run ${run.name}`, run.created && `, ${when(run.created)}`, ". ", knobs && `${number(knobs)} knobs.`),
	);
}

async function openXray(place, loading, run, store, cleanup) {
	if (run.exported && !run.exported.rows.length) return;
	try {
		const {mountXray} = await loading;
		if (!cleanup.ended) cleanup.add(mountXray(place, run, store));
	} catch (error) {
		replace(place, problem(`The network cannot be opened: ${error.message}`));
	}
}
