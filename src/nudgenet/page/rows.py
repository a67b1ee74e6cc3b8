"""The rows of an opened run: as a person knows them, and as the network takes them in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from nudgenet import bookkeeping
from nudgenet.data.columns import encode_target
from nudgenet.data.documents import texts_of
from nudgenet.data.media import light_table, medium_of, readable
from nudgenet.data.oddities import Oddities
from nudgenet.data.starts import MediaFeature
from nudgenet.errors import ColumnError, counted, did_you_mean
from nudgenet.page.context import BadRequest
from nudgenet.page.opened import At, OpenedRun
from nudgenet.records import Batch, Part

PARTS = ("train", "validation", "test")
LONGEST_CELL = 2_000  # characters

Inputs = Mapping[str, Tensor]


@dataclass(frozen=True)
class Row:
    """One row as the network takes it in.

    inputs: see `records.Part.inputs`; each with one row.
    target: (1,), as prepared; None if nobody knows it.
    cells: column -> text, as it stood in the source or was typed.
    """

    inputs: Inputs
    target: Tensor | None
    cells: Mapping[str, str]
    warnings: tuple[str, ...] = ()

    @property
    def batch(self) -> Batch:
        """It alone, as a batch. Raises BadRequest if its true answer is not known."""
        if self.target is None:
            raise BadRequest(
                "A loss needs the true answer, and of this row it is not known",
                fix="Say it below the row's values, or pick a row of the run.",
            )
        return Batch(self.inputs, self.target)


# --- one row --------------------------------------------------------------------------------------


def resolve(opened: OpenedRun, wanted: Any) -> Row:
    """The row that a request means: {"part", "index"}, or {"values": {column: text}, "from": {"part", "index"}, "truth"}.

    Raises:
        BadRequest: there is no such row. RunError: the rows are gone. ColumnError: a value that its column cannot take.
    """
    if not isinstance(wanted, Mapping):
        raise BadRequest("A row is needed", fix='For example {"part": "validation", "index": 0}.')
    if "values" not in wanted:
        return row_of_part(opened, wanted)
    values = wanted["values"]
    if not isinstance(values, Mapping) or not all(isinstance(text, str | None) for text in values.values()):
        raise BadRequest("`values` are texts by their columns", got=str(values)[:100])
    origin = wanted.get("from")
    row = of_values(opened, values) if origin is None else edited(opened, origin, values)
    if (truth := wanted.get("truth")) is not None:
        row = replace(row, target=target_of(opened, str(truth)))
    return row


def row_of_part(opened: OpenedRun, wanted: Mapping[str, Any]) -> Row:
    """A row of the run's parts."""
    name, index, part = place_of(opened, wanted)
    inputs = {key: tensor[index : index + 1] for key, tensor in part.inputs.items()}
    return Row(inputs, part.targets[index : index + 1], cells_of(opened, name, [index])[0])


def place_of(opened: OpenedRun, wanted: Mapping[str, Any]) -> tuple[str, int, Part]:
    """(part, index in it, its rows). Raises BadRequest if there is no such row."""
    name, index = wanted.get("part"), wanted.get("index")
    if not isinstance(name, str) or not isinstance(index, int) or isinstance(index, bool):
        raise BadRequest("A row is a part and an index in it", got=str(dict(wanted))[:100])
    part = part_of_run(opened, name)
    if not 0 <= index < len(part):
        raise BadRequest(
            f"There is no such row in the {name} part", got=str(index), fix=f"It has {counted(len(part), 'row')}."
        )
    return name, index, part


def part_of_run(opened: OpenedRun, name: str) -> Part:
    """The prepared rows of a part.

    Raises:
        BadRequest: there is no such part, or it is the test part of a run that has not come to it yet.
    """
    if name not in PARTS:
        raise BadRequest("There is no such part", got=name, fix=did_you_mean(name, PARTS))
    if name == "test" and not opened.run.is_done:
        raise BadRequest("The test rows stay unread until the training is over")
    part: Part = getattr(opened.origin()[0].prepared, name)
    return part


def of_values(opened: OpenedRun, values: Mapping[str, str | None]) -> Row:
    """A row from nothing but a person's values: prepared exactly as `nudge predict` does."""
    cells = {column: text or None for column, text in values.items()}
    if not cells:
        raise ColumnError("A row needs at least one value", fix=f"Columns are: {', '.join(feature_columns(opened))}.")
    raw = opened.run.read({column: [text] for column, text in cells.items()})
    odd = Oddities()
    inputs, warnings = opened.run.preparation.apply_batch(raw, odd)
    return Row(inputs, None, {name: text or "" for name, text in cells.items()}, (*warnings, *odd.in_words()))


def edited(opened: OpenedRun, origin: Any, values: Mapping[str, str | None]) -> Row:
    """A row of the run with some of its values changed; all others stay what they are."""
    if not isinstance(origin, Mapping):
        raise BadRequest("`from` is a part and an index", got=str(origin)[:100])
    _, index, part = place_of(opened, origin)
    row = row_of_part(opened, origin)
    known = feature_columns(opened)
    if unknown := [column for column in values if column not in known]:
        raise ColumnError(f"The network does not look at `{unknown[0]}`", fix=did_you_mean(unknown[0], known))
    changed = {column: text for column, text in values.items() if (text or "") != row.cells.get(column, "")}
    if not changed:
        return row
    preparation = opened.run.preparation
    # Pictures and sounds cannot be typed: they stay, and what they became stays with them.
    features = tuple(feature for feature in preparation.features if not isinstance(feature, MediaFeature))
    if fixed := [column for column in changed if column not in [feature.column for feature in features]]:
        raise ColumnError(f"`{fixed[0]}` cannot be typed", fix="Pick another row instead.")
    table = cells_table(opened).slice(int(part.rows[index]), 1)
    for column, text in changed.items():
        place = table.column_names.index(column)
        table = table.set_column(place, column, pa.chunked_array([pa.array([text or None], pa.string())]))
    odd = Oddities()
    inputs = replace(preparation, features=features).encode(table, odd)
    odd.num_rows += 1
    pictures = {key: tensor for key, tensor in row.inputs.items() if key in ("images", "waves")}
    cells = {**row.cells, **{column: text or "" for column, text in changed.items()}}
    return Row({**inputs, **pictures}, row.target, cells, tuple(odd.in_words()))


def feature_columns(opened: OpenedRun) -> list[str]:
    """The columns that the network looks at."""
    return [feature.column for feature in opened.run.preparation.features]


def target_of(opened: OpenedRun, text: str) -> Tensor:
    """A true answer as prepared, (1,). Raises ColumnError if it is none."""
    run = opened.run
    if run.task.kind != "regression":
        labels = [str(label) for label in run.classes]
        if text not in labels:
            raise ColumnError("This is none of the classes", got=text, fix=did_you_mean(text, labels))
        return torch.tensor([labels.index(text)])
    try:
        values = encode_target(pa.chunked_array([pa.array([text])]), run.task)[0]
    except ValueError:
        values = np.array([np.nan])
    if not np.isfinite(values).all():
        raise ColumnError("The true answer must be a number", got=text)
    return torch.from_numpy(run.preparation.standardise_targets(values).astype(np.float32))


# --- cells ----------------------------------------------------------------------------------------


def cells_table(opened: OpenedRun) -> pa.Table:
    """All rows as they were read, pictures and sounds without their content."""
    opened.origin()  # the source is there and has not changed

    def read() -> pa.Table:
        return light_table(bookkeeping.read_again(opened.store, opened.run.settings)[0].table)

    return opened.remembered("cells", read)


def cells_of(opened: OpenedRun, part: str, indices: Sequence[int]) -> list[dict[str, str]]:
    """Column -> text of some rows of a part, the target left out."""
    rows = part_of_run(opened, part).rows[np.asarray(indices, np.int64)]
    table = cells_table(opened).take(pa.array(rows))
    table = pa.table(
        {name: _as_text(table.column(name)) for name in shown_columns(opened) if name in table.column_names}
    )
    found: list[dict[str, str]] = table.to_pylist()
    return found


def shown_columns(opened: OpenedRun) -> list[str]:
    """The columns that a person sees: those that the network looks at first."""
    used = feature_columns(opened)
    task = opened.run.task
    return [*used, *(name for name in opened.run.preparation.names if name not in used and name != task.target)]


def _as_text(cells: pa.ChunkedArray) -> pa.Array:
    """Cells as a person knows them; a missing one is empty."""
    if medium_of(cells.type) == "text":
        cells = texts_of(cells)
    elif medium_of(cells.type) is not None:
        found = readable(pa.table({"cells": cells}))
        cells = found.column("cells") if found.num_columns else pa.chunked_array([pa.nulls(len(cells), pa.string())])
    return pa.array([_cell(value) for value in cells.to_pylist()], pa.string())


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.15g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST_CELL else text[:LONGEST_CELL] + " …"


def at_of(at: At) -> dict[str, Any]:
    """Where in the training an answer was given, as it is sent."""
    return {"step": at.step, "exact": at.exact, "why": at.why}
