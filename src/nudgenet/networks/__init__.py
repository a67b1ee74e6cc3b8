"""Functions with knobs. `NETWORKS` is the plug point: name -> builder."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from nudgenet.errors import RunError, SettingError
from nudgenet.networks.bag import BagNetwork
from nudgenet.networks.capacity import Capacity, choose_capacity
from nudgenet.networks.convnet import ConvNet
from nudgenet.networks.ensemble import Ensemble
from nudgenet.networks.mlp import MLP
from nudgenet.networks.pretrained import PretrainedNetwork
from nudgenet.networks.transformer import Transformer
from nudgenet.records import Shape
from nudgenet.settings import Settings

# Builders are handed where the training numbers are cut into pieces; networks that do not cut ignore it.
Builder = Callable[[Shape, Capacity, Settings, Tensor], nn.Module]


def build_ensemble(shape: Shape, capacity: Capacity, settings: Settings, pieces: Tensor) -> nn.Module:
    """Small networks that share most of their weights; see `networks.ensemble`. Without a layer: a linear model."""
    if capacity.layers == 0:
        return build_mlp(shape, capacity, settings, pieces)
    return Ensemble(
        shape,
        pieces,
        num_members=capacity.members,
        num_copies=capacity.copies,
        num_layers=capacity.layers,
        width=capacity.width,
        activation=settings.activation,
        dropout=capacity.dropout,
        normalisation=settings.normalisation,
        residual=settings.residual,
        precision=torch.bfloat16 if settings.precision == "bfloat16" else torch.float32,
    )


def build_mlp(shape: Shape, capacity: Capacity, settings: Settings, pieces: Tensor) -> nn.Module:
    """A single plain multilayer perceptron; see `networks.mlp`."""
    return MLP(
        shape,
        num_layers=capacity.layers,
        width=capacity.width,
        activation=settings.activation,
        dropout=capacity.dropout,
        normalisation=settings.normalisation,
        residual=settings.residual,
    )


def build_convnet(shape: Shape, capacity: Capacity, settings: Settings, pieces: Tensor) -> nn.Module:
    """A residual network of convolutions, for images; see `networks.convnet`."""
    if shape.image is None:
        raise SettingError("The network `convnet` is for images, and there are none", fix="Leave `network` away.")
    return ConvNet(
        shape,
        width=capacity.width,
        num_stages=capacity.layers,
        dropout=capacity.dropout,
        mirrored="flip" in (settings.augment or ()),
        precision=torch.bfloat16 if settings.precision == "bfloat16" else torch.float32,
    )


def build_bag(shape: Shape, capacity: Capacity, settings: Settings, pieces: Tensor) -> nn.Module:
    """A bag of terms for texts, and an ensemble; see `networks.bag`."""
    if shape.text is None or shape.text.kind != "bag":
        raise SettingError("The network `bag` is for texts, and there are none", fix="Leave `network` away.")
    # On a pretrained network the outputs learn in steps that are small enough as they are.
    is_gentle = settings.network != "pretrained"
    return BagNetwork(shape, lambda rest: build_ensemble(rest, capacity, settings, pieces), is_gentle=is_gentle)


def build_transformer(shape: Shape, capacity: Capacity, settings: Settings, pieces: Tensor) -> nn.Module:
    """Attention over the words of a text; see `networks.transformer`."""
    if shape.text is None or shape.text.kind != "sequence":
        raise SettingError("The network `transformer` is for texts, and there are none", fix="Leave `network` away.")
    return Transformer(shape, width=capacity.width, num_layers=capacity.layers, dropout=capacity.dropout)


def build_pretrained(shape: Shape, capacity: Capacity, settings: Settings, pieces: Tensor) -> nn.Module:
    """A pretrained network's architecture, its weights still random; see `networks.pretrained`."""
    if not shape.model:
        raise SettingError("The network `pretrained` needs a start", fix="Add --from MODEL, or leave `network` away.")
    return PretrainedNetwork(
        shape,
        lambda whole: (build_bag if whole.text else build_ensemble)(whole, capacity, settings, pieces),
        dropout=capacity.dropout,
        precision=torch.bfloat16 if settings.precision == "bfloat16" else torch.float32,
        lora=settings.lora or 0,
    )


NETWORKS: dict[str, Builder] = {
    "ensemble": build_ensemble,
    "mlp": build_mlp,
    "convnet": build_convnet,
    "bag": build_bag,
    "transformer": build_transformer,
    "pretrained": build_pretrained,
}


def rebuild(shape: Shape, settings: Settings, weights: Mapping[str, Tensor]) -> nn.Module:
    """A trained network from its weights and its (resolved) settings, in evaluation mode.

    Raises:
        RunError: the weights are of a network that this version makes otherwise.
    """
    with torch.random.fork_rng(devices=[]):  # its random weights are replaced at once
        network = NETWORKS[settings.network](shape, choose_capacity(shape, settings), settings, pieces_in(weights))
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        first = str(error).splitlines()[-1].strip()[:200]
        raise RunError(
            "This run's network is made otherwise than this version of nudgenet makes it", got=first,
            fix="Use the version that trained it, or train again.",
        ) from None  # fmt: skip
    return network.eval()


def pieces_in(weights: Mapping[str, Tensor]) -> Tensor:
    """Where a trained network cuts its numbers, from its weights by name; none for one that does not."""
    return next((weights[name] for name in weights if name.endswith("encoding.pieces")), torch.zeros(0, 3))
