"""What is odd about rows to predict: cells that cannot be read, or that are unlike anything in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from nudgenet.data.features import CategoryFeature, DateFeature, NumberFeature
from nudgenet.errors import ColumnError, counted

MOST_BAD_CELLS = 0.05  # more cells than this that are not numbers (or dates): not the column of the training
MOST_SINGLY = 4  # more columns that are odd in one way than this share one warning
NAMED = 6  # columns that are named in it
LONGEST_NAME = 60


@dataclass
class Cells:
    """Odd cells of one number or date column."""

    noun: str
    seen: str  # the range seen in training, in words
    num_bad: int = 0
    example: str = ""  # the first bad one, and its row
    num_infinite: int = 0
    num_outside: int = 0


@dataclass
class Oddities:
    """Counted while columns are encoded, one batch of rows after the other; judged and told in words at the end."""

    num_rows: int = 0  # so far
    cells: dict[str, Cells] = field(default_factory=dict)
    unseen: dict[str, int] = field(default_factory=dict)  # category -> rows with a level that training never saw

    def note_cells(
        self, feature: NumberFeature | DateFeature, cells: pa.ChunkedArray, values: np.ndarray, bad: np.ndarray
    ) -> None:
        """Note cells that are not numbers (dates), are infinite, or lie outside what training saw."""
        noun = "number" if isinstance(feature, NumberFeature) else "date"
        found = self.cells.setdefault(feature.column, Cells(noun, feature.range_text()))
        if num_bad := int(bad.sum()):
            row = int(np.flatnonzero(bad)[0])
            found.example = found.example or f"{str(cells[row].as_py())[:60]!r} in row {self.num_rows + row + 1}"
            found.num_bad += num_bad
        if noun == "number":
            found.num_infinite += int(np.isinf(values).sum())
        found.num_outside += feature.outside(values)

    def note_levels(self, feature: CategoryFeature, num_new: int) -> None:
        """Note levels that training never saw."""
        self.unseen[feature.column] = self.unseen.get(feature.column, 0) + num_new

    def in_words(self) -> list[str]:
        """The warnings; many columns that are odd in the same way share one.

        Raises:
            ColumnError: more than 5 % of a column's cells are not what it held in training.
        """
        words = []
        for column, found in self.cells.items():
            words += self._about_cells(_short(column), found)
        unseen = {name: count for name, count in self.unseen.items() if count}
        if len(unseen) > MOST_SINGLY:
            words.append(f"{len(unseen)} columns hold values never seen in training: {_listed(unseen)}")
        else:
            words += [
                f"{_rows_have(count)} a `{_short(name)}` never seen in training" for name, count in unseen.items()
            ]
        outside = {name: found.num_outside for name, found in self.cells.items() if found.num_outside}
        if len(outside) > MOST_SINGLY:
            words.append(f"{len(outside)} columns hold values outside the range seen in training: {_listed(outside)}")
        else:
            words += [
                f"{_rows_have(count)} {_article(name)} `{_short(name)}` outside the {self.cells[name].seen} seen in training"
                for name, count in outside.items()
            ]
        return words

    def _about_cells(self, name: str, found: Cells) -> list[str]:
        words, noun, num_bad = [], found.noun, found.num_bad
        if num_bad > MOST_BAD_CELLS * self.num_rows:
            raise ColumnError(
                f"The column `{name}` held {noun}s in training, but {num_bad:,} of {self.num_rows:,} cells are none",
                got=found.example,
                fix=f"At most {MOST_BAD_CELLS:.0%} of the cells may be taken as missing.",
            )
        if num_bad:
            are = counted(num_bad, f"cell of `{name}` is not a {noun}", f"cells of `{name}` are not {noun}s")
            words.append(f"{are}, taken as missing ({found.example}, for example)")
        if found.num_infinite:
            what = "cell is" if found.num_infinite == 1 else "cells are"
            words.append(f"{found.num_infinite:,} `{name}` {what} infinite, taken as missing")
        return words


def _listed(counts: Mapping[str, int]) -> str:
    """`a` (3 rows), `b` (1 row) and 5 more, the most rows first."""
    most = sorted(counts.items(), key=lambda item: -item[1])
    named = [f"`{_short(name)}` ({counted(count, 'row')})" for name, count in most[:NAMED]]
    return ", ".join(named) + (f" and {len(most) - NAMED} more" if len(most) > NAMED else "")


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


def _article(name: str) -> str:
    return "an" if name[:1].lower() in "aeiou" else "a"


def _rows_have(count: int) -> str:
    return counted(count, "row has", "rows have")
