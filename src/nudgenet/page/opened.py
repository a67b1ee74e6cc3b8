"""A run that is opened: its network at any step of its training, on any row.

All arithmetic of the page is done by one thread of low priority, so that a training on the same machine hardly notices.
A run is only read, never locked: one that is still training is opened as far as it has come.
"""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from nudgenet.data.batches import num_steps
from nudgenet.errors import RunError, UserError
from nudgenet.job import Table
from nudgenet.networks import rebuild
from nudgenet.page.states import States
from nudgenet.pipeline import reopen
from nudgenet.records import Part, Shape
from nudgenet.run import Run
from nudgenet.runs.checkpoint import load_checkpoint
from nudgenet.runs.store import Store
from nudgenet.training.objectives import Objective, make_objective
from nudgenet.training.place import Place, working_at
from nudgenet.training.plan import make_plan
from nudgenet.training.recorder import PROOF
from nudgenet.training.replay import Snapshot, agrees, replay
from nudgenet.training.state import State, pack, part_of

Mode = Literal["nearest", "exact"]
T = TypeVar("T")
MOST_RUNS = 3  # that are held open: each holds its rows
MOST_ANSWERS = 24  # of a run that are held in memory
NICENESS = 10


class Workshop:
    """One thread that does all arithmetic, one question after the other."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "nudgenet-page", initializer=give_way)
        self.torch = threading.Lock()  # torch's random state and threads belong to the whole process

    def ask(self, work: Callable[[], T]) -> T:
        """Do this when the thread is free, and wait for it. Raises what `work` raises."""
        return self._pool.submit(self._alone, work).result()

    def _alone(self, work: Callable[[], T]) -> T:
        with self.torch:
            return work()

    @contextmanager
    def let_others(self) -> Iterator[None]:
        """For whoever holds `torch` for long: others may work meanwhile. Random state and threads come back as they were."""
        state, threads = torch.get_rng_state(), torch.get_num_threads()
        self.torch.release()
        try:
            yield
        finally:
            self.torch.acquire()
            torch.set_num_threads(threads)
            torch.set_rng_state(state)


def give_way() -> None:
    """Let everybody else go first: on Linux a thread has a priority of its own."""
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)


class OpenedRuns:
    """The runs that were opened last."""

    def __init__(self) -> None:
        self.workshop = Workshop()
        self._runs: OrderedDict[tuple[str, int, bool], OpenedRun] = OrderedDict()

    def ask(self, store: Store, question: Callable[[OpenedRun], T]) -> T:
        """Ask something about a run; the caller waits. Raises what `question` raises."""
        return self.workshop.ask(lambda: question(self._open(store)))

    def _open(self, store: Store) -> OpenedRun:
        # A run that was deleted and trained again under its name is another one; what is kept of one changes at its end.
        key = (str(store.path), (store.path / "settings.json").stat().st_mtime_ns, store.is_done)
        if key not in self._runs:
            self._runs[key] = OpenedRun(store)
        self._runs.move_to_end(key)
        while len(self._runs) > MOST_RUNS:
            self._runs.popitem(last=False)
        return self._runs[key]


@dataclass(frozen=True)
class At:
    """Where in the training an answer was given.

    exact: it is the step that was asked for. why: where it came from, or why it is another one.
    """

    step: int
    exact: bool
    why: str


@dataclass(frozen=True)
class Moment:
    """The network that is judged and kept, in evaluation mode, at some step."""

    network: nn.Module
    at: At


class OpenedRun:
    """A run's network and rows. Everything in here runs in the workshop's thread.

    Attributes:
        run: its Python face, for all that is written once.
    """

    def __init__(self, store: Store) -> None:
        self.store, self.run = store, Run(store)
        self.shape: Shape = TypeAdapter(Shape).validate_python(store.read_json("data.json")["shape"])
        self.place = Place(self.run.settings.threads or 1, self.run.settings.precision or "float32")
        self._origin: tuple[Table, State] | str | None = None  # a text: why the rows cannot be read again
        self._alike: bool | None = None  # whether this machine computes as the one that trained; None: not known yet
        self._states = States()
        self._network: nn.Module | None = None  # filled with the weights of whatever step was asked for last
        self._filled = -1
        self._best: tuple[int, Moment] | None = None
        self.memory: OrderedDict[Any, Any] = OrderedDict()  # answers that took long

    # --- what it was trained on

    def origin(self) -> tuple[Table, State]:
        """Its rows, and a state of its training at whatever step.

        Raises:
            RunError: the rows have changed or are gone.
        """
        if self._origin is None:
            try:
                self._origin = reopen(self.run)
            except UserError as error:
                self._origin = str(error)
        if isinstance(self._origin, str):
            raise RunError(self._origin.rstrip("."))
        return self._origin

    def why_inexact(self) -> str:
        """Why steps without a snapshot cannot be computed again; "" if they can."""
        try:
            self.origin()
        except RunError as error:
            return str(error)
        trained = self.store.read_json("settings.json")["versions"]
        other = [name for name in ("torch", "numpy") if trained.get(name) != installed(name)]
        if other:
            return f"this run was trained with other versions of {' and '.join(other)}"
        return "" if self._computes_alike() else "this machine rounds otherwise than the one that trained it"

    def _computes_alike(self) -> bool:
        """Whether the first steps, computed again, are those of the training to the last bit; as far as they were kept."""
        if self._alike is None and {0, PROOF} <= set(self.store.snapshots.steps()):
            table, state = self.origin()
            with working_at(self.place), suppress(RunError):  # a damaged one is noticed where it is needed
                self._alike = agrees(state, table.prepared, own(self._load(0)), own(self._load(PROOF)))
        return self._alike is not False

    @property
    def objective(self) -> Objective:
        """What it was trained for; without its rows, as far as that does not depend on them.

        Raises:
            RunError: it was trained with balanced class weights, and its rows are gone.
        """
        try:
            return self.origin()[1].objective
        except RunError as error:
            if self.run.settings.class_weights == "balanced":
                raise RunError("The loss weighs classes by their rows, and these are gone", got=str(error)) from None
        kind = torch.float32 if self.run.task.kind == "regression" else torch.int64
        nothing = Part({}, torch.zeros(1, dtype=kind), np.zeros(1, np.int64))
        return make_objective(self.run.task.kind, nothing, self.shape.num_outputs, self.run.settings)

    # --- time

    @property
    def steps_per_epoch(self) -> int:
        """Updates in one pass over the training rows."""
        return num_steps(self.shape.num_rows, self.run.settings.batch_size or self.shape.num_rows)

    @property
    def frozen_steps(self) -> int:
        """The updates during which a pretrained network stays as it was."""
        return make_plan(self.run.settings, self.shape)[0].frozen_epochs * self.steps_per_epoch

    def time(self) -> dict[str, Any]:
        """What the slider needs to know."""
        steps = self.store.snapshots.steps()
        why = self.why_inexact()
        if not why and not steps:
            why = "this run kept no snapshots"
        return {
            "last_step": max([self.store.progress()[1], *steps]),
            "steps_per_epoch": self.steps_per_epoch,
            "snapshots": steps,
            "best_step": self.best_step(),
            "exact": not why,
            "rows": not isinstance(self._origin, str),
            "wait_s": 0.0 if why else self.longest_wait(steps),
            "why": f"{why}: nearest snapshots only" if why else "every step can be computed again exactly",
        }

    def longest_wait(self, steps: list[int]) -> float:
        """Seconds until the state at any step is computed, as far as is known: snapshots lie so far apart."""
        if self._states.pace is None and steps and steps[-1]:
            with suppress(RunError):  # deleted just now, or damaged
                self._states.pace = self._load(steps[-1])[1]["seconds"] / steps[-1]
        return self._states.longest_wait(steps)

    def best_step(self) -> int:
        """The updates up to the best epoch."""
        return self.store.best_epoch() * self.steps_per_epoch

    # --- the network

    def moment(self, step: int | None, mode: Mode = "nearest") -> Moment:
        """The network as it was after so many updates; None: with its best weights, as `nudge predict` uses it.

        Raises:
            RunError: there are no weights at all yet.
        """
        if step is None:
            return self._kept()
        if not self.store.snapshots.steps():
            kept = self._kept()
            return Moment(
                kept.network, At(kept.at.step, False, "this run kept no snapshots: these are its best weights")
            )
        (tensors, _), at = self.snapshot(step, mode)
        if self._network is None:
            self._network = rebuild(self.shape, self.run.settings, _judged(tensors))
        elif self._filled != at.step:
            self._network.load_state_dict(_judged(tensors))
        self._filled = at.step
        return Moment(self._network, at)

    def _kept(self) -> Moment:
        """With its best weights so far; while it trains, they change with every checkpoint."""
        path = self.store.checkpoint
        if not path.exists():
            steps = self.store.snapshots.steps()
            if not steps:
                raise RunError("This run has no weights yet", got=self.run.name, fix="Wait for its first seconds.")
            found = self.moment(steps[-1])
            return Moment(found.network, At(found.at.step, False, "it has just begun: its newest snapshot"))
        changed = path.stat().st_mtime_ns
        if self._best is None or self._best[0] != changed:
            tensors, numbers = load_checkpoint(path)
            best = part_of(tensors, "best.")
            network = rebuild(self.shape, self.run.settings, best or _judged(tensors))
            epochs = numbers["stopping"]["best_epoch"] if best else numbers["epoch"]
            step = epochs * self.steps_per_epoch + (0 if best else numbers["cursor"])
            why = "the weights that were kept: those of the best epoch" if best else "its last checkpoint"
            self._best = (changed, Moment(network, At(step, True, why)))
        return self._best[1]

    def snapshot(self, step: int, mode: Mode) -> tuple[Snapshot, At]:
        """The whole state of the training at a step, or at the nearest step that there is. Not to be changed: see `own`.

        Raises:
            RunError: the run kept no snapshots.
        """
        steps = self.store.snapshots.steps()
        if step in self._states or step in steps:
            try:
                return self._load(step), At(step, True, "a snapshot" if step in steps else "computed again exactly")
            except RunError:  # deleted just now, by a training that thins them out, or damaged
                steps = [one for one in self.store.snapshots.steps() if one != step]
        why, last = "the nearest snapshot", max([self.store.progress()[1], *steps])
        if step > last:
            why = f"the training has come to step {last}"
        elif mode == "exact":
            why = self.why_inexact()
            try:
                if not why:
                    return self._compute(step, steps), At(step, True, "computed again exactly")
            except RunError as error:
                why = str(error)
            why = f"the nearest snapshot: {why}"
        known = sorted({*steps, *self._states}, key=lambda one: (abs(one - step), one))
        if not known:
            raise RunError("This run kept no snapshots", got=self.run.name)
        return self._load(known[0]), At(known[0], False, why)

    def _compute(self, step: int, steps: list[int]) -> Snapshot:
        """The loop itself goes on from the nearest state before it, which may be one that was computed a moment ago."""
        table, state = self.origin()
        before = [one for one in {*steps, *self._states} if one <= step]
        if not before:
            raise RunError("There is no snapshot before this step", got=str(step))
        begin = max(before)
        passing = self._states.on_the_way(lambda: (state.step, own(pack(state))))
        with working_at(self.place):
            snapshot, began = own(self._load(begin)), time.perf_counter()
            replay(state, table.prepared, snapshot, step, passing=passing)
            if begin >= self.frozen_steps:  # before, the trunk reads all rows once, however few the steps
                self._states.learn_pace(step - begin, time.perf_counter() - began)
            return self._states.keep(step, own(pack(state)))

    def _load(self, step: int) -> Snapshot:
        return self._states[step] if step in self._states else self._states.keep(step, self.store.snapshots.load(step))

    def remembered(self, key: Any, work: Callable[[], T]) -> T:
        """What `work` gives, kept for the next time."""
        if key not in self.memory:
            self.memory[key] = work()
        self.memory.move_to_end(key)
        while len(self.memory) > MOST_ANSWERS:
            self.memory.popitem(last=False)
        found: T = self.memory[key]
        return found


@cache
def installed(package: str) -> str:
    """Its version; looked up once, for it reads files."""
    return metadata.version(package)


def own(snapshot: Snapshot) -> Snapshot:
    """A snapshot whose numbers nobody else moves: packing and unpacking hand on what the optimizer remembers as it is."""
    tensors, numbers = snapshot
    return {name: t.clone() if name.startswith("optimizer.") else t for name, t in tensors.items()}, numbers


def _judged(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the network that is judged: the averaged ones if there are."""
    return part_of(tensors, "average.") or part_of(tensors, "network.")
