"""A column of free text as inputs of a network: a weighted bag of terms, or a sequence of tokens.

Both are learned from the training rows and fill two inputs with a fixed number of places for each text: `tokens`, int32
numbers of terms (0: nothing stands here), and `token_weights`, float32, how much each counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from scipy import sparse
from scipy.sparse import linalg
from torch import Tensor

from nudgenet.data.cells import parse_levels
from nudgenet.data.columns import as_set
from nudgenet.data.documents import texts_of
from nudgenet.data.tokens import TokenFeature, learn_tokens
from nudgenet.data.words import EDGE, Words, in_rows, pieces_of, split_words
from nudgenet.errors import SettingError, counted
from nudgenet.models import OWN, TERMS, ModelFolder, find_model
from nudgenet.records import CellFormat, Column, Decision, TextShape
from nudgenet.settings import Settings

FIRST = 1  # the number of the first term
PIECE = "#"  # begins the name of a term that is a piece of a word
MOST_TERMS = 30_000  # of each sort: words, pairs, pieces
FEWEST_TEXTS = 2  # in which a term must stand: what stands in one text cannot be seen to mean anything
SHORTEST_PIECE, LONGEST_PIECE = 3, 5
SHORT_TEXT = 60  # words: texts that are shorter on average are also told by pieces of their words
TOKEN_PIECE = 6  # characters of a piece that unknown words of a sequence are built from, at most
MOST_PIECES = 4_000
MOST_PLACES = 512
COVERED = 0.98  # of the training texts fit into the places
LEARNED_FROM = 200_000  # rows, evenly spaced: more tell the same terms
AT_ONCE = 4_096  # texts that are encoded in one go
ORDER_PAYS = (
    200_000  # training rows from which on the order of words is worth its cost; a guess (benchmarks/LOG.md, Texts)
)


@dataclass(frozen=True)
class BagFeature:
    """A text as a bag of weighted terms: words, pairs of neighbouring words, and pieces of words.

    A weight is TF-IDF: (1 + log count) * rarity, at length 1 over the terms of each sort in a text. Of a text with more
    terms than places the weightiest are kept.

    terms: a word as it is, a pair with a blank in it, a piece behind `PIECE`. rarity: of each term, log((1 + texts) /
    (1 + texts with it)) + 1.
    """

    column: str
    format: CellFormat
    terms: tuple[str, ...]
    rarity: tuple[float, ...]
    places: int
    has_missing: bool = False
    kind: Literal["bag"] = "bag"

    def encode(self, cells: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
        """(tokens int32, weights float32), both (rows, places), the weightiest first."""
        tokens = np.zeros((len(cells), self.places), np.int32)
        weights = np.zeros((len(cells), self.places), np.float32)
        for begin in range(0, len(cells), AT_ONCE):
            words = split_words(parse_levels(texts_of(cells.slice(begin, AT_ONCE)), self.format))
            rows, terms, values = self.weighted(words)
            order = np.lexsort((terms, -values, rows))
            rows, terms, values = rows[order], terms[order], values[order]
            place = np.arange(len(rows)) - np.searchsorted(rows, rows)
            kept = place < self.places
            tokens[begin + rows[kept], place[kept]] = terms[kept] + FIRST
            weights[begin + rows[kept], place[kept]] = values[kept]
        return tokens, weights

    def weighted(self, words: Words) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(row, term, weight) of every different known term in each text."""
        numbers = words.mapped(lambda word: self._number_of.get(word, -1))
        found = [(words.rows[numbers >= 0], numbers[numbers >= 0]), self._pairs_in(words, numbers)]
        if self._has_pieces:
            found.append(words.expanded(self._pieces_in))
        sorts = [self._tf_idf(rows, terms, words.num_rows) for rows, terms in found if len(rows)]
        if not sorts:
            return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
        rows, terms, weights = (np.concatenate(parts) for parts in zip(*sorts, strict=True))
        return rows, terms, weights

    def _tf_idf(self, rows: np.ndarray, terms: np.ndarray, num_rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        keys, counts = np.unique(rows * len(self.terms) + terms, return_counts=True)
        rows, terms = keys // len(self.terms), keys % len(self.terms)
        weights = (1 + np.log(counts)) * self._rarity[terms]
        lengths = np.sqrt(np.bincount(rows, weights**2, minlength=num_rows))
        return rows, terms, weights / lengths[rows]

    def _pairs_in(self, words: Words, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        keys, terms = self._pairs
        rows, left, right = words.neighbours(numbers)
        if not len(keys) or not len(rows):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        wanted = left * len(self.terms) + right
        place = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
        known = (left >= 0) & (right >= 0) & (keys[place] == wanted)
        return rows[known], terms[place[known]]

    def _pieces_in(self, word: str) -> list[int]:
        pieces = pieces_of(word, SHORTEST_PIECE, LONGEST_PIECE)
        return [number for piece in pieces if (number := self._number_of.get(PIECE + piece, -1)) >= 0]

    @cached_property
    def _number_of(self) -> dict[str, int]:
        return {term: number for number, term in enumerate(self.terms)}

    @cached_property
    def _rarity(self) -> np.ndarray:
        return np.array(self.rarity, np.float64)

    @cached_property
    def _has_pieces(self) -> bool:
        return any(len(term) > 1 and term.startswith(PIECE) for term in self.terms)

    @cached_property
    def _pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """(keys ascending, term of each): a key is number of the left * number of terms + number of the right."""
        pairs = [number for number, term in enumerate(self.terms) if " " in term]
        halves = [[self._number_of[word] for word in self.terms[number].split(" ")] for number in pairs]
        keys = np.array([left * len(self.terms) + right for left, right in halves], np.int64)
        order = np.argsort(keys)
        return keys[order], np.array(pairs, np.int64)[order]


@dataclass(frozen=True)
class SequenceFeature:
    """A text as its words in order; a word that training did not know becomes the longest known pieces of it.

    terms: the first is `PIECE` alone, for what cannot even be built from pieces; then words, and pieces behind `PIECE`.
    model: the config, as JSON, of the earlier network of ours that is started from; "" for a fresh one.
    """

    column: str
    format: CellFormat
    terms: tuple[str, ...]
    places: int
    has_missing: bool = False
    kind: Literal["sequence"] = "sequence"
    model: str = ""

    def encode(self, cells: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
        """(tokens int32, weights float32: 1 for a token, 0 beyond the text's end), both (rows, places)."""
        tokens = np.zeros((len(cells), self.places), np.int32)
        for begin in range(0, len(cells), AT_ONCE):
            words = split_words(parse_levels(texts_of(cells.slice(begin, AT_ONCE)), self.format))
            rows, terms = words.expanded(self.tokens_of)
            place = np.arange(len(rows)) - np.searchsorted(rows, rows)
            kept = place < self.places
            tokens[begin + rows[kept], place[kept]] = terms[kept] + FIRST
        return tokens, (tokens > 0).astype(np.float32)

    def tokens_of(self, word: str) -> list[int]:
        """A word's number, or those of its pieces, the longest first."""
        if (number := self._number_of.get(word)) is not None and word != PIECE:
            return [number]
        numbers, begin = [], 0
        while begin < len(word):
            for end in range(min(len(word), begin + TOKEN_PIECE), begin, -1):
                if (number := self._number_of.get(PIECE + word[begin:end])) is not None:
                    numbers.append(number)
                    break
            else:
                numbers.append(0)
                end = begin + 1
            begin = end
        return numbers

    @cached_property
    def _number_of(self) -> dict[str, int]:
        return {term: number for number, term in enumerate(self.terms)}


LearnedFeature = BagFeature | SequenceFeature
TextFeature = LearnedFeature | TokenFeature


def text_shape(features: Sequence[TextFeature]) -> TextShape | None:
    """What the network must take in: the columns' places side by side, their terms one after the other."""
    if not features:
        return None
    num_terms = FIRST + sum(len(feature.terms) for feature in features)
    columns = tuple(feature.places for feature in features)
    first = features[0]
    if not isinstance(first, BagFeature) and first.model:
        return TextShape("pretrained", num_terms, sum(columns), columns, first.model)
    return TextShape(first.kind, num_terms, sum(columns))


def encode_texts(features: Sequence[TextFeature], table: pa.Table) -> dict[str, Tensor]:
    """{"tokens", "token_weights"} of all columns of free text (see `records.Part.inputs`); {} without any."""
    if not features:
        return {}
    before = np.cumsum([0, *(len(feature.terms) for feature in features)])
    encoded = [feature.encode(table.column(feature.column)) for feature in features]
    tokens = [np.where(own > 0, own + first, 0) for (own, _), first in zip(encoded, before[:-1], strict=True)]
    return {
        "tokens": torch.from_numpy(np.hstack(tokens).astype(np.int32)),
        "token_weights": torch.from_numpy(np.hstack([weights for _, weights in encoded])),
    }


def weigh_terms(inputs: Mapping[str, Tensor], shape: TextShape) -> sparse.csr_array:
    """The texts as simple models take them, float64 (rows, num_terms): the weights of a bag, or how often each token stands."""
    tokens, weights = inputs["tokens"].numpy(), inputs["token_weights"].numpy()
    rows, places = np.nonzero(tokens)
    values = weights[rows, places].astype(np.float64)
    terms = sparse.csr_array((values, (rows, tokens[rows, places])), shape=(len(tokens), shape.num_terms))
    if shape.kind != "bag":
        terms.data = 1 + np.log(terms.data)
        terms = sparse.csr_array(terms / np.maximum(linalg.norm(terms, axis=1), 1.0)[:, None])
    return terms


def learn_text(
    column: Column, cells: pa.ChunkedArray, settings: Settings, num_texts: int = 1, *, beside_files: bool = False
) -> tuple[TextFeature, list[Decision]]:
    """A bag, or a sequence where the order of words is wanted or there are rows enough to learn it from.

    Args:
        cells: of the training rows.
        num_texts: columns of free text, which share the places.
        beside_files: there is a column of images or sounds, to which alone `network` and `start_from` belong: a bag.
    """
    if settings.start_from is not None and not beside_files:
        model = find_model(settings.start_from)
        if model.kind == OWN and model.medium == "text":
            return _as_read_before(column, model)
        return learn_tokens(column, cells, settings.start_from, num_texts)
    places = max(32, MOST_PLACES // num_texts)
    some = cells.take(
        pa.array(np.unique(np.linspace(0, len(cells) - 1, min(len(cells), LEARNED_FROM)).astype(np.int64)))
    )
    words = split_words(parse_levels(texts_of(some), column.format))
    if wants_order(settings, len(cells)) and not beside_files:
        feature: LearnedFeature = _learn_sequence(column, words, places)
        lengths = np.bincount(words.expanded(feature.tokens_of)[0], minlength=len(some))  # type: ignore[union-attr]
        noun, rest = "tokens", "the rest of a longer one is cut off"
    else:
        feature = _learn_bag(column, words, places)
        sample = split_words(parse_levels(texts_of(some.slice(0, AT_ONCE)), column.format))
        lengths = np.bincount(feature.weighted(sample)[0], minlength=sample.num_rows)
        noun, rest = "terms", "of a richer one the rarest terms are kept"
    fitting = min(places, max(8, 8 * int(np.ceil(np.quantile(lengths, COVERED) / 8))))
    cut = float((lengths > fitting).mean())
    feature = _with_places(feature, fitting)
    why = f"{1 - cut:.1%} of the training texts have no more; {rest}"
    return feature, [
        Decision(
            f"text `{column.name}`", _in_words(feature), _why(feature, len(cells)),
            as_set(f"ignore={column.name}") if beside_files else _otherwise(feature),
        ),
        Decision(f"length of `{column.name}`", f"{fitting} {noun}", why, ""),
    ]  # fmt: skip


def _as_read_before(column: Column, model: ModelFolder) -> tuple[SequenceFeature, list[Decision]]:
    """The words that an earlier network of ours knows."""
    told = model.read_json(TERMS)
    try:
        terms, places = tuple(map(str, told["terms"])), int(told["places"])
    except (KeyError, TypeError, ValueError):
        raise SettingError(f"The model's {TERMS} is damaged", got=str(model.path)) from None
    feature = SequenceFeature(column.name, column.format, terms, places, model=model.packed_config)
    why = "the words that the earlier network was trained on"
    return feature, [Decision(f"text `{column.name}`", _in_words(feature), why, as_set(f"ignore={column.name}"))]


def wants_order(settings: Settings, num_rows: int) -> bool:
    """Whether texts are read as sequences."""
    return settings.network == "transformer" or (settings.network == "ensemble" and num_rows >= ORDER_PAYS)


def _learn_bag(column: Column, words: Words, places: int) -> BagFeature:
    """The commonest words, pairs of them, and (where texts are short) pieces, that stand in enough texts."""
    counts = in_rows(words.rows, words.codes, len(words.distinct))
    kept = _commonest(counts, words.distinct)
    terms, found = [words.distinct[code] for code in kept], [counts[kept]]
    number_of = {term: number for number, term in enumerate(terms)}
    numbers = words.mapped(lambda word: number_of.get(word, -1))
    rows, left, right = words.neighbours(numbers)
    known = (left >= 0) & (right >= 0)
    keys, codes = np.unique(left[known] * len(terms) + right[known], return_inverse=True)
    counts = in_rows(rows[known], codes, len(keys))
    pairs = [f"{terms[key // len(terms)]} {terms[key % len(terms)]}" for key in keys.tolist()]
    kept = _commonest(counts, pairs)
    terms, found = terms + [pairs[place] for place in kept], [*found, counts[kept]]
    if len(words.codes) < SHORT_TEXT * words.num_rows:
        place_of: dict[str, int] = {}
        rows, codes = words.expanded(
            lambda word: [place_of.setdefault(p, len(place_of)) for p in pieces_of(word, SHORTEST_PIECE, LONGEST_PIECE)]
        )
        counts, pieces = in_rows(rows, codes, len(place_of)), list(place_of)
        kept = _commonest(counts, pieces)
        terms, found = terms + [PIECE + pieces[place] for place in kept], [*found, counts[kept]]
    rarity = np.log((1 + words.num_rows) / (1 + np.concatenate(found))) + 1
    return BagFeature(column.name, column.format, tuple(terms), tuple(rarity.round(6).tolist()), places)


def _learn_sequence(column: Column, words: Words, places: int) -> SequenceFeature:
    counts = np.bincount(words.codes, minlength=len(words.distinct))
    kept = _commonest(counts, words.distinct)
    place_of: dict[str, int] = {}
    _, codes = words.expanded(
        lambda word: [
            place_of.setdefault(piece, len(place_of)) for piece in pieces_of(word, 1, TOKEN_PIECE) if EDGE not in piece
        ]
    )
    pieces = list(place_of)
    # A longer piece tells more: what counts is how much of the text it could spell.
    worth = np.bincount(codes, minlength=len(pieces)) * np.array([len(piece) for piece in pieces], np.int64)
    worth[[place for place, piece in enumerate(pieces) if len(piece) == 1]] *= 1_000  # letters spell all
    best = _commonest(worth, pieces)[:MOST_PIECES]
    known = [word for word in (words.distinct[code] for code in kept) if word != PIECE]
    terms = (PIECE, *known, *(PIECE + pieces[place] for place in best))
    return SequenceFeature(column.name, column.format, tuple(dict.fromkeys(terms)), places)


def _commonest(counts: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Places of at most `MOST_TERMS` names that stand in enough texts, the commonest first, equal ones by name."""
    enough = np.flatnonzero(counts >= FEWEST_TEXTS)
    order = sorted(enough.tolist(), key=lambda place: (-counts[place], names[place]))
    return np.array(order[:MOST_TERMS], np.int64)


def _with_places(feature: LearnedFeature, places: int) -> LearnedFeature:
    if isinstance(feature, BagFeature):
        return BagFeature(feature.column, feature.format, feature.terms, feature.rarity, places)
    return SequenceFeature(feature.column, feature.format, feature.terms, places)


def _in_words(feature: LearnedFeature) -> str:
    num_pieces = sum(len(term) > 1 and term.startswith(PIECE) for term in feature.terms)
    num_pairs = sum(" " in term for term in feature.terms)
    num_words = len(feature.terms) - num_pieces - num_pairs
    if isinstance(feature, SequenceFeature):
        return f"a sequence of {counted(num_words, 'word')}, and {counted(num_pieces, 'piece')} for others"
    pieces = f" and {counted(num_pieces, 'piece')} of words" if num_pieces else ""
    return f"a bag of {counted(num_words, 'word')}, {counted(num_pairs, 'pair')} of words{pieces}"


def _why(feature: LearnedFeature, num_rows: int) -> str:
    if isinstance(feature, SequenceFeature):
        return f"{num_rows:,} training rows are read in order"
    return f"each stands in {FEWEST_TEXTS} of the {num_rows:,} training texts at least, weighted by its rarity (TF-IDF)"


def _otherwise(feature: LearnedFeature) -> str:
    network = "transformer" if isinstance(feature, BagFeature) else "bag"
    return f"--set network={network}, {as_set(f'ignore={feature.column}')}"
