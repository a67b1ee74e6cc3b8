// What a network looks for: its first layer's filters, and a transformer's attention.

import {button, h, put, replace, select, table} from "./dom.js";
import {number, plural, shortened} from "./format.js";
import {heatMap, paintFilter} from "./maps.js";
import {data, follow, lazily, onTheme, panel} from "./panel.js";

const MOST_FILTERS = 64;

export function mountFilters(container, run, store, cleanup) {
	const frame = panel("First-layer filters", "filters");
	const place = h("div");
	let latest = null;
	const numbers = lazily("The numbers as a table", () => latest && numbersOf(latest));
	frame.body.append(
		h("p.about", "What each neuron of the first layer listens to: ", h("b", "blue adds"), ", ", h("b", "vermilion takes away"), ", pale is ignored."),
		place,
		numbers.element,
	);
	container.append(frame.element);
	const open = (layer, neuron) => store.set({layer, neuron});
	const paint = () => latest && (latest.kind === "images" ? showImages : showColumns)(place, latest, open);
	follow(frame, store, ["step", "mode", "member"], {
		cleanup,
		ask: "filters",
		show(found) {
			latest = found;
			paint();
			numbers.changed();
		},
	});
	onTheme(paint, cleanup);
}

function showColumns(place, {filters, layer}, open) {
	const columns = filters[0]?.columns ?? [];
	const shown = filters.slice(0, MOST_FILTERS);
	if (!shown.length) return;
	const choose = ({offsetY, target}) => open(layer, shown[Math.floor((offsetY / target.clientHeight) * shown.length)].index);
	if (place.dataset.shape !== `${columns} ${shown.length}`) {
		place.dataset.shape = `${columns} ${shown.length}`;
		const height = `${Math.max(90, Math.min(360, 9 * shown.length))}px`;
		replace(
			place,
			h("canvas.heat", {role: "img", style: {height}, on: {click: choose}}),
			h(
				"div.heat-names",
				{"aria-hidden": "true"},
				columns.map((name, at) => h("span", {style: {flexGrow: shown[0].values[at].length ?? 1}}, shortened(name, 16))),
			),
		);
	}
	const canvas = put(place.firstElementChild, {
		"aria-label": `Heat map: ${plural(shown.length, "neuron")} of layer 1 by ${plural(columns.length, "column")}. The table below has the numbers.`,
	});
	heatMap(
		canvas,
		shown.map(filter => filter.values.flat()),
	);
}

function showImages(place, {filters, layer}, open) {
	const shown = filters.slice(0, MOST_FILTERS);
	if (place.dataset.shape !== `${shown.length}`) {
		place.dataset.shape = shown.length;
		const filter = ({index}) => button(h("canvas"), () => open(layer, index), {class: "quiet", "aria-label": `Filter ${index}`});
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
	return table("Filters", ["Neuron", ...columns.map(name => shortened(name, 20))], rows, {numeric: columns.map((_, at) => at + 1)});
}

export function mountAttention(container, run, store, cleanup) {
	const frame = panel("Attention", "attention");
	const canvas = h("canvas.heat", {role: "img"});
	const controls = h("div.controls");
	const words = h("div.heat-names", {"aria-hidden": "true"});
	const chosen = {layer: 0, head: 0};
	let latest = null;
	const numbers = lazily("The strongest looks as a table", () => latest && looks(latest, chosen));
	frame.body.append(
		h(
			"p.about",
			"How much each word (down) looks at each other word (across). ",
			h("b", "Attention is not proof of cause"),
			": a word that is looked at need not have made the answer; Your row tells what changes it.",
		),
		controls,
		canvas,
		words,
		numbers.element,
	);
	container.append(frame.element);
	const paint = () => {
		const map = latest?.layers[chosen.layer]?.heads[chosen.head];
		if (!map) return;
		canvas.style.height = `${Math.min(360, 18 * map.length)}px`;
		canvas.setAttribute(
			"aria-label",
			`Attention of layer ${chosen.layer + 1}, head ${chosen.head + 1} over ${plural(latest.words.length, "word")}: ${latest.words.slice(0, 12).join(" ")}`,
		);
		heatMap(canvas, map, 1);
		numbers.changed();
	};
	const pick = (name, {length}) => {
		const choose = at => {
			chosen[name] = Number(at);
			paint();
		};
		return select(
			Array.from({length}, (_, at) => [at, `${name} ${at + 1}`]),
			chosen[name],
			choose,
			{"aria-label": `Which ${name}`},
		);
	};
	follow(frame, store, ["step", "mode", "row", "member"], {
		cleanup,
		ask: "attention",
		show(found) {
			latest = found;
			replace(controls, pick("layer", found.layers), pick("head", found.layers[0]?.heads ?? []));
			replace(
				words,
				found.words.map(word => h("span", shortened(word, 14))),
			);
			paint();
		},
	});
	onTheme(paint, cleanup);
}

function looks({layers, words}, {layer, head}) {
	const all = layers[layer].heads[head].flatMap((row, from) => row.map((share, to) => [words[from], words[to], share]));
	const strongest = all.sort((a, b) => b[2] - a[2]).slice(0, 20);
	return table(
		"Strongest looks",
		["Word", "looks at", "Share"],
		strongest.map(([from, to, share]) => [from, to, data(share)]),
		{numeric: [2]},
	);
}
