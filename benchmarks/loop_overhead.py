"""What the loop costs: `training.loop.fit` against a loop written by hand in plain PyTorch.

    .venv/bin/python benchmarks/loop_overhead.py [--pairs 7] [--seconds 2]

Both train the same network from the same weights on the same tensors, batches and learning rates, with the
same fused optimizer and threads. The loop by hand does what ours does, as often: it clips, checks the loss and
the gradient for non-finite values, reads both in every step, and after every epoch measures the losses and metrics of a
training sample and of the validation part and keeps a copy of the best weights. Neither saves checkpoints.

They run in pairs, in alternating order, after a warm-up. Printed is the median over the pairs of
ours / by hand, for the clock on the wall and for processor time (which other work on the machine disturbs less). The target is 1.05.
"""

from __future__ import annotations

import argparse
import copy
import gc
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nudgenet.networks.capacity import choose_capacity
from nudgenet.networks.mlp import MLP, num_parameters
from nudgenet.records import Part, Prepared, Shape, Task, TaskKind
from nudgenet.scoring.metrics import score
from nudgenet.settings import Settings, make_settings
from nudgenet.training.loop import fit, training_sample
from nudgenet.training.objectives import make_objective
from nudgenet.training.optimizers import make_optimizer
from nudgenet.training.place import Place, choose_place, working_at
from nudgenet.training.plan import Plan, make_plan
from nudgenet.training.state import start

TARGET = 1.05
SEED = 0


@dataclass(frozen=True)
class Size:
    """A made-up table: what the loop takes depends on its shape only."""

    name: str
    kind: TaskKind
    num_rows: int
    num_numbers: int
    num_categories: int = 0
    num_classes: int = 2


SIZES = [
    Size("1,000 x 10, yes/no", "binary", 1_000, 10),
    Size("5,000 x 15 + 5 categories, number", "regression", 5_000, 15, 5),
    Size("20,000 x 30, 5 classes", "multiclass", 20_000, 30, 0, 5),
]


@dataclass(frozen=True)
class Job:
    """Everything that both loops start from."""

    data: Prepared
    network: nn.Module
    plan: Plan
    place: Place
    settings: Settings


def make_table(size: Size) -> Prepared:
    """Random inputs, and targets that a random linear model gives, with noise; validation is 15/70 of train."""
    generator = torch.Generator().manual_seed(SEED)
    num_validation = size.num_rows * 15 // 70
    num_all = size.num_rows + 2 * num_validation
    numbers = torch.randn(num_all, size.num_numbers, generator=generator)
    categories = torch.randint(1, 9, (num_all, size.num_categories), generator=generator)
    num_outputs = 1 if size.kind == "regression" else size.num_classes
    scores = numbers @ torch.randn(size.num_numbers, num_outputs, generator=generator)
    scores += torch.randn(num_all, num_outputs, generator=generator)
    targets = scores[:, 0] / scores[:, 0].std() if size.kind == "regression" else scores.argmax(dim=1)

    def part(begin: int, end: int) -> Part:
        inputs = {"numbers": numbers[begin:end].contiguous(), "categories": categories[begin:end].contiguous()}
        return Part(inputs, targets[begin:end].contiguous(), np.arange(begin, end))

    classes = () if size.kind == "regression" else tuple(range(size.num_classes))
    return Prepared(
        part(0, size.num_rows),
        part(size.num_rows, size.num_rows + num_validation),
        part(size.num_rows + num_validation, num_all),
        Task("target", size.kind, classes),
        Shape(size.num_numbers, (9,) * size.num_categories, num_outputs, size.num_rows),
    )


def make_job(size: Size, epochs: int) -> Job:
    """The plain network of the default size and the default plan for this table, without early stopping: both loops do every epoch."""
    data = make_table(size)
    settings = make_settings(network="mlp", epochs=epochs, patience=epochs, seed=SEED)
    capacity = choose_capacity(data.shape, settings)
    plan, _ = make_plan(settings, data.shape)
    place, _ = choose_place(settings, plan.batch_size * capacity.multiply_adds(data.shape))
    torch.manual_seed(SEED)
    network = MLP(data.shape, num_layers=capacity.layers, width=capacity.width, dropout=capacity.dropout)
    return Job(data, network, plan, place, settings)


# ------------------------------------------------------------------ ours


def ours(job: Job) -> float:
    """The loop of nudgenet; gives the last validation loss."""
    network = copy.deepcopy(job.network)
    objective = make_objective(job.data.task.kind, job.data.train, job.data.shape.num_outputs, job.settings)
    state = start(network, objective, job.plan)
    last = math.nan
    for epoch in fit(state, job.data, on_step=lambda epoch, step, loss, norm: None):
        last = epoch.validation_loss
    return last


# ------------------------------------------------------------------ by hand


def by_hand(job: Job) -> float:
    """The same training as somebody would write it in PyTorch; gives the last validation loss."""
    plan, train = job.plan, job.data.train
    numbers, categories, targets = train.inputs["numbers"], train.inputs["categories"], train.targets
    is_regression = job.data.task.kind == "regression"
    network = copy.deepcopy(job.network)
    optimizer = make_optimizer(network, plan)
    parameters = list(network.parameters())
    sample = training_sample(job.data, plan.seed)
    num_rows, num_steps = len(targets), plan.steps_per_epoch
    best, best_weights, validation_loss, update = math.inf, {}, math.nan, 0

    for epoch in range(plan.epochs):
        generator = torch.Generator().manual_seed(plan.seed * 1_000_003 + epoch)
        order = torch.randperm(num_rows, generator=generator)
        network.train()
        sum_loss = sum_norm = 0.0
        for step in range(num_steps):
            progress = update / (plan.epochs * num_steps)
            if progress < plan.warmup:
                factor = min(1.0, (progress + 1e-3) / plan.warmup)
            else:
                factor = 0.5 * (1 + math.cos(math.pi * (progress - plan.warmup) / (1 - plan.warmup)))
            for group in optimizer.param_groups:
                group["lr"] = plan.learning_rate * factor
            rows = order[step * num_rows // num_steps : (step + 1) * num_rows // num_steps]
            outputs = network({"numbers": numbers[rows], "categories": categories[rows]})
            loss = (
                F.mse_loss(outputs[:, 0], targets[rows]) if is_regression else F.cross_entropy(outputs, targets[rows])
            )
            optimizer.zero_grad()
            loss.backward()
            norm = nn.utils.clip_grad_norm_(parameters, plan.clip)
            loss_value, norm_value = loss.item(), norm.item()
            if not (math.isfinite(loss_value) and math.isfinite(norm_value)):
                raise ArithmeticError("the loss or a gradient is not finite")
            optimizer.step()
            sum_loss += loss_value
            sum_norm += norm_value
            update += 1
        measure(network, sample, job.data.task.kind)
        validation_loss = measure(network, job.data.validation, job.data.task.kind)
        if validation_loss < best:
            best = validation_loss
            best_weights = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert best_weights
    return validation_loss


def measure(network: nn.Module, part: Part, kind: TaskKind) -> float:
    """The loss on a part; its metrics are computed too."""
    network.eval()
    with torch.inference_mode():
        outputs = network(part.inputs)
        if kind == "regression":
            loss = F.mse_loss(outputs[:, 0], part.targets)
            predictions: Tensor = outputs[:, 0]
        else:
            loss = F.cross_entropy(outputs, part.targets)
            predictions = outputs.double().softmax(dim=1)
    score(kind, part.targets.numpy(), predictions.numpy())
    return loss.item()


# ------------------------------------------------------------------ pairs


def timed(run: Callable[[Job], float], job: Job) -> tuple[float, float, float]:
    """(seconds on the wall, seconds of processor time, last validation loss)."""
    gc.collect()
    torch.manual_seed(SEED)  # both silence the same neurons
    wall, processor = time.perf_counter(), time.process_time()
    loss = run(job)
    return time.perf_counter() - wall, time.process_time() - processor, loss


def compare(size: Size, num_pairs: int, seconds: float) -> list[float]:
    """The ratios of the pairs on the wall, sorted; prints them with their spread."""
    with working_at(make_job(size, 1).place):
        one_epoch = min(timed(by_hand, make_job(size, 3))[0] / 3 for _ in range(2))  # a warm-up, too
        job = make_job(size, max(2, round(seconds / one_epoch)))
        timed(ours, job)
        walls, processors, hands, losses = [], [], [], []
        for pair in range(num_pairs):
            runs = (ours, by_hand) if pair % 2 else (by_hand, ours)
            found = {run: timed(run, job) for run in runs}
            walls.append(found[ours][0] / found[by_hand][0])
            processors.append(found[ours][1] / found[by_hand][1])
            hands.append(found[by_hand][0])
            losses.append((found[ours][2], found[by_hand][2]))
    for one, other in losses:
        if abs(one - other) > 0.1 * abs(other):  # they round differently, and training amplifies that
            raise SystemExit(f"The two loops trained differently: validation loss {one:g} and {other:g}")
    num_steps = job.plan.epochs * job.plan.steps_per_epoch
    step_us = 1e6 * statistics.median(hands) / num_steps
    figures = f"{num_parameters(job.network):,} knobs, batch {job.plan.batch_size}, {job.place.threads} thread(s)"
    wall, processor = statistics.median(walls), statistics.median(processors)
    print(
        f"| {size.name} | {figures} | {num_steps:,} | {step_us:.0f} | {wall:.3f} | {min(walls):.3f} to {max(walls):.3f} "
        f"| {processor:.3f} | {min(processors):.3f} to {max(processors):.3f} |",
        flush=True,
    )
    return sorted(walls)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=7, help="at least 5 for a figure that counts")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long one training lasts, about")
    arguments = parser.parse_args()
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"torch {torch.__version__}, {os.cpu_count()} processors, load average {load}, {time.strftime('%Y-%m-%d')}")
    print("| table | network | steps | by hand, us/step | ours / by hand | spread | processor time | spread |")
    print("|---|---|---|---|---|---|---|---|")
    ratios = [statistics.median(compare(size, arguments.pairs, arguments.seconds)) for size in SIZES]
    verdict = "within" if max(ratios) <= TARGET else "above"
    print(f"the largest ratio is {max(ratios):.3f}, {verdict} the target of {TARGET}")
    sys.exit(max(ratios) > TARGET)


if __name__ == "__main__":
    main()
