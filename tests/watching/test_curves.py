"""Curves: the best epoch, the overfit region, and small drawings of them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nudgenet.records import Epoch
from nudgenet.watching.curves import BLOCKS, best_epoch, overfit_since, sparkline, thin, wiggle

any_float = st.floats(allow_nan=True, allow_infinity=True)


def make_epochs(train: list[float], validation: list[float], se: float = 0.01) -> list[Epoch]:
    return [
        Epoch(i + 1, (i + 1) * 10, t, v, se, se, learning_rate=1e-3, gradient_norm=1.0, seconds=float(i))
        for i, (t, v) in enumerate(zip(train, validation, strict=True))
    ]


def test_best_epoch_is_the_first_of_the_lowest_finite_losses() -> None:
    epochs = make_epochs([1.0] * 5, [math.nan, 0.5, 0.3, 0.3, -math.inf])
    best = best_epoch(epochs)
    assert best is not None
    assert best.epoch == 3
    assert best_epoch([]) is None
    assert best_epoch(make_epochs([1.0], [math.nan])) is None


def test_overfit_region_starts_where_validation_has_clearly_risen() -> None:
    train = [1 / (1 + i) for i in range(20)]
    validation = [0.5 + 0.01 * abs(i - 9) for i in range(20)]  # best at epoch 10
    assert overfit_since(make_epochs(train, validation, se=0.05)) == 13  # margin: half of 0.05


def test_no_overfit_region_without_a_rise_or_without_falling_training_loss() -> None:
    falling = [1 / (1 + i) for i in range(20)]
    rising_late = [0.5 + 0.01 * abs(i - 9) for i in range(20)]
    assert overfit_since(make_epochs(falling, falling)) is None
    assert overfit_since(make_epochs([0.4] * 20, rising_late)) is None  # both got worse: not overfitting
    assert overfit_since(make_epochs(falling, rising_late, se=0.5)) is None  # within the noise
    assert overfit_since([]) is None


def test_wiggle_is_the_noise_beside_the_trend() -> None:
    noise = np.random.default_rng(0).normal(scale=0.1, size=2000)
    trend = np.linspace(5, 1, 2000)
    assert wiggle(list(trend + noise)) == pytest.approx(0.1, rel=0.1)
    assert wiggle(list(trend)) == pytest.approx(0, abs=1e-9)
    assert wiggle([3.0, 1.0, 2.0]) == 0


def test_sparkline_shows_shape_and_gaps() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == BLOCKS
    assert sparkline([1.0, math.nan, 0.0]) == "█ ▁"
    assert sparkline([2.0, 2.0]) == "▁▁"
    assert sparkline([]) == ""
    assert sparkline([math.nan]) == " "
    spike = [0.0] * 500 + [1.0] + [0.0] * 500
    assert "█" in sparkline(spike, width=20)


@given(st.lists(any_float, max_size=200), st.integers(0, 40))
def test_sparkline_never_crashes_nor_overflows_its_width(values: list[float], width: int) -> None:
    line = sparkline(values, width)
    assert len(line) <= width
    assert set(line) <= set(BLOCKS + " ")


@given(st.lists(any_float, max_size=300), st.integers(0, 50))
def test_thin_keeps_order_limit_ends_and_extremes(values: list[float], limit: int) -> None:
    points = [(float(x), y) for x, y in enumerate(values)]
    kept = thin(points, limit)
    xs = [x for x, _ in kept]
    assert len(kept) <= limit
    assert xs == sorted(set(xs))
    if limit >= 2 and points:
        assert xs[0] == 0
        assert xs[-1] == len(points) - 1
    finite = [y for y in values if math.isfinite(y)]
    if limit >= 4 and finite:
        kept_finite = [y for _, y in kept if math.isfinite(y)]
        assert (min(kept_finite), max(kept_finite)) == (min(finite), max(finite))
