// The health of a network's layers: what is ill in one plain line first, then the figures, with their trend.

import { get, piece, withQuery } from "./api.js";
import { debounce, h, replace, s } from "./dom.js";
import { capital, number, percent } from "./format.js";
import { term } from "./glossary.js";

const TREND = 40; // points of a small trend

/** A layer's name for people: "layer1" is "layer 1". */
export function layerName(name) {
  return String(name).replace(/([a-z])(\d)/, "$1 $2").replaceAll("_", " ");
}

/** The panel; returns {show(answer), refresh()}. */
export function mountHealth(container, run, store, cleanup) {
  const place = h("div", { class: "health" }, h("p", { class: "soft" }, "Looking …"));
  const trends = new Map(); // layer -> [[step, update ratio]]
  let latest = null;
  container.append(place);

  async function refresh() {
    try {
      const answer = await get(withQuery(`runs/${piece(run.name)}/health`, { step: store.state.step }));
      if (cleanup.ended) return;
      show(answer);
      await fetchTrend(answer.steps ?? []);
    } catch (error) {
      if (!cleanup.ended) replace(place, h("p", { class: "soft" }, error.message));
    }
  }

  /** A few recorded steps, spread over the training, for the small trends. */
  async function fetchTrend(steps) {
    if (trends.size || steps.length < 3) return;
    const every = Math.max(1, Math.ceil(steps.length / 12));
    const wanted = steps.filter((_, index) => index % every === 0 || index === steps.length - 1);
    const answers = await Promise.all(wanted.map((step) => get(withQuery(`runs/${piece(run.name)}/health`, { step }))));
    if (cleanup.ended) return;
    for (const answer of answers) remember(answer);
    draw();
  }

  function remember(answer) {
    for (const layer of answer.layers ?? []) {
      const trend = trends.get(layer.name) ?? [];
      if (!trend.length || answer.step > trend[trend.length - 1][0]) trend.push([answer.step, layer.update_ratio]);
      trends.set(layer.name, trend.slice(-TREND));
    }
  }

  function show(answer) {
    latest = answer;
    if (store.state.live) remember(answer);
    draw();
  }

  function draw() {
    const layers = latest?.layers ?? [];
    if (!layers.length) return replace(place, h("p", { class: "soft" }, store.state.live ? "The first figures come soon." : "Nothing was recorded about the layers of this run."));
    const ill = layers.filter(({ line }) => line);
    const words = ill.length
      ? h("div", { class: "callout warn" }, h("ul", {}, ill.map(({ name, line }) => h("li", {}, h("strong", {}, capital(layerName(name)), ": "), line))))
      : h("p", { class: "healthy" }, h("span", { class: "badge good" }, "✓ healthy"), " Every layer learns at a sensible pace.");
    const figures = healthTable(layers, trends, store.state.detail);
    const at = h("p", { class: "small soft" }, `Measured at step ${number(latest.step)}.`);
    return replace(place, words, store.state.detail === "beginner" && !ill.length ? h("details", { open: place.querySelector("details")?.open ?? false }, h("summary", {}, "The figures of each layer"), figures, at) : [figures, at]);
  }

  const later = debounce(refresh, 200);
  cleanup.add(
    store.subscribe((state, changed) => {
      if (changed.has("step")) later();
      if (changed.has("detail")) draw();
    }),
  );
  return { show, refresh };
}

function healthTable(layers, trends, detail) {
  const share = (value) => (value === null || value === undefined ? "–" : percent(value, value > 0 && value < 0.1 ? 1 : 0));
  const full = detail === "practitioner";
  const rows = layers.map((layer) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, layer.line ? h("span", { class: "ill", title: layer.line }, "▲ ") : null, layerName(layer.name)),
      h("td", { class: "number" }, share(layer.dead)),
      full && h("td", { class: "number" }, share(layer.saturated)),
      h("td", { class: "number" }, number(layer.update_ratio, 2)),
      full && h("td", { class: "number" }, number(layer.gradient_norm, 2)),
      h("td", { class: "trend" }, spark(trends.get(layer.name) ?? [])),
    ),
  );
  return h(
    "div",
    { class: "frame" },
    h(
      "table",
      { class: "full compact" },
      h("caption", { class: "unseen" }, "Health of each layer"),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col" }, term("layer", "Layer")),
          h("th", { scope: "col", class: "number" }, term("dead neuron", "dead")),
          full && h("th", { scope: "col", class: "number" }, term("saturated neuron", "saturated")),
          h("th", { scope: "col", class: "number" }, term("update ratio", full ? "update/weight" : "nudge size")),
          full && h("th", { scope: "col", class: "number" }, term("gradient norm", "gradient")),
          h("th", { scope: "col" }, h("span", { class: "unseen" }, "trend of the update ratio")),
        ),
      ),
      h("tbody", {}, rows),
    ),
  );
}

/** A small line of [step, value] on a log scale, with its last value as a dot. */
export function spark(points) {
  const known = points.filter(([, value]) => value > 0);
  if (known.length < 2) return null;
  const values = known.map(([, value]) => Math.log(value));
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const [first, last] = [known[0][0], known[known.length - 1][0]];
  const place = ([step], index) => [2 + (76 * (step - first)) / (last - first || 1), 22 - (18 * (values[index] - low)) / (high - low || 1)];
  const places = known.map(place);
  const [endX, endY] = places[places.length - 1];
  const path = places.map(([x, y], index) => `${index ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
  const words = `from ${number(known[0][1], 2)} to ${number(known[known.length - 1][1], 2)}`;
  return s("svg", { class: "spark", viewBox: "0 0 84 26", width: 56, height: 22, role: "img", "aria-label": words }, s("title", {}, words), s("path", { d: path }), s("circle", { cx: endX, cy: endY, r: 2.5 }));
}
