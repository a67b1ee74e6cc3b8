"""States of a training that are held in memory, and how long the way to any other one is."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from nudgenet.training.replay import Snapshot

MOST_BYTES = 128 * 2**20  # of a run's states in memory
FEWEST = 3  # that are held however large they are
KEEP_EVERY_S = 0.4  # on the way to a step: whoever comes back into the same gap waits no longer
SHORTEST_S = 0.02  # of a way whose pace counts


class States:
    """The states that were loaded or computed last, as many as fit."""

    def __init__(self) -> None:
        self._states: OrderedDict[int, Snapshot] = OrderedDict()
        self._sizes: dict[int, int] = {}
        self.pace: float | None = None  # seconds of one step as this machine computes it now; None: nobody knows yet

    def __iter__(self) -> Iterator[int]:
        return iter(self._states)

    def __contains__(self, step: int) -> bool:
        return step in self._states

    def __getitem__(self, step: int) -> Snapshot:
        self._states.move_to_end(step)
        return self._states[step]

    def keep(self, step: int, snapshot: Snapshot) -> Snapshot:
        """Hold this one, too; those that were not used for longest go."""
        self._states[step] = snapshot
        self._states.move_to_end(step)
        self._sizes[step] = sum(tensor.nbytes for tensor in snapshot[0].values())
        while len(self._states) > FEWEST and sum(self._sizes.values()) > MOST_BYTES:
            oldest, _ = self._states.popitem(last=False)
            del self._sizes[oldest]
        return snapshot

    def on_the_way(self, take: Callable[[], tuple[int, Snapshot]]) -> Callable[[], None]:
        """What a computation calls after each step: now and then `take` gives the state there, which is held.

        take: gives the step and a snapshot that nobody else changes.
        """
        due = time.perf_counter() + KEEP_EVERY_S

        def passing() -> None:
            nonlocal due
            if time.perf_counter() >= due:
                self.keep(*take())
                due = time.perf_counter() + KEEP_EVERY_S

        return passing

    def learn_pace(self, num_steps: int, seconds: float) -> None:
        """So long took these steps."""
        if num_steps and seconds > SHORTEST_S:
            self.pace = seconds / num_steps

    def longest_wait(self, snapshots: Sequence[int]) -> float:
        """Seconds from a snapshot to the farthest step before the next one; 0 where nobody knows."""
        gaps = [later - earlier - 1 for earlier, later in pairwise(snapshots)]
        return (self.pace or 0.0) * max(gaps, default=0)
