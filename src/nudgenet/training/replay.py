"""Any step of a run, computed again exactly: from a snapshot before it, by the very loop that trained.

What a step does is a function of the state before it (weights, optimizer, random numbers, early stopping: all of it in
a snapshot) and of the data, whose order is a function of (seed, epoch). So the loop, started from a snapshot and
stopped at a step, leaves the state that the training had there, bit for bit on the same machine and versions.

Call everything in here inside `place.working_at` with the run's threads: the process's random state is part of the state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nudgenet.errors import RunError
from nudgenet.records import Batch, Prepared
from nudgenet.training.loop import Step, fit, step
from nudgenet.training.objectives import Objective
from nudgenet.training.pretrained import read_ahead
from nudgenet.training.state import State, pack, part_of, unpack
from nudgenet.training.stopping import StopSignal

Snapshot = tuple[Mapping[str, Tensor], Mapping[str, Any]]  # what `state.pack` gives; the best weights may be missing


def snapshot_of(state: State) -> Snapshot:
    """A copy of the state as it is now, to go on from later; without the best weights."""
    tensors, numbers = pack(state)
    return {name: tensor.clone() for name, tensor in tensors.items() if not name.startswith("best.")}, numbers


def step_of(snapshot: Snapshot, state: State) -> int:
    """The updates that were done when a snapshot was taken."""
    _, numbers = snapshot
    count: int = numbers["epoch"] * state.plan.steps_per_epoch + numbers["cursor"]
    return count


def nothing() -> None:
    """What is done on the way where nobody wants to know."""


def replay(
    state: State, data: Prepared, snapshot: Snapshot, step: int, *, passing: Callable[[], None] = nothing
) -> State:
    """The state after `step` updates, bit for bit as the training had it (but for the seconds and the best weights).

    Args:
        state: of this run, at whatever step: `pipeline.reopen` makes one. Changed in place, and returned; its networks
            are in whatever mode the loop left them in.
        snapshot: of the nearest step that is not after `step`.
        passing: is called after each step on the way at which `state` is one to go on from.

    Raises:
        RunError: the training ended before this step, or the snapshot does not lead there.
    """
    begin, boundary = step_of(snapshot, state), state.plan.frozen_epochs * state.plan.steps_per_epoch
    if begin > step:
        raise RunError("A step is computed from a snapshot before it", got=f"step {step} from {begin}")
    if 0 < begin < boundary < step and not part_of(snapshot[0], "best."):
        raise RunError("This snapshot lacks the best weights, which a pretrained network's second phase begins with")
    unpack(state, *snapshot)
    advance(state, data, step, passing=passing)
    return state


def advance(state: State, data: Prepared, to: int, *, step: Step = step, passing: Callable[[], None] = nothing) -> None:
    """Go on to the step `to`. Raises RunError if the training ended before it."""
    if state.step < to:
        stop = StopSignal()

        def on_step(epoch: int, cursor: int, loss: float, norm: float) -> None:
            if state.step == to:
                stop.request("this is the step")
            elif cursor < state.plan.steps_per_epoch:  # else the epoch is still to be judged
                passing()

        for _ in fit(state, read_ahead(state, data), step=step, on_step=on_step, stop=stop):
            pass
    if state.step != to:
        raise RunError("The training ended before this step", got=f"step {to}, the last is {state.step}")


def one_step(state: State, data: Prepared, watch: Callable[[Batch], None] = lambda batch: None) -> tuple[float, float]:
    """The next update as the training did it; gives its loss and the length of its gradient before clipping.

    Afterwards `state.optimizer.param_groups` hold its learning rate, and the weights their gradients as they were used:
    clipped.

    Args:
        watch: is handed the batch before the step. Random numbers that it draws are those that the step will draw.

    Raises:
        RunError: this was the last step.
    """
    found: list[tuple[float, float]] = []

    def watched(
        network: nn.Module, batch: Batch, objective: Objective, optimizer: Optimizer, clip: float | None
    ) -> tuple[float, float]:
        with torch.random.fork_rng(devices=[]):
            watch(batch)
        found.append(step(network, batch, objective, optimizer, clip))
        return found[-1]

    advance(state, data, state.step + 1, step=watched)
    return found[-1]


def agrees(state: State, data: Prepared, one: Snapshot, other: Snapshot) -> bool:
    """Whether this machine and these versions compute as those did that trained: from one snapshot to a later one."""
    replay(state, data, one, step_of(other, state))
    tensors, wanted = pack(state)[0], other[0]
    return all(torch.equal(tensors[name], tensor) for name, tensor in wanted.items() if not name.startswith("best."))
