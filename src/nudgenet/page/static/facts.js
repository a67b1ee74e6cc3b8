// What is known about a run beside its curves: each function gives a node, or null.

import {framedTable, h, prose} from "./dom.js";
import {metricLabel, number, score, settingText, shortened} from "./format.js";

const KINDS = {yes_no: "yes/no", identifier: "identifier, left out", constant: "always the same, left out", empty: "empty, left out"};

export function warningsPart(run) {
	if (!run.warnings?.length) return null;
	return h("ul", run.warnings.map(text => h("li", prose(text))));
}

export function baselinesPart(run) {
	const {metrics, baselines} = run.summary ?? {};
	const models = Object.entries(baselines ?? run.baselines ?? {});
	if (!models.length) return null;
	const own = metrics?.test ?? {};
	const of = scores => scores?.test ?? scores?.validation ?? scores ?? {};
	const names = Object.keys(Object.keys(own).length ? own : of(models[0][1]));
	const rows = models.map(([model, scores]) => [run.models?.[model] ?? model, ...names.map(name => score(name, of(scores)[name]))]);
	if (Object.keys(own).length) rows.unshift(["this network", ...names.map(name => score(name, own[name]))].map(text => h("strong", text)));
	const numbers = framedTable("The network and the baselines", ["model", ...names.map(metricLabel)], rows, {numeric: [1]});
	const note = "The same rows, the same split, scored on the test part. A network that does not beat them was not worth it.";
	return h("div", h("p.note", note), numbers);
}

export function decisionsPart(run) {
	if (!run.decisions?.length) return null;
	const rows = run.decisions.map(({what, chosen, why, override}) => [...[what, shortened(chosen, 200), why].map(prose), override && h("code", override)]);
	return framedTable("Every automatic choice, and what to type to choose otherwise", ["what", "chosen", "why", "to change it"], rows, {className: "stacked"});
}

export function settingsPart(run) {
	const entries = Object.entries(run.settings ?? {});
	if (!entries.length) return null;
	const given = new Set(Object.keys(run.given ?? {}));
	const rows = entries.map(([name, value]) => [h("code", name), shortened(settingText(value), 120), given.has(name) ? "set by you" : "chosen or default"]);
	return framedTable("Settings with the values that they had", ["setting", "value", "by whom"], rows);
}

export function columnsPart(run) {
	if (!run.columns?.length) return null;
	const rows = run.columns.map(({name, kind, typical, values}) => [
		h("code", shortened(name, 60)),
		KINDS[kind] ?? kind,
		typicalText(typical),
		values ? shortened(values.map(plain).join(", "), 120) : "",
	]);
	return framedTable("What each column is", ["column", "what it is", "typical", "values"], rows, {className: "stacked"});
}

function typicalText(value) {
	if (value == null) return "";
	return typeof value === "number" ? number(value, 4) : shortened(plain(value), 40);
}

function plain(value) {
	return value === null ? "(empty)" : typeof value === "object" ? JSON.stringify(value) : String(value);
}
