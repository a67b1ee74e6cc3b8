// Elements and text nodes: nothing is parsed, so no name from the data can be markup.

const PROPERTIES = new Set(["value", "checked", "selected", "disabled", "open", "hidden", "indeterminate", "readOnly"]);

/**
 * An element: `h("p.soft.small", {title: "x"}, children ...)`; the attributes may be left out, see `put`.
 * children: nodes, strings, numbers, arrays of them; null, undefined and booleans are left out.
 */
export function h(kind, ...content) {
	return build("http://www.w3.org/1999/xhtml", kind, content);
}

export function s(kind, ...content) {
	return build("http://www.w3.org/2000/svg", kind, content);
}

function build(language, kind, [first, ...rest]) {
	const [tag, ...classes] = kind.split(".");
	const isChild = first == null || typeof first !== "object" || first instanceof Node || Array.isArray(first);
	const element = document.createElementNS(language, tag);
	if (classes.length) element.setAttribute("class", classes.join(" "));
	append(element, isChild && first, rest); // first: the value of a <select> must find its options
	return isChild ? element : put(element, first);
}

/**
 * The element with these attributes. `style`: {"--share": 0.5}, through the CSSOM: the policy forbids it in markup;
 * `data`: {name: text}; `on`: {click: listener}; null and false leave an attribute out, true gives an empty one.
 */
export function put(element, attributes) {
	for (const [name, value] of Object.entries(attributes)) {
		if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
		else if (name === "style") for (const [property, setting] of Object.entries(value)) element.style.setProperty(property, setting);
		else if (name === "data") Object.assign(element.dataset, value);
		else if (PROPERTIES.has(name) && name in element) element[name] = value ?? "";
		else if (value != null && value !== false) element.setAttribute(name, value === true ? "" : value);
	}
	return element;
}

export function append(element, ...children) {
	element.append(...children.flat(Infinity).filter(child => child != null && typeof child !== "boolean"));
	return element;
}

export function replace(element, ...children) {
	element.replaceChildren();
	return append(element, ...children);
}

/** A text with `code` between backticks, as our messages have it. */
export function prose(text) {
	return String(text ?? "")
		.split(/`([^`]*)`/)
		.map((piece, index) => (index % 2 ? h("code", piece) : piece));
}

/** A table: `head` of texts or nodes, `rows` of arrays of them; `numeric`: [from, to) of the columns of numbers. */
export function table(caption, head, rows, {numeric: [from, to = Infinity] = [Infinity], className = null, hideCaption = true} = {}) {
	const kind = index => index >= from && index < to && "number";
	const cellOf = (cell, index) =>
		index ? h("td", {class: kind(index), data: {label: head[index]?.textContent ?? head[index]}}, cell) : h("th", {scope: "row", class: kind(0)}, cell);
	const heads = head.map((cell, index) => h("th", {scope: "col", class: kind(index)}, cell));
	const body = rows.map(row => h("tr", row.map(cellOf)));
	return h("table", {class: className}, h("caption", {class: hideCaption && "unseen"}, caption), h("thead", h("tr", heads)), h("tbody", body));
}

/** What may be wider than the page scrolls in a frame, by keyboard, too. */
export function frame(label, ...content) {
	return h("div.frame", {tabindex: "0", role: "group", "aria-label": label}, content);
}

export function framedTable(caption, ...content) {
	return frame(caption, table(caption, ...content));
}

export function folded(title, ...content) {
	return h("details", h("summary", title), content);
}

/** Folded content, made after `changed()` and while it is open: numbers cost nothing while nobody reads them. */
export function lazily(title, make) {
	const body = frame(title);
	let stale = false;
	const refresh = () => {
		if (element.open && stale) replace(body, make());
		stale &&= !element.open;
	};
	const element = put(folded(title, body), {on: {toggle: refresh}});
	const changed = () => {
		stale = true;
		refresh();
	};
	return {element, changed};
}

/** Whether a place must be built anew for this state: else what has the focus keeps it. */
export function isNewState(place, state) {
	const [before, now] = [place.dataset.state, JSON.stringify(state)];
	place.dataset.state = now;
	return before !== now;
}

export function button(label, onClick, attributes = {}) {
	return h("button", {type: "button", ...attributes, on: {click: onClick}}, label);
}

let nextId = 0;

export function uniqueId(prefix = "id") {
	nextId += 1;
	return `${prefix}-${nextId}`;
}

export function announce(text) {
	const region = document.getElementById("announcer"); // a notebook has none
	if (region) region.textContent = text;
}

/** A line with what is wrong: an Error, or words. */
export function problem(what) {
	return h("p.problem", {role: "alert"}, what.message ?? what);
}

/** A place for such a line: `say(words)` shows it, `say()` hides it. */
export function complaint(role = "alert") {
	const element = h("p.problem", {role, hidden: true});
	const say = words => put(replace(element, prose(words?.message ?? words)), {hidden: !words});
	return {element, say};
}

export function oops(error) {
	toast(error.message, {bad: true});
}

export function select(choices, chosen, onChoose, attributes = {}) {
	const options = choices.map(one => [one].flat()).map(([value, words = value]) => h("option", {value, selected: String(value) === String(chosen)}, words));
	return h("select", {...attributes, on: {change: event => onChoose(event.target.value)}}, options);
}

export function labelled(words, control) {
	control.id ||= uniqueId("control");
	return h("div.field", h("label", {for: control.id}, words), control);
}

export function tick(words, checked, onChange) {
	return h("label", h("input", {type: "checkbox", checked, on: {change: event => onChange(event.target.checked)}}), words);
}

export function shareSlider(words, value, onInput) {
	return h("label", words, h("input", {type: "range", min: 0, max: 0.98, step: 0.02, value, on: {input: event => onInput(Number(event.target.value))}}));
}

/** A short message, perhaps with a button (`label`, `action`); it stays while mouse or focus is on it. */
export function toast(text, {label, action, seconds = 8, bad} = {}) {
	let timer = 0;
	const close = () => box.remove();
	const stay = () => clearTimeout(timer);
	const wait = () => (stay(), (timer = setTimeout(close, seconds * 1000)));
	const box = h(
		bad ? "div.toast.bad" : "div.toast",
		{role: bad ? "alert" : "status", on: {mouseenter: stay, mouseleave: wait, focusin: stay, focusout: wait}},
		h("span", text),
		action && button(label, () => (close(), action())),
		button("×", close, {class: "quiet", "aria-label": "Close this message"}),
	);
	document.getElementById("toasts").append(box);
	wait();
}

async function copy(text) {
	try {
		await navigator.clipboard.writeText(text);
	} catch {
		const area = h("textarea.unseen", {readOnly: true, value: text});
		document.body.append(area);
		area.select();
		document.execCommand("copy");
		area.remove();
	}
	toast("Copied", {seconds: 2});
}

/** A text to copy with its button; `.set(text)` changes it. */
export function copyable(text, label = "Copy") {
	const code = h("code", text);
	const element = h("div.copyable", h("pre", {tabindex: "0"}, code), button(label, () => copy(code.textContent)));
	return Object.assign(element, {set: changed => replace(code, changed)});
}

/** Runs `action` once, `wait` ms after the last call. */
export function debounce(action, wait) {
	let timer = 0;
	return (...values) => {
		clearTimeout(timer);
		timer = setTimeout(() => action(...values), wait);
	};
}

/** Runs `action` at most once in `wait` ms, and once more after the last call. */
export function atMost(action, wait) {
	let [timer, before] = [0, -Infinity];
	const run = () => {
		timer = 0;
		before = performance.now();
		action();
	};
	return () => {
		timer ||= setTimeout(run, Math.max(0, before + wait - performance.now()));
	};
}

/** Runs `action` at most once per frame, with the last values. */
export function perFrame(action) {
	let waiting = null;
	const run = () => {
		const last = waiting;
		waiting = null;
		action(...last);
	};
	return (...values) => {
		if (waiting === null) requestAnimationFrame(run);
		waiting = values;
	};
}

export function prefersStill() {
	return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** `action` whenever the page turns light or dark: canvases have no styles. */
export function onTheme(action, cleanup) {
	const observer = new MutationObserver(action);
	observer.observe(document.documentElement, {attributes: true, attributeFilter: ["data-theme"]});
	cleanup.add(() => observer.disconnect());
}

export function onSize(element, action, cleanup) {
	const observer = new ResizeObserver(action);
	observer.observe(element);
	cleanup.add(() => observer.disconnect());
}

/** Radio buttons that look like one switch: one tab stop, arrow keys inside. */
export function choice(label, options, chosen, onChoose) {
	const name = uniqueId("choice");
	const radio = value => h("input", {type: "radio", name, value, checked: value === chosen, on: {change: () => onChoose(value)}});
	return h("fieldset.choice", h("legend.unseen", label), options.map(([value, words]) => h("label", radio(value), h("span", words))));
}
