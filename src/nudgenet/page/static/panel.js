// What the panels share: a frame, numbers with all digits, and questions that never queue up.

import {ofRun, post} from "./api.js";
import {complaint, framedTable, h, replace, uniqueId} from "./dom.js";
import {ABSENT, number, percent} from "./format.js";

/** A panel of the view {place, run, store, cleanup}; `follow(keys, question, show)`: see there. */
export function panel({place, store, cleanup}, title, className, ...content) {
	const id = uniqueId("panel");
	const wrong = complaint("status");
	const heading = h("h2", {id}, title);
	const element = h("section", {class: `panel ${className}`, "aria-labelledby": id}, heading, wrong.element, h("div.body", content));
	place.append(element);
	return {element, heading, follow: (keys, ask, show) => follow({element, say: wrong.say, store, cleanup}, keys, ask, show)};
}

/** What an answer of the network depends on, in the store. */
export const ANSWER = ["step", "mode", "row", "member"];

/** A number as people read it; title and value keep every digit. */
export function data(value, digits = 3) {
	const full = typeof value === "number" ? value : ABSENT;
	return h("data", {value: full, title: full}, number(value, digits));
}

export function optional(value) {
	return value == null ? "" : data(value);
}

export function chance(probability) {
	return probability > 0 && probability < 1e-4 ? "< 0.01%" : percent(probability);
}

/** The same number in brackets if it is negative, as a factor in a sum. */
export function factor(value) {
	return value < 0 ? ["(", data(value), ")"] : data(value);
}

export function ask(path, {name, step = null, mode = "exact", row, member = 0}, signal, more = {}) {
	return post(ofRun(name, path), {step, mode, row, member, ...more}, signal);
}

/**
 * Keeps a panel true to the store: asks again when one of `keys` changes, while the panel is on the screen. One request
 * is under way at most, and then only the last wish is asked. An answer of another row, neuron or member is dropped, one
 * that is a few steps old is shown. An exact answer may take long: it is abandoned when the slider moves.
 * question: a path to POST to, which needs a row if the row is one of the keys; or (state, signal) -> promise of an
 * answer, nothing if there is nothing to ask. show(answer, state). Returns what asks again.
 */
function follow({element, say, store, cleanup}, keys, question, show) {
	let wanted = true;
	let onScreen = !document.hidden;
	let busy = null;
	let latest = null;
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
			if (busy === mine && error.name !== "AbortError") say(error);
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

	/** The best weights are looked at, and by now others are. */
	function isOutdated({step, best_step}, changed) {
		const at = latest?.at;
		return step === null && keys.includes("step") && (changed.has("best_step") || changed.has("live")) && at && !(at.exact && at.step === best_step);
	}

	function again(changed) {
		const only = (...names) => [...changed].every(key => names.includes(key) || !keys.includes(key));
		if (only("mode") && !busy && latest?.at?.exact && latest.at.step === store.state.step) return;
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

/** The switch at the top of the page shows one of them. */
export function both(beginner, practitioner) {
	return [h("span.for-beginner", beginner), h("span.for-practitioner", practitioner)];
}

/** A table that stays where it is scrolled to, whatever `fill(rows)` puts into it. */
export function numbersTable(caption, head, className = "") {
	const element = framedTable(caption, head, [], {numeric: [1], className: `numbers ${className}`});
	const body = element.querySelector("tbody");
	const cellOf = (cell, index) => (index ? h("td.number", cell) : h("th", {scope: "row"}, cell));
	const fill = rows => replace(body, rows.map(cells => h("tr", cells.map(cellOf))));
	return {element, fill, body};
}
