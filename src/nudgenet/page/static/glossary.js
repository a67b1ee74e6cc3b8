// Words with a one-line definition on hover and focus.

import {get} from "./api.js";
import {h, uniqueId} from "./dom.js";

let tip = null;
let shown = null;
let glossary = null;

function meanings() {
	glossary ??= get("words").catch(() => (glossary = null));
	return glossary;
}

async function show({currentTarget: element}) {
	shown = element;
	const {term: name, meaning = (await meanings())?.[name]} = element.dataset;
	if (shown !== element || !meaning) return;
	tip ??= h("div.tip", {role: "tooltip", id: uniqueId("tip")});
	if (!tip.isConnected) document.body.append(tip);
	tip.textContent = meaning;
	tip.hidden = false;
	element.setAttribute("aria-describedby", tip.id);
	const box = element.getBoundingClientRect();
	const left = Math.max(12, Math.min(box.left, document.documentElement.clientWidth - tip.offsetWidth - 12));
	const above = box.top - tip.offsetHeight - 8;
	tip.style.left = `${left + scrollX}px`;
	tip.style.top = `${(above > 4 ? above : box.bottom + 8) + scrollY}px`;
}

function hide({currentTarget}) {
	shown = null;
	if (tip) tip.hidden = true;
	currentTarget.removeAttribute("aria-describedby");
}

function hideOnEscape(event) {
	if (event.key !== "Escape" || !tip || tip.hidden) return;
	hide(event);
	event.stopPropagation();
}

export function explained(element, meaning = null) {
	if (meaning) element.dataset.meaning = meaning;
	for (const event of ["mouseenter", "focus"]) element.addEventListener(event, show);
	for (const event of ["mouseleave", "blur"]) element.addEventListener(event, hide);
	element.addEventListener("keydown", hideOnEscape);
	return element;
}

/** A word that explains itself; its name is a key of report/glossary.py. */
export function term(name, words = name) {
	return explained(h("span.term", {tabindex: "0", data: {term: name}}, words));
}

export async function mountWords(container) {
	const list = h("dl.words");
	const search = ({target}) => {
		const wanted = target.value.trim().toLowerCase();
		for (const entry of list.children) entry.hidden = !entry.textContent.toLowerCase().includes(wanted);
	};
	const about = "One line each, in plain English. Dotted words on the other pages show theirs when you point at them.";
	const find = h("input", {type: "search", placeholder: "Find a word", "aria-label": "Find a word", on: {input: search}});
	container.append(h("div.head", h("h1", "The words used here"), h("p.soft", about)), h("p", find), list);
	const entries = Object.entries((await meanings()) ?? {}).sort(([a], [b]) => a.localeCompare(b, "en"));
	list.append(...entries.map(([name, meaning]) => h("div", h("dt", name), h("dd", meaning))));
}
