"""Where in its input a network found what speaks for an answer: places of pictures, words of texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import accumulate
from math import ceil
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nudgenet.networks.bag import BagNetwork
from nudgenet.networks.convnet import ConvNet
from nudgenet.networks.hearing import HOP, WINDOW
from nudgenet.networks.pretrained import PretrainedNetwork
from nudgenet.networks.transformer import Transformer
from nudgenet.networks.trunks import block_of
from nudgenet.records import SoundShape

ROWS_AT_ONCE = 16  # of one pass: what is caught on the way belongs to these rows alone
DEPTHS = 3  # layers of a trunk whose neurons are looked at
STEPS = 64  # of the way from no text to the whole one


def heat_maps(network: nn.Module, inputs: Mapping[str, Tensor], outputs: Tensor) -> Tensor | None:
    """How much each place of a picture spoke for an output, from 0 to 1: float32 (rows, height, width).

    Each of the last maps counts by how much the output would grow with it, averaged over its places (Grad-CAM: Selvaraju
    et al., arXiv 1610.02391). Where maps are averaged and weighed to give the output, as in our ConvNet, that is what they
    added to it. Of a transformer the maps are what its last layer is told of each patch.

    Args:
        network: in evaluation mode.
        inputs: prepared rows with "images" or "waves"; of a sound with several windows its middle one is looked at.
        outputs: int64 (rows,), the output of each row that is asked about.

    Returns:
        For "waves" float32 (rows, pitches, moments), as coarse as the network's own places, low pitches first; a single
        pitch if it tells none apart. None for a network that looks at neither.
    """
    block = last_block(network)
    if block is None or not {"images", "waves"} & set(inputs):
        return None
    given = {name: tensor for name, tensor in inputs.items() if name != "features"}
    found = []
    for begin in range(0, len(outputs), ROWS_AT_ONCE):
        some = {name: tensor[begin : begin + ROWS_AT_ONCE] for name, tensor in given.items()}
        found.append(_heat(network, block, some, outputs[begin : begin + ROWS_AT_ONCE]))
    return torch.cat(found) if found else torch.zeros(0, 1, 1)


def last_block(network: nn.Module) -> nn.Module | None:
    """The last layer, of many alike, of what looks at pictures or listens in a network; None if nothing does."""
    if isinstance(network, ConvNet):
        return network.stages
    if not isinstance(network, PretrainedNetwork) or network.shape.medium == "text":
        return None
    if isinstance(network.trunk, ConvNet):
        return network.trunk.stages
    blocks = blocks_of(network.trunk)
    return network.trunk.get_submodule(blocks[-1]) if blocks else None


def blocks_of(trunk: nn.Module) -> list[str]:
    """The names of a trunk's many alike layers that what came in passes as places, the first below.

    Layers of convolutions over the samples of a sound come before them, and are none.
    """
    names = dict.fromkeys(block for name, _ in trunk.named_parameters() if (block := block_of(name)))
    return [name for name in names if not name.startswith("feature_extractor.")]


def _heat(network: nn.Module, block: nn.Module, inputs: Mapping[str, Tensor], chosen: Tensor) -> Tensor:
    """`heat_maps` of a few rows."""
    caught: list[Tensor] = []

    def catch(tensor: Tensor) -> Tensor:
        """From here on the answer's way is followed; what came before needs no gradients, and no memory for them."""
        torch.set_grad_enabled(True)
        caught.append(tensor.detach().float().requires_grad_())
        return caught[-1]

    def before(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        return (catch(given[0]), *given[1:]) if given[0].ndim == 3 else None

    def after(module: nn.Module, given: tuple[Any, ...], told: Any) -> Tensor | None:
        return catch(told) if isinstance(told, Tensor) and told.ndim == 4 else None

    handles = [block.register_forward_pre_hook(before), block.register_forward_hook(after)]
    try:
        with torch.no_grad():
            told = network(inputs)
            told = told.flatten(1, -2).mean(dim=1) if told.ndim == 3 else told
            wanted = told.gather(1, chosen.view(-1, 1)).sum()
            windows = max(1, inputs["images"].shape[1] // _channels(network)) if "images" in inputs else 1
            looked_at = caught[min(windows, len(caught)) // 2]
            (slopes,) = torch.autograd.grad(wanted, [looked_at])
    finally:
        for handle in handles:
            handle.remove()
    maps, slopes = _as_maps(looked_at.detach(), network), _as_maps(slopes, network)
    return _drawn_out(maps, slopes, inputs["images"].shape[2:] if "images" in inputs else maps.shape[2:])


def _drawn_out(maps: Tensor, slopes: Tensor, size: torch.Size) -> Tensor:
    """Maps (rows, channels, h, w), weighed by their mean slopes, as one of the picture's own size, from 0 to 1."""
    heat = (maps * slopes.mean(dim=(2, 3), keepdim=True)).sum(dim=1).clamp_min(0)
    heat = heat / heat.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)
    return F.interpolate(heat.unsqueeze(1), tuple(size), mode="bilinear")[:, 0]


def _as_maps(caught: Tensor, network: nn.Module) -> Tensor:
    """Tokens of patches (rows, tokens, channels) as maps; those before them belong to no place."""
    if caught.ndim == 4:
        return caught
    assert isinstance(network, PretrainedNetwork)
    config: Any = network.trunk.config
    if network.shape.sound is not None:
        return _over_time(caught, config, network.shape.sound)
    assert network.shape.image is not None
    image, patch = network.shape.image, getattr(config, "patch_size", 1)
    height, width = image.height // int(patch), image.width // int(patch)
    patches = caught[:, -height * width :]
    return patches.transpose(1, 2).reshape(len(caught), caught.shape[2], height, width)


def _over_time(caught: Tensor, config: Any, sound: SoundShape) -> Tensor:
    """Tokens of a sound as maps (rows, channels, pitches, moments), as far as the sound is long."""
    if not hasattr(config, "frequency_stride"):
        return caught.transpose(1, 2).unsqueeze(2)  # a token for each moment
    pitches = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
    moments = (config.max_length - config.patch_size) // config.time_stride + 1
    patches = caught[:, -pitches * moments :].transpose(1, 2).reshape(*caught.shape[::2], pitches, moments)
    heard = (1 + (sound.samples - WINDOW) / HOP) / config.max_length  # the rest was filled up with nothing
    return patches[..., : max(1, min(int(moments), ceil(heard * moments)))]


def _channels(network: nn.Module) -> int:
    """Of one picture; further ones are windows of a sound."""
    if isinstance(network, ConvNet):
        return network.stem.in_channels
    assert isinstance(network, PretrainedNetwork) and network.shape.image is not None
    return network.shape.image.channels


# --- layers ---------------------------------------------------------------------------------------


def neurons_of(network: PretrainedNetwork) -> dict[str, nn.Module]:
    """Layers of a trunk for images or sounds, the first, the last and some between, by how deep they are in words.

    Of an encoder's layer those neurons are meant that each place has for itself, before their kink.
    """
    if isinstance(network.trunk, ConvNet):
        count = len(network.trunk.stages)
        return {f"stage {number} of {count}": stage for number, stage in enumerate(network.trunk.stages, 1)}
    blocks = blocks_of(network.trunk)
    found: dict[str, nn.Module] = {}
    for place in sorted({round(part * (len(blocks) - 1) / (DEPTHS - 1)) for part in range(DEPTHS)} if blocks else ()):
        wide = [
            module
            for module in network.trunk.get_submodule(blocks[place]).modules()
            if isinstance(module, nn.Linear) and module.out_features > module.in_features
        ]
        if wide:
            found[f"layer {place + 1} of {len(blocks)}"] = wide[-1]
    return found


def fired_in_trunk(network: PretrainedNetwork, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the neurons of `neurons_of` answer to rows, float32 (rows, neurons): over places, where each fires the most."""
    layers = neurons_of(network)
    calls: dict[str, list[Tensor]] = {name: [] for name in layers}
    found: dict[str, list[Tensor]] = {name: [] for name in layers}

    def note(name: str, module: nn.Module, given: tuple[Any, ...], told: Tensor) -> None:
        # Convolutions have their channels in front of the places, sums behind them.
        over = told.flatten(2).amax(dim=2) if isinstance(network.trunk, ConvNet) else told.flatten(1, -2).amax(dim=1)
        calls[name].append(over.float())

    cells = inputs["images" if "images" in inputs else "waves"]
    handles = [layer.register_forward_hook(partial(note, name)) for name, layer in layers.items()]
    try:
        for some in torch.split(cells, ROWS_AT_ONCE):
            with torch.no_grad():
                network.read({"images": some, "waves": some})
            for name, own in calls.items():
                found[name].append(own[len(own) // 2])  # of several windows the middle one
                own.clear()
    finally:
        for handle in handles:
            handle.remove()
    return {name: torch.cat(parts) for name, parts in found.items()}


# --- texts ----------------------------------------------------------------------------------------


def word_shares(network: nn.Module, inputs: Mapping[str, Tensor], answer: Callable[[Tensor], Tensor]) -> Tensor | None:
    """What each place of a row's texts added to an answer, float32 (places,): integrated gradients.

    On the way from a text whose terms count for nothing to the whole text, the answer changes, and every place has a share
    in each little change. The shares add up to the whole difference (Sundararajan et al., arXiv 1703.01365).

    Args:
        network: in evaluation mode.
        inputs: one prepared row with "tokens".
        answer: what the network gives for some rows -> one number for each, (rows,).

    Returns:
        None for a network that reads no texts.
    """
    tokens = inputs["tokens"]
    if isinstance(network, PretrainedNetwork) and weighs_terms(
        network
    ):  # what the trunk says stays the same all the way
        with torch.no_grad():
            given = {**inputs, "features": network.read(inputs)}
    else:
        given = {name: tensor for name, tensor in inputs.items() if name != "features"}
    rows = {name: tensor.repeat_interleave(STEPS, dim=0) for name, tensor in given.items()}
    # The middles of equal steps, whose mean is the integral but for a small rest.
    parts = (torch.arange(STEPS, dtype=torch.float32).unsqueeze(1) + 0.5) / STEPS
    if weighs_terms(network):
        weights = (rows["token_weights"] * parts).requires_grad_()
        with torch.enable_grad():
            (slopes,) = torch.autograd.grad(answer(network(rows | {"token_weights": weights})).sum(), [weights])
        return slopes.mean(dim=0) * inputs["token_weights"][0]
    words = word_vectors(network)
    if words is None:
        return None
    whole: list[Tensor] = []
    scaled: list[Tensor] = []

    def on_the_way(module: nn.Module, given: tuple[Any, ...], told: Tensor) -> Tensor:
        whole.append(told.detach()[0])
        scaled.append((told.detach() * parts.unsqueeze(2)).requires_grad_())
        return scaled[-1]

    handle = words.register_forward_hook(on_the_way)
    try:
        with torch.enable_grad():
            found = torch.autograd.grad(answer(network(rows)).sum(), scaled)
    finally:
        handle.remove()
    shares = torch.zeros(tokens.shape[1])
    for vectors, slopes, column in zip(whole, found, columns_of(network, tokens), strict=True):
        there = (tokens[0, column] > 0).nonzero().flatten()
        shares[column.start + there] = (slopes.mean(dim=0) * vectors).sum(dim=1)[: len(there)]
    return shares


def weighs_terms(network: nn.Module) -> bool:
    """Whether a network reads texts as bags of weighted terms, alone or beside images or sounds."""
    if isinstance(network, ConvNet):
        return network.texts is not None
    return isinstance(network.rest if isinstance(network, PretrainedNetwork) else network, BagNetwork)


def word_vectors(network: nn.Module) -> nn.Module | None:
    """The table of what a network knows of each token by itself; None where there is none."""
    if isinstance(network, Transformer):
        return network.terms
    if not isinstance(network, PretrainedNetwork) or network.shape.medium != "text":
        return None
    if isinstance(network.trunk, Transformer):
        return network.trunk.terms
    table: nn.Module = network.trunk.get_input_embeddings()  # type: ignore[operator]
    return table


def columns_of(network: nn.Module, tokens: Tensor) -> list[slice]:
    """The places that are read in one go: all, or those of each column of texts."""
    if not isinstance(network, PretrainedNetwork) or network.shape.text is None:
        return [slice(0, tokens.shape[1])]
    ends = list(accumulate(network.shape.text.columns))
    return [slice(end - places, end) for end, places in zip(ends, network.shape.text.columns, strict=True)]
