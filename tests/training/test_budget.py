"""A time limit shortens the plan, so that the schedule reaches its end, and touches nothing else."""

from __future__ import annotations

import pytest
import torch

from conftest import make_prepared
from nudgenet.networks.mlp import MLP
from nudgenet.settings import Settings
from nudgenet.training import budget
from nudgenet.training.budget import keep_to_time, probe
from nudgenet.training.loop import fit
from nudgenet.training.objectives import make_objective
from nudgenet.training.place import Place, working_at
from nudgenet.training.plan import make_plan
from nudgenet.training.state import State, pack, start

HERE = Place(1)


def fresh() -> tuple[State, object]:
    data = make_prepared()
    network = MLP(data.shape, num_layers=1, width=8, dropout=0.1)
    objective = make_objective("binary", data.train, 2, Settings())
    return start(network, objective, make_plan(Settings(), data.shape)[0]), data


def test_the_plan_is_shortened_to_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    with working_at(HERE):
        state, data = fresh()
        planned = state.plan
        monkeypatch.setattr(budget, "probe", lambda *arguments: (0.010, 0.02))
        decisions = keep_to_time(state, data, 2.0)
        expected = int(0.9 * 2.0 / (planned.steps_per_epoch * 0.010 + 0.02))
        assert 1 < state.plan.epochs == expected < planned.epochs
        assert decisions[0].chosen == f"{expected} epochs instead of {planned.epochs}"
        epochs = list(fit(state, data))
    assert len(epochs) == expected
    assert epochs[-1].learning_rate < 0.1 * planned.learning_rate  # the schedule reached its end


def test_enough_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with working_at(HERE):
        state, data = fresh()
        planned = state.plan
        monkeypatch.setattr(budget, "probe", lambda *arguments: (1e-6, 1e-6))
        assert keep_to_time(state, data, 60.0) == [] and state.plan is planned
        monkeypatch.setattr(budget, "probe", lambda *arguments: (100.0, 100.0))
        keep_to_time(state, data, 1.0)
        assert state.plan.epochs == 1


def test_the_probe_leaves_the_state_alone() -> None:
    with working_at(HERE):
        state, data = fresh()
        before = {name: tensor.clone() for name, tensor in pack(state)[0].items()}
        step_s, epoch_end_s = probe(state, data, 0.01)
        after, _ = pack(state)
    assert step_s > 0 and epoch_end_s > 0
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
