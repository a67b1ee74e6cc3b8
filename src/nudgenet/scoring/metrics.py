"""Scores: how good predictions are, as numbers that a person can compare.

Every metric is a function of `(targets, predictions, weights)` in which the weights may carry leading
dimensions: `(rows,)` for one score, `(resamples, rows)` for a whole bootstrap at once. So an interval is
computed by the very function that computes the score.

Shapes, for the whole of `scoring`: classification targets are int64 `(rows,)` class indices and predictions
float `(rows, num_classes)` probabilities (a yes/no answer has two columns, too); regression targets and
predictions are float `(rows,)` in the user's unit. The metrics in `DECIDED` judge the classes that are answered,
int64 `(rows,)`: `weighted_metric` makes them of the probabilities, with the threshold that it is handed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from nudgenet.errors import SettingError, did_you_mean
from nudgenet.records import Decision, Label, TaskKind
from nudgenet.scoring.answers import HALF, decide

Array = npt.NDArray[Any]
MetricFunction = Callable[[Array, Array, Array], Array]

PROBABILITY_FLOOR = 1e-7  # one confidently wrong row costs 16 nats, not infinity
UNSEEN_ROWS = 0.5  # that a class without training rows counts as: no honest answer calls impossible what it never met
RARE = 0.1  # with a smaller share of yes (or no) than this, always answering the other one looks good
MOST_RANKED_CLASSES = 50  # each class is ranked on its own: with more, the AUC would take longer than the epoch


def accuracy(targets: Array, decided: Array, weights: Array) -> Array:
    """Share of the rows whose answer is the true class."""
    return _mean(decided == targets, weights)


def binary_auc(targets: Array, predictions: Array, weights: Array) -> Array:
    """Area under the ROC curve: how often a positive row is ranked above a negative one (ties count half)."""
    return _area(targets == 1, predictions[:, 1], weights)


def macro_auc(targets: Array, predictions: Array, weights: Array) -> Array:
    """The area of each class that occurs, ranked against all others, averaged with equal say.

    As `roc_auc_score(multi_class="ovr", average="macro")` of scikit-learn, which wants every class to occur.
    Undefined (NaN) with more than `MOST_RANKED_CLASSES`.
    """
    num_classes = predictions.shape[1]
    if num_classes > MOST_RANKED_CLASSES:
        return np.full(weights.shape[:-1], np.nan)
    total, count = np.zeros(weights.shape[:-1]), np.zeros(weights.shape[:-1])
    for index in np.unique(targets):
        area = _area(targets == index, predictions[:, index], weights)
        total += np.nan_to_num(area)
        count += np.isfinite(area)
    return _array(total / count)


def binary_f1(targets: Array, decided: Array, weights: Array) -> Array:
    """Harmonic mean of precision and recall of the positive class (index 1)."""
    predicted, actual = decided == 1, targets == 1
    return _array(2 * (weights @ (predicted & actual)) / (weights @ predicted + weights @ actual))


def macro_f1(targets: Array, decided: Array, weights: Array) -> Array:
    """F1 of each class that occurs in the targets or the answers, averaged with equal say."""
    num_classes = int(max(targets.max(), decided.max())) + 1
    hits = _sum_by_class(weights * (decided == targets), targets, num_classes)
    seen = _sum_by_class(weights, targets, num_classes) + _sum_by_class(weights, decided, num_classes)
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
    "binary": {"accuracy": accuracy, "auc": binary_auc, "f1": binary_f1, "log_loss": log_loss},
    "multiclass": {"accuracy": accuracy, "auc": macro_auc, "f1": macro_f1, "log_loss": log_loss},
    "regression": {"rmse": rmse, "mae": mae, "r2": r2},
}
LOWER_IS_BETTER: frozenset[str] = frozenset({"log_loss", "rmse", "mae"})
DECIDED: frozenset[str] = frozenset({"accuracy", "f1"})  # of the classes that are answered, not of their probabilities


def primary_metric(kind: TaskKind) -> str:
    """The metric a person is told first, unless one is set: `accuracy` for classes, `rmse` for numbers.

    Chosen because they need no explanation: "92 of 100 rows right", "off by 31,000 dollars". Accuracy flatters
    on imbalanced classes: see `choose_metric`.
    """
    return "rmse" if kind == "regression" else "accuracy"


def choose_metric(
    kind: TaskKind, wanted: str | None, targets: Array, classes: Sequence[Label]
) -> tuple[str, list[Decision]]:
    """The metric that counts: the one that was set, or the task's own; F1 where one of two classes is rare.

    F1 judges the second class. If it is the first that is rare, F1 would hide as much as accuracy does: then AUC
    counts, which takes both classes alike.

    Args:
        wanted: the setting `metric`.
        targets: of the training rows, as `score` takes them.
        classes: the labels by index; empty for a regression.

    Raises:
        SettingError: there is no such metric, or it does not fit the task.
    """
    fitting = [name for name in METRICS[kind] if name != "auc" or len(classes) <= MOST_RANKED_CLASSES]
    if wanted is not None and wanted not in fitting:
        known = {name for table in METRICS.values() for name in table}
        if wanted not in known:
            raise SettingError(f"There is no metric `{wanted}`", fix=did_you_mean(wanted, sorted(known)))
        several = f" with {len(classes)} classes" if kind == "multiclass" else ""
        raise SettingError(
            f"The metric `{wanted}` does not fit a {kind} task{several}", fix=f"Use one of: {', '.join(fitting)}."
        )
    name, why = wanted or primary_metric(kind), "as set" if wanted else _USUAL[kind]
    counts = np.bincount(targets, minlength=2) if kind == "binary" else np.zeros(0)
    if wanted is None and kind == "binary" and counts.min() < RARE * counts.sum():
        rare = int(counts.argmin())
        share = f"only {counts[rare]:,} of {counts.sum():,} training rows are `{classes[rare]}`, so accuracy"
        name = "f1" if rare == 1 else "auc"
        why = f"{share} would hide them" + ("" if rare == 1 else f", and so would F1, which judges `{classes[1]}`")
    if kind == "regression" and name == "mae":
        why += (
            "; so the loss is Huber's, in which large errors count no more than they do here, unless `objective` is set"
        )
    others = [other for other in fitting if other != name]
    return name, [Decision("metric that counts", name, why, ", ".join(f"--set metric={other}" for other in others))]


_USUAL: dict[TaskKind, str] = {
    "binary": "the share of rows that are right needs no explanation, and no class is rare",
    "multiclass": "the share of rows that are right needs no explanation",
    "regression": "the typical error, in the target's unit, large ones counting more",
}


def score(
    kind: TaskKind,
    targets: Array,
    predictions: Array,
    weights: Array | None = None,
    threshold: float = HALF,
) -> dict[str, float]:
    """Every metric of the task that is defined on these rows.

    Undefined ones (AUC with one class present, R2 of a constant target, anything over no rows or over
    predictions that are not finite) are left out: the values are always finite.

    Args:
        targets: int64 `(rows,)` class indices, or float `(rows,)`.
        predictions: probabilities `(rows, num_classes)`, or float `(rows,)`.
        weights: how much each row counts, `(rows,)`; None for equally.
        threshold: of a yes/no answer; see `decide`.
    """
    row_weights = np.ones(len(targets)) if weights is None else np.asarray(weights, dtype=np.float64)
    values = {name: weighted_metric(kind, name, targets, predictions, row_weights, threshold) for name in METRICS[kind]}
    return {name: float(value) for name, value in values.items() if np.isfinite(value)}


def weighted_metric(
    kind: TaskKind, name: str, targets: Array, predictions: Array, weights: Array, threshold: float = HALF
) -> Array:
    """One metric under weights `(..., rows)` -> `(...)`; NaN where it is undefined."""
    targets, predictions = _as_float64(kind, targets, predictions)
    if len(targets) == 0 or not np.isfinite(predictions).all():
        return np.full(weights.shape[:-1], np.nan)
    judged = decide(predictions, threshold) if name in DECIDED else predictions
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return METRICS[kind][name](targets, judged, weights)


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


def _area(is_positive: Array, scores: Array, weights: Array) -> Array:
    """How often a positive row is ranked above another one, ties counting half, under weights `(..., rows)`."""
    others = np.flatnonzero(~is_positive)
    others = others[np.argsort(scores[others], kind="stable")]
    up_to = np.zeros((*weights.shape[:-1], len(others) + 1))  # the weight of so many of the others, lowest first
    np.cumsum(weights[..., others], axis=-1, out=up_to[..., 1:])
    first = np.searchsorted(scores[others], scores[is_positive], side="left")
    last = np.searchsorted(scores[others], scores[is_positive], side="right")
    below = up_to[..., first]
    if (first != last).any():
        below = (below + up_to[..., last]) / 2
    positive = weights[..., is_positive]
    return _array((positive * below).sum(-1) / (positive.sum(-1) * up_to[..., -1]))


def _mean(values: Array, weights: Array) -> Array:
    return _array(weights @ values / weights.sum(-1))


def _sum_by_class(weights: Array, classes: Array, num_classes: int) -> Array:
    """Weights `(..., rows)` added up per class -> `(..., num_classes)`; sparse, so many classes stay cheap."""
    rows = np.arange(len(classes))
    membership = sparse.csr_array((np.ones(len(classes)), (classes, rows)), shape=(num_classes, len(classes)))
    return _array((membership @ weights.T).T)


def _array(value: Any) -> Array:
    return np.asarray(value, dtype=np.float64)
