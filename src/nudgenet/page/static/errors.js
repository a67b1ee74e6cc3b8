// From an error to the neurons behind it: confusion matrix and worst rows, the neurons most responsible for a row's
// answer, and the training items that excite a neuron most.

import {isExported, itemAddress, withQuery} from "./api.js";
import {button, frame, h, prefersStill, put, replace, s} from "./dom.js";
import {layerName, number, percent, plural, shortened} from "./format.js";
import {data, follow, ofRun, panel} from "./panel.js";
import {rowName, rowsTable} from "./row.js";

const WORST = 10;

export function mountErrors(container, run, store, cleanup) {
	mountMistakes(container, run, store, cleanup);
	mountResponsible(container, run, store, cleanup);
}

function mountMistakes(container, run, store, cleanup) {
	const place = panel("Errors", "errors");
	const matrix = h("div");
	const heading = h("h3", "Worst rows");
	const list = frame("Worst rows");
	const back = button("All rows", () => narrow(null), {hidden: true});
	const request = ofRun(run.name);
	let cell = null; // {truth, answer} of the chosen cell
	place.body.append(matrix, heading, back, list);
	container.append(place.element);

	const narrow = chosen => {
		cell = chosen;
		back.hidden = !cell;
		replace(heading, cell ? `Truth ${cell.truth}, answer ${cell.answer}` : "Worst rows");
		asked.refresh();
	};
	const choose = row => {
		store.set({row});
		goTo("responsible");
	};
	const asked = follow(place, store, ["step", "mode"], {
		cleanup,
		async ask(state, signal) {
			const query = {part: "validation", sort: "worst", from: 0, count: WORST, step: state.step, mode: state.mode, truth: cell?.truth, answer: cell?.answer};
			const [confusion, rows] = await Promise.all([request.ask("confusion", state, signal), request.get(withQuery("rows", query), {signal})]);
			return {...confusion, rows};
		},
		show(found) {
			if (found.matrix) showMatrix(matrix, found, cell, narrow);
			else showPairs(matrix, found);
			replace(list, found.rows.rows.length ? rowsTable(found.rows, choose) : h("p.soft", "No such rows."));
		},
	});
}

/** Brings the person to the panel that tells about what was chosen. */
function goTo(name) {
	const place = document.querySelector(`.xray .${name} h2`);
	if (!place) return;
	put(place, {tabindex: "-1"}).focus({preventScroll: true});
	place.scrollIntoView({block: "start", behavior: prefersStill() ? "auto" : "smooth"});
}

function showMatrix(place, {classes, matrix, part}, chosen, narrow) {
	const most = Math.max(1, ...matrix.flat());
	const built = place.firstElementChild?.dataset.classes;
	if (built !== JSON.stringify(classes)) buildMatrix(place, classes, part, narrow);
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
	replace(
		place.lastElementChild,
		`${number(right)} of ${plural(total, `${part} row`)} right (${percent(total ? right / total : null)}). A cell lists its rows.`,
	);
}

function buildMatrix(place, classes, part, narrow) {
	const cell = (truth, answer) =>
		h(
			"td",
			{class: truth === answer ? "right" : "wrong-cell"},
			button("", () => narrow({truth: classes[truth], answer: classes[answer]})),
		);
	const body = classes.map((name, truth) =>
		h(
			"tr",
			h("th", {scope: "row"}, shortened(name, 18)),
			classes.map((_, answer) => cell(truth, answer)),
		),
	);
	const head = h(
		"tr",
		h("th", {scope: "col", class: "corner"}, "truth ↓ answer →"),
		classes.map(name => h("th", {scope: "col"}, shortened(name, 12))),
	);
	const grid = h("table.confusion", h("caption.unseen", `Confusion matrix of the ${part} part`), h("thead", head), h("tbody", body));
	replace(place, put(frame("Confusion matrix", grid), {data: {classes: JSON.stringify(classes)}}), h("p.small.soft"));
}

/** Of a regression: truth against answer, the diagonal being right. */
function showPairs(place, {pairs}) {
	const values = pairs.flat();
	const [low, high] = [Math.min(...values), Math.max(...values)];
	const at = value => 20 + (260 * (value - low)) / (high - low || 1);
	const dots = pairs.slice(0, 1500).map(([truth, answer]) => `M${at(truth).toFixed(1)} ${(300 - at(answer)).toFixed(1)}h0`);
	const off = pairs.reduce((sum, [truth, answer]) => sum + Math.abs(truth - answer), 0) / Math.max(1, pairs.length);
	replace(
		place,
		s(
			"svg.pairs",
			{viewBox: "0 0 300 300", role: "img", "aria-label": `Truth against answer of ${plural(pairs.length, "row")}; on average ${number(off)} apart`},
			s("path.axis", {d: "M20 20V280H280"}),
			s("path.diagonal", {d: "M20 280L280 20"}),
			s("path.dots", {d: dots.join("")}),
			s("text", {x: 280, y: 296, "text-anchor": "end"}, `truth, ${number(low)} to ${number(high)}`),
			s("text", {x: 24, y: 14}, "answer"),
		),
		h("p.small.soft", `On the line the answer is right; on average it is ${number(off)} off.`),
	);
}

function mountResponsible(container, run, store, cleanup) {
	const place = panel("Who is responsible", "responsible");
	const about = h("p.about");
	const list = h("ol.blame");
	const title = h("h3", {hidden: true});
	const items = h("div.items");
	place.body.append(about, list, title, items);
	container.append(place.element);
	follow(place, store, ["step", "mode", "row", "member"], {
		cleanup,
		ask: "responsible",
		show(found, state) {
			replace(
				about,
				"The neurons that spoke most for the answer on ",
				h("b", rowName(state.row)),
				". Click one to open it; below are the training rows that excite most the one that is open.",
			);
			showNeurons(list, found.neurons, store);
		},
	});
	follow(place, store, ["step", "mode", "member", "layer", "neuron"], {
		cleanup,
		ask: (state, signal) => state.layer !== null && ofRun(run.name).ask("exciting", state, signal, {layer: state.layer, neuron: state.neuron}),
		show(found, state) {
			title.hidden = false;
			replace(title, `What excites ${layerName(state.layer)} [${state.neuron}] most`);
			replace(
				items,
				found.items.map(item => itemCard(run, item, row => store.set({row}))),
			);
		},
	});
}

function showNeurons(list, neurons, store) {
	const most = Math.max(1e-12, ...neurons.map(({share}) => Math.abs(share)));
	const line = ({layer, index, share}) =>
		h(
			"li",
			button(`${layerName(layer)} [${index}]`, () => (store.set({layer, neuron: index}), goTo("neuron")), {class: "link"}),
			h("span.share", {"aria-hidden": "true"}, h("span", {class: share < 0 ? "negative" : "positive", style: {width: `${(100 * Math.abs(share)) / most}%`}})),
			data(share),
		);
	replace(list, neurons.map(line));
}

function itemCard(run, {index, fired, cells, truth, part}, choose_) {
	const where = run.media === "image" ? itemAddress(run.name, part, index) : null;
	const media = where && h("img", {src: where, alt: `Training image ${index}`, loading: "lazy"});
	const words = Object.entries(cells ?? {}).slice(0, run.media ? 1 : 4);
	return h(
		"article",
		{class: run.media === "text" ? "item words" : "item"},
		media,
		h("p", isExported() ? `row ${number(index)}` : button(`row ${number(index)}`, () => choose_({part, index}), {class: "link"}), " fires ", data(fired)),
		truth != null && h("p.small.soft", `truth: ${typeof truth === "number" ? number(truth) : shortened(truth, 30)}`),
		run.media !== "image" &&
			h(
				"dl",
				words.map(([name, text]) => [h("dt", shortened(name, 20)), h("dd", shortened(text, run.media === "text" ? 160 : 24))]),
			),
	);
}
