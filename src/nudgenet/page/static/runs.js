// The runs of the folder: find, sort, star, note, delete, choose some to compare.

import {get, isExported, ofRun, piece, post, remove} from "./api.js";
import {announce, append, button, debounce, h, oops, problem, put, replace, toast} from "./dom.js";
import {ABSENT, METRICS, TASKS, VERDICTS, ago, capital, duration, metricLabel, number, plural, score, when} from "./format.js";
import {term} from "./glossary.js";
import {createCleanup} from "./state.js";

const MOST_COMPARED = 6;

// `by`: what it is sorted by; `down`: larger first at the first click.
const COLUMNS = [
	{key: "name", head: () => "Run", by: run => run.name.toLowerCase(), cell: nameCell},
	{key: "created", head: () => "When", by: run => run.created ?? "", down: true, cell: run => h("span", {title: when(run.created)}, ago(run.created))},
	{key: "verdict", head: () => term("verdict", "Verdict"), by: run => run.verdict ?? "", cell: verdictBadge},
	...["validation", "test"].map(part => ({
		key: part,
		head: () => term(`${part} part`, capital(part)),
		by: run => goodness(run, part),
		down: true,
		numeric: true,
		cell: run => scoreCell(run, part),
	})),
	{...amount("epochs", () => term("epoch", "Epochs")), cell: epochsCell},
	{...amount("parameters", () => term("parameter", "Knobs")), practitioner: true, cell: run => number(run.parameters)},
	{...amount("seconds", () => "Time"), practitioner: true, cell: run => (run.seconds ? duration(run.seconds) : ABSENT)},
];

function amount(key, head) {
	return {key, head, by: run => run[key] ?? 0, down: true, numeric: true};
}

/** A score of which more is better; runs without one come last. */
function goodness(run, part) {
	const value = run.metric?.[part];
	if (typeof value !== "number") return -Infinity;
	return METRICS[run.metric.name]?.lower ? -value : value;
}

/** The runs that hold every word of `wanted`; "star" asks for stars. */
function filtered(runs, wanted) {
	const words = wanted.toLowerCase().split(/\s+/);
	return runs.filter(({name, target, source, note, verdict, state, task, star}) => {
		const text = [name, target, source, note, VERDICTS[verdict]?.words, state, TASKS[task], star && "star starred"].join(" ").toLowerCase();
		return words.every(word => text.includes(word));
	});
}

/** Live runs first, then by the column; equal ones by their time, newest first. */
function sorted(runs, key, down) {
	const {by} = COLUMNS.find(column => column.key === key);
	const order = (a, b) => (a > b) - (a < b);
	return runs.toSorted((a, b) => (b.state === "live") - (a.state === "live") || (down ? -1 : 1) * order(by(a), by(b)) || order(b.created ?? "", a.created ?? ""));
}

export function verdictBadge(run) {
	if (run.state === "live") return h("span.badge.live", "training");
	const known = VERDICTS[run.verdict];
	if (known) return h(`span.badge.${known.tone}`, h("span", {"aria-hidden": "true"}, known.sign), known.words);
	return h("span.badge.unknown", run.problem ? "damaged" : run.state === "interrupted" ? "interrupted" : "no verdict");
}

export async function mountRuns(container, app) {
	const cleanup = createCleanup();
	const chosen = new Set();
	const view = {runs: [], folder: "", wanted: "", key: "created", down: true};
	const heading = h("p.soft");
	const find = h("input", {type: "search", placeholder: "Find: a name, a column, a note …", "aria-label": "Find runs", on: {input: () => ((view.wanted = find.value), draw())}});
	const compare = button("Compare", () => app.open(`#/compare/${[...chosen].map(piece).join(",")}`), {class: "primary", disabled: true});
	const place = h("div");
	const head = h("div.head.row.spread", h("div", h("h1", "Runs"), heading), !isExported() && h("a.button", {href: "#/new"}, "New training"));
	append(container, head, h("div.row.runs-tools", find, compare), place);

	function draw() {
		const columns = COLUMNS.filter(({practitioner}) => !practitioner || app.preferences.state.detail === "practitioner");
		const shown = sorted(filtered(view.runs, view.wanted), view.key, view.down);
		const live = view.runs.filter(({state}) => state === "live").length;
		replace(heading, view.folder ? `${plural(view.runs.length, "run")} in ${view.folder}${live ? `; ${live} training now` : ""}` : "");
		const {keep} = document.activeElement?.dataset ?? {};
		const none = () => h("p.soft", `No run has “${view.wanted}” in its name, columns or notes.`);
		replace(place, !view.runs.length ? nothingYet() : !shown.length ? none() : h("div.frame", runsTable(columns, shown)));
		if (keep) focusKept(keep);
		drawCompare();
	}

	function focusKept(keep) {
		place.querySelector(`[data-keep="${CSS.escape(keep)}"]`)?.focus();
	}

	function drawCompare() {
		const disabled = chosen.size < 2;
		put(replace(compare, chosen.size ? `Compare ${chosen.size} runs` : "Compare"), {disabled, title: disabled ? "Tick two runs or more" : ""});
	}

	function runsTable(columns, shown) {
		const heads = columns.map(column => {
			const here = column.key === view.key;
			const sort = () => {
				view.down = here ? !view.down : Boolean(column.down);
				view.key = column.key;
				draw();
				announce(`Sorted by ${column.key}, ${view.down ? "descending" : "ascending"}`);
			};
			const [sign, order] = here ? (view.down ? ["↓", "descending"] : ["↑", "ascending"]) : ["↕", null];
			const looks = {class: here ? "quiet sort here" : "quiet sort", data: {keep: `sort ${column.key}`}};
			const arrow = button(sign, sort, {...looks, "aria-label": `Sort by ${column.key}`});
			return h("th", {scope: "col", class: column.numeric ? "number" : null, "aria-sort": order}, column.head(), arrow);
		});
		const head = h("tr", h("td", h("span.unseen", "To compare")), heads, h("td", h("span.unseen", "Star, note, delete")));
		return h("table.full.runs", h("caption.unseen", "Trainings in this folder"), h("thead", head), h("tbody", shown.map(run => runRow(run, columns))));
	}

	function runRow(run, columns) {
		const choose = () => {
			if (tick.checked && chosen.size >= MOST_COMPARED) {
				tick.checked = false;
				return toast(`At most ${MOST_COMPARED} runs can be told apart in one chart.`);
			}
			chosen[tick.checked ? "add" : "delete"](run.name);
			return drawCompare();
		};
		const attributes = {checked: chosen.has(run.name), "aria-label": `Compare ${run.name}`, data: {keep: `tick ${run.name}`}};
		const tick = h("input", {type: "checkbox", ...attributes, on: {change: choose}});
		const cells = columns.map(({key, numeric, cell: make}, index) => {
			const cell = make(run);
			if (index === 0) return h("th", {scope: "row"}, cell, run.note && h("div.note.small", run.note), run.problem && h("div.problem.small", run.problem));
			return h("td", {class: numeric ? "number" : null, data: {label: key}}, cell);
		});
		return h("tr", {data: {run: run.name}}, h("td.tick", h("label", tick)), cells, h("td.doings", isExported() ? "" : doings(run)));
	}

	function doings(run) {
		const {name, star, state} = run;
		const act = (words, action, label, attributes = {}) =>
			button(words, action, {class: "quiet", "aria-label": `${label} ${name}`, data: {keep: `${label} ${name}`}, ...attributes});
		const live = state === "live";
		const acts = [
			act(star ? "★" : "☆", () => change(run, "star", {star: !star}), "Star", {"aria-pressed": String(Boolean(star))}),
			act("Note", event => editNote(run, event.currentTarget.closest("tr")), "Note on"),
			act("Delete", () => deleteRun(run), "Delete", {disabled: live, title: live && "It is training: stop it first"}),
		];
		return h("div.row.tight", acts);
	}

	function editNote(run, row) {
		const field = h("input", {type: "text", value: run.note ?? "", "aria-label": `Note on ${run.name}`, maxlength: "2000"});
		let open = true;
		const done = save => {
			if (!open) return;
			open = false;
			if (save && field.value !== (run.note ?? "")) change(run, "note", {note: field.value}, {text: field.value});
			else draw();
			focusKept(`Note on ${run.name}`);
		};
		const keydown = event => {
			if (event.key !== "Enter" && event.key !== "Escape") return;
			event.preventDefault(); // or the same key presses the button that gets the focus
			done(event.key === "Enter");
		};
		put(field, {on: {keydown, blur: () => done(true)}});
		const cell = row.querySelector("th");
		cell.querySelector(".note")?.remove();
		cell.append(h("div", field));
		field.focus();
	}

	async function change(run, what, values, body = values) {
		const row = view.runs.find(({name}) => name === run.name); // the list may have been read anew meanwhile
		Object.assign(row ?? run, values); // shown at once; the server's answer comes with the next list
		draw();
		await post(ofRun(run.name, what), body).catch(error => (oops(error), load()));
	}

	async function deleteRun(run) {
		try {
			await remove(ofRun(run.name));
		} catch (error) {
			return oops(error);
		}
		chosen.delete(run.name);
		view.runs = view.runs.filter(({name}) => name !== run.name);
		draw();
		const undo = async () => {
			await post(ofRun(run.name, "restore")).catch(oops);
			await load();
		};
		find.focus();
		return toast(`Deleted ${run.name}`, {label: "Undo", action: undo, seconds: 12});
	}

	async function load() {
		try {
			Object.assign(view, await get("runs"));
			if (!cleanup.ended && !place.querySelector("input[type=text]")) draw();
		} catch (error) {
			if (!cleanup.ended) replace(place, problem(error));
		}
	}

	app.feed.watch(null);
	cleanup.add(app.feed.subscribe(message => (message.runs || message.connected) && debounced()));
	cleanup.on(app.preferences, ["detail"], draw);
	const debounced = debounce(load, 150);
	await load();
	return cleanup.end;
}

function nameCell({name, target, source}) {
	const about = [target && ["predicts ", h("span.target", target)], source && ` from ${source}`];
	return [h("a.run-name", {href: `#/run/${piece(name)}`}, name), h("div.small.soft", about)];
}

function epochsCell({epochs, best_epoch}) {
	return epochs ? [number(epochs), best_epoch && h("div.small.soft", `best ${number(best_epoch)}`)] : ABSENT;
}

function scoreCell({metric}, part) {
	if (typeof metric?.[part] !== "number") return ABSENT;
	const {name, low, high} = metric;
	const hasInterval = part === "test" && [low, high, metric.test].every(Number.isFinite);
	const words = [metricLabel(name), hasInterval && `${score(name, low)} to ${score(name, high)}`];
	return [h("span.score", score(name, metric[part])), words.map(line => line && h("div.small.soft", line))];
}

function nothingYet() {
	const words = "Choose a file and the column to predict, and watch a network learn it. Or try the demo in a terminal:";
	const start = h("p", h("a.button.primary", {href: "#/new"}, "Start a training"));
	return h("div.empty", h("p", "No training here yet."), h("p.soft", words), h("pre", h("code", "nudge demo")), start);
}
