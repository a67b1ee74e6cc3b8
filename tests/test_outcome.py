"""What the verdict is told of a run, and what is said of its rivals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nudgenet
from nudgenet import outcome
from nudgenet.pipeline import reopen
from nudgenet.records import Verdict
from nudgenet.watching.verdict import verdict


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `verdict` is called with."""
    calls: list[dict[str, Any]] = []

    def heard(*given: Any, **named: Any) -> Verdict:
        calls.append(named)
        return verdict(*given, **named)

    monkeypatch.setattr(outcome, "verdict", heard)
    return calls


def test_early_stopping_stopped_nothing_in_the_last_planned_epoch(
    quick_runs: dict[str, Path], told: list[dict[str, Any]]
) -> None:
    run = nudgenet.load(quick_runs["binary"])
    table, state = reopen(run)
    targets = outcome.true_values(table, table.prepared.validation)
    state.stopping.waited = state.stopping.patience
    for epoch, is_stopped in ((state.plan.epochs, False), (state.plan.epochs - 1, True)):
        state.epoch = epoch
        outcome.judge(run.epochs, table, state, run.settings, [], targets)
        assert told[-1]["stopped_early"] is is_stopped
    assert told[-1]["num_unseen"] == 0 and 0.5 <= told[-1]["constant_accuracy"] < 1


def test_shares_of_the_validation_rows() -> None:
    found = outcome.shares_of(np.array([0, 0, 1]), np.array([0, 1, 2, 2]))
    assert found["constant_loss"] == pytest.approx(1.5 * np.log(2))
    assert (found["constant_accuracy"], found["num_unseen"]) == (0.5, 2)
    expected = np.mean([np.sqrt(5 / (12 * 1 * 3)), np.sqrt(5 / (12 * 1 * 3)), np.sqrt(5 / (12 * 2 * 2))])
    assert found["chance_auc_error"] == pytest.approx(expected)
    assert outcome.shares_of(np.array([0, 1]), np.array([1, 1]))["chance_auc_error"] is None
