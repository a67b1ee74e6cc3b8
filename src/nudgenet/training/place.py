"""Where the arithmetic runs: device, threads and random numbers. The one place that decides them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from nudgenet.errors import SettingError
from nudgenet.records import Decision
from nudgenet.settings import Settings

# Multiply-adds in one step above which a second thread gains more than it costs in waking up.
THREADED_MULTIPLY_ADDS = 200_000_000


@dataclass(frozen=True)
class Place:
    """A device and a number of processor threads."""

    device: torch.device
    threads: int


def choose_place(settings: Settings, multiply_adds: int) -> tuple[Place, Decision]:
    """Device and threads for steps of this many multiply-adds.

    The choice follows from shapes, never from a clock or from how busy the machine is: sums are
    rounded differently on other thread counts, and the same seed must give the same network.
    """
    try:
        device = torch.device(settings.device)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise SettingError(
            "That device is not there", got=f"{settings.device}: {reason}", fix="Use --set device=cpu."
        ) from None
    if settings.threads:
        threads, why = settings.threads, "as set"
    elif multiply_adds < THREADED_MULTIPLY_ADDS:
        threads, why = 1, "the steps of this network are so small that waking a second thread costs more than it brings"
    else:
        threads, why = max(1, (os.cpu_count() or 1) // 2), "large steps: half of the processor's threads"
    place = Place(device, threads)
    return place, Decision("threads", f"{threads} on {device}", why, "--set threads=, --set device=")


@contextmanager
def working_at(place: Place) -> Iterator[None]:
    """Work with the place's threads and a private random state; the caller gets both back as they were."""
    threads = torch.get_num_threads()
    devices = [place.device] if place.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        try:
            torch.set_num_threads(place.threads)
            yield
        finally:
            torch.set_num_threads(threads)
