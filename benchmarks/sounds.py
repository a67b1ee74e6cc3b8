"""Spoken digits: accuracy on a random split, and on speakers who were never heard; the simple models beside the network.

    .venv/bin/python benchmarks/sounds.py [--data FOLDER] [--seeds 0,1,2] [--speakers all] [--set NAME=VALUE ...]

A file's name says who speaks (digit_speaker_number.wav). For each speaker, one run is tested on all that he says and
trained and validated on the others, a group per speaker. Everything runs on one thread; training seconds are
by the clock, those of the whole run of the processor.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import nudgenet
from nudgenet.data.read import read
from nudgenet.observer import Silent
from nudgenet.settings import Settings, parse_assignments

DATA = Path(__file__).parents[1].parent / "shared" / "data"
HEADER = ("rows", "test rows", "network", "boosting", "linear", "epochs", "training s", "run, CPU s")


def main() -> None:
    """Print a line per run and a summary per question."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the folder with sounds/spoken_digits")
    parser.add_argument("--seeds", default="0,1,2", help="of the random splits")
    parser.add_argument("--speakers", default="all", help="who is left out, one after another; none: nobody")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings of all runs")
    arguments = parser.parse_args()
    digits = arguments.data / "sounds" / "spoken_digits"
    chosen = parse_assignments(arguments.set)
    warnings.simplefilter("ignore")
    began = time.process_time()
    count = read(digits, Settings()).table.num_rows
    print(f"{count:,} files found, read and decoded in {time.process_time() - began:.1f} s")
    print_row(HEADER)
    with tempfile.TemporaryDirectory() as folder:
        random = [
            one(f"random, seed {seed}", Path(folder), digits, seed=int(seed), **chosen)
            for seed in arguments.seeds.split(",")
            if seed
        ]
        summarise("random split", random)
        new = []
        for speaker in chosen_speakers(digits, arguments.speakers):
            train, test = tables_without(speaker, digits, Path(folder))
            settings = {"target": "digit", "group": "speaker", "test": str(test), **chosen}
            new.append(one(f"without {speaker}", Path(folder), train, **settings))
        summarise("speakers who were never heard", new)


def chosen_speakers(digits: Path, wanted: str) -> list[str]:
    """The names in the files' names, or those of them that were asked for."""
    speakers = sorted({speaker_of(path) for path in digits.rglob("*.wav")})
    return speakers if wanted == "all" else [name for name in speakers if name in wanted.split(",")]


def speaker_of(path: Path) -> str:
    """`7_theo_12.wav` -> `theo`."""
    return path.stem.split("_")[1]


def tables_without(speaker: str, digits: Path, folder: Path) -> tuple[Path, Path]:
    """Two tables of paths: all but one speaker's, and his."""
    paths = folder / f"train_{speaker}.csv", folder / f"test_{speaker}.csv"
    for table, is_test in zip(paths, (False, True), strict=True):
        with table.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["file", "digit", "speaker"])
            for path in sorted(digits.rglob("*.wav")):
                if (speaker_of(path) == speaker) == is_test:
                    writer.writerow([path, path.parent.name, speaker_of(path)])
    return paths


def one(name: str, folder: Path, source: Path, **settings: object) -> dict[str, float]:
    """Train and test once; print and give the accuracies and seconds."""
    began = time.process_time()
    run = nudgenet.train(
        source,
        runs=folder / "runs",
        name=name.replace(", ", "-").replace(" ", "-"),
        observer=Silent(),
        threads=1,
        **settings,
    )  # type: ignore[arg-type]
    accuracies = {"network": run.metrics["test"]["accuracy"]}
    accuracies |= {other: scores["test"]["accuracy"] for other, scores in run.baselines.items()}
    seconds = {"training": run.epochs[-1].seconds, "whole": time.process_time() - began}
    print_row(
        (name, str(run.summary["rows"]["test"]),
         *(f"{accuracies[other]:.4f}" if other in accuracies else "" for other in ("network", "boosting", "linear")),
         f"{len(run.epochs)}", f"{seconds['training']:.0f}", f"{seconds['whole']:.0f}")
    )  # fmt: skip
    return accuracies | seconds


def summarise(name: str, runs: Sequence[dict[str, float]]) -> None:
    """Mean, smallest and largest accuracy."""
    for model in ("network", "boosting", "linear"):
        values = [run[model] for run in runs if model in run]
        if values:
            print(f"{name}, {model}: mean {statistics.mean(values):.4f}, {min(values):.4f} to {max(values):.4f}")


def print_row(cells: Sequence[str]) -> None:
    print(f"{cells[0]:<20}" + "".join(f"{cell:>13}" for cell in cells[1:]), flush=True)


if __name__ == "__main__":
    main()
