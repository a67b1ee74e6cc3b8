"""Curves: the numbers of a run's epochs and steps, thinned so that a page stays quick and no spike is lost.

A run of 100,000 epochs is a table of numbers that only grows: it is kept in memory as arrays, and what is new is
read when the run's files have changed. A page that opens asks for the two losses first, so of a run that nobody has
looked at yet only these are read: the rest follows when somebody asks for it.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import json as arrow_json
from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from nudgenet.errors import did_you_mean
from nudgenet.page.context import BadRequest, reading
from nudgenet.page.runs import Stamp, stamp_of
from nudgenet.records import Epoch
from nudgenet.run import Run
from nudgenet.runs.store import Store
from nudgenet.watching.curves import kept_when_thinned, overfit_from
from nudgenet.watching.health import find_ill

if TYPE_CHECKING:
    from nudgenet.page.context import Context

MOST_KEPT = 16  # runs whose curves stay in memory: 20 MB each at 100,000 epochs with 20 metrics
FURTHEST = 2**53  # no run has as many steps; SQLite's numbers end at 2**63
MOST_POINTS, USUAL_POINTS = 20_000, 800
PER_BATCH = {"loss": "batch_loss", "gradient_norm": "batch_gradient_norm", "learning_rate": "batch_learning_rate"}
COUNTS = ("epoch", "step")
LOSSES = ("train_loss", "validation_loss")
FIRST = (*COUNTS, *LOSSES, "validation_loss_se")  # what a page needs first
LABELS = {
    "train_loss": "training loss",
    "validation_loss": "validation loss",
    "learning_rate": "learning rate",
    "gradient_norm": "gradient norm (mean of the epoch's steps, before clipping)",
    "seconds": "seconds since training began",
    "batch_loss": "loss of each step's batch",
    "batch_gradient_norm": "gradient norm of each step",
    "batch_learning_rate": "learning rate of each step",
}
PLAIN = [item.name for item in fields(Epoch) if not item.name.endswith("_metrics")]
Columns = dict[str, np.ndarray]


@dataclass
class History:
    """The numbers of one run so far, column by column.

    epochs: by the names of `Epoch`'s fields, with `train_METRIC` and `validation_METRIC` for its metrics: float64
        (num_epochs,), NaN where there is none; `epoch` and `step` are int64.
    batches: `step` int64 (num_steps,) and what `PER_BATCH` names, float64; empty if steps were not recorded.
    names: of every curve that there is, epochs first.
    is_whole: whether all of it was read; else `epochs` has the columns of `FIRST`, and `batches` are not there.
    """

    epochs: Columns = field(default_factory=dict)
    batches: Columns = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    last_batch: int = 0
    is_whole: bool = True

    @property
    def num_epochs(self) -> int:
        return len(self.epochs.get("epoch", ()))

    @property
    def best(self) -> int | None:
        """The position of the epoch with the lowest finite validation loss."""
        losses = self.epochs.get("validation_loss", np.zeros(0))
        return int(np.nanargmin(losses)) if np.isfinite(losses).any() else None

    @cached_property
    def overfit_from(self) -> int | None:
        """The epoch in which the overfit region begins."""
        if not self.num_epochs:
            return None
        return overfit_from(*(self.epochs[name] for name in ("epoch", *LOSSES, "validation_loss_se")))

    @property
    def steps_per_epoch(self) -> int | None:
        """Every epoch has as many."""
        return int(self.epochs["step"][0] // self.epochs["epoch"][0]) if self.num_epochs else None

    @property
    def last_step(self) -> int:
        """The last step that is known of."""
        return max(self.last_batch, int(self.epochs["step"][-1]) if self.num_epochs else 0)

    def step_of(self, epoch: int | None) -> int | None:
        """The last step of an epoch."""
        found = np.searchsorted(self.epochs.get("epoch", np.zeros(0)), epoch or 0)
        return int(self.epochs["step"][found]) if epoch and found < self.num_epochs else None

    def columns(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Name -> (steps, values) of every curve that was read, epochs first."""
        tables = [self.epochs, self.batches]
        return {name: (table["step"], table[name]) for name in self.names for table in tables if name in table}


class Histories:
    """The histories of the runs that were looked at last. Used from several threads."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Path, tuple[Stamp, History]] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, store: Store, names: Iterable[str] | None = None) -> History:
        """A run's numbers as they are by now; of these curves at least (None: of all)."""
        is_whole = names is None or not set(names) <= set(FIRST)
        with self._lock:
            stamp = stamp_of(store.path)
            kept_at, history = self._kept.pop(store.path, (None, History(is_whole=False)))
            if kept_at is not None and kept_at[0] != stamp[0]:  # another run, trained under the name of a deleted one
                history = History(is_whole=history.is_whole)
            if kept_at != stamp or (is_whole and not history.is_whole):
                history = grown(history, store, is_whole=is_whole or history.is_whole)
            self._kept[store.path] = (stamp, history)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
            return history


def grown(history: History, store: Store, *, is_whole: bool = True) -> History:
    """A history with what was recorded since; read anew if the run went back to a checkpoint meanwhile.

    A resumed run records the same numbers again, bit for bit: only having *fewer* of them shows, and matters.
    """
    if store.progress()[0] < history.num_epochs or (is_whole and not history.is_whole):
        history = History()
    last_epoch = int(history.epochs["epoch"][-1]) if history.num_epochs else 0
    contents = store.epoch_contents(since=last_epoch)
    epochs = joined(history.epochs, epoch_columns(contents, only=None if is_whole else FIRST))
    last_batch, batches = store.last_batch(), history.batches
    if is_whole and last_batch:
        found = store.batches(since=history.last_batch, columns=("step", *PER_BATCH))
        batches = joined(batches, {PER_BATCH.get(name, name): values for name, values in found.items()})
        last_batch = int(batches["step"][-1])  # the training may have gone on meanwhile
    names = history.names if history.num_epochs or not contents else names_of(json.loads(contents[0]))
    names = names + [name for name in PER_BATCH.values() if last_batch and name not in names]
    return History(epochs, batches, names, last_batch, is_whole)


def names_of(epoch: Mapping[str, Any]) -> list[str]:
    """The curves that epochs like this one have."""
    plain = [name for name in PLAIN if name not in COUNTS and not name.endswith("_se")]
    parts = ("train", "validation")
    return plain + [f"{part}_{metric}" for part in parts for metric in epoch.get(f"{part}_metrics", {})]


def epoch_columns(contents: list[str], only: Sequence[str] | None = None) -> Columns:
    """The JSON of epochs -> columns, all or `only` these. Arrow reads it: a hundred thousand take a fraction of a second."""
    if not contents:
        return {}
    numbers = {name: pa.int64() if name in COUNTS else pa.float64() for name in only or PLAIN}
    first = json.loads(contents[0])
    structs = {
        name: pa.struct([(metric, pa.float64()) for metric in first.get(name, {})])
        for name in ("train_metrics", "validation_metrics")
        if only is None
    }
    schema = pa.schema([*numbers.items(), *structs.items()])
    options = arrow_json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="ignore")
    table = arrow_json.read_json(BytesIO("\n".join(contents).encode()), parse_options=options)
    columns = {name: _numpy(table.column(name)) for name in numbers}
    for name, kind in structs.items():
        for metric in kind:
            columns[f"{name.removesuffix('_metrics')}_{metric.name}"] = _numpy(
                pc.struct_field(table.column(name), metric.name)
            )
    return columns


def _numpy(column: pa.ChunkedArray) -> np.ndarray:
    """Null is NaN."""
    values: np.ndarray = column.to_numpy()
    return values


def thinned(
    steps: np.ndarray, values: np.ndarray, *, begin: float, end: float, points: int, divide_by: float = 1.0
) -> dict[str, Any]:
    """A curve between two steps as the page draws it: `total` points there are, `shown` of them are given.

    The neighbours just outside belong to it, so that the line goes to the edge of the chart. Of what is left out,
    none is lower or higher than what is shown beside it.
    """
    first = max(0, int(np.searchsorted(steps, begin, "left")) - 1)
    last = min(len(steps), int(np.searchsorted(steps, end, "right")) + 1)
    steps, values = steps[first:last], values[first:last]
    kept = kept_when_thinned(values, points)
    return {
        "x": steps[kept] / divide_by if divide_by != 1.0 else steps[kept],
        "y": values[kept],
        "total": len(values),
        "shown": len(kept),
        "thinned": len(kept) < len(values),
    }


def described(name: str) -> dict[str, str]:
    """A curve's name in words, its unit, and whether there is a value for each epoch or each step."""
    unit = "loss" if name.endswith("loss") else "s" if name == "seconds" else ""
    label = LABELS.get(name) or name.replace("_", " ", 1).replace("train ", "training ", 1)
    return {"name": name, "unit": unit, "per": "batch" if name.startswith("batch_") else "epoch", "label": label}


def series(history: History, query: Mapping[str, str]) -> dict[str, Any]:
    """The curves that were asked for; the query is that of the address `runs/NAME/series`.

    Raises:
        BadRequest: there is no such curve, or a number is none.
    """
    curves, names = history.columns(), wanted_in(query)
    per_epoch = (history.steps_per_epoch or 1) if query.get("x") == "epoch" else 1
    begin, end = (number_of(query, key, other) * per_epoch for key, other in (("from", -np.inf), ("to", np.inf)))
    points = int(np.clip(number_of(query, "points", USUAL_POINTS), 4, MOST_POINTS))
    shown = {}
    for name in names:
        if name not in curves and history.num_epochs:
            raise BadRequest(f"There is no curve `{name}`", fix=did_you_mean(name, curves))
        steps, values = curves.get(name, (np.zeros(0), np.zeros(0)))
        shown[name] = thinned(steps, values, begin=begin, end=end, points=points, divide_by=per_epoch)
    return {
        "series": shown,
        "available": [described(name) for name in history.names],
        "best_step": None if history.best is None else int(history.epochs["step"][history.best]),
        "overfit_from_step": history.step_of(history.overfit_from),
        "steps_per_epoch": history.steps_per_epoch,
        "last_step": history.last_step,
    }


def wanted_in(query: Mapping[str, str]) -> list[str]:
    """The names of the curves that an address asks for."""
    return [name for name in query.get("names", ",".join(LOSSES)).split(",") if name]


def number_of(query: Mapping[str, str], name: str, other: float) -> float:
    """A number in an address; `other` if it is not there. Raises BadRequest if it is no number."""
    try:
        value = float(query.get(name, "") or other)
    except ValueError:
        raise BadRequest(f"`{name}` must be a number", got=repr(query[name])) from None
    if value != value:
        raise BadRequest(f"`{name}` must be a number", got=repr(query[name]))
    return value


def routes(context: Context) -> list[BaseRoute]:
    """Curves and the health of layers."""

    def curves_of(request: Request) -> dict[str, Any]:
        store = context.store(request.path_params["name"])
        history = context.histories.of(store, wanted_in(request.query_params))
        return series(history, request.query_params) | {"baselines": baselines_of(store)}

    def health_of(request: Request) -> dict[str, Any]:
        store = context.store(request.path_params["name"])
        wanted = number_of(request.query_params, "step", np.inf)
        return health(store, None if np.isinf(wanted) else int(np.clip(wanted, 0, FURTHEST)))

    return [
        Route("/api/runs/{name}/series", reading(curves_of)),
        Route("/api/runs/{name}/health", reading(health_of)),
    ]


def baselines_of(store: Store) -> dict[str, dict[str, float]]:
    """What simple models scored on the validation rows: levels beside the curves."""
    summary = store.result("summary") or {}
    return {name: scores.get("validation", {}) for name, scores in (summary.get("baselines") or {}).items()}


def health(store: Store, wanted: int | None) -> dict[str, Any]:
    """The last look at the layers up to a step (None: of all)."""
    step, layers = store.health(wanted)
    rows = health_rows(layers, Run(store).settings.learning_rate, store.rate_at(step))
    return {"step": step, "steps": store.health_steps(), "layers": rows}


def health_rows(
    layers: Mapping[str, Mapping[str, Any]], learning_rate: float | None, rate_now: float | None
) -> list[dict[str, Any]]:
    """The layers in order, each with a line if it is ill; for the learning rates see `watching.health`."""
    ill = {} if learning_rate is None else find_ill(layers, learning_rate=learning_rate, rate_now=rate_now)
    return [{"name": name, **content, "line": ill.get(name)} for name, content in layers.items()]


def joined(before: Columns, new: Columns) -> Columns:
    """Columns one below the other."""
    if not before or not new or not len(next(iter(new.values()))):
        return before or new
    return {name: np.concatenate([values, new[name]]) for name, values in before.items() if name in new}
