"""Plans, schedules, optimizers, early stopping, the place."""

from __future__ import annotations

import signal
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR

from conftest import make_prepared
from nudgenet.errors import SettingError
from nudgenet.networks.capacity import choose_capacity, explain_capacity
from nudgenet.networks.mlp import MLP
from nudgenet.records import ImageShape, Shape, TextShape
from nudgenet.settings import Settings, make_settings
from nudgenet.training.optimizers import OPTIMIZERS, make_optimizer
from nudgenet.training.place import choose_place
from nudgenet.training.plan import LARGEST_BATCH, choose_batch_size, make_plan
from nudgenet.training.schedules import SCHEDULES
from nudgenet.training.stopping import Stopping, StopSignal, stop_on_signals


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"threads": 2},
        {"layers": 1, "width": 64},
        {"layers": 0},
        {"members": 16, "layers": 3},
        {"optimizer": "sgd", "schedule": "constant"},
        {"network": "mlp", "width": 32},
        {"width": 10_000, "layers": 1, "members": 200},
        {"batch_size": 1_000},
        {"batch_size": 5_000},
    ],
)
def test_what_is_to_be_typed_for_another_choice_is_another_choice(given: dict[str, Any]) -> None:
    settings, shape = Settings(**given), Shape(4, (), 2, 1_000)
    plan, decisions = make_plan(settings, shape)
    capacity = choose_capacity(shape, settings)
    place, of_place = choose_place(settings, 0)
    chosen = {"optimizer": settings.optimizer, "schedule": settings.schedule, "network": settings.network}
    for part in (plan, capacity, place):
        chosen |= asdict(part)
    for decision in (*decisions, *explain_capacity(capacity, shape, 100, settings), *of_place):
        for typed in decision.override.split(", "):
            name, _, value = typed.removeprefix("--set ").partition("=")
            assert str(chosen[name]) != value, decision
            other = make_settings(**{**given, name: value})  # it can be had, and changes something
            if name not in ("threads", "precision"):
                changed = (make_plan(other, shape)[0], choose_capacity(shape, other), other.network)
                assert changed != (plan, capacity, settings.network), decision
    assert any(decision.what == "threads" for decision in of_place)


def test_what_can_be_one_is_said_as_one() -> None:
    _, decisions = make_plan(Settings(batch_size=1_000, epochs=1, patience=1), Shape(4, (), 2, 1_000))
    said = " ".join(f"{decision.chosen} {decision.why}" for decision in decisions)
    assert "1 update in each pass" in said and "about 1 update in all" in said and "after 1 epoch without" in said


@pytest.mark.parametrize("num_rows", [10, 100, 1_000, 30_000, 1_000_000])
def test_more_rows_need_fewer_passes(num_rows: int) -> None:
    plan, decisions = make_plan(Settings(), Shape(4, (), 1, num_rows))
    more, _ = make_plan(Settings(), Shape(4, (), 1, num_rows * 4))
    assert 1 <= plan.batch_size <= num_rows and plan.steps_per_epoch >= 1
    assert more.epochs <= plan.epochs and more.batch_size >= plan.batch_size
    assert all(decision.override.startswith("--set") for decision in decisions)


def test_effort_buys_passes_width_and_copies() -> None:
    shape = Shape(4, (), 1, 2_000)
    efforts = [Settings(effort=effort) for effort in ("quick", "default", "best")]
    epochs = [make_plan(settings, shape)[0].epochs for settings in efforts]
    work = [choose_capacity(shape, settings).multiply_adds(shape) for settings in efforts]
    assert epochs == sorted(set(epochs)) and work == sorted(set(work))
    best = choose_capacity(shape, Settings(effort="best"))
    assert best.copies > 1 and choose_capacity(shape, Settings(effort="best", copies=1)).copies == 1
    assert any(decision.what == "copies" for decision in explain_capacity(best, shape, 1, efforts[2]))
    many = choose_capacity(Shape(4, (), 5_000, 2_000), Settings(effort="best"))
    assert many.num_networks == 1  # thousands of classes make every network dear


def test_a_setting_always_wins_and_a_chosen_value_chooses_itself_again() -> None:
    shape = Shape(4, (), 1, 500)
    given = Settings(epochs=7, batch_size=33, learning_rate=0.5, patience=3, weight_decay=0.0)
    plan, _ = make_plan(given, shape)
    assert (plan.epochs, plan.batch_size, plan.learning_rate, plan.patience, plan.weight_decay) == (7, 33, 0.5, 3, 0.0)
    free, _ = make_plan(Settings(), shape)
    again, _ = make_plan(
        Settings(
            epochs=free.epochs, batch_size=free.batch_size, learning_rate=free.learning_rate, patience=free.patience
        ),
        shape,
    )
    assert again == free


@pytest.mark.parametrize("name", sorted(SCHEDULES))
@pytest.mark.parametrize("warmup", [0.0, 0.05, 1.0])
def test_schedules_stay_between_zero_and_one(name: str, warmup: float) -> None:
    factors = [SCHEDULES[name](step / 1000, warmup) for step in range(1001)]
    assert all(0 <= factor <= 1 for factor in factors)
    assert max(factors) > 0.9


def test_cosine_equals_pytorchs() -> None:
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    reference = CosineAnnealingLR(optimizer, T_max=50)
    for step in range(50):
        assert SCHEDULES["cosine"](step / 50, 0.0) == pytest.approx(reference.get_last_lr()[0], abs=1e-9)
        optimizer.step()
        reference.step()


def test_one_cycle_rises_then_falls() -> None:
    factors = [SCHEDULES["one_cycle"](step / 100, 0.0) for step in range(101)]
    peak = factors.index(max(factors))
    assert peak == 30
    assert factors[:peak] == sorted(factors[:peak]) and factors[peak:] == sorted(factors[peak:], reverse=True)
    assert factors[-1] == pytest.approx(0, abs=1e-9)


def test_plateau_cuts_after_standing_still() -> None:
    plan, _ = make_plan(Settings(schedule="plateau", patience=9, warmup=0), Shape(4, (), 1, 500))
    stopping = Stopping(patience=9)
    stopping.update(1, 1.0)
    for epoch in range(2, 8):
        stopping.update(epoch, 1.5)
    assert stopping.cuts == 2
    assert plan.learning_rate_at(10, stopping.cuts) == pytest.approx(plan.learning_rate * 0.04)


def test_biases_and_norms_are_not_decayed() -> None:
    data = make_prepared()
    network = MLP(data.shape, num_layers=2, width=8, normalisation="layer")
    plan, _ = make_plan(Settings(weight_decay=0.3), data.shape)
    optimizer = make_optimizer(network, plan)
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert len(decays) == len(list(network.parameters()))
    for name, parameter in network.named_parameters():
        assert decays[id(parameter)] == (0.3 if parameter.ndim > 1 else 0.0), name


@pytest.mark.parametrize("name", sorted(OPTIMIZERS.keys() - {"muon"}))
def test_textbook_learning_rates(name: str) -> None:
    plan, _ = make_plan(Settings(network="mlp", optimizer=name), Shape(4, (), 1, 500))
    assert plan.learning_rate == {"sgd": 0.1, "adam": 1e-3, "adamw": 1e-3}[name]


@pytest.mark.parametrize("network", ["ensemble", "mlp"])
def test_muon_is_refused_where_there_are_no_convolutions(network: str) -> None:
    given = Settings(network=network, optimizer="muon")
    with pytest.raises(SettingError, match=r"this network has none. .*optimizer=adamw"):
        make_plan(given, Shape(4, (), 1, 500))
    image = ImageShape(1, 12, 12, (0.5,), (0.25,))
    assert make_plan(given, Shape(0, (), 2, 500, image=image))[0].learning_rate == 5e-3


def test_wrong_names() -> None:
    data = make_prepared()
    plan, _ = make_plan(Settings(optimizer="adamm"), data.shape)
    with pytest.raises(SettingError, match="Did you mean `adam`"):
        make_optimizer(MLP(data.shape, num_layers=1, width=4), plan)
    with pytest.raises(SettingError, match="Did you mean `cosine`"):
        make_plan(Settings(schedule="cosin"), data.shape)


def test_stopping_counts_and_never_takes_nan() -> None:
    stopping = Stopping(patience=2)
    assert stopping.update(1, float("nan")) is False
    assert stopping.update(2, 1.0) and not stopping.update(3, 1.0) and not stopping.is_over
    assert not stopping.update(4, float("inf")) and stopping.is_over and stopping.best_epoch == 2


def test_the_first_signal_asks_the_second_stops_at_once() -> None:
    stop, asked = StopSignal(), []
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signals(stop, lambda: asked.append(1)):
        signal.raise_signal(signal.SIGINT)
        assert stop.reason == "Ctrl-C" and stop.exit_code == 130 and asked == [1]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    stop = StopSignal()
    with stop_on_signals(stop):
        signal.raise_signal(signal.SIGTERM)
    assert stop.exit_code == 143


def test_images_are_varied_from_some_way_on() -> None:
    plan, _ = make_plan(Settings(epochs=10, batch_size=10), Shape(4, (), 2, 100))
    shares = [plan.varied_at(step) for step in (0, 10, 25, 40, 99)]
    assert shares == pytest.approx([0.0, 0.0, 0.5, 1.0, 1.0])


def test_the_weights_of_an_ensemble_for_classes_are_averaged() -> None:
    plan, decisions = make_plan(Settings(), Shape(4, (), 2, 100))
    assert plan.ema == pytest.approx(0.98)
    assert any(decision.what == "averaging" for decision in decisions)
    for settings, outputs in ((Settings(), 1), (Settings(ema=0), 2), (Settings(network="mlp"), 2)):
        assert make_plan(settings, Shape(4, (), outputs, 100))[0].ema == 0


def test_batches_of_very_many_rows_stay_small_enough_for_memory() -> None:
    sizes = [choose_batch_size(rows) for rows in (1_000, 50_000, 100_000, 300_000, 10**6, 10**8)]
    assert sizes == sorted(sizes) and sizes[1] == 256 and set(sizes[3:]) == {LARGEST_BATCH}


TEXTS = Shape(0, (), 3, 5_000, text=TextShape("pretrained", 101, 16, (16,), '{"model_type": "bert"}'))


@pytest.mark.parametrize(
    ("given", "frozen", "learning"),
    [
        ({"unfreeze": False}, 19, 0),
        ({"unfreeze": False, "epochs": 7}, 7, 0),
        ({"unfreeze": False, "epochs": 7, "frozen_epochs": 3}, 7, 0),  # it does not learn, whatever is left
        ({"unfreeze": False, "frozen_epochs": 0}, 19, 0),  # something must
        ({"unfreeze": True}, 19, 10),
        ({"unfreeze": True, "epochs": 8}, 4, 4),
        ({"unfreeze": True, "epochs": 8, "frozen_epochs": 6}, 6, 2),
        ({"unfreeze": True, "epochs": 8, "frozen_epochs": 9}, 8, 0),
        ({"unfreeze": True, "frozen_epochs": 0}, 0, 10),
    ],
)
def test_a_pretrained_trunk_rests_and_then_learns(given: dict[str, Any], frozen: int, learning: int) -> None:
    plan, decisions = make_plan(Settings(network="pretrained", **given), TEXTS)
    assert (plan.frozen_epochs, plan.epochs - plan.frozen_epochs) == (frozen, learning)
    said = next(decision.chosen for decision in decisions if decision.what == "epochs")
    assert ("too" in said) == bool(frozen and learning)
    stopping = next(decision.chosen for decision in decisions if decision.what == "early stopping")
    assert (stopping == "none") == (learning == 0) and ("once the pre" in stopping) == bool(frozen and learning)
    # The outputs take all of their epochs; a trunk that has brought nothing for a third of its own is left alone.
    assert plan.first_patience >= frozen
    assert plan.patience == {10: 4, 4: 2, 2: 2, 0: 3}[learning]
    assert make_plan(Settings(network="pretrained", patience=5, **given), TEXTS)[0].patience == 5


def test_what_stands_beside_a_trunk_learns_faster_than_the_trunk_would() -> None:
    trunk, beside = (make_plan(Settings(network="pretrained", unfreeze=True, lora=rank), TEXTS)[0] for rank in (0, 8))
    assert beside.trunk_rate == 5 * trunk.trunk_rate
