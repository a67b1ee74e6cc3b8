"""A time limit shortens the plan, so that the schedule reaches its end, and touches nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from conftest import make_prepared
from nudgenet.networks.capacity import Capacity
from nudgenet.networks.mlp import MLP
from nudgenet.records import ImageShape
from nudgenet.settings import Settings
from nudgenet.training import budget
from nudgenet.training.budget import (
    affordable,
    choose_larger_batch,
    fit_to_time,
    keep_to_time,
    probe,
    time_for_training,
)
from nudgenet.training.loop import fit, rows_judged
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
        decisions = keep_to_time(state, data, 2.0, Settings())
        expected = int(0.95 * 2.0 / (planned.steps_per_epoch * 0.010 + 0.02))
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
        assert keep_to_time(state, data, 60.0, Settings()) == [] and state.plan is planned
        monkeypatch.setattr(budget, "probe", lambda *arguments: (100.0, 100.0))
        keep_to_time(state, data, 1.0, Settings())
        assert state.plan.epochs == 1


def test_epochs_that_were_set_are_kept_if_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    with working_at(HERE):
        state, data = fresh()
        state.plan = replace(state.plan, epochs=10, patience=50)
        monkeypatch.setattr(budget, "probe", lambda *arguments: (0.1 / state.plan.steps_per_epoch, 0.1))
        assert keep_to_time(state, data, 2.2, Settings(epochs=10)) == [] and state.plan.epochs == 10
        (decision,) = keep_to_time(state, data, 1.2, Settings(epochs=10))
    assert decision.chosen == "5 epochs instead of the 10 that were set"
    assert state.plan.epochs == state.plan.patience == state.stopping.patience == 5


def test_baselines_learn_from_as_many_rows_as_a_time_limit_allows() -> None:
    data = make_prepared(num_rows=20_000)
    for time_limit, expected in ((None, len(data.train)), (3600.0, len(data.train)), (0.5, 3_750), (1e-3, 1_000)):
        rows, decisions = affordable(data, Settings(time_limit=time_limit))
        assert len(rows) == expected and len(decisions) == (expected < len(data.train))
    # Of a picture they are shown some 200 brightnesses: as costly as 200 columns more.
    pictures = replace(data, shape=replace(data.shape, image=ImageShape(3, 64, 64, (0.5,) * 3, (0.2,) * 3)))
    assert len(affordable(pictures, Settings(time_limit=0.5))[0]) == 1_000
    rows, decisions = affordable(data, Settings(baseline_rows=123))
    assert len(rows) == 123 and decisions[0].why == "as set"
    rows, _ = affordable(data, Settings(baseline_rows=123, time_limit=3600.0))  # as it was written down
    assert len(rows) == 123


def test_the_limit_is_for_everything() -> None:
    assert time_for_training(None, 3.0) is None
    assert time_for_training(100.0, 25.0) == pytest.approx(85.0 - 1.5 - 25.0)
    assert time_for_training(100.0, 25.0, with_report=False) == pytest.approx(75.0)
    assert time_for_training(10.0, 6.0) == pytest.approx(0.4 * 4.0)  # else the report would get nearly all of the rest
    assert time_for_training(100.0, 99.0) == pytest.approx(10.0)  # reading took it all: a little training all the same


def test_a_smaller_network_where_only_few_epochs_would_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_prepared()
    begun: list[Capacity] = []

    def begin(capacity: Capacity, **given: int) -> State:
        begun.append(capacity)
        network = MLP(data.shape, num_layers=capacity.layers, width=capacity.width)
        objective = make_objective("binary", data.train, 2, Settings())
        return start(network, objective, make_plan(Settings(), data.shape)[0])

    def slow(state: State, *arguments: object) -> tuple[float, float]:
        networks = begun[-1].num_networks * begun[-1].width  # so slow that 4 members of 64 have just the time
        return 1.0 / state.plan.steps_per_epoch / budget.FEW_EPOCHS * 0.95 * networks / 320, 0.0

    monkeypatch.setattr(budget, "probe", slow)
    large = Capacity(2, 128, 0.1, members=8, copies=2)
    with working_at(HERE):
        capacity, state, decisions = fit_to_time(large, begin, data, 1.0, Settings())
        assert (capacity.copies, capacity.members, capacity.width) == (1, 4, 64)
        assert budget.FEW_EPOCHS <= state.plan.epochs < make_plan(Settings(), data.shape)[0].epochs
        assert [decision.what for decision in decisions] == ["network size for the time limit", "time limit"]
        capacity, _, _ = fit_to_time(large, begin, data, 1.0, Settings(width=128, members=8))
        assert (capacity.copies, capacity.members, capacity.width) == (1, 8, 128)  # what was set stays
        monkeypatch.setattr(budget, "probe", lambda *arguments: (1e-6, 0.0))
        assert fit_to_time(large, begin, data, 60.0, Settings())[::2] == (large, [])


def test_larger_batches_before_smaller_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_prepared(num_rows=60_000)

    def begin(capacity: Capacity) -> State:
        network = MLP(data.shape, num_layers=capacity.layers, width=capacity.width)
        objective = make_objective("binary", data.train, 2, Settings())
        return start(network, objective, make_plan(Settings(), data.shape)[0])

    monkeypatch.setattr(budget, "probe", lambda *arguments: (0.002, 0.0))  # whatever the batch: all of it is overhead
    large = Capacity(2, 128, 0.1, members=8)
    usual = begin(large).plan
    with working_at(HERE):
        capacity, state, decisions = fit_to_time(large, begin, data, 1.0, Settings())
        assert capacity == large and state.plan.batch_size == 1_024 > usual.batch_size == 256
        assert state.plan.steps_per_epoch == round(len(data.train) / 1_024)
        assert state.plan.epochs == int(0.95 / (0.002 * state.plan.steps_per_epoch)) >= budget.FEW_EPOCHS
        assert [decision.what for decision in decisions] == ["batch size for the time limit", "time limit"]
        assert decisions[0].chosen == "1,024 rows instead of 256"
        capacity, state, _ = fit_to_time(large, begin, data, 1.0, Settings(batch_size=256))  # what was set stays
        assert capacity != large and state.plan == replace(
            usual, epochs=state.plan.epochs, patience=state.plan.patience
        )
    assert choose_larger_batch(make_prepared(num_rows=1_000).shape, Settings()) < 32  # few rows: nothing larger
    assert len(list(fit(state, data))) == state.plan.epochs


def test_networks_that_are_tried_take_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    data, now, offered = make_prepared(), [0.0], []
    network = MLP(data.shape, num_layers=1, width=8)
    objective = make_objective("binary", data.train, 2, Settings())

    def begin(capacity: Capacity) -> State:
        now[0] += 0.25
        return start(network, objective, make_plan(Settings(), data.shape)[0])

    def slow(state: State, data: object, seconds: float) -> tuple[float, float]:
        offered.append(seconds / budget.PROBE_SHARE)
        now[0] += 0.75
        return 10.0, 10.0

    monkeypatch.setattr(budget, "probe", slow)
    monkeypatch.setattr(budget.time, "perf_counter", lambda: now[0])
    with working_at(HERE):
        _, state, decisions = fit_to_time(Capacity(2, 64, 0.1, members=8), begin, data, 10.0, Settings())
    assert offered == pytest.approx([9.75, 8.75])  # 8 members of 64, then 4 of 32: 4 of 64 could not be fast enough
    assert state.plan.epochs == 1
    assert decisions[1].chosen.startswith("1 epoch instead of")
    assert "8.75 s of the time limit are left" in decisions[1].why


def test_the_probe_judges_a_few_rows_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    with working_at(HERE):
        state, data = fresh()
        judged: list[int] = []
        monkeypatch.setattr(budget, "PROBE_ROWS", 10)
        monkeypatch.setattr(budget, "evaluate", lambda network, part, *others: judged.append(len(part)))
        probe(state, data, 0.01)
    assert judged == [10] and len(data.validation) > 10


def test_the_probe_leaves_the_state_alone() -> None:
    with working_at(HERE):
        state, data = fresh()
        before = {name: tensor.clone() for name, tensor in pack(state)[0].items()}
        step_s, epoch_end_s = probe(state, data, 0.01)
        after, _ = pack(state)
    assert step_s > 0 and epoch_end_s > 0
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


def test_a_trunk_rests_first_and_learns_in_what_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    with working_at(HERE):
        state, data = fresh()
        state.plan = planned = replace(state.plan, epochs=26, frozen_epochs=20, patience=6)
        steps, num_judged = planned.steps_per_epoch, rows_judged(data) + len(data.validation)
        reading_s = 1e-3 * (len(data.train) + len(data.validation))
        # An epoch at rest takes 0.1 s, one in which the trunk learns 1 s, of which judging its rows is a part.
        judging_s = 1e-3 * num_judged
        monkeypatch.setattr(budget, "probe", lambda *arguments: ((1.0 - judging_s) / steps, judging_s))
        monkeypatch.setattr(budget, "probe_resting", lambda *arguments: 0.1 / steps)
        for time_left, frozen, learning in [(9.5, 20, 6), (5.5, 20, 3), (2.5, 20, 0), (0.75, 7, 0), (-1.0, 1, 0)]:
            state.plan = planned
            decisions = keep_to_time(state, data, (reading_s + time_left) / 0.95, Settings())
            assert (state.plan.frozen_epochs, state.plan.epochs) == (frozen, frozen + learning)
            assert bool(decisions) == ((frozen, learning) != (20, 6))
            assert not decisions or state.stopping.patience == state.plan.first_patience
    assert "in none of which the pretrained network learns, too" in decisions[0].chosen
    at_rest, learning_ms = (f"{1000 * step_s:.0f} ms" for step_s in (0.1 / steps, (1.0 - judging_s) / steps))
    assert f"{at_rest} here, {learning_ms} once the pretrained network learns, too" in decisions[0].why
