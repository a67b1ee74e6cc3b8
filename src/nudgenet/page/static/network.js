// The network, drawn for one row: inputs, neurons, the strongest weights, outputs.
// Size and shape of a neuron's filling are its strength and sign: colour only repeats it.

import {isExported} from "./api.js";
import {folded, h, isNewState, labelled, lazily, onSize, put, replace, s, table} from "./dom.js";
import {layerName, number, plural, shortened} from "./format.js";
import {term} from "./glossary.js";
import {kinkName} from "./kink.js";
import {ANSWER, ask, chance, data, panel} from "./panel.js";
import {peak, within} from "./scales.js";

const PITCH = 34;
const TOP = 52;
const RING = 12;
const BESIDE = 42; // where lines begin: behind the neuron's number

export function mountNetwork(view) {
	const {store, cleanup} = view;
	const unfolded = new Set();
	const status = h("p.status");
	const answer = h("p.answer");
	const closed = h("p.about.small", {hidden: true});
	const unfold = name => {
		unfolded[unfolded.has(name) ? "delete" : "add"](name);
		refresh();
	};
	const drawing = createDrawing({choose: (layer, neuron) => store.set({layer, neuron}), unfold, unfolded, say: text => (status.textContent = text)});
	const members = memberChooser(store);
	let latest = null;
	const numbers = lazily("The same as tables", () => tables(latest));
	const about = ["Each circle is a ", term("neuron"), ": it adds up what comes in, each times a ", term("weight"), ", plus a ", term("bias")];
	const content = [
		h("p.about.for-beginner", about, ". Click one to check its arithmetic."),
		...[h("div.controls", members.element, answer), closed, drawing.element, h("div.key", key()), status, numbers.element],
	];
	const {follow} = panel(view, "Network", "wide network", content);

	const question = (state, signal) => state.row && ask("network", state, signal, {unfold: [...unfolded]});
	const refresh = follow(ANSWER, question, found => {
		latest = found;
		members.show(found);
		tellLayers(store, found);
		drawing.show(found, store.state);
		replace(answer, answerWords(found));
		replace(put(closed, {hidden: !found.closed}), found.closed);
		numbers.changed();
	});
	refresh();
	cleanup.on(store, ["layer", "neuron"], drawing.mark);
	onSize(drawing.element, () => latest && drawing.show(latest, store.state), cleanup);
}

/** What can be opened; the first time, the strongest neuron is. */
function tellLayers(store, {layers, outputs}) {
	const openable = [...layers, {name: "output", neurons: outputs.length}].map(({name, neurons}) => ({name, neurons}));
	if (JSON.stringify(store.state.layers) !== JSON.stringify(openable)) store.set({layers: openable});
	if (store.state.layer !== null) return;
	const {name = "output", shown = []} = layers.at(-1) ?? {};
	const [strongest] = shown.toSorted((a, b) => Math.abs(b.fired) - Math.abs(a.fired));
	store.set({layer: name, neuron: strongest?.index ?? 0});
}

function answerWords({answer: {label, value, unit, probability}, truth, loss, members, members_are}) {
	const together = members > 1 && `${number(members)} ${members_are} together`;
	const measured = [data(value), unit && ` ${unit}`, together && ` (${together})`];
	const said = label === undefined ? measured : [shortened(label), " (", chance(probability), together && `, ${together}`, ")"];
	const known = typeof truth === "number" ? number(truth) : shortened(truth);
	return ["Answer: ", h("b", said), truth != null && [" · truth: ", h("b", known)], loss != null && [" · loss ", data(loss)]];
}

function memberChooser(store) {
	const set = ({target}) => store.set({member: within(Math.round(target.value) - 1, 0, target.max - 1)});
	const input = h("input", {type: "number", min: 1, step: 1, on: {change: set}});
	const of = h("span.soft");
	const element = h("div.member", {hidden: true}, labelled("Look at", input), of);
	const show = ({members, member, members_are}) => {
		element.hidden = !(members > 1) || isExported(); // a file holds the first one
		input.max = members;
		if (document.activeElement !== input) input.value = member + 1;
		of.textContent = `of ${number(members)} ${members_are}`;
	};
	return {element, show};
}

function key() {
	const sample = sign => {
		const fill = sign && s(`path.fill.${sign > 0 ? "positive" : "negative"}`, {d: shapeOf(sign, 8)});
		return s("svg", {width: 26, height: 26, viewBox: "-13 -13 26 26", "aria-hidden": "true"}, s("circle.ring", {r: RING}), fill);
	};
	const line = sign => s("svg", {width: 34, height: 10, "aria-hidden": "true"}, edgeOf(sign, "M0 5H34", 3));
	const signs = [
		[sample(1), "fires"],
		[sample(-1), "below zero"],
		[sample(null), "silent"],
		[line(1), "+ pushes up"],
		[line(-1), "− pushes down"],
	];
	return [signs.map(sign => h("span", sign)), h("span.soft", "thicker: larger input × weight")];
}

/** A weight as a line: dashed where it is negative, so that colour only repeats it. */
export function edgeOf(weight, d, width) {
	return s(`path.edge.${weight < 0 ? "negative" : "positive"}`, {d, "stroke-width": width.toFixed(2)});
}

function shapeOf(value, radius) {
	if (value >= 0) return `M${-radius} 0a${radius} ${radius} 0 1 0 ${2 * radius} 0a${radius} ${radius} 0 1 0 ${-2 * radius} 0Z`;
	return `M0 ${-radius}L${radius} 0L0 ${radius}L${-radius} 0Z`;
}

/** The columns, left to right: {name, title, about, items, folded: how many more, count: of slots}. */
function columnsOf(found, unfolded) {
	const inputs = found.columns.map(({name, text, share = 0, index}, at) => {
		return {kind: "input", index: index ?? at, label: name, value: text, share: share ?? 0, sign: 1, words: `column ${name}: ${text}`};
	});
	const layers = found.layers.map(({name, neurons, kink, shown, folded: hidden}) => {
		const most = peak(shown.map(({fired}) => fired));
		const items = shown.map(({index, sum, fired}) => {
			const words = `${layerName(name)}, neuron ${index}: sum ${number(sum)}, ${kinkName(kink)} gives ${number(fired)}`;
			return {kind: "neuron", index, value: number(fired, 2), share: Math.abs(fired) / most, sign: Math.sign(fired), words};
		});
		const [title, ...rest] = layerName(name).split(", ");
		return {name, title, about: [...rest, `${number(neurons)} · ${kinkName(kink)}`], items, folded: hidden};
	});
	const outputs = found.outputs.map(({index, name, output, probability}) => {
		const likely = probability == null ? null : chance(probability);
		const words = `output ${name}: ${number(output)}${likely ? `, probability ${likely}` : ""}`;
		return {kind: "output", index, label: name, value: likely ?? number(output), share: probability ?? 0.5, sign: Math.sign(output), words};
	});
	const more = found.folded_columns ?? 0;
	return [
		{name: "input", title: "inputs", about: [plural(inputs.length + more, "column")], items: inputs, folded: more},
		...layers,
		{name: "output", title: "outputs", about: found.answer.label === undefined ? ["scaled"] : [], items: outputs, folded: found.folded_outputs ?? 0},
	].map(column => ({...column, count: column.items.length + (column.folded || unfolded.has(column.name) ? 1 : 0)}));
}

/** `show` changes what is there, and builds anew only when the numbers of things differ. */
function createDrawing({choose, unfold, unfolded, say}) {
	const lines = s("g.edges", {"aria-hidden": "true"});
	const nodes = s("g");
	const chart = s("svg", {role: "group", "aria-label": "Network"}, lines, nodes);
	const element = h("div.stage", chart);
	let [columns, narrow, focus] = [[], false, {column: 1, slot: 0}];

	const act = ({kind, column, index, label, words}) => {
		if (kind === "input") say(`${words}. It is an input: what comes in.`);
		else if (kind !== "fold") choose(column, index);
		else if (isExported()) say(`${label.textContent}: not in this file; nudge page shows them.`);
		else unfold(column);
	};

	const moves = {ArrowUp: [0, -1], ArrowDown: [0, 1], ArrowLeft: [-1, 0], ArrowRight: [1, 0], Home: [-Infinity, 0], End: [Infinity, 0]};
	chart.addEventListener("keydown", event => {
		const slot = columns[focus.column]?.slots[focus.slot];
		if (event.key in moves) moveFocus(...moves[event.key]);
		else if ((event.key === "Enter" || event.key === " ") && slot) act(slot);
		else return;
		event.preventDefault();
		event.stopPropagation();
	});

	function moveFocus(right, down) {
		const column = within(focus.column + right, 0, columns.length - 1);
		const size = columns[column].slots.length;
		const share = (focus.slot + 0.5) / columns[focus.column].slots.length;
		const slot = within(right ? Math.floor(share * size) : focus.slot + down, 0, size - 1);
		setFocus(column, slot);
		columns[column].slots[slot].group.focus();
	}

	function setFocus(column, slot) {
		const reach = tabindex => columns[focus.column]?.slots[focus.slot]?.group.setAttribute("tabindex", tabindex);
		reach("-1");
		focus = {column, slot};
		reach("0");
	}

	function build(wanted) {
		columns = wanted.map(buildColumn);
		replace(nodes, columns.map(({head, slots}) => [head, slots.map(({group}) => group)]));
		setFocus(Math.min(focus.column, columns.length - 1), 0);
	}

	function buildColumn({name, items, count}, at) {
		const below = () => s("tspan.soft", {x: 0, dy: 14});
		const head = s("text.head", {"text-anchor": "middle", y: 14}, s("tspan", {x: 0}), below(), below());
		const slots = items.map(({kind}, index) => makeSlot(kind, name, at, index));
		if (count > items.length) slots.push(makeSlot("fold", name, at, items.length));
		return {name, head, slots};
	}

	function makeSlot(kind, column, at, index) {
		const slot = {kind, column, ring: s("circle.ring", {r: RING}), shape: s("path.fill"), label: s("text.label"), value: s("text.value")};
		const whole = [s("circle.halo", {r: RING + 4}), slot.ring, slot.shape, slot.label, slot.value];
		const content = kind === "fold" ? [s("rect.hit", {x: -30, y: -14, width: 60, height: 28, rx: 6}), slot.label] : whole;
		const tell = () => say(slot.words);
		const on = {click: () => (setFocus(at, index), act(slot)), focus: tell, mouseenter: tell};
		slot.group = s(`g.slot.${kind}`, {role: kind === "input" ? "img" : "button", tabindex: "-1", on}, content);
		return slot;
	}

	function show(found, state) {
		const wanted = columnsOf(found, unfolded);
		if (isNewState(element, wanted.map(({name, items, count}) => [name, items.length, count]))) build(wanted);
		const places = layOut(wanted);
		const sideOf = at => (at === 0 ? "start" : at === wanted.length - 1 ? "end" : "middle");
		wanted.forEach((column, at) => fillColumn(columns[at], column, places[at], sideOf(at)));
		drawEdges(found.edges);
		chart.setAttribute("aria-label", summary(found));
		mark(state);
	}

	function layOut(wanted) {
		narrow = element.clientWidth < 560; // then numbers are told, not drawn
		const [left, right] = narrow ? [104, 80] : [210, 190];
		const apart = narrow && wanted.every(({about}) => about.length < 2) ? 58 : 104;
		const width = Math.max(element.clientWidth, left + right + (wanted.length - 1) * apart);
		chart.classList.toggle("narrow", narrow);
		const tallest = Math.max(...wanted.map(({count}) => count));
		const height = TOP + tallest * PITCH;
		put(chart, {viewBox: `0 0 ${width} ${height}`, width, height});
		return wanted.map(({count}, at) => ({
			x: left + ((width - left - right) * at) / (wanted.length - 1),
			y: TOP + RING + 4 + ((tallest - count) * PITCH) / 2,
			letters: narrow ? (at ? 9 : 11) : 24,
		}));
	}

	function fillColumn(column, wanted, {x, y, letters}, side) {
		column.head.setAttribute("transform", `translate(${x} 0)`);
		const about = narrow && wanted.about.length < 2 ? wanted.about.flatMap(words => words.split(" · ")) : wanted.about;
		[...column.head.children].forEach((line, at) => (line.textContent = [wanted.title, ...about][at] ?? ""));
		column.at = new Map();
		column.slots.forEach((slot, row) => {
			Object.assign(slot, {x, y: y + row * PITCH});
			slot.group.setAttribute("transform", `translate(${x} ${slot.y})`);
			if (slot.kind === "fold") return fillFold(slot, wanted, narrow);
			fillSlot(slot, wanted.items[row], side, letters);
			return column.at.set(slot.index, slot);
		});
	}

	function drawEdges(wanted) {
		const of = new Map(columns.map(column => [column.name, column]));
		const most = peak(wanted.map(({product}) => product));
		const draw = ({from, to, product}) => {
			const [start, end] = [from, to].map(([column, index]) => of.get(column)?.at.get(index));
			if (!start || !end) return null;
			const middle = (start.x + end.x) / 2;
			const left = start.x + (start.kind === "input" || narrow ? RING : BESIDE);
			const d = `M${left} ${start.y}C${middle} ${start.y} ${middle} ${end.y} ${end.x - RING} ${end.y}`;
			return edgeOf(product, d, 0.75 + (4.25 * Math.abs(product)) / most);
		};
		replace(lines, wanted.map(draw));
	}

	function mark({layer, neuron}) {
		for (const {kind, column, index, group} of columns.flatMap(({slots}) => slots)) {
			const chosen = column === layer && index === neuron;
			group.classList.toggle("chosen", chosen);
			if (kind === "neuron" || kind === "output") group.setAttribute("aria-pressed", String(chosen));
		}
	}

	return {element, show, mark};
}

function fillSlot(slot, item, side, letters) {
	Object.assign(slot, {index: item.index, words: item.words});
	slot.group.setAttribute("aria-label", item.words);
	const radius = item.sign === 0 ? 0 : 3 + (RING - 4) * Math.sqrt(Math.min(1, item.share));
	const kind = item.kind === "input" ? "plain" : item.sign < 0 ? "negative" : "positive";
	put(slot.shape, {d: radius ? shapeOf(item.sign, Number(radius.toFixed(2))) : "", class: `fill ${kind}`});
	slot.ring.classList.toggle("silent", item.kind === "neuron" && item.sign === 0);
	const out = RING + 7;
	const write = (place, text, x, y, anchor) => {
		put(place, {x, y, "text-anchor": anchor});
		if (place.textContent !== text) place.textContent = text;
	};
	const [label, value] = [item.label, item.value].map(text => shortened(text, letters));
	if (side === "middle") return write(slot.value, value, out - 4, 4, "start");
	const [x, anchor] = side === "start" ? [-out, "end"] : [out, "start"];
	write(slot.label, label, x, -2, anchor);
	return write(slot.value, value, x, 12, anchor);
}

function fillFold(slot, {folded: hidden, title}, narrow) {
	slot.words = hidden ? `${number(hidden)} more in ${title}: show them` : `Show only the strongest of ${title}`;
	slot.label.textContent = hidden ? `+${number(hidden)}${narrow ? "" : " more"}` : "fold";
	put(slot.label, {"text-anchor": "middle", y: 5});
	put(slot.group, {"aria-label": slot.words, "aria-expanded": String(!hidden)});
}

function summary({layers, outputs, columns}) {
	const sizes = layers.map(({name, neurons}) => `${layerName(name)} of ${plural(neurons, "neuron")}`);
	const largest = (all, size) => all.toSorted((a, b) => size(b) - size(a))[0];
	const best = largest(outputs, ({probability, output}) => probability ?? output);
	const strongest = largest(columns, ({share}) => share ?? 0);
	const most = `${strongest ? ` Strongest column: ${strongest.name}.` : ""}${best ? ` Largest output: ${best.name}.` : ""}`;
	const counts = `${plural(columns.length, "column")}, ${sizes.join(", ") || "no hidden layer"}, ${plural(outputs.length, "output")}`;
	return `Network: ${counts}.${most} Arrow keys move, Enter opens a neuron.`;
}

function tables(found) {
	const column = index => found.columns.find((one, at) => (one.index ?? at) === index)?.name ?? `input ${index}`;
	const place = ([layer, index]) => (layer === "input" ? column(index) : `${layerName(layer)} [${index}]`);
	const neurons = found.layers.flatMap(({name, shown}) => shown.map(({index, sum, fired}) => [place([name, index]), data(sum), data(fired)]));
	const edges = found.edges.map(({from, to, weight, product}) => [place(from), place(to), weight === null ? "several" : data(weight), data(product)]);
	return [
		table("Neurons shown", ["Neuron", "Sum", "After the kink"], neurons, {numeric: [1], hideCaption: false}),
		folded("Strongest weights", table("Strongest weights", ["From", "To", "Weight", "Input × weight"], edges, {numeric: [2]})),
	];
}
