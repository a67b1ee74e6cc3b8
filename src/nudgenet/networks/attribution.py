"""Where in its input a network found what speaks for an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nudgenet.networks.convnet import ConvNet
from nudgenet.networks.pretrained import PretrainedNetwork
from nudgenet.networks.trunks import block_of

ROWS_AT_ONCE = 16  # of one pass: what is caught on the way belongs to these rows alone


def heat_maps(network: nn.Module, inputs: Mapping[str, Tensor], outputs: Tensor) -> Tensor | None:
    """How much each place of a picture spoke for an output, from 0 to 1: float32 (rows, height, width).

    Each of the last maps counts by how much the output would grow with it, averaged over its places (Grad-CAM: Selvaraju
    et al., arXiv 1610.02391). Where maps are averaged and weighed to give the output, as in our ConvNet, that is what they
    added to it. Of a transformer the maps are what its last layer is told of each patch.

    Args:
        network: in evaluation mode.
        inputs: prepared rows with "images"; of a sound with several windows its middle one is looked at.
        outputs: int64 (rows,), the output of each row that is asked about.

    Returns:
        None for a network that looks at no pictures.
    """
    block = last_block(network)
    if block is None or "images" not in inputs:
        return None
    given = {name: tensor for name, tensor in inputs.items() if name != "features"}
    found = []
    for begin in range(0, len(outputs), ROWS_AT_ONCE):
        some = {name: tensor[begin : begin + ROWS_AT_ONCE] for name, tensor in given.items()}
        found.append(_heat(network, block, some, outputs[begin : begin + ROWS_AT_ONCE]))
    return torch.cat(found) if found else torch.zeros(0, *inputs["images"].shape[2:])


def last_block(network: nn.Module) -> nn.Module | None:
    """The last layer, of many alike, of what looks at pictures in a network; None if nothing does."""
    if isinstance(network, ConvNet):
        return network.stages
    if not isinstance(network, PretrainedNetwork) or network.shape.image is None:
        return None
    if isinstance(network.trunk, ConvNet):
        return network.trunk.stages
    blocks = [block for name, _ in network.trunk.named_parameters() if (block := block_of(name))]
    return network.trunk.get_submodule(blocks[-1]) if blocks else None


def _heat(network: nn.Module, block: nn.Module, inputs: Mapping[str, Tensor], chosen: Tensor) -> Tensor:
    """`heat_maps` of a few rows."""
    caught: list[Tensor] = []

    def catch(tensor: Tensor) -> Tensor:
        """From here on the answer's way is followed; what came before needs no gradients."""
        caught.append(tensor.detach().float().requires_grad_())
        return caught[-1]

    def before(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        return (catch(given[0]), *given[1:]) if given[0].ndim == 3 else None

    def after(module: nn.Module, given: tuple[Any, ...], told: Any) -> Tensor | None:
        return catch(told) if isinstance(told, Tensor) and told.ndim == 4 else None

    handles = [block.register_forward_pre_hook(before), block.register_forward_hook(after)]
    try:
        with torch.enable_grad():
            told = network(inputs)
            told = told.flatten(1, -2).mean(dim=1) if told.ndim == 3 else told
            wanted = told.gather(1, chosen.view(-1, 1)).sum()
            windows = max(1, inputs["images"].shape[1] // _channels(network))
            looked_at = caught[min(windows, len(caught)) // 2]
            (slopes,) = torch.autograd.grad(wanted, [looked_at])
    finally:
        for handle in handles:
            handle.remove()
    return _drawn_out(_as_maps(looked_at.detach(), network), _as_maps(slopes, network), inputs["images"].shape[2:])


def _drawn_out(maps: Tensor, slopes: Tensor, size: torch.Size) -> Tensor:
    """Maps (rows, channels, h, w), weighed by their mean slopes, as one of the picture's own size, from 0 to 1."""
    heat = (maps * slopes.mean(dim=(2, 3), keepdim=True)).sum(dim=1).clamp_min(0)
    heat = heat / heat.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    return F.interpolate(heat.unsqueeze(1), tuple(size), mode="bilinear")[:, 0]


def _as_maps(caught: Tensor, network: nn.Module) -> Tensor:
    """Tokens of patches (rows, tokens, channels) as maps; those before them belong to no place."""
    if caught.ndim == 4:
        return caught
    assert isinstance(network, PretrainedNetwork) and network.shape.image is not None
    image, config = network.shape.image, network.trunk.config
    patch = getattr(config, "patch_size", 1)
    height, width = image.height // int(patch), image.width // int(patch)
    return caught[:, -height * width :].transpose(1, 2).unflatten(2, (height, width))


def _channels(network: nn.Module) -> int:
    """Of one picture; further ones are windows of a sound."""
    if isinstance(network, ConvNet):
        return network.stem.in_channels
    assert isinstance(network, PretrainedNetwork) and network.shape.image is not None
    return network.shape.image.channels
