"""The threshold: the best F1 of all, only for F1 of yes/no answers, and only beyond noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import f1_score

from nudgenet.scoring.answers import decide
from nudgenet.scoring.threshold import _best_f1, choose_threshold


def rare(num_rows: int, *, seed: int = 0, share: float = 0.08) -> tuple[np.ndarray, np.ndarray]:
    """Rows of which few are positive, and their true probabilities: most are below a half."""
    random = np.random.default_rng(seed)
    logits = random.normal(size=num_rows) * 1.5 + np.log(share / (1 - share))
    positive = 1 / (1 + np.exp(-logits))
    return (random.random(num_rows) < positive).astype(int), np.column_stack([1 - positive, positive])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("ties", [False, True])
def test_no_other_threshold_is_better(seed: int, ties: bool) -> None:
    targets, probabilities = rare(200, seed=seed)
    if ties:
        probabilities = np.round(probabilities, 1)
    weights = np.random.default_rng(seed).random(200)
    best = _best_f1(targets == 1, probabilities[:, 1], weights)

    def f1(threshold: float) -> float:
        return float(f1_score(targets, decide(probabilities, threshold), sample_weight=weights))

    assert f1(best) == pytest.approx(max(f1(threshold) for threshold in np.linspace(0.001, 0.999, 999)))


def test_a_gain_beyond_noise_is_taken() -> None:
    targets, probabilities = rare(2000)
    threshold = choose_threshold("binary", "f1", targets, probabilities, seed=0)
    assert 0.1 < threshold < 0.45
    assert threshold == choose_threshold("binary", "f1", targets, probabilities, seed=0)
    new_targets, new = rare(5000, seed=1)
    assert f1_score(new_targets, decide(new, threshold)) > f1_score(new_targets, decide(new)) + 0.05


def test_noise_is_left_alone() -> None:
    taken = 0
    for seed in range(40):
        random = np.random.default_rng(seed)
        positive = random.beta(0.3, 0.3, 200)  # mostly sure: where the threshold stands hardly matters
        targets = (random.random(200) < positive).astype(int)
        taken += choose_threshold("binary", "f1", targets, np.column_stack([1 - positive, positive]), seed=0) != 0.5
    assert taken <= 6


@pytest.mark.parametrize(("kind", "metric"), [("binary", "accuracy"), ("binary", "log_loss"), ("multiclass", "f1")])
def test_only_f1_of_yes_or_no_has_a_threshold(kind: Any, metric: str) -> None:
    assert choose_threshold(kind, metric, *rare(2000), seed=0) == 0.5


def test_what_cannot_be_chosen_from_is_left_alone() -> None:
    targets, probabilities = rare(49)
    assert choose_threshold("binary", "f1", targets, probabilities, seed=0) == 0.5
    same = np.tile([0.9, 0.1], (100, 1))
    assert choose_threshold("binary", "f1", np.arange(100) % 2, same, seed=0) == 0.5
    assert choose_threshold("binary", "f1", np.zeros(100, int), rare(100)[1], seed=0) == 0.5
    assert choose_threshold("binary", "f1", np.zeros(100, int), np.full((100, 2), np.nan), seed=0) == 0.5


def test_rows_of_weight_zero_do_not_count() -> None:
    targets, probabilities = rare(2000)
    weights = np.repeat([1.0, 0.0], 1000)
    threshold = choose_threshold("binary", "f1", targets, probabilities, seed=0, weights=weights)
    part = _best_f1(targets[:1000] == 1, probabilities[:1000, 1], np.ones(1000))
    assert f1_score(targets[:1000], decide(probabilities[:1000], threshold)) == pytest.approx(
        f1_score(targets[:1000], decide(probabilities[:1000], part))
    )
