"""What one column is: number, yes/no, category, date, or something that the network cannot use."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nudgenet.data.cells import LEVEL_MARKERS, YES_NO, parse_dates, parse_levels, parse_numbers
from nudgenet.data.documents import look_at_documents
from nudgenet.data.formats import guess_format
from nudgenet.data.images import look_at_images
from nudgenet.data.media import medium_of
from nudgenet.data.plain import is_plain
from nudgenet.data.sounds import look_at_sounds
from nudgenet.data.words import split_words
from nudgenet.records import CellFormat, Column, ColumnKind

_FIRST_COLUMN = "it is the first column"  # a weak hint: only counting the rows confirms it
# A whole-number column with one of these names may be an index; the name alone never decides.
_INDEX_NAME = re.compile(
    r"(?i:(.*[_ .-])?(id|ids|idx|index|instant|key|uuid|guid|rownames?|rownum|row[_ ]?(id|no|nr|number)|record|serial|seq)"
    r"|obs|unnamed: ?\d+|level_0|no\.?|nr\.?|#)|.*[a-z](ID|Id)"
)
_LOOK_AT = {"image": look_at_images, "sound": look_at_sounds, "text": look_at_documents}
_MANY_ROWS = 10  # with fewer, "all different" says little about numbers
_UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"  # no blanks between words
_SHORT_WORDS = 3  # words on average from which on cells may be short texts
_FEWEST_SHORT = 20  # different cells; of fewer it cannot be said that their words recur
_SHORT_SAMPLE = 2_000
UNIQUE_SHARE = 0.9  # text with more distinct cells than this share of the rows is a name or a text


@dataclass(frozen=True)
class Sight:
    """What was seen in one column."""

    column: Column
    note: str = ""  # how the format was told, if it was in doubt
    num_bad: int = 0
    first_bad: str = ""
    num_infinite: int = 0
    sentinel_counts: tuple[int, ...] = ()
    could_be: ColumnKind = "category"  # what else an identifier may be taken for


def look(name: str, cells: pa.ChunkedArray, rows: np.ndarray, *, has_header: bool = True) -> Sight:
    """What a column is, from the given cells.

    Args:
        cells: the column's training cells, of any plain type.
        rows: their row numbers, ascending.
        has_header: whether the table had names, so that a column without one stands out.
    """
    kind = cells.type
    if (medium := medium_of(kind)) is not None:
        return Sight(_LOOK_AT[medium](name, cells))
    if cells.null_count == len(cells):
        return Sight(Column(name, "empty", "no cell holds anything", num_missing=len(cells)))
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return Sight(date_column(name, parse_dates(cells, CellFormat())[0], CellFormat()))
    if pa.types.is_boolean(kind):
        return Sight(_level_column(name, cells, CellFormat()))
    if not (pa.types.is_string(kind) or is_plain(kind)):
        hint = "its name says so" if pa.types.is_integer(kind) and is_index_name(name) else ""
        return _look_at_numbers(name, cells, CellFormat(), rows, hint)
    guess = guess_format(cells)
    if guess.kind == "empty":
        return Sight(Column(name, "empty", "every cell is a marker of a missing one", num_missing=len(cells)))
    if guess.kind == "number":
        hint = _index_hint(name, has_header)
        sight = _look_at_numbers(name, cells, guess.format, rows, hint)
    elif guess.kind == "date":
        sight = Sight(date_column(name, parse_dates(cells, guess.format)[0], guess.format))
    else:
        column = _level_column(name, cells, guess.format)
        return Sight(column, could_be="text" if column.kind == "identifier" and _are_words(cells) else "category")
    return replace(sight, note=guess.note, num_bad=guess.num_bad, first_bad=guess.first_bad)


def is_index_name(name: str) -> bool:
    """Whether a name hints at an index or identifier."""
    return _INDEX_NAME.fullmatch(name.strip()) is not None


# ------------------------------------------------------------------ numbers


def _look_at_numbers(name: str, cells: pa.ChunkedArray, format: CellFormat, rows: np.ndarray, hint: str) -> Sight:
    numbers, _ = parse_numbers(cells, format)
    num_infinite = int(np.isinf(numbers).sum())
    finite = numbers[np.isfinite(numbers)]
    num_missing = len(numbers) - len(finite)
    unique = np.unique(finite)
    if len(unique) <= 1:
        return Sight(_single_value(name, cells, format, unique, num_missing), num_infinite=num_infinite)
    why = _index_reason(hint, numbers, unique, rows)
    if why:
        column = Column(name, "identifier", why, format, len(unique), num_missing)
        return Sight(column, num_infinite=num_infinite)
    if pa.types.is_string(cells.type) and (dates := _compact_dates(name, cells, unique, num_missing)):
        return Sight(dates)
    sentinels = find_sentinels(unique)
    why = f"{len(unique):,} different numbers from {unique[0]:,.6g} to {unique[-1]:,.6g} in {len(numbers):,} rows"
    column = Column(name, "number", why, replace(format, sentinels=sentinels), len(unique), num_missing)
    counts = tuple(int((finite == value).sum()) for value in sentinels)
    return Sight(column, num_infinite=num_infinite, sentinel_counts=counts)


def _single_value(
    name: str, cells: pa.ChunkedArray, format: CellFormat, unique: np.ndarray, num_missing: int
) -> Column:
    """At most one number: nothing to learn, unless some cells are missing."""
    if len(unique) == 0:
        return Column(name, "empty", "no cell holds a finite number", format, 0, num_missing)
    value = float(unique[0])
    if num_missing == 0:
        return Column(name, "constant", f"every one of {len(cells):,} rows holds {value:g}", format, 1, 0)
    why = f"{value:g} in {len(cells) - num_missing:,} of {len(cells):,} rows, missing in the others"
    return Column(name, "category", why, replace(format, missing=LEVEL_MARKERS), 1, num_missing)


def _index_hint(name: str, has_header: bool) -> str:
    """What hints at an index, before any cell is looked at; "" if nothing does."""
    if is_index_name(name):
        return "its name says so"
    if has_header and re.fullmatch(r"column_\d+", name):
        return "it has no name"  # the index that many programs write as the first column
    return _FIRST_COLUMN if name == "column_1" else ""


def _index_reason(hint: str, numbers: np.ndarray, unique: np.ndarray, rows: np.ndarray) -> str:
    """Why a whole-number column is an index or an identifier; "" if it is a number.

    Both a hint and its values must say so: a genuine measurement may well be unique, or count up.
    """
    num_rows = len(numbers)
    if not hint or num_rows < 3 or not np.isfinite(numbers).all() or (unique % 1).any():
        return ""
    counts_up = (np.diff(numbers - rows) == 0).all()
    if counts_up:
        return f"it counts the rows, from {unique[0]:.0f} to {unique[-1]:.0f}"
    if len(unique) == num_rows >= _MANY_ROWS and hint != _FIRST_COLUMN:
        return f"{hint} and all {num_rows:,} numbers differ"
    return ""


def _compact_dates(name: str, cells: pa.ChunkedArray, unique: np.ndarray, num_missing: int) -> Column | None:
    """Numbers such as 20201231, if every single one is a day."""
    if len(unique) < 5 or unique[0] < 19000101 or unique[-1] > 21001231:
        return None
    format = CellFormat(date="%Y%m%d")
    dates, bad = parse_dates(cells, format)
    return None if bad.any() else date_column(name, dates, format)


def find_sentinels(unique: np.ndarray) -> tuple[float, ...]:
    """Numbers made of nines (or -1, -9 and the like) that lie far outside all others: 99999999, -999.

    Args:
        unique: the distinct finite values, ascending.
    """
    found: list[float] = []
    rest = unique
    while len(rest) > 3:
        low, high = rest[0], rest[-1]
        if _all_nines(high) and high - rest[-2] > max(rest[-2] - low, 1.0):
            found, rest = [*found, float(high)], rest[:-1]
        elif _all_nines(low) and low < 0 and rest[1] - low > max(high - rest[1], 1.0):
            found, rest = [*found, float(low)], rest[1:]
        else:
            break
    return tuple(found)


def _all_nines(value: float) -> bool:
    return re.fullmatch(r"-9{2,}|9{3,}", f"{value:.0f}") is not None and float(value).is_integer()


# ------------------------------------------------------------------ dates, levels


def date_column(name: str, dates: np.ndarray, format: CellFormat) -> Column:
    """A column whose cells were read as these moments in time (NaT: missing)."""
    present = dates[~np.isnat(dates)]
    num_unique, num_missing = len(np.unique(present)), int(np.isnat(dates).sum())
    if num_unique == 0:
        return Column(name, "empty", "no cell holds a date", format, 0, num_missing)
    if num_unique == 1 and num_missing == 0:
        return Column(name, "constant", f"every one of {len(dates):,} rows holds the same date", format, 1, 0)
    first, last = np.datetime_as_string([present.min(), present.max()], unit="D")
    span = f"{first} to {last}" if format.date != "%H:%M" else "times of day"
    return Column(name, "date", f"{num_unique:,} different dates, {span}", format, num_unique, num_missing)


def _level_column(name: str, cells: pa.ChunkedArray, format: CellFormat) -> Column:
    """A column of text or booleans."""
    levels = parse_levels(cells, format)
    num_rows, num_missing = len(levels), levels.null_count
    unique = pc.unique(levels.drop_null())
    num_unique, num_present = len(unique), num_rows - num_missing
    if num_unique == 0:
        return Column(name, "empty", "every cell is a marker of a missing one", format, 0, num_missing)
    if num_unique == 1:
        value = unique[0].as_py()[:40]
        if num_missing == 0:
            return Column(name, "constant", f"every one of {num_rows:,} rows holds `{value}`", format, 1, 0)
        why = f"`{value}` in {num_present:,} of {num_rows:,} rows, missing in the others"
        return Column(name, "category", why, format, 1, num_missing)
    if num_unique == 2 and {level.lower() for level in unique.to_pylist()} in map(set, YES_NO):
        pair = " and ".join(f"`{level}`" for level in sorted(unique.to_pylist()))
        return Column(name, "yes_no", f"{pair} in {num_rows:,} rows", format, 2, num_missing)
    free = is_free_text(unique, num_present)
    if free:
        return Column(name, "text", free, format, num_unique, num_missing)
    if num_present >= 3 and num_unique > UNIQUE_SHARE * num_present:
        why = f"{num_unique:,} different values in {num_present:,} rows: it names rows"
        return Column(name, "identifier", why, format, num_unique, num_missing)
    return Column(name, "category", f"{num_unique:,} values in {num_rows:,} rows", format, num_unique, num_missing)


def _are_words(cells: pa.ChunkedArray) -> bool:
    """Whether most cells are of several words."""
    several = pc.match_substring_regex(cells, rf"\p{{L}}\P{{L}}*\s\P{{L}}*\p{{L}}|[{_UNSPACED}]{{4}}")
    return bool(pc.mean(several).as_py() > 0.5)


def is_free_text(unique: pa.Array, num_present: int) -> str:
    """Why distinct cells are free text: mostly different, and long, or of several words that recur in others; "" if not.

    Codes, keys and names of two words are none: what differs in each row says nothing about another one. Addresses, titles
    and longer names are: some share a street, a brand or a "Mrs", and what they do not share costs little.
    """
    # Between words are blanks, but not in every language: there two signs or so are a word.
    num_signs = pc.count_substring_regex(unique, f"[{_UNSPACED}]")
    num_blanks = pc.count_substring_regex(unique, r"\s+")
    num_words = pc.mean(pc.add(pc.add(num_blanks, 1), pc.divide(num_signs, 2))).as_py()
    length = pc.mean(pc.utf8_length(unique)).as_py()
    mostly_unique = len(unique) > 0.5 * num_present and len(unique) > 2
    is_long = num_words >= 6 or (length >= 60 and num_words >= 3)
    if not mostly_unique or not (is_long or (num_words >= _SHORT_WORDS and _has_words_in_common(unique))):
        return ""
    return f"{len(unique):,} different texts of {num_words:.0f} words on average in {num_present:,} rows"


def _has_words_in_common(texts: pa.Array) -> bool:
    """Whether short texts are of several words, most of which stand in some others, too: titles, questions, remarks.

    A word that stands in most of them tells nothing, such as those of "sample 7 of lot 49".
    """
    if len(texts) < _FEWEST_SHORT:
        return False
    sample = texts.take(pa.array(np.unique(np.linspace(0, len(texts) - 1, _SHORT_SAMPLE).astype(np.int64))))
    words = split_words(pc.replace_substring_regex(sample, f"([{_UNSPACED}])", r" \1 "))
    distinct = pa.array(words.distinct, pa.string())
    is_sign = pc.match_substring_regex(distinct, f"^[{_UNSPACED}]").to_numpy(zero_copy_only=False)
    weight = np.where(
        is_sign, 0.5, pc.match_substring_regex(distinct, r"^\p{L}[\p{L}\p{M}]").to_numpy(zero_copy_only=False)
    )
    standing_in = np.unique(np.stack([words.codes, words.rows]), axis=1)[0]
    num_texts = np.bincount(standing_in, minlength=len(distinct))
    recurs = (num_texts > 1) & (is_sign | (num_texts <= 0.5 * len(sample)))  # a single sign means little by itself
    weights = weight[words.codes]
    return bool(
        weights.sum() >= _SHORT_WORDS * len(sample) and weights[recurs[words.codes]].sum() > 0.5 * weights.sum()
    )
