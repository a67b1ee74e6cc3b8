"""Dropout from a pool of ready-made masks.

Drawing a fresh random number for every neuron of every row costs ten times more on a CPU than the
matrix product of the layer. Here a step cuts its mask out of a long strip of random numbers, drawn
once, at a random place: one random number per layer and step instead of one per neuron.
"""

from __future__ import annotations

from functools import lru_cache

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

    @property
    def scale(self) -> float:
        """What the kept numbers are multiplied by, so that sums of them stay as large as without dropout."""
        return 1.0 / (1.0 - self.p) if self.is_active else 1.0

    def forward(self, inputs: Tensor) -> Tensor:
        if not self.is_active:
            return inputs
        mask = None if inputs.device.type != "cpu" else self.mask(inputs.numel(), inputs.dtype, self.scale)
        return F.dropout(inputs, self.p) if mask is None else inputs * mask.view(inputs.shape)

    def mask(self, size: int, dtype: torch.dtype, kept: float) -> Tensor | None:
        """`size` times 0 or `kept`, at random; None where there is no pool (very large layers)."""
        # Large enough that cuts seldom begin near each other, small enough to stay in the processor's cache.
        pool_size = max(SMALLEST_POOL, 1 << (2 * size - 1).bit_length())
        if pool_size > LARGEST_POOL:
            return None
        begin = int(torch.randint(pool_size - size, ()))
        return pool(self.p, dtype, kept, pool_size)[begin : begin + size]

    def extra_repr(self) -> str:
        return f"p={self.p}"


@lru_cache(maxsize=16)
def pool(p: float, dtype: torch.dtype, kept: float, size: int) -> Tensor:
    """The strip of masks for one rate: a constant, the same in every process."""
    generator = torch.Generator().manual_seed(20_260_101)
    masks = torch.empty(size, dtype=dtype)
    for piece in torch.split(
        masks, SMALLEST_POOL
    ):  # all random numbers at once would take several times the strip's memory
        piece.copy_(torch.rand(len(piece), generator=generator) >= p).mul_(kept)
    return masks
