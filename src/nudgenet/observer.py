"""Who is told about progress. The work calls these methods and never asks what becomes of them."""

from __future__ import annotations

from typing import Protocol

from nudgenet.records import Decision, Epoch


class Observer(Protocol):
    """Hears what happens while a run is made: a terminal, a notebook, or nobody."""

    def stage(self, name: str) -> None:
        """A new stage begins, e.g. "Reading houses.csv"."""

    def decision(self, decision: Decision) -> None:
        """An automatic choice was made."""

    def warning(self, text: str) -> None:
        """Something about the data is odd."""

    def start(
        self, num_epochs: int, num_steps_per_epoch: int, num_resting: int = 0, learning_epoch_s: float = 0.0
    ) -> None:
        """Training begins.

        num_resting: the first epochs, in which a pretrained network stays as it is, and which cost next to nothing.
        learning_epoch_s: about how long each later one will take; 0: that is not known, or there are no two kinds.
        """

    def on_step(self, epoch: int, step_in_epoch: int, loss: float) -> None:
        """One step was done; called for every step, so it must cost next to nothing."""

    def epoch(self, epoch: Epoch, best: Epoch | None) -> None:
        """One epoch was done; `best` is the one with the lowest validation loss so far."""

    def stop(self) -> None:
        """Training ended, for whatever reason."""


class Silent:
    """An observer that nobody listens to."""

    def stage(self, name: str) -> None: ...

    def decision(self, decision: Decision) -> None: ...

    def warning(self, text: str) -> None: ...

    def start(
        self, num_epochs: int, num_steps_per_epoch: int, num_resting: int = 0, learning_epoch_s: float = 0.0
    ) -> None: ...

    def on_step(self, epoch: int, step_in_epoch: int, loss: float) -> None: ...

    def epoch(self, epoch: Epoch, best: Epoch | None) -> None: ...

    def stop(self) -> None: ...
