"""What each column of a table is, learned from the training rows only, and the log of those choices."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from nudgenet.data.cells import parse_dates, parse_levels, parse_numbers
from nudgenet.data.formats import describe_format
from nudgenet.data.kinds import Sight, look
from nudgenet.data.target import choose_task, encode_target, find_target
from nudgenet.errors import ColumnError, did_you_mean, shorten
from nudgenet.records import Column, Decision, Raw, Task
from nudgenet.settings import Settings

__all__ = [
    "choose_task",
    "describe",
    "encode_target",
    "find_target",
    "parse_dates",
    "parse_levels",
    "parse_numbers",
]

_LEFT_OUT = {  # kind -> why the network does not see it
    "identifier": "it names rows instead of describing them",
    "constant": "it has the same value in every training row",
    "empty": "it holds nothing in the training rows",
    "text": "free text is not used yet",
}
_MOST_SINGLY = 8  # more columns left out for one reason than this share one entry in the log


def describe(
    raw: Raw, task: Task, rows: np.ndarray, settings: Settings
) -> tuple[tuple[Column, ...], list[Decision], list[str]]:
    """What each feature column is, learned from the given rows only.

    Args:
        rows: the training rows' numbers, ascending.

    Returns:
        The columns (without target, group and ignored ones), what was decided, and warnings.

    Raises:
        ColumnError: a setting names a column that does not exist, or none is left to learn from.
    """
    names = raw.table.column_names
    for setting, wanted in (("ignore", settings.ignore), ("group", (settings.group,)), ("time", (settings.time,))):
        for name in wanted:
            if name is not None and name not in names:
                raise ColumnError(
                    f"`{setting}` names a column that does not exist", got=name, fix=did_you_mean(name, names)
                )
    apart = {task.target, *settings.ignore, settings.group}
    taken = pa.array(rows, pa.int64())
    sights = [
        look(name, raw.table.column(name).take(taken), rows, has_header=raw.has_header)
        for name in names
        if name not in apart
    ]
    columns = tuple(sight.column for sight in sights)
    decisions = _set_apart(settings) + _kinds(columns) + _left_out(columns) + _formats(sights)
    if not any(column.used for column in columns):
        what = "No column is left to learn from"
        kinds = ", ".join(f"`{column.name}`: {column.kind}" for column in columns[:8])
        raise ColumnError(what, got=kinds or "the target only", fix="Give a table with columns that describe each row.")
    return columns, decisions, _warnings(sights, len(rows))


def _set_apart(settings: Settings) -> list[Decision]:
    """Columns that the user took out."""
    decisions = []
    if settings.ignore:
        names = shorten(settings.ignore, 50)
        decisions.append(Decision("ignored columns", names, "you said so", "--set ignore="))
    if settings.group:
        why = "it says which rows belong together, and is no feature"
        decisions.append(Decision("group column", f"`{settings.group}`", why, "--set group="))
    return decisions


def _kinds(columns: tuple[Column, ...]) -> list[Decision]:
    """How many columns of each kind the network sees."""
    words = {"number": "numbers", "yes_no": "yes/no", "category": "categories", "date": "dates"}
    decisions = []
    for kind, word in words.items():
        names = [column.name for column in columns if column.kind == kind]
        if names:
            why = "what the cells of the training rows are"
            decisions.append(Decision(f"columns that are {word}", shorten(names), why, f"--set ignore={names[0]}"))
    return decisions


def _left_out(columns: tuple[Column, ...]) -> list[Decision]:
    """Every column that the network does not see, and why."""
    decisions = []
    for kind, reason in _LEFT_OUT.items():
        out = [column for column in columns if column.kind == kind]
        if len(out) > _MOST_SINGLY:
            names = shorten([column.name for column in out], len(out))
            decisions.append(Decision(f"{len(out)} columns left out: {kind}", names, reason, ""))
        else:
            decisions += [
                Decision(f"column `{column.name}`", f"left out: {kind}", f"{reason} ({column.why})", "")
                for column in out
            ]
    return decisions


def _formats(sights: list[Sight]) -> list[Decision]:
    """How numbers and dates are written, where that was not plain."""
    groups: dict[tuple[str, str], list[str]] = {}
    for sight in sights:
        column = sight.column
        if column.kind == "number" and describe_format(column.format):
            key = (describe_format(column.format), sight.note or "that reads the most cells as numbers")
            groups.setdefault(key, []).append(column.name)
        if column.kind == "date" and (column.format.date or sight.note):
            key = (f"dates as {column.format.date}", sight.note or "that reads the most cells as dates")
            groups.setdefault(key, []).append(column.name)
    return [Decision(f"how {shorten(names)} is written", chosen, why, "") for (chosen, why), names in groups.items()]


def _warnings(sights: list[Sight], num_rows: int) -> list[str]:
    """Cells that do not fit their column, infinities, and numbers that look like missing markers."""
    warnings = []
    for sight in sights:
        name = sight.column.name
        what = "dates" if sight.column.kind == "date" else "numbers"
        if sight.num_bad and sight.column.used:
            warnings.append(
                f"`{name}`: {sight.num_bad:,} of {num_rows:,} cells are not {what} (first: `{sight.first_bad[:40]}`) "
                "and count as missing"
            )
        if sight.num_infinite:
            warnings.append(f"`{name}`: {sight.num_infinite:,} cells are infinite and count as missing")
        if sight.column.format.sentinels:
            values = zip(sight.column.format.sentinels, sight.sentinel_counts, strict=True)
            counted = " and ".join(f"{value:.0f} in {count:,} rows" for value, count in values)
            warnings.append(
                f"`{name}` holds {counted}, far outside all its other numbers: if that stands for a missing value, "
                "empty those cells; it was kept as a number"
            )
    return warnings
