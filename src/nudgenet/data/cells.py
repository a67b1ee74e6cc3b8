"""Cells -> numbers, dates or levels, following a `CellFormat`; works on whole columns at once.

The same functions read training cells and cells to predict from, so that both are understood alike.
A cell is *missing* (null, or a marker such as NA), *good*, or *bad*: present, but not what the column holds.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nudgenet.data.plain import is_plain
from nudgenet.records import CellFormat

# What stands for a missing cell, in lower case. In a category "none" and "unknown" may well be levels.
LEVEL_MARKERS: tuple[str, ...] = (
    "na", "n/a", "#n/a", "n.a.", "<na>", "nan", "null", "(null)", "#null!", "nat", "?", "-", "--", "---", "–", "—", ".", "\\n",
)  # fmt: skip
NUMBER_MARKERS: tuple[str, ...] = (
    *LEVEL_MARKERS, "none", "nil", "missing", "unknown", "not available", "no data", "nd", "n.d.", "..",
    "...", "*", "_",
    "#na", "#value!", "#div/0!", "#ref!", "#name?", "#num!", "-nan", "(na)", "n a", "??",
)  # fmt: skip

YES_NO = (("yes", "no"), ("y", "n"), ("true", "false"), ("t", "f"), ("on", "off"))  # lower case, yes first
FIRST_CELLS = 1_000  # looked at to see whether a column's cells repeat
_NUMBER = r"^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$|^[+-]?(?i:inf|infinity)$"
_TIME = r"(?P<H>[0-9]{1,2}):(?P<M>[0-9]{2})(?::(?P<S>[0-9]{2})(?P<F>[.,][0-9]+)?)?(?:\s*(?P<p>[AaPp])\.?[Mm]\.?)?"
_ZONE = r"(?:\s*(?:Z|UTC|GMT|(?P<z>[+-][0-9]{2}):?(?P<zz>[0-9]{2})))?"
_PARTS = {
    "%Y": r"(?P<Y>[0-9]{4})", "%y": r"(?P<y>[0-9]{2})", "%m": r"(?P<m>[0-9]{1,2})", "%d": r"(?P<d>[0-9]{1,2})",
    "%b": r"(?P<b>[A-Za-z]{3,9})\.?",
}  # fmt: skip
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAY = r"(?:(?:[Mm]on|[Tt]ue|[Ww]ed|[Tt]hu|[Ff]ri|[Ss]at|[Ss]un)[a-z]*\.?,?\s+)?"


def parse_numbers(cells: pa.ChunkedArray, format: CellFormat) -> tuple[np.ndarray, np.ndarray]:
    """Cells of any type -> numbers.

    Returns:
        float64 (rows,), NaN where missing or bad; bool (rows,), True where a cell is present but no number.
    """
    cells = _flat(cells)
    if not _is_text(cells.type):
        return _typed_numbers(cells)
    plain = not (format.thousands or format.currency or format.percent or format.decimal != ".")
    if plain:
        try:
            cells.slice(0, FIRST_CELLS).cast(pa.float64())  # a failing cast is slow: fail on few cells if at all
            return _to_numpy(cells.cast(pa.float64())), np.zeros(len(cells), bool)
        except pa.ArrowInvalid:
            pass  # some cells are no plain numbers: find out which
    return _each_once(cells, lambda texts: _number_texts(texts, format), np.nan)


def parse_dates(cells: pa.ChunkedArray, format: CellFormat) -> tuple[np.ndarray, np.ndarray]:
    """Cells of any type -> moments in time; those with an offset are brought to UTC.

    Returns:
        datetime64[us] (rows,), NaT where missing or bad; bool (rows,), True where a cell is present but no date.
    """
    cells = _flat(cells)
    if pa.types.is_date(cells.type) or pa.types.is_timestamp(cells.type):
        stamps = cells.cast(pa.timestamp("us", getattr(cells.type, "tz", None)), safe=False)
        return stamps.to_numpy(zero_copy_only=False).astype("datetime64[us]"), np.zeros(len(cells), bool)
    return _each_once(_as_levels(cells), lambda texts: _date_texts(texts, format), np.datetime64("NaT", "us"))


def parse_levels(cells: pa.ChunkedArray, format: CellFormat) -> pa.StringArray:
    """Cells of any type -> levels of a category as text, null where missing.

    Whole numbers are written alike however they were typed ("1.0" and 1 are both "1"); booleans are "true" and "false".
    """
    cells = _flat(cells)
    if not _is_text(cells.type):
        return _as_levels(cells)
    if _mostly_different(cells):
        return _level_texts(cells, format)
    encoded = cells.dictionary_encode()
    return _level_texts(encoded.dictionary, format).take(encoded.indices)


def date_pattern(date: str) -> str:
    """A strptime pattern ("" for ISO) -> a regular expression with one named group per part, time and zone optional."""
    if date == "%H:%M":
        return f"^{_TIME}$"
    body = re.escape(date or "%Y-%m-%d").replace(r"\ ", r"\s+").replace("%-", "%")
    for code, part in _PARTS.items():
        body = body.replace(code, part)
    tail = (
        ""
        if date in ("%Y%m%d", "%Y", "%Y-%m", "%b-%y", "%b %Y", "%Y, %b")
        else rf"(?:(?:[T,]|,?\s+)\s*{_TIME})?{_ZONE}"
    )
    return rf"^{_WEEKDAY}{body}{tail}$"


# ------------------------------------------------------------------ helpers


def _each_once(
    texts: pa.Array, parse: Callable[[pa.Array], tuple[np.ndarray, np.ndarray]], missing: object
) -> tuple[np.ndarray, np.ndarray]:
    """`parse` of every cell, where each distinct cell is parsed once: most columns hold few different ones."""
    if _mostly_different(texts):
        return parse(texts)
    encoded = texts.dictionary_encode()
    values, bad = parse(encoded.dictionary)
    index = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)  # -1 picks what is appended
    return np.append(values, np.array([missing], values.dtype))[index], np.append(bad, False)[index]


def _mostly_different(texts: pa.Array) -> bool:
    """Whether a look at the first cells says that sorting out distinct ones would not pay."""
    first = texts.slice(0, FIRST_CELLS)
    return len(pc.unique(first)) > 0.9 * len(first)


def _number_texts(texts: pa.Array, format: CellFormat) -> tuple[np.ndarray, np.ndarray]:
    """`parse_numbers` of text, cell by cell."""
    texts = _without_missing(texts, format.missing or NUMBER_MARKERS)
    present = _numpy_valid(texts)
    texts = _plain_numbers(texts, format)
    good = pc.fill_null(pc.match_substring_regex(texts, _NUMBER), False)
    numbers = _to_numpy(pc.if_else(good, texts, pa.scalar(None, pa.string())).cast(pa.float64()))
    return numbers, present & ~good.to_numpy(zero_copy_only=False)


def _date_texts(texts: pa.Array, format: CellFormat) -> tuple[np.ndarray, np.ndarray]:
    """`parse_dates` of text, cell by cell."""
    texts = _without_missing(texts, format.missing or NUMBER_MARKERS)
    present = _numpy_valid(texts)
    dates, good = _assemble(pc.extract_regex(texts, date_pattern(format.date)), len(texts))
    good &= present
    return np.where(good, dates, np.datetime64("NaT", "us")), present & ~good


def _level_texts(texts: pa.Array, format: CellFormat) -> pa.StringArray:
    """`parse_levels` of text, cell by cell."""
    texts = _without_missing(texts, format.missing or LEVEL_MARKERS)
    return pc.replace_substring_regex(texts, r"^([+-]?[0-9]+)\.0*$", r"\1")


def _flat(cells: pa.ChunkedArray | pa.Array) -> pa.Array:
    """One plain array."""
    if isinstance(cells, pa.ChunkedArray):
        cells = cells.combine_chunks() if cells.num_chunks != 1 else cells.chunk(0)
        if isinstance(cells, pa.ChunkedArray):  # what combine_chunks makes of no chunks at all
            cells = pa.array([], cells.type)
    if is_plain(cells.type):
        cells = cells.storage
    if pa.types.is_dictionary(cells.type):
        cells = cells.cast(cells.type.value_type)
    if pa.types.is_large_string(cells.type) or cells.type == pa.string_view() or pa.types.is_null(cells.type):
        cells = cells.cast(pa.string())
    return cells


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind))


def _numpy_valid(cells: pa.Array) -> np.ndarray:
    return np.asarray(cells.is_valid().to_numpy(zero_copy_only=False), bool)


def _to_numpy(numbers: pa.Array) -> np.ndarray:
    return np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64)


def _typed_numbers(cells: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Numbers and booleans as they are; a date is present but no number."""
    if pa.types.is_boolean(cells.type):
        cells = cells.cast(pa.uint8())
    if pa.types.is_integer(cells.type) or pa.types.is_floating(cells.type) or pa.types.is_decimal(cells.type):
        return _to_numpy(cells.cast(pa.float64(), safe=False)), np.zeros(len(cells), bool)
    return np.full(len(cells), np.nan), _numpy_valid(cells)


def _without_missing(texts: pa.Array, markers: tuple[str, ...]) -> pa.Array:
    """Stripped cells; empty ones and markers of missing cells become null."""
    texts = pc.utf8_trim_whitespace(texts)
    # Markers are short: only short cells are compared, which matters for long texts.
    short = pc.less_equal(pc.utf8_length(texts), max(map(len, markers)))
    lower = pc.utf8_lower(pc.if_else(short, texts, "x"))
    missing = pc.is_in(lower, value_set=pa.array(["", *markers], pa.string()))
    return pc.if_else(missing, pa.scalar(None, pa.string()), texts)


def _plain_numbers(texts: pa.Array, format: CellFormat) -> pa.Array:
    """Numbers as people write them -> as Arrow reads them; what cannot be a number stays none."""
    texts = pc.replace_substring_regex(texts, r"^\((.*[0-9].*)\)$", r"-\1")  # (12) is how accountants write -12
    if format.currency:
        texts = pc.replace_substring(texts, format.currency, "", max_replacements=1)
    if format.percent:
        texts = pc.replace_substring_regex(texts, r"\s*%$", "")
    texts = pc.replace_substring(pc.utf8_trim_whitespace(texts), "−", "-")
    texts = pc.replace_substring_regex(texts, r"^([+-])\s+", r"\1")
    decimal, thousands = re.escape(format.decimal), re.escape(format.thousands)
    if format.thousands:
        gap = r"[\s\x{00a0}\x{202f}]" if format.thousands == " " else thousands
        # Groups of two are Indian; the last group always has three.
        grouped = rf"^([+-]?)[1-9][0-9]{{0,2}}(?:{gap}[0-9]{{2,3}})*{gap}[0-9]{{3}}(?:{decimal}[0-9]*)?$"
        is_grouped = pc.match_substring_regex(texts, grouped)
        texts = pc.if_else(is_grouped, pc.replace_substring_regex(texts, gap, ""), texts)
    if format.decimal != ".":
        # With a decimal comma, a full stop in a number can only be a thousands separator: "1.5" is then bad.
        texts = pc.replace_substring(pc.replace_substring(texts, ".", "x"), format.decimal, ".", max_replacements=1)
    return texts


def _as_levels(cells: pa.Array) -> pa.Array:
    """Typed cells as text."""
    kind = cells.type
    if _is_text(kind):
        return cells
    if pa.types.is_boolean(kind):
        return cells.cast(pa.string())
    if pa.types.is_floating(kind):
        values = cells.cast(pa.float64())
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
        whole = pc.and_(pc.equal(pc.round(values), values), pc.less(pc.abs(values), 2.0**53))
        as_whole = pc.if_else(whole, values, pa.scalar(None, pa.float64())).cast(pa.int64()).cast(pa.string())
        return pc.coalesce(as_whole, values.cast(pa.string()))
    return cells.cast(pa.string())


def _assemble(parts: pa.StructArray, num_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The parts of dates -> (datetime64[us], whether each is a real moment)."""
    found = _numpy_valid(parts)

    def part(name: str, default: int) -> np.ndarray:
        if parts.type.get_field_index(name) < 0:
            return np.full(num_rows, default, np.int64)
        text = pc.replace_substring(parts.field(name), "+", "")
        digits = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
        return np.asarray(pc.fill_null(digits.cast(pa.int64()), default).to_numpy(zero_copy_only=False))

    year = part("Y", 1970)
    if parts.type.get_field_index("y") >= 0:
        short = part("y", 70)
        year = short + np.where(short < 69, 2000, 1900)  # as POSIX and Python read two digits
    month = part("m", 1)
    if parts.type.get_field_index("b") >= 0:
        start = pc.utf8_lower(pc.utf8_slice_codeunits(parts.field("b"), 0, 3))
        index = pc.fill_null(pc.index_in(start, value_set=pa.array(_MONTHS)), -1)
        month = np.asarray(index.to_numpy(zero_copy_only=False), np.int64) + 1
    day, hour, minute, second = part("d", 1), part("H", 0), part("M", 0), part("S", 0)
    if parts.type.get_field_index("p") >= 0:
        half = pc.utf8_lower(parts.field("p"))
        afternoon = np.asarray(pc.fill_null(pc.equal(half, "p"), False).to_numpy(zero_copy_only=False), bool)
        morning = np.asarray(pc.fill_null(pc.equal(half, "a"), False).to_numpy(zero_copy_only=False), bool)
        hour = np.where(afternoon & (hour < 12), hour + 12, np.where(morning & (hour == 12), 0, hour))
    good = found & (month >= 1) & (month <= 12) & (day >= 1) & (hour <= 24) & (minute <= 59) & (second <= 60)
    months = (np.where(good, year, 1970) - 1970) * 12 + np.where(good, month, 1) - 1
    first = months.astype("datetime64[M]")
    days_in_month = ((first + 1).astype("datetime64[D]") - first.astype("datetime64[D]")).astype(np.int64)
    good &= day <= days_in_month
    micros = ((hour * 60 + minute) * 60 + second) * 1_000_000 + _fraction(parts, num_rows)
    offset_hours = part("z", 0)
    offset = (offset_hours * 60 + np.sign(offset_hours) * part("zz", 0)) * 60_000_000
    dates = first.astype("datetime64[D]") + (day - 1).astype("timedelta64[D]")
    return dates.astype("datetime64[us]") + (micros - offset).astype("timedelta64[us]"), good


def _fraction(parts: pa.StructArray, num_rows: int) -> np.ndarray:
    """The fractions of seconds, in microseconds."""
    if parts.type.get_field_index("F") < 0:
        return np.zeros(num_rows, np.int64)
    text = pc.replace_substring_regex(parts.field("F"), r"^[.,]", "0.")
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    return np.nan_to_num(_to_numpy(text.cast(pa.float64())) * 1e6).round().astype(np.int64)
