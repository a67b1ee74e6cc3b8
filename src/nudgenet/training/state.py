"""The whole state of the loop in one dataclass: everything that resume needs, and nothing else.

`pack` takes it apart into tensors and plain numbers, `unpack` puts it back. What is not in here is a
function of the settings, the data and the step (the order of rows, the learning rate).
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from nudgenet.errors import RunError
from nudgenet.training.objectives import Objective
from nudgenet.training.optimizers import make_optimizer
from nudgenet.training.plan import Plan
from nudgenet.training.stopping import Stopping

Tensors = dict[str, Tensor]
Pairs = tuple[list[Tensor], list[Tensor]]


@dataclass
class Running:
    """Sums over the steps of the epoch under way."""

    loss: float = 0.0
    gradient_norm: float = 0.0
    steps: int = 0


@dataclass
class State:
    """A training under way. `epoch` and `cursor` count what is done: epochs, and steps of the next one."""

    network: nn.Module
    optimizer: Optimizer
    objective: Objective
    plan: Plan
    stopping: Stopping
    average: nn.Module | None = None  # the network with averaged weights, if ema is on
    best_weights: Tensors = field(default_factory=dict)  # of the epoch with the lowest validation loss
    epoch: int = 0
    cursor: int = 0
    running: Running = field(default_factory=Running)
    seconds: float = 0.0  # of training, over all sessions
    failure: str = ""  # what made a loss or a gradient non-finite; "" while all is well
    out_of_time: bool = False  # the time limit is used up

    @property
    def step(self) -> int:
        """Updates done so far."""
        return self.epoch * self.plan.steps_per_epoch + self.cursor

    @property
    def kept(self) -> nn.Module:
        """The network that is judged and kept: the averaged one if there is one."""
        return self.average if self.average is not None else self.network

    @cached_property
    def followers(self) -> tuple[Pairs, Pairs]:
        """The averaged network's tensors and those that they follow: numbers, and counts, which are copied.

        Found once: looking for them takes as long as a twentieth of a small network's step.
        """
        networks = [] if self.average is None else [self.average, self.network]
        pairs = list(zip(*([*one.parameters(), *one.buffers()] for one in networks), strict=True))
        numbers, counts = ([pair for pair in pairs if pair[0].is_floating_point() == are] for are in (True, False))
        return _apart(numbers), _apart(counts)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing left to train."""
        return self.epoch >= self.plan.epochs or self.stopping.is_over or self.out_of_time or bool(self.failure)


def _apart(pairs: list[tuple[Tensor, ...]]) -> Pairs:
    return [one for one, _ in pairs], [other for _, other in pairs]


def start(network: nn.Module, objective: Objective, plan: Plan) -> State:
    """The state before the first step."""
    average = copy.deepcopy(network).requires_grad_(False) if plan.ema else None
    return State(network, make_optimizer(network, plan), objective, plan, Stopping(plan.first_patience), average)


def weights_of(network: nn.Module) -> Tensors:
    """A copy of all weights (and running statistics) of a network, on the CPU."""
    return {name: tensor.detach().to("cpu", copy=True) for name, tensor in network.state_dict().items()}


def pack(state: State) -> tuple[Tensors, dict[str, Any]]:
    """The state as tensors by name and JSON-able numbers; the next step changes those of the optimizer."""
    tensors = {f"network.{name}": tensor for name, tensor in weights_of(state.network).items()}
    if state.average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in weights_of(state.average).items()}
    tensors |= {f"best.{name}": tensor for name, tensor in state.best_weights.items()}
    for index, values in state.optimizer.state_dict()["state"].items():
        tensors |= {
            f"optimizer.{index}.{name}": value.detach().cpu() for name, value in values.items() if value is not None
        }
    tensors["rng.cpu"] = torch.get_rng_state()
    numbers = {
        "epoch": state.epoch,
        "cursor": state.cursor,
        "seconds": state.seconds,
        "failure": state.failure,
        "out_of_time": state.out_of_time,
        "running": asdict(state.running),
        "stopping": asdict(state.stopping),
    }
    return tensors, numbers


def unpack(state: State, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> State:
    """Put a packed state into a freshly started one (changed in place, and returned).

    Also sets the random state of this process: call it inside `place.working_at`.
    """
    try:
        state.network.load_state_dict(part_of(tensors, "network."))
        if state.average is not None:
            state.average.load_state_dict(part_of(tensors, "average."))
        state.best_weights = part_of(tensors, "best.")
        optimizer: dict[int, dict[str, Tensor]] = {}
        for name, tensor in part_of(tensors, "optimizer.").items():
            index, _, key = name.partition(".")
            optimizer.setdefault(int(index), {})[key] = tensor
        check_memory(state.optimizer, optimizer)
        groups = state.optimizer.state_dict()["param_groups"]
        state.optimizer.load_state_dict({"state": optimizer, "param_groups": groups})
        lay_out_alike(state.optimizer)
        state.epoch, state.cursor = numbers["epoch"], numbers["cursor"]
        state.seconds, state.failure = numbers["seconds"], numbers["failure"]
        state.out_of_time = numbers["out_of_time"]
        state.running, state.stopping = Running(**numbers["running"]), Stopping(**numbers["stopping"])
        torch.set_rng_state(tensors["rng.cpu"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise RunError("The checkpoint does not fit this run's network", got=reason, fix="Train again.") from None
    return state


def check_memory(optimizer: Optimizer, memory: Mapping[int, Mapping[str, Tensor]]) -> None:
    """Whether what an optimizer remembers, by a parameter's number and a name, can be of this one's parameters.

    Its library takes any: the averages of one weight would be used for another, if other weights were trained then.

    Raises:
        ValueError: there is no such parameter, or it has another shape.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, values in memory.items():
        if index >= len(parameters):
            raise ValueError(f"the optimizer had more than {len(parameters)} weights to move")
        shape = parameters[index].shape
        if strange := next((value.shape for value in values.values() if value.ndim and value.shape != shape), None):
            raise ValueError(f"the optimizer moved a weight of {list(strange)} where one of {list(shape)} is now")


def lay_out_alike(optimizer: Optimizer) -> None:
    """Give an optimizer's running averages memory of their own, in the order that their weights have, in place.

    Its fused step walks through both side by side. A file holds every tensor in the usual order, but the weights of
    convolutions lie with their channels last: walked through so, each weight would meet the average of another one.
    """
    for parameter, averages in optimizer.state.items():
        for name, values in averages.items():
            alike = values.shape == parameter.shape
            averages[name] = torch.empty_like(parameter, requires_grad=False).copy_(values) if alike else values.clone()


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> Tensors:
    """The tensors whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
