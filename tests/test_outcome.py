"""What the verdict is told of a run, and what is said of its rivals."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import nudgenet
from conftest import FILLING, KIND, UNKIND
from nudgenet import outcome
from nudgenet.observer import Silent
from nudgenet.pipeline import reopen
from nudgenet.records import Verdict
from nudgenet.report.card import repr_html
from nudgenet.terminal import print_run
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
    alike = outcome.shares_of(np.array([0, 1]), np.array([1, 1]))
    assert alike["chance_auc_error"] is None and str(alike["constant_loss"]) == "0.0"


def test_a_rival_that_never_saw_the_texts_is_called_so_wherever_it_is_named(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    with (tmp_path / "films.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["length", "review", "liked"])
        for index in range(120):
            words = [*random.choice(FILLING, 9), *random.choice(KIND if index % 2 else UNKIND, 2)]
            writer.writerow([round(random.normal(100, 10), 1), " ".join(random.permutation(words)), "yn"[index % 2]])
    run = nudgenet.train(
        tmp_path / "films.csv", "liked", runs=tmp_path, observer=Silent(), epochs=2, width=8, threads=1
    )
    assert run.summary["baseline_notes"] == {"boosting": "without the texts"}
    screen = Console(file=io.StringIO(), width=160)
    print_run(run.summary, run.epochs, screen, run.comparisons)
    assert isinstance(screen.file, io.StringIO)
    for text in (screen.file.getvalue(), run.report.read_text(), repr_html(run.summary, run.epochs)):
        assert text.count("gradient boosting") == text.count("gradient boosting (without the texts)") > 0
        assert "a linear model (" not in text
