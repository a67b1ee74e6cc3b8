"""A convolution whose gradient is quick for small maps, too.

The kernels that sum the weights' gradient in bfloat16 work along one row of a map at a time, and the matrix unit
starves on rows of seven pixels or three: that one product of three then takes longer than the others together. So
before it, maps are laid side by side, a pixel of nothing between them, until a row is long. The sums are the same.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SHORT = 8  # pixels: rows up to here are laid side by side (longer ones gain nothing: benchmarks/LOG.md)
LONG = 32  # pixels: about how long a row is then


class Convolution(nn.Conv2d):
    """3 x 3, one pixel of zeros around: `num_inputs` maps -> `num_outputs` maps of the same size."""

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__(num_inputs, num_outputs, 3, padding=1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        coarse = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
        if self.training and coarse and maps.device.type == "cpu" and maps.shape[3] <= SHORT:
            rounded = maps.to(torch.bfloat16), self.weight.to(torch.bfloat16)
            quick: Tensor = _ShortRows.apply(*rounded)  # type: ignore[no-untyped-call]
            return quick
        return super().forward(maps)


class _ShortRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, maps: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(maps, weights)
        return F.conv2d(maps, weights, padding=1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor]:
        maps, weights = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        of_maps = _gradients(gradient, maps, weights, 0) if ctx.needs_input_grad[0] else None
        of_weights = _gradients(side_by_side(gradient), side_by_side(maps), weights, 1)
        assert of_weights is not None
        return of_maps, of_weights


def side_by_side(maps: Tensor) -> Tensor:
    """(rows, channels, height, width) -> fewer, wider ones with a column of zeros after each map."""
    height, width = maps.shape[2:]
    count = max(1, LONG // (width + 1))
    lying = maps.permute(0, 2, 3, 1)  # as they lie in memory: channels last
    if missing := -len(maps) % count:
        lying = F.pad(lying, (0, 0, 0, 0, 0, 0, 0, missing))
    rows, channels = len(lying) // count, maps.shape[1]
    wide = maps.new_zeros(rows, height, count, width + 1, channels)
    wide[:, :, :, :width] = lying.reshape(rows, count, height, width, channels).transpose(1, 2)
    return wide.view(rows, height, count * (width + 1), channels).permute(0, 3, 1, 2)


def _gradients(gradient: Tensor, maps: Tensor, weights: Tensor, of: int) -> Tensor | None:
    """The gradient with respect to the maps (`of` 0) or the weights (1)."""
    mask = [of == 0, of == 1, False]
    found: tuple[Tensor | None, ...] = torch.ops.aten.convolution_backward(
        gradient, maps, weights, None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, mask
    )
    return found[of]
