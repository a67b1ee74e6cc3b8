"""What many tests need: small tables, prepared tensors, a way to run the command."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nudgenet
from nudgenet.errors import Interrupted
from nudgenet.observer import Silent
from nudgenet.records import Part, Prepared, Shape, Task
from nudgenet.run import Run
from nudgenet.training import calibration
from nudgenet.training.stopping import StopSignal

# Made-up reviews: words that decide, and words that do not.
KIND, UNKIND = ("lovely", "splendid", "charming", "delightful"), ("dreadful", "awful", "tedious", "horrid")
FILLING = (
    "the", "film", "was", "seen", "on", "a", "monday", "with", "some", "friends", "who", "had", "paid", "for", "it",
    "and", "left", "at", "ten",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With `-n 2 --dist loadgroup` tests of a file share a process and so its fixtures; all that need the browser share one."""
    for item in items:
        group = "browser" if "browser" in item.path.parts else str(item.path)
        item.add_marker(pytest.mark.xdist_group(group))


class StopAt(Silent):
    """Asks to stop after so many steps, or after this (epoch, step in it)."""

    def __init__(self, when: int | tuple[int, int]) -> None:
        self.signal, self.when, self.steps = StopSignal(), when, 0

    def on_step(self, epoch: int, step_in_epoch: int, loss: float) -> None:
        self.steps += 1
        if self.when in (self.steps, (epoch, step_in_epoch)):
            self.signal.request("the test")


def train_until(when: int | tuple[int, int], source: Any, target: Any = None, **settings: Any) -> Interrupted:
    """A training that is stopped there; how it ended."""
    watcher = StopAt(when)
    with pytest.raises(Interrupted) as caught:
        nudgenet.train(source, target, observer=watcher, stop=watcher.signal, **settings)
    return caught.value


def train_in_two(when: int | tuple[int, int], source: Any, target: Any = None, *, runs: Path, **settings: Any) -> Run:
    """The run `halved`: stopped there, and then resumed."""
    train_until(when, source, target, runs=runs, name="halved", **settings)
    return nudgenet.resume("halved", runs=runs, observer=Silent())


def assert_same_weights(one: Run, other: Run) -> None:
    """Bit for bit."""
    ours, theirs = one.network.state_dict(), other.network.state_dict()
    assert ours.keys() == theirs.keys()
    for name, weights in ours.items():
        assert torch.equal(weights, theirs[name]), name


def make_prepared(
    num_rows: int = 200,
    *,
    kind: str = "binary",
    num_numbers: int = 4,
    cardinalities: tuple[int, ...] = (3,),
    seed: int = 0,
) -> Prepared:
    """Random tensors with a signal in them, as `data.prepare` would make them."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(num_rows, num_numbers)).astype(np.float32)
    columns = [random.integers(0, cardinality, num_rows) for cardinality in cardinalities]
    categories = np.stack(columns, axis=1) if columns else np.zeros((num_rows, 0), np.int64)
    signal = numbers[:, 0] * 2 - np.abs(numbers[:, 1]) + (categories[:, 0] if columns else 0)
    if kind == "regression":
        targets = torch.from_numpy(((signal - signal.mean()) / signal.std()).astype(np.float32))
        task = Task("y", "regression")
    else:
        num_classes = 2 if kind == "binary" else 3
        edges = np.quantile(signal, np.linspace(0, 1, num_classes + 1)[1:-1])
        targets = torch.from_numpy(np.digitize(signal, edges))
        task = Task("y", "binary" if num_classes == 2 else "multiclass", tuple(range(num_classes)))
    inputs = {"numbers": torch.from_numpy(numbers), "categories": torch.from_numpy(categories)}

    def part(rows: np.ndarray) -> Part:
        return Part({name: tensor[rows] for name, tensor in inputs.items()}, targets[rows], rows)

    cut, end = int(num_rows * 0.7), int(num_rows * 0.85)
    shape = Shape(num_numbers, cardinalities, len(task.classes) or 1, cut)
    return Prepared(part(np.arange(cut)), part(np.arange(cut, end)), part(np.arange(end, num_rows)), task, shape)


def write_houses(path: Path, num_rows: int = 240, seed: int = 0) -> Path:
    """A small table of every kind: numbers, a category, a date, a missing cell now and then, an identifier."""
    random = np.random.default_rng(seed)
    area, age = random.uniform(40, 250, num_rows), random.integers(0, 90, num_rows)
    city = random.choice(["Bern", "Lyon", "Turin"], num_rows)
    price = 2000 * area - 900 * age + 30_000 * (city == "Bern") + random.normal(0, 8_000, num_rows)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "area", "age", "city", "sold", "price", "dear"])
        for row in range(num_rows):
            sold = f"20{random.integers(10, 24)}-{random.integers(1, 13):02}-{random.integers(1, 28):02}"
            shown_age = "" if random.random() < 0.05 else age[row]
            dear = "yes" if price[row] > 250_000 else "no"
            writer.writerow([f"H{row:05}", f"{area[row]:.1f}", shown_age, city[row], sold, f"{price[row]:.0f}", dear])
    return path


@pytest.fixture(autouse=True, scope="session")
def _one_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is chosen for a machine is chosen alike on every one, loaded or not, and the user's cache stays as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUDGENET_CACHE", str(tmp_path_factory.mktemp("cache")))
        with pytest.MonkeyPatch.context() as once:
            once.setattr(calibration, "measure", lambda: calibration.Calibration(1, 1, "bfloat16", {}))
            calibration.calibration()
        yield


@pytest.fixture
def houses(tmp_path: Path) -> Path:
    """A CSV file; `price` is a number to predict, `dear` is yes or no."""
    return write_houses(tmp_path / "houses.csv")


@pytest.fixture(scope="session")
def make_houses() -> Callable[[Path], Path]:
    """`write_houses`, for fixtures that last longer than a test."""
    return write_houses


@pytest.fixture
def nudge(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command in this process: (exit code, stdout, stderr)."""
    from nudgenet.cli import run_command

    def run(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        exit_code = run_command([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return exit_code, captured.out, captured.err

    return run


QUICK = {"epochs": 3, "batch_size": 32, "baselines": False}  # settings of a run that only has to be one


@pytest.fixture(scope="session")
def quick_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One finished run for each kind of task, by its kind; tests only read them (the folder's `houses.csv` too)."""
    folder = tmp_path_factory.mktemp("quick")
    table = write_houses(folder / "houses.csv")
    targets = {"regression": "price", "binary": "dear", "multiclass": "city"}
    return {
        kind: nudgenet.train(table, target, runs=folder / "runs", name=kind, **QUICK).path
        for kind, target in targets.items()
    }


def write_pictures(folder: Path, num_each: int = 16, side: int = 16, seed: int = 0) -> Path:
    """A folder with a class per sub-folder: discs, squares and stripes in any colour on a dark, noisy ground."""
    image = pytest.importorskip("PIL.Image")
    random = np.random.default_rng(seed)
    down, right = np.mgrid[:side, :side]
    for name in ("disc", "square", "stripes"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(num_each):
            pixels = random.integers(0, 80, (side, side, 3)).astype(np.uint8)
            (y, x), size = random.integers(side // 3, 2 * side // 3 + 1, 2), side // 4
            inside = {
                "disc": (down - y) ** 2 + (right - x) ** 2 < size**2,
                "square": (abs(down - y) < size) & (abs(right - x) < size),
                "stripes": (right + x) % 4 < 2,
            }[name]
            pixels[inside] = random.integers(140, 256, 3)
            image.fromarray(pixels).save(folder / name / f"{number:03}.png")
    return folder


def write_sounds(folder: Path, num_each: int = 16, rate: int = 8_000, seed: int = 0) -> Path:
    """A folder with a class per sub-folder: pure tones, rising ones and buzzes of any pitch and length, a little noisy."""
    soundfile = pytest.importorskip("soundfile")
    random = np.random.default_rng(seed)
    for name in ("tone", "rise", "buzz"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(num_each):
            seconds = np.arange(round(random.uniform(0.2, 0.35) * rate)) / rate
            pitch = random.uniform(300, 800)
            turns = pitch * (seconds + (name == "rise") * 2.5 * seconds**2)
            wave = np.sign(np.sin(2 * np.pi * turns)) if name == "buzz" else np.sin(2 * np.pi * turns)
            samples = random.uniform(0.1, 0.5) * wave + random.normal(0, 0.005, len(seconds))
            soundfile.write(folder / name / f"{number:03}.wav", samples, rate)
    return folder
