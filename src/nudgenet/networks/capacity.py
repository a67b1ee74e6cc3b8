"""Capacity matched to the data: how many knobs this many rows can pay for."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from itertools import pairwise

from nudgenet.errors import SettingError, counted
from nudgenet.models import OWN
from nudgenet.networks import transformer
from nudgenet.networks.convnet import choose_stages, multiply_adds
from nudgenet.records import Decision, Shape
from nudgenet.settings import Settings, more_or_less

ENSEMBLES = ("ensemble", "bag", "pretrained")  # networks that have an ensemble in them


@dataclass(frozen=True)
class Capacity:
    """The size of a network (of each of `members` networks in each of `copies`) and how strongly it is held back."""

    layers: int
    width: int
    dropout: float
    members: int = 1
    copies: int = 1

    @property
    def num_networks(self) -> int:
        """Networks whose answers are averaged."""
        return self.members * self.copies

    def multiply_adds(self, shape: Shape) -> int:
        """Multiplications with addition in one row's forward pass, embeddings counted as two numbers each."""
        if shape.model:
            return _of_trunk(shape)
        if shape.image is not None:
            return multiply_adds(shape.image, self.width, self.layers)
        if shape.text is not None and shape.text.kind == "sequence":
            return transformer.multiply_adds(self.width, self.layers, shape.text.places)
        sizes = [shape.num_numbers + 2 * len(shape.cardinalities)] + [self.width] * self.layers + [shape.num_outputs]
        return self.num_networks * sum(below * above for below, above in pairwise(sizes))

    def smaller(self, settings: Settings) -> Capacity | None:
        """The next smaller network, or None: what was set stays, and below a certain size there is nothing to gain."""
        if self.copies > 1 and not settings.copies:
            return replace(self, copies=self.copies // 2)
        if self.members > 4 and not settings.members:
            return replace(self, members=max(4, self.members // 2))
        if self.layers and self.width > 32 and not settings.width:
            return replace(self, width=self.width // 2)
        return None


def choose_capacity(shape: Shape, settings: Settings) -> Capacity:
    """Layers, width, dropout and members for this many training rows; a setting always wins.

    The width grows with the rows, more slowly for an ensemble: its members hold each other back. The
    figures behind the numbers stand in benchmarks/LOG.md.

    Raises:
        SettingError: members or copies of a network that has none.
    """
    rows, outputs = shape.num_rows, shape.num_outputs
    is_ensemble = settings.network in ENSEMBLES and settings.layers != 0
    if not is_ensemble:
        refuse_members(settings)
    if shape.image is not None and not shape.model:
        return Capacity(
            layers=choose_stages(shape.image) if settings.layers is None else settings.layers,
            # Twice the width is three times the time: for the last per cent, not for the first ninety.
            width=settings.width or (64 if settings.effort == "best" and rows >= 20_000 else 32),
            dropout=(0.2 if rows < 20_000 else 0.1) if settings.dropout is None else settings.dropout,
        )
    if shape.text is not None and shape.text.kind == "sequence":
        return Capacity(
            layers=settings.layers or (2 if rows < 20_000 else 4),
            width=settings.width or (128 if rows < 100_000 else 256),
            dropout=0.2 if settings.dropout is None else settings.dropout,
        )
    copies = 1
    if settings.network in ENSEMBLES:
        is_quick, is_best = settings.effort == "quick", settings.effort == "best"
        layers, dropout = 2, 0.1
        # Numbers want finer functions than classes.
        is_wide = not is_quick and (outputs == 1 or rows >= 50_000)
        width = (256 if is_wide else 128) // (2 if rows < 400 else 1)
        affordable = 2_048 // outputs  # thousands of classes: each member has that many outputs
        members = max(1, min(4 if is_quick else 8, affordable))
        copies = max(1, min(4, affordable // members)) if is_best else 1
    else:
        layers, dropout, members = 2 if rows < 10_000 else 3, 0.2 if rows < 2_000 else 0.1, 1
        width = 2 ** round(math.log2(min(256.0, max(16.0, 1.5 * math.sqrt(rows)))))
    return Capacity(
        layers=layers if settings.layers is None else settings.layers,
        width=settings.width or width,
        dropout=dropout if settings.dropout is None else settings.dropout,
        members=(settings.members or members) if is_ensemble else 1,
        copies=(settings.copies or copies) if is_ensemble else 1,
    )


def _of_trunk(shape: Shape) -> int:
    """About how many multiplications with addition a pretrained trunk needs for a row: enough to choose threads by."""
    config = json.loads(shape.model)
    if config["model_type"] == OWN and shape.image is not None:
        return shape.image.windows * multiply_adds(shape.image, int(config["width"]), int(config["layers"]))
    width = int(config.get("hidden_size") or config.get("width") or (config.get("hidden_sizes") or [768])[-1])
    layers = int(config.get("num_hidden_layers") or config.get("layers") or 12)
    if shape.text is not None and shape.medium == "text":
        tokens = shape.text.places
    elif shape.image is not None:
        tokens = shape.image.height * shape.image.width // int(config.get("patch_size") or 16) ** 2
    else:
        assert shape.sound is not None
        tokens = max(1, shape.sound.samples // 320)  # what the convolutions before it leave of a sound
    return transformer.multiply_adds(width, layers, tokens)


def refuse_members(settings: Settings) -> None:
    """Raises SettingError if several members or copies are asked for, and the network is a single one."""
    for name in ("members", "copies"):
        if (getattr(settings, name) or 1) > 1:
            single = "without a hidden layer" if settings.network in ENSEMBLES else f"`{settings.network}`"
            fix = "--set layers=2" if settings.network in ENSEMBLES else "--set network=ensemble (for tables)"
            raise SettingError(
                f"The network {single} is a single one: it has no `{name}`",
                got=f"{name}={getattr(settings, name)}",
                fix=f"Leave `{name}` away, or use {fix}.",
            )


def explain_capacity(capacity: Capacity, shape: Shape, num_parameters: int, settings: Settings) -> list[Decision]:
    """The capacity in words, with the knobs that the network really has."""
    as_set = settings.layers is not None and settings.width is not None
    why = f"{shape.num_rows:,} training rows; " + ("as set" if as_set else "more rows can pay for more knobs")
    size = f"{describe_layers(capacity, shape)}, {num_parameters:,} knobs"
    layers = capacity.layers - 1 if capacity.layers > 1 else capacity.layers + 1
    decisions = [
        Decision(
            "network size", size, why, f"--set layers={layers}, --set width={more_or_less('width', capacity.width)}"
        )
    ]
    if capacity.members > 1:
        why = "their answers are averaged, which errs less than any of them; they share most of their weights"
        other = f"--set members={more_or_less('members', capacity.members)}"
        if settings.members is None and settings.copies is None:  # a single network refuses them
            other = f"--set network=mlp, {other}"
        decisions.append(Decision("ensemble", f"{capacity.members} networks", why, other))
    if capacity.copies > 1:
        why = "each starts from other weights; their answers are averaged, too"
        decisions.append(Decision("copies", f"{capacity.copies} ensembles", why, "--set copies=1"))
    if settings.dropout is None and capacity.layers:
        share = f"{capacity.dropout:.0%} of the neurons are silenced at random in each step: none can lean on another"
        decisions.append(
            Decision("dropout", f"{capacity.dropout:g}", share, f"--set dropout={capacity.dropout + 0.2:.2g}")
        )
    return decisions


def describe_layers(capacity: Capacity, shape: Shape) -> str:
    """`2 layers of 32`, or `8 small networks with 2 layers of 128 each`."""
    if shape.model:
        config = json.loads(shape.model)
        return f"a pretrained {config['model_type'] if config['model_type'] != OWN else config['network'] + ' of ours'}"
    if shape.image is not None:
        channels = f"{capacity.width} to {capacity.width << capacity.layers} channels"
        return f"{1 + 3 * capacity.layers} convolutions in {counted(capacity.layers, 'stage')}, {channels}"
    if shape.text is not None and shape.text.kind == "sequence":
        blocks = counted(capacity.layers, "block")
        return f"{blocks} of attention, {counted(capacity.width, 'number')} for each word"
    if capacity.layers == 0:
        return "no hidden layer: a linear model"
    layers = f"{counted(capacity.layers, 'layer')} of {capacity.width}"
    return layers if capacity.num_networks == 1 else f"{capacity.num_networks} small networks with {layers} each"
