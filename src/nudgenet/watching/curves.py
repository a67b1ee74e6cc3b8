"""Curves: what the losses of the epochs say, and how to show them small.

Pure functions over epochs and numbers. Values that are not finite never crash one of them: a run that
diverged has curves, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np

Point = tuple[float, float]


class Measured(Protocol):
    """What a curve's judgement looks at in an epoch: an `Epoch`, or whatever else has these."""

    @property
    def epoch(self) -> int: ...
    @property
    def train_loss(self) -> float: ...
    @property
    def validation_loss(self) -> float: ...
    @property
    def validation_loss_se(self) -> float: ...


AnyEpoch = TypeVar("AnyEpoch", bound=Measured)

BLOCKS = "▁▂▃▄▅▆▇█"


def best_epoch(epochs: Sequence[AnyEpoch]) -> AnyEpoch | None:
    """The epoch with the lowest finite validation loss, the first of ties; None if there is none."""
    finite = [epoch for epoch in epochs if math.isfinite(epoch.validation_loss)]
    return min(finite, key=lambda epoch: epoch.validation_loss, default=None)


def overfit_since(epochs: Sequence[Measured]) -> int | None:
    """The number of the first epoch of the overfit region: from there to the end validation loss is clearly
    above its best while training loss is below its value at the best epoch. None if there is no such region.

    "Clearly" is half a standard error over rows (the same rows are measured at every epoch, so most of the
    row-to-row noise cancels in a difference) or twice the epoch-to-epoch wiggle, whichever is more.
    """
    names = ("epoch", "train_loss", "validation_loss", "validation_loss_se")
    return overfit_from(*(np.array([getattr(epoch, name) for epoch in epochs], np.float64) for name in names))


def overfit_from(epoch: np.ndarray, train: np.ndarray, validation: np.ndarray, error: np.ndarray) -> int | None:
    """`overfit_since` over columns (num_epochs,) in the order of the epochs: a hundred thousand take no time."""
    finite = np.isfinite(validation)
    if not finite.any():
        return None
    best = int(np.argmin(np.where(finite, validation, np.inf)))
    row_noise = float(error[best]) if np.isfinite(error[best]) else 0.0
    margin = max(0.5 * row_noise, 2 * wiggle(validation))
    is_worse = (validation[best:] - validation[best] > margin) & (train[best:] < train[best])
    since = best + int(np.flatnonzero(~is_worse)[-1]) + 1  # the best itself is never worse
    return int(epoch[since]) if since < len(epoch) else None


def wiggle(values: Sequence[float] | np.ndarray) -> float:
    """How much a curve jumps from one epoch to the next beside its trend, as a standard deviation.

    From third differences, which a steady rise or fall does not move and a levelling-off hardly does: of white
    noise with deviation s they have deviation sqrt(20) s. Their median makes a steep start or one spike harmless.
    0 for fewer than 5 values.
    """
    known = np.array(values, np.float64)
    known = known[np.isfinite(known)]
    if len(known) < 5:
        return 0.0
    with np.errstate(over="ignore", invalid="ignore"):
        jumps = np.abs(known[:-3] - 3 * known[1:-2] + 3 * known[2:-1] - known[3:])
        middle = float(np.median(jumps))
    spread = middle / (0.6745 * math.sqrt(20))  # 0.6745: median of |normal| over its deviation
    return spread if math.isfinite(spread) else 0.0


def sparkline(values: Sequence[float], width: int = 30) -> str:
    """A curve as one line of block characters, at most `width` of them; a gap where a value is not finite."""
    shown = [y for _, y in thin(list(enumerate(values)), width)]
    finite = [value for value in shown if math.isfinite(value)]
    if not finite:
        return " " * len(shown)
    scale = max(map(abs, finite)) or 1.0  # dividing first keeps the range of huge values finite
    low, high = min(finite) / scale, max(finite) / scale
    if high == low:
        return "".join(BLOCKS[0] if math.isfinite(value) else " " for value in shown)
    top = len(BLOCKS) - 1
    return "".join(
        BLOCKS[round((value / scale - low) / (high - low) * top)] if math.isfinite(value) else " " for value in shown
    )


def thin(points: Sequence[Point], limit: int) -> list[Point]:
    """At most `limit` of the points, in order; see `kept_when_thinned`."""
    if len(points) <= limit:
        return list(points)
    return [points[index] for index in kept_when_thinned(np.array([y for _, y in points], np.float64), limit)]


def kept_when_thinned(values: np.ndarray, limit: int) -> np.ndarray:
    """The positions, int64 and ascending, of at most `limit` of the values: the first, the last, and the lowest and
    highest of each stretch between them, so that no spike is lost (for a limit of at least 4).

    A stretch without any finite value keeps its first one, so that a gap in the curve stays a gap.
    """
    size = len(values)
    if size <= limit:
        return np.arange(size)
    if limit < 2:
        return np.arange(size - max(limit, 0), size)
    stretches = (limit - 2) // 2
    if stretches == 0:
        return np.array([0, size - 1])
    inner = values[1:-1]
    starts = len(inner) * np.arange(stretches) // stretches
    stretch = np.repeat(np.arange(stretches), np.diff(starts, append=len(inner)))
    finite = np.isfinite(inner)
    is_kept = np.zeros(size, bool)
    is_kept[[0, -1]] = True
    for extreme, nothing in ((np.minimum, np.inf), (np.maximum, -np.inf)):
        known = np.where(finite, inner, nothing)
        is_extreme = known == extreme.reduceat(known, starts)[stretch]  # everywhere in a stretch without a finite value
        found = np.flatnonzero(is_extreme)
        is_kept[1 + found[np.diff(stretch[found], prepend=-1) > 0]] = True  # the first one in each stretch
    return np.flatnonzero(is_kept)
