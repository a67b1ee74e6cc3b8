"""The loop against hand-written PyTorch, and everything that makes it stop."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from conftest import make_prepared
from nudgenet.data.batches import num_steps, shuffled, subset, take
from nudgenet.errors import RunError
from nudgenet.networks import NETWORKS
from nudgenet.networks.capacity import Capacity
from nudgenet.networks.encoding import learn_pieces
from nudgenet.networks.mlp import MLP
from nudgenet.records import Batch, Prepared
from nudgenet.settings import Settings
from nudgenet.training.loop import evaluate, fit, step
from nudgenet.training.objectives import custom, make_objective
from nudgenet.training.place import Place, working_at
from nudgenet.training.plan import make_plan
from nudgenet.training.state import State, pack, start, unpack
from nudgenet.training.stopping import StopSignal

HERE = Place(1)


def begin(data: Prepared, settings: Settings, *, dropout: float = 0.1) -> State:
    torch.manual_seed(settings.seed)
    if settings.network == "ensemble" and settings.precision:
        pieces = learn_pieces(data.train.inputs["numbers"])
        network = NETWORKS["ensemble"](data.shape, Capacity(2, 16, dropout, 4), settings, pieces)
    else:
        network = MLP(data.shape, num_layers=2, width=16, dropout=dropout, normalisation=settings.normalisation)
    objective = make_objective(data.task.kind, data.train, data.shape.num_outputs, settings)
    return start(network, objective, make_plan(settings, data.shape)[0])


def everything(state: State) -> dict[str, torch.Tensor]:
    tensors, numbers = pack(state)
    numbers.pop("seconds")
    flat = {name: torch.tensor(value) for name, value in numbers.items() if isinstance(value, int | float)}
    flat |= {f"stopping.{name}": torch.tensor(value) for name, value in numbers["stopping"].items()}
    flat |= {f"running.{name}": torch.tensor(value) for name, value in numbers["running"].items()}
    return tensors | flat


def assert_same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


def test_equals_a_hand_written_loop() -> None:
    data = make_prepared(kind="multiclass")
    settings = Settings(
        epochs=3, batch_size=32, schedule="constant", warmup=0, weight_decay=0.1, clip=0.5, learning_rate=1e-3, ema=0
    )
    with working_at(HERE):
        state = begin(data, settings)
        network = MLP(data.shape, num_layers=2, width=16, dropout=0.1)
        network.load_state_dict(state.network.state_dict())
        rng = torch.get_rng_state()
        epochs = list(fit(state, data))

        torch.set_rng_state(rng)
        decayed = [p for p in network.parameters() if p.ndim > 1]
        others = [p for p in network.parameters() if p.ndim < 2]
        optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}], lr=1e-3, fused=True
        )
        for epoch in range(3):
            order = shuffled(len(data.train), 0, epoch)
            for rows in torch.tensor_split(order, [i * len(order) // 4 for i in range(1, 4)]):
                network.train()
                outputs = network({name: tensor[rows] for name, tensor in data.train.inputs.items()})
                loss = F.cross_entropy(outputs, data.train.targets[rows])
                optimizer.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(decayed + others, 0.5)
                optimizer.step()
        network.eval()
        with torch.no_grad():
            validation_loss = F.cross_entropy(network(data.validation.inputs), data.validation.targets)
    for name, tensor in network.state_dict().items():  # clipping rounds the last digit differently
        torch.testing.assert_close(state.network.state_dict()[name], tensor, rtol=1e-4, atol=1e-6)
    assert epochs[-1].validation_loss == pytest.approx(float(validation_loss), rel=1e-5)


def test_one_seed_gives_one_network() -> None:
    data, ends = make_prepared(), []
    for seed in (1, 1, 2):
        with working_at(HERE):
            state = begin(data, Settings(epochs=4, seed=seed, ema=0.9))
            list(fit(state, data))
            ends.append(everything(state))
    assert_same(ends[0], ends[1])
    assert not torch.equal(ends[0]["network.output.weight"], ends[2]["network.output.weight"])


@pytest.mark.parametrize(
    "settings",
    [
        Settings(epochs=6, batch_size=16),
        Settings(epochs=6, batch_size=16, ema=0.95, optimizer="sgd", schedule="plateau", patience=3),
        Settings(epochs=6, batch_size=16, normalisation="batch", optimizer="adam", schedule="one_cycle"),
        Settings(epochs=6, batch_size=16, precision="bfloat16"),
    ],
    ids=["default", "ema-sgd-plateau", "batchnorm-adam", "ensemble"],
)
@pytest.mark.parametrize("stop_after", [1, 13, 18, 30])
def test_resumes_bit_for_bit(settings: Settings, stop_after: int) -> None:
    """Stop after k steps, pack, unpack into a fresh state, go on: as if nothing had happened."""
    data = make_prepared(kind="regression")
    with working_at(HERE):
        whole = begin(data, settings)
        whole_epochs = list(fit(whole, data))
        whole_rng = torch.get_rng_state()

    signal, steps = StopSignal(), 0

    def on_step(epoch: int, cursor: int, loss: float, norm: float) -> None:
        nonlocal steps
        steps += 1
        if steps == stop_after:
            signal.request("a test")

    with working_at(HERE):
        first = begin(data, settings)
        epochs = list(fit(first, data, on_step=on_step, stop=signal))
        assert first.step == stop_after
        tensors, numbers = pack(first)
        tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    torch.rand(7)  # whatever happens in between
    with working_at(HERE):
        second = begin(data, settings)
        torch.rand(3)
        unpack(second, tensors, numbers)
        epochs += list(fit(second, data))
        assert torch.equal(torch.get_rng_state(), whole_rng)
    assert_same(everything(second), everything(whole))
    assert [replace(epoch, seconds=0) for epoch in epochs] == [replace(epoch, seconds=0) for epoch in whole_epochs]


def test_everything_stateful_is_in_the_checkpoint() -> None:
    """Change every number of a state in turn: what `pack` gives must change with it."""
    data = make_prepared()
    with working_at(HERE):
        state = begin(data, Settings(epochs=3, ema=0.9))
        list(fit(state, data))
        fixed = {"network", "optimizer", "objective", "plan", "average", "stopping", "running", "best_weights"}
        assert all(
            any(tensor is own for own in [*one.parameters(), *one.buffers()])
            for pairs in state.followers
            for tensors, one in zip(pairs, (state.average, state.network), strict=True)
            for tensor in tensors
        ), "what was found once is still theirs"
        for name in set(vars(state)) - fixed - {"followers"}:
            before = pack(state)[1]
            old = getattr(state, name)
            setattr(state, name, not old if isinstance(old, bool) else old + type(old)(1))
            assert pack(state)[1] != before, f"{name} is not in the checkpoint"
            setattr(state, name, old)
        packed, numbers = pack(state)
        for holder in (state.stopping, state.running):
            for name, value in vars(holder).items():
                assert any(numbers[key].get(name) == value for key in ("stopping", "running")), name
        names = {name.split(".")[0] for name in packed}
        assert names == {"network", "average", "best", "optimizer", "rng"}
        num_states = sum(len(values) for values in state.optimizer.state_dict()["state"].values())
        assert len([name for name in packed if name.startswith("optimizer.")]) == num_states


def test_a_checkpoint_of_another_choice_of_weights_is_refused() -> None:
    """As of runs that also trained their trunk's vectors of words: no average may be taken for another weight's."""
    data, settings = make_prepared(), Settings(network="mlp", epochs=1)
    more, fewer = begin(data, settings), begin(data, settings)
    list(fit(more, data))
    tensors, numbers = pack(more)
    unpack(begin(data, settings), tensors, numbers)
    next(fewer.network.parameters()).requires_grad_(False)
    fewer = start(fewer.network, fewer.objective, fewer.plan)
    with pytest.raises(RunError, match=r"does not fit this run's network \(got the optimizer moved a weight of \["):
        unpack(fewer, tensors, numbers)
    last = len(more.optimizer.state) - 1
    alone = {name: tensor for name, tensor in tensors.items() if not name.startswith("optimizer.")}
    alone |= {f"optimizer.{last}.exp_avg": tensors[f"optimizer.{last}.exp_avg"]}
    with pytest.raises(RunError, match=f"more than {last} weights"):
        unpack(fewer, alone, numbers)


def test_early_stopping_keeps_the_best_weights() -> None:
    data = make_prepared(60, kind="binary")
    with working_at(HERE):
        state = begin(data, Settings(epochs=300, patience=5, learning_rate=0.03, schedule="constant"), dropout=0)
        epochs = list(fit(state, data))
        best = min(epochs, key=lambda epoch: epoch.validation_loss)
        assert state.stopping.is_over
        assert state.stopping.best_epoch == best.epoch == epochs[-1].epoch - 5
        state.network.load_state_dict(state.best_weights)
        losses, _ = evaluate(state.network, data.validation, state.objective)
    assert float(losses.double().mean()) == pytest.approx(best.validation_loss, rel=1e-12)


@pytest.mark.parametrize("culprit", ["input", "target", "rate"])
def test_stops_in_the_step_that_is_not_finite(culprit: str) -> None:
    data = make_prepared(kind="regression")
    settings = Settings(epochs=5, batch_size=20, learning_rate=1e30 if culprit == "rate" else 1e-3, clip=None, warmup=0)
    settings = settings.model_copy(update={"optimizer": "sgd"} if culprit == "rate" else {})
    if culprit == "input":
        data.train.inputs["numbers"][77, 1] = math.inf
    if culprit == "target":
        data.train.targets[77] = math.nan
    with working_at(HERE):
        state = begin(data, settings)
        weights = []

        def on_step(epoch: int, cursor: int, loss: float, norm: float) -> None:
            assert math.isfinite(loss)
            weights.append({name: tensor.clone() for name, tensor in state.network.state_dict().items()})

        list(fit(state, data, on_step=on_step))
    assert state.is_over
    assert f"step {state.step + 1} " in state.failure
    words = {"input": "an input of this batch", "target": "a target of this batch", "rate": "learning rate"}
    assert words[culprit] in state.failure
    if culprit != "rate":  # the weights are those from before the step
        last = weights[-1] if weights else dict(begin(data, settings).network.state_dict())
        assert_same(dict(state.network.state_dict()), last)
        assert all(bool(torch.isfinite(tensor).all()) for tensor in state.network.state_dict().values())


def test_time_limit_ends_the_training_cleanly() -> None:
    data = make_prepared()
    with working_at(HERE):
        state = begin(data, Settings(epochs=200))
        steps: list[int] = []
        (epoch,) = fit(state, data, time_limit=1e-9, on_step=lambda epoch, step, loss, norm: steps.append(step))
    assert state.out_of_time and state.is_over and steps == [1]
    assert epoch.epoch == 1 and state.best_weights  # the cut epoch is judged: there is something to keep


def test_saves_at_the_end_and_when_stopped() -> None:
    data, saved, stop = make_prepared(), [], StopSignal()
    with working_at(HERE):
        list(fit(begin(data, Settings(epochs=2)), data, save=lambda state: saved.append(state.step)))
        stop.request("a test")
        list(fit(begin(data, Settings(epochs=2)), data, save=lambda state: saved.append(state.step), stop=stop))
    assert saved[0] > 0 and saved[1] == 0


def test_a_step_of_your_own_is_a_plain_function() -> None:
    data, calls = make_prepared(), 0

    def twice(network, batch, objective, optimizer, clip):  # type: ignore[no-untyped-def]
        nonlocal calls
        calls += 1
        step(network, batch, objective, optimizer, clip)
        return step(network, batch, objective, optimizer, clip)

    with working_at(HERE):
        state = begin(data, Settings(epochs=1))
        list(fit(state, data, step=twice))
    assert calls == state.plan.steps_per_epoch


def test_a_loss_of_your_own_replaces_the_built_in_one() -> None:
    data = make_prepared(kind="regression")

    def quartic(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (outputs.squeeze(1) - targets) ** 4

    with working_at(HERE):
        state = begin(data, Settings(epochs=2))
        state.objective = custom(quartic, like=state.objective)
        (epoch, *_) = list(fit(state, data))
        losses, _ = evaluate(state.network, data.validation, state.objective)
    outputs = state.network.eval()(data.validation.inputs)
    expected = quartic(outputs, data.validation.targets)
    torch.testing.assert_close(losses, expected.detach())
    assert epoch.validation_loss > 0


def test_averaged_weights_follow_the_formula() -> None:
    data = make_prepared()
    with working_at(HERE):
        state = begin(data, Settings(epochs=1, batch_size=50, ema=0.5))
        average = {name: tensor.clone() for name, tensor in state.network.state_dict().items()}

        def on_step(epoch: int, cursor: int, loss: float, norm: float) -> None:
            memory = min(0.5, cursor / (9 + cursor))
            for name, tensor in state.network.state_dict().items():
                average[name] = memory * average[name] + (1 - memory) * tensor

        list(fit(state, data, on_step=on_step))
    assert state.average is not None
    for name, tensor in state.average.state_dict().items():
        torch.testing.assert_close(tensor, average[name])


def test_the_callers_random_state_and_threads_come_back() -> None:
    torch.manual_seed(5)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    with working_at(Place(1)):
        torch.manual_seed(0)
        torch.rand(10)
    assert torch.equal(before, torch.get_rng_state()) and torch.get_num_threads() == threads


def test_batches_hold_every_row_once_in_near_equal_sizes() -> None:
    data = make_prepared(157)
    rows = len(data.train)
    steps = num_steps(rows, 16)
    order = shuffled(rows, seed=3, epoch=2)
    batches: list[Batch] = [take(data.train, order, cursor, steps) for cursor in range(steps)]
    sizes = {len(batch.targets) for batch in batches}
    assert max(sizes) - min(sizes) <= 1
    seen = torch.cat([batch.inputs["numbers"] for batch in batches])
    assert torch.equal(seen, subset(data.train, order).inputs["numbers"])
    assert not torch.equal(order, shuffled(rows, seed=3, epoch=3))
    assert sorted(order.tolist()) == list(range(rows))
