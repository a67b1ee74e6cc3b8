"""What is odd about rows to predict: cells that cannot be read, or that are unlike anything in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from nudgenet.data.features import DateFeature, NumberFeature
from nudgenet.errors import ColumnError

MOST_BAD_CELLS = 0.05  # more cells than this that are not numbers (or dates): not the column of the training
MOST_SINGLY = 4  # more columns that are odd in one way than this share one warning
NAMED = 6  # columns that are named in it
LONGEST_NAME = 60


@dataclass
class Oddities:
    """Counted while columns are encoded, told in words afterwards."""

    warnings: list[str] = field(default_factory=list)  # about cells that cannot be read
    unseen: dict[str, int] = field(default_factory=dict)  # category -> rows with a level that training never saw
    outside: dict[str, tuple[int, str]] = field(default_factory=dict)  # column -> rows outside its range, the range

    def check_cells(
        self, feature: NumberFeature | DateFeature, cells: pa.ChunkedArray, values: np.ndarray, bad: np.ndarray
    ) -> None:
        """Note cells that are not numbers (dates), are infinite, or lie outside what training saw.

        Raises:
            ColumnError: more than 5 % of the cells are not what the column held in training.
        """
        name, noun = _short(feature.column), "number" if isinstance(feature, NumberFeature) else "date"
        if num_bad := int(bad.sum()):
            row = int(np.flatnonzero(bad)[0])
            example = f"{str(cells[row].as_py())[:60]!r} in row {row + 1}"
            if num_bad > MOST_BAD_CELLS * len(bad):
                raise ColumnError(
                    f"The column `{name}` held {noun}s in training, but {num_bad:,} of {len(bad):,} cells are none",
                    got=example,
                    fix=f"At most {MOST_BAD_CELLS:.0%} of the cells may be taken as missing.",
                )
            are = f"cell of `{name}` is not a {noun}" if num_bad == 1 else f"cells of `{name}` are not {noun}s"
            self.warnings.append(f"{num_bad:,} {are}, taken as missing ({example}, for example)")
        if noun == "number" and (num_infinite := int(np.isinf(values).sum())):
            what = "cell is" if num_infinite == 1 else "cells are"
            self.warnings.append(f"{num_infinite:,} `{name}` {what} infinite, taken as missing")
        if num_outside := feature.outside(values):
            self.outside[feature.column] = num_outside, feature.range_text()

    def in_words(self) -> list[str]:
        """The warnings; many columns that are odd in the same way share one."""
        words = list(self.warnings)
        if len(self.unseen) > MOST_SINGLY:
            words.append(f"{len(self.unseen)} columns hold values never seen in training: {_listed(self.unseen)}")
        else:
            words += [
                f"{_rows_have(count)} a `{_short(name)}` never seen in training" for name, count in self.unseen.items()
            ]
        if len(self.outside) > MOST_SINGLY:
            counts = {name: count for name, (count, _) in self.outside.items()}
            words.append(f"{len(counts)} columns hold values outside the range seen in training: {_listed(counts)}")
        else:
            words += [
                f"{_rows_have(count)} {_article(name)} `{_short(name)}` outside the {seen} seen in training"
                for name, (count, seen) in self.outside.items()
            ]
        return words


def _listed(counts: Mapping[str, int]) -> str:
    """`a` (3 rows), `b` (1 row) and 5 more, the most rows first."""
    most = sorted(counts.items(), key=lambda item: -item[1])
    named = [f"`{_short(name)}` ({count:,} {'row' if count == 1 else 'rows'})" for name, count in most[:NAMED]]
    return ", ".join(named) + (f" and {len(most) - NAMED} more" if len(most) > NAMED else "")


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


def _article(name: str) -> str:
    return "an" if name[:1].lower() in "aeiou" else "a"


def _rows_have(count: int) -> str:
    return "1 row has" if count == 1 else f"{count:,} rows have"
