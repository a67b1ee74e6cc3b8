"""Which columns mattered: how much worse the answers get when one column's values are shuffled between rows.

Permutation importance (Breiman, "Random Forests", 2001). It says what *this network* relies on: of two columns
that tell the same, either may look unimportant, because the other one still stands when it is shuffled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from nudgenet.records import TaskKind
from nudgenet.scoring.answers import HALF
from nudgenet.scoring.intervals import interval_of, resample_counts
from nudgenet.scoring.metrics import LOWER_IS_BETTER, Array, primary_metric, weighted_metric

Inputs = dict[str, Tensor]
Positions = Sequence[tuple[str, int | slice]]  # (input name, feature positions): the features made from one column

NUM_RESAMPLES = 200  # for the interval; it need not be finer than the shuffles are
SCREENING_ROWS = 200
MAX_SCREENED = 5000
WORTH_REPEATING = 0.1  # of the largest drop: where in the list a column with less stands matters to nobody


@dataclass(frozen=True)
class Importance:
    """How much the metric gets worse when the column is shuffled (in the metric's unit; more is more important)."""

    column: str
    drop: float
    low: float  # 95 % interval over rows; below zero: not clearly of any use
    high: float


def permutation_importance(
    predict: Callable[[Mapping[str, Tensor]], Array],
    inputs: Mapping[str, Tensor],
    targets: Array,
    groups: Mapping[str, Positions],
    *,
    kind: TaskKind,
    seed: int,
    metric: str | None = None,
    threshold: float = HALF,
    repeats: int = 2,
    max_rows: int = 2000,
    max_columns: int = 200,
) -> list[Importance]:
    """The importance of every column, most important first; ties keep the order of `groups`.

    Args:
        predict: inputs -> predictions as `score` takes them. Call this function under `torch.inference_mode()`.
        inputs: name -> `(rows, features)`; they are copied, not changed.
        targets: `(rows,)` as `score` takes them.
        groups: a user's column -> the prepared features made from it; they are shuffled together.
        metric: a name from METRICS; None for the task's primary metric.
        threshold: of yes/no answers; see `decide`.
        repeats: shuffles per column that may matter; the drop is their mean. One shuffle decides which may.
        max_rows: more rows than this are sampled by seed.
        max_columns: of more columns than this, those whose shuffling moves the predictions most on a few rows.

    Returns:
        One Importance per measured column; none for fewer than two rows, or when the metric is undefined on them.
    """
    metric = metric or primary_metric(kind)
    random = np.random.default_rng(seed)
    inputs, targets = _sample_rows(inputs, np.asarray(targets), max_rows, random)
    num_rows = len(targets)
    if num_rows < 2:
        return []
    orders = [random.permutation(num_rows) for _ in range(repeats)]
    if len(groups) > max_columns:
        chosen = _most_moving(predict, inputs, groups, max_columns, random)
        groups = {column: groups[column] for column in chosen}

    sign = 1.0 if metric in LOWER_IS_BETTER else -1.0
    counts = np.concatenate(list(resample_counts(num_rows, seed=seed, num_resamples=NUM_RESAMPLES)))
    counts = np.vstack([np.ones(num_rows), counts])  # the first "resample" is the rows as they are
    intact = sign * weighted_metric(kind, metric, targets, predict(inputs), counts, threshold)

    def drops(column: str, order: Array) -> Array:
        shuffled = _predict_shuffled(predict, inputs, groups[column], order)
        return sign * weighted_metric(kind, metric, targets, shuffled, counts, threshold) - intact

    # The interval over rows holds the luck of the shuffles, too: each row got values of another one by chance.
    # So one shuffle is honest, and a second one is for the columns that people look at: it makes the intervals a tenth
    # narrower, and five would make them but a tenth narrower still (benchmarks/LOG.md).
    measured = {column: drops(column, orders[0]) for column in groups}
    largest = max((item.drop for item in _summed_up(measured)), default=0.0)
    matter = {item.column for item in _summed_up(measured) if item.high > max(0.0, WORTH_REPEATING * largest)}
    for column in groups:
        if column in matter:
            measured[column] = np.mean([measured[column], *(drops(column, order) for order in orders[1:])], axis=0)
    return sorted(_summed_up(measured), key=lambda item: -item.drop)


def _summed_up(drops: Mapping[str, Array]) -> list[Importance]:
    """From each column's drops on the rows as they are (first) and on their resamples; without those undefined."""
    found = []
    for column, values in drops.items():
        interval = interval_of(values[1:])
        if interval is not None and np.isfinite(values[0]):
            found.append(Importance(column, float(values[0]), interval.low, interval.high))
    return found


def _sample_rows(
    inputs: Mapping[str, Tensor], targets: Array, max_rows: int, random: np.random.Generator
) -> tuple[Inputs, Array]:
    """A copy of at most `max_rows` rows, in their order."""
    if len(targets) <= max_rows:
        return {name: tensor.clone() for name, tensor in inputs.items()}, targets
    rows = np.sort(random.choice(len(targets), size=max_rows, replace=False))
    return {name: tensor[rows] for name, tensor in inputs.items()}, targets[rows]


def _predict_shuffled(
    predict: Callable[[Mapping[str, Tensor]], Array], inputs: Inputs, positions: Positions, order: Array
) -> Array:
    """Predictions with some features in another order of rows; shuffled in place and put back: no copy of wide inputs."""
    before = [(inputs[name][:, position], inputs[name][:, position].clone()) for name, position in positions]
    try:
        for feature, values in before:
            feature.copy_(values[order])
        return np.array(predict(inputs))  # a copy: the answer may be a view of what is put back below
    finally:
        for feature, values in before:
            feature.copy_(values)


def _most_moving(
    predict: Callable[[Mapping[str, Tensor]], Array],
    inputs: Inputs,
    groups: Mapping[str, Positions],
    max_columns: int,
    random: np.random.Generator,
) -> list[str]:
    """The columns whose shuffling changes the predictions most, on a few rows, in the order of `groups`."""
    few = {name: tensor[:SCREENING_ROWS].clone() for name, tensor in inputs.items()}
    intact = np.array(predict(few))
    order = random.permutation(len(intact))
    screened = list(groups)[:MAX_SCREENED]
    moved = [np.abs(_predict_shuffled(predict, few, groups[column], order) - intact).mean() for column in screened]
    strongest = np.sort(np.argsort(np.negative(moved), kind="stable")[:max_columns])
    return [screened[index] for index in strongest]
