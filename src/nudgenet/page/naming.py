"""What the inputs of neurons are called: a person's columns and values instead of places in a tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor

from nudgenet.data.features import ROOM, STRAIGHT, UNKNOWN, CategoryFeature, DateFeature, Feature, NumberFeature, Scale
from nudgenet.data.prepare import Preparation
from nudgenet.data.texts import FIRST, PIECE, BagFeature, SequenceFeature
from nudgenet.data.tokens import TokenFeature
from nudgenet.data.words import EDGE
from nudgenet.networks.watched import Layer, Origin

COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class InputNames:
    """The names of all inputs of one network.

    preparation: of the run.
    origins: what the inputs of its first layer are made of.
    beside: those of the layer for the table that stands beside pictures or texts.
    """

    preparation: Preparation
    origins: Sequence[Origin]
    beside: Sequence[Origin] = ()

    @cached_property
    def columns(self) -> list[str]:
        """The columns that a row is made of, in order; all texts together are one."""
        return list(dict.fromkeys([*self.groups, *([self.medium] if self.medium else [])]))

    @cached_property
    def medium(self) -> str:
        """The column of pictures or sounds, or all columns of text; "" if there are none."""
        media = self.preparation.media
        return media.column if media else ", ".join(self.preparation.texts)

    def column_of(self, origin: Origin) -> str:
        """The column that an input comes from."""
        if origin.kind == "category":
            return self.preparation.category_names[origin.index]
        if origin.kind in ("words", "features"):
            return self.medium
        return self._numbers[origin.index][0]

    @cached_property
    def groups(self) -> dict[str, list[int]]:
        """Column -> the places of its inputs in the first layer, but for those that another layer made."""
        found: dict[str, list[int]] = {}
        for place, origin in enumerate(self.origins or self.beside):
            if place not in self.from_layers:
                found.setdefault(self.column_of(origin), []).append(place)
        return found

    @cached_property
    def column_at(self) -> list[str]:
        """The column of each input of the first layer."""
        return [self.column_of(origin) for origin in self.origins or self.beside]

    @cached_property
    def from_layers(self) -> dict[int, tuple[str, int]]:
        """Place of an input of the first layer -> the layer and the neuron that made it."""
        return {place: ("words", origin.index) for place, origin in enumerate(self.origins) if origin.kind == "words"}

    @cached_property
    def _numbers(self) -> list[tuple[str, str, NumberFeature | DateFeature]]:
        """(column, name of the input, feature) of every prepared number."""
        return [
            (feature.column, name, feature)
            for feature in self.preparation.features
            if isinstance(feature, NumberFeature | DateFeature)
            for name in feature.names
        ]

    @cached_property
    def terms(self) -> list[str]:
        """The words (and pairs and pieces of words) of all columns of text, in the order of their numbers."""
        return [
            piece_name(term[1:]) if term.startswith(PIECE) and len(term) > 1 else term
            for feature in self.preparation.features
            if isinstance(feature, BagFeature | SequenceFeature)
            for term in feature.terms
        ]

    def name_of(self, origin: Origin) -> str:
        """Such as `age`, `age: piece 3 (22 to 31)`, `city: number 1 of 4`."""
        if origin.kind == "category":
            return f"{self.column_of(origin)}: number {origin.part + 1} of {origin.parts}"
        if origin.kind == "words":
            return f"words: number {origin.index + 1}"
        if origin.kind == "features":
            return f"what the pretrained network says: number {origin.index + 1}"
        _, name, feature = self._numbers[origin.index]
        if origin.kind == "number":
            return name
        edges = f" ({self._edge(feature, name, origin.low)} to {self._edge(feature, name, origin.high)})"
        return f"{name}: piece {origin.part + 1}{edges}"

    def _edge(self, feature: NumberFeature | DateFeature, name: str, standardised: float) -> str:
        """An edge in the unit of the column, where it has one."""
        if isinstance(feature, NumberFeature) and name == feature.column:
            return f"{number_before(feature, standardised):.4g}"
        scale = self._scales.get(name)
        return f"{standardised if scale is None else unscaled(scale, standardised):.4g}"

    @cached_property
    def _scales(self) -> dict[str, Scale]:
        """Of the parts of dates that are counted: days since the first one, and years since 1970."""
        return {
            f"{feature.column}:{part.name}": part.scale
            for _, _, feature in self._numbers
            if isinstance(feature, DateFeature)
            for part in feature.parts
            if part.scale
        }

    def word(self, token: int) -> str:
        """The word that a token stands for, or the piece of one that a pretrained network's tokenizer makes."""
        pretrained = [feature for feature in self.preparation.features if isinstance(feature, TokenFeature)]
        if pretrained and token >= FIRST:  # every column has numbers of its own for the same vocabulary
            return pretrained[0].piece((token - FIRST) % len(pretrained[0].terms))
        known = FIRST <= token < FIRST + len(self.terms)
        return self.terms[token - FIRST] if known else f"token {token}"

    def of_layer(self, layer: Layer, neuron: int, inputs: Mapping[str, Tensor]) -> list[str]:
        """The name of each thing that a neuron weighs, in the row with these prepared inputs."""
        count = len(layer.inputs(neuron))
        if layer.below == "input":
            return [self.name_of(origin) for origin in (self.beside if layer.name == "beside" else self.origins)]
        if layer.below == "terms":
            return [self.word(token) for token in inputs["tokens"][0].tolist() if token > 0]
        if layer.below == "features":
            return [f"what the pretrained network says: number {place + 1}" for place in range(count)]
        if layer.below in ("token", "mean"):
            of_what = "the mean over all words" if layer.below == "mean" else self._token_of(layer, neuron, inputs)
            return [f"{of_what}: number {place + 1}" for place in range(count)]
        if layer.kernel:
            return self._of_patch(layer, neuron)
        return [f"{layer.below} [{place}]" for place in range(count)]

    def _token_of(self, layer: Layer, neuron: int, inputs: Mapping[str, Tensor]) -> str:
        assert layer.place is not None
        words = self.words_of(inputs)
        return f"“{words[layer.place(neuron)[1]]}”"

    def words_of(self, inputs: Mapping[str, Tensor]) -> list[str]:
        """The words of a transformer's row, behind the network's own first token."""
        return ["(start)", *(self.word(token) for token in inputs["tokens"][0].tolist() if token > 0)]

    def _of_patch(self, layer: Layer, neuron: int) -> list[str]:
        """The pixels or map values under a kernel, by channel, row and column (from 1)."""
        assert layer.place is not None
        row, column = layer.place(neuron)
        channels, height, width = layer.kernel
        top, left = row * layer.step - layer.border + 1, column * layer.step - layer.border + 1
        if layer.below == "pixels":
            of_channel = COLOURS if channels == len(COLOURS) else [f"channel {c}" for c in range(channels)]
            of_channel = ["brightness"] if channels == 1 else of_channel
        else:
            of_channel = [f"{layer.below} [{channel}]" for channel in range(channels)]
        return [
            f"{of_channel[channel]} at row {top + down}, column {left + right}"
            for channel in range(channels)
            for down in range(height)
            for right in range(width)
        ]


def piece_name(piece: str) -> str:
    """A piece of a word, with dots where the word goes on."""
    before, behind = ("" if edge else "…" for edge in (piece.startswith(EDGE), piece.endswith(EDGE)))
    return f"{before}{piece.strip(EDGE)}{behind}"


def number_before(feature: NumberFeature, standardised: float) -> float:
    """The number in the column's own unit that is prepared as this one."""
    value = unscaled(feature.scale, standardised)
    return float(np.sign(value) * np.expm1(abs(value)) * feature.unit) if feature.unit else value


def unscaled(scale: Scale, standardised: float) -> float:
    """What a `Scale` brought to this: the squeezing far out is undone, too."""
    beyond = abs(standardised) - STRAIGHT
    if beyond > 0:
        beyond = min(beyond, ROOM * (1 - 1e-9))
        standardised = float(np.sign(standardised)) * (STRAIGHT + beyond / (1 - beyond / ROOM))
    return standardised * scale.scale + scale.center


def typical_inputs(feature: Feature) -> list[float]:
    """What a column's prepared inputs are where nothing is special: its median, its commonest level, no words at all.

    One number for each input; [0.0] stands for all places of a text. A run that does not remember takes the mean.
    """
    if isinstance(feature, CategoryFeature):
        known = feature.typical in feature.levels
        code = 1 + int(feature.has_missing) + feature.levels.index(str(feature.typical)) if known else UNKNOWN
        return [float(code)]
    if isinstance(feature, NumberFeature | DateFeature):
        if feature.typical is None:
            return [0.0] * len(feature.names)
        if isinstance(feature, DateFeature):
            return [float(one[0]) for one in feature.encode(np.array([feature.typical], "datetime64[us]"))]
        return [float(one[0]) for one in feature.encode(np.array([feature.typical]))]
    return [0.0]
