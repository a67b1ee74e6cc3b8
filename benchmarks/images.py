"""Seconds until a network for images is right on so many test pictures: nudgenet beside the usual tutorials' ConvNet.

    .venv/bin/python benchmarks/images.py [--data FOLDER] [--seeds 0,1,2] [--until 0.93] [--threads N] [--peers-python PEERS/bin/python] [--set NAME=VALUE ...]
    .venv/bin/python benchmarks/images.py --idle [--data FOLDER]      the share of an epoch in which rows are fetched and varied
    .venv/bin/python benchmarks/images.py --only nudgenet --until 1   one of them, to the end of its training

All see the same training rows; the pictures of the validation part are held back from all. The clock stands still
while the test part is judged, every `EVERY` steps. Ours starts before the source is read, so that the probe for flips
and the judging of every epoch are in it; the others', whose pictures lie in memory, at their first step. Without
`--threads` each has what it has by default: ours the place's choice, the others PyTorch's. Two clocks: seconds on the
wall, which are worth something on an idle machine only, and of the processor, over all threads. The tutorial's network
is trained by a plain loop of PyTorch, and, with `--peers-python` (an environment with keras and torch), by Keras, too.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nudgenet.data.given_test import read_with_test
from nudgenet.job import Log
from nudgenet.networks.capacity import choose_capacity
from nudgenet.observer import Silent
from nudgenet.pipeline import begin, prepare_table
from nudgenet.records import Part, Prepared
from nudgenet.settings import Settings, parse_assignments
from nudgenet.training import loop
from nudgenet.training.images import settle
from nudgenet.training.loop import evaluate, fit
from nudgenet.training.place import Place, choose_place, working_at
from nudgenet.training.plan import make_plan

DATA = Path(__file__).parents[1].parent / "shared" / "data" / "images" / "fashion_mnist_idx"
KERAS = Path(__file__).with_name("keras_tutorial.py")
GOALS = (0.90, 0.93, 0.94)
EVERY = 100  # steps between two looks at the test part
TUTORIAL_EPOCHS = 15
TUTORIAL_BATCH = 128

Look = tuple[int, float, float, float]  # steps, seconds on the wall, seconds of the processor, test accuracy


class Clock:
    """Seconds on the wall and of the processor, less those that were paused."""

    def __init__(self) -> None:
        self.paused = (0.0, 0.0)
        self.began = self._now()

    def read(self) -> tuple[float, float]:
        """Both, since it was started."""
        now = self._now()
        return now[0] - self.began[0] - self.paused[0], now[1] - self.began[1] - self.paused[1]

    def pause(self, work: Callable[[], float]) -> tuple[float, float, float]:
        """(seconds on the wall, of the processor, what `work` gives); its time does not count."""
        before, shown = self._now(), self.read()
        result = work()
        after = self._now()
        self.paused = (self.paused[0] + after[0] - before[0], self.paused[1] + after[1] - before[1])
        return *shown, result

    @staticmethod
    def _now() -> tuple[float, float]:
        return time.perf_counter(), time.process_time()


def main() -> None:
    """A line per look while it runs, then when each goal was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="a folder of images with a test part")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--until", type=float, default=0.93, help="stop at this test accuracy; 1: train to the end")
    parser.add_argument("--only", choices=("nudgenet", "tutorial", "keras"), help="leave the others out")
    parser.add_argument("--peers-python", type=Path, help="of an environment with keras and torch")
    parser.add_argument("--idle", action="store_true", help="how long the network waits for its rows")
    parser.add_argument("--threads", type=int, help="for both")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of ours")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.idle:
        idle(arguments.data, Settings(threads=arguments.threads))
        return
    chosen = parse_assignments(arguments.set) | ({"threads": arguments.threads} if arguments.threads else {})
    if arguments.only == "keras" and not arguments.peers_python:
        parser.error("Keras has an environment of its own: --peers-python is needed")
    names = (
        [arguments.only] if arguments.only else ["nudgenet", "tutorial", *(["keras"] if arguments.peers_python else [])]
    )
    reached: dict[str, list[list[Look]]] = {name: [] for name in names}
    for seed in arguments.seeds.split(","):
        settings = Settings(**{**chosen, "seed": int(seed)})  # type: ignore[arg-type]
        clock = Clock()
        data = prepared(arguments.data, settings)
        runs = {
            "nudgenet": ours(data, settings, clock),
            "tutorial": tutorials(data, settings),
            "keras": in_keras(arguments.peers_python, data, settings),
        }
        for name in names:
            reached[name].append(watch(name, runs[name], arguments.until))
    for goal in GOALS:
        summarise(goal, reached)


def watch(name: str, looks: Generator[Look, None, None], until: float) -> list[Look]:
    """Print every look, and end with the first that is good enough."""
    seen = []
    with closing(looks):  # Keras' process must not run on beside the next training
        for steps, wall, processor, accuracy in looks:
            seen.append((steps, wall, processor, accuracy))
            print(
                f"{name:<9} {steps:>6} steps {wall:>8.1f} s {processor:>8.1f} CPU s   test {accuracy:.4f}", flush=True
            )
            if accuracy >= until:
                break
    return seen


def summarise(goal: float, reached: dict[str, list[list[Look]]]) -> None:
    """The median over seeds of the seconds to a goal, and their ratio."""
    medians = {}
    for name, runs in reached.items():
        firsts = [next((look for look in looks if look[3] >= goal), None) for looks in runs]
        times = [look[1:3] for look in firsts if look is not None]
        text = f"reached in {len(times)} of {len(runs)} runs"
        if len(times) == len(runs):
            medians[name] = statistics.median(wall for wall, _ in times)
            spread = f"{min(wall for wall, _ in times):.1f} to {max(wall for wall, _ in times):.1f}"
            text += f", median {medians[name]:.1f} s ({spread}), {statistics.median(cpu for _, cpu in times):.1f} CPU s"
        print(f"{goal:.0%} {name:<9} {text}")
    for name in medians.keys() - {"nudgenet"} if "nudgenet" in medians else ():
        print(f"{goal:.0%} nudgenet is {medians[name] / medians['nudgenet']:.1f} times as fast as {name}")


def idle(folder: Path, settings: Settings) -> None:
    """The share of a second epoch, all of whose images are varied, in which rows are fetched and varied."""
    warnings.simplefilter("ignore")
    data = prepared(folder, settings)
    settings, _ = settle(settings.model_copy(update={"epochs": 2}), data)
    capacity = choose_capacity(data.shape, settings)
    plan, _ = make_plan(settings, data.shape)
    place, _ = choose_place(settings, plan.batch_size * capacity.multiply_adds(data.shape))
    seconds = {"take": 0.0, "augmented": 0.0}

    def timed(name: str, work: Callable[..., object]) -> Callable[..., object]:
        def measured(*arguments: object) -> object:
            began = time.perf_counter()
            result = work(*arguments)
            seconds[name] += time.perf_counter() - began
            return result

        return measured

    with ExitStack() as stack:
        stack.enter_context(working_at(place))
        for name in seconds:
            stack.enter_context(mock.patch.object(loop, name, timed(name, getattr(loop, name))))
        began = time.perf_counter()
        for _ in fit(begin(data, capacity, plan, place, settings), data):
            whole, waited = time.perf_counter() - began, sum(seconds.values())
            seconds.update(dict.fromkeys(seconds, 0.0))
            began = time.perf_counter()
    print(f"{folder.name}: {', '.join(plan.augment)}; {place.threads} threads, {place.precision}; the second epoch took "
          f"{whole:.1f} s, of which rows were fetched and varied for {waited:.2f} s: {waited / whole:.1%}")  # fmt: skip


def prepared(folder: Path, settings: Settings) -> Prepared:
    """The source as tensors, split and all, as `nudgenet.train` has them."""
    data = prepare_table(partial(read_with_test, str(folder), settings), settings, Log(Silent())).prepared
    if data.test is None:
        raise SystemExit(f"{folder} has no test part")
    return data


def ours(data: Prepared, settings: Settings, clock: Clock) -> Generator[Look, None, None]:
    """The steps of `nudgenet.train` from the network's size to the last epoch."""
    settings, _ = settle(settings, data)
    capacity = choose_capacity(data.shape, settings)
    plan, _ = make_plan(settings, data.shape)
    place, _ = choose_place(settings, plan.batch_size * capacity.multiply_adds(data.shape))
    looks: list[Look] = []
    with working_at(place):
        state = begin(data, capacity, plan, place, settings)

        def look(epoch: int, step: int, loss: float, norm: float) -> None:
            if state.step % EVERY == 0:
                judged = partial(judge, state.kept, data.test, state.objective)
                looks.append((state.step, *clock.pause(judged)))

        size = sum(parameter.numel() for parameter in state.network.parameters())
        print(f"nudgenet: width {capacity.width}, {size:,} knobs, {plan.epochs} epochs of {plan.steps_per_epoch} steps, "
              f"{', '.join(plan.augment)}, {place.threads} threads, {place.precision}; {clock.read()[0]:.1f} s so far")  # fmt: skip
        for _ in fit(state, data, on_step=look):
            yield from looks
            looks.clear()


def judge(network: nn.Module, part: Part, objective: object) -> float:
    """The share of a part's rows that the network gets right."""
    _, predictions = evaluate(network, part, objective)  # type: ignore[arg-type]
    return float((predictions.argmax(1) == part.targets).float().mean())


def tutorials(data: Prepared, settings: Settings) -> Generator[Look, None, None]:
    """Two convolutions of 32 and 64 filters, each with pooling, then dropout and a dense layer; Adam at 1e-3, float32."""
    threads = settings.threads or torch.get_num_threads()
    with working_at(Place(threads)):
        torch.manual_seed(settings.seed)
        images, labels = data.train.inputs["images"].float() / 255, data.train.targets
        tests, answers = data.test.inputs["images"].float() / 255, data.test.targets
        network = nn.Sequential(
            nn.LazyConv2d(32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.LazyConv2d(64, 3), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Dropout(0.5), nn.LazyLinear(data.shape.num_outputs),
        )  # fmt: skip
        network(images[:1])
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        print(f"tutorial: {sum(p.numel() for p in network.parameters()):,} knobs, {threads} threads")
        clock, steps = Clock(), 0
        for _ in range(TUTORIAL_EPOCHS):
            for rows in torch.randperm(len(images)).split(TUTORIAL_BATCH):
                loss = F.cross_entropy(network(images[rows]), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                steps += 1
                if steps % EVERY == 0:
                    yield (steps, *clock.pause(partial(right, network, tests, answers)))


def in_keras(python: Path, data: Prepared, settings: Settings) -> Generator[Look, None, None]:
    """The same network and pictures by Keras, in the peers' environment."""
    with tempfile.TemporaryDirectory() as folder:
        arrays = Path(folder) / "arrays.npz"
        np.savez(
            arrays, images=data.train.inputs["images"], labels=data.train.targets,
            tests=data.test.inputs["images"], answers=data.test.targets,
        )  # fmt: skip
        numbers = [
            settings.seed,
            TUTORIAL_EPOCHS,
            TUTORIAL_BATCH,
            EVERY,
            *([settings.threads] if settings.threads else []),
        ]
        command = [str(python), str(KERAS), str(arrays), *map(str, numbers)]
        environment = {**os.environ, "KERAS_BACKEND": "torch"}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            print(process.stdout.readline().strip(), flush=True)
            try:
                for line in process.stdout:
                    steps, wall, processor, accuracy = line.split()
                    yield int(steps), float(wall), float(processor), float(accuracy)
            finally:
                process.terminate()
        if process.returncode > 0:
            raise SystemExit(f"Keras ended with {process.returncode}: is it installed beside {python}?")


def right(network: nn.Module, images: Tensor, answers: Tensor) -> float:
    """The share of pictures that the tutorial's network gets right."""
    network.eval()
    with torch.inference_mode():
        found = torch.cat([network(chunk).argmax(1) for chunk in images.split(1_000)])
    network.train()
    return float((found == answers).float().mean())


if __name__ == "__main__":
    main()
