"""Free text as inputs: TF-IDF against scikit-learn, tokens against the text, learned from training rows only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import TfidfVectorizer

from nudgenet.data import texts as module
from nudgenet.data.prepare import Preparation
from nudgenet.data.texts import (
    FIRST,
    PIECE,
    BagFeature,
    SequenceFeature,
    encode_texts,
    learn_text,
    text_shape,
    weigh_terms,
)
from nudgenet.data.words import split_words
from nudgenet.records import Column, Task
from nudgenet.settings import Settings

COLUMN = Column("review", "text", "")
ORDERED = Settings(network="transformer")
TEXTS = ["the cat sat on the mat", "the dog sat", "a cat and a dog, and a cat", "the cat ate", "dogs and cats"] * 3
WILD = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


def cells(*texts: str | None) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts, pa.string())])


def bag_of(*texts: str | None) -> BagFeature:
    feature, _ = learn_text(COLUMN, cells(*texts), Settings())
    assert isinstance(feature, BagFeature)
    return feature


def sequence_of(*texts: str | None) -> SequenceFeature:
    feature, _ = learn_text(COLUMN, cells(*texts), ORDERED)
    assert isinstance(feature, SequenceFeature)
    return feature


def test_weights_are_scikit_learns_tf_idf() -> None:
    """Words and pairs each at length 1, as of two vectorisers with a sublinear count."""
    feature = bag_of(*TEXTS)
    rows, terms, weights = feature.weighted(split_words(pa.array(TEXTS)))
    ours = {(int(row), feature.terms[term]): weight for row, term, weight in zip(rows, terms, weights, strict=True)}
    for size in (1, 2):
        peer = TfidfVectorizer(
            ngram_range=(size, size), sublinear_tf=True, min_df=2, token_pattern=r"\w+|[^\w\s]", norm="l2"
        )
        matrix = peer.fit_transform(TEXTS).tocoo()
        names = peer.get_feature_names_out()
        theirs = {
            (int(row), names[term]): value for row, term, value in zip(matrix.row, matrix.col, matrix.data, strict=True)
        }
        same = {key: ours[key] for key in ours if len(key[1].split(" ")) == size and not is_piece(key[1])}
        assert same == pytest.approx(theirs, abs=1e-5)


def is_piece(term: str) -> bool:
    return len(term) > 1 and term.startswith(PIECE)


def test_the_weightiest_terms_come_first_and_stay() -> None:
    feature = bag_of(*TEXTS)
    tokens, weights = feature.encode(cells(*TEXTS))
    assert tokens.dtype == np.int32 and tokens.shape == weights.shape == (len(TEXTS), feature.places)
    assert (np.diff(weights, axis=1) <= 1e-7).all() and ((tokens > 0) == (weights > 0)).all()
    few = BagFeature(feature.column, feature.format, feature.terms, feature.rarity, 4)
    assert np.array_equal(few.encode(cells(*TEXTS))[0], tokens[:, :4])


def test_terms_stand_in_two_training_texts_at_least() -> None:
    feature = bag_of("alpha beta", "alpha beta", "gamma")
    assert {term for term in feature.terms if not is_piece(term)} == {"alpha", "beta", "alpha beta"}
    assert f"{PIECE}_alp" in feature.terms and f"{PIECE}_gam" not in feature.terms
    tokens, weights = feature.encode(cells("gamma", None, ""))
    assert not tokens.any() and not weights.any()


def test_unseen_words_are_told_by_their_pieces() -> None:
    feature = bag_of("refunding now", "refunded now", "a card", "a card")
    tokens, _ = feature.encode(cells("refunds"))
    assert {feature.terms[token - FIRST] for token in tokens[0] if token} >= {f"{PIECE}_ref", f"{PIECE}fund"}


def test_long_texts_need_no_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    assert any(map(is_piece, bag_of(*TEXTS).terms))
    monkeypatch.setattr(module, "SHORT_TEXT", 2)
    assert not any(map(is_piece, bag_of(*TEXTS).terms))


def test_sequences_spell_their_texts() -> None:
    feature = sequence_of(*TEXTS)
    tokens, weights = feature.encode(cells("the cat sat", "a catdog", "the ☃", None))
    spelled = [[feature.terms[token - FIRST] for token in row if token] for row in tokens]
    assert spelled[0] == ["the", "cat", "sat"]
    assert spelled[1][0] == "a" and "".join(piece.removeprefix(PIECE) for piece in spelled[1][1:]) == "catdog"
    assert spelled[2] == ["the", PIECE] and spelled[3] == []
    assert np.array_equal(weights, tokens > 0)


@settings(deadline=None)
@given(st.lists(WILD, min_size=1, max_size=6))
def test_any_text_becomes_tokens(texts: list[str]) -> None:
    for feature in (bag_of(*TEXTS, *texts), sequence_of(*TEXTS, *texts)):
        tokens, weights = feature.encode(cells(*texts))
        assert tokens.min() >= 0 and tokens.max() < FIRST + len(feature.terms) and np.isfinite(weights).all()


def test_a_text_is_encoded_alike_in_any_company(monkeypatch: pytest.MonkeyPatch) -> None:
    for feature in (bag_of(*TEXTS), sequence_of(*TEXTS)):
        together = feature.encode(cells(*TEXTS))
        monkeypatch.setattr(module, "AT_ONCE", 2)
        apart = feature.encode(cells(*TEXTS))
        monkeypatch.undo()
        assert all(map(np.array_equal, together, apart))


def test_two_columns_stand_side_by_side() -> None:
    title, body = bag_of("good one", "good two"), bag_of(*TEXTS)
    body = BagFeature("body", body.format, body.terms, body.rarity, body.places)
    table = pa.table({"review": ["good", None], "body": ["the cat", "the dog"]})
    inputs, shape = encode_texts([title, body], table), text_shape([title, body])
    assert shape is not None and shape.places == title.places + body.places
    assert shape.num_terms == FIRST + len(title.terms) + len(body.terms)
    tokens = inputs["tokens"].numpy()
    left, right = tokens[:, : title.places], tokens[:, title.places :]
    assert left[0].any() and left.max() < FIRST + len(title.terms) and not left[1].any()
    assert (right[right > 0] >= FIRST + len(title.terms)).all()
    assert np.array_equal(np.where(right > 0, right - len(title.terms), 0), body.encode(table.column("body"))[0])
    assert encode_texts([], table) == {} and text_shape([]) is None


def test_simple_models_get_the_same_terms() -> None:
    feature = bag_of(*TEXTS)
    inputs, shape = encode_texts([feature], pa.table({"review": TEXTS})), text_shape([feature])
    assert shape is not None
    matrix = weigh_terms(inputs, shape)
    assert matrix.shape == (len(TEXTS), FIRST + len(feature.terms))
    for row in range(3):
        stored = dict(zip(inputs["tokens"][row].tolist(), inputs["token_weights"][row].tolist(), strict=True))
        assert {int(term): matrix[row, term] for term in matrix[[row]].indices} == pytest.approx(
            {t: w for t, w in stored.items() if t}
        )


def test_simple_models_count_the_tokens_of_a_sequence() -> None:
    feature = sequence_of(*TEXTS)
    inputs, shape = encode_texts([feature], pa.table({"review": ["the cat the", ""]})), text_shape([feature])
    assert shape is not None
    matrix = weigh_terms(inputs, shape).toarray()
    the, cat = (FIRST + feature.terms.index(word) for word in ("the", "cat"))
    length = np.hypot(1 + np.log(2), 1)
    assert matrix[0, the] == pytest.approx((1 + np.log(2)) / length) and matrix[0, cat] == pytest.approx(1 / length)
    assert not matrix[1].any()


@pytest.mark.parametrize("how", [Settings(), ORDERED])
def test_saved_and_loaded(tmp_path: Path, how: Settings) -> None:
    feature, _ = learn_text(COLUMN, cells(*TEXTS, *(f"word{i} word{i} again" for i in range(200))), how)
    before = Preparation(("review", "y"), (COLUMN,), (feature,), Task("y", "binary", (0, 1)))
    for name, content in before.pack().items():
        (tmp_path / name).write_bytes(content)
    assert Preparation.load(tmp_path) == before
    assert len((tmp_path / "preparation.json").read_text()) < 2_000  # the terms stand beside it


def test_decisions_say_what_was_kept() -> None:
    _, decisions = learn_text(COLUMN, cells(*TEXTS), Settings())
    assert [decision.what for decision in decisions] == ["text `review`", "length of `review`"]
    assert (
        "pairs of words" in decisions[0].chosen
        and "TF-IDF" in decisions[0].why
        and "transformer" in decisions[0].override
    )
    assert "100.0% of the training texts" in decisions[1].why


def test_order_is_read_where_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ORDER_PAYS", len(TEXTS))
    sequence_of(*TEXTS)
    assert learn_text(COLUMN, cells(*TEXTS), Settings())[0].kind == "sequence"
    assert learn_text(COLUMN, cells(*TEXTS[1:]), Settings())[0].kind == "bag"
    assert learn_text(COLUMN, cells(*TEXTS), Settings(network="bag"))[0].kind == "bag"
