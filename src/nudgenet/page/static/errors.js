// From an error to the neurons behind it: confusion matrix and worst rows, the neurons most responsible for a row's
// answer, and the training items that excite a neuron most.

import { isExported, itemAddress, withQuery } from "./api.js";
import { button, h, replace, s } from "./dom.js";
import { number, percent, plural, shortened } from "./format.js";
import { term } from "./glossary.js";
import { layerName } from "./network.js";
import { data, follow, ofRun, panel, question } from "./panel.js";
import { rowName, rowsTable } from "./row.js";

const WORST = 10;

/** The panels of errors and of responsible neurons. */
export function mountErrors(container, run, store, cleanup) {
  mountMistakes(container, run, store, cleanup);
  mountResponsible(container, run, store, cleanup);
}

function mountMistakes(container, run, store, cleanup) {
  const frame = panel("Errors", { className: "errors" });
  const matrix = h("div", {});
  const heading = h("h3", {}, "Worst rows");
  const list = h("div", { class: "frame", role: "group", "aria-label": "Worst rows", tabindex: "0" });
  const back = button("All rows", () => narrow(null), { hidden: true });
  const request = ofRun(run.name);
  let cell = null; // {truth, answer} of the chosen cell
  frame.body.append(matrix, heading, back, list);
  container.append(frame.element);

  const narrow = (chosen) => {
    cell = chosen;
    back.hidden = !cell;
    replace(heading, cell ? `Truth ${cell.truth}, answer ${cell.answer}` : "Worst rows");
    asked.refresh();
  };
  const asked = follow(frame, store, ["step", "mode"], {
    cleanup,
    async ask(state, signal) {
      const query = { part: "validation", sort: "worst", from: 0, count: WORST, step: state.step, mode: state.mode, truth: cell?.truth, answer: cell?.answer };
      const [confusion, rows] = await Promise.all([
        request.post("confusion", question(state), { signal }),
        request.get(withQuery("rows", query), { signal }),
      ]);
      return { ...confusion, rows };
    },
    show(found) {
      if (found.matrix) showMatrix(matrix, found, cell, narrow);
      else showPairs(matrix, found);
      replace(list, found.rows.rows.length ? rowsTable(found.rows, (row) => choose(store, row)) : h("p", { class: "soft" }, "No such rows."));
    },
  });
}

function choose(store, row) {
  store.set({ row });
  const place = document.querySelector(".responsible h2");
  place?.setAttribute("tabindex", "-1");
  place?.focus({ preventScroll: true });
  place?.scrollIntoView({ block: "nearest" });
}

/** Counts of answers by truth; each cell is a button that lists its rows. */
function showMatrix(place, { classes, matrix, part }, chosen, narrow) {
  const most = Math.max(1, ...matrix.flat());
  const built = place.firstElementChild?.dataset.classes;
  if (built !== JSON.stringify(classes)) buildMatrix(place, classes, part, narrow);
  const buttons = [...place.querySelectorAll("td button")];
  matrix.flat().forEach((count, index) => {
    const [truth, answer] = [Math.floor(index / classes.length), index % classes.length];
    const cell = buttons[index];
    const right = truth === answer;
    if (cell.textContent !== number(count)) cell.textContent = number(count);
    cell.style.setProperty("--share", Math.sqrt(count / most).toFixed(3));
    cell.setAttribute("aria-label", `truth ${classes[truth]}, answer ${classes[answer]}: ${plural(count, "row")}${right ? ", right" : ", wrong"}`);
    cell.setAttribute("aria-pressed", String(chosen?.truth === classes[truth] && chosen?.answer === classes[answer]));
  });
  const [total, right] = [matrix.flat().reduce((sum, count) => sum + count, 0), matrix.reduce((sum, row, index) => sum + row[index], 0)];
  replace(place.lastElementChild, `${number(right)} of ${plural(total, `${part} row`)} right (${percent(total ? right / total : null)}). A cell lists its rows.`);
}

function buildMatrix(place, classes, part, narrow) {
  const cell = (truth, answer) => h("td", { class: truth === answer ? "right" : "wrong-cell" }, button("", () => narrow({ truth: classes[truth], answer: classes[answer] })));
  const body = classes.map((name, truth) => h("tr", {}, h("th", { scope: "row" }, shortened(name, 18)), classes.map((_, answer) => cell(truth, answer))));
  const head = h("tr", {}, h("th", { scope: "col", class: "corner" }, "truth ↓ answer →"), classes.map((name) => h("th", { scope: "col" }, shortened(name, 12))));
  const grid = h("table", { class: "confusion" }, h("caption", { class: "unseen" }, `Confusion matrix of the ${part} part`), h("thead", {}, head), h("tbody", {}, body));
  replace(place, h("div", { class: "frame", tabindex: "0", role: "group", "aria-label": "Confusion matrix", data: { classes: JSON.stringify(classes) } }, grid), h("p", { class: "small soft" }));
}

/** Of a regression: truth against answer, the diagonal being right. */
function showPairs(place, { pairs }) {
  const values = pairs.flat();
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const at = (value) => 20 + (260 * (value - low)) / (high - low || 1);
  const dots = pairs.slice(0, 1500).map(([truth, answer]) => `M${at(truth).toFixed(1)} ${(300 - at(answer)).toFixed(1)}h0`);
  const off = pairs.reduce((sum, [truth, answer]) => sum + Math.abs(truth - answer), 0) / Math.max(1, pairs.length);
  replace(
    place,
    s(
      "svg",
      { class: "pairs", viewBox: "0 0 300 300", role: "img", "aria-label": `Truth against answer of ${plural(pairs.length, "row")}; on average ${number(off)} apart` },
      s("path", { class: "axis", d: "M20 20V280H280" }),
      s("path", { class: "diagonal", d: "M20 280L280 20" }),
      s("path", { class: "dots", d: dots.join("") }),
      s("text", { x: 280, y: 296, "text-anchor": "end" }, `truth, ${number(low)} to ${number(high)}`),
      s("text", { x: 24, y: 14 }, "answer"),
    ),
    h("p", { class: "small soft" }, `On the line the answer is right; on average it is ${number(off)} off.`),
  );
}

function mountResponsible(container, run, store, cleanup) {
  const frame = panel("Who is responsible", { className: "responsible" });
  const about = h("p", { class: "about" });
  const list = h("ol", { class: "blame" });
  const title = h("h3", {});
  const items = h("div", { class: "items" });
  const request = ofRun(run.name);
  frame.body.append(about, list, title, items);
  container.append(frame.element);
  follow(frame, store, ["step", "mode", "row", "member"], {
    cleanup,
    ask: (state, signal) => state.row && request.post("responsible", question(state), { signal }),
    show(found, state) {
      replace(about, "The neurons that spoke most for the answer on ", h("b", {}, rowName(state.row)), ". Click one: the network's panel opens it, and below are the training rows that excite it most.");
      showNeurons(list, found.neurons, store);
    },
  });
  follow(frame, store, ["step", "mode", "member", "layer", "neuron"], {
    cleanup,
    ask: (state, signal) =>
      state.layer !== null && state.layer !== undefined && request.post("exciting", question(state, { layer: state.layer, neuron: state.neuron }), { signal }),
    show(found, state) {
      replace(title, `What excites ${layerName(state.layer)} [${state.neuron}] most`);
      replace(items, found.items.map((item) => itemCard(run, item, (row) => store.set({ row }))));
    },
  });
}

function showNeurons(list, neurons, store) {
  const most = Math.max(1e-12, ...neurons.map(({ share }) => Math.abs(share)));
  const line = ({ layer, index, share }) =>
    h(
      "li",
      {},
      button([layerName(layer), ` [${index}]`], () => store.set({ layer, neuron: index }), { class: "link" }),
      h("span", { class: "share", "aria-hidden": "true" }, h("span", { class: share < 0 ? "negative" : "positive", style: { width: `${(100 * Math.abs(share)) / most}%` } })),
      data(share, 3),
    );
  replace(list, neurons.map(line));
}

/** One training item that excites a neuron: its picture, sound or cells, and how strongly. */
function itemCard(run, { index, fired, cells, truth, part }, choose_) {
  const where = run.media === "image" ? itemAddress(run.name, part, index) : null;
  const media = where && h("img", { src: where, alt: `Training image ${index}`, loading: "lazy" });
  const words = Object.entries(cells ?? {}).slice(0, run.media ? 1 : 4);
  return h(
    "article",
    { class: run.media === "text" ? "item words" : "item" },
    media,
    h("p", {}, isExported() ? `row ${number(index)}` : button(`row ${number(index)}`, () => choose_({ part, index }), { class: "link" }), " fires ", data(fired)),
    truth !== null && truth !== undefined && h("p", { class: "small soft" }, `truth: ${typeof truth === "number" ? number(truth) : shortened(truth, 30)}`),
    run.media !== "image" && h("dl", {}, words.map(([name, text]) => [h("dt", {}, shortened(name, 20)), h("dd", {}, shortened(text, run.media === "text" ? 160 : 24))])),
  );
}
