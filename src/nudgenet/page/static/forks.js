// What to try next: each button forks the run and lays the fork's curve over its own.

import {get, isExported, isOver, ofRun, piece, post} from "./api.js";
import {append, button, h, oops, prose, replace} from "./dom.js";
import {number, settingText} from "./format.js";
import {term} from "./glossary.js";

const LOOK_AGAIN_MS = 1000;

export function mountForks(container, run, curves, cleanup) {
	const forks = []; // {name, label, job, state, line, epochs, loss}
	const list = h("ul.forks");
	const pieces = h("ul.advice");
	const intro = h("p.note");
	append(container, h("h2", {tabindex: "-1"}, "What to try"), intro, pieces, list);

	function draw() {
		const advice = run.advice ?? [];
		container.hidden = !advice.length && !forks.length;
		const fine = "Its best epoch was kept, so nothing must be done. These would make the overfitting come later:";
		const usual = "Each is one change to train again with; the new curve is laid over this one:";
		replace(intro, run.verdict?.state === "good_fit" ? fine : usual);
		replace(pieces, advice.map(adviceItem));
		drawForks();
	}

	function adviceItem({text, setting, value}) {
		const possible = setting && value != null && !isExported() && run.state !== "live";
		const label = `${setting}=${settingText(value)}`;
		return h("li", h("span", prose(text)), possible && button(`Try ${label}`, () => fork(setting, value, label), {disabled: forks.some(one => one.label === label)}));
	}

	async function fork(setting, value, label) {
		const one = {label, name: null, state: "starting", line: "", missed: 0};
		forks.push(one);
		draw();
		container.firstChild.focus(); // its button cannot be pressed any more
		try {
			Object.assign(one, await post(ofRun(run.name, "fork"), {setting, value}));
			follow(one);
		} catch (error) {
			forks.splice(forks.indexOf(one), 1);
			oops(error);
			draw();
		}
	}

	async function follow(one) {
		const again = () => setTimeout(() => cleanup.ended || follow(one), LOOK_AGAIN_MS);
		try {
			if (document.hidden) return again();
			const {state, line} = await get(`jobs/${piece(one.job)}`);
			Object.assign(one, {state, line});
			await look(one);
		} catch (error) {
			one.line = error.message;
			one.missed += 1;
		}
		if (cleanup.ended) return;
		drawForks();
		if (!isOver(one) && one.missed < 10) again();
	}

	/** Its curve by now; its folder comes a moment after its process. */
	async function look(one) {
		if (one.state === "starting" || one.state === "failed") return;
		try {
			await curves.overlay(one);
			const fresh = (await get("runs")).runs.find(({name}) => name === one.name);
			if (fresh) one.epochs = fresh.epochs;
		} catch (error) {
			if (error.status !== 404) throw error;
		}
	}

	function drawForks() {
		const items = forks.map(({name, label, state, line, epochs}) => {
			const tone = state === "failed" ? "bad" : isOver({state}) ? "good" : "live";
			const links = [h("a", {href: `#/run/${piece(name)}`}, "Open"), " · ", h("a", {href: `#/compare/${[run.name, name].map(piece).join(",")}`}, "Compare")];
			const far = [h(`span.badge.${tone}`, state), epochs ? ` epoch ${number(epochs)} ` : " "];
			return h("li", h("strong", label), " ", far, name && links, state === "failed" && h("p.small", line));
		});
		const note = h("li.note", "These are ", term("fork", "forks"), ": judge them by their validation curves above. Their test rows stay unread.");
		const all = () => [...list.querySelectorAll("a")];
		const at = all().indexOf(document.activeElement);
		replace(list, items, items.length > 0 && note);
		all()[at]?.focus();
	}

	draw();
	return {draw};
}
