"""Where the arithmetic runs: threads, precision and random numbers. The one place that decides them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from nudgenet.records import Decision
from nudgenet.settings import Settings
from nudgenet.training.calibration import calibration

# Multiply-adds in one step below which one thread does it all. A second one gains little there on a quiet
# machine, and on a busy one, waiting for it, a step takes ten times as long (benchmarks/LOG.md).
SMALL_STEP = 500_000_000


@dataclass(frozen=True)
class Place:
    """A number of processor threads, and how finely matrix products are computed while training."""

    threads: int
    precision: str = "float32"


def choose_place(settings: Settings, multiply_adds: int) -> tuple[Place, list[Decision]]:
    """Threads and precision for steps of this many multiply-adds.

    The choice follows from shapes and from what was measured once on this machine, never from how busy
    it is now: sums are rounded differently on other thread counts, and the same seed must give the
    same network.
    """
    threads, why = settings.threads or 1, "as set"
    if not settings.threads:
        if multiply_adds < SMALL_STEP:
            why = "the steps of this network are so small that waking a second thread costs more than it brings"
        else:
            measured = calibration()
            threads = measured.threads_of_convolutions if settings.network == "convnet" else measured.threads
            why = "what was fastest when this machine was measured, once"
    decisions = [Decision("threads", str(threads), why, f"--set threads={2 if threads == 1 else 1}")]
    precision: str = settings.precision or "float32"
    takes_coarse = settings.network in ("convnet", "pretrained") or (
        settings.network == "ensemble" and settings.layers != 0
    )
    if takes_coarse and not settings.precision:
        precision = calibration().precision
        faster = "faster on this processor" if precision == "bfloat16" else "as fast as any on this processor"
        why = f"{faster}; only training is rounded, answers are always float32"
        other = "bfloat16" if precision == "float32" else "float32"
        decisions.append(Decision("precision", precision, why, f"--set precision={other}"))
    return Place(threads, precision), decisions


def rows_at_once(num_outputs: int) -> int:
    """Rows of one forward pass without gradients: so few that what the layers answer stays in the processor's cache,
    and fits into memory with thousands of classes, too."""
    return min(1_024, max(64, 2**20 // num_outputs))


@contextmanager
def working_at(place: Place) -> Iterator[None]:
    """Work with the place's threads and a private random state; the caller gets both back as they were."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=[]):
        try:
            torch.set_num_threads(place.threads)
            yield
        finally:
            torch.set_num_threads(threads)
