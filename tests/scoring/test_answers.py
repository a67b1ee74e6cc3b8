"""From probabilities to what is told: against the softmax of the logits, and the plain rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from nudgenet.scoring.answers import AnswerRule, decide, scale


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 6), st.floats(0.2, 5), st.floats(0.1, 50))
def test_scaling_probabilities_is_scaling_logits(
    seed: int, num_classes: int, temperature: float, spread: float
) -> None:
    logits = np.random.default_rng(seed).normal(size=(20, num_classes)) * spread
    scaled = scale(softmax(logits, axis=1), temperature)
    np.testing.assert_allclose(scaled, softmax(logits / temperature, axis=1), rtol=1e-9, atol=1e-12)


def test_certainty_stays_a_probability() -> None:
    for temperature in (0.2, 5.0):
        scaled = scale(np.array([[0.0, 1.0], [1e-300, 1.0], [0.5, 0.5]]), temperature)
        assert np.isfinite(scaled).all()
        np.testing.assert_allclose(scaled.sum(axis=1), 1)
        assert scaled[2].tolist() == [0.5, 0.5]


def test_a_temperature_of_one_changes_no_bit() -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(3), 10)
    assert AnswerRule().scale(probabilities) is probabilities


def test_what_is_answered() -> None:
    probabilities = np.array([[0.7, 0.3], [0.5, 0.5], [0.2, 0.8]])
    assert AnswerRule().decide(probabilities).tolist() == [0, 0, 1]
    assert AnswerRule(threshold=0.25).decide(probabilities).tolist() == [1, 1, 1]
    assert AnswerRule(threshold=0.8).decide(probabilities).tolist() == [0, 0, 0]  # above it, not at it
    assert decide(np.array([[0.3, 0.3, 0.4]]), 0.9).tolist() == [2]  # several classes have no threshold
    assert decide(probabilities, 0.25).dtype == np.int64 == decide(probabilities).dtype


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_scaling_keeps_the_order_of_the_classes(temperature: float) -> None:
    probabilities = np.random.default_rng(1).dirichlet(np.ones(5), 50)
    scaled = scale(probabilities, temperature)
    assert (scaled.argsort(axis=1) == probabilities.argsort(axis=1)).all()
