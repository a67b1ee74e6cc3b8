"""Calibration: the error against a plain count, the temperature against a grid, and noise left alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.metrics import log_loss

from nudgenet.scoring.answers import scale
from nudgenet.scoring.calibration import COLDEST, HOTTEST, PRIOR_SPREAD, expected_calibration_error, fit_temperature


def drawn(num_rows: int, sharpness: float, *, num_classes: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Targets drawn from probabilities, and the same probabilities with their logits multiplied by `sharpness`."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=(num_rows, num_classes)) * 2
    targets = (softmax(logits, axis=1).cumsum(axis=1) < random.random((num_rows, 1))).sum(axis=1)
    return np.minimum(targets, num_classes - 1), softmax(sharpness * logits, axis=1)


@pytest.mark.parametrize("num_classes", [2, 5])
def test_the_error_equals_a_plain_count(num_classes: int) -> None:
    targets, probabilities = drawn(500, 2.0, num_classes=num_classes)
    weights = np.random.default_rng(1).random(500)
    expected = 0.0
    for number in range(15):
        sure = probabilities.max(axis=1)
        inside = (sure > number / 15) & (sure <= (number + 1) / 15)
        if inside.any():
            right = probabilities[inside].argmax(axis=1) == targets[inside]
            gap = np.average(right, weights=weights[inside]) - np.average(sure[inside], weights=weights[inside])
            expected += abs(gap) * weights[inside].sum() / weights.sum()
    assert expected_calibration_error(targets, probabilities, weights) == pytest.approx(expected)


def test_the_error_at_the_ends() -> None:
    sure = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert expected_calibration_error(np.array([1, 0]), sure) == 0
    assert expected_calibration_error(np.array([0, 1]), sure) == 1
    assert math.isnan(expected_calibration_error(np.zeros(0, int), np.zeros((0, 2))))


@pytest.mark.parametrize("sharpness", [0.5, 1.5, 3.0])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_temperature_is_the_most_likely_one(sharpness: float, weighted: bool) -> None:
    targets, probabilities = drawn(2000, sharpness)
    weights = np.random.default_rng(1).random(2000) if weighted else None
    temperature = fit_temperature(targets, probabilities, weights)
    assert temperature == pytest.approx(sharpness, rel=0.15)  # the logits were multiplied by it
    num_rows = 2000 if weights is None else weights.sum() ** 2 / (weights**2).sum()

    def penalised(log_temperature: float) -> float:
        scaled = scale(probabilities, math.exp(log_temperature))
        return num_rows * log_loss(targets, scaled, sample_weight=weights) + (log_temperature / PRIOR_SPREAD) ** 2 / 2

    expected = minimize_scalar(penalised, bounds=(-1.6, 1.6), method="bounded", options={"xatol": 1e-8}).x
    assert temperature == pytest.approx(math.exp(expected), rel=1e-4)
    after = expected_calibration_error(targets, scale(probabilities, temperature), weights)
    assert after < expected_calibration_error(targets, probabilities, weights)
    assert fit_temperature(targets, probabilities, weights) == temperature


def test_rows_of_weight_zero_do_not_count() -> None:
    targets, probabilities = drawn(800, 2.0)
    other_targets, other = drawn(800, 0.3, seed=5)
    weights = np.repeat([1.0, 0.0], 800)
    together = fit_temperature(np.r_[targets, other_targets], np.r_[probabilities, other], weights)
    assert together == pytest.approx(fit_temperature(targets, probabilities), rel=1e-6)


def test_few_rows_move_it_little_and_hardly_ever_towards_more_certainty() -> None:
    found = np.array([fit_temperature(*drawn(60, 1.0, seed=seed)) for seed in range(50)])
    assert 1.05 < found.max() < 1.3
    assert (found < 1).sum() <= 2


def test_more_certainty_needs_mistakes_that_tell_how_much() -> None:
    targets, probabilities = drawn(400, 0.5)
    assert fit_temperature(targets, probabilities) < 0.8
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != targets)
    kept = np.setdiff1d(np.arange(400), wrong[9:])
    assert fit_temperature(targets[kept], probabilities[kept]) == 1


def test_too_few_rows_or_no_numbers_are_left_alone() -> None:
    targets, probabilities = drawn(49, 4.0)
    assert fit_temperature(targets, probabilities) == 1
    targets, probabilities = drawn(200, 4.0)
    probabilities[3, 0] = np.nan
    assert fit_temperature(targets, probabilities) == 1


def test_the_temperature_is_bounded() -> None:
    assert fit_temperature(*drawn(4000, 50.0)) == HOTTEST
    assert fit_temperature(*drawn(8000, 0.05)) == COLDEST


def test_many_rows_are_thinned_for_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    targets, probabilities = drawn(6000, 2.0)
    whole = fit_temperature(targets, probabilities)
    monkeypatch.setattr("nudgenet.scoring.calibration.MOST_CELLS", 6000)
    thinned = fit_temperature(targets, probabilities)
    assert thinned != whole
    assert thinned == pytest.approx(whole, rel=0.1)
