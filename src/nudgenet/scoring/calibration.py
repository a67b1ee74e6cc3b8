"""Are probabilities to be taken at their word? How far they are from it, and the one number that brings them nearer.

Guo, Pleiss, Sun & Weinberger, "On Calibration of Modern Neural Networks" (ICML 2017): the expected calibration
error, and temperature scaling. The ranking of the classes stays: of a row's classes the same one is the most probable.
"""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

from nudgenet.scoring.answers import scale
from nudgenet.scoring.metrics import Array, row_losses

NUM_BINS = 15  # of equal width, as in the paper
COLDEST, HOTTEST = 0.2, 5.0  # a temperature outside says that something else is wrong
FEWEST_ROWS = 50  # below it, a handful of rows would set the temperature
MOST_CELLS = 2_000_000  # rows x classes that the search looks at: one number needs no more
# A temperature fitted to nothing but noise lowers the loss of the rows that it was fitted to, too: by half a standard
# error, times a standard normal number. So one standard error or more is what noise does in one case of twenty.
NOISE = 1.0


def expected_calibration_error(targets: Array, probabilities: Array, weights: Array | None = None) -> float:
    """How far "90 % sure" is from being right 9 times in 10, on average over rows: 0 is perfect.

    Rows are put into `NUM_BINS` bins of equal width by the probability of their most probable class; in each bin the
    share that is right is held against the mean probability. NaN for no rows.
    """
    if len(targets) == 0:
        return float("nan")
    row_weights = np.ones(len(targets)) if weights is None else np.asarray(weights, dtype=np.float64)
    sure = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == targets
    bins = np.clip(np.ceil(sure * NUM_BINS).astype(np.int64) - 1, 0, NUM_BINS - 1)  # (0, 1/15], (1/15, 2/15] ...
    gaps = np.bincount(bins, weights=row_weights * (is_right - sure), minlength=NUM_BINS)
    return float(np.abs(gaps).sum() / row_weights.sum())


def fit_temperature(targets: Array, probabilities: Array, weights: Array | None = None) -> float:
    """The temperature with the lowest log loss on these (validation) rows; 1 unless it lowers it beyond noise.

    Args:
        targets: int64 `(rows,)`.
        probabilities: of a network or another model, `(rows, classes)`.
        weights: how much each row counts, `(rows,)`; None for equally.

    Returns:
        A temperature between 0.2 and 5: the same rows give the same one.
    """
    num_rows, num_classes = probabilities.shape
    if num_rows < FEWEST_ROWS or not np.isfinite(probabilities).all():
        return 1.0
    row_weights = np.ones(num_rows) if weights is None else np.asarray(weights, dtype=np.float64)
    step = -(-num_rows * num_classes // MOST_CELLS)
    temperature = _lowest_loss(targets[::step], probabilities[::step], row_weights[::step])
    gains = row_losses("multiclass", targets, probabilities)
    gains = gains - row_losses("multiclass", targets, scale(probabilities, temperature))
    return temperature if _is_beyond_noise(gains, row_weights) else 1.0


def _lowest_loss(targets: Array, probabilities: Array, weights: Array) -> float:
    """The loss is convex in 1 / temperature, so its lowest point is where its slope changes sign."""
    logits = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    logits -= logits.max(axis=1, keepdims=True)
    true_logits = logits[np.arange(len(targets)), targets]

    def slope(coldness: float) -> float:
        odds = np.exp(coldness * logits)
        expected = (odds * logits).sum(axis=1) / odds.sum(axis=1)
        return float(weights @ (expected - true_logits))

    if slope(1 / HOTTEST) >= 0:
        return HOTTEST
    if slope(1 / COLDEST) <= 0:
        return COLDEST
    return 1 / float(brentq(slope, 1 / HOTTEST, 1 / COLDEST, xtol=1e-6))


def _is_beyond_noise(gains: Array, weights: Array) -> bool:
    """Whether the mean gain over rows is more than `NOISE` of its standard errors."""
    mean = weights @ gains / weights.sum()
    error = np.sqrt((weights**2) @ (gains - mean) ** 2) / weights.sum()
    return bool(mean > NOISE * error)
