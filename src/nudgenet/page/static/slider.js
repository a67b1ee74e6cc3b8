// The time slider: what is looked at. A training goes on, whatever is paused here.

import {get, ofRun} from "./api.js";
import {atMost, button, debounce, h, prefersStill, put, replace, s} from "./dom.js";
import {duration, number, plural} from "./format.js";
import {within} from "./scales.js";

const REST_MS = 250; // after so long without a move the exact state is asked for
const PLAY_SECONDS = 20;
const FRAME_MS = 100;
const GROWS_MS = 1000; // how often it gets longer: drawing takes from the training's time
const LONG_S = 1;
const NEAREST = "the nearest snapshot"; // why it is not the state that was asked for

export function mountSlider(container, run, store, cleanup) {
	const time = {last_step: 0, steps_per_epoch: 1, snapshots: [], best_step: null};
	const parts = buildBar(time, {toggle, move, best: () => (pause(), store.set({step: null, mode: "exact"}))});
	container.append(parts.bar);
	const exactly = debounce(() => !cleanup.ended && store.set({mode: "exact"}), REST_MS);
	const here = () => store.state.step ?? time.best_step ?? time.last_step;
	let playing = 0;

	/** A move: the nearest state at once, the exact one when it rests. */
	function to(step) {
		store.set({step: within(Math.round(step), 0, time.last_step), mode: "nearest"});
		exactly();
	}

	function move(by) {
		pause();
		to(here() + by);
	}

	function toggle() {
		if (playing) return pause();
		const still = prefersStill();
		if (here() >= time.last_step) to(0);
		playing = setInterval(() => advance(still), still ? 1000 : FRAME_MS);
		replace(parts.play, "Pause");
	}

	function advance(still) {
		if (document.hidden) return; // it waits for who looks
		const stride = Math.max(1, Math.round((time.last_step * FRAME_MS) / (PLAY_SECONDS * 1000)));
		const next = still ? (time.snapshots.find(step => step > here()) ?? time.last_step) : here() + stride;
		to(next);
		if (next >= time.last_step) pause();
	}

	function pause() {
		clearInterval(playing);
		playing = 0;
		replace(parts.play, "Go");
	}

	parts.range.addEventListener("input", () => {
		pause();
		to(Number(parts.range.value));
	});
	const onKey = event => pressed(event, {range: parts.range, time, here, to: step => (pause(), to(step)), toggle});
	document.addEventListener("keydown", onKey);

	function show() {
		const words = placeWords(here(), time, store.state.step === null);
		put(parts.range, {value: here(), "aria-valuetext": words});
		parts.place.textContent = words;
		parts.best.disabled = store.state.step === null;
		showAt(parts.note, store.state, time.wait_s);
	}

	async function refresh() {
		try {
			learn(await get(ofRun(run.name, "time")));
		} catch (error) {
			parts.note.textContent = error.message;
		}
	}

	function learn(answer) {
		const {last_step, best_step, rows} = Object.assign(time, answer);
		parts.range.max = last_step;
		drawMarks(parts.marks, time, run.overfit_from);
		store.set({last_step, best_step, gone: rows === false});
		show();
	}

	const later = atMost(refresh, 5000); // the training goes on: new snapshots, perhaps a new best
	const grow = () => {
		const {last_step} = store.state;
		if (cleanup.ended || last_step <= time.last_step) return;
		learn({last_step});
		later();
	};
	cleanup.on(store, ["last_step"], atMost(grow, GROWS_MS));
	cleanup.on(store, ["live"], refresh);
	cleanup.on(store, ["step", "mode", "at", "last_step"], show);
	cleanup.add(() => {
		pause();
		document.removeEventListener("keydown", onKey);
		parts.bar.remove();
	});
	return refresh();
}

function buildBar(time, {toggle, move, best}) {
	const play = button("Go", toggle, {class: "play"});
	const step = button("Step", () => move(1), {"aria-label": "One step on"});
	const toBest = button("Best", best, {"aria-label": "To the weights that were kept: the best epoch's"});
	const range = h("input", {type: "range", min: 0, max: 1, step: 1, "aria-label": "Time in the training, in steps"});
	const marks = s("svg.marks", {"aria-hidden": "true"});
	const place = h("output.place");
	const note = h("span.at", {role: "status"});
	const bar = h("section.timebar", {"aria-label": "Time"}, h("div.buttons", play, step, toBest), h("div.track", range, marks), h("div.where", place, note));
	return {bar, play, best: toBest, range, marks, place, note};
}

/** On the slider, and wherever no control has the focus. */
function pressed(event, {range, time, here, to, toggle}) {
	const free = event.target === document.body || event.target === range;
	if (!free || event.ctrlKey || event.metaKey || event.altKey) return;
	const epoch = time.steps_per_epoch;
	const moves = {ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: epoch, PageDown: -epoch, Home: -Infinity, End: Infinity};
	const scrolls = !["ArrowLeft", "ArrowRight"].includes(event.key);
	if (event.key === " ") toggle();
	else if (event.key in moves && (event.target === range || !scrolls)) to(here() + moves[event.key]);
	else return;
	event.preventDefault();
}

function placeWords(step, time, isBest) {
	const epoch = time.steps_per_epoch ? step / time.steps_per_epoch : 0;
	const shown = Number.isInteger(epoch) ? number(epoch) : epoch.toFixed(1);
	return `step ${number(step)} of ${number(time.last_step)} · epoch ${shown}${isBest ? " · best, kept" : ""}`;
}

function showAt(note, {at, step, mode}, wait) {
	if (!at) return replace(note);
	note.classList.toggle("exact", at.exact);
	if (at.exact && step !== null && at.step !== step) return; // an answer from before the last move
	const words = at.exact ? "✓ exact" : `≈ nearest snapshot (step ${number(at.step)})`;
	const soon = wait > LONG_S ? `exact when it rests, in up to ${duration(wait)}: snapshots lie far apart` : "exact when it rests";
	replace(note, h("b", words), !at.exact && ` ${mode === "nearest" || at.why === NEAREST ? soon : (at.why ?? "")}`);
}

function drawMarks(marks, time, overfitEpoch) {
	const share = step => step / Math.max(1, time.last_step);
	const at = step => `${100 * share(step)}%`;
	const upright = (kind, step, y1, y2) => s(`line.${kind}`, {x1: at(step), x2: at(step), y1, y2});
	const kept = time.snapshots.filter((_, index) => index % Math.ceil(time.snapshots.length / 200 || 1) === 0);
	const overfit = overfitEpoch ? overfitEpoch * time.steps_per_epoch : Infinity;
	const best = time.best_step;
	replace(
		marks,
		overfit < time.last_step && s("rect.overfit", {x: at(overfit), y: 3, width: at(time.last_step - overfit), height: 4}),
		kept.map(step => upright("snapshot", step, 1, 7)),
		best !== null && [upright("best", best, 0, 9), s("text.best", {x: at(best), y: 20, "text-anchor": anchor(share(best))}, "best")],
	);
	marks.parentElement.title = `${plural(time.snapshots.length, "snapshot")}, marked below the slider`;
}

function anchor(share) {
	return share < 0.05 ? "start" : share > 0.95 ? "end" : "middle";
}
