"""The multilayer perceptron, its size and how it begins."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from conftest import make_prepared
from nudgenet.networks import NETWORKS
from nudgenet.networks.capacity import ENSEMBLES, choose_capacity, explain_capacity
from nudgenet.networks.embeddings import CategoryEmbedding
from nudgenet.networks.mlp import MLP, num_parameters
from nudgenet.networks.neurons import KINKS
from nudgenet.records import Shape
from nudgenet.settings import Settings


def test_equals_a_calculation_by_hand() -> None:
    """Every neuron: weighted sum + bias, then the kink."""
    shape = Shape(3, (4, 2), 2, 100)
    network = MLP(shape, num_layers=2, width=5, dropout=0.5).eval()
    numbers, categories = torch.randn(6, 3), torch.tensor([[0, 1], [3, 0], [1, 1], [2, 0], [0, 0], [3, 1]])
    w = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    table = w["embedding.table.weight"]
    inputs = np.concatenate([numbers.numpy(), table[categories[:, 0]], table[4 + categories[:, 1]]], axis=1)
    for layer in range(2):
        inputs = np.maximum(inputs @ w[f"layers.{layer}.sum.weight"].T + w[f"layers.{layer}.sum.bias"], 0)
    expected = inputs @ w["output.weight"].T + w["output.bias"]
    outputs = network({"numbers": numbers, "categories": categories})
    np.testing.assert_allclose(outputs.detach().numpy(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activation", sorted(KINKS))
@pytest.mark.parametrize("normalisation", ["none", "layer", "batch"])
@pytest.mark.parametrize("residual", [False, True])
def test_every_variant_runs_forward_and_backward(activation: str, normalisation: str, residual: bool) -> None:
    data = make_prepared()
    settings = Settings(
        network="mlp", layers=3, width=8, activation=activation, normalisation=normalisation, residual=residual
    )
    network = NETWORKS["mlp"](data.shape, choose_capacity(data.shape, settings), settings, torch.zeros(0, 3))
    outputs = network(data.train.inputs)
    assert outputs.shape == (len(data.train), data.shape.num_outputs)
    outputs.sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())


@pytest.mark.parametrize(("activation", "lowest"), [("relu", 0.4), ("gelu", 0.2), ("silu", 0.05), ("tanh", 0.3)])
def test_signals_keep_their_size_through_many_layers(activation: str, lowest: float) -> None:
    torch.manual_seed(0)
    network = MLP(Shape(64, (), 1, 1000), num_layers=8, width=256, activation=activation)
    features = torch.randn(512, 64)
    with torch.no_grad():
        deep = network.layers(features)
    assert lowest < deep.square().mean().sqrt() < 2


def test_no_hidden_layer_is_a_linear_model() -> None:
    network = MLP(Shape(3, (), 1, 100), num_layers=0, width=8)
    a, b = torch.randn(5, 3), torch.randn(5, 3)
    zero = {"numbers": torch.zeros(5, 3)}
    out = [network({"numbers": x}) - network(zero) for x in (a, b, a + b)]
    torch.testing.assert_close(out[0] + out[1], out[2])
    assert num_parameters(network) == 4


def test_embedding_looks_up_each_columns_own_rows() -> None:
    embedding = CategoryEmbedding((3, 5))
    assert embedding.table.num_embeddings == 8
    codes = torch.tensor([[2, 0], [0, 4]])
    expected = torch.cat([embedding.table.weight[codes[:, 0]], embedding.table.weight[3 + codes[:, 1]]], dim=1)
    assert torch.equal(embedding(codes), expected)
    assert not embedding.table.weight[[0, 3]].any()  # the unknown codes begin at zero


def test_capacity_grows_with_the_rows_and_settings_win() -> None:
    for network in NETWORKS:
        settings, rows = Settings(network=network), (50, 500, 1_200, 5_000, 50_000, 10**6)
        sizes = [choose_capacity(Shape(10, (), 1, num_rows), settings) for num_rows in rows]
        assert [c.width for c in sizes] == sorted(c.width for c in sizes)
        assert all(math.log2(c.width).is_integer() for c in sizes)
        assert all((c.members > 1) == (network in ENSEMBLES) for c in sizes)
    assert choose_capacity(Shape(10, (), 1, 50), Settings(layers=5, width=7, dropout=0.0)).width == 7
    capacity = choose_capacity(Shape(10, (), 1, 1_200), Settings(network="mlp"))
    said = explain_capacity(capacity, Shape(10, (), 1, 1_200), 1_731, Settings())[0]
    assert "1,731 knobs" in said.chosen and "1,200 training rows" in said.why


def test_more_effort_is_more_copies_not_wider_networks() -> None:
    """Wider ones did worse on classes than as many copies of the usual width: benchmarks/LOG.md."""
    for outputs in (1, 3):
        default, best = (
            choose_capacity(Shape(10, (), outputs, 1_200), Settings(effort=e)) for e in ("default", "best")
        )
        assert (best.width, best.members, best.copies) == (default.width, default.members, 4) and default.copies == 1


def test_multiply_adds_counts_the_linear_layers() -> None:
    shape = Shape(10, (), 3, 1_200)
    capacity = choose_capacity(shape, Settings(network="mlp", layers=2, width=32))
    network = MLP(shape, num_layers=2, width=32)
    weights = sum(m.weight.numel() for m in network.modules() if isinstance(m, nn.Linear))
    assert capacity.multiply_adds(shape) == weights
