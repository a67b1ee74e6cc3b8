"""Pre-flight: what looks wrong with the data before anything is trained. It warns; it never drops a thing.

Each warning is plain English, counts, and names the column or class. Big tables are judged by a sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from nudgenet.data.cells import parse_dates, parse_numbers
from nudgenet.data.columns import bad_cells, encode_target
from nudgenet.data.features import read_levels
from nudgenet.data.media import same_files
from nudgenet.data.units import num_distinct, row_hashes
from nudgenet.errors import counted, shorten
from nudgenet.records import Column, Parts, Raw, Shape, Task

FitOne = Callable[[np.ndarray, np.ndarray, np.ndarray, Task], np.ndarray]

SAMPLE_ROWS = 6_000  # enough to see a leak, few enough to be quick
MIN_LEAK_ROWS = 50  # with fewer, one column fits the target by luck
MIN_BASELINE_ERRORS = 10  # as many mistakes must the commonest class make before doing without them means something
LEAK_SKILL = 0.98  # share of the baseline's mistakes (or of the variance) that one column alone explains
LEAK_SKILL_LARGE = 0.9  # for classes, with `MANY_ROWS`: in small tables of easy classes a sound column gets there
MANY_ROWS = 1_000
HOPELESS_SKILL = 0.7  # less than this on one fold is no leak
BINS = 256  # equally filled ones, for a first look at a column of numbers
MIN_ROWS_PER_BIN = 5
EXACT = 0.9999  # R2 of columns that add up to the target
MAX_PARTS = 3  # columns in such a sum
RARE_ROWS = 10  # a class with fewer training rows can hardly be learned
IMBALANCE = 10  # the largest class has this many times the rows of the smallest
MIN_ROWS_PER_CLASS = 5
FOLDS = 3
NAMED = 12  # rare classes that are named


def check(raw: Raw, parts: Parts, columns: Sequence[Column], task: Task, shape: Shape) -> list[str]:
    """Warnings about duplicates, leaks of the target, rare classes, imbalance, and too few rows.

    Args:
        raw: the rows as they were read.
        parts: which rows are in use.
        columns: what each column is; only used ones can leak.
        task: what is predicted.
        shape: for the number of inputs.
    """
    used = [column for column in columns if column.used]
    plain = [column for column in used if column.kind not in ("image", "sound", "text")]
    targets, _ = encode_target(raw.table.column(task.target), task)
    warnings = _held_out_cells(raw, parts, plain)
    warnings += _duplicates(raw, parts, used, task, targets)
    warnings += _leaks(raw, parts, plain, task, targets)
    warnings += same_files(raw.table, np.sort(np.concatenate([parts.train, parts.validation, parts.test])))
    if task.classes:
        warnings += _classes(targets[parts.train], task)
    num_inputs = shape.num_numbers + sum(shape.cardinalities)
    if len(parts.train) < num_inputs and shape.image is None and shape.sound is None:
        warnings.append(
            f"Only {counted(len(parts.train), 'training row')} for {counted(num_inputs, 'input')}: "
            "the network can learn them by heart, so more rows or fewer columns would help"
        )
    return warnings


def _held_out_cells(raw: Raw, parts: Parts, used: Sequence[Column]) -> list[str]:
    """Cells of validation and test rows that do not fit their column; `describe` counts those of training rows."""
    rows = np.sort(np.concatenate([parts.validation, parts.test]))
    warnings = []
    for column in used:
        cells = raw.table.column(column.name)
        if column.kind not in ("number", "date") or not len(rows) or not pa.types.is_string(cells.type):
            continue
        cells = cells.take(rows)
        parse = parse_dates if column.kind == "date" else parse_numbers
        bad = parse(cells, column.format)[1]
        if bad.any():
            first = str(cells[int(np.flatnonzero(bad)[0])].as_py())
            warnings.append(bad_cells(column, int(bad.sum()), len(rows), first, "validation and test "))
    return warnings


def _duplicates(raw: Raw, parts: Parts, used: Sequence[Column], task: Task, targets: np.ndarray) -> list[str]:
    """Rows that repeat another row, and rows that contradict one."""
    if not used:
        return []
    rows = np.sort(np.concatenate([parts.train, parts.validation, parts.test]))
    features = row_hashes(raw.table, [column.name for column in used])[rows]
    if num_distinct(features) == len(features):  # the usual case, which for millions of rows must take little memory
        return []
    unit = np.unique(features, return_inverse=True)[1]
    answer = np.unique(targets[rows], return_inverse=True)[1]
    pair = np.unique(unit * (int(answer.max()) + 1) + answer, return_inverse=True, return_counts=True)
    num_repeats = len(rows) - len(pair[0])
    answers_of_unit = np.bincount(pair[0] // (int(answer.max()) + 1), minlength=int(unit.max()) + 1)
    num_contradicting = int((answers_of_unit[unit] > 1).sum())
    warnings = []
    if num_repeats:
        what = "repeats" if num_repeats == 1 else "repeat"
        warnings.append(f"{num_repeats:,} of {counted(len(rows), 'row')} {what} another row exactly (kept)")
    if num_contradicting:
        warnings.append(
            f"{num_contradicting:,} of {len(rows):,} rows have the same features as another row but a different "
            f"`{task.target}`: no model can get all of them right"
        )
    return warnings


def _classes(targets: np.ndarray, task: Task) -> list[str]:
    """Rare classes by name, and a lopsided target."""
    counts = np.bincount(targets, minlength=len(task.classes))
    warnings = []
    rare = [(label, count) for label, count in zip(task.classes, counts.tolist(), strict=True) if count < RARE_ROWS]
    if rare:
        what = counted(len(rare), "class has", "classes have")
        named = ", ".join(f"`{label}` ({count})" for label, count in rare[:NAMED])
        more = f" and {len(rare) - NAMED} more" if len(rare) > NAMED else ""
        warnings.append(f"{what} fewer than {RARE_ROWS} training rows and can hardly be learned: {named}{more}")
    present = counts[counts > 0]
    if present.max() >= IMBALANCE * present.min():
        largest = task.classes[int(counts.argmax())]
        smallest = task.classes[int(np.where(counts, counts, counts.max()).argmin())]
        warnings.append(
            f"The classes of `{task.target}` are lopsided: {_percent(present.max() / counts.sum())} of the training "
            f"rows are `{largest}`, {_percent(present.min() / counts.sum())} are `{smallest}`; accuracy alone will flatter "
            "(--set class_weights=balanced makes every class count the same)"
        )
    return warnings


# --- leaks ----------------------------------------------------------------------------------------


def _leaks(raw: Raw, parts: Parts, used: Sequence[Column], task: Task, targets: np.ndarray) -> list[str]:
    """Columns that alone predict the target almost perfectly, and columns that add up to it."""
    rows = np.concatenate([parts.train, parts.validation])
    if len(rows) < MIN_LEAK_ROWS or not used:
        return []
    rng = np.random.Generator(np.random.PCG64(len(rows)))  # a sample that depends on nothing but the number of rows
    rows = rng.permutation(rows)[:SAMPLE_ROWS]
    table = raw.table.select([column.name for column in used]).take(np.sort(rows))
    answers = targets[np.sort(rows)]
    if task.kind == "regression":
        answers = _small(answers)
    elif MIN_ROWS_PER_CLASS * len(np.unique(answers)) > len(rows):
        return []  # a column that guesses so many classes right cannot be told from luck
    fold = rng.permutation(len(rows)) % FOLDS
    warnings = []
    numbers: dict[str, np.ndarray] = {}
    for column in used:
        values, is_category = _values(table.column(column.name), column)
        if column.kind == "number":
            numbers[column.name] = _small(values)
        skill = _skill_alone(values if is_category else _ranks(values), answers, fold, task, is_category=is_category)
        if skill >= (LEAK_SKILL_LARGE if task.classes and len(rows) >= MANY_ROWS else LEAK_SKILL):
            measure = "of the mistakes of a guess" if task.classes else "of the variation"
            verb = "avoids" if task.classes else "explains"
            warnings.append(
                f"`{column.name}` alone predicts `{task.target}` almost perfectly (it {verb} {_percent(skill)} {measure}): "
                f"if it is not known before `{task.target}` is, leave it out with --set ignore={column.name}"
            )
            numbers.pop(column.name, None)
    if task.kind == "regression":
        warnings += _sums(numbers, answers, task)
    return warnings


def _values(cells: pa.ChunkedArray, column: Column) -> tuple[np.ndarray, bool]:
    """A column as float64 with NaN for missing, and whether the numbers are codes of categories."""
    if column.kind == "number":
        values = parse_numbers(cells, column.format)[0]
        return np.where(np.isfinite(values), values, np.nan), False
    if column.kind == "date":
        dates = parse_dates(cells, column.format)[0].astype("datetime64[us]")
        return np.where(np.isnat(dates), np.nan, dates.astype(np.int64).astype(np.float64)), False
    return read_levels(cells, column.format)[1].astype(np.float64) + 1, True  # missing is a level like any other


def _small(values: np.ndarray) -> np.ndarray:
    """Divided by the largest magnitude: the same pattern, and no square can overflow."""
    known = np.abs(values[np.isfinite(values)])
    return values / known.max() if len(known) and known.max() > 0 else values


def _ranks(values: np.ndarray) -> np.ndarray:
    """Dense ranks, NaN kept: to a tree the same as the values, and exact in the float32 that it compares."""
    ranks = np.full(len(values), np.nan)
    known = np.isfinite(values)
    ranks[known] = np.unique(values[known], return_inverse=True)[1]
    return ranks


def _bins(ranks: np.ndarray) -> np.ndarray:
    """Codes of equally filled bins; equal values share one, missing ones have their own."""
    known = np.sort(ranks[np.isfinite(ranks)])
    rows_per_bin = max(MIN_ROWS_PER_BIN, len(ranks) // BINS)
    codes = np.searchsorted(known, ranks) // rows_per_bin
    return np.where(np.isfinite(ranks), codes, len(known) // rows_per_bin + 1).astype(np.float64)


def _skill_alone(values: np.ndarray, answers: np.ndarray, fold: np.ndarray, task: Task, *, is_category: bool) -> float:
    """How much of the baseline's error one column alone removes, on rows it was not fitted on: at most 1."""
    rough = _skill(values if is_category else _bins(values), answers, fold, task, _fit_levels)
    # Bins are quick and show every leak, if not how tight it is; the tree takes a second to be imported alone.
    return rough if is_category or rough == 0 else _skill(values, answers, fold, task, _fit_tree)


def _skill(values: np.ndarray, answers: np.ndarray, fold: np.ndarray, task: Task, fit_one: FitOne) -> float:
    """The skill of one kind of model; 0 as soon as it is seen to be hopeless.

    The baseline is the commonest class (mistakes) or the mean (squared error).
    """
    left = total = 0.0
    for held_out in range(FOLDS):
        fit, judge = fold != held_out, fold == held_out
        if task.classes:
            commonest = np.bincount(answers[fit]).argmax()
            total += float((answers[judge] != commonest).sum())
        else:
            total += float(((answers[judge] - answers[fit].mean()) ** 2).sum())
        guess = fit_one(values[fit], answers[fit], values[judge], task)
        left += float((answers[judge] != guess).sum() if task.classes else ((answers[judge] - guess) ** 2).sum())
        if left > (1 - HOPELESS_SKILL) * total:
            return 0.0  # most columns end here, after one fit
    if total <= (MIN_BASELINE_ERRORS - 1 if task.classes else 0):
        return 0.0
    return 1 - left / total


def _fit_levels(levels: np.ndarray, answers: np.ndarray, asked: np.ndarray, task: Task) -> np.ndarray:
    """The answer of each level (a category, a bin): its mean or its commonest class."""
    num_levels = int(max(levels.max(), asked.max())) + 1
    level, wanted = levels.astype(np.int64), asked.astype(np.int64)
    if not task.classes:
        counts = np.bincount(level, minlength=num_levels)
        sums = np.bincount(level, weights=answers, minlength=num_levels)
        return np.where(counts, sums / np.maximum(counts, 1), answers.mean())[wanted]
    num_classes = len(task.classes)
    table = np.bincount(level * num_classes + answers, minlength=num_levels * num_classes)
    table = table.reshape(num_levels, num_classes)
    commonest = np.bincount(answers).argmax()
    return np.where(table.any(axis=1), table.argmax(axis=1), commonest)[wanted]


def _fit_tree(values: np.ndarray, answers: np.ndarray, asked: np.ndarray, task: Task) -> np.ndarray:
    """Predictions of a small tree over one column of numbers."""
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    tree = (
        DecisionTreeClassifier(max_leaf_nodes=4 * len(task.classes), min_samples_leaf=3, random_state=0)
        if task.classes
        else DecisionTreeRegressor(max_leaf_nodes=256, min_samples_leaf=3, random_state=0)
    )
    tree.fit(values[:, None], answers)
    return np.asarray(tree.predict(asked[:, None]))


def _sums(numbers: dict[str, np.ndarray], answers: np.ndarray, task: Task) -> list[str]:
    """Two or three number columns whose weighted sum is the target, such as casual + registered = count."""
    names = [name for name, values in numbers.items() if np.isfinite(values).all() and values.std() > 0]
    if len(names) < 2 or len(answers) < 5 * (len(names) + 1) or answers.std() == 0:
        return []
    features = np.stack([(numbers[name] - numbers[name].mean()) / numbers[name].std() for name in names], axis=1)
    target = (answers - answers.mean()) / answers.std()
    if 1 - _residual(features, target).var() < EXACT:
        return []
    chosen: list[int] = []
    rest = target
    while len(chosen) < MAX_PARTS:  # orthogonal matching pursuit: next, the column most like what is left
        likeness = np.abs(features.T @ rest)
        likeness[chosen] = -1
        chosen.append(int(likeness.argmax()))
        rest = _residual(features[:, chosen], target)
        if 1 - rest.var() >= EXACT:
            found = sorted(names[i] for i in chosen)
            how, them = ("gives", "it is") if len(found) == 1 else ("together give", "they are")
            it = "it" if len(found) == 1 else "them"
            return [
                f"{shorten(found)} {how} `{task.target}` exactly, as a weighted sum: if {them} not known before "
                f"`{task.target}` is, leave {it} out with --set ignore={','.join(found)}"
            ]
    return []


def _residual(features: np.ndarray, target: np.ndarray) -> np.ndarray:
    solution = np.linalg.lstsq(features, target, rcond=None)[0]
    return np.asarray(target - features @ solution)


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"
