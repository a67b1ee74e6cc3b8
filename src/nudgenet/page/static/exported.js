// An exported file: what the server would answer, looked up and not computed.

import {ApiError} from "./api.js";

export function embedded() {
	const place = document.getElementById("export");
	return place && JSON.parse(place.textContent);
}

export function exportedSource(content) {
	const unpacked = new Map();
	const best = content.states.find(state => state.best);
	const missing = words => new ApiError(words ? `${words} ${content.note}` : content.note);

	function nearest(step) {
		if (!best) throw missing();
		if (step == null || step === "") return best;
		const far = state => Math.abs(state.step - step);
		return content.states.reduce((closest, state) => (far(state) < far(closest) ? state : closest));
	}

	function answersOf(state) {
		if (!unpacked.has(state)) unpacked.set(state, unpack(state.packed));
		return unpacked.get(state);
	}

	/** An answer, which says so if it is not from the step that was asked for. */
	function given(answer, state, step) {
		if (!answer) throw missing();
		if (answer.error) throw new ApiError(answer.error);
		return step == null || Number(step) === state.step ? answer : {...answer, at: {step: state.step, exact: false, why: content.note}};
	}

	function rowAt(row) {
		const at = content.run.exported.rows.findIndex(({part, index}) => part === row?.part && index === row?.index);
		if (at < 0) throw missing("This row is not in it.");
		return at;
	}

	async function rows(query) {
		const state = nearest(query.get("step"));
		const answers = await answersOf(state);
		const listed = listRows(answers.rows, query);
		return given({at: {step: state.step, exact: true, why: ""}, columns: answers.columns, ...listed}, state, query.get("step"));
	}

	function series(query) {
		const wanted = query.get("names").split(",").filter(name => name in content.series.series);
		const window = [Number(query.get("from") ?? -Infinity), Number(query.get("to") ?? Infinity)];
		return {...content.series, series: Object.fromEntries(wanted.map(name => [name, part(content.series.series[name], ...window)]))};
	}

	function health(query) {
		const step = Number(query.get("step") ?? Infinity);
		return content.health.findLast(look => look.step <= step) ?? content.health[0] ?? {step: 0, steps: [], layers: []};
	}

	const gets = {"": () => content.run, time: () => content.time, series, health, rows};
	const ofStep = new Set(["confusion", "filters"]);

	async function post(path, body) {
		const [, name] = split(path);
		const state = nearest(body.step);
		const answer = given(find(name, body, await answersOf(state)), state, body.step);
		return name === "boundary" ? {...answer, points: content.points} : answer;
	}

	function find(name, body, answers) {
		const neuron = `${body.layer} ${body.neuron}`;
		if (ofStep.has(name)) return answers[name];
		if (name === "exciting") return answers.exciting[neuron] ?? unknownNeuron(body);
		const row = rowAt(body.row);
		if (name in answers.of_row) return answers.of_row[name][row];
		const question = name === "update" && body.batch === "real" ? "real" : name;
		if (!(question in answers.of_neuron)) throw missing();
		return answers.of_neuron[question][neuron]?.[row] ?? unknownNeuron(body);
	}

	function unknownNeuron({layer}) {
		const held = content.run.exported.neurons[layer];
		return {error: `${held ? `Of ${layer}, it has the neurons ${held.join(", ")}.` : "This neuron is not in it."} ${content.note}`};
	}

	return {
		async get(path) {
			if (path === "words") return content.words;
			if (path === "runs") return {folder: "", runs: [{name: content.name, state: content.run.state}]};
			const [, name, query] = split(path);
			if (!(name in gets)) throw missing();
			return gets[name](query);
		},
		post,
		picture: (part_, index) => content.pictures[`${part_} ${index}`] ?? null,
	};
}

/** "runs/NAME/rows?a=1" -> ["NAME", "rows", URLSearchParams]. */
function split(path) {
	const [before, query = ""] = path.split("?");
	const [, run, name = ""] = before.split("/");
	return [run, name, new URLSearchParams(query)];
}

async function unpack(text) {
	const stream = new Blob([Uint8Array.from(atob(text), letter => letter.charCodeAt(0))]).stream().pipeThrough(new DecompressionStream("gzip"));
	return JSON.parse(await new Response(stream).text());
}

/** The rows of a list. `from` is a place in the part's order, so a single row is found by its index. */
function listRows(all, query) {
	const [count, from] = [Number(query.get("count") ?? 50), Number(query.get("from") ?? 0)];
	const text = (query.get("find") ?? "").toLowerCase();
	const is = (name, row) => !query.has(name) || String(row[name]) === query.get(name);
	const part_ = query.get("part") ?? "validation";
	const found = all
		.filter(row => row.part === part_ && is("truth", row) && is("answer", row))
		.filter(row => !text || Object.values(row.cells).some(cell => cell.toLowerCase().includes(text)));
	found.sort(query.get("sort") === "worst" ? (a, b) => b.loss - a.loss : (a, b) => a.index - b.index);
	const start = count === 1 ? found.findIndex(({index}) => index === from) : from;
	return {rows: start < 0 ? [] : found.slice(start, start + count), total: found.length};
}

/** A curve's points in a window, and the neighbours just outside. */
function part(curve, from, to) {
	const first = curve.x.findIndex(x => x >= from);
	const last = curve.x.findLastIndex(x => x <= to);
	const [begin, end] = [Math.max(0, (first < 0 ? curve.x.length : first) - 1), last + 2];
	return {...curve, x: curve.x.slice(begin, end), y: curve.y.slice(begin, end)};
}
