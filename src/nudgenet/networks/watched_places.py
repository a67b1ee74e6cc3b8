"""Networks whose neurons look at many places, opened: a channel of a picture, a neuron over every token of a text.

Such a neuron is shown where it fired the most. Its weights are the same at all places, so their gradient is a sum over
them; here is the share of the place that is shown.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nudgenet.networks.convnet import ConvNet, Residual, Stage
from nudgenet.networks.transformer import Block, Transformer
from nudgenet.networks.watched import Knobs, Layer, Signal, Watch, linear_layer, norm_of, signal


def watched_modules(network: ConvNet | Transformer) -> list[nn.Module]:
    """The modules to look at."""
    found: list[nn.Module] = [network, network.output]
    if network.beside is not None:
        found.append(network.beside)
    if isinstance(network, ConvNet):
        found += [network.stem, network.stem_norm, network.stages]
        for module in network.modules():
            if isinstance(module, Stage):
                found += [module[0], module[2], module[3]]
            elif isinstance(module, Residual):
                found += [module, module.first, module.first_norm, module.second, module.second_norm]
        return found
    for block in network.blocks:
        assert isinstance(block, Block)
        found += [block.attention, block.thought, block.thought_out]
    return found


# --- pictures -------------------------------------------------------------------------------------


def convnet_layers(network: ConvNet, watch: Watch, view: int) -> list[Layer]:
    """Every layer for one view of the first row: of a window of a sound, or of the mirrored picture."""
    stem = _channels(
        "stem", "pixels", network.stem, "stem", network.stem_norm, watch, view, watch.taken(network.stages, view)
    )
    layers, below = [stem], "stem"
    for number, stage in enumerate(network.stages):
        assert isinstance(stage, Stage)
        name, prefix = f"stage{number + 1}", f"stages.{number}"
        convolution, norm, kink, block = stage[0], stage[2], stage[3], stage[4]
        assert isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d) and isinstance(block, Residual)
        layers.append(
            _channels(
                name, below, convolution, f"{prefix}.0", norm, watch, view, watch.given(kink, view), is_pooled=True
            )
        )
        fired = watch.taken(block.second, view)
        first = _channels(f"{name}.first", name, block.first, f"{prefix}.4.first", block.first_norm, watch, view, fired)
        fired, came_in = watch.given(block, view), watch.taken(block, view)
        second = _channels(
            f"{name}.second",
            first.name,
            block.second,
            f"{prefix}.4.second",
            block.second_norm,
            watch,
            view,
            fired,
            came_in=came_in,
        )
        layers += [first, second]
        below = second.name
    if network.beside is not None:
        layers.append(_beside(network, network.beside, watch, view))
    taken, given = watch.taken(network.output, view), watch.given(network.output, view)
    return [*layers, linear_layer("output", network.output, "output", taken, given, below)]


def _channels(
    name: str,
    below: str,
    convolution: nn.Conv2d,
    parameter: str,
    norm: nn.BatchNorm2d,
    watch: Watch,
    view: int,
    fired: Tensor,
    *,
    is_pooled: bool = False,
    came_in: Tensor | None = None,
) -> Layer:
    """A convolution, a normalisation and a ReLU, each channel where it fired the most.

    is_pooled: between them, of every four places the largest sum is kept.
    came_in: maps that are added before the ReLU.
    """
    taken, sums, normalised = watch.taken(convolution, view), watch.given(convolution, view), watch.given(norm, view)
    strongest = fired.detach().flatten(2).argmax(dim=2)
    at = _kept_places(sums.detach(), strongest, fired.shape[3]) if is_pooled else strongest
    stride, border = int(convolution.stride[0]), int(convolution.padding[0])
    kernel = tuple(convolution.weight.shape[1:])
    width = sums.shape[3]

    def place(neuron: int) -> tuple[int, int]:
        found = int(at[0, neuron])
        return found // width, found % width

    def patch(neuron: int) -> Tensor:
        row, column = place(neuron)
        framed = F.pad(taken.detach()[0], (border,) * 4)
        top, left = row * stride, column * stride
        return framed[:, top : top + kernel[1], left : left + kernel[2]].flatten()

    # What stands before the kink at that place was normalised after the pooling.
    of_sums, of_norm = partial(_at_places, at), partial(_at_places, strongest)
    added = None if came_in is None else signal(came_in, of_norm)
    before_kink = signal(normalised, of_norm)
    if added is not None:
        before_kink = Signal(before_kink.value + added.value, before_kink.gradient)
    found = signal(sums, of_sums)
    return Layer(
        name=name,
        kink="relu",
        sums=found,
        before_kink=before_kink,
        fired=signal(fired, of_norm),
        inputs=patch,
        below=below,
        weights=lambda neuron: Knobs(f"{parameter}.weight", (neuron,)),
        bias=lambda neuron: None,
        shared="places",
        norm=partial(norm_of, norm, found.value),
        added=added,
        added_first=added is not None,
        place=place,
        kernel=kernel,
        step=stride,
        border=border,
    )


def _at_places(places: Tensor, maps: Tensor) -> Tensor:
    """maps (rows, channels, height, width) -> each channel's number at its place, (rows, channels)."""
    return maps.flatten(2).gather(2, places.unsqueeze(2)).squeeze(2)


def _kept_places(sums: Tensor, pooled: Tensor, pooled_width: int) -> Tensor:
    """Where in the maps of sums the number stood that pooling kept at each place, both (rows, channels)."""
    width = sums.shape[3]
    rows, columns = pooled // pooled_width * 2, pooled % pooled_width * 2
    four = torch.stack([(rows + down) * width + columns + right for down in (0, 1) for right in (0, 1)], dim=2)
    best = sums.flatten(2).gather(2, four).argmax(dim=2, keepdim=True)
    return four.gather(2, best).squeeze(2)


def _beside(network: ConvNet | Transformer, beside: nn.Linear, watch: Watch, call: int) -> Layer:
    """The neurons for the numbers and categories that stand beside the pictures or texts."""
    sums, features = watch.given(beside, call), watch.taken(network.output, call)
    layer = linear_layer("beside", beside, "beside", watch.taken(beside, call), sums, "input")
    return replace(layer, kink="relu", fired=signal(features, lambda tensor: tensor[:, -beside.out_features :]))


# --- texts ----------------------------------------------------------------------------------------


def transformer_layers(network: Transformer, watch: Watch) -> list[Layer]:
    """The two layers that every block has for each token by itself, and the outputs; the first row."""
    layers = []
    for number, block in enumerate(network.blocks):
        assert isinstance(block, Block)
        name, prefix = f"block{number + 1}", f"blocks.{number}"
        mask = watch.taken(block.attention, argument=1)
        fired, told = watch.taken(block.thought_out), watch.given(block.thought_out)
        layers.append(_over_tokens(name, "token", block.thought, f"{prefix}.thought", watch, fired, mask))
        said = f"{name}.told"
        layers.append(_over_tokens(said, name, block.thought_out, f"{prefix}.thought_out", watch, told, mask))
    if network.beside is not None:
        layers.append(_beside(network, network.beside, watch, 0))
    taken, given = watch.taken(network.output), watch.given(network.output)
    return [*layers, linear_layer("output", network.output, "output", taken, given, "mean")]


def _over_tokens(
    name: str, below: str, linear: nn.Linear, parameter: str, watch: Watch, fired: Tensor, mask: Tensor
) -> Layer:
    """A neuron over every token, where it fired the most; tensors are (rows, tokens, neurons), the mask (rows, tokens)."""
    taken, sums = watch.taken(linear), watch.given(linear)
    strongest = fired.detach().masked_fill(~mask.unsqueeze(2), -torch.inf).argmax(dim=1)
    found = signal(sums, partial(_at_tokens, strongest))
    return Layer(
        name=name,
        kink="gelu" if fired is not sums else "none",
        sums=found,
        before_kink=found,
        fired=signal(fired, partial(_at_tokens, strongest)),
        inputs=lambda neuron: taken.detach()[0, strongest[0, neuron]],
        below=below,
        weights=lambda neuron: Knobs(f"{parameter}.weight", (neuron,)),
        bias=lambda neuron: Knobs(f"{parameter}.bias", (neuron,)),
        shared="places",
        place=lambda neuron: (0, int(strongest[0, neuron])),
    )


def _at_tokens(places: Tensor, values: Tensor) -> Tensor:
    """values (rows, tokens, neurons) -> each neuron's at its token, (rows, neurons)."""
    return values.gather(1, places.unsqueeze(1)).squeeze(1)


def attention_maps(network: Transformer, watch: Watch) -> list[Tensor]:
    """Of each block, who looked at whom in the first row: float32 (heads, tokens, tokens); each line sums to 1.

    Token 0 is the network's own, which stands before every text.
    """
    maps = []
    for block in network.blocks:
        assert isinstance(block, Block)
        tokens, mask = watch.taken(block.attention), watch.taken(block.attention, argument=1)
        with torch.no_grad():
            rows, count, width = tokens.shape
            heads = block.attention.num_heads
            asked = block.attention.asked(tokens).view(rows, count, 3, heads, width // heads)
            questions, keys, _ = asked.permute(2, 0, 3, 1, 4)
            fits = questions @ keys.transpose(2, 3) / (width // heads) ** 0.5
            maps.append(fits.masked_fill(~mask[:, None, None, :], -torch.inf).softmax(dim=3)[0])
    return maps
