"""Which `CellFormat` a text column follows: found by trying the usual ones on its distinct cells.

A column is numbers, or dates, if at most 5 % of its present cells are something else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nudgenet.data.cells import LEVEL_MARKERS, NUMBER_MARKERS, parse_dates, parse_numbers
from nudgenet.data.plain import is_plain
from nudgenet.records import CellFormat

MOST_BAD = 0.05  # more cells than this that do not fit, and the column is something else
SAMPLE_CELLS = 5_000  # distinct cells that the formats are tried on
FEWEST_WORDS = 20  # distinct cells without a digit that make a column text at a glance
_CURRENCIES = (
    "US$",
    "A$",
    "C$",
    "R$",
    "HK$",
    "$",
    "€",
    "£",
    "¥",
    "₹",
    "₽",
    "USD",
    "EUR",
    "GBP",
    "CHF",
    "JPY",
    "Rs.",
    "Rs",
    "kr",
)
_GROUPINGS = ((".", ""), (".", ","), (",", ""), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"))
# The order is that of preference when several fit: unambiguous ones first.
_DATES = (
    "", "%Y/%m/%d", "%Y.%m.%d", "%Y_%m_%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m.%d.%Y", "%d-%m-%Y", "%m-%d-%Y",
    "%m/%d/%y", "%d/%m/%y", "%d.%m.%y", "%m.%d.%y", "%d-%m-%y", "%m-%d-%y", "%d-%b-%Y", "%d-%b-%y", "%d %b %Y",
    "%d %b %y", "%b %d, %Y", "%b %d %Y", "%d/%b/%Y", "%d/%b/%y", "%Y-%b-%d", "%Y-%m", "%b-%y", "%b %Y", "%Y, %b",
    "%H:%M",
)  # fmt: skip
WISHED_DATES = (*_DATES, "%Y%m%d", "%Y")  # plain numbers are dates only if the user says so


@dataclass(frozen=True)
class Guess:
    """What a text column holds."""

    kind: str  # "number", "date", "text" or "empty"
    format: CellFormat
    note: str = ""  # how the format was told, if it was in doubt
    num_bad: int = 0
    first_bad: str = ""


def guess_format(cells: pa.ChunkedArray | pa.Array) -> Guess:
    """What the cells of a text column are, and how they are written."""
    if isinstance(cells, pa.ChunkedArray):
        cells = cells.combine_chunks()
    if is_plain(cells.type) and cells.null_count < len(cells):
        return Guess("number", CellFormat(missing=NUMBER_MARKERS))
    as_text = Guess("text", CellFormat(missing=LEVEL_MARKERS))
    if cells.null_count == len(cells):
        return replace(as_text, kind="empty")
    return _guess_number(cells) or _guess_date(cells) or as_text


def describe_format(format: CellFormat) -> str:
    """How numbers are written, in words; "" if plainly."""
    words = []
    if format.decimal == ",":
        words.append("decimal comma")
    if format.thousands:
        signs = {" ": "blanks", ",": "commas", ".": "full stops", "'": "apostrophes"}
        words.append(f"{signs[format.thousands]} between thousands")
    if format.currency:
        words.append(f"{format.currency} taken off")
    if format.percent:
        words.append("percent signs taken off")
    return ", ".join(words)


# ------------------------------------------------------------------ numbers


def _guess_number(cells: pa.Array) -> Guess | None:
    if _mostly_words(cells):
        return None
    plain = CellFormat(missing=NUMBER_MARKERS)
    numbers, bad = parse_numbers(cells, plain)
    num_present = int((~np.isnan(numbers)).sum() + bad.sum())
    if num_present == 0:
        return Guess("empty", CellFormat(missing=LEVEL_MARKERS))
    if not bad.any():
        return None if _are_codes(cells, num_present) else Guess("number", plain)
    sample = _sample(cells)
    if _share_with_digits(sample) < 0.5 * (1 - MOST_BAD):
        return None
    best = best_number_format(sample)
    numbers, bad = parse_numbers(cells, best)
    num_present = int((~np.isnan(numbers)).sum() + bad.sum())
    if bad.sum() > MOST_BAD * num_present or _are_codes(cells, num_present):
        return None
    first_bad = cells[int(np.flatnonzero(bad)[0])].as_py() if bad.any() else ""
    return Guess("number", best, _thousands_note(sample, best), int(bad.sum()), first_bad)


def best_number_format(cells: pa.ChunkedArray | pa.Array) -> CellFormat:
    """The way of writing numbers that fits the most distinct cells."""
    sample = _sample(cells.combine_chunks() if isinstance(cells, pa.ChunkedArray) else cells)
    # The first of those with the fewest bad cells: `min` keeps the order of preference.
    return min(_number_formats(sample), key=lambda format: int(parse_numbers(sample, format)[1].sum()))


def best_date_format(cells: pa.ChunkedArray, dates: tuple[str, ...]) -> CellFormat:
    """Of these ways of writing dates, the one that fits the most distinct cells; typed cells are read as text."""
    sample = pc.unique(cells.cast(pa.string()).drop_null())
    formats = [CellFormat(date=date, missing=NUMBER_MARKERS) for date in dates]
    return min(formats, key=lambda format: int(parse_dates(sample, format)[1].sum()))


def _mostly_words(cells: pa.Array) -> bool:
    """Whether a spread-out sample of a long column says that it cannot be numbers: saves parsing all of it."""
    if len(cells) <= SAMPLE_CELLS:
        return False
    sample = _spread(cells)
    sample = pc.unique(sample.drop_null())
    lower = pc.utf8_lower(pc.utf8_trim_whitespace(sample))
    sample = sample.filter(pc.invert(pc.is_in(lower, value_set=pa.array(["", *NUMBER_MARKERS]))))
    return len(sample) >= FEWEST_WORDS and _share_with_digits(sample) == 0


def _share_with_digits(cells: pa.Array) -> float:
    return pc.sum(pc.match_substring_regex(cells, r"[0-9]")).as_py() / len(cells) if len(cells) else 0.0


def _number_formats(sample: pa.Array) -> list[CellFormat]:
    """The ways of writing numbers that are worth trying on these cells."""
    texts = sample.to_pylist()
    percent = sum(text.rstrip().endswith("%") for text in texts) >= 0.5 * len(texts)
    seen = {sign: sum(sign in text for text in texts) for sign in _CURRENCIES}
    currency = max(_CURRENCIES, key=lambda sign: (seen[sign], len(sign)))
    currency = currency if seen[currency] >= max(1, 0.1 * len(texts)) else ""
    return [
        CellFormat(decimal, thousands, percent, currency, missing=NUMBER_MARKERS) for decimal, thousands in _GROUPINGS
    ]


def _thousands_note(sample: pa.Array, format: CellFormat) -> str:
    """Says so when a comma could have been a decimal one just as well."""
    if (format.decimal, format.thousands) != (".", ","):
        return ""
    as_decimal = parse_numbers(sample, replace(format, decimal=",", thousands=""))[1].sum()
    as_thousands = parse_numbers(sample, format)[1].sum()
    if as_decimal > as_thousands:
        return ""
    return "the commas could be decimal commas too: every one has three digits after it"


def _are_codes(cells: pa.Array, num_present: int) -> bool:
    """Digits with leading zeros (zip codes, 007) are names, not amounts."""
    if len(cells) > SAMPLE_CELLS and not pc.any(pc.starts_with(pc.utf8_ltrim_whitespace(_spread(cells)), "0")).as_py():
        return False  # in a column of codes many of the sampled cells would begin with a zero
    num_zeros = pc.sum(pc.match_substring_regex(cells, r"^\s*0[0-9]+\s*$")).as_py() or 0
    if num_zeros < max(1, 0.005 * num_present):
        return False
    num_digits = pc.sum(pc.match_substring_regex(cells, r"^\s*[0-9]+\s*$")).as_py()
    return bool(num_digits >= (1 - MOST_BAD) * num_present)


# ------------------------------------------------------------------ dates


def _guess_date(cells: pa.Array) -> Guess | None:
    sample = _sample(cells)
    dated = pc.match_substring_regex(sample, r"[0-9][-/._: ]|[-/._ ,][0-9]")
    if len(sample) == 0 or pc.sum(dated).as_py() < (1 - MOST_BAD) * len(sample):
        return None
    formats = [CellFormat(date=date, missing=NUMBER_MARKERS) for date in _DATES]
    num_bad = [int(parse_dates(sample, format)[1].sum()) for format in formats]
    fewest = min(num_bad)
    if fewest > MOST_BAD * len(sample):
        return None
    best = [format for format, bad in zip(formats, num_bad, strict=True) if bad == fewest]
    format, note = _day_or_month_first(cells, best)
    dates, bad = parse_dates(cells, format)
    if bad.sum() > MOST_BAD * (bad.sum() + (~np.isnat(dates)).sum()):
        return None
    first_bad = cells[int(np.flatnonzero(bad)[0])].as_py() if bad.any() else ""
    return Guess("date", format, note, int(bad.sum()), first_bad)


def _day_or_month_first(cells: pa.Array, fits: list[CellFormat]) -> tuple[CellFormat, str]:
    """Of the formats that fit equally well, the one under which the rows are better in order of time."""
    first = fits[0]
    swapped = re.sub(r"%[md]", lambda found: "%d" if found[0] == "%m" else "%m", first.date)
    other = next((format for format in fits[1:] if format.date == swapped), None)
    if other is None:
        return first, ""
    disorder = []
    for format in (first, other):
        dates = parse_dates(cells, format)[0]
        steps = np.diff(dates[~np.isnat(dates)].astype(np.int64))
        disorder.append(min((steps < 0).mean(), (steps > 0).mean()) if len(steps) else 0.0)
    if abs(disorder[0] - disorder[1]) > 0.02:
        best = first if disorder[0] < disorder[1] else other
        return best, "day and month could be swapped; read this way the rows are in order of time"
    return first, "day and month could be swapped: no cell tells them apart"


def _sample(cells: pa.Array) -> pa.Array:
    """Distinct present cells, spread over the column."""
    distinct = pc.unique(pc.utf8_trim_whitespace(cells.drop_null()))
    lower = pc.utf8_lower(distinct)
    distinct = distinct.filter(pc.invert(pc.is_in(lower, value_set=pa.array(["", *NUMBER_MARKERS]))))
    return _spread(distinct)


def _spread(cells: pa.Array) -> pa.Array:
    """At most `SAMPLE_CELLS` cells, evenly spread over all of them."""
    if len(cells) <= SAMPLE_CELLS:
        return cells
    return cells.take(pa.array(np.linspace(0, len(cells) - 1, SAMPLE_CELLS).astype(np.int64)))
