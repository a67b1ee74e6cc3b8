// Your row: its values open to change, the answer live, and what made it so.

import {get, isExported, itemAddress, ofRun} from "./api.js";
import {append, button, choice, debounce, folded, h, labelled, problem, put, replace, select, table} from "./dom.js";
import {ABSENT, local, number, plural, shortened, signed} from "./format.js";
import {both, chance, data, panel} from "./panel.js";
import {peak, within} from "./scales.js";

const TYPING_MS = 150;
const PARTS = ["train", "validation", "test"];
const PER_PAGE = 10;

export function mountRow(view) {
	const {run} = view;
	const picker = (isExported() ? filePicker : rowPicker)(view);
	const answer = h("div.answer-box", {"aria-live": "polite"});
	const bars = h("div.changes");
	const {follow} = panel(view, "Your row", "wide your-row", picker, h("div.two.wide-left", h("div", rowForm(view)), h("div", answer, bars)));
	follow(["step", "mode", "row"], "whatif", found => {
		replace(answer, answerWords(found, run));
		replace(bars, changeBars(found));
	});
}

/** Whether all of a row was typed: where the run's rows are gone. */
function isOwn(row) {
	return Boolean(row?.values && !row.from);
}

export function rowName(row) {
	if (!row) return "no row";
	if (row.values) return row.from ? `${rowName(row.from)}, changed` : "a row of your own";
	return `row ${number(row.index)} (${row.part})`;
}

function rowPicker({run, store, cleanup}) {
	const parts = PARTS.filter(part => run.parts?.[part] && (part !== "test" || run.state === "done"));
	const wanted = {part: "validation", sort: "order", from: 0, find: ""};
	let turn = 0; // only the last question's answer is shown
	const index = h("input", {type: "number", min: 0, step: 1, value: 0, on: {change: () => pick(index.value)}});
	const list = h("div.frame");
	const find = h("input", {type: "search", placeholder: "any text in a cell", on: {input: debounce(() => set({find: find.value, from: 0}), 250)}});
	const count = () => run.parts?.[wanted.part] ?? 0;
	const pick = at => store.set({row: {part: wanted.part, index: within(Math.round(at) || 0, 0, count() - 1)}});
	const choosePart = part => {
		set({part, from: 0});
		pick(0);
	};
	const set = change => {
		Object.assign(wanted, change);
		load();
	};
	const by = step => () => pick(Number(index.value) + step);
	const chosenPart = select(parts.map(part => [part, `${part} (${plural(run.parts[part], "row")})`]), wanted.part, choosePart);
	const sorts = choice("Order", Object.entries({order: "in order", worst: "worst first"}), wanted.sort, sort => set({sort, from: 0}));
	const more = put(folded("Choose from a list", h("div.controls", labelled("Search", find), sorts), list), {on: {toggle: load}});
	const rows = h("div", h("div.controls.picker", labelled("Part", chosenPart), stepper(index, by)), more);
	const gone = h("p.about", {hidden: true}, "The rows of this run cannot be read any more. Type values, and the network answers for them.");
	const element = h("div", rows, gone);

	async function load() {
		if (!more.open || cleanup.ended) return;
		const mine = (turn += 1);
		const {step, mode} = store.state;
		const found = await get(ofRun(run.name, "rows", {...wanted, find: wanted.find || null, count: PER_PAGE, step, mode})).catch(problem);
		if (mine !== turn) return;
		if (found instanceof Node) replace(list, found);
		else showList(found);
	}

	function showList(found) {
		const among = found.looked_at < count() ? ` of ${number(found.looked_at)} evenly chosen` : "";
		const page = (words, from) => button(words, () => set({from}), {disabled: from < 0 || from >= found.total});
		const pages = [page("‹ Earlier", wanted.from - PER_PAGE), page("Later ›", wanted.from + PER_PAGE)];
		replace(list, rowsTable(found, row => store.set({row})), h("div.controls", pages, h("span.soft", `${plural(found.total, "row")}${among}`)));
	}

	const showRow = ({row}) => {
		const origin = row?.from ?? row;
		if (!origin || origin.index === undefined) return;
		wanted.part = chosenPart.value = origin.part;
		put(index, {max: count() - 1, value: origin.index});
	};
	cleanup.on(store, ["row"], showRow);
	cleanup.on(store, ["step", "mode"], debounce(load, 250));
	cleanup.on(store, ["gone"], state => {
		rows.hidden = state.gone;
		gone.hidden = !state.gone;
	});
	showRow(store.state);
	return element;
}

function stepper(control, by) {
	return [labelled("Row", control), button("‹", by(-1), {"aria-label": "The row before"}), button("›", by(1), {"aria-label": "The next row"})];
}

function filePicker({run, store, cleanup}) {
	const {rows} = run.exported;
	const choose = at => store.set({row: {...rows[(Number(at) + rows.length) % rows.length]}});
	const chosen = select(rows.map((row, at) => [at, rowName(row)]), 0, choose);
	const show = ({row}) => {
		const at = rows.findIndex(({part, index}) => part === row?.part && index === row?.index);
		if (at >= 0) chosen.value = at;
	};
	const by = step => () => choose(Number(chosen.value) + step);
	cleanup.on(store, ["row"], show);
	show(store.state);
	return h("div.controls.picker", stepper(chosen, by));
}

/** A table of rows, each with a button that chooses it. */
export function rowsTable(found, choose) {
	const columns = found.columns.slice(0, 4);
	const certain = found.rows.some(({probability}) => probability != null); // of a number nothing says how certain it is
	const rows = found.rows.map(row => [
		button(number(row.index), () => choose({part: row.part, index: row.index}), {class: "link", "aria-label": `Row ${row.index} of ${row.part}`}),
		h("span", {class: row.wrong ? "wrong" : null}, row.wrong ? "✗ " : "", cellText(row.answer)),
		cellText(row.truth),
		...(certain ? [chance(row.probability)] : []),
		data(row.loss),
		...columns.map(name => shortened(row.cells[name], 22)),
	]);
	const head = ["Row", "Answer", "Truth", ...(certain ? ["Certain"] : []), "Loss", ...columns];
	return table("Rows", head, rows, {numeric: [3, certain ? 5 : 4], className: "rows"});
}

export function cellText(value) {
	return typeof value === "number" ? number(value) : shortened(value ?? ABSENT, 24);
}

function rowForm({run, store, cleanup}) {
	const fields = new Map();
	const holder = h("div.cells");
	const media = h("div.media");
	const undo = button("Undo changes", () => store.set({row: store.state.row.from}), {hidden: true});
	const truth = truthField(run, () => changed());
	const element = h("div", media, holder, truth.element, undo);
	const columns = (run.columns ?? []).filter(({used, kind}) => used !== false && !["image", "sound"].includes(kind));
	let original = {};
	let shown = "";

	const changed = debounce(() => {
		if (cleanup.ended) return;
		if (isOwn(store.state.row)) return store.set({row: {values: valuesOf(fields), ...truth.given()}});
		const origin = store.state.row.from ?? store.state.row;
		const typed = Object.entries(valuesOf(fields)).filter(([name, value]) => value !== String(original[name] ?? ""));
		store.set({row: typed.length ? {values: Object.fromEntries(typed), from: origin} : origin});
	}, TYPING_MS);

	function build() {
		const controls = columns.map(column => {
			const control = fieldOf(column);
			control.disabled = isExported(); // other answers are not in the file
			control.addEventListener("input", changed);
			fields.set(column.name, control);
			return labelled(column.name, control);
		});
		const rest = controls.splice(12);
		replace(holder, controls, rest.length > 0 && folded(plural(rest.length, "more column"), h("div.cells", rest)));
	}

	async function show({row}) {
		const origin = row?.from ?? row;
		undo.hidden = !row?.values || isOwn(row);
		truth.show(row);
		if (!origin) return;
		if (isOwn(row)) {
			shown = "";
			write(row.values);
			replace(media);
			return store.set({cells: row.values});
		}
		const name = `${origin.part} ${origin.index}`;
		const isNew = name !== shown;
		if (isNew) {
			shown = name;
			const found = await get(ofRun(run.name, "rows", {part: origin.part, from: origin.index, count: 1}));
			if (cleanup.ended || shown !== name || !found.rows.length) return;
			original = found.rows[0].cells;
			replace(media, mediaOf(run, origin, original));
		}
		if (isNew || !row.values) write(original);
		store.set({cells: {...original, ...row.values}});
	}

	function write(cells) {
		for (const [name, control] of fields) {
			const text = String(cells[name] ?? "");
			if (control.options && ![...control.options].some(({value}) => value === text)) append(control, options([text]));
			if (control.value !== text) control.value = text;
		}
	}

	const safely = state => show(state).catch(error => store.state.gone || replace(media, problem(error)));
	cleanup.on(store, ["row"], safely);
	build();
	safely(store.state);
	return element;
}

function options(values, missing = "(missing)") {
	return values.map(value => h("option", {value}, value || missing));
}

function valuesOf(fields) {
	return Object.fromEntries([...fields].map(([name, control]) => [name, control.value]));
}

/** The true answer of a typed row, a class or a number: without it there is no loss, and so no update. */
function truthField({task}, changed) {
	const control = task?.classes?.length
		? h("select", options(["", ...task.classes.map(String)], "(not known)"))
		: h("input", {type: "text", inputmode: "decimal", placeholder: "not known"});
	control.addEventListener("input", changed);
	const element = h("div", {hidden: true}, labelled(`The true ${task?.target ?? "answer"}, for the loss and the update`, control));
	const given = () => control.value.trim() && {truth: control.value.trim()};
	const show = row => {
		element.hidden = !isOwn(row);
		if (isOwn(row) && control.value !== (row.truth ?? "")) control.value = row.truth ?? "";
	};
	return {element, show, given};
}

function fieldOf({kind, values, typical}) {
	if (values?.length) return h("select", options(["", ...values.map(String)]));
	if (kind === "text") return h("textarea", {rows: 4});
	return h("input", {type: "text", inputmode: kind === "number" ? "decimal" : null, placeholder: typical == null ? null : `typical: ${typical}`});
}

function mediaOf(run, {part, index}, cells) {
	const where = run.media && run.media !== "text" ? itemAddress(run.name, part, index) : null;
	if (!where) return null;
	if (run.media === "image") return h("img", {src: where, alt: `The image of row ${index}: ${Object.values(cells)[0] ?? ""}`});
	return h("audio", {src: where, controls: true, "aria-label": `The sound of row ${index}`});
}

function answerWords(found, run) {
	const big = words => h("p.big", h("small", run.task?.target && `${run.task.target}: `), words);
	if (!Array.isArray(found.probabilities)) {
		const value = found.number ?? found.answer;
		return big(typeof value === "number" ? data(value, 4) : value);
	}
	const sorted = [...found.probabilities].sort((a, b) => b.probability - a.probability).slice(0, 6);
	const line = ({class: name, probability}) => h("li", h("span", shortened(name, 24)), shareBar(probability), exactly(probability, chance));
	return [big(shortened(found.answer, 40)), h("ul.shares", sorted.map(line))];
}

export function shareBar(share) {
	return h("span.share", {"aria-hidden": "true"}, h("span", {class: share < 0 ? "negative" : "positive", style: {width: `${100 * Math.abs(share)}%`}}));
}

function exactly(value, words) {
	return h("data", {value, title: value}, words(value));
}

function inPoints(change) {
	const points = 100 * change;
	const text = local(Math.abs(points), Math.abs(points) < 1 ? 2 : 1);
	return Number(text) ? `${points < 0 ? "−" : "+"}${text} points` : "0 points";
}

function changeBars(found) {
	if (!found.columns?.length) return null;
	const telling = found.columns.filter(({text, typical, change}) => change || text !== typical);
	if (!telling.length) return h("p.about", "Every column is as usual.");
	const top = telling.slice(0, 8);
	const most = peak(top.map(({change}) => change));
	const text = change => (Array.isArray(found.probabilities) ? inPoints(change) : signed(change));
	const said = cell => shortened(cell, 18) || ABSENT;
	const line = ({name, text: own, typical, change}) => {
		const width = (50 * Math.abs(change)) / most;
		const [sign, left] = change < 0 ? ["negative", 50 - width] : ["positive", 50];
		const bar = h(`span.${sign}`, {style: {width: `${width}%`, left: `${left}%`}});
		const what = h("span.what", h("b", shortened(name, 26)), h("small", ` ${said(own)}`, typical && ` instead of ${said(typical)}`));
		return h("li", what, h("span.bar", {"aria-hidden": "true"}, bar), exactly(change, text));
	};
	const about = both(
		"How the answer moves because this column is what it is, and not as usual.",
		"Answer minus the answer with this one column at its typical value (training median or mode).",
	);
	const rest = telling.slice(top.length);
	const more = rest.length > 0 && folded(plural(rest.length, "more column"), h("ul.diverging", rest.map(line)));
	return [h("h3", "What made it so"), h("p.about.small", about), h("ul.diverging", top.map(line)), more];
}
