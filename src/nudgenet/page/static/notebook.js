// Curves in a notebook's cell: the page's own chart, fed by `nudgenet.notebook`.

import {createChart} from "./chart.js";
import {h, prose, replace} from "./dom.js";
import {VERDICTS, metricLabel, number, score} from "./format.js";

const LOOK_MS = 1000; // between two questions how a run in another process goes on
const LINES = [
	["train_loss", {label: "training loss", colour: "--train", dash: []}],
	["validation_loss", {label: "validation loss", colour: "--validation", dash: [7, 4]}],
];

/** JupyterLab, VS Code and the browser each say it in their own way. */
function isDark() {
	const {jpThemeLight, vscodeThemeKind} = document.body.dataset;
	if (jpThemeLight) return jpThemeLight === "false";
	return vscodeThemeKind?.includes("dark") ?? matchMedia("(prefers-color-scheme: dark)").matches;
}

/**
 * anywidget's `render`. The page's styles live in a shadow tree: they touch nothing of the notebook, nor it them.
 * model: `picture`, as `notebook.picture_of` makes it. Returns what takes it away.
 */
export function render({model, el}, styles) {
	const host = h("div");
	const root = host.attachShadow({mode: "open"});
	const chart = createChart({title: "Loss", low: true});
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
		chart.destroy();
		model.off("change:picture", show);
	};
}

function headWords({name, line, verdict}) {
	const said = VERDICTS[verdict?.state];
	const badge = said && h(`span.badge.${said.tone}`, `${said.sign} ${said.words}`);
	return [h("strong", name), badge, h("span.soft", line)];
}

function footWords({result, verdict}) {
	const scored = result && [h("b", score(result.metric, result.value)), ` ${metricLabel(result.metric)} on the test rows. `];
	return [scored, verdict && prose(verdict.reason)];
}

function modelOf({series, steps_per_epoch, best_step, overfit_from_step}) {
	const perEpoch = steps_per_epoch || 1;
	const shown = LINES.filter(([name]) => series[name]).map(([name, looks]) => ({name, ...looks, ...series[name], format: value => number(value, 4)}));
	const validation = series.validation_loss;
	const epochOf = step => number(Math.round(step / perEpoch));
	const last = Math.max(0, ...shown.map(({x}) => x.at(-1) ?? 0));
	const marks =
		best_step && validation ? [{x: best_step, y: validation.y[validation.x.indexOf(best_step)] ?? NaN, label: `best, epoch ${epochOf(best_step)}`}] : [];
	const regions = overfit_from_step ? [{from: overfit_from_step, to: last, label: `overfitting since epoch ${epochOf(overfit_from_step)}`}] : [];
	return {series: shown, marks, regions, unit: {name: "epoch", divide: perEpoch}};
}
