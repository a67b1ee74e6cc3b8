"""What travels through the story besides the data's records: the caller's wishes, the log, the table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nudgenet.data.prepare import Preparation
from nudgenet.observer import Observer
from nudgenet.records import Column, Decision, Parts, Prepared, Raw, Task
from nudgenet.training.loop import Step
from nudgenet.training.objectives import RowLosses
from nudgenet.training.stopping import StopSignal

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True)
class Job:
    """What a caller brings along that a run's folder cannot hold: who watches, and own functions."""

    observer: Observer
    stop: StopSignal
    objective: RowLosses | None = None  # a loss in the place of the built-in one
    step: Step | None = None  # a step in the place of the built-in one

    @property
    def own_functions(self) -> list[str]:
        """The names of the caller's own functions: a resume must be handed them again."""
        return [name for name in ("objective", "step") if getattr(self, name) is not None]


@dataclass
class Log:
    """The decision log and the warnings of a run, told to the observer as they come."""

    observer: Observer
    decisions: list[Decision] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def decide(self, decisions: list[Decision]) -> None:
        """Write down automatic choices; the same one is said once."""
        for decision in decisions:
            if decision not in self.decisions:  # a resumed run may come to its last ones again
                self.decisions.append(decision)
                self.observer.decision(decision)

    def warn(self, warnings: list[str]) -> None:
        """Write down what is odd; the same thing is said once."""
        for warning in warnings:
            if warning not in self.warnings:
                self.warnings.append(warning)
                self.observer.warning(warning)


@dataclass(frozen=True)
class Table:
    """A table on its way to the network: everything between the source and the tensors.

    raw: the source and its columns; the cells of a file have become tensors and are not here any more.
    targets: of all rows, as they stand in the source: class indices, or float64 in the user's unit.
    test_cells: the test rows as they were read.
    """

    raw: Raw
    task: Task
    parts: Parts
    columns: tuple[Column, ...]
    preparation: Preparation
    prepared: Prepared
    targets: np.ndarray
    test_cells: pa.Table
    metric: str  # the one that counts
    num_given_test_rows: int = 0  # rows at the end that came from a test source of their own
