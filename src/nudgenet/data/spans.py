"""Which column, and which word of a text, each place of the tensors comes from: what a network says of places is said of those."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from nudgenet.data.cells import parse_levels
from nudgenet.data.features import CategoryFeature
from nudgenet.data.prepare import Preparation
from nudgenet.data.starts import MediaFeature
from nudgenet.data.texts import FIRST, LONGEST_PIECE, PIECE, SHORTEST_PIECE, BagFeature, SequenceFeature, TextFeature
from nudgenet.data.words import pieces_of, split_words


def input_positions(preparation: Preparation) -> dict[str, list[tuple[str, int | slice]]]:
    """A user's column -> where its prepared inputs stand: [(input name, position or positions), ...]."""
    positions: dict[str, list[tuple[str, int | slice]]] = {}
    texts = preparation.texts
    num_numbers = num_categories = 0
    for feature in preparation.features:
        if isinstance(feature, CategoryFeature):
            positions[feature.column] = [("categories", num_categories)]
            num_categories += 1
        elif isinstance(feature, MediaFeature):
            positions[feature.column] = [(feature.input, slice(None))]
        elif isinstance(feature, TextFeature):
            positions[feature.column] = [(name, texts[feature.column]) for name in ("tokens", "token_weights")]
        else:
            width = len(feature.names)
            positions[feature.column] = [("numbers", num_numbers + offset) for offset in range(width)]
            num_numbers += width
    return positions


def spans_of(feature: TextFeature, units: Sequence[str]) -> np.ndarray | None:
    """How much of each place of a text belongs to each of its units, float64 (places, units); a line sums to 1 or 0.

    A term that stands in several units belongs to all of them alike. A place that belongs to none is empty, or holds what
    a tokenizer adds of its own.

    Args:
        units: the text in pieces, such as words and blanks: put together they are the text.

    Returns:
        None if the units, read one by one, do not give the tokens of the text.
    """
    text = parse_levels(pa.chunked_array([["".join(units)]], pa.string()), feature.format)
    tokens = feature.encode(pa.chunked_array([["".join(units)]], pa.string()))[0][0]
    if text[0].as_py() is None:  # a marker of something missing
        return None
    if isinstance(feature, BagFeature):
        return _shares_of_bag(feature, tokens, units)
    if isinstance(feature, SequenceFeature):
        words = split_words(pa.array(list(units), pa.string()))
        rows, terms = words.expanded(feature.tokens_of)
        found, owners = terms + FIRST, rows
    else:
        found, owners = feature.located("".join(units), np.cumsum([len(unit) for unit in units]))
    count = int((tokens > 0).sum())
    if len(found) < count or not np.array_equal(found[:count], tokens[:count]):
        return None
    shares = np.zeros((len(tokens), len(units)))
    known = np.flatnonzero(owners[:count] >= 0)
    shares[known, owners[known]] = 1.0
    return shares


def _shares_of_bag(feature: BagFeature, tokens: np.ndarray, units: Sequence[str]) -> np.ndarray:
    """`spans_of` a bag: a word, a piece of one, or a pair of neighbours, which belongs to both."""
    words = split_words(pa.array(list(units), pa.string()))
    owners: dict[str, set[int]] = {}
    before: tuple[str, int] | None = None
    for unit, code in zip(words.rows.tolist(), words.codes.tolist(), strict=True):
        word = words.distinct[code]
        owners.setdefault(word, set()).add(unit)
        for piece in pieces_of(word, SHORTEST_PIECE, LONGEST_PIECE):
            owners.setdefault(PIECE + piece, set()).add(unit)
        if before is not None:
            owners.setdefault(f"{before[0]} {word}", set()).update((before[1], unit))
        before = word, unit
    shares = np.zeros((len(tokens), len(units)))
    for place in np.flatnonzero(tokens).tolist():
        own = sorted(owners.get(feature.terms[tokens[place] - FIRST], ()))
        shares[place, own] = 1.0 / max(1, len(own))
    return shares
