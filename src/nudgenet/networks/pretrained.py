"""A network that was trained on the texts of half the world, with outputs of its own on top.

The trunk (an encoder from `transformers`) turns tokens into vectors, whose mean is what is known of a text: its
features. They speak to the outputs directly; where a table has other columns, a small network reads both together.
While the trunk stays as it was, its features of a row never change: they come in as an input, computed once.
Sources: Devlin et al., BERT, arXiv 1810.04805; Reimers & Gurevych, Sentence-BERT, arXiv 1908.10084 (the mean).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from nudgenet.errors import SettingError
from nudgenet.models import ModelFolder, need_transformers
from nudgenet.records import Shape, TextShape

if TYPE_CHECKING:
    from collections.abc import Iterator

AT_ONCE = 2**13  # tokens of one pass without gradients


class PretrainedNetwork(nn.Module):
    """{"tokens", "numbers", "categories"} -> float32 (rows, num_outputs), or (rows, members, num_outputs).

    With the input "features", float32 (rows, num_features), as `read` gave them, tokens are not looked at.

    Args:
        build_rest: a network for a table of this shape, used if there are numbers or categories: they and the features.
        precision: of the trunk's matrix products while training.
    """

    def __init__(
        self,
        shape: Shape,
        build_rest: Callable[[Shape], nn.Module],
        *,
        dropout: float = 0.0,
        precision: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if shape.text is None or shape.text.kind != "pretrained":
            raise ValueError("a PretrainedNetwork needs texts in a pretrained network's tokens")
        self.text, self.precision = shape.text, precision
        self.trunk = build_trunk(shape.text)
        config: Any = self.trunk.config
        self.num_layers, num_features = int(config.num_hidden_layers), int(config.hidden_size) * len(shape.text.columns)
        self.dropout = nn.Dropout(dropout)
        self.direct = nn.Linear(num_features, shape.num_outputs)
        with torch.no_grad():
            self.direct.weight.zero_()
        is_table = shape.num_numbers + len(shape.cardinalities) > 0
        whole = replace(shape, num_numbers=shape.num_numbers + num_features, text=None)
        self.rest = build_rest(whole) if is_table else None

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        features = inputs["features"] if "features" in inputs else self.read(inputs["tokens"])
        features = self.dropout(features)
        direct: Tensor = self.direct(features)
        if self.rest is None:
            return direct
        numbers = torch.cat([inputs["numbers"], features.to(inputs["numbers"].dtype)], dim=1)
        outputs: Tensor = self.rest({"numbers": numbers, "categories": inputs["categories"]})
        return outputs + (direct.unsqueeze(1) if outputs.ndim == 3 else direct)

    def read(self, tokens: Tensor) -> Tensor:
        """What is known of the texts of each row, float32 (rows, num_features): of every column mean 0 and variance 1."""
        ends = list(accumulate(self.text.columns))
        columns = [tokens[:, end - places : end] for end, places in zip(ends, self.text.columns, strict=True)]
        vocabulary = (self.text.num_terms - 1) // len(columns)
        # Each column's tokens have numbers of their own; the trunk knows but one vocabulary.
        own = [torch.where(column > 0, (column - 1) % vocabulary + 1, 0) for column in columns]
        return torch.cat([self._in_pieces(column) for column in own], dim=1)

    def _in_pieces(self, tokens: Tensor) -> Tensor:
        """Without gradients texts of like length go together, so that little is computed for places that are empty."""
        if torch.is_grad_enabled():
            return self._mean(tokens)
        lengths = (tokens > 0).sum(dim=1)
        order = lengths.argsort(stable=True)
        found = torch.empty(len(tokens), self.direct.in_features // len(self.text.columns))
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
        longest = max(1, int(mask.sum(dim=1).max())) if len(tokens) else 1
        tokens, mask = tokens[:, :longest], mask[:, :longest]
        coarse = self.training and self.precision != torch.float32
        with torch.autocast("cpu", self.precision, enabled=True) if coarse else _as_it_is():
            vectors = self.trunk(
                input_ids=(tokens - 1).clamp_min(0).long(), attention_mask=mask.long()
            ).last_hidden_state
        kept = mask.unsqueeze(2)
        mean = (vectors.float() * kept).sum(dim=1) / kept.sum(dim=1).clamp_min(1)
        return F.layer_norm(mean, mean.shape[1:])

    def depth_of(self, name: str) -> int | None:
        """How many layers of the trunk stand between a parameter and the outputs; None: it is not the trunk's."""
        if not name.startswith("trunk."):
            return None
        words = name.split(".")
        for above, word in pairwise(words):
            if above in ("layer", "layers") and word.isdigit():
                return self.num_layers - 1 - int(word)
        return self.num_layers if "embeddings" in words else 0


def build_trunk(text: TextShape) -> nn.Module:
    """The architecture that a config describes, with random weights."""
    need_transformers()
    with quiet_transformers():
        from transformers import AutoConfig, AutoModel

        config = dict(json.loads(text.model))
        try:
            described = AutoConfig.for_model(config.pop("model_type"), **config)
            if described.model_type == "modernbert":
                described.reference_compile = False  # compiling takes minutes here, and differs between machines
            trunk: Any = AutoModel.from_config(described, trust_remote_code=False)
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise SettingError("The model's config.json does not describe a network", got=str(error)[:200]) from None
    if getattr(trunk, "pooler", None) is not None:
        trunk.pooler = None  # a layer for another purpose; the mean needs none
    built: nn.Module = trunk.float()
    return built


def load_trunk(network: nn.Module, model: ModelFolder) -> None:
    """Give a network's trunk the weights that lie in a model's folder, in place.

    Raises:
        SettingError: the weights do not fit the config, or are damaged.
    """
    if not isinstance(network, PretrainedNetwork):
        return
    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        from transformers import AutoModel

        try:
            loaded = AutoModel.from_pretrained(
                model.path, local_files_only=True, use_safetensors=True, trust_remote_code=False, dtype=torch.float32
            )
            weights = loaded.state_dict()
            network.trunk.load_state_dict({name: weights[name] for name in network.trunk.state_dict()})
        except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
            reason = str(error).strip().splitlines()[0][:200]
            raise SettingError("The model's weights cannot be read", got=f"{model.path}: {reason}") from None


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars and no advice on standard error from the library, for a while."""
    from transformers.utils import logging

    before, had_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if had_bar:
            logging.enable_progress_bar()


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield
