// Where the answer turns: a run's answers over two of its columns, the others held at your row's values.

import { h, replace, table } from "./dom.js";
import { number, percent, shortened } from "./format.js";
import { drawCross, drawPoint, paintSurface } from "./maps.js";
import { follow, labelled, lazily, ofRun, panel, picture, question, select } from "./panel.js";

const DRAGGED = 40; // points a side while the slider moves
const RESTING = 80;

/** The panel; only for runs with two number columns. */
export function mountBoundary(container, run, store, cleanup) {
  const numeric = (run.columns ?? []).filter(({ kind, used }) => kind === "number" && used !== false).map(({ name }) => name);
  if (numeric.length < 2) return;
  const frame = panel("Decision boundary", { className: "boundary" });
  if (run.exported && !run.exported.axes) return;
  const [x, y] = run.exported?.axes ?? numeric;
  const chosen = { x, y };
  let latest = null;
  const drawing = picture("Decision boundary", 320, (context, width, height) => latest && paint(context, width, height, latest, chosen, store.state.cells), cleanup);
  const axes = { x: h("p", { class: "axis-name" }), y: h("p", { class: "axis-name" }) };
  const words = h("p", { class: "small soft" });
  const numbers = lazily("The same as a table", () => latest && coarse(latest, chosen));
  const pick = (axis) => {
    const control = select(numeric.map((name) => [name, shortened(name, 30)]), chosen[axis], (name) => ((chosen[axis] = name), asked.refresh()));
    return labelled(axis === "x" ? "Across" : "Up", control);
  };
  frame.body.append(
    h("p", { class: "about" }, "The answer for every pair of values; the other columns stay as in your row (the cross). The dark line is where the answer turns."),
    h("div", { class: "controls", hidden: Boolean(run.exported) }, pick("x"), pick("y")),
    axes.y,
    drawing.canvas,
    axes.x,
    words,
    numbers.element,
  );
  container.append(frame.element);
  const asked = follow(frame, store, ["step", "mode", "row", "member"], {
    cleanup,
    ask(state, signal) {
      if (!state.row || chosen.x === chosen.y) return null;
      return ofRun(run.name).post("boundary", question(state, { ...chosen, resolution: state.mode === "nearest" ? DRAGGED : RESTING }), { signal });
    },
    show(found) {
      latest = { ...found, classes: found.classes?.length ? found.classes : null };
      drawing.draw();
      replace(axes.x, `${chosen.x}: ${number(found.x[0])} to ${number(found.x.at(-1))} →`);
      replace(axes.y, `↑ ${chosen.y}: ${number(found.y[0])} to ${number(found.y.at(-1))}`);
      const text = summary(latest);
      replace(words, text);
      drawing.canvas.setAttribute("aria-label", `Decision boundary over ${chosen.x} and ${chosen.y}. ${text}`);
      numbers.changed();
    },
  });
  cleanup.add(store.subscribe((_, changed) => changed.has("cells") && drawing.draw()));
}

function range(grid, classes) {
  if (classes) return { low: 0, high: 1 };
  const values = grid.flat().filter((value) => value !== null);
  return { low: Math.min(...values), high: Math.max(...values) };
}

function paint(context, width, height, found, chosen, cells) {
  const { x, y, grid, classes, points } = found;
  paintSurface(context, width, height, grid, { classes, ...range(grid, classes) });
  const at = (value, axis, size) => ((value - axis[0]) / (axis.at(-1) - axis[0] || 1)) * size;
  const numberOf = (truth) => Math.max(0, classes ? classes.indexOf(truth) : 0);
  for (const point of points) drawPoint(context, at(point.x, x, width), height - at(point.y, y, height), numberOf(point.truth), 3.5, point.part !== "train");
  const own = [Number.parseFloat(cells?.[chosen.x]), Number.parseFloat(cells?.[chosen.y])];
  if (own.every(Number.isFinite)) drawCross(context, at(own[0], x, width), height - at(own[1], y, height));
}

function answerAt(value, classes) {
  if (value === null) return null;
  if (Array.isArray(value)) return classes[value.indexOf(Math.max(...value))];
  return classes ? classes[value > 0.5 ? 1 : 0] : value;
}

/** How much of the picture each class holds, or the range of the numbers. */
function summary({ grid, classes }) {
  const all = grid.flat(1).map((value) => answerAt(value, classes));
  if (!classes) return `Answers from ${number(Math.min(...all))} to ${number(Math.max(...all))}.`;
  const shares = classes.map((name) => [name, all.filter((answer) => answer === name).length / all.length]);
  const held = shares.sort((a, b) => b[1] - a[1]).slice(0, 4);
  return `${held.map(([name, share]) => `${shortened(name, 20)} on ${percent(share, 0)}`).join(", ")} of the area.`;
}

function coarse({ x, y, grid, classes }, chosen) {
  const picks = (axis) => [0, 0.25, 0.5, 0.75, 1].map((share) => Math.round(share * (axis.length - 1)));
  const text = (value) => (Array.isArray(value) ? answerAt(value, classes) : classes ? `${answerAt(value, classes)} (${percent(value, 0)})` : number(value));
  const rows = picks(y).reverse().map((row) => [number(y[row]), ...picks(x).map((column) => text(grid[row][column]))]);
  return table("Answers on a coarse grid", [`${chosen.y} ↓ ${chosen.x} →`, ...picks(x).map((column) => number(x[column]))], rows);
}
