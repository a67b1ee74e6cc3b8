"""The optimizers are torch's own, to the bit, without the import of its compiler."""

from __future__ import annotations

import copy
import sys
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from nudgenet.networks.bag import BagNetwork
from nudgenet.networks.mlp import MLP
from nudgenet.records import Shape, TextShape
from nudgenet.settings import Settings
from nudgenet.training.optimizers import make_optimizer, without_compiler
from nudgenet.training.plan import make_plan

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


def test_beside_other_columns_terms_move_by_their_gradients() -> None:
    """Of two terms, one in every text and one in a single one, the common one moves more; with Adam as it is, both alike."""
    shape = Shape(1, (), 2, 64, text=TextShape("bag", 20, 4))
    moves = []
    for is_gentle in (True, False):
        torch.manual_seed(0)
        rest = partial(MLP, num_layers=1, width=4)
        network = BagNetwork(shape, rest, is_gentle=is_gentle)
        before = network.terms.detach().clone()
        plan, _ = make_plan(Settings(network="bag", weight_decay=0.0, warmup=0.0), shape)
        optimizer = make_optimizer(network, plan)
        tokens = torch.ones(64, 4, dtype=torch.int32) * torch.tensor([1, 0, 0, 0], dtype=torch.int32)
        tokens[0, 1] = 2
        inputs = {
            "numbers": torch.zeros(64, 1), "categories": torch.zeros(64, 0, dtype=torch.int64), "tokens": tokens,
            "token_weights": (tokens > 0).float(),
        }  # fmt: skip
        F.cross_entropy(network(inputs), torch.zeros(64, dtype=torch.int64)).backward()
        optimizer.step()
        moved, sizes = (network.terms.detach() - before).abs(), network.terms.grad.abs()  # type: ignore[union-attr]
        eps = 2e-2 if is_gentle else 1e-8
        torch.testing.assert_close(moved, plan.learning_rate * sizes / (sizes + eps))  # Adam's first step
        moves.append(float(moved[1].sum() / moved[2].sum()))
    assert moves[0] > 1.5 and moves[1] == pytest.approx(1.0, abs=0.01)
