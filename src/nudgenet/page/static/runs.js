// The runs of the folder: find, sort, star, note, delete and undo, choose some to compare.

import {get, isExported, ofRun, piece, post, remove} from "./api.js";
import {announce, append, button, debounce, h, oops, problem, replace, toast} from "./dom.js";
import {ABSENT, METRICS, TASKS, VERDICTS, ago, capital, duration, metricLabel, number, plural, score, when} from "./format.js";
import {term} from "./glossary.js";
import {createCleanup} from "./state.js";

const MOST_COMPARED = 6; // as many as there are kinds of lines

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
		cell: run => [scoreCell(run, run.metric?.[part]), part === "test" && interval(run)],
	})),
	{...amount("epochs", () => term("epoch", "Epochs")), cell: epochsCell},
	{...amount("parameters", () => term("parameter", "Knobs")), practitioner: true, cell: run => number(run.parameters)},
	{...amount("seconds", () => "Time"), practitioner: true, cell: run => (run.seconds ? duration(run.seconds) : ABSENT)},
];

function amount(key, head) {
	return {key, head, by: run => run[key] ?? 0, down: true, numeric: true};
}

/** A score such that more is better, for sorting; runs without one come last. */
function goodness(run, part) {
	const value = run.metric?.[part];
	if (typeof value !== "number") return -Infinity;
	return METRICS[run.metric.name]?.lower ? -value : value;
}

/** The runs that hold every word of `wanted` in their name, target, source, note or verdict; "star" asks for stars. */
function filtered(runs, wanted) {
	const words = wanted.toLowerCase().split(/\s+/);
	return runs.filter(({name, target, source, note, verdict, state, task, star}) => {
		const text = [name, target, source, note, VERDICTS[verdict]?.words, state, TASKS[task], star && "star starred"].join(" ").toLowerCase();
		return words.every(word => text.includes(word));
	});
}

/** Runs in order: live ones first, then by the column; equal ones by their time, newest first. */
function sorted(runs, key, down) {
	const {by} = COLUMNS.find(column => column.key === key);
	const order = (a, b) => (a > b) - (a < b);
	const isLive = ({state}) => state === "live";
	return runs.toSorted((a, b) => order(isLive(b), isLive(a)) || (down ? -1 : 1) * order(by(a), by(b)) || order(b.created ?? "", a.created ?? ""));
}

/** A run's verdict as a badge: its sign, its words, then its colour. */
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
	const find = h("input", {type: "search", placeholder: "Find: a name, a column, a note …", "aria-label": "Find runs"});
	const compare = button("Compare", () => app.open(`#/compare/${[...chosen].map(piece).join(",")}`), {class: "primary", disabled: true});
	const place = h("div");
	append(
		container,
		h("div.head.row.spread", h("div", h("h1", "Runs"), heading), !isExported() && h("a.button", {href: "#/new"}, "New training")),
		h("div.row.runs-tools", find, compare),
		place,
	);

	function draw() {
		const level = app.preferences.state.detail;
		const columns = COLUMNS.filter(({practitioner}) => !practitioner || level === "practitioner");
		const shown = sorted(filtered(view.runs, view.wanted), view.key, view.down);
		const live = view.runs.filter(({state}) => state === "live").length;
		replace(heading, view.folder ? `${plural(view.runs.length, "run")} in ${view.folder}${live ? `; ${live} training now` : ""}` : "");
		const {keep} = document.activeElement?.dataset ?? {};
		if (!view.runs.length) replace(place, nothingYet());
		else if (!shown.length) replace(place, h("p.soft", `No run has “${view.wanted}” in its name, columns or notes.`));
		else replace(place, h("div.frame", runsTable(columns, shown)));
		if (keep) focusKept(keep);
		drawCompare();
	}

	/** The table was made anew: what had the focus has it again. */
	function focusKept(keep) {
		[...place.querySelectorAll("[data-keep]")].find(({dataset}) => dataset.keep === keep)?.focus();
	}

	function drawCompare() {
		compare.disabled = chosen.size < 2;
		replace(compare, chosen.size ? `Compare ${chosen.size} runs` : "Compare");
		compare.title = chosen.size < 2 ? "Tick two runs or more" : "";
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
		const rows = shown.map(run => runRow(run, columns));
		return h("table.full.runs", h("caption.unseen", "Trainings in this folder"), h("thead", head), h("tbody", rows));
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
		return h(
			"div.row.tight",
			act(star ? "★" : "☆", () => change(run, "star", {star: !star}), "Star", {"aria-pressed": String(Boolean(star))}),
			act("Note", event => editNote(run, event.currentTarget.closest("tr")), "Note on"),
			act("Delete", () => deleteRun(run), "Delete", {disabled: live, title: live ? "It is training: stop it first" : null}),
		);
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
		field.addEventListener("keydown", event => {
			if (event.key !== "Enter" && event.key !== "Escape") return;
			event.preventDefault(); // the button that gets the focus back must not be pressed by the same key
			done(event.key === "Enter");
		});
		field.addEventListener("blur", () => done(true));
		const cell = row.querySelector("th");
		cell.querySelector(".note")?.remove();
		cell.append(h("div", field));
		field.focus();
	}

	async function change(run, what, values, body = values) {
		const row = view.runs.find(({name}) => name === run.name); // the list may have been read anew meanwhile
		Object.assign(row ?? run, values); // shown at once; the server's answer comes with the next list
		draw();
		try {
			await post(ofRun(run.name, what), body);
		} catch (error) {
			oops(error);
			await load();
		}
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

	find.addEventListener("input", () => {
		view.wanted = find.value;
		draw();
	});
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

function scoreCell(run, value) {
	if (typeof value !== "number") return ABSENT;
	return [h("span.score", score(run.metric.name, value)), h("div.small.soft", metricLabel(run.metric.name))];
}

function interval(run) {
	const {low, high, name} = run.metric ?? {};
	if (![low, high, run.metric?.test].every(Number.isFinite)) return null;
	return h("div.small.soft", `${score(name, low)} to ${score(name, high)}`);
}

function nothingYet() {
	const words = "Choose a file and the column to predict, and watch a network learn it. Or try the demo in a terminal:";
	return h(
		"div.empty",
		h("p", "No training here yet."),
		h("p.soft", words),
		h("pre", h("code", "nudge demo")),
		h("p", h("a.button.primary", {href: "#/new"}, "Start a training")),
	);
}
