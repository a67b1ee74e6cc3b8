// Start a training: a file, the column to predict, go. The same settings as on the command line, and the line itself.

import { get, piece, post, withQuery } from "./api.js";
import { append, button, copyable, debounce, h, replace, toast, uniqueId } from "./dom.js";
import { bytes, plural, shortened } from "./format.js";
import { explained } from "./glossary.js";
import { createCleanup } from "./state.js";

const LOOK_AGAIN_MS = 400;
const OVER = new Set(["failed", "stopped"]);

/** The view at #/new. */
export async function mountStart(container, app) {
  const cleanup = createCleanup();
  const wish = { source: null, target: null, settings: {}, name: "" };
  const files = h("section", { class: "panel" }, h("h2", {}, "1. A file on this machine"));
  const asked = h("section", { class: "panel", hidden: true });
  const form = h("section", { class: "panel", hidden: true });
  const go = h("section", { class: "panel go", hidden: true });
  const head = h("div", { class: "head" }, h("h1", {}, "New training"), h("p", { class: "soft" }, "A table, or a folder with one sub-folder of images, sounds or texts per class. It is read where it lies; nothing leaves this machine."));
  append(container, head, files, asked, form, go);
  app.feed.watch(null);

  const line = copyable("");
  const problem = h("p", { class: "problem", role: "alert", hidden: true });
  const say = debounce(async () => {
    if (!wish.source) return;
    try {
      line.set((await post("command", body(wish))).command);
      problem.hidden = true;
    } catch (error) {
      replace(problem, error.message);
      problem.hidden = false;
    }
  }, 120);

  const fileChooser = mountFiles(files, async (path) => {
    wish.source = path;
    await drawTarget(asked, wish, say);
    form.hidden = go.hidden = false;
    say();
  });
  drawGo(go, { wish, line, problem, app, cleanup });
  await Promise.all([fileChooser, drawForm(form, wish, say, app, cleanup)]);
  return cleanup.end;
}

function body({ source, target, settings, name }) {
  return { source, target, settings, ...(name ? { name } : {}) };
}

/** The files of a folder of this machine; a click opens a folder or chooses a file. */
async function mountFiles(container, choose) {
  const path = h("input", { type: "text", spellcheck: "false", autocomplete: "off", id: uniqueId("path") });
  const list = h("ul", { class: "files" });
  const error = h("p", { class: "problem", role: "alert", hidden: true });
  const open = () => show(path.value);
  append(
    container,
    h("div", { class: "field" }, h("label", { for: path.id }, "Folder or file"), h("div", { class: "row path" }, path, button("Open", open))),
    error,
    list,
  );
  path.addEventListener("keydown", (event) => event.key === "Enter" && open());

  async function show(wanted) {
    try {
      const answer = await get(withQuery("files", { path: wanted }));
      if (wanted || document.activeElement !== path) path.value = answer.path; // not under the hands of who types
      error.hidden = true;
      const up = answer.parent ? entry("..", "folder above", () => show(answer.parent)) : null;
      const shown = answer.entries.filter(({ folder, openable }) => folder || openable);
      replace(list, up, shown.map((one) => fileEntry(one, answer.path)), !shown.length && h("li", { class: "soft" }, "No tables or folders here."));
      const here = shown.findIndex(({ name, folder }) => !folder && joined(answer.path, name) === wanted);
      if (here >= 0) pick(wanted, list.children[here + (up ? 1 : 0)]); // a file's whole path was typed
    } catch (problem) {
      replace(error, problem.message);
      error.hidden = false;
    }
  }

  function fileEntry({ name, folder, size, openable }, parent) {
    const full = joined(parent, name);
    const item = entry(name, folder ? "folder" : bytes(size), () => (folder ? show(full) : pick(full, item)), folder);
    if (folder && openable) item.append(button("use this folder", () => pick(full, item), { class: "link", "aria-label": `Use the folder ${name}` }));
    return item;
  }

  function pick(full, item) {
    for (const other of list.children) other.removeAttribute("aria-current");
    item.setAttribute("aria-current", "true");
    item.scrollIntoView({ block: "nearest" });
    path.value = full;
    choose(full);
  }

  await show("");
}

function entry(name, words, onClick, folder = true) {
  return h("li", {}, h("button", { type: "button", class: "quiet file", on: { click: onClick } }, h("span", { "aria-hidden": "true" }, folder ? "▸ " : "· "), name), h("span", { class: "small soft" }, words));
}

function joined(folder, name) {
  const slash = folder.includes("\\") && !folder.includes("/") ? "\\" : "/";
  return folder.endsWith(slash) ? folder + name : `${folder}${slash}${name}`;
}

/** The columns with their first cells; one of them is to be predicted. */
async function drawTarget(container, wish, changed) {
  container.hidden = false;
  replace(container, h("h2", {}, "2. What is to be predicted?"), h("p", { class: "soft" }, "Reading …"));
  let answer;
  try {
    answer = await get(withQuery("peek", { path: wish.source }));
  } catch (error) {
    replace(container, h("h2", {}, "2. What is to be predicted?"), h("p", { class: "problem", role: "alert" }, error.message));
    return;
  }
  wish.target = answer.target_guess ?? null;
  const choose = (name) => {
    wish.target = name;
    changed();
  };
  const group = uniqueId("target");
  const items = answer.columns.map(({ name, kind, examples }) =>
    h(
      "label",
      { class: "column" },
      h("input", { type: "radio", name: group, checked: name === wish.target, on: { change: () => choose(name) } }),
      h("span", { class: "column-name" }, name),
      h("span", { class: "small soft" }, [kind?.replace("_", "/"), (examples ?? []).map((cell) => shortened(cell, 18)).join(", ")].filter(Boolean).join(" · ")),
    ),
  );
  replace(
    container,
    h("h2", {}, "2. What is to be predicted?"),
    h("p", { class: "note" }, `${plural(answer.columns.length, "column")}${answer.rows ? `, ${plural(answer.rows, "row")}` : ""}. All other columns may help to tell it.`),
    h("fieldset", { class: "columns" }, h("legend", { class: "unseen" }, "The column to predict"), items),
  );
}

/** The form from the schema of Settings: the basic ones, and the others folded. */
async function drawForm(container, wish, changed, app, cleanup) {
  const { groups } = await get("schema");
  const set = (name, value) => {
    if (value === null || value === "") delete wish.settings[name];
    else wish.settings[name] = value;
    changed();
  };
  const fields = new Map();
  for (const group of groups) for (const one of group.fields) fields.set(one.name, settingField(one, (value) => set(one.name, value)));
  const hidden = new Set(["target"]); // asked above
  const basic = groups.flatMap((group) => group.fields).filter((one) => one.basic && !hidden.has(one.name));
  const rest = groups.map((group) => ({ ...group, fields: group.fields.filter((one) => !one.basic && !hidden.has(one.name)) })).filter((group) => group.fields.length);
  const name = h("input", { type: "text", id: uniqueId("name"), on: { input: () => ((wish.name = name.value.trim()), changed()) } });
  const folds = rest.map((group) => h("details", {}, h("summary", {}, group.title), h("div", { class: "fields" }, group.fields.map((one) => fields.get(one.name)))));
  const all = h("details", { open: app.preferences.state.detail === "practitioner" }, h("summary", {}, "All settings"), folds);
  append(
    container,
    h("h2", {}, "3. As you like it"),
    h("p", { class: "note" }, "Everything may stay as it is: what is empty is chosen from the data, and the run says why."),
    h("div", { class: "fields" }, basic.map((one) => fields.get(one.name)), h("div", { class: "field" }, h("label", { for: name.id }, "name"), h("small", {}, "the run's folder; empty: the file's name and the time"), name)),
    all,
  );
  cleanup.add(app.preferences.subscribe((state, what) => what.has("detail") && (all.open = state.detail === "practitioner")));
}

/** One field: its name, its description, its input. Empty means: as it is by default. */
function settingField(one, set) {
  const id = uniqueId("setting");
  const standard = one.default === null || one.default === undefined ? "chosen from the data" : String(one.default);
  const input = INPUTS[one.type]?.(one, id, standard, set) ?? INPUTS.text(one, id, standard, set);
  const label = h("label", { for: id }, one.name.replaceAll("_", " "));
  return h("div", { class: "field" }, label, h("small", {}, one.description.replace(/ \(see [\w.]+\)/, "")), input);
}

const INPUTS = {
  choice: ({ choices }, id, standard, set) => {
    const select = h("select", { id, on: { change: () => set(select.value) } }, h("option", { value: "" }, `(${standard})`), choices.map((value) => h("option", { value }, String(value))));
    return select;
  },
  bool: (_, id, standard, set) => {
    const options = [["", `(${standard === "true" ? "yes" : standard === "false" ? "no" : standard})`], ["true", "yes"], ["false", "no"]];
    const select = h("select", { id, on: { change: () => set(select.value === "" ? null : select.value === "true") } }, options.map(([value, words]) => h("option", { value }, words)));
    return select;
  },
  integer: (one, id, standard, set) => numeric({ ...one, step: 1 }, id, standard, set),
  number: (one, id, standard, set) => numeric({ ...one, step: "any" }, id, standard, set),
  text: (_, id, standard, set) => {
    const input = h("input", { type: "text", id, placeholder: standard, spellcheck: "false", on: { input: () => set(input.value.trim()) } });
    return input;
  },
};

function numeric({ minimum, maximum, step }, id, standard, set) {
  const input = h("input", {
    type: "number",
    id,
    step,
    min: minimum,
    max: maximum,
    placeholder: standard,
    on: {
      input: () => {
        const value = input.value === "" ? null : Number(input.value);
        input.setAttribute("aria-invalid", String(!input.checkValidity()));
        if (input.checkValidity()) set(value);
      },
    },
  });
  return input;
}

function drawGo(container, { wish, line, problem, app, cleanup }) {
  const state = h("p", { class: "soft", role: "status" });
  const start = explained(button("Go", begin, { class: "primary large" }), "Starts the training in a process of its own; it goes on when this page is closed.");
  append(container, h("h2", {}, "4. Go"), h("p", { class: "note" }, "This line in a terminal does the same:"), line, problem, start, state);

  async function begin() {
    start.disabled = true;
    replace(state, "Starting …");
    try {
      const { job, name } = await post("start", body(wish));
      await follow(job, name);
    } catch (error) {
      start.disabled = false;
      replace(state);
      toast(error.message, { bad: true });
    }
  }

  /** Until the run's folder is there; then the run view takes over. */
  async function follow(job, name) {
    while (!cleanup.ended) {
      const answer = await get(`jobs/${piece(job)}`);
      if (answer.run) return app.open(`#/run/${piece(answer.run)}`);
      if (OVER.has(answer.state) || answer.state === "done") {
        start.disabled = false;
        replace(state, h("span", { class: "problem" }, answer.line || `It ${answer.state}.`));
        return null;
      }
      replace(state, answer.line ? shortened(answer.line, 160) : `Starting ${name ?? ""} …`);
      await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
    }
    return null;
  }
}
