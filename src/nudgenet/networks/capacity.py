"""Capacity matched to the data: how many knobs this many rows can pay for."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from nudgenet.records import Decision, Shape
from nudgenet.settings import Settings


@dataclass(frozen=True)
class Capacity:
    """The size of a network and how strongly it is held back."""

    layers: int
    width: int
    dropout: float

    def multiply_adds(self, shape: Shape) -> int:
        """Multiplications with addition in one row's forward pass, embeddings counted as two numbers each."""
        sizes = [shape.num_numbers + 2 * len(shape.cardinalities)] + [self.width] * self.layers + [shape.num_outputs]
        return sum(below * above for below, above in pairwise(sizes))


def choose_capacity(shape: Shape, settings: Settings) -> Capacity:
    """Layers, width and dropout for this many training rows; a setting always wins.

    The width grows with the square root of the rows: the knobs of a hidden layer are width x width,
    so their number grows as the rows do. Few rows get more dropout, because there is less to
    contradict a neuron that learned one row by heart.
    """
    rows = shape.num_rows
    layers = settings.layers if settings.layers is not None else (2 if rows < 10_000 else 3)
    width = settings.width or 2 ** round(math.log2(min(256.0, max(16.0, 1.5 * math.sqrt(rows)))))
    dropout = settings.dropout if settings.dropout is not None else (0.2 if rows < 2_000 else 0.1)
    return Capacity(layers, width, dropout)


def explain_capacity(capacity: Capacity, shape: Shape, num_parameters: int, settings: Settings) -> list[Decision]:
    """The capacity in words, with the knobs that the network really has."""
    as_set = settings.layers is not None and settings.width is not None
    why = f"{shape.num_rows:,} training rows; " + ("as set" if as_set else "the knobs of a layer grow as the rows do")
    size = f"{describe_layers(capacity)}, {num_parameters:,} knobs"
    decisions = [Decision("network size", size, why, "--set layers=, --set width=")]
    if settings.dropout is None and capacity.layers:
        share = f"{capacity.dropout:.0%} of the neurons are silenced at random in each step: none can lean on another"
        decisions.append(Decision("dropout", f"{capacity.dropout:g}", share, "--set dropout="))
    return decisions


def describe_layers(capacity: Capacity) -> str:
    """`2 layers of 32`."""
    if capacity.layers == 0:
        return "no hidden layer: a linear model"
    return f"{capacity.layers} {'layer' if capacity.layers == 1 else 'layers'} of {capacity.width}"
