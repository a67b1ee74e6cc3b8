"""One table with nudgenet, in a process of its own; started by `tables.py`.

    python benchmarks/ours.py NAME FOLDER SEED [setting=value ...]

FOLDER holds `learn.csv`, `test.csv` and `job.json` (`target`, `kind`, `classes`). Written into it: `NAME.npy`, the probabilities (rows, classes)
or numbers (rows,) of the test rows. The last line on stdout is JSON with seconds, megabytes, and what the network had to compute.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

import nudgenet
from nudgenet import pipeline
from nudgenet.data.read import read
from nudgenet.run import Run
from nudgenet.settings import Settings, parse_assignments
from peers import memory_mb, versions

COUNTED_ROWS = 64


def multiply_adds(run: Run, source: Path) -> float:
    """Multiplications with addition in the forward pass of one row: the matrix products that torch was asked for."""
    inputs, _ = run.preparation.apply(run.read(source))
    rows = {name: tensor[:COUNTED_ROWS] for name, tensor in inputs.items()}
    num_rows = len(next(iter(rows.values())))
    counter = FlopCounterMode(display=False)
    network = run.network.requires_grad_(False)  # the counter follows gradients where there could be some
    with torch.no_grad(), counter:
        network(rows)
    return counter.get_total_flops() / 2 / num_rows


def check_rows(run: Run, job: dict[str, Any], folder: Path) -> None:
    """The run saw the task and the rows that it was given: the comparison would be none otherwise."""
    rows = run.summary["rows"]
    wanted = [read(folder / name, Settings()).table.num_rows for name in ("learn.csv", "test.csv")]
    if [rows["train"] + rows["validation"], rows["test"]] != wanted:
        raise SystemExit(f"other rows: {rows} for {wanted}")
    if run.task.kind != job["kind"] or [str(label) for label in run.classes] != job["classes"]:
        raise SystemExit(f"another task: {run.task.kind} {run.classes[:5]} for {job['kind']} {job['classes'][:5]}")


def run_job(name: str, folder: Path, seed: int, settings: dict[str, str]) -> dict[str, Any]:
    """Train, predict, and write the predictions."""
    job = json.loads((folder / "job.json").read_text())
    assert pipeline.work  # the imports are done, as those of the others are, before anything is measured
    before, _ = memory_mb()
    with tempfile.TemporaryDirectory() as runs:
        run = nudgenet.train(
            folder / "learn.csv",
            job["target"],
            test=str(folder / "test.csv"),
            runs=runs,
            seed=seed,
            baselines=False,
            **settings,
        )
        peak = memory_mb()[1]
        began = time.perf_counter()
        answers, _ = run.answer(folder / "test.csv")
        predict_s = time.perf_counter() - began
        check_rows(run, job, folder)
        np.save(folder / f"{name}.npy", answers)
        summary = run.summary
        seconds = summary["seconds"]
        return {
            "fit_s": seconds["prepare"] + seconds["train"],  # reading is in it
            "network_s": seconds["train"],
            "report_s": seconds["report"],
            "predict_s": predict_s,
            "memory_before_mb": before,
            "memory_peak_mb": peak,
            "epochs": summary["epochs"],
            "best_epoch": summary["verdict"]["best_epoch"],
            "steps": run.epochs[-1].step,
            "batch_size": run.settings.batch_size,
            "threads": run.settings.threads,
            "parameters": summary["parameters"],
            "rows_train": summary["rows"]["train"],
            "multiply_adds": multiply_adds(run, folder / "test.csv"),
            "verdict": summary["verdict"]["state"],
            "left_out": [column.name for column in run.preparation.columns if not column.used],
        }


def main() -> None:
    if sys.argv[1:] == ["versions"]:
        print(json.dumps(versions() | {"nudgenet": nudgenet.__version__}))
        return
    name, folder, seed, *assignments = sys.argv[1:]
    print("\n" + json.dumps(run_job(name, Path(folder), int(seed), parse_assignments(assignments))))


if __name__ == "__main__":
    main()
