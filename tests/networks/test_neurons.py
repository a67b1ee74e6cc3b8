"""Neurons with given weights, alone and stacked, and the function that computes a ReLU layer in one go."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nudgenet.networks.neurons import KINKS, NORMS, Neurons
from nudgenet.networks.relu import INTEGERS, relu_layer

TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5, torch.bfloat16: 3e-2}


def layer(kind: torch.dtype, *leading: int) -> list[Tensor]:
    """Inputs (30, 7), weights (5, 7), biases (5,) and slopes (30, 5), each behind the leading dimensions."""
    torch.manual_seed(0)
    inputs, weights, biases, slopes = (torch.randn(*leading, *size) for size in ((30, 7), (5, 7), (5,), (30, 5)))
    return [inputs.to(kind), weights.double(), biases.double(), slopes.to(kind)]


@pytest.mark.parametrize("kind", sorted(TOLERANCES, key=str))
@pytest.mark.parametrize("leading", [(), (3,)], ids=["one", "stack"])
@pytest.mark.parametrize("silences", [True, False])
def test_a_relu_layer_equals_its_parts(kind: torch.dtype, leading: tuple[int, ...], silences: bool) -> None:
    inputs, weights, biases, slopes = layer(kind, *leading)
    integer = INTEGERS[kind]
    kept = torch.rand(slopes.shape) < 0.7 if silences else torch.ones(slopes.shape, dtype=torch.bool)
    ceiling = (kept.to(integer) * torch.iinfo(integer).max).flatten() if silences else None
    ours = [tensor.clone().requires_grad_() for tensor in (inputs, weights, biases)]
    fired = relu_layer(*ours, ceiling, 1.25)
    fired.backward(slopes)  # type: ignore[no-untyped-call]

    apart = [tensor.double().requires_grad_() for tensor in (inputs, weights, biases)]
    sums = apart[0] @ apart[1].transpose(-1, -2) + apart[2].unsqueeze(-2)
    expected = 1.25 * sums.relu() * kept
    expected.backward(slopes.double())
    assert fired.dtype == kind
    for one, other in zip([fired, *(t.grad for t in ours)], [expected, *(t.grad for t in apart)], strict=True):
        assert one is not None and other is not None
        size = float(other.detach().abs().max())
        torch.testing.assert_close(one.double(), other, rtol=TOLERANCES[kind], atol=TOLERANCES[kind] * size)


def test_neither_kink_nor_mask_hides_what_is_not_a_number() -> None:
    inputs, weights, biases, slopes = layer(torch.float32)
    inputs[3, 2] = float("nan")
    weights.requires_grad_()
    relu_layer(inputs, weights, biases, None, 1.0).backward(slopes)  # type: ignore[no-untyped-call]
    assert weights.grad is not None and weights.grad.isnan().any()


@pytest.mark.parametrize("kink", sorted(KINKS))
@pytest.mark.parametrize("norm", sorted(NORMS))
@pytest.mark.parametrize("training", [True, False])
def test_a_stack_gives_what_its_layers_give(kink: str, norm: str, training: bool) -> None:
    inputs, weights, biases, _ = layer(torch.float32, 3)
    weights, biases = weights.float(), biases.float()
    neurons = Neurons(5, activation=kink, dropout=0.0, normalisation=norm).train(training)
    stacked = neurons(inputs, weights, biases)
    assert stacked.shape == (3, 30, 5)
    if norm != "batch" or not training:  # a batch normalisation looks at all rows of the stack
        apart = torch.stack([neurons(*of_one) for of_one in zip(inputs, weights, biases, strict=True)])
        torch.testing.assert_close(stacked, apart)
    below = neurons(inputs[0], weights.flatten(0, 1), biases.flatten())  # three layers over the same inputs
    if norm != "batch" or not training:
        same = torch.stack([neurons(inputs[0], *of_one) for of_one in zip(weights, biases, strict=True)], dim=1)
        torch.testing.assert_close(below, same.flatten(0, 1))


def test_the_fused_function_is_used_where_it_can_be_and_draws_the_same_mask() -> None:
    inputs, weights, biases, _ = layer(torch.float32)
    neurons = Neurons(5, activation="relu", dropout=0.4, normalisation="none")
    torch.manual_seed(1)
    fused = neurons(inputs, weights, biases)
    assert float((fused == 0).float().mean()) > 0.5
    torch.manual_seed(1)
    mask = neurons.dropout(torch.ones(30, 5))
    sums = inputs @ weights.float().T + biases.float()
    torch.testing.assert_close(fused, sums.relu() * mask)
