// Building the page: elements, text and nothing that is parsed.
//
// Every string from the data (names of columns, classes, files, runs) becomes a text node or an attribute's
// value, so it can never be markup. Styles are set through the CSSOM, because the page's policy forbids style
// attributes in markup.

const SVG = "http://www.w3.org/2000/svg";
const PROPERTIES = new Set(["value", "checked", "selected", "disabled", "open", "hidden", "indeterminate", "readOnly"]);

/**
 * An element.
 *
 * attributes: `class`; `style`: {"--share": 0.5, width: "3px"}; `data`: {name: text}; `on`: {click: listener};
 * a boolean property (`checked`, `hidden` ...) is set as a property; null, undefined and false leave an attribute
 * out; true gives an empty one; anything else becomes text.
 * children: nodes, strings, numbers, arrays of them; null, undefined and false are left out.
 */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element; as `h`. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  append(element, children); // first: the value of a <select> must find its options
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (name === "style") {
      for (const [property, setting] of Object.entries(value)) setStyle(element, property, setting);
    } else if (name === "data") {
      Object.assign(element.dataset, value);
    } else if (PROPERTIES.has(name) && name in element) {
      element[name] = value ?? "";
    } else if (value !== null && value !== undefined && value !== false) {
      element.setAttribute(name, value === true ? "" : String(value));
    }
  }
  return element;
}

function setStyle(element, property, value) {
  if (property.startsWith("--")) element.style.setProperty(property, String(value));
  else element.style[property] = value;
}

/** Appends nodes, texts, numbers and arrays of them; leaves out null, undefined and booleans. */
export function append(element, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === null || child === undefined || typeof child === "boolean") continue;
    element.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
  return element;
}

/** The element with these children in place of its own. */
export function replace(element, ...children) {
  element.replaceChildren();
  return append(element, ...children);
}

/** A text with `code` between backticks, as our messages have it, as nodes. */
export function prose(text) {
  return String(text ?? "")
    .split(/`([^`]*)`/)
    .map((piece, index) => (index % 2 ? h("code", {}, piece) : piece));
}

/** A table: `head` of texts or nodes, `rows` of arrays of them; `numeric`: indices of columns of numbers. */
export function table(caption, head, rows, { numeric = [], className = "", hideCaption = true } = {}) {
  const kind = (index) => (numeric.includes(index) ? "number" : null);
  return h(
    "table",
    { class: className },
    h("caption", { class: hideCaption ? "unseen" : null }, caption),
    h("thead", {}, h("tr", {}, head.map((cell, index) => h("th", { scope: "col", class: kind(index) }, cell)))),
    h(
      "tbody",
      {},
      rows.map((row) =>
        h(
          "tr",
          {},
          row.map((cell, index) =>
            index === 0
              ? h("th", { scope: "row", class: kind(index) }, cell)
              : h("td", { class: kind(index), data: { label: plain(head[index]) } }, cell),
          ),
        ),
      ),
    ),
  );
}

function plain(cell) {
  return cell instanceof Node ? cell.textContent : String(cell ?? "");
}

/** Folded content: <details> with a summary. */
export function folded(title, ...content) {
  return h("details", {}, h("summary", {}, title), ...content);
}

/** A button. */
export function button(label, onClick, attributes = {}) {
  return h("button", { type: "button", ...attributes, on: { click: onClick, ...attributes.on } }, label);
}

let nextId = 0;

/** A fresh id, for `for=` and `aria-describedby`. */
export function uniqueId(prefix = "id") {
  nextId += 1;
  return `${prefix}-${nextId}`;
}

/** Says a text to screen readers, politely. */
export function announce(text) {
  const region = document.getElementById("announcer");
  if (region) region.textContent = text;
}

/**
 * A short message at the bottom of the page; with `label` and `action` also a button, such as Undo.
 * It stays while the mouse or the focus is on it. Returns a function that takes it away.
 */
export function toast(text, { label = "", action = null, seconds = 8, bad = false } = {}) {
  const holder = document.getElementById("toasts");
  const close = () => {
    clearTimeout(timer);
    box.remove();
  };
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(close, seconds * 1000);
  };
  const act = () => {
    close();
    action();
  };
  let timer = 0;
  const box = h(
    "div",
    {
      class: bad ? "toast bad" : "toast",
      role: bad ? "alert" : "status",
      on: {
        mouseenter: () => clearTimeout(timer),
        mouseleave: wait,
        focusin: () => clearTimeout(timer),
        focusout: wait,
      },
    },
    h("span", {}, text),
    action && button(label, act),
    button("×", close, { class: "quiet", "aria-label": "Close this message" }),
  );
  holder.append(box);
  wait();
  return close;
}

/** Copies a text; says so. Falls back to a selection where the clipboard is not available. */
export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "unseen", readOnly: true, value: text });
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  toast("Copied", { seconds: 2 });
}

/** A line to copy (a command, a piece of Python) with its button; `.set(text)` changes it. */
export function copyable(text, label = "Copy") {
  const code = h("code", {}, text);
  const element = h("div", { class: "copyable" }, h("pre", { tabindex: "0" }, code), button(label, () => copy(code.textContent)));
  element.set = (changed) => {
    code.textContent = changed;
  };
  return element;
}

/** A function that runs `action` once, `wait` milliseconds after its last call. */
export function debounce(action, wait) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), wait);
  };
}

/** A function that runs `action` at most once in `wait` milliseconds, and once more after its last call. */
export function atMost(action, wait) {
  let [timer, before] = [0, -Infinity];
  return () => {
    if (timer) return;
    const run = () => {
      timer = 0;
      before = performance.now();
      action();
    };
    timer = setTimeout(run, Math.max(0, before + wait - performance.now()));
  };
}

/** A function that runs `action` at most once per frame, with the values of its last call. */
export function perFrame(action) {
  let waiting = null;
  return (...values) => {
    if (waiting === null) {
      requestAnimationFrame(() => {
        const last = waiting;
        waiting = null;
        action(...last);
      });
    }
    waiting = values;
  };
}

/** Whether the person asked for less movement. */
export function prefersStill() {
  return matchMedia("(prefers-reduced-motion: reduce)").matches;
}

/** Arrow keys inside a group of radio-like buttons: one tab stop, as a toolbar has. */
export function choice(label, options, chosen, onChoose, className = "choice") {
  const name = uniqueId("choice");
  return h(
    "fieldset",
    { class: className },
    h("legend", { class: "unseen" }, label),
    options.map(([value, words]) =>
      h(
        "label",
        {},
        h("input", { type: "radio", name, value, checked: value === chosen, on: { change: () => onChoose(value) } }),
        h("span", {}, words),
      ),
    ),
  );
}
