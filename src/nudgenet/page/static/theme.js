// Light or dark, for beginners or practitioners: kept on this machine.

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

export function createPreferences() {
	const system = matchMedia("(prefers-color-scheme: dark)");
	const {theme, detail} = kept();
	const preferences = createStore({theme: known(THEMES, theme), detail: known(DETAILS, detail)});
	const apply = () => {
		const {theme: chosen, detail: level} = preferences.state;
		const dark = chosen === "auto" ? system.matches : chosen === "dark";
		Object.assign(document.documentElement.dataset, {theme: dark ? "dark" : "light", detail: level});
	};
	preferences.subscribe(state => {
		apply();
		keep(state);
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
