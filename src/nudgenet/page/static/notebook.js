// Curves in a notebook's cell: the page's chart, fed by `nudgenet.notebook`.

import {createChart, landmarks} from "./chart.js";
import {h, prose, replace} from "./dom.js";
import {VERDICTS, metricLabel, number, score} from "./format.js";
import {createCleanup} from "./state.js";

const LOOK_MS = 1000; // for news of a run in another process
const LINES = [
	["train_loss", {label: "training loss", colour: "--train", dash: []}],
	["validation_loss", {label: "validation loss", colour: "--validation", dash: [7, 4]}],
];

/** As JupyterLab, VS Code or the browser says it. */
function isDark() {
	const {jpThemeLight, vscodeThemeKind} = document.body.dataset;
	if (jpThemeLight) return jpThemeLight === "false";
	return vscodeThemeKind?.includes("dark") ?? matchMedia("(prefers-color-scheme: dark)").matches;
}

/** anywidget's `render` of the model's `picture`; in a shadow tree, styles do not cross. Returns what takes it away. */
export function render({model, el}, styles) {
	const host = h("div");
	const root = host.attachShadow({mode: "open"});
	const cleanup = createCleanup();
	const chart = createChart({title: "Loss", low: true, cleanup});
	const head = h("p.row");
	const foot = h("p.small");
	const sheet = new CSSStyleSheet();
	sheet.replaceSync(styles);
	root.adoptedStyleSheets = [sheet];
	root.append(head, chart.element, foot);
	el.append(host);

	let timer = 0;
	const look = () => model.send({look: true});
	const show = () => {
		const picture = model.get("picture");
		replace(head, headWords(picture));
		replace(foot, footWords(picture));
		chart.update(modelOf(picture));
		clearInterval(timer);
		if (picture.asks) timer = setInterval(look, LOOK_MS);
	};
	const dress = () => {
		host.dataset.theme = isDark() ? "dark" : "light";
		chart.redraw();
	};
	const theme = new MutationObserver(dress);
	theme.observe(document.body, {attributes: true});
	model.on("change:picture", show);
	dress();
	show();
	return () => {
		clearInterval(timer);
		theme.disconnect();
		cleanup.end();
		model.off("change:picture", show);
	};
}

function headWords({name, line, verdict}) {
	const said = VERDICTS[verdict?.state];
	return [h("strong", name), said && h(`span.badge.${said.tone}`, `${said.sign} ${said.words}`), h("span.soft", line)];
}

function footWords({result, verdict}) {
	return [result && [h("b", score(result.metric, result.value)), ` ${metricLabel(result.metric)} on the test rows. `], verdict && prose(verdict.reason)];
}

function modelOf(picture) {
	const {series, steps_per_epoch: each} = picture;
	const shown = LINES.filter(([name]) => series[name]).map(([name, looks]) => ({name, ...looks, ...series[name], format: value => number(value, 4)}));
	return {series: shown, ...landmarks(picture, series.validation_loss, shown), unit: {name: "epoch", divide: each || 1}};
}
