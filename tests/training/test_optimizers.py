"""The optimizers are torch's own, to the bit, without the import of its compiler."""

from __future__ import annotations

import copy
import sys
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from nudgenet.training.optimizers import without_compiler

OPTIONS: dict[type[Optimizer], dict[str, Any]] = {
    SGD: {"lr": 0.1, "momentum": 0.9, "fused": True},
    Adam: {"lr": 0.01, "fused": True},
    AdamW: {"lr": 0.01, "weight_decay": 0.1, "fused": True},
}

UPDATES = {SGD: None, Adam: torch._fused_adam_, AdamW: torch._fused_adamw_}


def steps(network: nn.Module, optimizer: Optimizer, seed: int) -> list[torch.Tensor]:
    torch.manual_seed(seed)
    for _ in range(5):
        optimizer.zero_grad()
        network(torch.randn(7, 3)).square().sum().backward()
        optimizer.step()
    return [parameter.detach().clone() for parameter in network.parameters()]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))


@pytest.mark.parametrize("kind", list(OPTIONS))
def test_steps_are_those_of_torch_and_do_not_import_its_compiler(
    kind: type[Optimizer], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = network()
    expected = steps(plain, kind(plain.parameters(), **OPTIONS[kind]), seed=1)  # type: ignore[call-arg]
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # from here on, importing it is an error
    ours = network()
    optimizer = without_compiler(kind, UPDATES[kind])(ours.parameters(), **OPTIONS[kind])
    assert isinstance(optimizer, kind)
    assert all(torch.equal(*pair) for pair in zip(steps(ours, optimizer, seed=1), expected, strict=True))

    again = network()
    again.load_state_dict(ours.state_dict())
    other = without_compiler(kind, UPDATES[kind])(again.parameters(), **OPTIONS[kind])
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert all(
        torch.equal(*pair) for pair in zip(steps(again, other, seed=2), steps(ours, optimizer, seed=2), strict=True)
    )


@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_a_layer_that_is_frozen_at_first_learns_later(kind: type[Optimizer]) -> None:
    """Its running averages begin when its first gradient comes, while the others' are there already."""
    results = []
    for make in (kind, without_compiler(kind, UPDATES[kind])):
        learner = network()
        optimizer = make(learner.parameters(), **OPTIONS[kind])  # type: ignore[call-arg, operator]
        for is_frozen in (True, False, True):
            learner[0].requires_grad_(not is_frozen)
            optimizer.zero_grad()
            results.append(steps(learner, optimizer, seed=3))
    for expected, found in zip(results[:3], results[3:], strict=True):
        assert all(torch.equal(*pair) for pair in zip(expected, found, strict=True))
