"""Columns of a large text file in which every cell is a plain number: kept as eight bytes a cell instead of as text.

Text takes three to six times the memory of the float32 that the network will see. `PLAIN` is a type of its
own and not simply float64, so that such a column is still looked at as text is: an index without a
name, the markers of missing cells that new rows may hold. One thing differs: 1 and 1.0 make rows identical.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_DIGITS = (ord("0"), ord("9"))
_DAYS = (19000101, 21001231)  # numbers in this range may be days, written 20201231


class PlainNumbers(pa.ExtensionType):  # type: ignore[misc]  # pyarrow has no types
    """float64 that was text; null where the cell was empty or the marker of a missing one."""

    def __init__(self) -> None:
        super().__init__(pa.float64(), "nudgenet.plain")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: pa.DataType, serialized: bytes) -> PlainNumbers:
        return cls()


PLAIN = PlainNumbers()


def is_plain(kind: pa.DataType) -> bool:
    """Whether a column's cells are numbers that were text."""
    return isinstance(kind, PlainNumbers)


def as_plain(texts: pa.Array, markers: pa.Array) -> pa.Array | None:
    """Text cells as `PLAIN`, if that loses nothing; else None.

    What would lose something: a cell that is no plain number, digits with leading zeros (codes), days
    written as one number (20201231).

    Args:
        texts: one array of strings, null where empty.
        markers: the lower-case texts that stand for a missing cell.
    """
    if _any_leading_zero(texts):
        return None
    try:
        numbers = _cast(texts, markers)
    except pa.ArrowInvalid:
        return None
    ends = pc.min_max(numbers)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    if low is not None and low >= _DAYS[0] and high <= _DAYS[1]:
        return None
    return pa.ExtensionArray.from_storage(PLAIN, numbers)


def _cast(texts: pa.Array, markers: pa.Array) -> pa.Array:
    """As float64. Most columns need nothing but the cast; a failing one is slow, so a few cells are tried first."""
    first = texts.slice(0, 1_000)
    try:
        first.cast(pa.float64())
        return texts.cast(pa.float64())
    except pa.ArrowInvalid:
        pc.replace_with_mask(first, *_missing(first, markers)).cast(pa.float64())
        return pc.replace_with_mask(texts, *_missing(texts, markers)).cast(pa.float64())


def _missing(texts: pa.Array, markers: pa.Array) -> tuple[pa.Array, pa.Scalar]:
    found = pc.is_in(pc.utf8_lower(pc.utf8_trim_whitespace(texts)), value_set=markers)
    return found, pa.scalar(None, pa.string())


def _any_leading_zero(texts: pa.Array) -> bool:
    """Whether a cell begins with a zero (behind blanks) and goes on with a digit; looks at the bytes themselves."""
    starts, ends, content = text_buffers(texts)
    long_enough = ends - starts >= 2
    starts = starts[long_enough]
    first, second = content[starts], content[starts + 1]
    if (first <= 32).any():
        return bool(pc.any(pc.match_substring_regex(texts, r"^\s*0[0-9]")).as_py())
    return bool(((first == _DIGITS[0]) & (second >= _DIGITS[0]) & (second <= _DIGITS[1])).any())


def text_buffers(texts: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where each cell's bytes start and end, int32 (rows,), and all bytes, uint8; a view of Arrow's memory."""
    _, offsets, data = texts.buffers()
    places = np.frombuffer(offsets, np.int32, len(texts) + 1, offset=4 * texts.offset)
    content = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    return places[:-1], places[1:], content
