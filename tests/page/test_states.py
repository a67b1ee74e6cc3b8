"""States in memory: as many as fit, some of them from the way to another, and how long that way is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nudgenet
from nudgenet.page import states
from nudgenet.page.opened import OpenedRuns
from nudgenet.page.states import States
from nudgenet.runs.store import Store
from nudgenet.training import recorder

MEGABYTE = 2**20


def of_size(num_bytes: int) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    return {"a": torch.zeros(num_bytes, dtype=torch.uint8)}, {}


@pytest.fixture(scope="module")
def sparse(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A run whose snapshots are those of its begin, its proof and its end, however slow the machine."""
    table = {"a": np.arange(90.0) % 7, "b": np.arange(90.0) % 5, "sum": np.arange(90.0) % 7 + np.arange(90.0) % 5}
    given: dict[str, Any] = {"epochs": 5, "batch_size": 16, "baselines": False, "width": 6}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder, "SNAPSHOT_EVERY_S", 1e9)
        run = nudgenet.train(table, "sum", task="regression", runs=tmp_path_factory.mktemp("sparse"), **given)
    return Store(run.path)


def test_those_that_were_not_used_for_longest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "MOST_BYTES", 5 * MEGABYTE)
    held = States()
    for step in range(5):
        held.keep(step, of_size(MEGABYTE))
    assert held[0][0]["a"].nbytes == MEGABYTE
    held.keep(5, of_size(MEGABYTE))
    assert sorted(held) == [0, 2, 3, 4, 5] and 1 not in held
    held.keep(3, of_size(2 * MEGABYTE))
    assert sorted(held) == [0, 3, 4, 5], "one that is held anew is counted once"
    held.keep(9, of_size(9 * MEGABYTE))
    assert len(list(held)) == states.FEWEST and 9 in held


def test_how_long_the_longest_way_is() -> None:
    held = States()
    assert held.longest_wait([0, 2, 100]) == 0.0, "nobody knows yet"
    held.learn_pace(0, 5.0)
    held.learn_pace(3, 0.001)
    assert held.pace is None, "too short to tell"
    held.learn_pace(50, 5.0)
    assert held.longest_wait([0, 2, 100]) == pytest.approx(0.1 * 97) and held.longest_wait([0]) == 0.0


def test_states_on_the_way_are_those_of_the_training(sparse: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes back into the same gap begins where the way once led past, and finds the same numbers."""
    monkeypatch.setattr(states, "KEEP_EVERY_S", 0.0)
    store = sparse
    begin, end = max(pairwise(store.snapshots.steps()), key=lambda gap: gap[1] - gap[0])
    assert end - begin > 4
    one, other = OpenedRuns(), OpenedRuns()
    one.ask(store, lambda run: run.snapshot(end - 1, "exact"))
    on_the_way = one.ask(store, lambda run: [step for step in run._states if begin < step < end - 1])
    assert on_the_way
    monkeypatch.setattr(states, "KEEP_EVERY_S", 1e9)
    for step in (on_the_way[0], on_the_way[-1]):
        (mine, numbers), at = one.ask(store, lambda run, step=step: run.snapshot(step, "nearest"))
        (theirs, others), _ = other.ask(store, lambda run, step=step: run.snapshot(step, "exact"))
        assert at.exact and at.step == step and mine.keys() == theirs.keys()
        assert all(torch.equal(tensor, theirs[name]) for name, tensor in mine.items())
        assert {**numbers, "seconds": 0} == {**others, "seconds": 0}


def test_the_page_says_how_long_a_step_may_take(sparse: Store, page_over: Callable[[Path], Any]) -> None:
    """At the pace of the training, as long as no step was computed again."""
    found = page_over(sparse.path.parent).get(f"runs/{sparse.path.name}/time")
    begin, proof, end = found["snapshots"]
    assert (begin, proof) == (0, recorder.PROOF)
    pace = sparse.snapshots.load(end)[1]["seconds"] / end
    assert found["wait_s"] == pytest.approx(pace * (end - proof - 1)) and pace > 0
