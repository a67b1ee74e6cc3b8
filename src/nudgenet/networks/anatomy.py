"""What a network is made of, as a person opens it: which parts to watch while it answers, and what each number was.

One function of each kind of network; what none of them knows is not openable, and `why_closed` says so.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from nudgenet.networks import watched_dense, watched_places, watched_trunks
from nudgenet.networks.bag import BagNetwork
from nudgenet.networks.convnet import ConvNet
from nudgenet.networks.ensemble import Ensemble
from nudgenet.networks.mlp import MLP
from nudgenet.networks.pretrained import PretrainedNetwork
from nudgenet.networks.transformer import Transformer
from nudgenet.networks.watched import Layer, Origin, Watch

FEW = 16  # rows of one pass over pictures or long texts, which networks cut up otherwise
DENSE = (Ensemble, MLP, BagNetwork, PretrainedNetwork)


def why_closed(network: nn.Module) -> str:
    """Why this network's neurons cannot be opened, in a few words; "" if they can."""
    reads_beside = isinstance(network, ConvNet) and network.texts is not None
    if reads_beside or (isinstance(network, PretrainedNetwork) and isinstance(network.rest, BagNetwork)):
        return "texts beside images or sounds have no view of their neurons yet"
    if isinstance(network, (*DENSE, ConvNet, Transformer)):
        return ""
    return f"a network of the kind {type(network).__name__} has no view of its neurons yet"


def watch(network: nn.Module) -> Watch:
    """A `Watch` over everything that `layers_of` needs."""
    if isinstance(network, ConvNet | Transformer):
        return Watch(watched_places.watched_modules(network))
    return Watch(watched_dense.watched_modules(network))


def layers_of(network: nn.Module, seen: Watch, member: int = 0) -> list[Layer]:
    """The hidden layers of one member from the inputs upwards, then `output`, after one forward pass.

    Args:
        seen: `watch(network)`, entered while the network answered once, in evaluation mode.
        member: which network of an ensemble, window of a sound, or mirrored picture; below `num_members`.

    Raises:
        ValueError: the network is of a kind that cannot be opened.
    """
    if isinstance(network, ConvNet):
        return watched_places.convnet_layers(network, seen, member)
    if isinstance(network, Transformer):
        return watched_places.transformer_layers(network, seen)
    if isinstance(network, BagNetwork):
        return watched_dense.bag_layers(network, seen, member)
    if isinstance(network, PretrainedNetwork):
        return watched_dense.pretrained_layers(network, seen, member)
    if isinstance(network, Ensemble | MLP):
        return watched_dense.table_layers(network, seen, member)
    raise ValueError(why_closed(network))


def num_members(outputs: Tensor) -> int:
    """How many answers are averaged: outputs are (rows, outputs) or (rows, members, outputs)."""
    return outputs.shape[1] if outputs.ndim == 3 else 1


def origins_of(network: nn.Module, num_numbers: int) -> list[Origin]:
    """What each input of the first layer is made of; [] where that is pixels or tokens.

    num_numbers: prepared numbers of the table.
    """
    return watched_dense.origins(network, num_numbers) if isinstance(network, DENSE) else []


def beside_origins(network: nn.Module, num_numbers: int) -> list[Origin]:
    """What each input of the layer `beside` is made of: the table beside pictures or texts; [] where there is none."""
    if not isinstance(network, ConvNet | Transformer) or network.beside is None:
        return []
    return watched_dense.table_origins(num_numbers, torch.zeros(0, 3), network.embedding)


def trained_alike(network: nn.Module) -> nn.Module:
    """The same network as it answers in training, but for dropout: a picture is not looked at mirrored, too. In place."""
    if isinstance(network, ConvNet):
        network.mirrored = False
    return network.eval()


def fired_in(
    network: nn.Module, inputs: Mapping[str, Tensor], rows: Tensor, wanted: Collection[str], member: int = 0
) -> dict[str, Tensor]:
    """What the neurons of some layers answer to rows, float32 (rows, neurons): over places, where each fires the most.

    Args:
        network: in evaluation mode.
        rows: int64, which of the rows in `inputs`.
        wanted: names of layers, as `layers_of` gives them.
    """
    at_once = FEW if isinstance(network, ConvNet | Transformer) else 1_024
    found: dict[str, list[Tensor]] = {name: [] for name in wanted}
    with torch.no_grad():
        for some in torch.split(rows, at_once):
            with watch(network) as seen:
                network({name: tensor[some] for name, tensor in inputs.items()})
            for layer in layers_of(network, seen, member):
                if layer.name in found:
                    found[layer.name].append(layer.fired.value)
    return {name: torch.cat(parts) for name, parts in found.items()}


def first_filters(network: nn.Module, most: int) -> tuple[list[int], Tensor] | None:
    """The channels of the first layer over a picture with the largest weights, and these: float32 (channels, colours, height, width).

    None for networks that see no pictures.
    """
    is_seeing = isinstance(network, ConvNet | PretrainedNetwork)
    weights = watched_trunks.first_convolution(network) if is_seeing else None
    if weights is None:
        return None
    order = weights.flatten(1).norm(dim=1).argsort(descending=True, stable=True)[:most]
    return order.tolist(), weights[order]


def attention_of(network: nn.Module, seen: Watch) -> list[Tensor]:
    """Of each block of a transformer, or of a pretrained one's layers, who looked at whom: float32 (heads, tokens, tokens).

    [] for other networks. Of several columns of text it is the first that holds one (`watched_trunks.read_text`).
    """
    if isinstance(network, Transformer):
        return watched_places.attention_maps(network, seen)
    if isinstance(network, PretrainedNetwork) and network.shape.medium == "text":
        return watched_trunks.trunk_attention(network, watched_trunks.read_text(network, seen.taken(network))[1])
    return []


def gradients(found: Tensor, seen: Watch) -> None:
    """How a number would change with everything that was watched: `Signal.gradient` then gives it. Not a training step."""
    torch.autograd.backward(found, inputs=seen.tensors)


def named_knobs(network: nn.Module) -> Mapping[str, nn.Parameter]:
    """The network's parameters by name, as `Knobs.parameter` names them."""
    return dict(network.named_parameters())
