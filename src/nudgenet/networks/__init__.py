"""Functions with knobs. `NETWORKS` is the plug point: name -> builder."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from nudgenet.networks.capacity import Capacity
from nudgenet.networks.mlp import MLP
from nudgenet.records import Shape
from nudgenet.settings import Settings

Builder = Callable[[Shape, Capacity, Settings], nn.Module]


def build_mlp(shape: Shape, capacity: Capacity, settings: Settings) -> nn.Module:
    """A plain multilayer perceptron; see `networks.mlp`."""
    return MLP(
        shape,
        num_layers=capacity.layers,
        width=capacity.width,
        activation=settings.activation,
        dropout=capacity.dropout,
        normalisation=settings.normalisation,
        residual=settings.residual,
    )


NETWORKS: dict[str, Builder] = {"mlp": build_mlp}
