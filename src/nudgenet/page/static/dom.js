// Building the page: elements, text and nothing that is parsed.
//
// Every string from the data (names of columns, classes, files, runs) becomes a text node or an attribute's value, so
// it can never be markup. Styles are set through the CSSOM: the page's policy forbids style attributes in markup.

const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = new Set(["value", "checked", "selected", "disabled", "open", "hidden", "indeterminate", "readOnly"]);

/**
 * An element: `h("p.soft.small", {title: "x"}, children ...)`; the attributes may be left out.
 *
 * attributes: `style`: {"--share": 0.5, width: "3px"}; `data`: {name: text}; `on`: {click: listener}; a boolean
 * property (`checked`, `hidden` ...) is set as a property; null and false leave an attribute out, true gives an empty one.
 * children: nodes, strings, numbers, arrays of them; null, undefined and booleans are left out.
 */
export function h(kind, ...content) {
	return build(tag => document.createElement(tag), kind, content);
}

export function s(kind, ...content) {
	return build(tag => document.createElementNS(SVG, tag), kind, content);
}

function build(create, kind, [first, ...rest]) {
	const [tag, ...classes] = kind.split(".");
	const isChild = first == null || typeof first !== "object" || first instanceof Node || Array.isArray(first);
	const element = create(tag);
	if (classes.length) element.setAttribute("class", classes.join(" "));
	append(element, isChild ? first : null, rest); // first: the value of a <select> must find its options
	return isChild ? element : put(element, first);
}

/** The element with these attributes; see `h`. */
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

/** A table: `head` of texts or nodes, `rows` of arrays of them; `numeric`: indices of columns of numbers. */
export function table(caption, head, rows, {numeric = [], className = null, hideCaption = true} = {}) {
	const kind = index => (numeric.includes(index) ? "number" : null);
	const cellOf = (cell, index) =>
		index ? h("td", {class: kind(index), data: {label: head[index]?.textContent ?? head[index]}}, cell) : h("th", {scope: "row", class: kind(index)}, cell);
	const heads = head.map((cell, index) => h("th", {scope: "col", class: kind(index)}, cell));
	const body = rows.map(row => h("tr", row.map(cellOf)));
	return h("table", {class: className}, h("caption", {class: hideCaption ? "unseen" : null}, caption), h("thead", h("tr", heads)), h("tbody", body));
}

/** What may be wider than the page scrolls inside its own frame, by keyboard, too. */
export function frame(label, ...content) {
	return h("div.frame", {tabindex: "0", role: "group", "aria-label": label}, content);
}

export function folded(title, ...content) {
	return h("details", h("summary", title), content);
}

/** Folded content that is made only while it is open: tables of many numbers cost nothing while nobody reads them. */
export function lazily(title, make) {
	const body = frame(title);
	const element = h("details", {on: {toggle: refresh}}, h("summary", title), body);
	let stale = true;
	function refresh() {
		if (element.open && stale) replace(body, make());
		stale &&= !element.open;
	}
	return {
		element,
		changed() {
			stale = true;
			refresh();
		},
	};
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

/** A line that says what is wrong: an Error, or words. */
export function problem(what) {
	return h("p.problem", {role: "alert"}, what.message ?? what);
}

/** A place for such a line: `say(words)` shows them, `say()` takes them away. */
export function complaint() {
	const element = put(problem(""), {hidden: true});
	const say = words => put(replace(element, words), {hidden: !words});
	return {element, say};
}

export function oops(error) {
	toast(error.message, {bad: true});
}

export function select(choices, chosen, onChoose, attributes = {}) {
	const options = choices.map(([value, words]) => h("option", {value, selected: String(value) === String(chosen)}, words));
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

/**
 * A short message at the bottom of the page; with `label` and `action` also a button, such as Undo.
 * It stays while the mouse or the focus is on it. Returns a function that takes it away.
 */
export function toast(text, {label, action, seconds = 8, bad} = {}) {
	const holder = document.getElementById("toasts");
	let timer = 0;
	const stay = () => clearTimeout(timer);
	const close = () => (stay(), box.remove());
	const wait = () => (stay(), (timer = setTimeout(close, seconds * 1000)));
	const box = h(
		bad ? "div.toast.bad" : "div.toast",
		{role: bad ? "alert" : "status", on: {mouseenter: stay, mouseleave: wait, focusin: stay, focusout: wait}},
		h("span", text),
		action && button(label, () => (close(), action())),
		button("×", close, {class: "quiet", "aria-label": "Close this message"}),
	);
	holder.append(box);
	wait();
	return close;
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

/** A line to copy (a command, a piece of Python) with its button; `.set(text)` changes it. */
export function copyable(text, label = "Copy") {
	const code = h("code", text);
	const press = button(label, () => copy(code.textContent));
	const element = h("div.copyable", h("pre", {tabindex: "0"}, code), press);
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

/** Runs `action` at most once per frame, with the values of the last call. */
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

/** Radio buttons that look like one switch: one tab stop, arrow keys inside. */
export function choice(label, options, chosen, onChoose) {
	const name = uniqueId("choice");
	const radio = value => h("input", {type: "radio", name, value, checked: value === chosen, on: {change: () => onChoose(value)}});
	const labels = options.map(([value, words]) => h("label", radio(value), h("span", words)));
	return h("fieldset.choice", h("legend.unseen", label), labels);
}
