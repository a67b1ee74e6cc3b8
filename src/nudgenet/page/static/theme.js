// How the page looks and speaks: light or dark, for beginners or practitioners. Kept on this machine.

import {choice, h} from "./dom.js";
import {createStore} from "./state.js";

const KEY = "nudgenet";
const THEMES = Object.entries({auto: "Auto", light: "Light", dark: "Dark"});
const DETAILS = Object.entries({beginner: "Beginner", practitioner: "Practitioner"});

function kept() {
	try {
		return JSON.parse(localStorage.getItem(KEY)) ?? {};
	} catch {
		return {}; // a browser that keeps nothing, or something else under our key
	}
}

function keep(values) {
	try {
		localStorage.setItem(KEY, JSON.stringify(values));
	} catch {
		// it is forgotten with the page
	}
}

function known(options, value) {
	return options.some(([name]) => name === value) ? value : options[0][0];
}

/** The preferences: a store over {theme: "auto|light|dark", dark: bool, detail: "beginner|practitioner"}. */
export function createPreferences() {
	const system = matchMedia("(prefers-color-scheme: dark)");
	const {theme, detail} = kept();
	const preferences = createStore({theme: known(THEMES, theme), detail: known(DETAILS, detail), dark: false});
	const apply = () => {
		const {theme: chosen, detail: level} = preferences.state;
		const dark = chosen === "auto" ? system.matches : chosen === "dark";
		document.documentElement.dataset.theme = dark ? "dark" : "light";
		document.documentElement.dataset.detail = level;
		preferences.set({dark});
	};
	preferences.subscribe((state, changed) => {
		if (changed.has("theme") || changed.has("detail")) {
			apply();
			keep({theme: state.theme, detail: state.detail});
		}
	});
	system.addEventListener("change", apply);
	apply();
	return preferences;
}

export function preferenceSwitches(preferences) {
	const {theme, detail} = preferences.state;
	return h(
		"div.row",
		choice("Words for", DETAILS, detail, value => preferences.set({detail: value})),
		choice("Light or dark", THEMES, theme, value => preferences.set({theme: value})),
	);
}
