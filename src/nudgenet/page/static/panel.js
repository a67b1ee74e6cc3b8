// What the panels over the time slider share: a frame, numbers that keep all their digits, and asking the server in a
// way that a dragged slider never queues up work.

import {get, piece, post} from "./api.js";
import {frame, h, prose, put, replace, uniqueId} from "./dom.js";
import {exact, number, percent} from "./format.js";

/** A panel with its heading: {element, body, heading, say(problem)}. */
export function panel(title, className) {
	const id = uniqueId("panel");
	const body = h("div.body");
	const problem = h("p.problem", {role: "status", hidden: true});
	const heading = h("h2", {id}, title);
	const element = h("section", {class: `panel ${className}`, "aria-labelledby": id}, heading, problem, body);
	const say = words => {
		problem.hidden = !words;
		replace(problem, prose(words));
	};
	return {element, body, heading, say};
}

/** A number as people read it; its title and value keep every digit that PyTorch gave. */
export function data(value, digits = 3) {
	return setData(h("data"), value, digits);
}

export function setData(element, value, digits = 3) {
	const text = number(value === 0 ? 0 : value, digits); // −0 is 0 to people
	if (element.textContent !== text) element.textContent = text;
	const full = exact(value);
	return put(element, {value: full, title: full});
}

export function chance(probability) {
	return probability > 0 && probability < 1e-4 ? "< 0.01 %" : percent(probability);
}

/** The same number in brackets if it is negative, as a factor in a sum. */
export function factor(value) {
	return value < 0 ? ["(", data(value), ")"] : data(value);
}

/** Under a run's own path: GET, and POST of a question about the opened network. */
export function ofRun(name) {
	return {
		get: (path, options) => get(`runs/${piece(name)}/${path}`, options),
		ask: (path, {step = null, mode = "exact", row, member = 0}, signal, more = {}) =>
			post(`runs/${piece(name)}/${path}`, {step, mode, row, member, ...more}, {signal}),
	};
}

/**
 * Keeps a panel true to the store: asks again when one of `keys` changes, while the panel is on the screen.
 *
 * At most one request is under way; of what is wished meanwhile only the last is asked. An answer that belongs to
 * another row, neuron or member than the present one is dropped, one that is merely a few steps old (the slider is
 * being dragged) is shown. An exact answer, which may take long, never makes the slider wait: it is abandoned.
 *
 * ask: a path to POST to, which needs a row if the row is one of the keys; or (state, signal) -> promise of an answer,
 * nothing if there is nothing to ask. show(answer, state).
 */
export function follow({element, say}, store, keys, {ask, show, cleanup}) {
	let wanted = true;
	let onScreen = false;
	let busy = null; // {controller, state} of the request under way
	let latest = null; // the answer that is shown
	const post = (state, signal) => (state.row || !keys.includes("row")) && ofRun(state.name).ask(ask, state, signal);

	const watcher = new IntersectionObserver(
		entries => {
			onScreen = entries.at(-1).isIntersecting;
			go();
		},
		{rootMargin: "200px"},
	);
	watcher.observe(element);

	async function go() {
		if (!wanted || busy || !onScreen || cleanup.ended) return;
		wanted = false;
		const {state} = store;
		const mine = {controller: new AbortController(), state};
		const request = (typeof ask === "string" ? post : ask)(state, mine.controller.signal);
		if (!request) return;
		busy = mine;
		element.setAttribute("aria-busy", "true");
		try {
			const answer = await request;
			if (busy === mine && !cleanup.ended) {
				say("");
				latest = answer;
				show(answer, state);
				if (answer.at && !cleanup.ended) store.set({at: answer.at});
			}
		} catch (error) {
			if (busy === mine && error.name !== "AbortError") say(error.message);
		}
		if (busy === mine) release();
	}

	function release() {
		busy = null;
		element.removeAttribute("aria-busy");
		go();
	}

	function refresh() {
		wanted = true;
		go();
	}

	/** The best weights are looked at, and the training has better ones by now, or has ended and kept them. */
	function isOutdated({step, best_step}, changed) {
		const at = latest?.at;
		return step === null && keys.includes("step") && (changed.has("best_step") || changed.has("live")) && at && !(at.exact && at.step === best_step);
	}

	function again(changed) {
		const only = (...names) => [...changed].every(key => names.includes(key) || !keys.includes(key));
		if (only("mode") && !busy && latest?.at?.exact && latest.at.step === store.state.step) return; // it was exact already
		wanted = true;
		if (busy && !(only("step", "mode") && busy.state.mode === "nearest")) {
			busy.controller.abort();
			release();
		} else go();
	}

	cleanup.add(store.subscribe((state, changed) => (keys.some(key => changed.has(key)) || isOutdated(state, changed)) && again(changed)));
	cleanup.add(() => {
		watcher.disconnect();
		busy?.controller.abort();
	});
	return {refresh};
}

/** Fills a <details> only while it is open: tables of many numbers cost nothing while nobody reads them. */
export function lazily(title, make) {
	const body = frame(title);
	const element = h("details", h("summary", title), body);
	let stale = true;
	const refresh = () => {
		if (!element.open || !stale) return;
		stale = false;
		replace(body, make());
	};
	element.addEventListener("toggle", refresh);
	return {
		element,
		changed() {
			stale = true;
			refresh();
		},
	};
}

export function onTheme(action, cleanup) {
	const observer = new MutationObserver(action);
	observer.observe(document.documentElement, {attributes: true, attributeFilter: ["data-theme"]});
	cleanup.add(() => observer.disconnect());
}

/** Words for beginners and for practitioners: the switch at the top of the page shows one of them. */
export function both(beginner, practitioner) {
	return [h("span.for-beginner", beginner), h("span.for-practitioner", practitioner)];
}

/**
 * A table whose numbers change often: `fill(rows)` writes into the cells that are there. A cell is a text or
 * {value, digits}; the first of a row is its heading.
 */
export function numbersTable(caption, head, className = "") {
	const body = h("tbody");
	const heads = head.map((cell, index) => h("th", {scope: "col", class: index ? "number" : null}, cell));
	const element = h("table", {class: `numbers ${className}`}, h("caption.unseen", caption), h("thead", h("tr", heads)), body);
	const makeRow = () =>
		h(
			"tr",
			head.map((_, index) => (index ? h("td.number") : h("th", {scope: "row"}))),
		);
	function fill(rows) {
		while (body.rows.length > rows.length) body.lastChild.remove();
		rows.forEach((cells, at) => {
			const row = body.rows[at] ?? body.appendChild(makeRow());
			row.className = cells.className ?? "";
			cells.forEach((cell, index) => fillCell(row.cells[index], cell));
		});
	}
	return {element, fill, body};
}

function fillCell(place, cell) {
	const only = place.firstElementChild;
	if (typeof cell === "string" && !only) place.textContent = cell;
	else if (typeof cell?.value !== "number") replace(place, cell);
	else if (only?.tagName === "DATA") setData(only, cell.value, cell.digits);
	else replace(place, data(cell.value, cell.digits));
}
