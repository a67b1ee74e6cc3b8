"""Pretrained networks, opened as far as they can be: who looked at whom in a text, and the first filters over a picture."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from nudgenet.models import OWN
from nudgenet.networks.pretrained import PretrainedNetwork
from nudgenet.networks.transformer import Block, Transformer
from nudgenet.networks.trunks import quiet_transformers
from nudgenet.networks.watched import Watch
from nudgenet.networks.watched_places import attention_maps

SEEN_AT_ONCE = (1, 3)  # channels of what a person would call a picture: grey or colours


def closed_part(network: nn.Module) -> str:
    """The part of a network that is not opened neuron by neuron, in one line for people; "" where there is none."""
    if not isinstance(network, PretrainedNetwork):
        return ""
    kind = json.loads(network.shape.model)["model_type"]
    name = "of an earlier run" if kind == OWN else kind
    knobs = sum(parameter.numel() for parameter in network.trunk.parameters())
    return (
        f"The inside of the pretrained network ({name}, {knobs:,} knobs) is not drawn neuron by neuron: "
        f"here begins what reads the {network.direct.in_features:,} numbers that it says of a row."
    )


def read_text(network: PretrainedNetwork, inputs: Mapping[str, Tensor]) -> tuple[int, Tensor]:
    """The first column of the first row that holds a text, and its tokens int32 (1, tokens) as the trunk numbers them.

    Raises:
        ValueError: the trunk reads no texts.
    """
    columns = network.own_tokens(inputs["tokens"][:1])
    place = next((place for place, tokens in enumerate(columns) if (tokens > 0).any()), 0)
    tokens = columns[place]
    return place, tokens[:, : max(1, int((tokens > 0).sum()))]


def trunk_attention(network: PretrainedNetwork, tokens: Tensor) -> list[Tensor]:
    """Of each layer of the trunk, who looked at whom: float32 (heads, tokens, tokens); [] if it does not tell.

    Args:
        tokens: see `read_text`. The trunk of an earlier run puts one of its own before them.
    """
    trunk: Any = network.trunk
    if isinstance(trunk, Transformer):
        with torch.no_grad(), Watch(attention_in(trunk)) as seen:
            trunk.read(tokens)
        return attention_maps(trunk, seen)
    given = {"input_ids": (tokens - 1).clamp_min(0).long(), "attention_mask": (tokens > 0).long()}
    with torch.no_grad(), telling(trunk):
        found = trunk(**given, output_attentions=True).attentions or ()
    count = tokens.shape[1]
    maps = [one[0].float() for one in found if one is not None and one.ndim == 4]
    return maps if all(one.shape[1:] == (count, count) for one in maps) else []


def attention_in(trunk: Transformer) -> list[nn.Module]:
    """The part of each block in which tokens look at each other."""
    return [block.attention for block in trunk.blocks if isinstance(block, Block)]


@contextmanager
def telling(trunk: Any) -> Iterator[None]:
    """For a while the trunk computes attention step by step: the fused way keeps no shares."""
    before = trunk.config._attn_implementation
    with quiet_transformers():
        trunk.set_attn_implementation("eager")
    try:
        yield
    finally:
        with quiet_transformers():
            trunk.set_attn_implementation(before)


def first_convolution(network: nn.Module) -> Tensor | None:
    """The weights of the first layer over a picture: float32 (channels, colours, height, width); None where there is none."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            return module.weight.detach().float() if module.in_channels in SEEN_AT_ONCE else None
    return None
