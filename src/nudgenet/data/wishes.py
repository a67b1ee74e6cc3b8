"""`kinds=`: what the user says that a column is, instead of what its cells look like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from nudgenet.data.cells import LEVEL_MARKERS, NUMBER_MARKERS, parse_dates, parse_levels, parse_numbers
from nudgenet.data.formats import WISHED_DATES, best_date_format, best_number_format
from nudgenet.data.kinds import Sight, date_column, find_sentinels
from nudgenet.errors import ColumnError, counted, did_you_mean
from nudgenet.records import CellFormat, Column, ColumnKind

MOST_BAD_WISHED = 0.5  # more cells than this that are no numbers (dates), and the column is none
MOST_WORDS = 50  # different cells that are no numbers and from then on stand for a missing one
WHY = "you said so"


def check_wishes(kinds: Mapping[str, ColumnKind], names: list[str], target: str) -> None:
    """Raises ColumnError if `kinds` names a column that does not exist, or the target."""
    for name in kinds:
        if name not in names:
            raise ColumnError("`kinds` names a column that does not exist", got=name, fix=did_you_mean(name, names))
        if name == target:
            raise ColumnError(
                f"`{name}` is the target, and `kinds` is for the columns to learn from",
                fix="Say what the target is with --set task=regression, binary or multiclass.",
            )


def look_as_wished(name: str, cells: pa.ChunkedArray, wish: ColumnKind) -> Sight:
    """What a column is when the user has said its kind.

    Args:
        cells: the column's training cells, of any plain type.

    Raises:
        ColumnError: most cells cannot be read as that.
    """
    if wish in ("text", "identifier", "constant", "empty"):
        return Sight(Column(name, wish, WHY, num_missing=cells.null_count))
    if cells.null_count == len(cells):
        return Sight(Column(name, "empty", "no cell holds anything", num_missing=len(cells)))
    if wish == "number":
        return _number(name, cells)
    if wish == "date":
        return _date(name, cells)
    return _levels(name, cells, wish)


def _number(name: str, cells: pa.ChunkedArray) -> Sight:
    format = best_number_format(cells) if pa.types.is_string(cells.type) else CellFormat()
    numbers, bad = parse_numbers(cells, format)
    format, first_bad = _missing_from_now_on(name, cells, format, bad, "numbers")
    finite = numbers[np.isfinite(numbers)]
    unique = np.unique(finite)
    num_missing = len(numbers) - len(finite)
    if len(unique) <= 1 and num_missing in (0, len(numbers)):
        return Sight(
            Column(name, "constant" if len(unique) else "empty", "one number at most", format, len(unique), num_missing)
        )
    sentinels = find_sentinels(unique)
    column = Column(name, "number", WHY, replace(format, sentinels=sentinels), len(unique), num_missing)
    counts = tuple(int((finite == value).sum()) for value in sentinels)
    num_infinite = int(np.isinf(numbers).sum())
    return Sight(column, "", int(bad.sum()), first_bad, num_infinite, counts)


def _date(name: str, cells: pa.ChunkedArray) -> Sight:
    if pa.types.is_floating(cells.type):  # years with a missing one among them are read as floats
        cells = pa.chunked_array([parse_levels(cells, CellFormat())])
    typed = pa.types.is_date(cells.type) or pa.types.is_timestamp(cells.type)
    format = CellFormat() if typed else best_date_format(cells, WISHED_DATES)
    dates, bad = parse_dates(cells, format)
    format, first_bad = _missing_from_now_on(name, cells, format, bad, "dates")
    column = date_column(name, dates, format)
    if column.kind == "date":
        column = replace(column, why=f"{WHY}: {column.why}")
    return Sight(column, "", int(bad.sum()), first_bad)


def _levels(name: str, cells: pa.ChunkedArray, wish: ColumnKind) -> Sight:
    format = CellFormat(missing=LEVEL_MARKERS)
    levels = parse_levels(cells, format)
    unique = levels.drop_null().unique()
    if wish == "yes_no" and len(unique) > 2:
        values = ", ".join(f"`{value[:20]}`" for value in unique.slice(0, 4).to_pylist())
        raise ColumnError(
            f"The column `{name}` has {len(unique):,} values, and yes/no has two",
            got=values,
            fix=f"For example: --set kinds={name}:category.",
        )
    kind: ColumnKind = wish
    if len(unique) == 0:
        kind = "empty"
    elif len(unique) == 1 and levels.null_count == 0:
        kind = "constant"
    return Sight(Column(name, kind, f"{WHY}: {counted(len(unique), 'value')}", format, len(unique), levels.null_count))


def _missing_from_now_on(
    name: str, cells: pa.ChunkedArray, format: CellFormat, bad: np.ndarray, what: str
) -> tuple[CellFormat, str]:
    """The words among the numbers (dates) become markers of a missing cell, so that new rows may hold them too."""
    num_bad, num_present = int(bad.sum()), len(cells) - cells.null_count
    if not num_bad:
        return format, ""
    words = cells.filter(pa.array(bad)).cast(pa.string())
    first = str(words[0].as_py())
    if num_bad > MOST_BAD_WISHED * num_present:
        raise ColumnError(
            f"The column `{name}` cannot be read as {what}: {num_bad:,} of {num_present:,} cells are none",
            got=f"`{first[:40]}`, for example",
            fix=f"Leave it out of `kinds`, or --set kinds={name}:category.",
        )
    different = sorted({word.lower() for word in words.unique().to_pylist()})
    known = format.missing or NUMBER_MARKERS
    return replace(format, missing=(*known, *different[:MOST_WORDS])), first
