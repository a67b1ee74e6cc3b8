"""Scores: how good predictions are, as numbers that a person can compare.

Every metric is a function of `(targets, predictions, weights)` in which the weights may carry leading
dimensions: `(rows,)` for one score, `(resamples, rows)` for a whole bootstrap at once. So an interval is
computed by the very function that computes the score.

Shapes, for the whole of `scoring`: classification targets are int64 `(rows,)` class indices and predictions
float `(rows, num_classes)` probabilities (a yes/no answer has two columns, too); regression targets and
predictions are float `(rows,)` in the user's unit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from nudgenet.records import TaskKind

Array = npt.NDArray[Any]
MetricFunction = Callable[[Array, Array, Array], Array]

PROBABILITY_FLOOR = 1e-7  # one confidently wrong row costs 16 nats, not infinity


def accuracy(targets: Array, predictions: Array, weights: Array) -> Array:
    """Share of the rows whose most probable class is the true one."""
    return _mean(predictions.argmax(axis=1) == targets, weights)


def auc(targets: Array, predictions: Array, weights: Array) -> Array:
    """Area under the ROC curve: how often a positive row is ranked above a negative one (ties count half)."""
    scores = predictions[:, 1]
    order = np.argsort(scores, kind="stable")
    tie_starts = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    ranked = weights[..., order]
    positive = np.add.reduceat(ranked * (targets[order] == 1), tie_starts, axis=-1)
    negative = np.add.reduceat(ranked * (targets[order] != 1), tie_starts, axis=-1)
    ranked_below = np.cumsum(negative, axis=-1) - negative / 2
    return _array((positive * ranked_below).sum(-1) / (positive.sum(-1) * negative.sum(-1)))


def binary_f1(targets: Array, predictions: Array, weights: Array) -> Array:
    """Harmonic mean of precision and recall of the positive class (index 1)."""
    predicted = predictions.argmax(axis=1) == 1
    actual = targets == 1
    return _array(2 * (weights @ (predicted & actual)) / (weights @ predicted + weights @ actual))


def macro_f1(targets: Array, predictions: Array, weights: Array) -> Array:
    """F1 of each class that occurs in the targets or the predictions, averaged with equal say."""
    num_classes = predictions.shape[1]
    predicted = predictions.argmax(axis=1)
    hits = _sum_by_class(weights * (predicted == targets), targets, num_classes)
    seen = _sum_by_class(weights, targets, num_classes) + _sum_by_class(weights, predicted, num_classes)
    f1 = np.divide(2 * hits, seen, out=np.zeros_like(seen), where=seen > 0)
    return _array(f1.sum(-1) / (seen > 0).sum(-1))


def log_loss(targets: Array, predictions: Array, weights: Array) -> Array:
    """Mean of -log(probability given to the true class), in nats."""
    return _mean(_log_losses(targets, predictions), weights)


def rmse(targets: Array, predictions: Array, weights: Array) -> Array:
    """Root of the mean squared error, in the target's unit."""
    return _array(np.sqrt(_mean((predictions - targets) ** 2, weights)))


def mae(targets: Array, predictions: Array, weights: Array) -> Array:
    """Mean absolute error, in the target's unit."""
    return _mean(np.abs(predictions - targets), weights)


def r2(targets: Array, predictions: Array, weights: Array) -> Array:
    """Share of the target's variance that is explained; 0 is no better than answering the mean."""
    centred = targets - targets.mean()  # the shift avoids the cancellation of E[y^2] - E[y]^2
    variance = _mean(centred**2, weights) - _mean(centred, weights) ** 2
    rounding = (8 * np.finfo(np.float64).eps * np.abs(targets).max(initial=0.0)) ** 2
    variance = np.where(variance > rounding, variance, np.nan)  # a constant target has nothing to explain
    return _array(1 - _mean((predictions - targets) ** 2, weights) / variance)


METRICS: dict[TaskKind, dict[str, MetricFunction]] = {
    "binary": {"accuracy": accuracy, "auc": auc, "f1": binary_f1, "log_loss": log_loss},
    "multiclass": {"accuracy": accuracy, "f1": macro_f1, "log_loss": log_loss},
    "regression": {"rmse": rmse, "mae": mae, "r2": r2},
}
LOWER_IS_BETTER: frozenset[str] = frozenset({"log_loss", "rmse", "mae"})


def primary_metric(kind: TaskKind) -> str:
    """The metric a person is told first: `accuracy` for classes, `rmse` for numbers.

    Chosen because they need no explanation: "92 of 100 rows right", "off by 31,000 dollars". Accuracy flatters
    on imbalanced classes; it never stands alone, but beside the majority baseline, which shows just that.
    """
    return "rmse" if kind == "regression" else "accuracy"


def score(kind: TaskKind, targets: Array, predictions: Array, weights: Array | None = None) -> dict[str, float]:
    """Every metric of the task that is defined on these rows.

    Undefined ones (AUC with one class present, R2 of a constant target, anything over no rows or over
    predictions that are not finite) are left out: the values are always finite.

    Args:
        targets: int64 `(rows,)` class indices, or float `(rows,)`.
        predictions: probabilities `(rows, num_classes)`, or float `(rows,)`.
        weights: how much each row counts, `(rows,)`; None for equally.
    """
    row_weights = np.ones(len(targets)) if weights is None else np.asarray(weights, dtype=np.float64)
    values = {name: weighted_metric(kind, name, targets, predictions, row_weights) for name in METRICS[kind]}
    return {name: float(value) for name, value in values.items() if np.isfinite(value)}


def weighted_metric(kind: TaskKind, name: str, targets: Array, predictions: Array, weights: Array) -> Array:
    """One metric under weights `(..., rows)` -> `(...)`; NaN where it is undefined."""
    targets, predictions = _as_float64(kind, targets, predictions)
    if len(targets) == 0 or not np.isfinite(predictions).all():
        return np.full(weights.shape[:-1], np.nan)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return METRICS[kind][name](targets, predictions, weights)


def row_losses(kind: TaskKind, targets: Array, predictions: Array) -> Array:
    """The loss of each row, float64 `(rows,)`: log loss for classes, squared error for numbers."""
    targets, predictions = _as_float64(kind, targets, predictions)
    if kind == "regression":
        with np.errstate(over="ignore"):
            return _array((predictions - targets) ** 2)
    return _log_losses(targets, predictions)


def _as_float64(kind: TaskKind, targets: Array, predictions: Array) -> tuple[Array, Array]:
    target_dtype = np.float64 if kind == "regression" else np.int64
    return np.asarray(targets, dtype=target_dtype), np.asarray(predictions, dtype=np.float64)


def _log_losses(targets: Array, predictions: Array) -> Array:
    given = predictions[np.arange(len(targets)), targets]
    return _array(-np.log(np.clip(given, PROBABILITY_FLOOR, 1.0)))


def _mean(values: Array, weights: Array) -> Array:
    return _array(weights @ values / weights.sum(-1))


def _sum_by_class(weights: Array, classes: Array, num_classes: int) -> Array:
    """Weights `(..., rows)` added up per class -> `(..., num_classes)`; sparse, so many classes stay cheap."""
    rows = np.arange(len(classes))
    membership = sparse.csr_array((np.ones(len(classes)), (classes, rows)), shape=(num_classes, len(classes)))
    return _array((membership @ weights.T).T)


def _array(value: Any) -> Array:
    return np.asarray(value, dtype=np.float64)
