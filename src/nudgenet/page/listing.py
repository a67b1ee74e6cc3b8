"""The rows of a part with the network's answers: in their order, the worst first, or those that somebody looks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from nudgenet.data.batches import subset
from nudgenet.errors import RunError
from nudgenet.networks.pretrained import PretrainedNetwork
from nudgenet.page.answers import label_of, said, truth_of
from nudgenet.page.context import BadRequest
from nudgenet.page.opened import Moment, OpenedRun
from nudgenet.page.rows import cells_of, part_of_run, shown_columns
from nudgenet.records import Part
from nudgenet.training.loop import evaluate
from nudgenet.training.place import rows_at_once, working_at
from nudgenet.training.pretrained import with_features

MOST_JUDGED = 20_000  # rows of a part that are judged to find the worst, evenly spaced
SLOW_JUDGED = 500  # the same, where each goes through a pretrained network
MOST_ROWS = 500  # of one answer


@dataclass(frozen=True)
class Judged:
    """Rows of a part with their answers and losses. places: their indices in the part."""

    places: np.ndarray
    answers: np.ndarray
    losses: np.ndarray


def judge(opened: OpenedRun, moment: Moment, name: str, places: np.ndarray | None = None) -> Judged:
    """The network's answers for some rows of a part (None: all, or evenly spaced ones of very many)."""
    if places is None:
        places, chosen = looked_at(opened, moment, name, MOST_JUDGED)
    else:
        chosen = subset(part_of_run(opened, name), torch.from_numpy(places))
    with working_at(opened.place):
        losses, predictions = evaluate(moment.network, chosen, opened.objective, rows_at_once(opened.shape.num_outputs))
    return Judged(places, said(opened, predictions.numpy()), losses.double().numpy())


def looked_at(opened: OpenedRun, moment: Moment, name: str, most: int) -> tuple[np.ndarray, Part]:
    """All rows of a part, or evenly spaced ones where there are more than `most`: their indices, and the rows.

    As long as a pretrained network stays as it was, it is asked about them once, whatever the step.
    """
    part, network = part_of_run(opened, name), moment.network
    is_slow = isinstance(network, PretrainedNetwork)
    count = min(len(part), SLOW_JUDGED if is_slow else most)
    places = np.linspace(0, len(part) - 1, count).round().astype(np.int64)
    chosen = part if count == len(part) else subset(part, torch.from_numpy(places))
    if not isinstance(network, PretrainedNetwork) or moment.at.step > opened.frozen_steps:
        return places, chosen

    def read() -> Part:
        with working_at(opened.place), torch.no_grad():
            return with_features(network, chosen)

    return places, opened.remembered(("features", name, count), read)


@dataclass(frozen=True)
class Sought:
    """Which rows are wanted: those with `find` in a cell, whatever its case, and with these labels. None: any."""

    find: str | None = None
    truth: str | None = None
    answer: str | None = None

    def holds(self, opened: OpenedRun, part: str, places: np.ndarray, truths: Any, answers: Any) -> np.ndarray:
        """bool (places,): whether each of these rows of a part, with its truth and answer, is wanted."""
        kept = np.ones(len(places), dtype=bool)
        for wanted, labels in ((self.truth, truths), (self.answer, answers)):
            if wanted is not None:
                kept &= np.array([str(label) == wanted for label in labels], dtype=bool)
        if self.find:
            sought = self.find.casefold()
            cells = cells_of(opened, part, places.tolist())
            kept &= np.array([any(sought in text.casefold() for text in row.values()) for row in cells], dtype=bool)
        return kept


ALL = Sought()


def list_rows(
    opened: OpenedRun, moment: Moment, part: str, sort: str, begin: int, count: int, sought: Sought = ALL
) -> dict[str, Any]:
    """Rows of a part with cells, truth, answer and loss, in their order or the worst first.

    total: rows that can be had so. looked_at: among so many, evenly spaced ones where the part has more.
    """
    count = max(1, min(count, MOST_ROWS))
    if part == "test":
        return list_test_rows(opened, sort, begin, count, sought)
    total = among = len(part_of_run(opened, part))
    if sought != ALL:
        key = ("judged", part, moment.at.step, moment.at.why)
        judged = opened.remembered(key, lambda: judge(opened, moment, part))
        targets = part_of_run(opened, part).targets[torch.from_numpy(judged.places)]
        truths = [truth_of(opened, target.reshape(1)) for target in targets]
        labels = [label_of(opened, answer) for answer in judged.answers]
        kept = np.flatnonzero(sought.holds(opened, part, judged.places, truths, labels))
        total, among = len(kept), len(judged.places)
        if sort == "worst":
            kept = kept[np.argsort(-judged.losses[kept], kind="stable")]
        kept = kept[begin : begin + count]
        judged = Judged(judged.places[kept], judged.answers[kept], judged.losses[kept])
    elif sort == "worst":
        key = ("judged", part, moment.at.step, moment.at.why)
        judged = opened.remembered(key, lambda: judge(opened, moment, part))
        total = among = len(judged.places)
        order = np.argsort(-judged.losses, kind="stable")[begin : begin + count]
        judged = Judged(judged.places[order], judged.answers[order], judged.losses[order])
    else:
        judged = judge(opened, moment, part, np.arange(begin, min(total, begin + count)))
    indices = judged.places.tolist()
    targets = part_of_run(opened, part).targets
    cells = cells_of(opened, part, indices) if indices else []
    rows = []
    for place, index in enumerate(indices):
        answer, truth = judged.answers[place], truth_of(opened, targets[index : index + 1])
        label = label_of(opened, answer)
        is_number = opened.run.task.kind == "regression"
        rows.append(
            {
                "part": part,
                "index": index,
                "cells": cells[place],
                "truth": truth,
                "answer": label,
                "probability": None if is_number else float(answer[opened.run.classes.index(label)]),
                "loss": float(judged.losses[place]),
                "wrong": not is_number and label != truth,
            }
        )
    columns = [name for name in shown_columns(opened) if not cells or name in cells[0]]
    return {"columns": columns, "rows": rows, "total": total, "looked_at": among}


def list_test_rows(opened: OpenedRun, sort: str, begin: int, count: int, sought: Sought = ALL) -> dict[str, Any]:
    """The test rows with the answers that were saved when the training was over: they are not answered anew."""
    path = opened.store.path / "test_predictions.parquet"
    if not path.is_file():
        raise BadRequest("The test rows stay unread until the training is over")
    table = pq.read_table(path)
    order = np.arange(table.num_rows)
    if sort == "worst":
        order = np.argsort(-table.column("loss").to_numpy(), kind="stable")
    if sought != ALL:
        labels = (table.column(name).to_pylist() for name in ("actual", "prediction"))
        kept = sought.holds(opened, "test", np.arange(table.num_rows), *labels)
        order = order[kept[order]]
    total = len(order)
    order = order[begin : begin + count]
    try:
        cells = cells_of(opened, "test", order.tolist())
    except RunError:  # the rows are gone; what was answered is still known
        cells = [{"row": str(table.column("row")[int(place)].as_py())} for place in order]
    is_number = opened.run.task.kind == "regression"
    rows: list[dict[str, Any]] = []
    for place, row in zip(order.tolist(), table.take(pa.array(order)).to_pylist(), strict=True):
        answer, truth = row["prediction"], row["actual"]
        probability = None if is_number else row.get(f"probability_{answer}")
        shared = {"truth": truth, "answer": answer, "probability": probability, "loss": row["loss"]}
        cell = cells[len(rows)]
        rows.append(
            {"part": "test", "index": place, "cells": cell, **shared, "wrong": not is_number and answer != truth}
        )
    columns = list(cells[0]) if cells else []
    return {"columns": columns, "rows": rows, "total": total, "looked_at": table.num_rows}
