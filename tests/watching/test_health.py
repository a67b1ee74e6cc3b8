"""Layers that are ill get a line that says why and what to try; healthy ones get none."""

from __future__ import annotations

from typing import Any

import pytest

from nudgenet.settings import Settings, parse_assignments
from nudgenet.watching.health import find_ill


def layer(**changes: Any) -> dict[str, Any]:
    well = {"neurons": 64, "dead": 0.1, "saturated": None, "gradient_norm": 0.5, "update_ratio": 1e-3}
    return well | changes


def test_a_healthy_network_gets_no_line() -> None:
    layers = {"embedding": layer(update_ratio=1e-7), "layer1": layer(), "output": layer(neurons=0, dead=None)}
    assert find_ill(layers, learning_rate=0.02) == {}
    assert find_ill({}, learning_rate=0.02) == {}
    nothing = {"neurons": 0, "dead": None, "saturated": None, "gradient_norm": None, "update_ratio": None}
    assert find_ill({"layer1": nothing, "output": nothing}, learning_rate=0.02) == {}


def test_dead_neurons_are_counted() -> None:
    found = find_ill({"layer1": layer(dead=20 / 64), "layer2": layer(dead=0.2)}, learning_rate=0.02)
    assert found == {
        "layer1": "20 of 64 neurons never fire. Learning rate too high? Try a third: --set learning_rate=0.0067"
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"saturated": 0.8, "dead": None}, "80% of what these neurons answer"),
        ({"update_ratio": 0.5}, "moves these weights by 0.5 of their size"),
        ({"update_ratio": 1e-7}, "Learning rate too low? Try three times as much: --set learning_rate=0.06"),
        ({"gradient_norm": 1e-6}, "is 1/500,000 of the outputs': it vanishes"),
        ({"gradient_norm": 0.0}, "is nothing beside the outputs': it vanishes"),
        ({"gradient_norm": 1e5}, "is 200,000 times the outputs': it explodes"),
    ],
)
def test_every_illness_has_its_line(changes: dict[str, Any], words: str) -> None:
    found = find_ill({"layer1": layer(**changes), "layer2": layer(), "output": layer()}, learning_rate=0.02)
    assert found.keys() == {"layer1"} and words in found["layer1"]


def test_below_a_dead_layer_no_gradient_is_missed() -> None:
    layers = {"layer1": layer(gradient_norm=0.0), "layer2": layer(dead=1.0, gradient_norm=0.0), "output": layer()}
    assert find_ill(layers, learning_rate=0.3).keys() == {"layer2"}


def test_small_steps_are_meant_while_the_learning_rate_is_small() -> None:
    layers = {"layer1": layer(update_ratio=1e-7)}
    assert find_ill(layers, learning_rate=0.02, rate_now=0.0001) == {}
    assert find_ill(layers, learning_rate=0.02, rate_now=0.02) != {}


@pytest.mark.parametrize("rate", [3.0, 0.1, 0.02, 1e-3, 5e-5, 1e-9])
def test_what_it_says_to_try_can_be_typed(rate: float) -> None:
    line = find_ill({"layer1": layer(dead=0.9)}, learning_rate=rate)["layer1"]
    assignment = line.rpartition("--set ")[2]
    assert Settings(**parse_assignments([assignment])).learning_rate == pytest.approx(rate / 3, rel=0.05)
