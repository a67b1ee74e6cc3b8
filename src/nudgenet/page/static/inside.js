// What a network looks for: its first layer's filters, and a transformer's attention.

import { h, replace, table } from "./dom.js";
import { number, plural, shortened } from "./format.js";
import { term } from "./glossary.js";
import { heatMap, paintFilter } from "./maps.js";
import { data, follow, lazily, ofRun, panel, question, select } from "./panel.js";

const MOST_FILTERS = 64;

/** First-layer filters: a heat map by columns, or small images. */
export function mountFilters(container, run, store, cleanup) {
  const frame = panel("First-layer filters", { className: "filters" });
  const place = h("div", {});
  let latest = null;
  const numbers = lazily("The numbers as a table", () => latest && numbersOf(latest));
  frame.body.append(
    h("p", { class: "about" }, "What each neuron of the first layer listens to: ", h("b", {}, "blue adds"), ", ", h("b", {}, "vermilion takes away"), ", pale is ignored."),
    place,
    numbers.element,
  );
  container.append(frame.element);
  const paint = () => latest && (latest.kind === "images" ? showImages : showColumns)(place, latest, store);
  follow(frame, store, ["step", "mode", "member"], {
    cleanup,
    ask: (state, signal) => ofRun(run.name).post("filters", question(state), { signal }),
    show(found) {
      latest = found;
      paint();
      numbers.changed();
    },
  });
  cleanup.add(repaintOnTheme(paint));
}

function repaintOnTheme(paint) {
  const observer = new MutationObserver(paint);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  return () => observer.disconnect();
}

/** Neurons down, columns across. */
function showColumns(place, { filters, layer }, store) {
  const columns = filters[0]?.columns ?? [];
  const shown = filters.slice(0, MOST_FILTERS);
  const values = shown.map((filter) => filter.values.flat());
  if (place.dataset.kind !== `columns ${columns.length} ${shown.length}`) {
    place.dataset.kind = `columns ${columns.length} ${shown.length}`;
    const canvas = h("canvas", { class: "heat", role: "img" });
    canvas.style.height = `${Math.max(90, Math.min(360, 9 * shown.length))}px`;
    canvas.addEventListener("click", (event) => {
      const row = Math.floor((event.offsetY / canvas.clientHeight) * shown.length);
      store.set({ layer, neuron: shown[row].index });
    });
    replace(place, canvas, h("div", { class: "heat-names", "aria-hidden": "true" }, columns.map((name, at) => h("span", { style: { flexGrow: shown[0].values[at].length ?? 1 } }, shortened(name, 16)))));
  }
  const canvas = place.firstElementChild;
  canvas.setAttribute("aria-label", `Heat map: ${plural(shown.length, "neuron")} of layer 1 by ${plural(columns.length, "column")}. The table below has the numbers.`);
  heatMap(canvas, values);
}

function showImages(place, { filters, layer }, store) {
  const shown = filters.slice(0, MOST_FILTERS);
  if (place.dataset.kind !== `images ${shown.length}`) {
    place.dataset.kind = `images ${shown.length}`;
    const open = (index) => () => store.set({ layer, neuron: index });
    replace(place, h("div", { class: "filter-images" }, shown.map(({ index }) => h("button", { type: "button", class: "quiet", "aria-label": `Filter ${index}`, on: { click: open(index) } }, h("canvas", {})))));
  }
  shown.forEach(({ values }, at) => paintFilter(place.querySelectorAll("canvas")[at], values));
}

function numbersOf({ kind, filters }) {
  if (kind === "images") return table("Filters", ["Filter", "Smallest weight", "Largest weight"], filters.map(({ index, values }) => [number(index), data(Math.min(...values.flat(2))), data(Math.max(...values.flat(2)))]), { numeric: [1, 2] });
  const columns = filters[0]?.columns ?? [];
  const cell = (weights) => [weights].flat().map((value, at) => [at ? " " : "", data(value)]);
  return table("Filters", ["Neuron", ...columns.map((name) => shortened(name, 20))], filters.map(({ index, values }) => [number(index), ...values.map(cell)]), { numeric: columns.map((_, at) => at + 1) });
}

/** Attention of a transformer: which word looks at which, per layer and head. */
export function mountAttention(container, run, store, cleanup) {
  const frame = panel("Attention", { className: "attention" });
  const canvas = h("canvas", { class: "heat", role: "img" });
  const controls = h("div", { class: "controls" });
  const words = h("div", { class: "heat-names", "aria-hidden": "true" });
  const chosen = { layer: 0, head: 0 };
  let latest = null;
  const numbers = lazily("The strongest looks as a table", () => latest && looks(latest, chosen));
  frame.body.append(
    h("p", { class: "about" }, "How much each word (down) looks at each other word (across). ", h("b", {}, "Attention is not proof of cause"), ": a word that is looked at need not have made the answer; Your row tells what changes it."),
    controls,
    canvas,
    words,
    numbers.element,
  );
  container.append(frame.element);
  const paint = () => {
    const map = latest?.layers[chosen.layer]?.heads[chosen.head];
    if (!map) return;
    canvas.style.height = `${Math.min(360, 18 * map.length)}px`;
    canvas.setAttribute("aria-label", `Attention of layer ${chosen.layer + 1}, head ${chosen.head + 1} over ${plural(latest.words.length, "word")}: ${latest.words.slice(0, 12).join(" ")}`);
    heatMap(canvas, map, 1);
    numbers.changed();
  };
  follow(frame, store, ["step", "mode", "row", "member"], {
    cleanup,
    ask: (state, signal) => state.row && ofRun(run.name).post("attention", question(state), { signal }),
    show(found) {
      latest = found;
      const pick = (name, count) =>
        select([...Array(count).keys()].map((at) => [at, `${name} ${at + 1}`]), chosen[name], (at) => ((chosen[name] = Number(at)), paint()), { "aria-label": `Which ${name}` });
      replace(controls, pick("layer", found.layers.length), pick("head", found.layers[0]?.heads.length ?? 0));
      replace(words, found.words.map((word) => h("span", {}, shortened(word, 14))));
      paint();
    },
  });
  cleanup.add(repaintOnTheme(paint));
}

function looks({ layers, words }, { layer, head }) {
  const map = layers[layer].heads[head];
  const all = map.flatMap((row, from) => row.map((share, to) => [words[from], words[to], share]));
  const strongest = all.sort((a, b) => b[2] - a[2]).slice(0, 20);
  return table("Strongest looks", ["Word", "looks at", "Share"], strongest.map(([from, to, share]) => [from, to, data(share)]), { numeric: [2] });
}
