"""The column to predict: which one it is, what kind of answer it asks for, and its cells as numbers."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nudgenet.data.cells import parse_levels, parse_numbers
from nudgenet.data.formats import guess_format
from nudgenet.data.frames import BY_FOLDERS, GIVEN_TARGET
from nudgenet.data.kinds import is_free_text, look
from nudgenet.data.media import intact, media_columns
from nudgenet.data.plain import is_plain
from nudgenet.errors import ColumnError, counted, did_you_mean, shorten
from nudgenet.records import CellFormat, Decision, Label, Raw, Task
from nudgenet.settings import Settings

MAX_NUMBER_CLASSES = 20
MIN_ROWS_PER_CLASS = 5
FEW_FILES = 10  # that are left of at least twice as many: what is wrong is not the target
MAX_CLASS_SHARE = 0.5  # more classes than this share of the rows: names or texts, not classes
_TARGET_NAMES = (
    "target", "label", "class", "y", "outcome", "response", "species", "diagnosis", "survived", "churn", "income",
    "price", "sale_price", "saleprice", "median_house_value", "quality", "score", "result", "default", "status",
)  # fmt: skip


def find_target(raw: Raw, settings: Settings) -> str:
    """The name of the target column.

    Raises:
        ColumnError: no such column ("did you mean"), a position outside the table, or no target was named.
    """
    names: list[str] = raw.table.column_names
    wanted = settings.target
    if wanted is None and any(decision.what == GIVEN_TARGET for decision in raw.decisions):
        return names[-1]
    if wanted is None:
        guess = suggest_target(names)
        raise ColumnError(
            "Which column is to be predicted? Name it with a target", got=f"columns {shorten(names)}",
            fix=f'For example: --target "{guess}".' if re.search(r"\s", guess) else f"For example: --target {guess}.",
        )  # fmt: skip
    if isinstance(wanted, str):
        if wanted in names:
            return wanted
        alike = [name for name in names if name.lower() == wanted.strip().lower()]
        if len(alike) == 1:
            return alike[0]
        if not re.fullmatch(r"[+-]?\d+", wanted.strip()):
            raise ColumnError("There is no column with the target's name", got=wanted, fix=did_you_mean(wanted, names))
    elif str(wanted) in names:
        return str(wanted)
    position = int(wanted)
    if position == 0 or abs(position) > len(names):
        raise ColumnError(
            f"The target's position must be 1 to {len(names)}, or -1 for the last column", got=str(position),
            fix=f"The columns are {shorten(names)}.",
        )  # fmt: skip
    return names[position - 1 if position > 0 else position]


def suggest_target(names: list[str]) -> str:
    """The column that is most probably meant, by its name; else the last."""
    by_lower = {name.lower(): name for name in reversed(names)}
    return next((by_lower[name] for name in _TARGET_NAMES if name in by_lower), names[-1])


@dataclass(frozen=True)
class _Cells:
    """The target's cells, understood."""

    name: str
    kind: str  # "number", "bool" or "text"
    format: CellFormat
    labels: tuple[Label, ...]  # distinct values, sorted
    counts: np.ndarray  # rows of each
    num_bad: int = 0
    first_bad: str = ""

    @property
    def num_rows(self) -> int:
        return int(self.counts.sum())

    @property
    def whole(self) -> bool:
        """Whether it is numbers, all of them whole."""
        return self.kind == "number" and all(isinstance(label, int) for label in self.labels)


def _refuse_lost_files(raw: Raw, num_left: int) -> None:
    """Raises ColumnError if hardly a row has a file that can be decoded."""
    name, medium = next(iter(media_columns(raw.table).items()))
    if num_left < FEW_FILES and 2 * num_left < raw.table.num_rows:
        skipped = [entry for entry in raw.decisions if entry.what.startswith("skipped: ")]
        why = next((f"{one.what[9:]} in {one.chosen.partition(':')[0]}" for one in skipped if " of " in one.chosen), "")
        is_folder = any(entry.what == GIVEN_TARGET for entry in raw.decisions)
        fix = "Check them." if is_folder else f"Check them, or leave the column out: --set ignore={name}."
        raise ColumnError(
            f"Only {num_left} of {counted(raw.table.num_rows, 'row')} of `{name}` {'has' if num_left == 1 else 'have'} "
            f"{'an' if medium == 'image' else 'a'} {medium} that can be decoded",
            got=why, fix=fix,
        )  # fmt: skip


def choose_task(raw: Raw, settings: Settings) -> tuple[Task, list[Decision], list[str]]:
    """What kind of answer the target asks for.

    Text, yes/no, and whole numbers with at most 20 values averaging at least 5 rows each are classes; other
    numbers are a regression. `settings.task` overrides.

    Raises:
        ColumnError: the target is empty, has one value only, or is a date, free text or an identifier.
    """
    name = find_target(raw, settings)
    column = raw.table.column(name)
    if media_columns(raw.table):  # a class of which no file could be decoded is none
        column = column.filter(pa.array(intact(raw.table)))
        _refuse_lost_files(raw, len(column))
    by_folders = any(entry.what == GIVEN_TARGET and entry.why.startswith(BY_FOLDERS) for entry in raw.decisions)
    cells = _understand(name, column, are_names=by_folders and name == raw.table.column_names[-1])
    asked = settings.task
    if asked is None:
        _refuse_index(name, column, cells, raw.has_header)
    is_regression = asked == "regression" or (asked is None and _asks_for_number(cells))
    why = f"you said so; {_figures(cells)}" if asked else _figures(cells)
    if is_regression:
        if cells.kind != "number":
            raise ColumnError(
                f"A regression needs numbers, and `{name}` holds {'yes/no' if cells.kind == 'bool' else 'text'}",
                got=shorten(map(str, cells.labels), 3), fix="Leave `task` away, or choose a column of numbers.",
            )  # fmt: skip
        task = Task(name, "regression", (), cells.format, why)
    else:
        _refuse_many_classes(cells)
        num_classes = len(cells.labels)
        if asked == "binary" and num_classes != 2:
            fix = "Leave `task` away, or --set task=multiclass."
            raise ColumnError(f"`{name}` has {num_classes} classes, and binary needs two", fix=fix)
        task = Task(name, "binary" if num_classes == 2 else "multiclass", cells.labels, cells.format, why)
    other = "multiclass" if is_regression else "regression" if cells.kind == "number" else ""
    override = f"--set task={other}" if other else _another_target(name, raw)
    chosen = "regression" if is_regression else f"{task.kind}: {shorten(map(str, task.classes), 6)}"
    return task, [Decision("task", chosen, why, override)], _warnings(cells, len(column), task)


def _another_target(name: str, raw: Raw) -> str:
    """What to type to predict another column; "" if there is none."""
    media = media_columns(raw.table)
    others = [other for other in raw.table.column_names if other != name and other not in media]
    return f"--target {shlex.quote(others[-1])}" if others else ""


def encode_target(cells: pa.ChunkedArray, task: Task) -> tuple[np.ndarray, np.ndarray]:
    """The target's cells as the loss needs them.

    Returns:
        int64 class index or float64 number (rows,); bool (rows,), False where the cell is missing, is no finite
        number (regression) or is an unknown class. Unusable rows hold 0 or NaN.
    """
    if task.kind == "regression":
        numbers, _ = parse_numbers(cells, task.format)
        usable = np.isfinite(numbers)
        return np.where(usable, numbers, np.nan), usable
    if isinstance(task.classes[0], (int, float)) and not isinstance(task.classes[0], bool):
        numbers, _ = parse_numbers(cells, task.format)
        classes = np.array(task.classes, np.float64)
        index = np.clip(np.searchsorted(classes, numbers), 0, len(classes) - 1)
        usable = classes[index] == numbers
    else:
        texts = _texts(cells, task.format)
        names = [str(label) for label in task.classes]
        if isinstance(task.classes[0], bool):
            names = [name.lower() for name in names]
            texts = pc.replace_substring_regex(pc.utf8_lower(texts), "^(yes|y|t|1)$", "true")
            texts = pc.replace_substring_regex(texts, "^(no|n|f|0)$", "false")
        found = pc.fill_null(pc.index_in(texts, value_set=pa.array(names, pa.string())), -1)
        index = found.to_numpy(zero_copy_only=False).astype(np.int64)
        usable = index >= 0
    return np.where(usable, index, 0).astype(np.int64), np.asarray(usable, bool)


# ------------------------------------------------------------------ helpers


def _texts(cells: pa.ChunkedArray, format: CellFormat) -> pa.Array:
    """Text classes stay as they stand in the file (no "1.0" -> "1"); typed cells become text."""
    if not pa.types.is_string(cells.type):
        return parse_levels(cells, format)
    levels = parse_levels(cells, format)
    return pc.if_else(levels.is_valid(), pc.utf8_trim_whitespace(cells.combine_chunks()), levels)


def _understand(name: str, column: pa.ChunkedArray, *, are_names: bool = False) -> _Cells:
    """The target's cells as numbers, booleans or text.

    are_names: they are names of folders, so that none stands for a missing one, not even `null`.
    """
    kind = column.type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        raise _date_error(name)
    if pa.types.is_boolean(kind):
        counts = pc.value_counts(column.drop_null())
        return _cells(
            name, "bool", CellFormat(), counts.field("values").to_pylist(), counts.field("counts").to_pylist()
        )
    if not (pa.types.is_string(kind) or is_plain(kind)):
        return _number_cells(name, column, CellFormat())
    guess = guess_format(column)
    if are_names and not (guess.kind == "number" and np.isfinite(parse_numbers(column, guess.format)[0]).all()):
        guess = replace(guess, kind="text", format=CellFormat(missing=("",)))  # no folder is called that
    if guess.kind == "number":
        return _number_cells(name, column, guess.format, guess.num_bad, guess.first_bad)
    if guess.kind == "date":
        raise _date_error(name)
    counts = pc.value_counts(_texts(column, guess.format).drop_null())
    return _cells(name, "text", guess.format, counts.field("values").to_pylist(), counts.field("counts").to_pylist())


def _number_cells(
    name: str, column: pa.ChunkedArray, format: CellFormat, num_bad: int = 0, first_bad: str = ""
) -> _Cells:
    numbers, _ = parse_numbers(column, format)
    values, counts = np.unique(numbers[np.isfinite(numbers)], return_counts=True)
    whole = not (values % 1).any() and (not len(values) or np.abs(values).max() < 2**53)
    labels = [int(value) if whole else float(value) for value in values]
    return _cells(name, "number", format, labels, list(counts), num_bad, first_bad)


def _cells(
    name: str,
    kind: str,
    format: CellFormat,
    values: Sequence[Label],
    counts: list[int],
    num_bad: int = 0,
    first_bad: str = "",
) -> _Cells:
    """Sorted; refused when there is nothing to predict."""
    if not values:
        raise ColumnError(f"The target `{name}` has no values", fix="Choose another column as the target.")
    if len(values) == 1:
        raise ColumnError(
            f"The target `{name}` has the same value in every row", got=str(values[0])[:60],
            fix="Choose a column with at least two different values.",
        )  # fmt: skip
    order = sorted(range(len(values)), key=lambda i: values[i])
    labels = tuple(values[i] for i in order)
    return _Cells(name, kind, format, labels, np.array([counts[i] for i in order]), num_bad, first_bad)


def _asks_for_number(cells: _Cells) -> bool:
    """DESIGN's rule: numbers are a regression, except few whole ones with enough rows each."""
    num_values = len(cells.labels)
    few = num_values <= MAX_NUMBER_CLASSES and cells.num_rows >= MIN_ROWS_PER_CLASS * num_values
    return cells.kind == "number" and not (cells.whole and few)


def _figures(cells: _Cells) -> str:
    """The figures behind the choice."""
    what = {"text": "text", "bool": "yes/no"}.get(cells.kind) or ("whole numbers" if cells.whole else "numbers")
    return f"`{cells.name}` holds {what}: {counted(len(cells.labels), 'different value')} in {counted(cells.num_rows, 'row')}"


def _date_error(name: str) -> ColumnError:
    return ColumnError(f"The target `{name}` holds dates, which cannot be predicted", fix="Choose a number or classes.")


def _refuse_index(name: str, column: pa.ChunkedArray, cells: _Cells, has_header: bool) -> None:
    """A number that only counts rows cannot be predicted."""
    if not cells.whole:
        return
    sight = look(name, column, np.arange(len(column)), has_header=has_header)
    if sight.column.kind == "identifier":
        raise ColumnError(
            f"The target `{name}` is an identifier: {sight.column.why}",
            fix="Choose another column, or --set task=regression.",
        )
    if sight.column.kind == "date":
        raise _date_error(name)


def _refuse_many_classes(cells: _Cells) -> None:
    """Nearly as many classes as rows are names or texts."""
    num_classes = len(cells.labels)
    if num_classes <= MAX_CLASS_SHARE * cells.num_rows:
        return
    free = cells.kind == "text" and is_free_text(pa.array(cells.labels, pa.string()), cells.num_rows)
    what = "free text" if free else "a different value in nearly every row"
    fix = "--set task=regression" if cells.kind == "number" else "Choose another column as the target."
    raise ColumnError(
        f"The target `{cells.name}` holds {what}, which are no classes",
        got=f"{num_classes:,} different values in {cells.num_rows:,} rows", fix=fix,
    )  # fmt: skip


def _warnings(cells: _Cells, num_rows: int, task: Task) -> list[str]:
    """Missing and bad targets, rare classes, and classes that differ in letters' case only."""
    warnings = []
    num_missing = num_rows - cells.num_rows - cells.num_bad
    if num_missing:
        have, they = ("has", "it") if num_missing == 1 else ("have", "they")
        rows = counted(num_rows, "row")
        warnings.append(f"{num_missing:,} of {rows} {have} no `{cells.name}`: {they} cannot be learned from")
    if cells.num_bad:
        warnings.append(
            f"`{cells.name}`: {counted(cells.num_bad, 'cell is not a number', 'cells are not numbers')} "
            f"(first: `{cells.first_bad[:40]}`) and {'counts' if cells.num_bad == 1 else 'count'} as missing"
        )
    if task.kind == "regression":
        return warnings
    rare = [str(label) for label, count in zip(cells.labels, cells.counts, strict=True) if count < 2]
    if rare:
        warnings.append(f"Classes with a single row, too few to learn: {shorten(rare, 6)}")
    lower = [str(label).lower() for label in cells.labels]
    if len(set(lower)) < len(lower):
        twins = sorted(str(label) for label in cells.labels if lower.count(str(label).lower()) > 1)
        warnings.append(f"Some classes differ only in upper and lower case: {shorten(twins, 6)}")
    return warnings
