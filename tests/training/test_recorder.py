"""The recorder: it writes what happened, spends little time, and changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from conftest import make_prepared
from nudgenet.errors import RunError
from nudgenet.networks.mlp import MLP
from nudgenet.records import Epoch, Prepared
from nudgenet.settings import Settings
from nudgenet.training import recorder as module
from nudgenet.training.loop import fit
from nudgenet.training.objectives import make_objective
from nudgenet.training.place import Place, working_at
from nudgenet.training.plan import make_plan
from nudgenet.training.recorder import PROOF, Ration, Recorder, Row
from nudgenet.training.state import State, pack, start


class Memory:
    """A diary and an album in memory."""

    def __init__(self, *, room: bool = True) -> None:
        self.rows: list[Row] = []
        self.looks: dict[int, Mapping[str, Mapping[str, Any]]] = {}
        self.states: dict[int, tuple[Mapping[str, Tensor], Mapping[str, Any]]] = {}
        self.kept: set[int] = set()
        self.room, self.times = room, 0

    @property
    def snapshots(self) -> Memory:
        return self

    def add_batches(self, rows: Sequence[Row]) -> None:
        self.rows += rows

    def add_health(self, step: int, layers: Mapping[str, Mapping[str, Any]]) -> None:
        self.looks[step] = layers

    def steps(self) -> list[int]:
        return sorted(self.states)

    def takes(self, num_bytes: int) -> bool:
        return self.room

    def add(self, step: int, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any], kept: Iterable[int]) -> int:
        self.states[step] = tensors, numbers
        self.kept |= set(kept)
        return self.times


def begin(data: Prepared, **settings: Any) -> State:
    chosen = Settings(**{"epochs": 6, "batch_size": 16} | settings)
    torch.manual_seed(0)
    network = MLP(data.shape, num_layers=2, width=16, dropout=0.2, normalisation=chosen.normalisation)
    objective = make_objective(data.task.kind, data.train, data.shape.num_outputs, chosen)
    return start(network, objective, make_plan(chosen, data.shape)[0])


def train(state: State, data: Prepared, diary: Memory | None) -> tuple[list[Epoch], list[tuple[int, int, float]]]:
    told: list[tuple[int, int, float]] = []
    recorder = Recorder(state, data, diary, lambda *step: told.append(step))
    epochs = []
    for epoch in fit(state, data, on_step=recorder.on_step):
        recorder.epoch()
        epochs.append(replace(epoch, seconds=0.0))
    recorder.close()
    return epochs, told


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot after every step, a look after every epoch."""
    monkeypatch.setattr(module, "SNAPSHOT_EVERY_S", 0.0)
    monkeypatch.setattr(module, "SHARE", float("inf"))


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("settings", [{}, {"ema": 0.9, "normalisation": "batch"}, {"batch_size": 999}])
def test_recording_changes_nothing(settings: dict[str, Any]) -> None:
    data, ends = make_prepared(), []
    for diary in (None, Memory()):
        with working_at(Place(1)):
            state = begin(data, **settings)
            epochs, told = train(state, data, diary)
            ends.append((epochs, told, pack(state)))
    (epochs, told, (tensors, numbers)), (other_epochs, other_told, (others, other_numbers)) = ends
    assert epochs == other_epochs and told == other_told and len(told) == 6 * state.plan.steps_per_epoch
    assert all(torch.equal(tensors[name], others[name]) for name in tensors)
    assert {**numbers, "seconds": 0} == {**other_numbers, "seconds": 0}


@pytest.mark.usefixtures("always")
def test_every_step_is_written_with_its_numbers() -> None:
    data, diary = make_prepared(), Memory()
    with working_at(Place(1)):
        state = begin(data, schedule="cosine")
        epochs, told = train(state, data, diary)
    per_epoch, plan = state.plan.steps_per_epoch, state.plan
    assert [row[0] for row in diary.rows] == list(range(1, 6 * per_epoch + 1))
    assert [(row[1], (row[0] - 1) % per_epoch + 1, row[2]) for row in diary.rows] == told
    assert [row[4] for row in diary.rows] == [plan.learning_rate_at(step) for step in range(6 * per_epoch)]
    for epoch in epochs:
        norms = [row[3] for row in diary.rows if row[1] == epoch.epoch]
        assert epoch.gradient_norm == pytest.approx(sum(norms) / per_epoch)
    assert list(diary.looks) == [epoch.step for epoch in epochs]
    look = diary.looks[per_epoch]
    assert list(look) == ["embedding", "layer1", "layer2", "output"]
    assert look["layer1"].keys() == {"neurons", "dead", "saturated", "gradient_norm", "update_ratio"}


def test_the_last_epoch_of_a_short_training_is_looked_at_however_little_time_there_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SHARE", 1e-12)
    data, diary = make_prepared(), Memory()
    with working_at(Place(1)):
        state = begin(data)
        epochs, _ = train(state, data, diary)
    assert list(diary.looks) == [epochs[0].step, epochs[-1].step]


@pytest.mark.usefixtures("always")
def test_snapshots_are_the_state_without_the_best_weights() -> None:
    data, diary = make_prepared(), Memory()
    with working_at(Place(1)):
        state = begin(data)
        train(state, data, diary)
        tensors, numbers = pack(state)
    assert diary.steps() == list(range(state.step + 1))
    last, last_numbers = diary.states[state.step]
    assert last.keys() == {name for name in tensors if not name.startswith("best.")}
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in last.items())
    assert last_numbers["stopping"] == numbers["stopping"]
    _, at_end_of_epoch = diary.states[state.plan.steps_per_epoch]
    assert (at_end_of_epoch["epoch"], at_end_of_epoch["cursor"]) == (1, 0), "an epoch that has ended is judged"


def test_time_is_rationed() -> None:
    ration = Ration(apart=0.5)
    ration.spend(10.0, 0.001)
    assert ration.due == 10.5
    ration = Ration(apart=0.5)
    for now in (20.0, 30.0, 40.0):
        ration.spend(now, 0.02)
        assert ration.due == pytest.approx(now + 2.0), "a hundredth of the time"
    ration.spend(50.0, 3.0)
    assert ration.due == pytest.approx(52.0), "once another program came between"
    ration.spend(60.0, 3.0)
    ration.spend(70.0, 3.0)
    assert ration.due == pytest.approx(370.0), "by now that is what it takes"


def test_a_quick_training_keeps_its_first_steps_and_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SNAPSHOT_EVERY_S", 1e9)
    data, diary = make_prepared(), Memory()
    with working_at(Place(1)):
        state = begin(data)
        train(state, data, diary)
    assert diary.steps() == [0, PROOF, state.step] and len(diary.rows) == state.step and len(diary.looks) >= 1


@pytest.mark.usefixtures("always")
def test_networks_too_large_for_snapshots_have_none() -> None:
    data, diary = make_prepared(), Memory(room=False)
    with working_at(Place(1)):
        state = begin(data)
        train(state, data, diary)
    assert diary.steps() == [] and len(diary.rows) == state.step


@pytest.mark.usefixtures("always")
def test_a_full_disk_ends_the_snapshots_and_not_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    data, diary, tries = make_prepared(), Memory(), []

    def full(*arguments: object) -> int:
        tries.append(1)
        raise RunError("The run's folder cannot be written")

    monkeypatch.setattr(diary, "add", full)
    with working_at(Place(1)):
        state = begin(data)
        epochs, _ = train(state, data, diary)
    assert len(epochs) == 6 and len(tries) == 2, "at the start and at the end"


def test_a_full_album_doubles_the_distance(monkeypatch: pytest.MonkeyPatch) -> None:
    data, diary = make_prepared(), Memory()
    diary.times = 2
    with working_at(Place(1)):
        recorder = Recorder(begin(data), data, diary, lambda *step: None)
    assert recorder._snapshots.apart == 4 * module.SNAPSHOT_EVERY_S


@pytest.mark.usefixtures("always")
def test_the_end_of_a_frozen_phase_is_kept_with_the_best_weights() -> None:
    data, diary = make_prepared(), Memory()
    with working_at(Place(1)):
        state = begin(data)
        state.plan = replace(state.plan, frozen_epochs=2)
        train(state, data, diary)
    boundary = 2 * state.plan.steps_per_epoch
    assert boundary in diary.kept
    with_best = [step for step in diary.steps() if any(name.startswith("best.") for name in diary.states[step][0])]
    assert with_best == [boundary]


def test_the_numbers_before_a_checkpoint_are_written_before_it() -> None:
    data, diary = make_prepared(), Memory()
    with working_at(Place(1)):
        state = begin(data)
        recorder = Recorder(state, data, diary, lambda *step: None)
        next(fit(state, data, on_step=recorder.on_step))
        recorder.flush()
        assert len(diary.rows) == state.plan.steps_per_epoch
        recorder.flush()
    assert len(diary.rows) == state.plan.steps_per_epoch, "once"
