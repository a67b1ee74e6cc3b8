"""From which probability on "yes" is the better answer: chosen on validation rows, for the metric that counts."""

from __future__ import annotations

import numpy as np

from nudgenet.records import TaskKind
from nudgenet.scoring.answers import HALF
from nudgenet.scoring.intervals import interval_of, resample_counts
from nudgenet.scoring.metrics import Array, weighted_metric

FEWEST_ROWS = 50  # below it, a row or two would set the threshold
NUM_RESAMPLES = 400  # to tell a gain from noise; no interval is shown


def choose_threshold(
    kind: TaskKind, metric: str, targets: Array, probabilities: Array, *, seed: int, weights: Array | None = None
) -> float:
    """The threshold with the best F1 on these (validation) rows; 0.5 unless it is better beyond noise.

    Only a yes/no task that F1 counts in has one to choose: probabilities that can be taken at their word give
    the best accuracy at 0.5, and no other metric looks at the answers.

    Args:
        targets, probabilities, weights: of the validation rows, as `score` takes them.
        seed: of the bootstrap; the same seed gives the same threshold.
    """
    if kind != "binary" or metric != "f1" or len(targets) < FEWEST_ROWS or not np.isfinite(probabilities).all():
        return HALF
    row_weights = np.ones(len(targets)) if weights is None else np.asarray(weights, dtype=np.float64)
    best = _best_f1(targets == 1, probabilities[:, 1], row_weights)
    gains = []
    for counts in resample_counts(len(targets), seed=seed, num_resamples=NUM_RESAMPLES):
        drawn = counts * row_weights
        chosen, plain = (weighted_metric(kind, metric, targets, probabilities, drawn, at) for at in (best, HALF))
        gains.append(chosen - plain)
    interval = interval_of(np.concatenate(gains))
    return best if interval is not None and interval.low > 0 else HALF


def _best_f1(is_positive: Array, probabilities: Array, weights: Array) -> float:
    """Between which two neighbouring probabilities F1 is highest; of equals the one nearest to 0.5."""
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    ends = np.flatnonzero(np.diff(ranked))  # a threshold can only stand between two different probabilities
    if len(ends) == 0:
        return HALF
    predicted = np.cumsum(weights[order])[ends]
    hits = np.cumsum((weights * is_positive)[order])[ends]
    f1 = 2 * hits / (predicted + weights[is_positive].sum())
    thresholds = (ranked[ends] + ranked[ends + 1]) / 2
    best = np.flatnonzero(f1 == f1.max())
    return float(thresholds[best[np.abs(thresholds[best] - HALF).argmin()]])
