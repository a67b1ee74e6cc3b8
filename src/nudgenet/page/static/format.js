// How numbers, times, scores and verdicts are said: the twin of report/wording.py.

export const ABSENT = "–";
const DAY = {day: "numeric", month: "long", year: "numeric"};

export const METRICS = {
	accuracy: {label: "accuracy", share: true},
	auc: {label: "AUC", decimals: 3},
	f1: {label: "F1", decimals: 3},
	log_loss: {label: "log loss", lower: true},
	rmse: {label: "RMSE", lower: true},
	mae: {label: "mean error", lower: true},
	r2: {label: "R²", decimals: 3},
};

/** Sign and words say it without colour. */
export const VERDICTS = {
	good_fit: {sign: "✓", words: "Good fit", tone: "good"},
	overfitting: {sign: "▲", words: "Overfitting", tone: "warn"},
	underfitting: {sign: "▼", words: "Underfitting", tone: "warn"},
	not_learning: {sign: "✗", words: "Not learning", tone: "bad"},
	diverged: {sign: "✗", words: "Diverged", tone: "bad"},
	too_noisy: {sign: "?", words: "Too noisy to tell", tone: "unknown"},
};

export const TASKS = {binary: "one of two classes", multiclass: "one of several classes", regression: "a number"};

/** A number for people: `digits` significant ones, whole numbers in full, a true minus. */
export function number(value, digits = 3) {
	if (typeof value !== "number") return ABSENT;
	if (Number.isNaN(value)) return "not a number";
	if (!Number.isFinite(value)) return value > 0 ? "infinite" : "minus infinite";
	const size = Math.abs(value);
	if (Number.isInteger(value) && size < 1e15) return minus(local(value, 0));
	if (size >= 1e15 || size < 1e-4) return minus(value.toExponential(digits - 1).replace("e+", "e"));
	return minus(local(value, Math.max(0, digits - 1 - Math.floor(Math.log10(size)))));
}

/** By hand: locales take long. */
export function local(value, decimals) {
	return value.toFixed(decimals).replace(/(?<!\.\d*)\d(?=(\d{3})+(?!\d))/g, "$&,");
}

function fixed(value, decimals) {
	if (!Number.isFinite(value)) return number(value);
	const text = local(value, decimals);
	return minus(/[1-9]/.test(text) ? text : text.replace("-", ""));
}

export function signed(value) {
	const text = number(value);
	return value > 0 && value < Infinity ? `+${text}` : text;
}

/** 0.8123 -> "81.2%"; what is not exactly all or nothing is never rounded to it. */
export function percent(share, decimals = 1) {
	if (!Number.isFinite(share)) return ABSENT;
	let text = (100 * share).toFixed(decimals);
	if (share < 1 && Number(text) === 100) text = (100 - 10 ** -decimals).toFixed(decimals);
	if (share > 0 && Number(text) === 0) text = Number((100 * share).toPrecision(2)).toString();
	return `${minus(text)}%`;
}

export function score(name, value) {
	if (!Number.isFinite(value)) return number(value);
	const metric = METRICS[name];
	if (metric?.share) return percent(value);
	if (metric?.decimals !== undefined && Math.abs(value) < 1000) return fixed(value, metric.decimals);
	return number(value);
}

export function metricLabel(name) {
	return METRICS[name]?.label ?? String(name).replaceAll("_", " ");
}

export function duration(seconds) {
	if (!Number.isFinite(seconds)) return ABSENT;
	if (seconds < 10) return `${seconds.toFixed(1)} s`;
	const [hours, minutes, rest] = new Date(1000 * Math.round(seconds)).toISOString().slice(11, 19).split(":");
	if (seconds >= 3600) return `${24 * Math.floor(seconds / 86_400) + Number(hours)} h ${minutes} min`;
	return Number(minutes) ? `${Number(minutes)} min ${rest} s` : `${Number(rest)} s`;
}

export function ago(moment, now = Date.now()) {
	const time = Date.parse(moment);
	if (Number.isNaN(time)) return String(moment ?? ABSENT);
	const seconds = Math.max(0, (now - time) / 1000);
	if (seconds < 45) return "just now";
	if (seconds < 3570) return `${plural(Math.max(1, Math.round(seconds / 60)), "minute")} ago`;
	if (seconds < 86_000) return `${plural(Math.round(seconds / 3600), "hour")} ago`;
	if (seconds < 30 * 86_400) return `${plural(Math.round(seconds / 86_400), "day")} ago`;
	return new Date(time).toLocaleDateString("en-GB", DAY);
}

export function when(moment) {
	const time = Date.parse(moment);
	if (Number.isNaN(time)) return String(moment ?? ABSENT);
	return new Date(time).toLocaleString("en-GB", {...DAY, hour: "2-digit", minute: "2-digit"});
}

export function plural(count, one) {
	return `${number(count)} ${one}${count === 1 ? "" : "s"}`;
}

export function bytes(size) {
	if (!Number.isFinite(size)) return "";
	const power = Math.min(4, Math.floor(Math.log2(Math.max(1, size)) / 10));
	const scaled = size / 1024 ** power;
	return `${power && scaled < 10 ? scaled.toFixed(1) : Math.round(scaled)} ${["B", "KB", "MB", "GB", "TB"][power]}`;
}

export function shortened(text, limit = 40) {
	const line = String(text ?? "")
		.trim()
		.replace(/\s+/g, " ");
	return line.length <= limit ? line : `${line.slice(0, limit - 1).trimEnd()}…`;
}

export function settingText(value) {
	if (value == null) return "none";
	if (typeof value !== "object") return String(value);
	const pieces = Array.isArray(value) ? value : Object.entries(value).map(pair => pair.join(":"));
	return pieces.join(",") || "none";
}

/** A layer's name for people: "layer1" is "layer 1", "stage2.first" is "stage 2, second convolution". */
export function layerName(name) {
	const [, kind, number = "", part = ""] = /^([a-z]+)(\d*)\.?(\w*)$/.exec(name) ?? [];
	const words = LAYERS[`${kind}.${part}`] ?? LAYERS[kind];
	if (words) return words.replace("#", number);
	return name.replace(/([a-z])(\d)/, "$1 $2").replaceAll("_", " ");
}

const LAYERS = {
	stem: "first convolution",
	stage: "stage #, first convolution",
	"stage.first": "stage #, second convolution",
	"stage.second": "stage #, third convolution",
	block: "block #, wide layer",
	"block.told": "block #, what it passes on",
	beside: "the table's neurons",
	straight: "straight from the words",
};

export function capital(text) {
	return text.charAt(0).toUpperCase() + text.slice(1);
}

function minus(text) {
	return String(text).replaceAll("-", "−");
}
