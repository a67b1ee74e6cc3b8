"""What each column of a table is, learned from the training rows only, and the log of those choices."""

from __future__ import annotations

import shlex

import numpy as np
import pyarrow as pa

from nudgenet.data.cells import LEVEL_MARKERS, parse_dates, parse_levels, parse_numbers
from nudgenet.data.formats import describe_format
from nudgenet.data.kinds import Sight, look
from nudgenet.data.media import is_media, light
from nudgenet.data.target import choose_task, encode_target, find_target
from nudgenet.data.wishes import WHY, check_wishes, look_as_wished
from nudgenet.errors import ColumnError, counted, did_you_mean, shorten
from nudgenet.records import Column, Decision, Raw, Task
from nudgenet.settings import Settings

__all__ = [
    "bad_cells",
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
    check_wishes(settings.kinds, names, task.target)
    apart = {task.target, *settings.ignore, settings.group}
    taken = pa.array(rows, pa.int64())
    sights = []
    for name in names:
        if name in apart:
            continue
        cells = light(raw.table.column(name)).take(taken)
        if name in settings.kinds and not is_media(raw.table.column(name)):
            sights.append(look_as_wished(name, cells, settings.kinds[name]))
        else:
            sights.append(look(name, cells, rows, has_header=raw.has_header))
    columns = tuple(sight.column for sight in sights)
    decisions = _set_apart(columns, settings) + _kinds(columns) + _left_out(sights) + _formats(sights)
    if not any(column.used for column in columns):
        what = "No column is left to learn from"
        kinds = ", ".join(f"`{column.name}`: {column.kind}" for column in columns[:8])
        fix = "Give a table with columns that describe each row"
        otherwise = next((f", or say what one is: {way}" for way in map(_use_instead, sights) if way), "")
        raise ColumnError(what, got=kinds or "the target only", fix=f"{fix}{otherwise}.")
    return columns, decisions, _warnings(sights, len(rows))


def _set_apart(columns: tuple[Column, ...], settings: Settings) -> list[Decision]:
    """What the user said about columns."""
    decisions = []
    if settings.ignore:
        names = shorten(settings.ignore, 50)
        decisions.append(Decision("ignored columns", names, WHY, "run without --set ignore"))
    if settings.group:
        why = "it says which rows belong together, and is no feature"
        decisions.append(Decision("group column", f"`{settings.group}`", why, "run without --set group"))
    if wished := [column for column in columns if column.name in settings.kinds]:
        chosen = ", ".join(f"`{column.name}`: {column.kind}" for column in wished)
        decisions.append(Decision("kinds of columns", chosen, WHY, "run without --set kinds"))
    return decisions


def _kinds(columns: tuple[Column, ...]) -> list[Decision]:
    """How many columns of each kind the network sees."""
    words = {
        "number": "numbers", "yes_no": "yes/no", "category": "categories", "date": "dates", "image": "images",
        "text": "free text",
        "sound": "sounds",
    }  # fmt: skip
    decisions = []
    for kind, word in words.items():
        names = [column.name for column in columns if column.kind == kind]
        if names:
            why = "what the cells of the training rows are"
            other = f"ignore={names[0]}" if kind in ("category", "text") else f"kinds={names[0]}:category"
            override = "" if kind in ("image", "sound") else as_set(other)
            decisions.append(Decision(f"columns that are {word}", shorten(names), why, override))
    return decisions


def _left_out(sights: list[Sight]) -> list[Decision]:
    """Every column that the network does not see, and why."""
    decisions = []
    for kind, reason in _LEFT_OUT.items():
        out = [sight for sight in sights if sight.column.kind == kind]
        if len(out) > _MOST_SINGLY:
            names = shorten([sight.column.name for sight in out], len(out))
            decisions.append(Decision(f"{len(out)} columns left out: {kind}", names, reason, _use_instead(out[0])))
        else:
            decisions += [
                Decision(
                    f"column `{sight.column.name}`",
                    f"left out: {kind}",
                    _why_out(sight.column, reason),
                    _use_instead(sight),
                )
                for sight in out
            ]
    return decisions


def _why_out(column: Column, reason: str) -> str:
    return WHY if column.why == WHY else f"{reason} ({column.why})"


def _use_instead(sight: Sight) -> str:
    """What to type so that the network sees a column after all; "" if it holds nothing to learn from."""
    column = sight.column
    if column.kind != "identifier":
        return ""
    # Only numbers are given the format that they were read with.
    kind = "number" if column.format.missing != LEVEL_MARKERS else sight.could_be
    return as_set(f"kinds={column.name}:{kind}")


def as_set(assignment: str) -> str:
    """`--set name=value` as it is typed, in quotes where a shell needs them."""
    return f"--set {shlex.quote(assignment)}"


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


def bad_cells(column: Column, num_bad: int, num_rows: int, first_bad: str, of: str = "") -> str:
    """The warning about cells that are not what their column holds; `of` names the rows if not the training rows."""
    what = "date" if column.kind == "date" else "number"
    are, counts = (f"is not a {what}", "counts") if num_bad == 1 else (f"are not {what}s", "count")
    return (
        f"`{column.name}`: {num_bad:,} of {counted(num_rows, f'{of}cell')} {are} (first: `{first_bad[:40]}`) "
        f"and {counts} as missing"
    )


def _warnings(sights: list[Sight], num_rows: int) -> list[str]:
    """Cells that do not fit their column, infinities, and numbers that look like missing markers."""
    warnings = []
    for sight in sights:
        name = sight.column.name
        if sight.num_bad and sight.column.used:
            warnings.append(bad_cells(sight.column, sight.num_bad, num_rows, sight.first_bad))
        if sight.num_infinite:
            are = counted(sight.num_infinite, "cell is infinite and counts", "cells are infinite and count")
            warnings.append(f"`{name}`: {are} as missing")
        if sight.column.format.sentinels:
            values = zip(sight.column.format.sentinels, sight.sentinel_counts, strict=True)
            held = " and ".join(f"{value:.0f} in {counted(count, 'row')}" for value, count in values)
            warnings.append(
                f"`{name}` holds {held}, far outside all its other numbers: if that stands for a missing value, "
                "empty those cells; it was kept as a number"
            )
    return warnings
