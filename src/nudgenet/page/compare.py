"""Runs beside each other: which settings differ, and whether one is really better on the same test rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from nudgenet.errors import RunError
from nudgenet.page.context import BadRequest, reading
from nudgenet.records import Task
from nudgenet.report.wording import difference_range, main_metric, metric
from nudgenet.run import Run
from nudgenet.runs.store import Store
from nudgenet.scoring.intervals import Comparison, assess

if TYPE_CHECKING:
    from nudgenet.page.context import Context

MOST_RUNS = 8
PREDICTIONS = "test_predictions.parquet"


@dataclass(frozen=True)
class Tested:
    """What a run answered for its test rows, as it was saved when it was scored.

    rows: what two runs must have in common to be compared: the source, the split, the task.
    targets, answers: class indices and probabilities (rows, classes), or numbers (rows,) and numbers (rows,).
    """

    name: str
    rows: tuple[Any, ...]
    task: Task
    metric: str
    targets: np.ndarray
    answers: np.ndarray
    threshold: float


def tested(store: Store) -> Tested | None:
    """The saved answers of a run; None if its test part was not read."""
    summary = store.result("summary")
    if summary is None or not (store.path / PREDICTIONS).is_file():
        return None
    run, data = Run(store), store.read_json("data.json")
    task = run.task
    table = pq.read_table(store.path / PREDICTIONS)
    if task.kind == "regression":
        targets, answers = (table.column(name).to_numpy() for name in ("actual", "prediction"))
    else:
        places = {label: place for place, label in enumerate(task.classes)}
        targets = np.array([places[label] for label in table.column("actual").to_pylist()])
        answers = np.stack([table.column(f"probability_{label}").to_numpy() for label in task.classes], axis=1)
    rows = (data["source"]["fingerprint"], data["split"]["sha256"], task.target, task.kind, task.classes)
    return Tested(store.path.name, rows, task, main_metric(summary), targets, answers, run.rule.threshold)


def compare_tests(found: Sequence[Tested]) -> list[dict[str, Any]]:
    """A paired bootstrap of every two runs whose test rows are the same, by the metric that counts for the first.

    The same resamples for both: what is hard about a row is hard for both, and cancels (see `scoring.intervals`).
    """
    outcomes = []
    for place, ours in enumerate(found):
        rivals = {other.name: other for other in found[place + 1 :] if other.rows == ours.rows}
        if not rivals:
            continue
        _, comparisons = assess(
            ours.task.kind,
            ours.targets,
            ours.answers,
            {name: other.answers for name, other in rivals.items()},
            metric=ours.metric,
            seed=0,
            threshold=ours.threshold,
            rival_thresholds={name: other.threshold for name, other in rivals.items()},
        )
        outcomes += [_in_words(ours.name, item) for item in comparisons]
    return outcomes


def _in_words(name: str, item: Comparison) -> dict[str, Any]:
    low, high = item.interval.low, item.interval.high
    better = {"better": name, "worse": item.other}.get(item.verdict)
    words = f"{better} is better" if better else "too close to call"
    return {
        "a": name,
        "b": item.other,
        "metric": item.metric,
        "difference": item.difference,
        "low": low,
        "high": high,
        "verdict": item.verdict,
        "words": f"{words}: {metric(item.metric).label} differs by {difference_range(item.metric, low, high)} (95% interval)",
    }


def differences(stores: Sequence[Store]) -> list[dict[str, Any]]:
    """The settings, set or chosen, that are not the same in all the runs."""
    dumped = [Run(store).settings.model_dump(mode="json") for store in stores]
    columns = {name: [settings[name] for settings in dumped] for name in dumped[0]}
    return [
        {"setting": name, "values": values}
        for name, values in columns.items()
        if any(value != values[0] for value in values[1:])
    ]


def routes(context: Context) -> list[BaseRoute]:
    """The comparison."""

    def compare(request: Request) -> dict[str, Any]:
        names = list(
            dict.fromkeys(name for name in request.query_params.getlist("runs") for name in _split(context, name))
        )
        if not 2 <= len(names) <= MOST_RUNS:
            raise BadRequest(f"2 to {MOST_RUNS} runs can be compared", got=str(len(names)))
        stores = [context.store(name) for name in names]
        rows = {row["name"]: row for row in context.shelf.rows(context.jobs.started)}
        found = []
        for store in stores:
            try:
                found.append(tested(store))
            except (RunError, LookupError, OSError, ValueError):  # an older or damaged run is shown, only not tested
                found.append(None)
        return {
            "runs": [rows[name] for name in names if name in rows],
            "differences": differences(stores),
            "tests": compare_tests([one for one in found if one is not None]),
        }

    return [Route("/api/compare", reading(compare))]


def _split(context: Context, names: str) -> list[str]:
    """`a,b` is two runs, unless there is a run of that name: names may hold commas."""
    return (
        [names] if (context.runs / names / "settings.json").is_file() else [name for name in names.split(",") if name]
    )
