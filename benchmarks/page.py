"""What the page costs.

    .venv/bin/python benchmarks/page.py --overhead [--pairs 7] [--seconds 4]
    .venv/bin/python benchmarks/page.py --load --zoom --slider [--times 10]
    .venv/bin/python benchmarks/page.py --open-page [--pairs 3]

`--overhead`: what recording for the page adds to a training. The same training of the default network on a generated
table, from the same weights, with and without a recorder, in pairs of alternating order in one process, after a warm-up.
Printed is the median over the pairs of with / without, for processor time (which other work on the machine disturbs less)
and for the clock on the wall, and the share of the training's processor time that each part of recording took: the
health of layers, snapshots, steps. The targets: the health below 3 % of a step, all of it below 5 %.

The others look at the page in a browser (see page_speed.py). `--load`: a run's page from an empty cache until its first
curve and its network are drawn; p95 below 500 ms. `--zoom`: a run of 100,000 steps and 20 metrics; its first curve
below 1 s, a zoom below 100 ms. `--slider`: a move until the network of the nearest snapshot is drawn; below 50 ms.
`--open-page`: training with its page open against without, in pairs; below 3 % slower (see page_open.py).
"""

from __future__ import annotations

import argparse
import gc
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import page_open
import page_speed
from loop_overhead import Size, make_table
from nudgenet.networks.capacity import Capacity, choose_capacity
from nudgenet.networks.mlp import num_parameters
from nudgenet.pipeline import begin
from nudgenet.records import Prepared
from nudgenet.runs.snapshots import Snapshots
from nudgenet.runs.store import Store
from nudgenet.settings import Settings, make_settings
from nudgenet.training import recorder as recording
from nudgenet.training.loop import fit
from nudgenet.training.place import Place, choose_place, working_at
from nudgenet.training.plan import Plan, make_plan
from nudgenet.training.recorder import Recorder

MOST_HEALTH, MOST_IN_ALL = 0.03, 0.05
SIZES = [
    Size("3,000 x 12 + 3 categories, yes/no", "binary", 3_000, 12, 3),
    Size("50,000 x 20, number", "regression", 50_000, 20),
]
# What the recorder calls, and what that is for.
PARTS: list[tuple[Any, str, str]] = [
    (recording, "copy_weights", "health"),
    (recording, "sample_of", "health"),
    (recording, "measure", "health"),
    (Store, "add_health", "health"),
    (recording, "pack", "snapshots"),
    (Snapshots, "takes", "snapshots"),
    (Snapshots, "add", "snapshots"),
    (Store, "add_batches", "steps"),
]


@dataclass(frozen=True)
class Job:
    """Everything that a training begins with."""

    data: Prepared
    capacity: Capacity
    plan: Plan
    place: Place
    settings: Settings


@dataclass(frozen=True)
class Cost:
    """Of one training: seconds on the wall, of processor time, and of that what each part of recording took."""

    wall: float
    processor: float
    parts: dict[str, float]
    snapshots: int
    looks: int


def make_job(size: Size, epochs: int) -> Job:
    """The defaults for this table, without early stopping: both trainings do every epoch."""
    data = make_table(size)
    settings = make_settings(epochs=epochs, patience=epochs)
    capacity = choose_capacity(data.shape, settings)
    plan, _ = make_plan(settings, data.shape)
    place, _ = choose_place(settings, plan.batch_size * capacity.multiply_adds(data.shape))
    return Job(data, capacity, plan, place, settings)


def train(job: Job, folder: Path, *, recorded: bool) -> Cost:
    """One training as the pipeline does it, with or without what is recorded beside its epochs."""
    store = Store.create(folder)
    state = begin(job.data, job.capacity, job.plan, job.place, job.settings)
    gc.collect()
    with store.writing(), timed() as parts:
        wall, processor = time.perf_counter(), time.process_time()
        recorder = Recorder(state, job.data, store if recorded else None, lambda epoch, step, loss: None)
        for epoch in fit(state, job.data, on_step=recorder.on_step):
            store.add_epoch(epoch)
            recorder.epoch()
        recorder.close()
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return Cost(wall, processor, dict(parts), len(store.snapshots.steps()), len(store.health_steps()))


@contextmanager
def timed() -> Iterator[dict[str, float]]:
    """Meanwhile, the processor time that the parts of recording take is added up."""
    spent = dict.fromkeys(("health", "snapshots", "steps"), 0.0)

    def watched(function: Callable[..., Any], part: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return function(*arguments, **named)
            finally:
                spent[part] += time.process_time() - began

        return call

    before = [(owner, name, getattr(owner, name)) for owner, name, _ in PARTS]
    for owner, name, part in PARTS:
        setattr(owner, name, watched(getattr(owner, name), part))
    try:
        yield spent
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


def compare(size: Size, num_pairs: int, seconds: float, folder: Path) -> tuple[float, float]:
    """(share of the health, ratio with / without in processor time), medians over the pairs; prints them."""
    job = make_job(size, 3)
    with working_at(job.place):
        warm = train(job, folder / f"{size.num_rows}-warm", recorded=True)
        job = make_job(size, max(3, round(seconds * 3 / warm.processor)))
        walls, processors, recorded = [], [], []
        for pair in range(num_pairs):
            found = {}
            for is_on in (pair % 2 == 0, pair % 2 == 1):
                found[is_on] = train(job, folder / f"{size.num_rows}-{pair}-{is_on}", recorded=is_on)
            walls.append(found[True].wall / found[False].wall)
            processors.append(found[True].processor / found[False].processor)
            recorded.append(found[True])
        knobs = num_parameters(begin(job.data, job.capacity, job.plan, job.place, job.settings).network)
    shares = {
        part: statistics.median(cost.parts[part] / cost.processor for cost in recorded) for part in recorded[0].parts
    }
    last, num_steps = recorded[-1], job.plan.epochs * job.plan.steps_per_epoch
    print(
        f"| {size.name} | {knobs:,} knobs, {num_steps:,} steps, {last.processor:.1f} s "
        f"| {statistics.median(processors):.3f} ({min(processors):.3f} to {max(processors):.3f}) "
        f"| {statistics.median(walls):.3f} ({min(walls):.3f} to {max(walls):.3f}) "
        f"| {shares['health']:.2%}, {last.looks} looks | {shares['snapshots']:.2%}, {last.snapshots} | {shares['steps']:.2%} |",
        flush=True,
    )
    return shares["health"], statistics.median(processors)


def overhead(num_pairs: int, seconds: float) -> bool:
    """Whether recording stays within its targets on every table."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{os.cpu_count()} processors, load average {load}, {time.strftime('%Y-%m-%d')}")
    print("| table | training | with / without, processor | on the wall | health | snapshots | steps |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        found = [compare(size, num_pairs, seconds, Path(folder)) for size in SIZES]
    fine = all(health <= MOST_HEALTH and ratio <= 1 + MOST_IN_ALL for health, ratio in found)
    print(f"{'within' if fine else 'above'} the targets: health {MOST_HEALTH:.0%}, all of it {MOST_IN_ALL:.0%}")
    return fine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--overhead", action="store_true", help="what recording adds to a training")
    parser.add_argument("--load", action="store_true", help="until a run's page can be used")
    parser.add_argument("--zoom", action="store_true", help="the curves of 100,000 steps")
    parser.add_argument("--slider", action="store_true", help="a move in time")
    parser.add_argument("--open-page", action="store_true", help="what an open page adds to a training")
    parser.add_argument("--pairs", type=int, default=7, help="at least 5 for a figure that counts")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long one training lasts, about")
    parser.add_argument("--times", type=int, default=10, help="loads; five times as many moves")
    chosen = parser.parse_args()
    parts: list[tuple[bool, Callable[[], bool]]] = [
        (chosen.overhead, lambda: overhead(chosen.pairs, chosen.seconds)),
        (chosen.load, lambda: page_speed.load(chosen.times)),
        (chosen.zoom, lambda: page_speed.zoom(chosen.times)),
        (chosen.slider, lambda: page_speed.slider(5 * chosen.times)),
        (chosen.open_page, lambda: page_open.open_page(chosen.pairs)),
    ]
    if not any(is_wanted for is_wanted, _ in parts):
        parser.error("say what to measure: --overhead --load --zoom --slider --open-page")
    found = [measure() for is_wanted, measure in parts if is_wanted]
    sys.exit(not all(found))


if __name__ == "__main__":
    main()
