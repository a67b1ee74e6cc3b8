"""Snapshots: the loop's state at some steps of a run, so that any step between them can be computed again.

`snapshots/000001234.safetensors` is what `training.state.pack` gave after 1,234 updates, in the format of a checkpoint.
Each is written whole, but nobody waits for the disk: one that a power cut damaged is noticed by its checksum.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from nudgenet.runs.checkpoint import cannot_write, load_checkpoint, save_checkpoint

BUDGET = 256 * 2**20  # bytes of all snapshots of a run
MOST = 2_000  # files
ENDING = ".safetensors"
FEWEST = 5  # that must fit into the budget: fewer would hardly shorten the way to any step


class Snapshots:
    """The snapshots in a run's folder."""

    def __init__(self, run: str | Path) -> None:
        self.folder = Path(run) / "snapshots"
        self._sizes: dict[int, int] | None = None  # bytes of each, as far as this object has seen to them

    def steps(self) -> list[int]:
        """The steps that have one, ascending."""
        names = (name.removesuffix(ENDING) for name in self._names())
        return sorted(int(name) for name in names if name.isdigit())

    def load(self, step: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Its tensors and numbers. Raises RunError if it is not there (any more) or damaged."""
        return load_checkpoint(self._path(step))

    def takes(self, num_bytes: int) -> bool:
        """Whether states of this size are kept at all."""
        return num_bytes * FEWEST <= BUDGET

    def add(
        self, step: int, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any], kept: Iterable[int] = ()
    ) -> int:
        """Write one, and as long as there are too many, delete every second one, but none of `kept`.

        Returns how often that was done: the next ones had better lie so many times twice as far apart. Raises RunError
        if the disk is full or not writable.
        """
        save_checkpoint(self._path(step), tensors, numbers, lasting=False)
        sizes = self._known_sizes()
        sizes[step] = self._path(step).stat().st_size
        times, kept = 0, {0, step, *kept}
        while sum(sizes.values()) > BUDGET or len(sizes) > MOST:
            unwanted = [one for place, one in enumerate(sorted(sizes)) if place % 2 and one not in kept]
            if not unwanted:
                break
            self._delete(unwanted)
            times += 1
        return times

    def _known_sizes(self) -> dict[int, int]:
        """Looked up once: asking the disk about every file would take longer than writing one."""
        if self._sizes is None:
            self._sizes = {step: self._path(step).stat().st_size for step in self.steps()}
        return self._sizes

    def forget_after(self, step: int) -> None:
        """Delete those of later steps: a run that goes on from this one does them again."""
        self._delete([one for one in self.steps() if one > step])

    def _delete(self, steps: Iterable[int]) -> None:
        for step in steps:
            path = self._path(step)
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise cannot_write(path, error) from None
            if self._sizes is not None:
                self._sizes.pop(step, None)

    def _path(self, step: int) -> Path:
        return self.folder / f"{step:09}{ENDING}"

    def _names(self) -> list[str]:
        with suppress(OSError), os.scandir(self.folder) as found:  # a run that was not recorded has no such folder
            return [entry.name for entry in found if entry.name.endswith(ENDING)]
        return []
