"""A network that was trained on half the world's texts, images or sounds, with outputs of its own on top.

The trunk (an encoder from `transformers`, or that of an earlier run) turns a row into a vector, its features: of texts
the mean over the tokens, of images and sounds what the architecture's own head is told. They speak to the outputs
directly; where a table has other columns, a small network reads both together.
While the trunk stays as it was, its features of a row never change: they come in as an input, computed once.
Sources: Devlin et al., BERT, arXiv 1810.04805; Reimers & Gurevych, Sentence-BERT, arXiv 1908.10084 (the mean).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nudgenet.models import ModelFolder
from nudgenet.networks.convnet import ConvNet
from nudgenet.networks.hearing import hear
from nudgenet.networks.transformer import Transformer
from nudgenet.networks.trunks import add_lora, build_trunk, depths, load_all_but_outputs, load_weights
from nudgenet.records import ImageShape, Shape

AT_ONCE = 2**13  # tokens of one pass without gradients
PIECES = 2  # of a batch of texts while training: the short ones, and the long ones
EPSILON = 1e-12  # keeps a normalisation from dividing by zero, and counts for nothing else
ROWS_AT_ONCE = 16  # images or sounds of one pass without gradients


class PretrainedNetwork(nn.Module):
    """{"tokens", "images" or "waves", "numbers", "categories"} -> float32 (rows, num_outputs), or (rows, members, num_outputs).

    With the input "features", float32 (rows, num_features), as `read` gave them, the trunk is not asked.

    Args:
        build_rest: a network for a table of this shape, used if there are columns that the trunk does not take in: they and
            the features.
        precision: of the trunk's matrix products while training.
        lora: the rank of what is trained beside the trunk's own weights; 0: these themselves are, but for the vectors of
            a text's words, unless the trunk is ours.
    """

    center: Tensor
    spread: Tensor

    def __init__(
        self,
        shape: Shape,
        build_rest: Callable[[Shape], nn.Module],
        *,
        dropout: float = 0.0,
        precision: torch.dtype = torch.float32,
        lora: int = 0,
    ) -> None:
        super().__init__()
        if not shape.model:
            raise ValueError("a PretrainedNetwork needs the config of a pretrained network")
        self.shape, self.precision, self.lora = shape, precision, lora
        self.trunk = build_trunk(shape.model)
        num_columns = len(shape.text.columns) if shape.text and shape.medium == "text" else 1
        num_features = num_features_of(self.trunk) * num_columns
        self.register_buffer("center", torch.zeros(num_features))
        self.register_buffer("spread", torch.ones(num_features))
        self.dropout = nn.Dropout(dropout)
        self.direct = nn.Linear(num_features, shape.num_outputs)
        with torch.no_grad():
            self.direct.weight.zero_()
        beside = None if shape.medium == "text" else shape.text  # texts that the trunk does not read
        is_table = shape.num_numbers + len(shape.cardinalities) > 0 or beside is not None
        whole = replace(shape, num_numbers=shape.num_numbers + num_features, text=beside, image=None, sound=None)
        self.rest = build_rest(whole) if is_table else None
        if lora:
            add_lora(self.trunk, lora)
        elif shape.medium == "text" and not isinstance(self.trunk, Transformer):
            # Half of all knobs of a small trunk, and a quarter of a step's time; few rows hold few of its words.
            self.trunk.get_input_embeddings().requires_grad_(False)  # type: ignore[operator]
        names = [name for name, _ in self.trunk.named_parameters()]
        self._depths = {f"trunk.{name}": depth for name, depth in depths(names).items()}

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        features = inputs["features"] if "features" in inputs else self.read(inputs)
        features = self.dropout((features - self.center) / self.spread)
        direct: Tensor = self.direct(features)
        if self.rest is None:
            return direct
        numbers = torch.cat([inputs["numbers"], features.to(inputs["numbers"].dtype)], dim=1)
        outputs: Tensor = self.rest({**inputs, "numbers": numbers})
        return outputs + (direct.unsqueeze(1) if outputs.ndim == 3 else direct)

    def train(self, mode: bool = True) -> PretrainedNetwork:
        """Batch normalisation keeps the means that it was pretrained with: a few rows' own ones would only shake it."""
        super().train(mode)
        for part in self.trunk.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eval()
        return self

    def standardise(self, features: Tensor) -> None:
        """From here on features are brought to mean 0 and variance 1 as these have, float32 (rows, num_features)."""
        self.center.copy_(features.mean(dim=0))
        spread = features.std(dim=0, correction=0)
        self.spread.copy_(spread.clamp_min(max(1e-6, 0.01 * float(spread.median()))))

    def read(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """What is known of each row's texts, image or sound, float32 (rows, num_features)."""
        if self.shape.medium == "text":
            return self._read_texts(inputs["tokens"])
        cells = inputs["images" if self.shape.image is not None else "waves"]
        if torch.is_grad_enabled():
            return self._look(cells)
        if not len(cells):
            return cells.new_zeros(0, len(self.center), dtype=torch.float32)
        return torch.cat([self._look(some) for some in torch.split(cells, ROWS_AT_ONCE)])

    def _look(self, cells: Tensor) -> Tensor:
        with self._coarse():
            if self.shape.image is not None:
                return see(self.trunk, self.shape.image, cells).float()
            assert self.shape.sound is not None
            return hear(self.trunk, self.shape.sound, cells).float()

    def _read_texts(self, tokens: Tensor) -> Tensor:
        """Of every column mean 0 and variance 1."""
        return torch.cat([self._in_pieces(column) for column in self.own_tokens(tokens)], dim=1)

    def own_tokens(self, tokens: Tensor) -> list[Tensor]:
        """The tokens of each column of texts, (rows, places), by the trunk's own numbers from 1; 0 is nothing.

        Raises:
            ValueError: the trunk reads no texts.
        """
        text = self.shape.text
        if text is None or self.shape.medium != "text":
            raise ValueError("this trunk reads no texts")
        ends = list(accumulate(text.columns))
        columns = [tokens[:, end - places : end] for end, places in zip(ends, text.columns, strict=True)]
        vocabulary = (text.num_terms - 1) // len(columns)
        # Each column's tokens have numbers of their own; the trunk knows but one vocabulary.
        return [torch.where(column > 0, (column - 1) % vocabulary + 1, 0) for column in columns]

    def _in_pieces(self, tokens: Tensor) -> Tensor:
        """Texts of like length go together, so that little is computed for places that are empty."""
        if torch.is_grad_enabled() and not self.training:  # somebody watches one row, and counts the passes
            return self._mean(tokens)
        lengths = (tokens > 0).sum(dim=1)
        order = lengths.argsort(stable=True)
        if torch.is_grad_enabled():
            pieces = torch.tensor_split(order, max(1, min(PIECES, len(order))))
            with self._coarse():  # around all of them: the weights are rounded once
                parts = [self._mean(tokens[rows]) for rows in pieces]
            return torch.cat(parts)[order.argsort()]
        found = torch.empty(len(tokens), num_features_of(self.trunk))
        begin = 0
        while begin < len(order):
            count = max(1, AT_ONCE // max(1, int(lengths[order[begin]])))
            rows = order[begin : begin + count]
            if (longest := int(lengths[rows[-1]])) * len(rows) > 2 * AT_ONCE:
                rows = rows[: max(1, AT_ONCE // longest)]
            found[rows] = self._mean(tokens[rows]).to(found.dtype)
            begin += len(rows)
        return found

    def _mean(self, tokens: Tensor) -> Tensor:
        mask = tokens > 0
        filled = mask.any(dim=0).nonzero()  # a token may be left out in the middle of a text, too
        longest = int(filled[-1]) + 1 if len(filled) else 1
        tokens, mask = tokens[:, :longest], mask[:, :longest]
        with self._coarse():
            if isinstance(self.trunk, Transformer):
                mean = self.trunk.read(tokens).float()
                return F.layer_norm(mean, mean.shape[1:], eps=EPSILON)
            vectors = self.trunk(
                input_ids=(tokens - 1).clamp_min(0).long(), attention_mask=mask.long()
            ).last_hidden_state
        kept = mask.unsqueeze(2)
        mean = (vectors.float() * kept).sum(dim=1) / kept.sum(dim=1).clamp_min(1)
        return F.layer_norm(mean, mean.shape[1:], eps=EPSILON)

    @contextmanager
    def _coarse(self) -> Iterator[None]:
        """Matrix products are rounded while training, if the network was built so."""
        if not self.training or self.precision == torch.float32:
            yield
            return
        with torch.autocast("cpu", self.precision):
            yield

    def depth_of(self, name: str) -> int | None:
        """How many layers of the trunk stand between a parameter and the outputs; None: it is not the trunk's."""
        return self._depths.get(name)


def see(trunk: nn.Module, image: ImageShape, images: Tensor) -> Tensor:
    """What a pretrained trunk knows of images uint8 (rows, channels, height, width), as its own head would be told."""
    if isinstance(trunk, ConvNet):
        views = torch.split(images, image.channels, dim=1)
        return torch.stack([trunk.pooled(trunk.maps(view)) for view in views]).mean(dim=0)
    center, spread = (255 * torch.tensor(values).view(1, -1, 1, 1) for values in (image.center, image.spread))
    given = {"pixel_values": (images.float() - center) / spread}
    told: Any = trunk(**given)
    config: Any = trunk.config
    if config.model_type.startswith("convnext"):
        pooled: Tensor = told.pooler_output
        return pooled
    vectors: Tensor = told.last_hidden_state
    if config.model_type == "dinov2":
        return torch.cat([vectors[:, 0], vectors[:, 1:].mean(dim=1)], dim=1)
    return vectors[:, 0]


def num_features_of(trunk: nn.Module) -> int:
    """Numbers that a trunk knows of a row, or of one of its texts."""
    if isinstance(trunk, ConvNet):
        return trunk.num_features
    if isinstance(trunk, Transformer):
        return trunk.norm.normalized_shape[0]
    config: Any = trunk.config
    if config.model_type.startswith("convnext"):
        return int(config.hidden_sizes[-1])
    return int(config.hidden_size) * (2 if config.model_type == "dinov2" else 1)


def load_trunk(network: nn.Module, model: ModelFolder) -> None:
    """Give a network's trunk the weights that lie in a model's folder, in place: of one for tables all but the outputs.

    Raises:
        SettingError: the weights do not fit the config, or are damaged.
    """
    if model.medium == "table":
        load_all_but_outputs(network, model)
        return
    if not isinstance(network, PretrainedNetwork):
        return
    trunk = network.trunk
    if network.lora:  # they go into a trunk as it was written, and from there into the one with more beside it
        trunk = build_trunk(network.shape.model)
    load_weights(trunk, model)
    if network.lora:
        weights = trunk.state_dict()
        own = network.trunk.state_dict()
        plain = {name: name.replace(".base_layer.", ".") for name in own if ".lora_" not in name}
        network.trunk.load_state_dict({name: weights[found] for name, found in plain.items()}, strict=False)
