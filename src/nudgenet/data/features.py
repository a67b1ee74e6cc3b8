"""How a column of each kind becomes inputs of the network: learned from training cells, applied to any.

A number becomes one standardised float, a category one whole-number code, a date several floats. Each
feature is a small frozen record that JSON can hold; each `learn_*` function makes one from training cells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nudgenet.data.cells import YES_NO, parse_dates, parse_levels, parse_numbers
from nudgenet.data.plain import is_plain
from nudgenet.data.starts import MediaFeature
from nudgenet.data.texts import TextFeature
from nudgenet.records import CellFormat, Column

UNKNOWN = 0  # the code of a level that training did not know
MAX_LEVELS = 1_000  # the commonest are kept; beyond this the rest are "unknown"
FENCE = 5.0  # interquartile ranges around the median: on a bell curve nothing lies outside
STRAIGHT = 4.0  # standard deviations that are passed on as they are
ROOM = 4.0  # beyond them values are squeezed into this much more room
SKEWED = 3.0  # a skewness (third standardised moment) above this asks for a logarithm; the exponential's is 2
DatePartName = Literal["days", "year", "month", "weekday", "hour"]


@dataclass(frozen=True)
class Scale:
    """Standardisation of one float: (x - center) / scale, squeezed far out."""

    center: float
    scale: float

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """float64 -> float64, about mean 0 and standard deviation 1; NaN becomes 0, the mean."""
        with np.errstate(over="ignore"):
            standardised = squeeze((values - self.center) / self.scale)
        return np.where(np.isnan(values), 0.0, standardised)


@dataclass(frozen=True)
class NumberFeature:
    """One float, and an indicator when training had missing cells.

    `unit` is 0 for a column that is used as it is, else the u in sign(x) log(1 + |x| / u).
    """

    column: str
    format: CellFormat
    unit: float
    scale: Scale
    low: float  # the range seen in training, for the warning about values outside it
    high: float
    has_missing: bool
    kind: Literal["number"] = "number"
    typical: float | None = None  # the median of the training cells; None: unknown

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its floats."""
        return (self.column, f"{self.column}:missing") if self.has_missing else (self.column,)

    def parse(self, cells: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
        """Cells -> float64 with NaN or infinity, and the mask of cells that are not numbers."""
        return parse_numbers(cells, self.format)

    def encode(self, values: np.ndarray) -> list[np.ndarray]:
        """float64 (rows,) -> one float64 (rows,) per name."""
        known = np.isfinite(values)
        values = np.where(known, values, np.nan)
        encoded = self.scale(signed_log(values, self.unit))
        return [encoded, (~known).astype(np.float64)] if self.has_missing else [encoded]

    def outside(self, values: np.ndarray) -> int:
        """How many finite values lie outside the range seen in training."""
        return int((np.isfinite(values) & ((values < self.low) | (values > self.high))).sum())

    def range_text(self) -> str:
        """The range seen in training, in words."""
        return f"{self.low:.6g} to {self.high:.6g}"


@dataclass(frozen=True)
class CategoryFeature:
    """One code: 0 unknown, then (if training had any) missing, then the levels sorted by text."""

    column: str
    format: CellFormat
    levels: tuple[str, ...]
    has_missing: bool
    rare: tuple[str, ...] = ()  # levels that training knew but had too few of to learn from
    kind: Literal["category"] = "category"
    typical: str | None = None  # the commonest level in training; None: unknown

    @property
    def cardinality(self) -> int:
        """The number of codes."""
        return 1 + self.has_missing + len(self.levels)

    def encode(self, cells: pa.ChunkedArray) -> tuple[np.ndarray, int]:
        """Cells -> codes, int64 (rows,), and how many cells hold a level never seen in training."""
        levels, index = read_levels(cells, self.format)
        levels = self._as_trained(levels)
        found = pc.index_in(pa.array(levels, pa.string()), value_set=pa.array(self.levels, pa.string()))
        known = pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)
        first = 1 + int(self.has_missing)
        code_of_missing = 1 if self.has_missing else UNKNOWN
        codes = np.append(np.where(known < 0, UNKNOWN, known + first), code_of_missing)[index]
        rare = set(self.rare)
        is_new = np.array([code < 0 and level not in rare for code, level in zip(known, levels, strict=True)] + [False])
        return codes, int(is_new[index].sum())

    def _as_trained(self, levels: list[str]) -> list[str]:
        """A yes/no column may be yes and no in one file and true and false in the next (or in a query's answer)."""
        own = {level.lower(): level for level in self.levels}
        pair = next((pair for pair in YES_NO if set(own) == set(pair)), None)
        if pair is None:
            return levels
        meaning = {word: own[pair[i]] for words in YES_NO for i, word in enumerate(words)}
        return [level if level in self.levels else meaning.get(level.lower(), level) for level in levels]


@dataclass(frozen=True)
class DatePart:
    """One aspect of a date: `days` and `year` are standardised, the cyclic ones are a sine and a cosine."""

    name: DatePartName
    scale: Scale | None = None


@dataclass(frozen=True)
class DateFeature:
    """Several floats: of the parts of a date, those that vary in training."""

    column: str
    format: CellFormat
    origin: int  # the first training date, microseconds since 1970
    low: int  # the range seen in training, microseconds since 1970
    high: int
    parts: tuple[DatePart, ...]
    has_missing: bool
    kind: Literal["date"] = "date"
    typical: int | None = None  # the median training date, microseconds since 1970; None: unknown

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its floats."""
        names: list[str] = []
        for part in self.parts:
            stem = f"{self.column}:{part.name}"
            names += [stem] if part.scale else [f"{stem}_sin", f"{stem}_cos"]
        return (*names, f"{self.column}:missing") if self.has_missing else tuple(names)

    def parse(self, cells: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
        """Cells -> datetime64[us] with NaT, and the mask of cells that are not dates."""
        dates, bad = parse_dates(cells, self.format)
        return dates.astype("datetime64[us]"), bad

    def encode(self, values: np.ndarray) -> list[np.ndarray]:
        """datetime64[us] (rows,) -> one float64 (rows,) per name."""
        known = ~np.isnat(values)
        encoded: list[np.ndarray] = []
        for part in self.parts:
            number, period = date_part(values, part.name, self.origin)
            if part.scale:
                encoded.append(part.scale(number))
            else:
                angle = 2 * np.pi * np.where(known, number, 0.0) / period
                encoded += [np.where(known, np.sin(angle), 0.0), np.where(known, np.cos(angle), 0.0)]
        return [*encoded, (~known).astype(np.float64)] if self.has_missing else encoded

    def outside(self, values: np.ndarray) -> int:
        """How many dates lie outside the range seen in training."""
        low, high = np.datetime64(self.low, "us"), np.datetime64(self.high, "us")
        return int(((values < low) | (values > high)).sum())  # NaT compares as False

    def range_text(self) -> str:
        """The range seen in training, in words."""
        return f"{np.datetime64(self.low, 'us').astype('datetime64[D]')} to {np.datetime64(self.high, 'us').astype('datetime64[D]')}"


Feature = NumberFeature | CategoryFeature | DateFeature | MediaFeature | TextFeature


# --- learning -------------------------------------------------------------------------------------


def learn_number(column: Column, values: np.ndarray) -> NumberFeature:
    """From float64 training values (NaN and infinity count as missing)."""
    known = values[np.isfinite(values)]
    unit = log_unit(known)
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    has_missing = len(known) < len(values)
    scale, typical = learn_scale(signed_log(known, unit)), middle(known) if len(known) else None
    return NumberFeature(column.name, column.format, unit, scale, low, high, has_missing, typical=typical)


def learn_category(column: Column, cells: pa.ChunkedArray) -> CategoryFeature:
    """From training cells; levels with too few rows to learn from become unknown, which so gets trained too."""
    levels, index = read_levels(cells, column.format)
    counts = np.bincount(index[index >= 0], minlength=len(levels))
    fewest = 1 if column.kind == "yes_no" else max(2, min(10, len(index) // 1_000))
    # The commonest first, equally common ones by their text, so that the cap never depends on the row order.
    by_count = sorted(zip((-counts).tolist(), levels, strict=True))
    kept = sorted([level for count, level in by_count if -count >= fewest][:MAX_LEVELS])
    rare = sorted(set(levels) - set(kept))
    has_missing, typical = bool((index < 0).any()), by_count[0][1] if by_count else None
    return CategoryFeature(column.name, column.format, tuple(kept), has_missing, tuple(rare), typical=typical)


def learn_date(column: Column, values: np.ndarray) -> DateFeature:
    """From datetime64[us] training values (NaT is missing)."""
    known = values[~np.isnat(values)]
    has_missing = len(known) < len(values)
    if not len(known):
        return DateFeature(column.name, column.format, 0, 0, 0, (), has_missing)
    low, high = int(known.min().astype(np.int64)), int(known.max().astype(np.int64))
    parts = []
    for name in get_args(DatePartName):
        number, period = date_part(known, name, low)
        if number.min() < number.max():
            parts.append(DatePart(name, None if period else learn_scale(number)))
    typical = int(middle(known.astype(np.int64)))
    return DateFeature(column.name, column.format, low, low, high, tuple(parts), has_missing, typical=typical)


def middle(values: np.ndarray) -> float:
    """The median, of an even number of values the lower of the two in the middle: so it is always one of them."""
    place = (len(values) - 1) // 2
    return float(np.partition(values, place)[place])


def learn_scale(values: np.ndarray) -> Scale:
    """Mean and standard deviation, of values pulled in to a fence so that a few wild ones decide nothing.

    On data without outliers this is exactly the usual standardisation.
    """
    if not len(values):
        return Scale(0.0, 1.0)
    magnitude = float(np.abs(values).max()) or 1.0  # divided by first, so that no sum or square overflows
    values = values / magnitude
    for low, high in (_fence(values), (-1.0, 1.0)):
        fenced = np.clip(values, low, high)
        scale = float(fenced.std())
        if scale > 1e-12 and scale * magnitude > 0:
            return Scale(float(fenced.mean()) * magnitude, scale * magnitude)
    return Scale(float(values[0]) * magnitude, 1.0)


def _fence(values: np.ndarray) -> tuple[float, float]:
    """Median -+ `FENCE` interquartile ranges, but never more than 2.5 % of the values outside on a side.

    Where half of the values are equal (mostly zero, say), the others set the fence.
    """
    q0, q1, q2, q3, q4 = np.quantile(values, [0.025, 0.25, 0.5, 0.75, 0.975])
    if q1 == q3 and len(others := values[values != q2]):
        low, high = _fence(others)
        return min(low, q2), max(high, q2)
    reach = FENCE * (q3 - q1)
    return min(q0, q2 - reach), max(q4, q2 + reach)


def log_unit(values: np.ndarray) -> float:
    """The u of log(1 + x / u) for heavily skewed positive values, else 0; the rule does not depend on their unit."""
    positive = values[values > 0]
    if not len(positive) or values.min() < 0 or skewness(values) <= SKEWED:
        return 0.0
    unit = float(np.quantile(positive, 0.1))
    return unit if abs(skewness(signed_log(values, unit))) < 0.5 * skewness(values) else 0.0


def skewness(values: np.ndarray) -> float:
    """The third standardised moment; 0 for a constant."""
    magnitude = float(np.abs(values).max())
    if not magnitude:
        return 0.0
    centred = values / magnitude - (values / magnitude).mean()
    spread = float(np.sqrt((centred**2).mean()))
    return float((centred**3).mean()) / spread**3 if spread > 1e-12 else 0.0


# --- reading --------------------------------------------------------------------------------------


def read_levels(cells: pa.ChunkedArray, format: CellFormat) -> tuple[list[str], np.ndarray]:
    """Cells of any type -> the distinct levels, sorted by text, and each row's index among them (-1: missing).

    Each distinct cell is parsed once. `True`, `TRUE` and a typed true are one level.
    """
    if pa.types.is_null(cells.type):
        cells = cells.cast(pa.string())
    if is_plain(cells.type):
        cells = cells.cast(pa.float64())
    chunks = cells.dictionary_encode().unify_dictionaries().chunks
    if not chunks:
        return [], np.zeros(0, np.int64)
    texts = parse_levels(pa.chunked_array([chunks[0].dictionary]), format)
    lower = pc.utf8_lower(texts)
    texts = pc.if_else(pc.is_in(lower, value_set=pa.array(["true", "false"])), lower, texts)
    levels: list[str] = sorted(set(texts.to_pylist()) - {None})
    level_of = pc.fill_null(pc.index_in(texts, value_set=pa.array(levels, pa.string())), -1).to_numpy()
    index = np.concatenate([pc.fill_null(chunk.indices, -1).to_numpy(zero_copy_only=False) for chunk in chunks])
    return levels, np.append(level_of, -1).astype(np.int64)[index]  # -1 picks what was appended


# --- arithmetic -----------------------------------------------------------------------------------


def signed_log(values: np.ndarray, unit: float) -> np.ndarray:
    """sign(x) log(1 + |x| / unit); unit 0 means as it is."""
    return log_by(values, unit) if unit else values


def log_by(values: np.ndarray, unit: float | np.ndarray) -> np.ndarray:
    """sign(x) log(1 + |x| / unit), with one unit or one for each value."""
    with np.errstate(over="ignore"):
        return np.asarray(np.sign(values) * np.log1p(np.minimum(np.abs(values) / unit, np.finfo(np.float64).max)))


def squeeze(standardised: np.ndarray) -> np.ndarray:
    """The identity up to `STRAIGHT`, then smoothly towards `STRAIGHT + ROOM`: no outlier can shake the network."""
    beyond = np.minimum(np.maximum(np.abs(standardised) - STRAIGHT, 0.0), np.finfo(np.float64).max)
    squeezed = np.sign(standardised) * (STRAIGHT + beyond / (1 + beyond / ROOM))
    return np.where(beyond > 0, squeezed, standardised)


def date_part(dates: np.ndarray, name: DatePartName, origin: int) -> tuple[np.ndarray, float]:
    """A part of each date as float64 (NaN for NaT), and its period (0 if it is not cyclic)."""
    days, months, years = (dates.astype(f"datetime64[{unit}]") for unit in "DMY")
    if name == "days":
        return (dates - np.datetime64(origin, "us")) / np.timedelta64(1, "D"), 0.0
    if name == "year":
        return (years - np.datetime64("1970", "Y")) / np.timedelta64(1, "Y"), 0.0
    if name == "month":
        return (months - years.astype("datetime64[M]")) / np.timedelta64(1, "M"), 12.0
    if name == "weekday":  # 1 January 1970 was a Thursday: day 3 of a week that begins on Monday
        return np.mod((days - np.datetime64("1970-01-01", "D")) / np.timedelta64(1, "D") + 3, 7), 7.0
    return (dates - days) / np.timedelta64(1, "h"), 24.0
