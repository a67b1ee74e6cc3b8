// One neuron opened: its sum, its kink, and a real update in four steps.

import {append, button, choice, copyable, folded, h, labelled, prefersStill, put, replace, select} from "./dom.js";
import {capital, layerName, number, plural, signed} from "./format.js";
import {term} from "./glossary.js";
import {kinkName, kinkPlot} from "./kink.js";
import {ask, both, data, factor, numbersTable, optional, panel} from "./panel.js";

const STAGES = ["forward", "loss", "backward", "update"];
const OPTIMIZERS = {adamw: "AdamW", adam: "Adam", sgd: "SGD", muon: "Muon"};

export function mountNeuron(view) {
	const {store, cleanup} = view;
	const buttons = STAGES.map((name, index) => button(`${index + 1} ${capital(name)}`, () => go(name)));
	const forward = forwardView();
	const steps = stepsView(store);
	const views = {forward: forward.element, loss: steps.loss, backward: steps.backward, update: steps.update};
	const walk = h("div.walk", {role: "group", "aria-label": "One update in four steps"}, buttons);
	const content = [neuronChooser(store, cleanup), forward.equation, walk, Object.values(views), forward.python];
	const {element, heading, follow} = panel(view, "Neuron", "wide neuron", content);
	let [answered, walked] = []; // {found, state} of the network that answers and of the update: averaged weights differ

	function draw() {
		const apart = walked?.found.averaged && walking.every(key => walked.state[key] === answered?.state[key]);
		forward.show(apart ? walked.found.forward : answered.found, apart);
	}

	function go(name) {
		store.set({stage: name});
		if (name === "forward") forward.animate();
	}

	function showStage() {
		STAGES.forEach((name, index) => {
			const isHere = name === store.state.stage;
			buttons[index].setAttribute("aria-pressed", String(isHere));
			views[name].hidden = !isHere;
		});
	}

	const walking = ["step", "row", "member", "layer", "neuron"];
	const keys = [...walking, "mode"];
	const about = (path, state, signal, more) => {
		const {row, layer, neuron} = state;
		return row && layer !== null && ask(path, state, signal, {layer, neuron, ...more});
	};
	const showForward = (found, state) => {
		replace(heading, `Neuron ${layerName(found.layer)} [${found.neuron}]`);
		answered = {found, state};
		draw();
	};
	const showUpdate = (found, state) => {
		steps.show(found);
		walked = {found, state};
		if (answered) draw();
	};
	follow(keys, (state, signal) => about("neuron", state, signal), showForward);
	follow([...keys, "stage", "batch"], (state, signal) => state.stage !== "forward" && about("update", state, signal, {batch: state.batch}), showUpdate);
	cleanup.on(store, ["stage"], showStage);
	element.addEventListener("keydown", event => {
		const typing = event.target.matches("input, select, textarea, pre");
		if (!typing && !event.ctrlKey && !event.metaKey && !event.altKey && /^[1-4]$/.test(event.key)) go(STAGES[event.key - 1]);
	});
	showStage();
}

function neuronChooser(store, cleanup) {
	const element = h("div.controls");
	const index = h("input", {type: "number", min: 0, step: 1, on: {change: () => store.set({neuron: Number(index.value)})}});
	let [built, choose] = [];
	const build = layers => {
		built = layers;
		const options = layers.map(({name, neurons}) => [name, `${layerName(name)} (${plural(neurons, "neuron")})`]);
		choose = select(options, null, name => store.set({layer: name, neuron: 0}));
		replace(element, labelled("Layer", choose), labelled("Neuron", index));
	};
	const show = ({layers, layer, neuron}) => {
		if (!layers) return;
		if (layers !== built) build(layers); // else what has the focus keeps it
		const chosen = layers.find(({name}) => name === layer) ?? layers.at(-1);
		choose.value = chosen.name;
		put(index, {max: chosen.neurons - 1, value: neuron ?? 0});
	};
	cleanup.on(store, ["layers", "layer", "neuron"], show);
	show(store.state);
	return element;
}

/** 0.8 x 1.2 + ... + bias = sum -> kink -> fired, as a line, a table and a point on the kink. */
function forwardView() {
	const equation = h("p.equation");
	const head = ["What comes in", both("Input", "x"), both("Weight", "w"), both("Input × weight", "x · w")];
	const rows = numbersTable("The weighted sum", head, "terms");
	const plot = kinkPlot();
	const why =
		"Answers come from the running average of the weights; an update moves the weights themselves. Here are these, so the sum is not quite the network view’s.";
	const apart = h("p.about.averaged", {hidden: true}, why);
	const total = h("p.total");
	const code = copyable("", "Copy arithmetic");
	const about = both(
		["A neuron adds up what comes in, each times its weight, and its bias; then the ", term("activation", "kink"), " bends the sum."],
		"z = Σ x·w + b; a = kink(z). The strongest terms are shown, the others are summed exactly.",
	);
	const element = h("div", h("p.about", about), h("div.two", h("div", rows.element, total), plot.element));

	function show(found, isApart) {
		apart.hidden = !isApart;
		replace(equation, equationOf(found));
		rows.fill([
			...found.terms.map(({name, input, weight, product}) => [inWords(name), ...[input, weight, product].map(value => data(value))]),
			...(found.others.count ? [[plural(found.others.count, "other"), "", "", data(found.others.sum)]] : []),
			["bias", "", "", data(found.bias)],
			["sum", "", "", data(found.sum)],
		]);
		replace(total, endOf(found));
		const {kink, sum, before_kink, fired, added} = found;
		plot.show({kink, sum: before_kink ?? sum, fired: added && !added.before_kink ? fired - added.value : fired});
		code.set(found.python);
	}

	function animate() {
		if (prefersStill()) return;
		const cells = [...rows.body.querySelectorAll("tr td:last-child")];
		const goal = cells.pop();
		const topOf = cell => cell.getBoundingClientRect().top;
		if (!goal) return;
		cells.forEach((cell, index) => {
			const ghost = h("span.ghost", {"aria-hidden": "true"}, cell.textContent);
			const path = {transform: ["none", `translateY(${topOf(goal) - topOf(cell)}px)`], opacity: [1, 0.2]};
			cell.append(ghost);
			const flight = ghost.animate(path, {duration: 420, delay: 90 * index, easing: "ease-in", fill: "both"});
			flight.onfinish = flight.oncancel = () => ghost.remove();
		});
		plot.travel(90 * cells.length + 420);
	}

	return {element, equation: h("div", equation, apart), python: folded("The same arithmetic in Python", code), show, animate};
}

function inWords(name) {
	const [, layer, rest] = /^([\w.]+)( \[\d+\].*)$/.exec(name) ?? [];
	return layer ? layerName(layer) + rest : name;
}

function equationOf(found) {
	const sumOf = (terms, start) => terms.reduce((sum, {product}) => sum + product, start);
	const [first, later] = [found.terms.slice(0, 4), found.terms.slice(4)];
	const rest = later.length + found.others.count;
	const pieces = first.map(({input, weight}) => [factor(input), " × ", factor(weight)]);
	if (rest) pieces.push([plural(rest, "other"), " ", factor(sumOf(later, found.others.sum))]);
	pieces.push(["bias ", factor(found.bias)]);
	return [pieces.map((piece, index) => [index > 0 && " + ", h("span.term-of-sum", piece)]), " = ", endOf(found)];
}

function endOf({sum, kink, fired, normalisation, added}) {
	const plus = added && [" + residual ", factor(added.value)];
	const [before, after] = added?.before_kink ? [plus, null] : [null, plus];
	const normalised = normalisation && [" → normalised → ", data(normalisation.normalised)];
	return [h("b", data(sum)), normalised, before, " → ", kinkName(kink), after, " → ", h("b", data(fired))];
}

function stepsView(store) {
	const whose = Object.entries({row: "my row", real: "the real batch’s mean"});
	const batch = () => choice("Whose update", whose, store.state.batch, value => store.set({batch: value}));
	const [loss, chain, how] = [h("div"), h("div"), h("div")];
	const factors = [both("Input", "x"), both("Pull on the sum", "dL/dz"), both("Input × pull", "x · dL/dz"), both("Gradient of the weight", "dL/dw")];
	const gradients = numbersTable("Gradients of the weights", ["Weight of", ...factors]);
	const backward = h("div", batch(), chain, gradients.element);
	const moments = [both("Its recent mean", "m"), both("Its recent size", "v"), both("Nudge", "Δw")];
	const changes = numbersTable("The update", ["Weight of", "Before", "Gradient", ...moments, "After"]);
	const code = copyable("", "Copy arithmetic");
	const update = h("div", batch(), how, changes.element, folded("The update in Python", code));

	function show(found) {
		const {batch: chosen} = store.state;
		const mine = chosen === "row";
		for (const view of [backward, update]) view.querySelector(`[value=${chosen}]`).checked = true;
		replace(loss, lossWords(found, mine));
		showBackward(found, mine);
		showUpdate(found, mine);
		code.set(found.python);
	}

	function showBackward({backward: back}, mine) {
		replace(chain, chainOf(back, mine));
		const pull = () => mine ? optional(back.dL_dsum) : "";
		const rows = back.terms.map(({name, input, share, gradient}) => [inWords(name), optional(input), pull(), optional(share), optional(gradient)]);
		gradients.fill([...rows, ["bias", mine ? "1" : "", pull(), mine ? optional(back.bias_share) : "", optional(back.bias_gradient)]]);
	}

	function showUpdate(found, mine) {
		const {update: nudge} = found;
		const row = (name, t) => [
			...[name, data(t.before, 5), data(t.gradient)],
			...[optional(t.first_moment), optional(t.second_moment), data(t.step), data(t.after, 5)],
		];
		changes.fill([...nudge.terms.map(t => row(inWords(t.name), t)), ...(nudge.bias ? [row("bias", nudge.bias)] : [])]);
		const here = (store.state.step ?? store.state.best_step) === found.at.step;
		replace(how, updateWords(found, mine), !here && h("p.about", `Step ${number(found.at.step)}: ${found.at.why}.`));
	}

	return {loss, backward, update, show};
}

function lossWords(found, mine) {
	const about = both(
		["The ", term("loss"), " says how wrong the answer is: 0 would be perfect. Everything that follows makes it smaller."],
		"L, as the training minimises it: with label smoothing, class weights and all.",
	);
	return [
		h("p.about", about),
		h("p.big", "loss ", data(found.loss, 4)),
		h("p", mine ? rowWords(found.said) : "The mean over the rows of the batch that the training took next."),
	];
}

function rowWords({truth, value, own, members, together}) {
	if (own == null) return ["Your row alone: the truth is ", data(truth), ", the answer ", data(value), "."];
	return [
		`Your row alone: the truth is ${truth}. This network gives it `,
		data(own),
		members > 1 && [`, all ${number(members)} together `, data(together)],
		both(". Being sure and right costs nothing, being sure and wrong costs much.", ". −ln p of the true class, averaged over the networks."),
	];
}

function chainOf(back, mine) {
	const link = (name, value, words) => h("div.link", h("span.name", name), value, h("small", words));
	const operator = sign => h("span.operator", sign);
	const whole = mine && [
		link("dL/da", data(back.dL_dfired, 4), both("if it fired 1 more, the loss would change so fast", "from the layers above")),
		operator("×"),
		link("da/dz", data(back.kink_slope, 4), both("slope of the kink at this sum", "slope of the kink")),
		operator("="),
		back.dL_dbefore_kink !== back.dL_dsum && [link("dL/dn", data(back.dL_dbefore_kink, 4), "before the kink"), operator("→ normalisation →")],
		link("dL/dz", data(back.dL_dsum, 4), both("if the sum were 1 more, the loss would change so fast", "gradient of the pre-activation")),
		operator("→"),
		link("dL/dw", h("span", "x · dL/dz"), both("for each weight: its input × the pull on the sum", "outer product with the inputs")),
	];
	const shared = back.shared_with_other_members
		? "the networks of the ensemble share these weights"
		: back.shared_with_other_places && "the same weights look at other places, too";
	return [
		whole && h("div.links", whole),
		!mine && h("p.about", "The gradients of the real batch: each of its rows has factors of its own, here is their mean."),
		mine && shared && h("p.about", `The last column is more than input × pull: ${shared}, and all their pulls are added.`),
	];
}

function updateWords(found, mine) {
	const {update: nudge, loss_before, loss_after} = found;
	const clipped = nudge.clip_scale !== 1 && ` The gradient was ${number(nudge.gradient_norm)} long and was shortened to ${number(nudge.clip)}.`;
	const [rate, decay] = [nudge.learning_rate, nudge.weight_decay].map(value => Number(value.toPrecision(3)));
	const about = both(
		["Each weight takes a small step against its ", term("gradient"), "; the ", term("learning rate"), ` is ${rate}. `],
		`${OPTIMIZERS[nudge.optimizer] ?? nudge.optimizer}, update ${number(nudge.number)}: learning rate ${rate}, weight decay ${decay}. `,
	);
	const whose = mine ? "A trial with a batch of one, your row, on a copy: the run itself is not touched." : "The step that the training really took from here.";
	const change = loss_after - loss_before;
	const judged = ` ${signed(change)}: ${change <= 0 ? "a little better" : "worse: the step was too long for it"}`;
	return [
		h("p.about", about, whose, clipped),
		h("p.big", "loss ", data(loss_before, 4), " → ", data(loss_after, 4), h("small", judged)),
		nudge.terms[0] && h("p.equation", `${inWords(nudge.terms[0].name)}: `, arithmetic(nudge, nudge.terms[0])),
	];
}

function arithmetic(nudge, {before, after, step, first_moment: first, second_moment: second}) {
	const rate = data(nudge.learning_rate);
	const end = [" = ", h("b", data(after, 5))];
	if (nudge.optimizer === "sgd" || first === null || second === null) return [data(before, 5), step < 0 ? " − " : " + ", data(Math.abs(step)), end];
	const [one, two] = nudge.betas;
	const [mean, size] = [first / (1 - one ** nudge.number), second / (1 - two ** nudge.number)];
	const decay = nudge.optimizer === "adamw" && nudge.weight_decay > 0 && [" × (1 − ", rate.cloneNode(true), " × ", data(nudge.weight_decay), ")"];
	return [data(before, 5), decay, " − ", rate, " × ", factor(mean), " / (√", data(size), " + ", data(nudge.eps), ")", end];
}
