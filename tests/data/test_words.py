"""Texts as words and pieces: any language, all at once, checked against plain Python."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nudgenet.data.words import in_rows, pieces_of, split_words

WILD = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)


def words_of(*texts: str | None) -> list[list[str]]:
    words = split_words(pa.array(texts, pa.string()))
    return [[words.distinct[code] for code in words.codes[words.rows == row]] for row in range(len(texts))]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("  Hello,  World!", ["hello", ",", "world", "!"]),
        ("don't DON’T", ["dont", "dont"]),
        ("ﬁne ＦＵＬＬ ½", ["fine", "full", "1", "⁄", "2"]),
        ("日本語のテキスト。", ["日", "本", "語", "のテキスト", "。"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("Привет мир", ["привет", "мир"]),
        ("a_b #c", ["a", "_", "b", "#", "c"]),
        ("£1,000", ["£", "1", ",", "000"]),
        ("", []),
        (" \n\t ", []),
        (None, []),
    ],
)
def test_words_of_any_language(text: str | None, words: list[str]) -> None:
    assert words_of(text, "end") == [words, ["end"]]


def test_blanks_are_those_of_python() -> None:
    blanks = [chr(code) for code in range(0x3100) if chr(code).isspace()]
    assert words_of(*[f"{blank}a{blank}{blank}b{blank}" for blank in blanks]) == [["a", "b"]] * len(blanks)


@settings(deadline=None)
@given(st.lists(st.none() | WILD, min_size=1, max_size=8))
def test_a_text_has_the_same_words_in_any_company(texts: list[str | None]) -> None:
    assert words_of(*texts) == [words_of(text)[0] for text in texts]


def test_numbers_of_words() -> None:
    words = split_words(pa.array(["b a b", None, "a c"]))
    numbers = words.mapped({"a": 0, "b": 1, "c": -1}.__getitem__)
    assert numbers.tolist() == [1, 0, 1, 0, -1] and words.rows.tolist() == [0, 0, 0, 2, 2]
    rows, left, right = words.neighbours(numbers)
    assert list(zip(rows.tolist(), left.tolist(), right.tolist(), strict=True)) == [(0, 1, 0), (0, 0, 1), (2, 0, -1)]
    rows, found = words.expanded({"a": [7], "b": [8, 9], "c": []}.__getitem__)
    assert rows.tolist() == [0, 0, 0, 0, 0, 2] and found.tolist() == [8, 9, 7, 8, 9, 7]


def test_no_word_at_all() -> None:
    words = split_words(pa.array([None, ""], pa.string()))
    assert words.num_rows == 2 and len(words.codes) == 0
    assert (
        len(words.mapped(len)) == len(words.expanded(lambda word: [1])[0]) == len(words.neighbours(words.codes)[0]) == 0
    )


def test_pieces() -> None:
    assert pieces_of("top", 3, 5) == ["_to", "top", "op_", "_top", "top_", "_top_"]
    assert pieces_of("aaaa", 2, 2) == ["_a", "aa", "a_"]  # each once
    assert pieces_of("a", 4, 5) == []


def test_in_how_many_texts() -> None:
    assert in_rows(np.array([0, 0, 1, 2]), np.array([1, 1, 1, 2]), 4).tolist() == [0, 2, 1, 0]
    assert in_rows(np.zeros(0, np.int64), np.zeros(0, np.int64), 2).tolist() == [0, 0]
