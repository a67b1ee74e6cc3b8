"""Any step again, bit for bit: from any snapshot before it, with everything that a step may depend on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from conftest import make_prepared
from nudgenet.errors import RunError
from nudgenet.networks import NETWORKS
from nudgenet.networks.capacity import Capacity
from nudgenet.networks.encoding import learn_pieces
from nudgenet.records import Batch, ImageShape, Part, Prepared
from nudgenet.settings import Settings
from nudgenet.training.loop import fit, step
from nudgenet.training.objectives import make_objective
from nudgenet.training.place import Place, working_at
from nudgenet.training.plan import make_plan
from nudgenet.training.replay import Snapshot, agrees, one_step, replay, snapshot_of, step_of
from nudgenet.training.state import State, pack, start

HERE = Place(1)
CASES: dict[str, dict[str, Any]] = {
    "ensemble": {},
    "bfloat16": {"precision": "bfloat16"},
    "mlp with averages, batch norm and cuts": {
        "network": "mlp", "ema": 0.9, "normalisation": "batch", "schedule": "plateau", "patience": 3, "epochs": 12,
        "learning_rate": 0.3, "optimizer": "sgd",
    },
    "stopped early": {"patience": 2, "epochs": 40, "learning_rate": 0.05},
    "adam": {"network": "mlp", "optimizer": "adam", "schedule": "one_cycle", "clip": None},
    "two phases": {"network": "mlp", "frozen": 2},
    "one step in an epoch": {"network": "mlp", "batch_size": 999},
    "varied images": {"network": "convnet", "augment": ("shift", "flip"), "epochs": 2, "precision": "bfloat16"},
    "mixed images by muon": {"network": "convnet", "augment": ("shift", "mixup", "cutmix"), "epochs": 2, "optimizer": "muon"},
}  # fmt: skip


def with_images(data: Prepared) -> Prepared:
    """The same rows, each with a small picture."""
    generator = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (200, 1, 12, 12), dtype=torch.uint8, generator=generator)

    def part(rows: Part) -> Part:
        return replace(rows, inputs={**rows.inputs, "images": images[torch.from_numpy(rows.rows)]})

    shape = replace(data.shape, image=ImageShape(1, 12, 12, (0.5,), (0.25,)))
    return replace(data, train=part(data.train), validation=part(data.validation), test=part(data.test), shape=shape)


def begin(data: Prepared, case: dict[str, Any]) -> State:
    given = {"epochs": 5, "batch_size": 16} | case
    frozen = given.pop("frozen", 0)
    settings = Settings(**given)
    torch.manual_seed(settings.seed)
    pieces = learn_pieces(data.train.inputs["numbers"])
    network = NETWORKS[settings.network](data.shape, Capacity(2, 16, 0.2, 3), settings, pieces)
    objective = make_objective(data.task.kind, data.train, data.shape.num_outputs, settings)
    plan, _ = make_plan(settings, data.shape)
    return start(network, objective, replace(plan, frozen_epochs=frozen, precision=settings.precision or "float32"))


def record(data: Prepared, case: dict[str, Any]) -> list[Snapshot]:
    """The state after every step, the first one before any; epochs that ended are judged."""
    state = begin(data, case)
    found = {0: snapshot_of(state)}

    def note(*arguments: object) -> None:
        found[state.step] = snapshot_of(state)

    for _ in fit(state, data, on_step=note):
        # After the phase in which a trunk stays as it is, the best weights are needed.
        tensors, numbers = snapshot_of(state)
        best = {f"best.{name}": tensor.clone() for name, tensor in state.best_weights.items()}
        found[state.step] = {**tensors, **best} if state.epoch == state.plan.frozen_epochs else tensors, numbers
    return [found[step] for step in range(state.step + 1)]


def assert_same(state: State, wanted: Snapshot) -> None:
    tensors, numbers = pack(state)
    assert all(torch.equal(tensors[name], value) for name, value in wanted[0].items() if not name.startswith("best."))
    assert {**numbers, "seconds": 0} == {**wanted[1], "seconds": 0}


@pytest.mark.parametrize("name", CASES)
def test_every_step_is_the_one_of_the_training(name: str) -> None:
    case, data = CASES[name], make_prepared(kind="multiclass")
    if case.get("network") == "convnet":
        data = with_images(data)
    with working_at(HERE):
        steps = record(data, case)
        last = len(steps) - 1
        boundary = case.get("frozen", 0) * (last // 5)
        state = begin(data, case)
        if name == "stopped early":
            assert steps[-1][1]["epoch"] < 40
        if "plateau" in case.values():
            assert steps[-1][1]["stopping"]["cuts"] > 0
        for begins, ends in ((0, 0), (0, last), (0, last // 2), (last // 3, last // 3), (last // 3, last), (last, last),
                             (1, 2), (last - 1, last)):  # fmt: skip
            if 0 < begins < boundary < ends:
                begins = boundary
            replay(state, data, steps[begins], ends)
            assert_same(state, steps[ends])


def test_several_small_moves_are_one_large_one() -> None:
    """The slider goes on from where it is."""
    data = make_prepared()
    with working_at(HERE):
        steps = record(data, {})
        state = begin(data, {})
        replay(state, data, steps[3], 10)
        for end in (11, 12, 17, 30):
            replay(state, data, snapshot_of(state), end)
            assert_same(state, steps[end])


def test_after_an_interruption_too() -> None:
    data = make_prepared()
    with working_at(HERE):
        steps = record(data, {})
        first = begin(data, {})
        replay(first, data, steps[0], 13)
        middle = snapshot_of(first)
    with working_at(HERE):
        second = begin(data, {})
        replay(second, data, middle, 14)
        later = snapshot_of(second)
        replay(second, data, later, len(steps) - 1)
        assert_same(second, steps[-1])
        replay(second, data, later, 20)
        assert_same(second, steps[20])


def test_one_step_hands_over_the_real_batch() -> None:
    data, seen = make_prepared(), []

    def keep(*arguments: Any) -> tuple[float, float]:
        seen.append(arguments[1])
        return step(*arguments)

    with working_at(HERE):
        steps = record(data, {})
        losses: list[tuple[float, float]] = []
        training = begin(data, {})
        list(fit(training, data, step=keep, on_step=lambda epoch, cursor, loss, norm: losses.append((loss, norm))))
        state = begin(data, {})
        for place in (0, 7, len(steps) - 2):
            replay(state, data, steps[place], place)
            batches: list[Batch] = []

            def watch(batch: Batch, batches: list[Batch] = batches) -> None:
                F.dropout(torch.rand(100), 0.5)  # whatever it draws, the step draws its own
                batches.append(batch)

            assert one_step(state, data, watch) == losses[place]
            assert torch.equal(batches[0].targets, seen[place].targets) and len(batches) == 1
            assert_same(state, steps[place + 1])
            assert state.optimizer.param_groups[0]["lr"] == state.plan.learning_rate_at(place)
            lengths = [float(p.grad.norm()) for p in state.network.parameters() if p.grad is not None]
            assert torch.tensor(lengths).norm() == pytest.approx(min(losses[place][1], 1.0), rel=1e-4), "clipped"


def test_after_the_end_there_is_no_step() -> None:
    data = make_prepared()
    with working_at(HERE):
        steps = record(data, {"patience": 1, "epochs": 30, "learning_rate": 0.1})
        state = begin(data, {"patience": 1, "epochs": 30, "learning_rate": 0.1})
        for there in (len(steps), len(steps) + 100):
            with pytest.raises(RunError, match=f"ended before this step.*the last is {len(steps) - 1}"):
                replay(state, data, steps[2], there)
        with pytest.raises(RunError, match="ended before this step"):
            replay(state, data, steps[-1], len(steps) - 1)
            one_step(state, data)
        with pytest.raises(RunError, match="from a snapshot before it"):
            replay(state, data, steps[5], 4)


def test_a_snapshot_of_the_frozen_phase_does_not_lead_out_of_it() -> None:
    data, case = make_prepared(), CASES["two phases"]
    with working_at(HERE):
        steps = record(data, case)
        state = begin(data, case)
        per_epoch = state.plan.steps_per_epoch
        with pytest.raises(RunError, match="lacks the best weights"):
            replay(state, data, steps[3], 2 * per_epoch + 1)
        replay(state, data, steps[3], 2 * per_epoch)
        assert_same(state, steps[2 * per_epoch])
        assert step_of(steps[3], state) == 3


def test_other_machines_are_found_out() -> None:
    data = make_prepared()
    with working_at(HERE):
        steps = record(data, {})
        state = begin(data, {})
        assert agrees(state, data, steps[2], steps[9])
        name = "network.output_weight"
        other = {**steps[9][0], name: steps[9][0][name] * (1 + 1e-6)}
        assert not agrees(state, data, steps[2], (other, steps[9][1]))


def test_a_step_that_failed_fails_again() -> None:
    data = make_prepared()
    broken = replace(data, train=replace(data.train, inputs=poisoned(data.train.inputs)))
    with working_at(HERE):
        steps = record(broken, {"batch_size": 64, "network": "mlp"})
        state = begin(broken, {"batch_size": 64, "network": "mlp"})
        list(fit(state, broken))
        assert state.failure and state.step == len(steps) - 1
        with pytest.raises(RunError, match="ended before this step"):
            replay(state, broken, steps[0], len(steps))
        replay(state, broken, steps[0], len(steps) - 1)
        assert_same(state, steps[-1])


def poisoned(inputs: Any) -> dict[str, torch.Tensor]:
    """One number is not one: the batch that meets it cannot be learned from."""
    numbers = inputs["numbers"].clone()
    numbers[5, 0] = float("nan")
    return {**inputs, "numbers": numbers}
