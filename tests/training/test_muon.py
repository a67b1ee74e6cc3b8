"""Muon against plain references: the iteration as it is published, AdamW for what is no convolution."""

from __future__ import annotations

import copy
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from nudgenet.training import muon
from nudgenet.training.muon import ADAM_SIZE, MOMENTUM, Muon, orthogonalised
from nudgenet.training.optimizers import without_compiler


def published(matrix: Tensor) -> Tensor:
    """Five rounds on the whole matrix, in double precision."""
    linear, cubic, quintic = 3.4445, -4.7750, 2.0315
    turned = matrix.double() / matrix.double().norm()
    for _ in range(5):
        squares = turned @ turned.T
        turned = linear * turned + cubic * squares @ turned + quintic * squares @ squares @ turned
    return turned


def matrix(rows: int, columns: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 24), st.integers(1, 40), st.integers(0, 99))
def test_it_is_the_published_iteration(rows: int, columns: int, seed: int) -> None:
    given_matrix = matrix(rows, columns, seed)
    expected = published(given_matrix) if rows <= columns else published(given_matrix.T).T
    assert torch.allclose(orthogonalised(given_matrix).double(), expected, atol=2e-3)


def test_all_directions_become_about_equally_long_and_stay_where_they_point() -> None:
    left, _, right = torch.linalg.svd(matrix(12, 30), full_matrices=False)
    stretched = left @ torch.diag(torch.logspace(0, -1.5, 12)) @ right
    turned = left.T @ orthogonalised(stretched) @ right.T
    lengths = turned.diagonal()
    assert lengths.min() > 0.68 and lengths.max() < 1.14
    assert (turned - torch.diag(lengths)).abs().max() < 1e-3


def test_nothing_to_learn_moves_nothing() -> None:
    assert orthogonalised(torch.zeros(3, 5)).abs().max() == 0


def network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 3, 3), nn.Flatten(), nn.Linear(12, 2))
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def backward(net: nn.Module, seed: int) -> None:
    net.zero_grad()
    inputs = torch.randn(5, 2, 6, 6, generator=torch.Generator().manual_seed(seed))
    net(inputs).square().sum().backward()


def test_a_convolution_moves_by_the_orthogonal_of_where_it_is_going_to_be() -> None:
    net = network()
    weight = net[0].weight
    optimizer = without_compiler(Muon)([{"params": [weight], "weight_decay": 0.1}], lr=0.01)
    expected, memory = weight.detach().clone(), torch.zeros_like(weight)
    for seed in range(3):
        backward(net, seed)
        gradient = weight.grad.clone()  # type: ignore[union-attr]
        memory = MOMENTUM * memory + (1 - MOMENTUM) * gradient
        ahead = (MOMENTUM * memory + (1 - MOMENTUM) * gradient).flatten(1)
        turned = published(ahead).float().view_as(weight)
        expected = (1 - 0.01 * 0.1) * expected - 0.01 * ADAM_SIZE * 18**0.5 * turned
        optimizer.step()
        assert torch.allclose(weight, expected, atol=1e-5)


def test_everything_else_moves_as_adamw_moves_it() -> None:
    ours, plain = network(), network()
    optimizer = without_compiler(Muon)([{"params": list(ours.parameters()), "weight_decay": 0.1}], lr=0.01)
    reference = torch.optim.AdamW([p for p in plain.parameters() if p.ndim != 4], lr=0.01, weight_decay=0.1, fused=True)
    convolutions = [(a, b) for a, b in zip(ours.parameters(), plain.parameters(), strict=True) if a.ndim == 4]
    for seed in range(4):
        backward(ours, seed)
        backward(plain, seed)
        optimizer.step()
        reference.step()
        with torch.no_grad():
            for own, other in convolutions:
                other.copy_(own)
    assert all(torch.equal(*pair) for pair in zip(ours.parameters(), plain.parameters(), strict=True))


def test_it_goes_on_from_its_state_and_does_not_import_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    nets = [network(), network()]
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)  # from here on, importing it is an error
    optimizers = [without_compiler(Muon)([{"params": list(net.parameters())}], lr=0.01) for net in nets]
    backward(nets[0], 0)
    optimizers[0].step()
    nets[1].load_state_dict(nets[0].state_dict())
    optimizers[1].load_state_dict(copy.deepcopy(optimizers[0].state_dict()))
    for net, optimizer in zip(nets, optimizers, strict=True):
        backward(net, 1)
        optimizer.step()
    assert all(torch.equal(*pair) for pair in zip(nets[0].parameters(), nets[1].parameters(), strict=True))


def test_frozen_layers_stay() -> None:
    net = network()
    before = copy.deepcopy(net.state_dict())
    net[2].weight.requires_grad_(False)
    backward(net, 0)
    without_compiler(Muon)([{"params": list(net.parameters())}], lr=0.01).step()
    assert torch.equal(net[2].weight, before["2.weight"])
    assert not torch.equal(net[0].weight, before["0.weight"])
    assert muon.ROUNDS == 5
