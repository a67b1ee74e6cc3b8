"""Texts as words, pairs of neighbours and pieces of words, for whole columns at once.

Any language: what counts as a letter is Unicode's word, ideographs are words by themselves, and pieces of words do for
languages that put no blanks between them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

EDGE = "_"  # begin and end of a word; never inside of one, because it is punctuation
LONGEST_WORD = 100  # characters that pieces are cut from
_APOSTROPHE = r"(\p{L})['’](\p{L})"  # don't -> dont: the halves mean little
_BLANKS = r"[\p{Z}\x{09}-\x{0d}\x{1c}-\x{1f}\x{85}]+"  # what Python's str.split takes for blanks
_APART = r"([^\p{L}\p{M}\p{N} ]|\p{Han})"  # a punctuation mark or an ideograph stands for itself


@dataclass(frozen=True)
class Words:
    """The words of many texts, in order.

    codes: int64 (words,), places in `distinct`. rows: int64 (words,), ascending: the text that each stands in.
    """

    codes: np.ndarray
    rows: np.ndarray
    distinct: list[str]
    num_rows: int

    def mapped(self, number_of: Callable[[str], int]) -> np.ndarray:
        """Each word's number, int64 (words,); every distinct word is asked for once."""
        numbers = np.fromiter(map(number_of, self.distinct), np.int64, len(self.distinct))
        return numbers[self.codes] if len(self.distinct) else np.zeros(0, np.int64)

    def expanded(self, numbers_of: Callable[[str], Sequence[int]]) -> tuple[np.ndarray, np.ndarray]:
        """(rows, numbers), both int64, where each word becomes any count of numbers, in order."""
        lists = [numbers_of(word) for word in self.distinct]
        lengths = np.fromiter(map(len, lists), np.int64, len(lists))
        flat = np.fromiter((number for numbers in lists for number in numbers), np.int64, int(lengths.sum()))
        starts = np.cumsum(lengths) - lengths
        counts = lengths[self.codes] if len(lists) else np.zeros(0, np.int64)
        ends = np.cumsum(counts)
        within = np.arange(int(counts.sum())) - np.repeat(ends - counts, counts)
        return np.repeat(self.rows, counts), flat[np.repeat(starts[self.codes], counts) + within]

    def neighbours(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(rows, numbers of the left, of the right) of every two words that stand beside each other in one text."""
        together = self.rows[:-1] == self.rows[1:]
        return self.rows[:-1][together], numbers[:-1][together], numbers[1:][together]


def split_words(texts: pa.Array) -> Words:
    """Texts (nulls hold no word) as words in small letters; letters that look alike are one letter (NFKC)."""
    plain = pc.utf8_lower(pc.utf8_normalize(pc.fill_null(texts, ""), "NFKC"))
    plain = pc.replace_substring_regex(plain, _BLANKS, " ")
    plain = pc.replace_substring_regex(plain, _APOSTROPHE, r"\1\2")
    plain = pc.replace_substring_regex(plain, _APART, r" \1 ")
    # Not utf8_split_whitespace: it was seen to leave a blank at a word's end, once in thousands of texts.
    lists = pc.split_pattern(plain, " ")
    encoded = lists.flatten().dictionary_encode()
    distinct = encoded.dictionary.to_pylist()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    rows = np.repeat(np.arange(len(lists)), pc.list_value_length(lists).to_numpy(zero_copy_only=False))
    if "" in distinct:  # what stands between two blanks
        place = distinct.index("")
        real = codes != place
        codes, rows = codes[real], rows[real]
        codes -= codes > place
        distinct.pop(place)
    return Words(codes, rows, distinct, len(lists))


def pieces_of(word: str, shortest: int, longest: int) -> list[str]:
    """Every run of `shortest` to `longest` characters in a word with its edges marked; each once, in order."""
    marked = f"{EDGE}{word[:LONGEST_WORD]}{EDGE}"
    return list(
        dict.fromkeys(
            marked[begin : begin + size]
            for size in range(shortest, longest + 1)
            for begin in range(len(marked) - size + 1)
        )
    )


def in_rows(rows: np.ndarray, numbers: np.ndarray, size: int) -> np.ndarray:
    """In how many texts each number below `size` stands, int64 (size,)."""
    distinct = np.unique(rows * size + numbers)
    return np.bincount(distinct % size, minlength=size) if size else np.zeros(0, np.int64)
