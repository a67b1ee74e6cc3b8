"""`nudge page --export`: a run as one file that opens from disk, slider and neurons working.

The file holds the page's own modules and the answers to what they ask, for some steps of the training and some rows.
All are given by the functions that answer the live page, so every number is PyTorch's here, too: the file only looks them up
(`static/exported.js`).
"""

from __future__ import annotations

import base64
import gzip
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from nudgenet.errors import RunError, UserError, counted
from nudgenet.page import insights, items, updates
from nudgenet.page.context import as_json
from nudgenet.page.curves import History, baselines_of, grown, health, series
from nudgenet.page.detail import detail
from nudgenet.page.drawing import open_network
from nudgenet.page.listing import judge, list_rows
from nudgenet.page.neurons import open_neurons
from nudgenet.page.onefile import compose
from nudgenet.page.opened import Moment, OpenedRun
from nudgenet.page.rows import Row, resolve
from nudgenet.report.glossary import GLOSSARY
from nudgenet.runs.store import Store

FORMAT = 1
LARGEST = 9_000_000  # characters of what is computed: the page's modules come on top
MOST_STEPS, MOST_ROWS = 12, 12
FEW = 6  # steps and rows, where each takes long: pictures, sounds, long texts
MOST_NEURONS = 24  # of all hidden layers together, for each of which there is an update
MOST_OF_LAYER, MOST_OUTPUTS = 8, 10
MOST_WEIGHTS = 4_000  # of the first layer, at one step
GRID = 1_200  # numbers of a decision boundary, at most
MOST_LOOKS = 4  # rows whose attention is kept, at the best step
MOST_HEALTH = 40
POINTS = 800
LARGEST_PICTURE, LARGEST_PICTURES = 100_000, 2_000_000
FIRST_MEMBER = 0
QUESTIONS = ("network", "whatif", "responsible", "boundary", "attention")

Progress = Callable[[int, int], None]
Place = dict[str, Any]  # {"part", "index"}


@dataclass(frozen=True)
class Exported:
    """What was written. note: what the file does not hold, in one line."""

    path: Path
    num_bytes: int
    note: str


@dataclass(frozen=True)
class Chosen:
    """What of a run goes into its file.

    rows: the places of rows, the worst first.    neurons: (layer, number), hidden ones first.
    axes: the two columns of the decision boundary.
    """

    rows: list[Place]
    resolved: list[Row]
    neurons: list[tuple[str, int]]
    axes: tuple[str, str] | None
    pictures: dict[str, str] = field(default_factory=dict)  # "part index" -> a data: address

    @property
    def shown(self) -> dict[str, list[int]]:
        """The neurons by their layers."""
        found: dict[str, list[int]] = {}
        for layer, number in self.neurons:
            found.setdefault(layer, []).append(number)
        return found


def export(store: Store, path: Path, progress: Progress) -> Exported:
    """Write a run's file; nothing is there unless all of it is.

    Args:
        progress: is told how many of how many answers there are, now and then.

    Raises:
        UserError: nothing can be written there.
    """
    check_path(path)
    content = content_of(store, progress)
    page = compose(content["name"], as_json(content)).encode()
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(page)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError("The file cannot be written", got=f"{path}: {error.strerror}") from None
    return Exported(path, len(page), content["note"])


def check_path(path: Path) -> None:
    """Raises UserError if no file can be written there: asked before the work is done."""
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError("A run is exported as .html", got=str(path), fix="For example run.html.")
    if path.is_dir() or not path.absolute().parent.is_dir():
        what = "it is a folder" if path.is_dir() else f"there is no folder {path.absolute().parent}"
        raise UserError("The file cannot be written", got=f"{path}: {what}", fix="Choose another place.")


def content_of(store: Store, progress: Progress) -> dict[str, Any]:
    """Everything that the file's scripts look up."""
    history, opened = grown(History(), store), OpenedRun(store)
    run = detail(store, history) | {"started_here": False, "report": False}
    run["source"] = {**run["source"], "location": None}  # where it lies on this machine is nobody else's business
    run["state"] = "interrupted" if run["state"] == "live" else run["state"]
    content: dict[str, Any] = {
        "format": FORMAT,
        "name": run["name"],
        "run": run,
        "states": [],
        "points": [],
        "pictures": {},
        "words": dict(GLOSSARY),
    }
    content |= curves_of(store, history)
    content["time"] = {**opened.time(), "snapshots": []}
    try:
        states, chosen = states_of(opened, choose(opened, run), LARGEST - len(as_json(content)), progress)
        content |= {"states": states, "pictures": chosen.pictures, "points": points_of(opened, chosen)}
        held = f"{counted(len(states), 'snapshot')} and {counted(len(chosen.rows), 'row')}"
        note = f"This file holds {held}; `nudge page` shows everything."
    except UserError as error:  # such as rows that are gone: then the file holds curves, health and record
        chosen, note = Chosen([], [], [], None), f"This file holds no network: {str(error).rstrip('.')}."
    content["note"] = note
    content["time"] |= {
        "snapshots": sorted({state["step"] for state in content["states"]}),
        "exact": False,
        "why": note,
    }
    run["exported"] = {"note": note, "rows": chosen.rows, "neurons": chosen.shown, "axes": chosen.axes}
    return content


def curves_of(store: Store, history: History) -> dict[str, Any]:
    """All curves, and looks at the layers spread over the training."""
    names = ",".join(history.columns()) or "train_loss"
    steps = store.health_steps()
    kept = [steps[place] for place in spread(len(steps), MOST_HEALTH)]
    looks = [{**health(store, step), "steps": kept} for step in kept]
    curves = series(history, {"names": names, "points": str(POINTS)}) | {"baselines": baselines_of(store)}
    return {"series": curves, "health": looks}


def spread(count: int, most: int) -> list[int]:
    """At most so many places of `count`, evenly spaced, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, most))}) if count else []


# --- what is chosen -------------------------------------------------------------------------------


def choose(opened: OpenedRun, run: Mapping[str, Any]) -> Chosen:
    """Rows, and the neurons that matter most for them.

    Raises:
        RunError: the rows are gone, or there are no weights.
    """
    part = "validation" if run["parts"]["validation"] else "train"
    best = opened.moment(None)
    judged = judge(opened, best, part)
    order = np.argsort(-judged.losses, kind="stable")
    count = FEW if run["media"] else MOST_ROWS
    worst, rest = order[: count // 2], order[count // 2 :]
    chosen = [*worst.tolist(), *rest[spread(len(rest), count - len(worst))].tolist()]
    rows = [{"part": part, "index": int(judged.places[place])} for place in chosen]
    if not rows:
        raise RunError("There are no rows to look at")
    resolved = [resolve(opened, row) for row in rows]
    numbers = [column["name"] for column in run["columns"] if column["kind"] == "number" and column["used"]]
    axes = (numbers[0], numbers[1]) if len(numbers) > 1 else None
    return Chosen(rows, resolved, neurons_that_matter(opened, best, resolved), axes)


def neurons_that_matter(opened: OpenedRun, best: Moment, rows: Sequence[Row]) -> list[tuple[str, int]]:
    """Those that stand in the pictures of the rows, or are responsible for their answers, most often; the same at every step."""
    seen: Counter[tuple[str, int]] = Counter()
    order: list[str] = []
    for row in rows:
        try:
            picture = open_network(opened, best, row, FIRST_MEMBER)
            to_blame = insights.responsible(opened, best, row, FIRST_MEMBER)
        except UserError:  # this network cannot be opened: the file says so in its place
            return []
        layers = {layer["name"]: [one["index"] for one in layer["shown"]] for layer in picture["layers"]}
        layers["output"] = [one["index"] for one in picture["outputs"]]
        order = list(layers)
        seen.update((name, index) for name, indices in layers.items() for index in indices)
        seen.update((one["layer"], one["index"]) for one in to_blame["neurons"])
    of_layer = max(2, min(MOST_OF_LAYER, MOST_NEURONS // max(1, len(order) - 1)))
    found = []
    for name in order:
        most = MOST_OUTPUTS if name == "output" else of_layer
        known = [(count, -index) for (layer, index), count in seen.items() if layer == name]
        found += sorted((name, -index) for _, index in sorted(known, reverse=True)[:most])
    return found


def points_of(opened: OpenedRun, chosen: Chosen) -> list[dict[str, Any]]:
    """The training rows in the picture of the decision boundary: the same at every step, so they are kept once."""
    if chosen.axes is None:
        return []
    found: list[dict[str, Any]] = insights.boundary(opened, opened.moment(None), chosen.resolved[0], *chosen.axes, 2)[
        "points"
    ]
    return found


# --- what is answered -----------------------------------------------------------------------------


def states_of(opened: OpenedRun, chosen: Chosen, room: int, progress: Progress) -> tuple[list[dict[str, Any]], Chosen]:
    """The answers at the best weights, and at as many other steps as there is room for, in their order.

    Each is packed on its own, so that the file opens before all of it is unpacked. Rows so wide that there would be hardly
    any step are halved in number; what is left of them is given, too.
    """
    steps = steps_of(opened)
    count = len(steps)
    told = Told(progress, (1 + count) * len(chosen.rows))
    best = packed_state(opened, chosen, None, told)
    while 3 * len(best["packed"]) > room and len(chosen.rows) > 2:
        chosen = replace(chosen, rows=chosen.rows[::2], resolved=chosen.resolved[::2])
        told.total = told.done + (1 + count) * len(chosen.rows)
        best = packed_state(opened, chosen, None, told)
    room -= len(best["packed"]) + sum(map(len, chosen.pictures.values()))
    count = max(0, min(count, int(room // (1.1 * len(best["packed"])))))
    told.total = told.done + count * len(chosen.rows)
    states = [best, *(packed_state(opened, chosen, steps[place], told) for place in spread(len(steps), count))]
    return sorted(states, key=lambda state: (state["step"], not state["best"])), chosen


def steps_of(opened: OpenedRun) -> list[int]:
    """The steps that are looked at besides the best, the first and the last among them.

    Where any step can be computed again soon they lie the closer the earlier: a training changes the most in its beginning.
    Else they are those of snapshots.
    """
    best, kept = opened.moment(None).at.step, opened.store.snapshots.steps()
    few = opened.run.preparation.media is not None or opened.run.settings.network == "pretrained"
    if kept and not few and not opened.why_inexact():
        kept = sorted({round(kept[-1] * (place / (MOST_STEPS - 1)) ** 2) for place in range(MOST_STEPS)})
    kept = [step for step in kept if step != best]
    return [kept[place] for place in spread(len(kept), (FEW if few else MOST_STEPS) - 1)]


@dataclass
class Told:
    """Who wants to know how far it is: (done, total)."""

    progress: Progress
    total: int
    done: int = 0

    def one_more(self) -> None:
        """One row's answers at one step are there."""
        self.done += 1
        self.progress(self.done, self.total)


def packed_state(opened: OpenedRun, chosen: Chosen, step: int | None, told: Told) -> dict[str, Any]:
    """All answers at one step (None: the best weights), compressed."""
    moment = opened.moment(step, "exact")
    answers = state_of(opened, chosen, moment, step, told)
    packed = base64.b64encode(gzip.compress(as_json(answers), mtime=0)).decode()
    return {"step": moment.at.step, "best": step is None, "packed": packed}


def state_of(opened: OpenedRun, chosen: Chosen, moment: Moment, step: int | None, told: Told) -> dict[str, Any]:
    """The answers to everything that the page asks at one step."""

    def excited() -> list[dict[str, Any]]:
        return insights.exciting_each(opened, moment, chosen.resolved[0], FIRST_MEMBER, chosen.neurons)

    exciting = each(chosen, excited)
    if step is None:
        add_pictures(opened, chosen, exciting)
    listed = [list_rows(opened, moment, place["part"], "order", place["index"], 1) for place in chosen.rows]
    by_row = []
    for number, row in enumerate(chosen.resolved):
        looks = step is None and number < MOST_LOOKS
        by_row.append(row_of(opened, chosen, moment, step, row, looks=looks))
        told.one_more()
    return {
        "columns": listed[0]["columns"],
        "rows": [row for found in listed for row in found["rows"]],
        "confusion": answer(lambda: insights.confusion(opened, moment)),
        "filters": answer(lambda: few_filters(insights.filters(opened, moment))),
        "exciting": exciting,
        # Question by question, and neuron by neuron: what is alike lies together, which is what compresses well.
        "of_row": {question: [found[question] for found in by_row] for question in QUESTIONS if question in by_row[0]},
        "of_neuron": {
            question: {key: [found[question][key] for found in by_row] for key in by_row[0][question]}
            for question in ("neuron", "update", "real")
        },
    }


def row_of(
    opened: OpenedRun, chosen: Chosen, moment: Moment, step: int | None, row: Row, *, looks: bool
) -> dict[str, Any]:
    """The answers about one row. looks: with what a transformer attends to, which is much."""

    def updated(batch: str) -> list[dict[str, Any]]:
        return updates.open_updates(opened, step, "exact", row, FIRST_MEMBER, chosen.neurons, batch)

    found: dict[str, Any] = {
        "network": answer(lambda: open_network(opened, moment, row, FIRST_MEMBER, (), chosen.shown)),
        "whatif": answer(lambda: insights.what_if(opened, moment, row)),
        "responsible": answer(lambda: insights.responsible(opened, moment, row, FIRST_MEMBER)),
        "neuron": each(chosen, lambda: open_neurons(opened, moment, row, FIRST_MEMBER, chosen.neurons)),
        "update": each(chosen, lambda: updated("row")),
        "real": each(chosen, lambda: updated("real")),
    }
    if chosen.axes is not None:
        x, y = chosen.axes
        num_classes = len(opened.run.classes) if opened.run.task.kind == "multiclass" else 1
        drawn = answer(lambda: insights.boundary(opened, moment, row, x, y, max(6, int((GRID / num_classes) ** 0.5))))
        found["boundary"] = {name: value for name, value in drawn.items() if name != "points"}
    if opened.run.settings.network in ("transformer", "pretrained") and opened.run.preparation.texts:
        found["attention"] = answer(lambda: insights.attention(opened, moment, row)) if looks else None
    return found


def answer(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """An answer, or the line that the live page would show in its place."""
    try:
        return work()
    except UserError as error:
        return {"error": str(error)}


def each(chosen: Chosen, work: Callable[[], list[dict[str, Any]]]) -> dict[str, Any]:
    """An answer for each neuron, by "layer number"; if there is none, the same line for all."""
    if not chosen.neurons:
        return {}
    keys = [f"{layer} {number}" for layer, number in chosen.neurons]
    try:
        return dict(zip(keys, work(), strict=True))
    except UserError as error:
        return {key: {"error": str(error)} for key in keys}


def few_filters(found: dict[str, Any]) -> dict[str, Any]:
    """The strongest of the first layer's filters: of very wide rows only some."""
    size = max(1, np.size(np.concatenate([np.ravel(values) for values in found["filters"][0]["values"]])))
    return {**found, "filters": found["filters"][: max(1, MOST_WEIGHTS // size)]}


def add_pictures(opened: OpenedRun, chosen: Chosen, excited: Mapping[str, Any]) -> None:
    """The pictures of the chosen rows, and of training rows that excite neurons, as far as there is room."""
    if opened.run.preparation.media is None or opened.run.preparation.media.kind != "image":
        return
    others = [item for found in excited.values() for item in found.get("items", ())]
    room = LARGEST_PICTURES
    for place in [*chosen.rows, *others]:
        key = f"{place['part']} {place['index']}"
        if key in chosen.pictures:
            continue
        content = bytes(items.item(opened, place["part"], place["index"]).body)
        if len(content) <= min(room, LARGEST_PICTURE):
            chosen.pictures[key] = f"data:image/png;base64,{base64.b64encode(content).decode()}"
            room -= len(content)
