"""A column of free text as the tokens that a pretrained network was trained on, by its own tokenizer."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from nudgenet.data.cells import parse_levels
from nudgenet.data.columns import as_set
from nudgenet.data.documents import texts_of
from nudgenet.errors import SettingError
from nudgenet.models import ModelFolder, find_model, need_transformers
from nudgenet.records import CellFormat, Column, Decision

FIRST = 1  # the number of the tokenizer's token 0: 0 stands for nothing
MOST_PLACES = 256  # of all columns together: the cost of attention grows with them, what they tell hardly does
COVERED = 0.98  # of the training texts fit into the places
LEARNED_FROM = 20_000  # texts, evenly spaced, whose lengths are looked at
AT_ONCE = 4_096
OFFSET_MODELS = ("camembert", "roberta", "xlm-roberta")  # positions are counted from the padding's number on


@dataclass(frozen=True)
class TokenFeature:
    """A text as a pretrained network reads it.

    tokenizer: its `tokenizer.json`, line by line. model: its `config.json`, as far as it matters.
    """

    column: str
    format: CellFormat
    tokenizer: tuple[str, ...]
    model: str
    places: int
    has_missing: bool = False
    kind: Literal["pretrained"] = "pretrained"

    @property
    def terms(self) -> range:
        """The numbers of the tokens."""
        return range(int(json.loads(self.model)["vocab_size"]))

    def encode(self, cells: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
        """(tokens int32, weights float32: 1 for a token, 0 beyond the text's end), both (rows, places)."""
        tokens = np.zeros((len(cells), self.places), np.int32)
        self._tokenizer.enable_truncation(self.places)
        for begin in range(0, len(cells), AT_ONCE):
            encoded = self._ids(cells.slice(begin, AT_ONCE))
            lengths = np.fromiter(map(len, encoded), np.int64, len(encoded))
            flat = np.fromiter((number for ids in encoded for number in ids), np.int32, int(lengths.sum()))
            rows = np.repeat(np.arange(len(encoded)), lengths)
            tokens[begin + rows, np.arange(len(flat)) - (np.cumsum(lengths) - lengths)[rows]] = flat + FIRST
        return tokens, (tokens > 0).astype(np.float32)

    def lengths(self, cells: pa.ChunkedArray) -> np.ndarray:
        """How many tokens each text has, however many are kept."""
        self._tokenizer.no_truncation()
        return np.array([len(ids) for ids in self._ids(cells)], np.int64)

    def located(self, text: str, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A text's tokens as `encode` numbers them, and in which part of it each ends; -1: it stands in none.

        ends: int64 (parts,), the characters after which a part ends.
        """
        self._tokenizer.no_truncation()
        encoded = self._tokenizer.encode(text)
        is_empty = np.array([begin == end for begin, end in encoded.offsets], bool)
        # Some tokenizers count the blank before a word as part of it: what matters is where its last letter stands.
        last = np.array([end - 1 for _, end in encoded.offsets], np.int64)
        parts = np.searchsorted(ends, last, side="right")
        return np.array(encoded.ids, np.int64) + FIRST, np.where(is_empty, -1, parts)

    def piece(self, number: int) -> str:
        """What a token of the vocabulary stands for, as people read it: a piece inside a word begins with dots."""
        name = str(self._tokenizer.id_to_token(number) or f"token {number}")
        if name.startswith("##"):
            return f"…{name[2:]}"
        return name.removeprefix("Ġ").removeprefix("▁") or "(blank)"  # how tokenizers write the blank before a word

    def _ids(self, cells: pa.ChunkedArray) -> list[list[int]]:
        texts = ["" if text is None else text for text in parse_levels(texts_of(cells), self.format).to_pylist()]
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]

    @cached_property
    def _tokenizer(self) -> Any:
        need_transformers()
        from tokenizers import Tokenizer

        try:
            tokenizer = Tokenizer.from_str("\n".join(self.tokenizer))
        except Exception as error:  # the library raises nothing narrower
            raise SettingError("The model's tokenizer.json cannot be read", got=str(error)[:200]) from None
        tokenizer.no_padding()
        return tokenizer


def learn_tokens(
    column: Column, cells: pa.ChunkedArray, start_from: str, num_texts: int
) -> tuple[TokenFeature, list[Decision]]:
    """The model's tokenizer, and as many places as nearly all training texts need.

    Raises:
        SettingError: there is no such model, or it has no tokenizer.
    """
    model = find_model(start_from)
    if model.medium != "text":
        raise SettingError(
            f"The pretrained network is for {model.medium}s, and the column `{column.name}` holds texts", got=start_from,
            fix="Give one for texts, or leave --from away.",
        )  # fmt: skip
    most = min(max(32, MOST_PLACES // num_texts), longest_text(model))
    lines = tuple(model.read("tokenizer.json").split("\n"))
    feature = TokenFeature(column.name, column.format, lines, model.packed_config, most)
    some = np.unique(np.linspace(0, len(cells) - 1, min(len(cells), LEARNED_FROM)).astype(np.int64))
    lengths = feature.lengths(cells.take(pa.array(some)))
    fitting = min(most, max(8, 8 * int(np.ceil(np.quantile(lengths, COVERED) / 8))))
    cut = float((lengths > fitting).mean())
    why = f"{1 - cut:.1%} of the training texts have no more; the rest of a longer one is cut off"
    return replace(feature, places=fitting), [
        Decision(
            f"text `{column.name}`", f"the tokens of {start_from}",
            "a pretrained network knows the words that its own tokenizer makes", as_set(f"ignore={column.name}"),
        ),
        Decision(f"length of `{column.name}`", f"{fitting} tokens", why, ""),
    ]  # fmt: skip


def longest_text(model: ModelFolder) -> int:
    """Tokens that the network has positions for."""
    most = int(model.config.get("max_position_embeddings") or 512)
    if model.kind in OFFSET_MODELS:
        most -= 1 + int(model.config.get("pad_token_id") or 0)
    return most
