// The playground: the real loop trains on two inputs, and its boundary is drawn while it moves.

import {get, ofRun, socket} from "./api.js";
import {createChart} from "./chart.js";
import {button, complaint, copyable, h, labelled, lazily, problem, put, replace, s, select, table} from "./dom.js";
import {number, plural, shortened} from "./format.js";
import {term} from "./glossary.js";
import {kinkName} from "./kink.js";
import {axisChoices, mapWords, numberColumns, paintMap, picture} from "./maps.js";
import {edgeOf} from "./network.js";
import {data} from "./panel.js";
import {peak} from "./scales.js";
import {createCleanup} from "./state.js";

const SOURCES = Object.entries({spirals: "Spirals", circles: "Circles", moons: "Moons", blobs: "Blobs", run: "Two columns of a run…"});
const KINKS = ["relu", "tanh", "gelu", "silu", "sigmoid", "none"].map(name => [name, kinkName(name)]);
const OPTIMIZERS = Object.entries({adamw: "AdamW", adam: "Adam", sgd: "SGD"});
const STRAIGHT = "Without the kink it stays a straight line, however many layers.";
const NUMBERS = {
	Data: {rows: ["Rows", {value: 400, min: 20, max: 5000, step: 10}], noise: ["Noise", {value: 0.1, min: 0, max: 1, step: 0.05}]},
	Network: {layers: ["Layers", {value: 2, min: 0, max: 6, step: 1}], neurons: ["Neurons a layer", {value: 8, min: 1, max: 64, step: 1}]},
	Training: {
		learning_rate: ["Learning rate", {value: 0.01, min: 0.0001, max: 3, step: "any"}],
		batch_size: ["Batch size", {value: 32, min: 1, max: 1000, step: 1}],
		weight_decay: ["Weight decay", {value: 0, min: 0, max: 10, step: "any"}],
		dropout: ["Dropout", {value: 0, min: 0, max: 0.9, step: 0.05}],
		seed: ["Seed", {value: 0, min: 0, step: 1}],
	},
};

export function mountPlayground(container) {
	const cleanup = createCleanup();
	const wanted = {data: "spirals", activation: "relu", optimizer: "adamw"};
	const status = h("p.status", {role: "status"}, "Press Start.");
	const wrong = complaint();
	const screen = createScreen(wanted, cleanup);
	const controls = createControls(wanted, changed);
	const command = put(copyable("", "Copy the command"), {hidden: true});
	const buttons = {
		start: button("Start", start, {class: "primary"}),
		pause: button("Pause", () => say(running ? "pause" : "go"), {disabled: true}),
		step: button("Step", () => say("step"), {disabled: true}),
		stop: button("Stop", () => say("stop"), {disabled: true}),
	};
	const about =
		"The real training loop on two inputs, as you watch. Change anything while it runs and it starts again, from the same first weights as long as the seed is the same.";
	const shown = h("div", h("div.controls", Object.values(buttons)), status, wrong.element, screen.element, command);
	container.append(h("div.head", h("h1", "Playground"), h("p.soft", about)), h("div.playground", controls, shown));
	let [line, running, started, stopped, waiting] = [null, false, false, false, 0];

	function connect() {
		line ??= socket("playground", {
			open: () => line.send({do: "start", ...wanted}),
			message: receive,
			close() {
				line = null;
				if (started) complain("The connection to the page’s server ended: press Start to begin again.");
				showButtons();
			},
		});
	}

	function start() {
		clearTimeout(waiting);
		wrong.say();
		screen.clear();
		started = running = true;
		stopped = false;
		if (line) line.send({do: "start", ...wanted});
		else connect();
		showButtons();
	}

	function changed() {
		if (!started) return;
		clearTimeout(waiting);
		waiting = setTimeout(start, 300);
	}

	function say(what) {
		line?.send({do: what});
		if (what === "stop") [started, stopped] = [false, true];
		running = what === "go";
		showButtons();
		if (what === "stop") status.textContent = "Stopped.";
	}

	function receive(frame) {
		if (stopped) return; // it was on its way
		if (frame.error) {
			complain(frame.error);
			return showButtons();
		}
		if (frame.command) put(command, {hidden: false}).set(frame.command);
		if (frame.done) started = running = false;
		screen.receive(frame);
		const [epoch, step, train, others] = [frame.epoch, frame.step, frame.train_loss, frame.validation_loss].map(value => number(value));
		status.textContent = `Epoch ${epoch}, step ${step}: loss ${train} on the training rows, ${others} on the others${frame.done ? ". Done." : ""}`;
		showButtons();
	}

	function complain(words) {
		wrong.say(words);
		started = running = false;
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
	return cleanup.end;
}

function createControls(wanted, changed) {
	const set = name => value => {
		wanted[name] = value;
		changed();
	};
	const hint = h("p.small.hint", {role: "status"});
	const kink = select(KINKS, wanted.activation, value => {
		hint.textContent = value === "none" ? STRAIGHT : "";
		set("activation")(value);
	});
	const optimizer = select(OPTIMIZERS, wanted.optimizer, set("optimizer"));
	const own = h("div.own-data");
	const source = select(SOURCES, wanted.data, value => {
		replace(own);
		if (value === "run") chooseRun(own, set("data"));
		else set("data")(value);
	});
	const first = {
		Data: [labelled("Data", source), own],
		Network: [labelled(term("activation", "Kink"), kink), hint],
		Training: labelled(term("optimizer", "Optimizer"), optimizer),
	};
	const field = ([name, [words, limits]]) => {
		wanted[name] = limits.value;
		return numberField(words, limits, set(name));
	};
	const fields = numbers => h("div.pairs-of-fields", Object.entries(numbers).map(field));
	const groups = Object.entries(NUMBERS).map(([title, numbers]) => h("fieldset", h("legend", title), first[title], fields(numbers)));
	return h("form", {"aria-label": "What is trained", on: {submit: event => event.preventDefault()}}, groups);
}

function numberField(words, {value: good, min, max, step}, set) {
	const change = () => {
		const typed = Number(input.value);
		if (input.value === "" || typed < min || typed > max) return put(input, {value: good});
		good = typed;
		return set(typed);
	};
	const input = h("input", {type: "number", min, max, step, value: good, on: {change}});
	return labelled(words, input);
}

async function chooseRun(place, set) {
	try {
		const {runs} = await get("runs");
		const names = runs.filter(({source}) => source !== null).map(({name}) => name);
		if (!names.length) return replace(place, h("p.small.soft", "There is no run yet."));
		const columns = h("div");
		let turn = 0; // the last choice counts, whichever answer comes last
		const choose = async name => {
			const mine = (turn += 1);
			const run = await get(ofRun(name));
			if (mine === turn) showColumns(columns, run, set);
		};
		replace(place, labelled("Run", select(names, names[0], choose)), columns);
		return await choose(names[0]);
	} catch (error) {
		return replace(place, problem(error));
	}
}

function showColumns(place, run, set) {
	const numeric = numberColumns(run);
	if (numeric.length < 2) return replace(place, h("p.small.soft", "This run has no two columns of numbers."));
	const [x, y] = numeric;
	const chosen = {run: run.name, x, y, target: run.task?.target ?? null};
	const tell = () => set({...chosen});
	replace(place, axisChoices(numeric, chosen, tell), h("p.small.soft", `Target: ${chosen.target ?? "the run’s"}`));
	return tell();
}

function createScreen(wanted, cleanup) {
	let about = null;
	let latest = null;
	let losses = [];
	const paint = (context, width, height) => latest && paintMap(context, width, height, {...about, grid: latest.grid});
	const surface = picture("Decision boundary", 380, paint, cleanup);
	const chart = createChart({title: "Loss", low: true, cleanup});
	const network = createNetwork();
	const key = h("p.small.soft");
	const numbers = lazily("The weights as a table", () => latest && weights(latest));
	const beside = [h("h2", "Loss"), chart.element, h("h2", "Network"), network.element, numbers.element];
	const element = h("div.screen", h("div.surface", surface.canvas, key), h("div", beside));

	function clear() {
		losses = [];
		about = latest = null;
		surface.draw();
	}

	function receive(frame) {
		if (frame.points) {
			about = {points: frame.points, x: frame.x_range, y: frame.y_range, classes: frame.classes?.length ? frame.classes : null};
			losses = [];
			replace(key, keyWords(about));
		}
		if (!about) return;
		latest = frame;
		losses.push([frame.step, frame.train_loss, frame.validation_loss]);
		surface.draw();
		surface.canvas.setAttribute("aria-label", `Decision boundary after ${plural(frame.epoch, "epoch")}: ${mapWords(frame.grid, about.classes)}`);
		chart.update({series: lossSeries(losses)});
		network.show(frame.network, wanted);
		numbers.changed();
	}

	return {element, clear, receive};
}

function lossSeries(losses) {
	const x = losses.map(([step]) => step);
	return [
		{name: "train_loss", label: "training rows", colour: "--train", x, y: losses.map(([, train]) => train)},
		{name: "validation_loss", label: "other rows", colour: "--validation", dash: [6, 4], x, y: losses.map(([, , validation]) => validation)},
	];
}

function keyWords({classes}) {
	const shapes = ["disc", "square", "triangle", "diamond"];
	if (!classes) return "Colour: the answer, low (blue) to high (orange). Points: the rows, round where low, square where high.";
	return `${classes.map((name, index) => `${shortened(name, 16)}: ${shapes[index % 4]}`).join(", ")}; filled ones are trained on, hollow ones are not. The line is where the answer turns.`;
}

function createNetwork() {
	const [width, height, most] = [420, 220, 12];
	const lines = s("g");
	const circles = s("g");
	const chart = s("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", class: "small-network"}, lines, circles);
	const words = h("p.small.soft");

	function show({layers}, {activation}) {
		const sizes = [layers[0]?.weights[0]?.length ?? 2, ...layers.map(({weights: rows}) => rows.length)];
		const shown = sizes.map(size => Math.min(size, most));
		const x = column => 24 + ((width - 48) * column) / Math.max(1, sizes.length - 1);
		const y = (column, index) => height / 2 + (index - (shown[column] - 1) / 2) * Math.min(30, (height - 30) / most);
		const largest = peak(layers.flatMap(({weights: rows}) => rows.flat()));
		const ring = column => (_, index) => s("circle.ring", {cx: x(column), cy: y(column, index), r: 6});
		replace(circles, shown.map((length, column) => Array.from({length}, ring(column))));
		const draw = (weight, at, from, to) =>
			edgeOf(weight, `M${x(at) + 6} ${y(at, from)}L${x(at + 1) - 6} ${y(at + 1, to)}`, 0.2 + (4 * Math.abs(weight)) / largest);
		const cut = rows => rows.slice(0, most);
		replace(lines, layers.map(({weights: rows}, at) => cut(rows).map((row, to) => cut(row).map((weight, from) => draw(weight, at, from, to)))));
		chart.setAttribute("aria-label", `Network: ${sizes.join(" to ")} neurons, kink ${activation}; the largest weight is ${number(largest)}`);
		replace(words, "Blue, solid: positive weights; orange, dashed: negative.", sizes.some(size => size > most) && ` At most ${most} neurons a layer are drawn.`);
	}

	return {element: h("div", chart, words), show};
}

function weights({network}) {
	return network.layers.map(({weights: all, biases}, at) => {
		const head = ["Neuron", ...all[0].map((_, from) => `from ${from}`), "bias"];
		const rows = all.map((row, to) => [number(to), ...[...row, biases[to]].map(value => data(value))]);
		return table(`Layer ${at + 1}`, head, rows, {numeric: [1], hideCaption: false});
	});
}
