"""The learning rate over time: share of the training done -> factor on the learning rate.

`SCHEDULES` is the plug point: name -> function of (progress, warmup), both between 0 and 1. They are
pure functions, so a resumed run needs nothing but the step. The plateau's cuts depend on the
validation loss; they are counted by `stopping.Stopping`, whose state travels with the loop's.
"""

from __future__ import annotations

import math
from collections.abc import Callable

PLATEAU_CUT = 0.2  # what is left of the learning rate after a plateau


def constant(progress: float, warmup: float) -> float:
    """The same from first to last, after an optional rise."""
    return _rise(progress, warmup)


def cosine(progress: float, warmup: float) -> float:
    """A rise, then half a cosine down to zero (Loshchilov & Hutter, arXiv 1608.03983)."""
    if progress < warmup:
        return _rise(progress, warmup)
    return 0.5 * (1.0 + math.cos(math.pi * (progress - warmup) / max(1e-12, 1.0 - warmup)))


def one_cycle(progress: float, warmup: float) -> float:
    """Up in a cosine for 30 % of the time (or `warmup`, if longer), then down (Smith, arXiv 1708.07120)."""
    peak = max(0.3, warmup)
    if progress < peak:
        return 0.04 + 0.96 * 0.5 * (1.0 - math.cos(math.pi * progress / peak))
    return 0.5 * (1.0 + math.cos(math.pi * (progress - peak) / (1.0 - peak))) if peak < 1 else 1.0


def plateau(progress: float, warmup: float) -> float:
    """Constant, but cut to a fifth whenever the validation loss has stood still (see `Stopping.cuts`)."""
    return _rise(progress, warmup)


def _rise(progress: float, warmup: float) -> float:
    return min(1.0, (progress + 1e-3) / warmup) if progress < warmup else 1.0


SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "constant": constant,
    "cosine": cosine,
    "one_cycle": one_cycle,
    "plateau": plateau,
}
