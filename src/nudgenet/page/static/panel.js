// What the panels over the time slider share: a frame, numbers that keep all their digits, and asking the server in a
// way that a dragged slider never queues up work.

import {ofRun, post} from "./api.js";
import {h, prose, put, replace, uniqueId} from "./dom.js";
import {ABSENT, number, percent} from "./format.js";

/**
 * A panel of the view {place, run, store, cleanup} with its heading and content: {element, heading, follow}, where
 * `follow(keys, ask, show)` keeps it true to the store: see there.
 */
export function panel({place, store, cleanup}, title, className, ...content) {
	const id = uniqueId("panel");
	const problem = h("p.problem", {role: "status", hidden: true});
	const heading = h("h2", {id}, title);
	const element = h("section", {class: `panel ${className}`, "aria-labelledby": id}, heading, problem, h("div.body", content));
	const say = words => put(replace(problem, prose(words)), {hidden: !words});
	place.append(element);
	return {element, heading, follow: (keys, ask, show) => follow({element, say, store, cleanup}, keys, ask, show)};
}

/** A number as people read it; its title and value keep every digit that PyTorch gave. */
export function data(value, digits = 3) {
	return setData(h("data"), value, digits);
}

function setData(element, value, digits = 3) {
	const text = number(value === 0 ? 0 : value, digits); // −0 is 0 to people
	if (element.textContent !== text) element.textContent = text;
	const full = typeof value === "number" ? value : ABSENT; // as text it tells a float from its neighbours
	return put(element, {value: full, title: full});
}

export function chance(probability) {
	return probability > 0 && probability < 1e-4 ? "< 0.01%" : percent(probability);
}

/** The same number in brackets if it is negative, as a factor in a sum. */
export function factor(value) {
	return value < 0 ? ["(", data(value), ")"] : data(value);
}

/** A question about the opened network of the state's run, at its step, about its row. */
export function ask(path, {name, step = null, mode = "exact", row, member = 0}, signal, more = {}) {
	return post(ofRun(name, path), {step, mode, row, member, ...more}, signal);
}

/**
 * Keeps a panel true to the store: asks again when one of `keys` changes, while the panel is on the screen.
 *
 * At most one request is under way; of what is wished meanwhile only the last is asked. An answer that belongs to
 * another row, neuron or member than the present one is dropped, one that is merely a few steps old (the slider is
 * being dragged) is shown. An exact answer, which may take long, never makes the slider wait: it is abandoned.
 *
 * question: a path to POST to, which needs a row if the row is one of the keys; or (state, signal) -> promise of an
 * answer, nothing if there is nothing to ask. show(answer, state). Returns what asks again.
 */
function follow({element, say, store, cleanup}, keys, question, show) {
	let wanted = true;
	let onScreen = false;
	let busy = null; // {controller, state} of the request under way
	let latest = null; // the answer that is shown
	const usual = (state, signal) => (state.row || !keys.includes("row")) && ask(question, state, signal);

	const look = entries => {
		onScreen = entries.at(-1).isIntersecting;
		go();
	};
	const watcher = new IntersectionObserver(look, {rootMargin: "200px"});
	watcher.observe(element);

	async function go() {
		if (!wanted || busy || !onScreen || cleanup.ended) return;
		wanted = false;
		const {state} = store;
		const mine = {controller: new AbortController(), state};
		const request = (typeof question === "string" ? usual : question)(state, mine.controller.signal);
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
	return refresh;
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
	const makeCell = (_, index) => (index ? h("td.number") : h("th", {scope: "row"}));
	const makeRow = () => h("tr", head.map(makeCell));
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
