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
# Early stopping and weight decay keep a network's temperature near 1, and few rows tell it badly: so it is held there
# by a normal prior on its logarithm. It did better on test rows than a fit that is taken or left: benchmarks/LOG.md.
PRIOR_SPREAD = 0.2
# The validation rows chose the epoch that suits them best, so they call for more certainty than other rows do: that
# is granted only far beyond noise (in standard errors), and if there are mistakes that tell how sure one may be.
SURER_BEYOND = 2.0
FEWEST_MISTAKES = 10


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
    """The temperature for these (validation) rows: the lowest log loss, held near 1 as far as rows are few.

    It stays 1 where it would not lower their loss, and where more certainty is not called for beyond doubt.

    Args:
        targets: int64 `(rows,)`.
        probabilities: of a network, `(rows, classes)`.
        weights: how much each row counts, `(rows,)`; None for equally.

    Returns:
        A temperature between 0.2 and 5: the same rows give the same one.
    """
    num_rows, num_classes = probabilities.shape
    if num_rows < FEWEST_ROWS or not np.isfinite(probabilities).all():
        return 1.0
    row_weights = np.ones(num_rows) if weights is None else np.asarray(weights, dtype=np.float64)
    row_weights = row_weights * row_weights.sum() / (row_weights @ row_weights)  # they add up to Kish's number of rows
    step = -(-num_rows * num_classes // MOST_CELLS)
    temperature = _most_likely(targets[::step], probabilities[::step], row_weights[::step])
    gains = row_losses("multiclass", targets, probabilities)
    gains = gains - row_losses("multiclass", targets, scale(probabilities, temperature))
    num_mistakes = int((probabilities.argmax(axis=1) != targets)[row_weights > 0].sum())
    needed = 0.0 if temperature > 1 else SURER_BEYOND if num_mistakes >= FEWEST_MISTAKES else np.inf
    return temperature if _standard_errors(gains, row_weights) > needed else 1.0


def _most_likely(targets: Array, probabilities: Array, weights: Array) -> float:
    """Where the sum of the log losses and of the prior has slope zero, over the logarithm of 1 / temperature."""
    logits = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    logits -= logits.max(axis=1, keepdims=True)
    true_logits = logits[np.arange(len(targets)), targets]

    def slope(log_coldness: float) -> float:
        coldness = np.exp(log_coldness)
        odds = np.exp(coldness * logits)
        expected = (odds * logits).sum(axis=1) / odds.sum(axis=1)
        return float(coldness * (weights @ (expected - true_logits)) + log_coldness / PRIOR_SPREAD**2)

    low, high = -np.log(HOTTEST), -np.log(COLDEST)
    if slope(low) >= 0:
        return HOTTEST
    if slope(high) <= 0:
        return COLDEST
    return float(np.exp(-brentq(slope, low, high, xtol=1e-9)))


def _standard_errors(gains: Array, weights: Array) -> float:
    """The mean gain over rows in its standard errors: how far it is beyond noise."""
    mean = weights @ gains / weights.sum()
    error = np.sqrt((weights**2) @ (gains - mean) ** 2) / weights.sum()
    return float(mean / error) if error > 0 else 0.0
