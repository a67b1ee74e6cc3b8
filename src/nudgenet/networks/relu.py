"""Layers of ReLU neurons as one function, forward and backward, in as few passes over memory as it takes.

Small networks on a CPU are bound by the passes between the matrix products, not by the products. Three
facts make most of these passes cheap or needless:

- The bits of a positive floating-point number, read as an integer, are positive, those of a negative one
  negative. So the kink is a clamp of integers at 0, and silencing a neuron is an upper limit of 0 in the
  same clamp: one pass, which need not convert bfloat16 to and fro.
- relu(scale * sums) = scale * relu(sums) for a positive scale: dropout's scale rides on the product.
- Where a neuron fired, its integer is at least 1. Limited to 1 it is the mask of the backward pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

INTEGERS = {torch.bfloat16: torch.int16, torch.float32: torch.int32, torch.float64: torch.int64}


def relu_layer(inputs: Tensor, weights: Tensor, biases: Tensor, ceiling: Tensor | None, scale: float) -> Tensor:
    """scale * relu(inputs @ weights.T + biases), with 0 where the ceiling is 0.

    Args:
        inputs: (rows, num_inputs) or, for a stack of layers, (layers, rows, num_inputs); the products are computed in its type.
        weights, biases: (width, num_inputs) and (width,), or (layers, ...), of any floating-point type.
        ceiling: as many integers as there are sums, as wide as the inputs' numbers: 0 for a silenced neuron, else
            the type's largest. None: all may fire.
        scale: positive.

    Returns:
        (rows, width) or (layers, rows, width) in the inputs' type. A sum that is not a number may count as 0
        here; the weights' gradient then still is not a number.
    """
    fired: Tensor = _ReluLayer.apply(inputs, weights, biases, ceiling, scale)  # type: ignore[no-untyped-call]
    return fired


class _ReluLayer(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weights: Tensor, biases: Tensor, ceiling: Tensor | None, scale: float
    ) -> Tensor:
        kind = inputs.dtype
        rounded = weights.to(kind)
        fired = product(inputs, rounded.transpose(-1, -2), scale, biases.to(kind).unsqueeze(-2))
        bits = fired.view(INTEGERS[kind]).flatten()
        if ceiling is None:
            bits.clamp_(min=0)
        else:
            torch.clamp(bits, min=torch.zeros((), dtype=bits.dtype), max=ceiling, out=bits)
        ctx.save_for_backward(inputs, rounded, fired)
        ctx.scale, ctx.kind = scale, weights.dtype
        return fired

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None, None]:
        inputs, rounded, fired = ctx.saved_tensors
        integer = INTEGERS[fired.dtype]
        passed = fired.view(integer).clamp(max=1).mul_(gradients[0].view(integer)).view(fired.dtype)
        of_inputs = product(passed, rounded, ctx.scale) if ctx.needs_input_grad[0] else None
        of_weights = product(passed.transpose(-1, -2), inputs, ctx.scale).to(ctx.kind)
        of_biases = passed.sum(-2).to(ctx.kind).mul_(ctx.scale)
        return of_inputs, of_weights, of_biases, None, None


def product(one: Tensor, other: Tensor, scale: float, plus: Tensor | None = None) -> Tensor:
    """scale * (one @ other + plus), of matrices or stacks of them."""
    multiply = torch.addmm if one.ndim == 2 else torch.baddbmm
    if plus is None:
        return multiply(one.new_empty(()), one, other, alpha=scale, beta=0)
    return multiply(plus, one, other, alpha=scale, beta=scale)
