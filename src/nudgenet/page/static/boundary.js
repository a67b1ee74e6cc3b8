// Where the answer turns: answers over two columns, the others held at your row's values.

import {h, lazily, replace, table} from "./dom.js";
import {number, percent} from "./format.js";
import {answerAt, axisChoices, mapWords, numberColumns, paintMap, picture} from "./maps.js";
import {ANSWER, ask, panel} from "./panel.js";

const DRAGGED = 40;
const RESTING = 80;

export function mountBoundary(view) {
	const {run, store, cleanup} = view;
	const numeric = numberColumns(run);
	if (numeric.length < 2 || (run.exported && !run.exported.axes)) return;
	const chosen = {};
	const controls = h("div.controls", {hidden: Boolean(run.exported)});
	const choose = ([x, y]) => replace(controls, axisChoices(numeric, Object.assign(chosen, {x, y}), () => refresh()));
	let latest = null;
	const drawing = picture("Decision boundary", 320, (context, width, height) => latest && paintMap(context, width, height, {...latest, own: own()}), cleanup);
	const own = () => [chosen.x, chosen.y].map(name => parseFloat(store.state.cells?.[name]));
	const axes = {x: h("p.axis-name"), y: h("p.axis-name")};
	const words = h("p.small.soft");
	const numbers = lazily("The same as a table", () => coarse(latest, chosen));
	const turns = run.task?.kind === "regression" ? "Square points are high, round ones low." : "The line is where the answer turns.";
	const about = `The answer for every pair of values; the other columns stay as in your row (the cross). ${turns}`;
	const {follow} = panel(view, "Decision boundary", "boundary", h("p.about", about), [controls, axes.y, drawing.canvas, axes.x, words, numbers.element]);

	/** The first time: the two columns that change the answer on your row most. */
	async function telling(state, signal) {
		const {columns} = await ask("whatif", state, signal);
		const known = columns.map(({name}) => name).filter(name => numeric.includes(name));
		choose([...new Set([...known, ...numeric])]);
	}

	const question = (state, signal) => {
		if (!state.row || (chosen.x && chosen.x === chosen.y)) return null;
		const wanted = () => ask("boundary", state, signal, {...chosen, resolution: state.mode === "nearest" ? DRAGGED : RESTING});
		return chosen.x ? wanted() : telling(state, signal).then(wanted);
	};
	const refresh = follow(ANSWER, question, found => {
		latest = {...found, classes: found.classes?.length ? found.classes : null};
		drawing.draw();
		const ends = values => `${number(values[0])} to ${number(values.at(-1))}`;
		replace(axes.x, `${chosen.x}: ${ends(found.x)} →`);
		replace(axes.y, `↑ ${chosen.y}: ${ends(found.y)}`);
		const text = mapWords(latest.grid, latest.classes);
		replace(words, text);
		drawing.canvas.setAttribute("aria-label", `Decision boundary over ${chosen.x} and ${chosen.y}. ${text}`);
		numbers.changed();
	});
	if (run.exported) choose(run.exported.axes);
	cleanup.on(store, ["cells"], drawing.draw);
}

function coarse({x, y, grid, classes}, chosen) {
	const picks = axis => [0, 0.25, 0.5, 0.75, 1].map(share => Math.round(share * (axis.length - 1)));
	const text = value => (Array.isArray(value) ? answerAt(value, classes) : classes ? `${answerAt(value, classes)} (${percent(value, 0)})` : number(value));
	const rows = picks(y)
		.reverse()
		.map(row => [number(y[row]), ...picks(x).map(column => text(grid[row][column]))]);
	return table("Answers on a coarse grid", [`${chosen.y} ↓ ${chosen.x} →`, ...picks(x).map(column => number(x[column]))], rows);
}
