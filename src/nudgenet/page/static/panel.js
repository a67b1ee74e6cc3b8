// What the panels over the time slider share: a frame, numbers that keep all their digits, and asking the server
// in a way that a dragged slider never queues up work.

import { get, piece, post } from "./api.js";
import { append, h, prose, replace, uniqueId } from "./dom.js";
import { exact, number, percent } from "./format.js";

/** A panel with its heading: {element, body, say(problem)}. */
export function panel(title, { className = "", about = null } = {}) {
  const id = uniqueId("panel");
  const body = h("div", { class: "body" });
  const problem = h("p", { class: "problem", role: "status", hidden: true });
  const heading = h("h2", { id }, title);
  const element = h(
    "section",
    { class: `panel ${className}`, "aria-labelledby": id },
    heading,
    about && h("p", { class: "about" }, about),
    problem,
    body,
  );
  return {
    element,
    body,
    heading,
    say(words) {
      problem.hidden = !words;
      replace(problem, prose(words ?? ""));
    },
  };
}

/** A number as people read it; its title and value keep every digit that PyTorch gave. */
export function data(value, digits = 3, attributes = {}) {
  return h("data", { value: exact(value), title: exact(value), ...attributes }, shown(value, digits));
}

function shown(value, digits) {
  return number(value === 0 ? 0 : value, digits); // −0 is 0 to people
}

/** Puts another number into what `data` made. */
export function setData(element, value, digits = 3) {
  const text = shown(value, digits);
  if (element.textContent !== text) element.textContent = text;
  element.setAttribute("value", exact(value));
  element.setAttribute("title", exact(value));
}

/** A probability; what is next to nothing says no more than that. */
export function chance(probability) {
  return probability > 0 && probability < 1e-4 ? "< 0.01 %" : percent(probability);
}

/** The same number in brackets if it is negative, as a factor in a sum. */
export function factor(value, digits = 3) {
  return value < 0 ? ["(", data(value, digits), ")"] : data(value, digits);
}

/** What every question about the opened network holds. */
export function question(state, more = {}) {
  return { step: state.step ?? null, mode: state.mode ?? "exact", row: state.row, member: state.member ?? 0, ...more };
}

/** GET and POST under a run's own path. */
export function ofRun(name) {
  return {
    get: (path, options) => get(`runs/${piece(name)}/${path}`, options),
    post: (path, body, options) => post(`runs/${piece(name)}/${path}`, body, options),
  };
}

/**
 * Keeps a panel true to the store: asks again when one of `keys` changes, while the panel is on the screen.
 *
 * At most one request is under way; of what is wished meanwhile only the last is asked. An answer that belongs to
 * another row, neuron or member than the present one is dropped, one that is merely a few steps old (the slider is
 * being dragged) is shown. An exact answer, which may take long, never makes the slider wait: it is abandoned.
 *
 * ask(state, signal) -> promise of an answer, or null if there is nothing to ask; show(answer, state).
 */
export function follow(frame, store, keys, { ask, show, cleanup }) {
  const element = frame.element;
  let wanted = true;
  let onScreen = false;
  let busy = null; // {controller, state} of the request under way
  let latest = null; // the answer that is shown

  const watcher = new IntersectionObserver(
    (entries) => {
      onScreen = entries.at(-1).isIntersecting;
      go();
    },
    { rootMargin: "200px" },
  );
  watcher.observe(element);

  async function go() {
    if (!wanted || busy || !onScreen || cleanup.ended) return;
    wanted = false;
    const state = store.state;
    const mine = { controller: new AbortController(), state };
    const request = ask(state, mine.controller.signal);
    if (!request) return;
    busy = mine;
    element.setAttribute("aria-busy", "true");
    try {
      const answer = await request;
      if (busy === mine && !cleanup.ended) {
        frame.say("");
        latest = answer;
        show(answer, state);
        if (answer.at && !cleanup.ended) store.set({ at: answer.at });
      }
    } catch (error) {
      if (busy === mine && error.name !== "AbortError") frame.say(error.message);
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

  function again(changed) {
    const restOnly = [...changed].every((key) => key === "mode" || !keys.includes(key));
    if (restOnly && !busy && latest?.at?.exact && latest.at.step === store.state.step) return; // it was exact already
    wanted = true;
    const moved = [...changed].every((key) => key === "step" || key === "mode" || !keys.includes(key));
    if (busy && (!moved || busy.state.mode !== "nearest")) {
      busy.controller.abort();
      release();
    } else go();
  }

  cleanup.add(
    store.subscribe((_, changed) => {
      if (keys.some((key) => changed.has(key))) again(changed);
    }),
  );
  cleanup.add(() => {
    watcher.disconnect();
    busy?.controller.abort();
  });
  return { refresh };
}

/** Fills a <details> only while it is open: tables of many numbers cost nothing while nobody reads them. */
export function lazily(title, make) {
  const body = h("div", { class: "frame", tabindex: "0", role: "group", "aria-label": title });
  const element = h("details", {}, h("summary", {}, title), body);
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

/** A labelled control in a row of controls. */
export function labelled(words, control, { hint = null } = {}) {
  control.id ||= uniqueId("control");
  return h("div", { class: "field" }, h("label", { for: control.id }, words), control, hint && h("small", {}, hint));
}

/** A <select> of [value, words] pairs. */
export function select(options, chosen, onChoose, attributes = {}) {
  return append(
    h("select", { ...attributes, on: { change: (event) => onChoose(event.target.value) } }),
    options.map(([value, words]) => h("option", { value, selected: String(value) === String(chosen) }, words)),
  );
}

/** A canvas as large as its box, sharp on dense screens; `paint(context, width, height)` draws it anew each time. */
export function picture(label, height, paint, cleanup) {
  const canvas = h("canvas", { role: "img", "aria-label": label, style: { width: "100%", height: `${height}px` } });
  const draw = () => {
    const width = canvas.clientWidth;
    if (!width || !canvas.clientHeight) return;
    const density = Math.min(2, window.devicePixelRatio || 1);
    const [wide, high] = [Math.round(width * density), Math.round(canvas.clientHeight * density)];
    if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
    const context = canvas.getContext("2d");
    context.setTransform(density, 0, 0, density, 0, 0);
    context.clearRect(0, 0, width, canvas.clientHeight);
    paint(context, width, canvas.clientHeight);
  };
  const size = new ResizeObserver(draw);
  size.observe(canvas);
  const theme = new MutationObserver(draw);
  theme.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  cleanup.add(() => {
    size.disconnect();
    theme.disconnect();
  });
  return { canvas, draw };
}

/** A colour of the theme, for a canvas. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim() || "#777";
}

/** Words for beginners and for practitioners: the switch at the top of the page shows one of them. */
export function both(beginner, practitioner) {
  return [h("span", { class: "for-beginner" }, beginner), h("span", { class: "for-practitioner" }, practitioner)];
}

/**
 * A table whose numbers change often: `fill(rows)` writes into the cells that are there. A cell is a text or
 * {value, digits}; the first of a row is its heading.
 */
export function numbersTable(caption, head, { className = "" } = {}) {
  const body = h("tbody");
  const element = h(
    "table",
    { class: `numbers ${className}` },
    h("caption", { class: "unseen" }, caption),
    h("thead", {}, h("tr", {}, head.map((cell, index) => h("th", { scope: "col", class: index ? "number" : null }, cell)))),
    body,
  );
  function fill(rows) {
    while (body.rows.length > rows.length) body.lastChild.remove();
    rows.forEach((cells, at) => {
      const row = body.rows[at] ?? body.appendChild(makeRow(head.length));
      row.className = cells.className ?? "";
      cells.forEach((cell, index) => fillCell(row.cells[index], cell));
    });
  }
  return { element, fill, body };
}

function makeRow(width) {
  return h("tr", {}, [...Array(width).keys()].map((index) => h(index ? "td" : "th", index ? { class: "number" } : { scope: "row" })));
}

function fillCell(place, cell) {
  const isNumber = cell !== null && typeof cell === "object" && "value" in cell;
  const only = place.firstElementChild;
  if (isNumber && only?.tagName === "DATA") setData(only, cell.value, cell.digits);
  else if (isNumber) replace(place, data(cell.value, cell.digits));
  else if (typeof cell === "string" && !only) place.textContent = cell;
  else replace(place, cell);
}
