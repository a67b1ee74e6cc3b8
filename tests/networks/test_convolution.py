"""The quick gradient of small maps, against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from nudgenet.networks.convolution import SHORT, Convolution, side_by_side


def both(side: int, rows: int) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """(outputs, gradient of the maps, gradient of the weights): ours in bfloat16, and those of the same rounded
    numbers in float64."""
    torch.manual_seed(0)
    layer = Convolution(5, 6)
    maps = torch.randn(rows, 5, side, side + 1).bfloat16().float().requires_grad_()
    layer.weight.data = layer.weight.data.bfloat16().float()
    nudges = torch.randn(rows, 6, side, side + 1).bfloat16().float()
    with torch.autocast("cpu", torch.bfloat16):
        ours = layer(maps)
    (ours.float() * nudges).sum().backward()
    exact, weights = maps.detach().double().requires_grad_(), layer.weight.detach().double().requires_grad_()
    theirs = F.conv2d(exact, weights, padding=1)
    (theirs * nudges).sum().backward()
    assert maps.grad is not None and layer.weight.grad is not None
    assert exact.grad is not None and weights.grad is not None
    return [ours, maps.grad, layer.weight.grad], [theirs, exact.grad, weights.grad]


@pytest.mark.parametrize("side", [1, 3, 7, SHORT + 2])
@pytest.mark.parametrize("rows", [1, 5, 32])
def test_outputs_and_gradients_are_those_of_a_convolution(side: int, rows: int) -> None:
    for ours, theirs in zip(*both(side, rows), strict=True):
        assert torch.allclose(ours.double(), theirs, rtol=0.02, atol=0.02 * float(theirs.detach().abs().max()))


def test_the_gradient_of_the_weights_is_kept_in_their_own_type() -> None:
    ours, _ = both(3, 4)
    assert ours[0].dtype == torch.bfloat16
    assert ours[2].dtype == torch.float32


def test_without_autocast_it_is_the_plain_convolution() -> None:
    torch.manual_seed(0)
    layer, maps = Convolution(2, 3), torch.randn(4, 2, 3, 3)
    assert torch.equal(layer(maps), F.conv2d(maps, layer.weight, padding=1))


def test_maps_side_by_side_are_kept_apart() -> None:
    maps = torch.arange(1.0, 1 + 9 * 2 * 2 * 7).view(9, 2, 2, 7).contiguous(memory_format=torch.channels_last)
    wide = side_by_side(maps)
    assert wide.shape == (3, 2, 2, 32)  # four to a row; three are missing in the last
    assert torch.equal(wide[1, :, :, 8:15], maps[5])
    assert wide[:, :, :, 7::8].abs().sum() == 0
    assert wide.sum() == maps.sum()
