// The playground: the real loop trains on two inputs, and the boundary between its answers is drawn while it moves.

import { get, piece, socket } from "./api.js";
import { createChart } from "./chart.js";
import { button, copyable, h, replace, s, table } from "./dom.js";
import { number, percent, plural, shortened } from "./format.js";
import { term } from "./glossary.js";
import { drawPoint, paintSurface } from "./maps.js";
import { data, labelled, lazily, picture, select } from "./panel.js";
import { createCleanup } from "./state.js";

const BUILT_IN = [["spirals", "Spirals"], ["circles", "Circles"], ["moons", "Moons"], ["blobs", "Blobs"]];
const KINKS = [["relu", "ReLU"], ["tanh", "tanh"], ["gelu", "GELU"], ["silu", "SiLU"], ["sigmoid", "sigmoid"], ["none", "none"]];
const OPTIMIZERS = [["adamw", "AdamW"], ["adam", "Adam"], ["sgd", "SGD"]];
const STRAIGHT = "Without the kink it stays a straight line, however many layers.";
const FIRST = {
  data: "spirals",
  rows: 400,
  noise: 0.1,
  layers: 2,
  neurons: 8,
  activation: "relu",
  learning_rate: 0.01,
  optimizer: "adamw",
  weight_decay: 0,
  dropout: 0,
  seed: 0,
  batch_size: 32,
};
// name, words, attributes of the field
const NUMBERS = [
  ["rows", "Rows", { min: 20, max: 5000, step: 10 }],
  ["noise", "Noise", { min: 0, max: 1, step: 0.05 }],
  ["layers", "Layers", { min: 0, max: 6, step: 1 }],
  ["neurons", "Neurons a layer", { min: 1, max: 64, step: 1 }],
  ["learning_rate", "Learning rate", { min: 0.0001, max: 3, step: "any" }],
  ["batch_size", "Batch size", { min: 1, max: 1000, step: 1 }],
  ["weight_decay", "Weight decay", { min: 0, max: 10, step: "any" }],
  ["dropout", "Dropout", { min: 0, max: 0.9, step: 0.05 }],
  ["seed", "Seed", { min: 0, step: 1 }],
];
const GROUPS = [["Data", ["rows", "noise"]], ["Network", ["layers", "neurons"]], ["Training", ["learning_rate", "batch_size", "weight_decay", "dropout", "seed"]]];

/** The view `#/playground`. Returns a function that ends it. */
export function mountPlayground(container) {
  const cleanup = createCleanup();
  const wanted = { ...FIRST };
  const status = h("p", { class: "status", role: "status" }, "Press Start.");
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const screen = createScreen(wanted, cleanup);
  const controls = createControls(wanted, changed);
  const command = copyable("", "Copy the command");
  command.hidden = true;
  const buttons = {
    start: button("Start", start, { class: "primary" }),
    pause: button("Pause", () => say(running ? "pause" : "go"), { disabled: true }),
    step: button("Step", () => say("step"), { disabled: true }),
    stop: button("Stop", () => say("stop"), { disabled: true }),
  };
  container.append(
    h("div", { class: "head" }, h("h1", {}, "Playground"), h("p", { class: "soft" }, "The real training loop on two inputs, as you watch. Change anything and it starts again, from the same first weights as long as the seed is the same.")),
    h("div", { class: "playground" }, h("div", { class: "play-controls" }, controls.element), h("div", {}, h("div", { class: "controls" }, Object.values(buttons)), status, problem, screen.element, command)),
  );
  let line = null;
  let running = false;
  let started = false;
  let waiting = 0;

  function connect() {
    line ??= socket("playground", {
      open: () => line.send({ do: "start", ...wanted }),
      message: receive,
      close() {
        line = null;
        running = false;
        showButtons();
      },
    });
  }

  function start() {
    clearTimeout(waiting);
    problem.hidden = true;
    screen.clear();
    started = running = true;
    if (line) line.send({ do: "start", ...wanted });
    else connect();
    showButtons();
  }

  function changed() {
    if (!started) return;
    clearTimeout(waiting);
    waiting = setTimeout(start, 300);
  }

  function say(what) {
    line?.send({ do: what });
    if (what === "stop") started = false;
    running = what === "go";
    showButtons();
    if (what === "stop") status.textContent = "Stopped.";
  }

  function receive(frame) {
    if (frame.error) {
      problem.hidden = false;
      problem.textContent = frame.error;
      started = running = false;
      return showButtons();
    }
    if (frame.command) {
      command.hidden = false;
      command.set(frame.command);
    }
    if (frame.done) started = running = false;
    screen.receive(frame);
    status.textContent = `Epoch ${number(frame.epoch)}, step ${number(frame.step)}: loss ${number(frame.train_loss)} on the training rows, ${number(frame.validation_loss)} on the others${frame.done ? ". Done." : ""}`;
    return showButtons();
  }

  function showButtons() {
    replace(buttons.start, started ? "Start again" : "Start");
    replace(buttons.pause, running || !started ? "Pause" : "Go");
    for (const name of ["pause", "stop"]) buttons[name].disabled = !started;
    buttons.step.disabled = !started || running;
  }

  cleanup.add(() => {
    clearTimeout(waiting);
    line?.close();
  });
  return () => cleanup.end();
}

function createControls(wanted, changed) {
  const fields = Object.fromEntries(NUMBERS.map(([name, words, limits]) => [name, numberField(name, words, limits, wanted, changed)]));
  const hint = h("p", { class: "small hint", role: "status" });
  const kink = select(KINKS, wanted.activation, (value) => {
    wanted.activation = value;
    hint.textContent = value === "none" ? STRAIGHT : "";
    changed();
  });
  const optimizer = select(OPTIMIZERS, wanted.optimizer, (value) => {
    wanted.optimizer = value;
    changed();
  });
  const own = h("div", { class: "own-data" });
  const source = select([...BUILT_IN, ["run", "Two columns of a run…"]], "spirals", (value) => {
    replace(own);
    if (value === "run") chooseRun(own, wanted, changed);
    else {
      wanted.data = value;
      changed();
    }
  });
  const more = { Data: [labelled("Data", source), own], Network: [h("div", {}, labelled([term("activation", "Kink")], kink), hint)], Training: [labelled([term("optimizer", "Optimizer")], optimizer)] };
  const groups = GROUPS.map(([title, names]) => h("fieldset", {}, h("legend", {}, title), more[title], h("div", { class: "pairs-of-fields" }, names.map((name) => fields[name]))));
  return { element: h("form", { "aria-label": "What is trained", on: { submit: (event) => event.preventDefault() } }, groups) };
}

function numberField(name, words, limits, wanted, changed) {
  const input = h("input", { type: "number", ...limits, value: wanted[name] });
  input.addEventListener("change", () => {
    const value = Number(input.value);
    if (input.value === "" || !Number.isFinite(value) || value < limits.min || value > (limits.max ?? Infinity)) {
      input.value = wanted[name];
      return;
    }
    wanted[name] = value;
    changed();
  });
  return labelled(words, input);
}

/** Two number columns of one of the runs: the run gives source and target. */
async function chooseRun(place, wanted, changed) {
  try {
    const { runs } = await get("runs");
    const tables = runs.filter(({ source }) => source !== null);
    if (!tables.length) return replace(place, h("p", { class: "small soft" }, "There is no run yet."));
    const columns = h("div", {});
    let turn = 0; // the last choice counts, whichever answer comes last
    const choose = async (name) => {
      const mine = (turn += 1);
      const run = await get(`runs/${piece(name)}`);
      if (mine === turn) showColumns(columns, run, wanted, changed);
    };
    replace(place, labelled("Run", select(tables.map(({ name }) => [name, name]), tables[0].name, choose)), columns);
    return await choose(tables[0].name);
  } catch (error) {
    return replace(place, h("p", { class: "problem" }, error.message));
  }
}

function showColumns(place, run, wanted, changed) {
  const numeric = (run.columns ?? []).filter(({ kind, used }) => kind === "number" && used !== false).map(({ name }) => name);
  if (numeric.length < 2) return replace(place, h("p", { class: "small soft" }, "This run has no two columns of numbers."));
  const chosen = { run: run.name, x: numeric[0], y: numeric[1], target: run.task?.target ?? null };
  const pick = (axis) => select(numeric.map((name) => [name, shortened(name, 30)]), chosen[axis], (name) => ((chosen[axis] = name), tell()));
  const tell = () => {
    wanted.data = { ...chosen };
    if (chosen.x !== chosen.y) changed();
  };
  replace(place, labelled("Across", pick("x")), labelled("Up", pick("y")), h("p", { class: "small soft" }, `Target: ${chosen.target ?? "the run’s"}`));
  return tell();
}

/** Boundary, loss curves and network, repainted once per frame that the server sends. */
function createScreen(wanted, cleanup) {
  let about = null; // of the first frame: points, ranges, classes
  let latest = null;
  let losses = [];
  const surface = picture("Decision boundary", 380, (context, width, height) => latest && paint(context, width, height, latest, about), cleanup);
  const chart = createChart({ title: "Loss", low: true });
  const network = createNetwork();
  const key = h("p", { class: "small soft" });
  const numbers = lazily("The weights as a table", () => latest && weights(latest));
  const element = h("div", { class: "screen" }, h("div", { class: "surface" }, surface.canvas, key), h("div", {}, h("h2", {}, "Loss"), chart.element, h("h2", {}, "Network"), network.element, numbers.element));

  function clear() {
    losses = [];
    about = latest = null;
    surface.draw();
  }

  function receive(frame) {
    if (frame.points) {
      about = { points: frame.points, x: frame.x_range, y: frame.y_range, classes: frame.classes?.length ? frame.classes : null };
      losses = [];
      replace(key, keyWords(about));
    }
    if (!about) return;
    latest = frame;
    losses.push([frame.step, frame.train_loss, frame.validation_loss]);
    surface.draw();
    surface.canvas.setAttribute("aria-label", `Decision boundary after ${plural(frame.epoch, "epoch")}: ${summary(frame.grid, about.classes)}`);
    chart.update({ series: lossSeries(losses) });
    network.show(frame.network, wanted);
    numbers.changed();
  }

  return { element, clear, receive };
}

function lossSeries(losses) {
  const x = losses.map(([step]) => step);
  return [
    { name: "train_loss", label: "training rows", colour: "--train", x, y: losses.map(([, train]) => train) },
    { name: "validation_loss", label: "other rows", colour: "--validation", dash: [6, 4], x, y: losses.map(([, , validation]) => validation) },
  ];
}

function keyWords({ classes }) {
  const shapes = ["disc", "square", "triangle", "diamond"];
  if (!classes) return "Colour: the answer, low (blue) to high (vermilion). Points: the rows.";
  return `${classes.map((name, index) => `${shortened(name, 16)}: ${shapes[index % 4]}`).join(", ")}; filled ones are trained on, hollow ones are not. The dark line is where the answer turns.`;
}

function paint(context, width, height, { grid }, { points, x, y, classes }) {
  const values = classes ? [0, 1] : grid.flat();
  const [low, high] = classes ? [0, 1] : [Math.min(...values), Math.max(...values)];
  paintSurface(context, width, height, grid, { classes, low, high });
  const at = (value, [from, to], size) => ((value - from) / (to - from || 1)) * size;
  for (const point of points) {
    const kind = classes ? Math.max(0, classes.indexOf(point.truth)) : 0;
    drawPoint(context, at(point.x, x, width), height - at(point.y, y, height), kind, 3.5, point.part === "validation");
  }
}

function summary(grid, classes) {
  if (!classes) return "a number over two columns";
  const winners = grid.flat(1).map((value) => (Array.isArray(value) ? value.indexOf(Math.max(...value)) : Number(value > 0.5)));
  return classes.map((name, index) => `${name} on ${percent(winners.filter((winner) => winner === index).length / winners.length, 0)} of the area`).join(", ");
}

/** Layers as columns of circles, weights as lines; thicker is larger, dashed is negative. */
function createNetwork() {
  const [width, height, most] = [420, 220, 12];
  const lines = s("g", {});
  const circles = s("g", {});
  const chart = s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "small-network" }, lines, circles);
  const words = h("p", { class: "small soft" });
  const pool = [];
  let shape = "";

  function show({ layers }, { activation }) {
    const sizes = [layers[0]?.weights[0]?.length ?? 2, ...layers.map(({ weights: rows }) => rows.length)];
    const shown = sizes.map((size) => Math.min(size, most));
    const x = (column) => 24 + ((width - 48) * column) / Math.max(1, sizes.length - 1);
    const y = (column, index) => height / 2 + (index - (shown[column] - 1) / 2) * Math.min(30, (height - 30) / most);
    const largest = Math.max(1e-12, ...layers.flatMap(({ weights: rows }) => rows.flat().map(Math.abs)));
    if (shape !== sizes.join()) {
      shape = sizes.join();
      replace(circles, shown.map((count, column) => [...Array(count).keys()].map((index) => s("circle", { class: "ring", cx: x(column), cy: y(column, index), r: 6 }))));
    }
    let used = 0;
    layers.forEach(({ weights: rows }, at) =>
      rows.slice(0, most).forEach((row, to) =>
        row.slice(0, most).forEach((weight, from) => {
          const line = (pool[used] ??= lines.appendChild(s("path", {})));
          line.setAttribute("d", `M${x(at) + 6} ${y(at, from)}L${x(at + 1) - 6} ${y(at + 1, to)}`);
          line.setAttribute("class", `edge ${weight < 0 ? "negative" : "positive"}`);
          line.setAttribute("stroke-width", (0.2 + (4 * Math.abs(weight)) / largest).toFixed(2));
          used += 1;
        }),
      ),
    );
    for (const line of pool.splice(used)) line.remove();
    chart.setAttribute("aria-label", `Network: ${sizes.join(" to ")} neurons, kink ${activation}; the largest weight is ${number(largest)}`);
    const hidden = sizes.some((size) => size > most);
    replace(words, `Blue, solid: positive weights; vermilion, dashed: negative.${hidden ? ` At most ${most} neurons a layer are drawn.` : ""}`);
  }

  return { element: h("div", {}, chart, words), show };
}

function weights({ network }) {
  return network.layers.map(({ weights: rows, biases }, at) =>
    table(`Layer ${at + 1}`, ["Neuron", ...rows[0].map((_, from) => `from ${from}`), "bias"], rows.map((row, to) => [number(to), ...row.map((value) => data(value)), data(biases[to])]), { numeric: rows[0].map((_, from) => from + 1), hideCaption: false }),
  );
}
