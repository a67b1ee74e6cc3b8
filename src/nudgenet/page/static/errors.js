// From an error to the neurons behind it, and to the training items that excite these most.

import {get, isExported, itemAddress, ofRun} from "./api.js";
import {append, button, frame, h, prefersStill, put, replace, s} from "./dom.js";
import {layerName, number, percent, plural, shortened} from "./format.js";
import {ANSWER, ask, data, panel} from "./panel.js";
import {cellText, rowName, rowsTable, shareBar} from "./row.js";
import {makeScale, peak} from "./scales.js";

const WORST = 10;

export function mountErrors(view) {
	const matrix = h("div");
	const heading = h("h3", "Worst rows");
	const list = frame("Worst rows");
	const back = button("All rows", () => narrow(null), {hidden: true});
	let cell = null;
	const {element, follow} = panel(view, "Errors", "wide errors", h("div.two", matrix, h("div", heading, back, list)));

	view.cleanup.on(view.store, ["gone"], ({gone}) => (element.hidden = gone)); // without rows there are none to tell
	const narrow = chosen => {
		cell = chosen;
		back.hidden = !cell;
		replace(heading, cell ? `Truth ${cell.truth}, answer ${cell.answer}` : "Worst rows");
		refresh();
	};
	const choose = row => {
		view.store.set({row});
		goTo("responsible");
	};
	const question = async (state, signal) => {
		const {name, step, mode} = state;
		const query = {part: "validation", sort: "worst", from: 0, count: WORST, step, mode, ...cell};
		const [confusion, rows] = await Promise.all([ask("confusion", state, signal), get(ofRun(name, "rows", query), signal)]);
		return {...confusion, rows};
	};
	const refresh = follow(["step", "mode"], question, found => {
		if (found.matrix) showMatrix(matrix, found, cell, narrow);
		else showPairs(matrix, found);
		replace(list, found.rows.rows.length ? rowsTable(found.rows, choose) : h("p.soft", "No such rows."));
	});
}

function goTo(name) {
	const place = document.querySelector(`.xray .${name} h2`);
	if (!place) return;
	put(place, {tabindex: "-1"}).focus({preventScroll: true});
	place.scrollIntoView({block: "start", behavior: prefersStill() ? "auto" : "smooth"});
}

function showMatrix(place, {classes, matrix, part, in_part: all}, chosen, narrow) {
	const most = Math.max(1, ...matrix.flat());
	if (!place.firstChild) buildMatrix(place, classes, part, narrow);
	const buttons = [...place.querySelectorAll("td button")];
	matrix.flat().forEach((count, index) => {
		const [truth, answer] = [classes[Math.floor(index / classes.length)], classes[index % classes.length]];
		const cell = buttons[index];
		if (cell.textContent !== number(count)) cell.textContent = number(count);
		put(cell, {
			style: {"--share": Math.sqrt(count / most).toFixed(3)},
			"aria-label": `truth ${truth}, answer ${answer}: ${plural(count, "row")}, ${truth === answer ? "right" : "wrong"}`,
			"aria-pressed": String(chosen?.truth === truth && chosen?.answer === answer),
		});
	});
	const sum = counts => counts.reduce((all, count) => all + count, 0);
	const [total, right] = [sum(matrix.flat()), sum(matrix.map((row, index) => row[index]))];
	const share = percent(total ? right / total : null);
	const rows = plural(total, `${all > total ? "evenly chosen " : ""}${part} row`);
	replace(place.lastElementChild, `${number(right)} of ${rows} right (${share}). A cell lists its rows.`);
}

function buildMatrix(place, classes, part, narrow) {
	const cell = (truth, answer) => {
		return h(truth === answer ? "td.right" : "td", button("", () => narrow({truth, answer})));
	};
	const body = classes.map(truth => h("tr", h("th", {scope: "row"}, shortened(truth, 18)), classes.map(answer => cell(truth, answer))));
	const head = h("tr", h("th.corner", {scope: "col"}, "truth ↓ answer →"), classes.map(name => h("th", {scope: "col"}, shortened(name, 12))));
	const grid = h("table.confusion", h("caption.unseen", `Confusion matrix of the ${part} part`), h("thead", head), h("tbody", body));
	append(place, frame("Confusion matrix", grid), h("p.small.soft"));
}

function showPairs(place, {pairs}) {
	const values = pairs.flat();
	const [low, high] = [Math.min(...values), Math.max(...values)];
	const at = makeScale(low, high, 20, 280);
	const dots = pairs.slice(0, 1500).map(([truth, answer]) => `M${at(truth).toFixed(1)} ${(300 - at(answer)).toFixed(1)}h0`);
	const off = pairs.reduce((sum, [truth, answer]) => sum + Math.abs(truth - answer), 0) / Math.max(1, pairs.length);
	const paths = Object.entries({axis: "M20 20V280H280", diagonal: "M20 280L280 20", dots: dots.join("")});
	const words = `Truth against answer of ${plural(pairs.length, "row")}; on average ${number(off)} apart`;
	const chart = s(
		"svg.pairs",
		{viewBox: "0 0 300 300", role: "img", "aria-label": words},
		paths.map(([name, d]) => s(`path.${name}`, {d})),
		s("text", {x: 280, y: 296, "text-anchor": "end"}, `truth, ${number(low)} to ${number(high)}`),
		s("text", {x: 24, y: 14}, "answer"),
	);
	replace(place, chart, h("p.small.soft", `On the line the answer is right; on average it is ${number(off)} off.`));
}

export function mountResponsible(view) {
	const {run, store} = view;
	const about = h("p.about");
	const list = h("ol.blame");
	const title = h("h3", {hidden: true});
	const items = h("div.items");
	const {follow} = panel(view, "Who is responsible", "wide responsible", about, h("div.two", list, h("div", title, items)));
	follow(ANSWER, "responsible", ({neurons}, {row}) => {
		const rest = ". Click one to open it; below are the training rows that excite most the one that is open.";
		replace(about, "The neurons that spoke most for the answer on ", h("b", rowName(row)), rest);
		showNeurons(list, neurons, store);
	});
	const question = (state, signal) => state.layer !== null && !state.gone && ask("exciting", state, signal, {layer: state.layer, neuron: state.neuron});
	follow(["step", "mode", "member", "layer", "neuron"], question, (found, {layer, neuron}) => {
		replace(put(title, {hidden: false}), `What excites ${layerName(layer)} [${neuron}] most`);
		replace(items, found.items.map(item => itemCard(run, item, row => store.set({row}))));
	});
}

function showNeurons(list, neurons, store) {
	const most = peak(neurons.map(({share}) => share));
	const line = ({layer, index, share}) => {
		const open = button(`${layerName(layer)} [${index}]`, () => (store.set({layer, neuron: index}), goTo("neuron")), {class: "link"});
		return h("li", open, shareBar(share / most), data(share));
	};
	replace(list, neurons.map(line));
}

function itemCard(run, {index, fired, cells, truth, part}, choose) {
	const where = run.media === "image" ? itemAddress(run.name, part, index) : null;
	const media = where && h("img", {src: where, alt: `Training image ${index}`, loading: "lazy"});
	const isText = run.media === "text";
	const words = Object.entries(cells ?? {}).slice(0, run.media ? 1 : 4);
	const pairs = words.map(([name, text]) => [h("dt", shortened(name, 20)), h("dd", shortened(text, isText ? 160 : 24))]);
	const name = `row ${number(index)}`;
	return h(
		isText ? "article.item.words" : "article.item",
		media,
		h("p", isExported() ? name : button(name, () => choose({part, index}), {class: "link"}), " fires ", data(fired)),
		truth != null && h("p.small.soft", `truth: ${cellText(truth)}`),
		run.media !== "image" && h("dl", pairs),
	);
}
