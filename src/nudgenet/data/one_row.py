"""One row to predict, from a dict, without a table: the same tensors in microseconds.

Only plain rows: every feature is there as a number, a text that is a plain number, a level that training knew, or
missing. `prepare_row` gives None for any other, and the caller makes a table of it: one meaning for all rows.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from nudgenet.data.features import CategoryFeature, NumberFeature, Scale, log_by
from nudgenet.data.prepare import Preparation

_PLAIN = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?")
_EXACT = 2**53  # beyond it a whole number need not be a float64


@dataclass(frozen=True)
class RowPreparation:
    """What `prepare_row` looks up, arranged once.

    scale, units, low, high: of all number features, each an array float64 (number features,).
    places: where each one stands among the number inputs; missing_places: where its indicator does.
    """

    names: frozenset[str]
    numbers: tuple[NumberFeature, ...]
    text_is_plain: tuple[bool, ...]
    scale: Scale
    units: np.ndarray
    low: np.ndarray
    high: np.ndarray
    places: np.ndarray
    has_missing: np.ndarray
    missing_places: np.ndarray
    num_numbers: int
    categories: tuple[tuple[str, int, Mapping[str, int]], ...]  # column, code of a missing cell, codes of its levels

    @classmethod
    def of(cls, preparation: Preparation) -> RowPreparation | None:
        """None if some feature needs more than a look: dates."""
        numbers = [feature for feature in preparation.features if isinstance(feature, NumberFeature)]
        categories = [feature for feature in preparation.features if isinstance(feature, CategoryFeature)]
        if len(numbers) + len(categories) < len(preparation.features):
            return None
        widths = np.array([len(feature.names) for feature in numbers], np.int64)
        places = np.cumsum(widths) - widths
        has_missing = widths == 2

        def each(name: str) -> np.ndarray:
            return np.array([getattr(feature, name) for feature in numbers], np.float64)

        scales = [feature.scale for feature in numbers]
        return cls(
            names=frozenset(preparation.names),
            numbers=tuple(numbers),
            text_is_plain=tuple(_text_is_plain(feature) for feature in numbers),
            # Every formula works element by element, so one call does for all columns.
            scale=Scale(*(np.array([getattr(scale, part) for scale in scales]) for part in ("center", "scale"))),  # type: ignore[arg-type]
            units=each("unit"),
            low=each("low"),
            high=each("high"),
            places=places,
            has_missing=has_missing,
            missing_places=places[has_missing] + 1,
            num_numbers=int(widths.sum()),
            categories=tuple((feature.column, *_codes(feature)) for feature in categories),
        )


def prepare_row(row: Mapping[Any, Any], how: RowPreparation) -> dict[str, torch.Tensor] | None:
    """The inputs of one row (see `records.Part.inputs`); None if the row is not plain, or worth a warning."""
    if not how.names.issuperset(row):
        return None
    values = np.empty(len(how.numbers))
    for place, (feature, text_is_plain) in enumerate(zip(how.numbers, how.text_is_plain, strict=True)):
        number = _number(row.get(feature.column, row), text_is_plain)  # `row` is no cell: the column is absent
        if number is None:
            return None
        values[place] = number
    known = np.isfinite(values)
    if ((values < how.low) | (values > how.high)).any():  # infinities, too
        return None
    logged = how.units > 0
    if logged.any():
        values[logged] = log_by(values[logged], how.units[logged])
    numbers = np.empty((1, how.num_numbers), np.float32)
    numbers[0, how.places] = how.scale(values)
    numbers[0, how.missing_places] = ~known[how.has_missing]
    codes = np.empty((1, len(how.categories)), np.int64)
    for place, (column, code_of_missing, code_of) in enumerate(how.categories):
        code = _code(row.get(column, row), code_of_missing, code_of)
        if code is None:
            return None
        codes[0, place] = code
    return {"numbers": torch.from_numpy(numbers), "categories": torch.from_numpy(codes)}


def _number(cell: Any, text_is_plain: bool) -> float | None:
    """A cell as float64, NaN if it is missing; None if that takes more than a look."""
    kind = type(cell)
    if kind is float or kind is np.float64:
        return float(cell)
    if kind is int:
        return float(cell) if -_EXACT < cell < _EXACT else None
    if cell is None:
        return np.nan
    if kind is str and text_is_plain and _PLAIN.fullmatch(cell):
        return float(cell)
    return None


def _code(cell: Any, code_of_missing: int, code_of: Mapping[str, int]) -> int | None:
    """A cell's code; None if that takes more than a look."""
    if cell is None:
        return code_of_missing
    if type(cell) is str:
        return code_of.get(cell)
    return code_of.get(str(cell)) if type(cell) is int else None


def _text_is_plain(feature: NumberFeature) -> bool:
    format = feature.format
    is_plain = not (format.thousands or format.currency or format.percent or format.decimal != ".")
    # A number may itself be the marker of a missing cell, if the user has said so.
    return is_plain and not any(_PLAIN.fullmatch(marker) for marker in format.missing)


def _codes(feature: CategoryFeature) -> tuple[int, dict[str, int]]:
    first = 1 + int(feature.has_missing)
    return int(feature.has_missing), {level: first + place for place, level in enumerate(feature.levels)}
