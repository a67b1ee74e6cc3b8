// What a network looks for: first-layer filters, and a transformer's attention.

import {append, button, h, isNewState, lazily, onSize, onTheme, prose, put, replace, select, table} from "./dom.js";
import {number, plural, shortened} from "./format.js";
import {heatMap, paintFilter} from "./maps.js";
import {ANSWER, ask, data, panel} from "./panel.js";
import {within} from "./scales.js";

const MOST_FILTERS = 64;

export function mountFilters(view) {
	const place = h("div");
	let latest = null;
	const numbers = lazily("The numbers as a table", () => numbersOf(latest));
	const about = ["What each neuron of the first layer listens to: ", h("b", "blue adds"), ", ", h("b", "orange takes away"), ", pale is ignored."];
	const {element, follow} = panel(view, "First-layer filters", "filters", h("p.about", about), place, numbers.element);
	const open = (layer, neuron) => view.store.set({layer, neuron});
	const paint = () => latest && (latest.kind === "images" ? showImages : showColumns)(place, latest, open);
	const question = (state, signal) =>
		ask("filters", state, signal).catch(error => {
			element.hidden = error.message.includes("no weights"); // at any step: it hears waves
			throw error;
		});
	follow(["step", "mode", "member"], question, found => {
		latest = found;
		paint();
		numbers.changed();
	});
	onTheme(paint, view.cleanup);
	onSize(place, () => fitNames(place), view.cleanup);
}

function showColumns(place, {filters, layer}, open) {
	const columns = filters[0]?.columns ?? [];
	const shown = filters.slice(0, MOST_FILTERS);
	if (!shown.length) return;
	const choose = ({offsetY, target}) => open(layer, shown[Math.floor((offsetY / target.clientHeight) * shown.length)].index);
	const height = `${within(9 * shown.length, 90, 360)}px`;
	const names = columns.map((name, at) => h("span", {style: {"flex-grow": shown[0].values[at].length ?? 1}}, shortened(name, 16)));
	const words = `Heat map: ${plural(shown.length, "neuron")} of layer 1 by ${plural(columns.length, "column")}. The table below has the numbers.`;
	if (isNewState(place, [columns, shown.length])) {
		replace(place, h("canvas.heat", {role: "img", style: {height}}), h("div.heat-names", {"aria-hidden": "true"}, names));
		fitNames(place);
	}
	const canvas = put(place.firstChild, {"aria-label": words});
	canvas.onclick = choose;
	heatMap(canvas, shown.map(({values}) => values.flat()));
}

/** Names that would lie on each other are not shown. */
function fitNames(place) {
	for (const {clientWidth, style} of place.querySelectorAll(".heat-names span")) style.visibility = clientWidth < 9 ? "hidden" : "";
}

function showImages(place, {filters, layer}, open) {
	const shown = filters.slice(0, MOST_FILTERS);
	if (isNewState(place, shown.map(({index}) => index))) {
		const filter = ({index}) => {
			const words = {"aria-label": `Filter ${index}`}; // inside a pretrained network no neuron is opened
			return layer ? button(h("canvas"), () => open(layer, index), {class: "quiet", ...words}) : h("canvas", {role: "img", ...words});
		};
		replace(place, h("div.filter-images", shown.map(filter)));
	}
	const canvases = place.querySelectorAll("canvas");
	shown.forEach(({values}, at) => paintFilter(canvases[at], values));
}

function numbersOf({kind, filters}) {
	const images = kind === "images";
	const columns = images ? ["Smallest weight", "Largest weight"] : (filters[0]?.columns ?? []);
	const ends = values => [Math.min(...values.flat(2)), Math.max(...values.flat(2))];
	const cell = weights => [weights].flat().map((value, at) => [at ? " " : "", data(value)]);
	const rows = filters.map(({index, values}) => [number(index), ...(images ? ends(values) : values).map(cell)]);
	return table("Filters", ["Neuron", ...columns.map(name => shortened(name, 20))], rows, {numeric: [1]});
}

export function mountAttention(view) {
	const canvas = h("canvas.heat", {role: "img"});
	const controls = h("div.controls");
	const [words, down] = ["heat-names", "heat-rows"].map(name => h(`div.${name}`, {"aria-hidden": "true"}));
	const note = h("p.about.small");
	const chosen = {layer: 0, head: 0};
	let latest = null;
	const numbers = lazily("The strongest looks as a table", () => looks(latest, chosen));
	const about = [
		"How much each word (down) looks at each other word (across). ",
		h("b", "Attention is not proof of cause"),
		": a word that is looked at need not have made the answer; Your row tells what changes it.",
	];
	const {follow} = panel(view, "Attention", "attention", h("p.about", about), controls, h("div.attention-map", down, canvas, words), note, numbers.element);
	const paint = () => {
		const {layer, head} = chosen;
		const map = latest?.layers[layer]?.heads[head];
		if (!map) return;
		const said = `${plural(latest.words.length, "word")}: ${latest.words.slice(0, 12).join(" ")}`;
		put(canvas, {style: {height: `${Math.min(480, 18 * map.length)}px`}, "aria-label": `Attention of layer ${layer + 1}, head ${head + 1} over ${said}`});
		heatMap(canvas, map); // the darkest cell is the largest share
		numbers.changed();
	};
	const pick = (name, items) => {
		return select(items.map((_, at) => [at, `${name} ${at + 1}`]), chosen[name], at => ((chosen[name] = Number(at)), paint()), {"aria-label": `Which ${name}`});
	};
	follow(ANSWER, "attention", found => {
		latest = found;
		replace(note, prose(found.note));
		if (!controls.firstChild) append(controls, pick("layer", found.layers), pick("head", found.layers[0]?.heads ?? [])); // once: they keep the focus
		for (const place of [words, down]) replace(place, found.words.map(word => h("span", shortened(word, 14))));
		paint();
	});
	onTheme(paint, view.cleanup);
}

function looks({layers, words}, {layer, head}) {
	const all = layers[layer].heads[head].flatMap((row, from) => row.map((share, to) => [words[from], words[to], share]));
	const rows = all.sort((a, b) => b[2] - a[2]).slice(0, 20).map(([from, to, share]) => [from, to, data(share)]);
	return table("Strongest looks", ["Word", "looks at", "Share"], rows, {numeric: [2]});
}
