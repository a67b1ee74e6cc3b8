// Kinks: their curves, and a small plot of one with a neuron's point on it.

import { h, replace, s } from "./dom.js";
import { number } from "./format.js";

const [WIDTH, HEIGHT, EDGE] = [240, 170, 14];

/** What a kink makes of a sum, for drawing; the numbers on the page are the server's. */
export const CURVES = {
  relu: (z) => Math.max(0, z),
  gelu: (z) => 0.5 * z * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3))),
  silu: (z) => z / (1 + Math.exp(-z)),
  tanh: Math.tanh,
  sigmoid: (z) => 1 / (1 + Math.exp(-z)),
  none: (z) => z,
};

/** The plot: `show({kink, sum, fired})` moves its point; `tangent(slope)` draws the slope there, null removes it. */
export function kinkPlot(nameOf) {
  const axes = s("path", { class: "axis" });
  const curve = s("path", { class: "curve" });
  const drop = s("path", { class: "drop" });
  const slopeLine = s("path", { class: "tangent" });
  const point = s("circle", { class: "point", r: 6 });
  const words = [s("text", { class: "soft" }), s("text", { class: "soft" })];
  const chart = s("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img" }, axes, curve, drop, slopeLine, point, words);
  const caption = h("figcaption", { class: "small soft" });
  let at = null; // {x, y: to pixels, sum, fired}

  function show({ kink, sum, fired }) {
    const curveOf = CURVES[kink] ?? CURVES.none;
    const reach = Math.max(2, 1.3 * Math.abs(sum), 1.3 * Math.abs(fired));
    const flat = kink === "sigmoid" || kink === "tanh";
    const [low, high] = flat ? [-1.25, 1.25] : [-0.45 * reach, reach];
    const x = (value) => EDGE + ((value + reach) / (2 * reach)) * (WIDTH - 2 * EDGE);
    const y = (value) => HEIGHT - EDGE - ((value - low) / (high - low)) * (HEIGHT - 2 * EDGE);
    at = { x, y, sum, fired, reach };
    axes.setAttribute("d", `M${EDGE} ${y(0)}H${WIDTH - EDGE}M${x(0)} ${EDGE}V${HEIGHT - EDGE}`);
    const steps = Array.from({ length: 81 }, (_, index) => -reach + (index * reach) / 40);
    const clip = (value) => Math.max(low - (high - low) * 0.05, Math.min(high * 1.05, value));
    curve.setAttribute("d", steps.map((z, index) => `${index ? "L" : "M"}${x(z).toFixed(1)} ${y(clip(curveOf(z))).toFixed(1)}`).join(""));
    const top = clip(fired);
    drop.setAttribute("d", `M${x(sum)} ${y(0)}V${y(top)}H${x(0)}`);
    point.setAttribute("cx", x(sum));
    point.setAttribute("cy", y(top));
    place(words[0], WIDTH - EDGE, y(0) + 13, "end", "sum");
    place(words[1], x(0) + 5, EDGE + 2, "start", "after the kink");
    chart.setAttribute("aria-label", `${nameOf(kink)}: a sum of ${number(sum)} becomes ${number(fired)}`);
    replace(caption, `${nameOf(kink)}: ${number(sum)} becomes ${number(fired)}`);
  }

  function tangent(slope) {
    if (slope === null || slope === undefined || !at) return slopeLine.removeAttribute("d");
    const half = 0.35 * at.reach;
    const ends = [-half, half].map((by) => `${at.x(at.sum + by)} ${at.y(at.fired + by * slope)}`);
    return slopeLine.setAttribute("d", `M${ends[0]}L${ends[1]}`);
  }

  /** The point travels from the axis up to the curve. */
  function travel(delay) {
    if (!at) return;
    const down = at.y(0) - at.y(at.fired);
    point.animate([{ transform: `translateY(${down}px)` }, { transform: "none" }], { duration: 450, delay, fill: "backwards", easing: "ease-out" });
  }

  return { element: h("figure", { class: "kink" }, chart, caption), show, tangent, travel };
}

function place(text, x, y, anchor, words) {
  text.setAttribute("x", x);
  text.setAttribute("y", y);
  text.setAttribute("text-anchor", anchor);
  text.textContent = words;
}
