// Start a training: a file, the column to predict, settings, and the command line that does the same.

import {get, isOver, piece, post, withQuery} from "./api.js";
import {append, button, complaint, copyable, debounce, folded, h, labelled, oops, problem, replace, select, uniqueId} from "./dom.js";
import {bytes, plural, settingText, shortened} from "./format.js";
import {explained} from "./glossary.js";
import {createCleanup} from "./state.js";

const LOOK_AGAIN_MS = 400;

export async function mountStart(container, app) {
	const cleanup = createCleanup();
	const wish = {source: null, target: null, settings: {}, name: ""};
	const files = h("section.panel", h("h2", "1. A file on this machine"));
	const asked = h("section.panel", {hidden: true});
	const form = h("section.panel", {hidden: true});
	const go = h("section.panel.go", {hidden: true});
	const about = "A table, or a folder with one sub-folder of images, sounds or texts per class. It is read where it lies; nothing leaves this machine.";
	append(container, h("div.head", h("h1", "New training"), h("p.soft", about)), files, asked, form, go);
	app.feed.watch(null);

	const line = copyable("");
	const wrong = complaint();
	const tell = ({command}) => (line.set(command), wrong.say());
	const say = debounce(() => wish.source && post("command", body(wish)).then(tell, wrong.say), 120);

	const fileChooser = mountFiles(files, async path => {
		wish.source = path;
		await drawTarget(asked, wish, say);
		form.hidden = go.hidden = false;
		say();
	});
	drawGo(go, {wish, line, wrong, app, cleanup});
	await Promise.all([fileChooser, drawForm(form, wish, say, app, cleanup)]);
	return cleanup.end;
}

function body({name, ...wish}) {
	return name ? {...wish, name} : wish;
}

async function mountFiles(container, choose) {
	const path = h("input", {type: "text", spellcheck: "false", autocomplete: "off"});
	const list = h("ul.files");
	const wrong = complaint();
	const open = () => show(path.value);
	const field = labelled("Folder or file", path);
	field.append(h("div.row.path", path, button("Open", open)));
	append(container, field, wrong.element, list);
	path.addEventListener("keydown", event => event.key === "Enter" && open());

	async function show(wanted) {
		try {
			const answer = await get(withQuery("files", {path: wanted}));
			if (wanted || document.activeElement !== path) path.value = answer.path; // not under the hands of who types
			wrong.say();
			const up = answer.parent && entry("..", "folder above", () => show(answer.parent));
			const shown = answer.entries.filter(({folder, openable}) => folder || openable);
			const items = shown.map(one => fileEntry(one, answer.path));
			replace(list, up, items.length ? items : h("li.soft", "No tables or folders here."));
			const here = shown.findIndex(({name, folder}) => !folder && joined(answer.path, name) === wanted);
			if (here >= 0) pick(wanted, items[here]);
		} catch (error) {
			wrong.say(error);
		}
	}

	function fileEntry({name, folder, size, openable}, parent) {
		const full = joined(parent, name);
		const item = entry(name, folder ? "folder" : bytes(size), () => (folder ? show(full) : pick(full, item)), folder);
		if (folder && openable) item.append(button("use this folder", () => pick(full, item), {class: "link", "aria-label": `Use the folder ${name}`}));
		return item;
	}

	function pick(full, item) {
		for (const other of list.children) other.removeAttribute("aria-current");
		item.setAttribute("aria-current", "true");
		item.scrollIntoView({block: "nearest"});
		path.value = full;
		choose(full);
	}

	await show("");
}

function entry(name, words, onClick, folder = true) {
	return h("li", button([h("span", {"aria-hidden": "true"}, folder ? "▸ " : "· "), name], onClick, {class: "quiet file"}), h("span.small.soft", words));
}

function joined(folder, name) {
	const slash = folder.includes("\\") && !folder.includes("/") ? "\\" : "/";
	return folder.endsWith(slash) ? folder + name : `${folder}${slash}${name}`;
}

async function drawTarget(container, wish, changed) {
	container.hidden = false;
	const show = (...content) => replace(container, h("h2", "2. What is to be predicted?"), content);
	show(h("p.soft", "Reading …"));
	const path = wish.source;
	wish.target = null;
	const answer = await get(withQuery("peek", {path})).catch(problem);
	if (path !== wish.source) return;
	if (answer instanceof Node) return show(answer);
	wish.target = answer.target_guess ?? null;
	const choose = name => {
		wish.target = name;
		changed();
	};
	const group = uniqueId("target");
	const items = answer.columns.map(({name, kind, examples = []}) => {
		const radio = h("input", {type: "radio", name: group, checked: name === wish.target, on: {change: () => choose(name)}});
		const about = [kind?.replace("_", "/"), examples.map(cell => shortened(cell, 18)).join(", ")].filter(Boolean);
		return h("label.column", radio, h("span.column-name", name), h("span.small.soft", about.join(" · ")));
	});
	const counts = [plural(answer.columns.length, "column"), answer.rows && plural(answer.rows, "row")].filter(Boolean);
	show(h("p.note", counts.join(", "), ". All other columns may help to tell it."), h("fieldset.columns", h("legend.unseen", "The column to predict"), items));
}

async function drawForm(container, wish, changed, app, cleanup) {
	const {groups} = await get("schema");
	const set = (name, value) => {
		if (value === "") delete wish.settings[name];
		else wish.settings[name] = value;
		changed();
	};
	const fields = wanted => wanted.map(one => settingField(one, value => set(one.name, value)));
	const asked = groups.map(group => ({...group, fields: group.fields.filter(({name}) => name !== "target")}));
	const basic = asked.flatMap(group => group.fields).filter(one => one.basic);
	const rest = asked.map(({title, fields: all}) => [title, all.filter(one => !one.basic)]).filter(([, all]) => all.length);
	const name = h("input", {type: "text", on: {input: () => ((wish.name = name.value.trim()), changed())}});
	const all = folded("All settings", rest.map(([title, wanted]) => folded(title, h("div.fields", fields(wanted)))));
	const show = () => (all.open = app.preferences.state.detail === "practitioner");
	show();
	append(
		container,
		h("h2", "3. As you like it"),
		h("p.note", "Everything may stay as it is: what is empty is chosen from the data, and the run says why."),
		h("div.fields", fields(basic), described("name", "the run's folder; empty: the file's name and the time", name)),
		all,
	);
	cleanup.on(app.preferences, ["detail"], show);
}

function described(words, description, input) {
	const field = labelled(words, input);
	input.before(h("small", description));
	return field;
}

function settingField(one, set) {
	const standard = one.default == null ? (one.type === "text" || one.name === "time_limit" ? "none" : "chosen from the data") : settingText(one.default);
	return described(one.name.replaceAll("_", " "), one.description.replace(/ \(see [\w.]+\)/, ""), (INPUTS[one.type] ?? INPUTS.text)(one, standard, set));
}

const YES_NO = {true: "yes", false: "no"};
const INPUTS = {
	choice: ({choices}, standard, set) => select([["", `(${standard})`], ...choices], "", set),
	bool: (_, standard, set) =>
		select([["", `(${YES_NO[standard] ?? standard})`], ...Object.entries(YES_NO)], "", value => set(value && value === "true")),
	integer: (...given) => numeric(1, ...given),
	number: (...given) => numeric("any", ...given),
	text: (_, standard, set) => h("input", {type: "text", placeholder: standard, spellcheck: "false", on: {input: event => set(event.target.value.trim())}}),
};

function numeric(step, {minimum: min, maximum: max}, placeholder, set) {
	const input = ({target}) => {
		const fits = target.checkValidity();
		target.setAttribute("aria-invalid", String(!fits));
		if (fits) set(target.value && Number(target.value));
	};
	return h("input", {type: "number", step, min, max, placeholder, on: {input}});
}

function drawGo(container, {wish, line, wrong, app, cleanup}) {
	const state = h("p.soft", {role: "status"});
	const start = explained(button("Go", begin, {class: "primary large"}), "It goes on when this tab is closed; ending “nudge page” stops it.");
	append(container, h("h2", "4. Go"), h("p.note", "This line in a terminal does the same:"), line, wrong.element, start, state);

	async function begin() {
		start.disabled = true;
		replace(state, "Starting …");
		try {
			const {job, name} = await post("start", body(wish));
			await follow(job, name);
		} catch (error) {
			start.disabled = false;
			replace(state);
			oops(error);
		}
	}

	async function follow(job, name) {
		while (!cleanup.ended) {
			const answer = await get(`jobs/${piece(job)}`);
			if (answer.run) return app.open(`#/run/${piece(answer.run)}`);
			if (isOver(answer)) {
				start.disabled = false;
				replace(state, problem(answer.line || `It ${answer.state}.`));
				return null;
			}
			replace(state, answer.line ? shortened(answer.line, 160) : `Starting ${name ?? ""} …`);
			await new Promise(resolve => setTimeout(resolve, LOOK_AGAIN_MS));
		}
		return null;
	}
}
