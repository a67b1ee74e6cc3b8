"""Seconds, on every commit: the whole road with the smallest of everything."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

import nudgenet

pytestmark = pytest.mark.filterwarnings("ignore::nudgenet.errors.DataWarning")


def test_a_rule_is_learned_and_tested(tmp_path: Path) -> None:
    """Inside or outside of a circle: no linear model can, a network must."""
    random = np.random.default_rng(0)
    points = random.uniform(-1, 1, size=(600, 2))
    inside = np.where((points**2).sum(axis=1) < 0.6, "in", "out")
    run = nudgenet.train((points, inside), runs=tmp_path, epochs=60, learning_rate=1e-2, baselines=False, patience=60)
    assert run.metrics["test"]["accuracy"] > 0.9
    assert run.predict(np.array([[0.0, 0.0], [0.95, 0.95]])).tolist() == ["in", "out"]
    assert run.verdict.state in ("good_fit", "overfitting")
    assert nudgenet.load(run.path).metrics == run.metrics


def test_a_few_rows_can_be_learned_by_heart(tmp_path: Path) -> None:
    """If a network cannot overfit twenty rows, something between the loss and the weights is broken."""
    random = np.random.default_rng(0)
    rows, noise = random.normal(size=(30, 5)), random.normal(size=30)
    settings = {"dropout": 0, "weight_decay": 0, "width": 64, "layers": 2, "network": "mlp", "schedule": "constant"}
    run = nudgenet.train(
        (rows, noise), runs=tmp_path, epochs=150, patience=150, learning_rate=1e-2, baselines=False, **settings
    )
    assert run.epochs[0].train_loss > 0.1
    assert min(epoch.train_loss for epoch in run.epochs) < 0.01
    assert run.verdict.state != "good_fit", "noise cannot be learned"


def test_the_first_loss_is_that_of_guessing(tmp_path: Path) -> None:
    """An untrained network knows nothing: about ln 3 nats for three equally frequent classes."""
    random = np.random.default_rng(0)
    table = {"x": random.normal(size=300), "y": np.array(["a", "b", "c"] * 100)}
    run = nudgenet.train(table, "y", runs=tmp_path, epochs=1, learning_rate=1e-6, baselines=False)
    assert run.epochs[0].train_loss == pytest.approx(math.log(3), abs=0.15)
