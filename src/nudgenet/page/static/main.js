// The page: which view is shown at #/ (runs), #/run/NAME, #/compare/A,B, #/new, #/playground and #/words.

import {get, isExported, liveFeed, useSource} from "./api.js";
import {h, problem, replace} from "./dom.js";
import {createPreferences, preferenceSwitches} from "./theme.js";

// Loaded when first opened. Each function fills a container and may return what ends it.
const VIEWS = {
	"": {load: async () => (await import("./runs.js")).mountRuns, title: "Runs"},
	run: {load: async () => (await import("./run.js")).mountRun, title: "Run"},
	compare: {load: async () => (await import("./compare.js")).mountCompare, title: "Compare"},
	new: {load: async () => (await import("./start.js")).mountStart, title: "New training"},
	playground: {load: async () => (await import("./playground.js")).mountPlayground, title: "Playground"},
	words: {load: async () => (await import("./glossary.js")).mountWords, title: "Words"},
};

/** "#/compare/a%20b,c" -> {view: "compare", names: ["a b", "c"]}. */
function parseAddress(hash) {
	const [, view = "", rest = ""] = /^#\/?([^/]*)\/?(.*)$/.exec(hash) ?? [];
	return {view, names: rest.split(",").filter(Boolean).map(decoded)};
}

function decoded(text) {
	try {
		return decodeURIComponent(text);
	} catch {
		return text;
	}
}

/** The name of an exported file's run, or null where a server answers. */
async function openFile() {
	if (!document.getElementById("export")) return null;
	const {embedded, exportedSource} = await import("./exported.js");
	useSource(exportedSource(embedded()));
	return (await get("runs")).runs[0].name;
}

async function start() {
	const only = await openFile();
	const preferences = createPreferences();
	document.getElementById("preferences").append(preferenceSwitches(preferences));
	const app = {preferences, feed: liveFeed(), open: address => (location.hash = address)};
	const main = document.getElementById("main");
	let end = null;
	let turn = 0; // a view that loads slowly must not appear over a later one
	let first = true;

	async function show() {
		const mine = (turn += 1);
		const asked = parseAddress(location.hash);
		const {view, names} = only === null || asked.view === "words" ? asked : {view: "run", names: [only]};
		const known = VIEWS[view] ?? VIEWS[""];
		end?.();
		end = null;
		showNavigation(asked.view);
		document.title = `${names.join(", ") || known.title} · nudgenet`;
		if (!first) {
			main.focus({preventScroll: true}); // where a reader or a keyboard goes on
			scrollTo(0, 0);
		}
		first = false;
		const container = h("div.view");
		try {
			const mount = await known.load();
			if (mine !== turn) return;
			replace(main, container);
			const ended = await mount(container, app, names);
			if (mine !== turn) ended?.();
			else end = ended ?? null;
		} catch (error) {
			if (mine !== turn) return;
			replace(main, problem(`This view could not be shown: ${error.message}`));
		}
	}

	addEventListener("hashchange", show);
	show();
}

function showNavigation(view) {
	const views = isExported() ? {"": {title: "Run"}, words: VIEWS.words} : VIEWS;
	const link = ([name, {title}]) => h("li", h("a", {href: `#/${name}`, "aria-current": name === view ? "page" : null}, title));
	const links = Object.entries(views)
		.filter(([name]) => !["run", "compare"].includes(name))
		.map(link);
	replace(document.getElementById("navigation"), h("ul", links));
}

// The skip link must move the focus, not the address.
document.querySelector(".skip")?.addEventListener("click", event => {
	event.preventDefault();
	document.getElementById("main").focus();
});
start();
