"""Which words tensors come from: held against the tensors of each word by itself."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nudgenet.data.spans import spans_of
from nudgenet.data.texts import FIRST, BagFeature, SequenceFeature, learn_text
from nudgenet.records import CellFormat, Column
from nudgenet.settings import Settings

TEXTS = [
    "A fine film, really fine.",
    "a dull FILM",
    "fine and dull",
    "今日は晴れ",
    "мир труд мир",
    "",
    "don't go",
    "go",
] * 3


def learned(network: str) -> BagFeature | SequenceFeature:
    column = Column("text", "text", "", CellFormat())
    feature, _ = learn_text(column, pa.chunked_array([TEXTS]), Settings(network=network))
    assert isinstance(feature, BagFeature | SequenceFeature)
    return feature


def test_the_terms_of_a_bag_belong_to_their_words() -> None:
    feature, units = learned("bag"), ["a", " ", "fine", " ", "film,", " ", "fine"]
    tokens = feature.encode(pa.chunked_array([["".join(units)]]))[0][0]
    shares = spans_of(feature, units)
    assert shares is not None and shares.shape == (len(tokens), len(units))
    assert np.array_equal(shares.sum(axis=1), (tokens > 0).astype(float)) and not shares[:, [1, 3, 5]].any()
    lines = {feature.terms[token - FIRST]: shares[place].tolist() for place, token in enumerate(tokens) if token}
    assert lines["a"] == [1, 0, 0, 0, 0, 0, 0] and lines["fine"] == [0, 0, 0.5, 0, 0, 0, 0.5]
    assert lines["#ilm"] == [0, 0, 0, 0, 1, 0, 0] and lines["a fine"] == [0.5, 0, 0.5, 0, 0, 0, 0]


@pytest.mark.parametrize("network", ["bag", "transformer"])
@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(["fine", "FILM,", "zzz", "мир", "晴", "don't", "\u00a0", " ", "\n", "é", "..", "12"]),
        max_size=12,
    )
)
def test_each_token_has_its_word(network: str, units: list[str]) -> None:
    feature = learned(network)
    spaced = [part for unit in units for part in (unit, " ")] or [" "]
    shares = spans_of(feature, spaced)
    if shares is None:
        assert not "".join(spaced).strip()  # a missing text
        return
    tokens = feature.encode(pa.chunked_array([["".join(spaced)]]))[0][0]
    assert np.allclose(shares.sum(axis=1), tokens > 0)


def test_units_that_cut_words_apart_are_noticed() -> None:
    assert spans_of(learned("transformer"), ["fi", "ne film"]) is None
