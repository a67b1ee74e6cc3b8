// The x-ray of a run: its network opened at any step, driven by one slider.

import {mountBoundary} from "./boundary.js";
import {h} from "./dom.js";
import {mountErrors, mountResponsible} from "./errors.js";
import {mountAttention, mountFilters} from "./inside.js";
import {mountNetwork} from "./network.js";
import {mountNeuron} from "./neuron.js";
import {mountRow} from "./row.js";
import {mountSlider} from "./slider.js";
import {createCleanup} from "./state.js";

export function mountXray(container, run, store) {
	const cleanup = createCleanup();
	if (!store.state.row) store.set({row: firstRow(run)});
	store.set({mode: "exact", member: 0, stage: "forward", batch: "row"});
	const slot = container.closest("main")?.querySelector(".time-slot") ?? container;
	const place = h("div.panels.even.xray");
	const view = {place, run, store, cleanup};
	// Without the run's rows, the network still answers for typed values.
	cleanup.on(store, ["gone"], ({gone, row}) => gone && !row.values && store.set({row: typicalRow(run)}));
	mountSlider(slot, run, store, cleanup);
	container.append(place);
	const inside = attends(run) ? [mountAttention] : countsWords(run) ? [] : [mountFilters];
	for (const mount of [mountNetwork, mountNeuron, mountRow, mountErrors, mountResponsible, ...inside, mountBoundary]) mount(view);
	return () => {
		cleanup.end();
		place.remove();
	};
}

/** Whether its first layer is a table of words, which look at each other. */
function attends({settings, media}) {
	return settings?.network === "transformer" || (settings?.network === "pretrained" && media === "text");
}

/** Whether its first layer weighs words: more than anybody could look at. */
function countsWords({columns}) {
	const kinds = (columns ?? []).filter(({used}) => used !== false).map(({kind}) => kind);
	return kinds.length > 0 && kinds.every(kind => kind === "text");
}

function typicalRow(run) {
	return {values: Object.fromEntries((run.columns ?? []).filter(column => column.used !== false).map(({name, typical}) => [name, typical ?? ""]))};
}

function firstRow(run) {
	if (run.exported) return {...run.exported.rows[0]};
	return {part: ["validation", "train", "test"].find(name => run.parts?.[name]) ?? "train", index: 0};
}
