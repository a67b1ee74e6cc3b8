// Kinks: names, curves, and a small plot of one with a neuron's point on it.

import {h, put, replace, s} from "./dom.js";
import {number} from "./format.js";
import {makeScale, within} from "./scales.js";

const [WIDTH, HEIGHT, EDGE] = [240, 170, 14];
const NAMES = {relu: "ReLU", gelu: "GELU", silu: "SiLU", none: "no kink"};

const CURVES = {
	relu: z => Math.max(0, z),
	gelu: z => 0.5 * z * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (z + 0.044715 * z ** 3))),
	silu: z => z / (1 + Math.exp(-z)),
	tanh: Math.tanh,
	sigmoid: z => 1 / (1 + Math.exp(-z)),
	none: z => z,
};

export function kinkName(kink) {
	return NAMES[kink] ?? kink;
}

/** `show({kink, sum, fired})` moves its point; `travel(delay)` lets it climb onto the curve. */
export function kinkPlot() {
	const [axes, curve, drop] = ["axis", "curve", "drop"].map(name => s(`path.${name}`));
	const point = s("circle.point", {r: 6});
	const words = [s("text.soft", {"text-anchor": "end"}, "sum"), s("text.soft", {y: EDGE + 2}, "after the kink")];
	const chart = s("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": "The kink"}, axes, curve, drop, point, words);
	const caption = h("figcaption.small.soft");
	let climb = 0;

	function show({kink, sum, fired}) {
		const curveOf = CURVES[kink] ?? CURVES.none;
		const reach = Math.max(2, 1.3 * Math.abs(sum), 1.3 * Math.abs(fired));
		const flat = kink === "sigmoid" || kink === "tanh";
		const [low, high] = flat ? [-1.25, 1.25] : [(kink in CURVES && kink !== "none" ? -0.45 : -1) * reach, reach];
		const room = 0.05 * (high - low);
		const x = makeScale(-reach, reach, EDGE, WIDTH - EDGE);
		const up = makeScale(low, high, HEIGHT - EDGE, EDGE);
		const y = value => up(within(value, low - room, high + room));
		const places = Array.from({length: 81}, (_, index) => -reach + (index * reach) / 40).map(z => `${x(z).toFixed(1)} ${y(curveOf(z)).toFixed(1)}`);
		climb = y(0) - y(fired);
		put(axes, {d: `M${EDGE} ${y(0)}H${WIDTH - EDGE}M${x(0)} ${EDGE}V${HEIGHT - EDGE}`});
		put(curve, {d: `M${places.join("L")}`});
		put(drop, {d: `M${x(sum)} ${y(0)}V${y(fired)}H${x(0)}`});
		put(point, {cx: x(sum), cy: y(fired)});
		put(words[0], {x: WIDTH - EDGE, y: y(0) + 13});
		put(words[1], {x: x(0) + 5});
		const becomes = `${number(sum)} becomes ${number(fired)}`;
		put(chart, {"aria-label": `${kinkName(kink)}: a sum of ${becomes}`});
		replace(caption, `${kinkName(kink)}: ${becomes}`);
	}

	function travel(delay) {
		point.animate([{transform: `translateY(${climb}px)`}, {transform: "none"}], {duration: 450, delay, fill: "backwards", easing: "ease-out"});
	}

	return {element: h("figure.kink", chart, caption), show, travel};
}
