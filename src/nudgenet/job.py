"""What travels through the story besides the data's records: the caller's wishes, the log, the table."""

from __future__ import annotations

from dataclasses import dataclass, field

from nudgenet.data.prepare import Preparation
from nudgenet.observer import Observer
from nudgenet.records import Column, Decision, Parts, Prepared, Raw, Task
from nudgenet.training.loop import Step
from nudgenet.training.objectives import RowLosses
from nudgenet.training.stopping import StopSignal


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
        """Write down automatic choices."""
        for decision in decisions:
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
    """A table on its way to the network: everything between the source and the tensors."""

    raw: Raw
    task: Task
    parts: Parts
    columns: tuple[Column, ...]
    preparation: Preparation
    prepared: Prepared
    num_given_test_rows: int = 0  # rows at the end of `raw.table` that came from a test source of their own
