"""Dropout from a pool of ready-made masks.

Drawing a fresh random number for every neuron of every row costs ten times more on a CPU than the
matrix product of the layer. Here a step cuts its mask out of a long strip of random numbers, drawn
once, at a random place: one random number per layer and step instead of one per neuron.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALLEST_POOL, LARGEST_POOL = 2**20, 2**26


class Dropout(nn.Module):
    """Silence each number with probability `p` while training; the others are scaled up by 1 / (1 - p).

    The place in the pool comes from PyTorch's random state, so it is part of the loop's state.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    @property
    def is_active(self) -> bool:
        return self.training and self.p > 0

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.is_active:
            return inputs
        mask = self.mask(inputs)
        return F.dropout(inputs, self.p) if mask is None else inputs * mask

    def mask(self, inputs: Tensor) -> Tensor | None:
        """0 or 1 / (1 - p) for each input; None where there is no pool (very large inputs, other devices)."""
        size = inputs.numel()
        # Large enough that cuts seldom begin near each other, small enough to stay in the processor's cache.
        pool_size = max(SMALLEST_POOL, 1 << (2 * size - 1).bit_length())
        if pool_size > LARGEST_POOL or inputs.device.type != "cpu":
            return None
        begin = int(torch.randint(pool_size - size, ()))
        strip: Tensor = pool(self.p, inputs.dtype, pool_size)[begin : begin + size]
        return strip.view(inputs.shape)

    def after_relu(self, sums: Tensor) -> Tensor:
        """ReLU, then dropout, in fewer passes over the neurons than the two take alone."""
        mask = self.mask(sums) if self.is_active else None
        if mask is None:
            return self.forward(sums.relu())
        fired: Tensor = _ReluAndDropout.apply(sums, mask, scale(self.p, sums.dtype))  # type: ignore[no-untyped-call]
        return fired

    def extra_repr(self) -> str:
        return f"p={self.p}"


class _ReluAndDropout(torch.autograd.Function):
    """mask * max(0, sums). Where that is positive, the neuron fired and was kept: there its gradient passes."""

    @staticmethod
    def forward(ctx: Any, sums: Tensor, mask: Tensor, scale: float) -> Tensor:
        fired = sums.relu().mul_(mask)
        ctx.save_for_backward(fired)
        ctx.scale = scale
        return fired

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (fired,) = ctx.saved_tensors
        passed = torch.ops.aten.threshold_backward(gradients[0], fired, 0)
        return passed.mul_(ctx.scale), None, None


@lru_cache(maxsize=16)
def pool(p: float, dtype: torch.dtype, size: int) -> Tensor:
    """The strip of masks for one rate: a constant, the same in every process."""
    generator = torch.Generator().manual_seed(20_260_101)
    kept = torch.rand(size, generator=generator) >= p
    masks: Tensor = kept.to(dtype) * scale(p, dtype)
    return masks


@lru_cache(maxsize=16)
def scale(p: float, dtype: torch.dtype) -> float:
    """1 / (1 - p), as rounded in `dtype`."""
    return float(torch.tensor(1.0 / (1.0 - p), dtype=dtype).item())
