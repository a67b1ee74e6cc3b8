"""What a run keeps besides its epochs, for whoever watches it: every step's loss, the health of layers, snapshots.

The recorder stands outside the loop, which calls it after every step and hands it every epoch. It looks and writes, and
changes nothing: the weights are the same, bit for bit, whether somebody records or not. What takes time, it does only so
often that its own cost, as measured here, stays a small share of the training's.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any, Protocol

from torch import Tensor

from nudgenet.errors import RunError
from nudgenet.records import Prepared
from nudgenet.training.loop import without_features
from nudgenet.training.state import State, pack
from nudgenet.training.vitals import copy_weights, measure, sample_of

FLUSH_EVERY_S = 0.5
SNAPSHOT_EVERY_S = 0.5  # of training, at most so long: what lies between two is computed again while somebody waits
# From the first snapshot to the one after so many steps, whoever computes steps again proves that this machine computes
# as the one that trained (`replay.agrees`). Not with a frozen trunk, whose first step first reads all rows.
PROOF = 2
RECENT = 5  # times whose middle cost counts
SHARE = 0.01  # of the training time: what the snapshots may take, and what the health may take

Row = tuple[int, int, float, float, float]  # step, epoch, loss, gradient norm, learning rate


class Album(Protocol):
    """Keeps snapshots: `runs.snapshots.Snapshots`."""

    def steps(self) -> list[int]: ...

    def takes(self, num_bytes: int) -> bool: ...

    def add(self, step: int, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any], kept: Iterable[int]) -> int: ...


class Diary(Protocol):
    """Keeps what is recorded: `runs.store.Store`."""

    @property
    def snapshots(self) -> Album: ...

    def add_batches(self, rows: Sequence[Row]) -> None: ...

    def add_health(self, step: int, layers: Mapping[str, Mapping[str, Any]]) -> None: ...


@dataclass
class Ration:
    """Lets something be done again when so much time has passed that what it takes is a small share of it."""

    apart: float = 0.0  # seconds of training between two times, at least
    due: float = 0.0  # second of the training from which on it may be done
    costs: list[float] = field(default_factory=list)  # seconds that it took lately

    def spend(self, now: float, cost: float) -> None:
        """It was done, and took `cost` seconds.

        Its usual cost counts: where another program came between once, the next time would be far away.
        """
        self.costs = [*self.costs, cost][-RECENT:]
        self.due = now + max(self.apart, median(self.costs) / SHARE)


class Recorder:
    """Writes down what happens in a training: hand `on_step` to the loop, and call the others as their lines say.

    Args:
        state: at its start, or as the last checkpoint left it.
        data: what the loop is handed, too.
        diary: where it is written; None: nothing is recorded.
        tell: who else hears of every step: (epoch, steps done in it, loss).
    """

    def __init__(
        self, state: State, data: Prepared, diary: Diary | None, tell: Callable[[int, int, float], None]
    ) -> None:
        self._state, self._data, self._diary, self._tell = state, data, diary, tell
        self._album = None if diary is None else diary.snapshots  # this one: it remembers what it has written
        self._rows: list[Row] = []
        self._flushed = state.seconds
        self._norm = 0.0  # of the last step's gradient
        self._before: list[Tensor] | None = None  # the weights before the last step of an epoch
        self._copying = 0.0  # seconds that the copy took
        self._health, self._snapshots = Ration(), Ration(SNAPSHOT_EVERY_S)
        if diary is not None:
            if state.step == 0:
                self._snap()
            self._prepare_for_health()

    def on_step(self, epoch: int, cursor: int, loss: float, norm: float) -> None:
        """After every step, as the loop's `OnStep`."""
        self._tell(epoch, cursor, loss)
        if self._diary is None:
            return
        state = self._state
        self._rows.append((state.step, epoch, loss, norm, state.optimizer.param_groups[0]["lr"]))
        self._norm = norm
        if state.seconds - self._flushed > FLUSH_EVERY_S:
            self.flush()
        if cursor < state.plan.steps_per_epoch:  # else the epoch is judged first
            if self._is_due:
                self._snap()
            self._prepare_for_health()

    def epoch(self) -> None:
        """After every epoch, once it is judged."""
        if self._diary is None:
            return
        if self._before is not None:
            self._look(self._before)
        ends_frozen = self._state.epoch == self._state.plan.frozen_epochs > 0
        if ends_frozen or self._is_due:
            self._snap(with_best=ends_frozen)  # the trunk's training begins with the best weights so far
        self._prepare_for_health()

    def flush(self) -> None:
        """Before every checkpoint: a resumed run does only those steps again that come after it."""
        if self._diary is not None and self._rows:
            self._diary.add_batches(self._rows)
            self._rows = []
        self._flushed = self._state.seconds

    def close(self) -> None:
        """When the loop has ended, for whatever reason: the last step has a snapshot, too."""
        self.flush()
        if self._album is not None and self._state.step not in self._album.steps():
            self._snap()

    @property
    def _is_due(self) -> bool:
        """Whether it is time for a snapshot."""
        state, due = self._state, self._snapshots.due
        is_proof = state.step == PROOF and state.plan.frozen_epochs == 0 and math.isfinite(due)
        return is_proof or state.seconds > due

    def _prepare_for_health(self) -> None:
        """Before the last step of an epoch, where a look at the layers is due: how far will it move the weights?

        The plan's last epoch is always looked at: a short training would else be judged by how it began.
        """
        state = self._state
        is_last = state.cursor + 1 == state.plan.steps_per_epoch
        self._before = None
        if is_last and (state.seconds >= self._health.due or state.epoch + 1 == state.plan.epochs):
            began = time.perf_counter()
            self._before = copy_weights(state.network)
            self._copying = time.perf_counter() - began

    def _look(self, before: list[Tensor]) -> None:
        state, began = self._state, time.perf_counter()
        data = self._data
        if state.epoch > state.plan.frozen_epochs and "features" in data.train.inputs:
            self._data = data = without_features(data)
        layers = measure(state, before, self._norm, sample_of(data.train))
        assert self._diary is not None
        self._diary.add_health(state.step, {name: asdict(vitals) for name, vitals in layers.items()})
        self._health.spend(state.seconds, time.perf_counter() - began + self._copying)

    def _snap(self, *, with_best: bool = False) -> None:
        """Keep the whole state; without the best weights, which no step needs but that after a frozen trunk's phase."""
        assert self._album is not None
        state, began, album = self._state, time.perf_counter(), self._album
        tensors, numbers = pack(state)
        if not with_best:
            tensors = {name: tensor for name, tensor in tensors.items() if not name.startswith("best.")}
        kept = [PROOF, state.plan.frozen_epochs * state.plan.steps_per_epoch]
        try:
            if not album.takes(sum(tensor.nbytes for tensor in tensors.values())):
                self._snapshots.due = math.inf
                return
            self._snapshots.apart *= 2 ** album.add(state.step, tensors, numbers, kept)
        except RunError:  # a full disk: that is a reason to keep no more snapshots, but none to stop training
            self._snapshots.due = math.inf
            return
        self._snapshots.spend(state.seconds, time.perf_counter() - began)
