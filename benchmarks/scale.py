"""What a large table costs: memory and time of training, predictions for a million rows, the answer for one row.

    .venv/bin/python benchmarks/scale.py [--rows 10000,100000,1000000] [--digits 4 | --full] [--parquet] [--epochs 2]

Tables of 45 numbers, 5 categories and a yes/no target are made from a seed. For each size, in a process of its own:

* memory: the largest resident size of training (without baselines) above the size after all imports, over the bytes of the
  float32 matrix rows x 51. The target is 3 for matrices of 100 MB and more.
* seconds per epoch, by the processor's clock: linear in the rows if the last column (per 10,000 rows) stays level.

For the largest size also: the processor time of predicting the file over that of reading it as text and the network's answers
alone (target 2), and the median time of `run.predict` of a dict beside scikit-learn's `MLPClassifier.predict` of an array row.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

NUM_NUMBERS, NUM_CATEGORIES = 45, 5
BATCH = 100_000


def write_table(path: Path, num_rows: int, digits: int | None) -> None:
    """Numbers with so many digits behind the point (None: all that a float64 has), categories, and a noisy rule."""
    rng = np.random.default_rng(0)
    writer: pa_csv.CSVWriter | pq.ParquetWriter | None = None
    for begin in range(0, num_rows, BATCH):
        size = min(BATCH, num_rows - begin)
        x = rng.normal(size=(size, NUM_NUMBERS))
        x = x if digits is None else np.round(x, digits)
        columns: dict[str, np.ndarray] = {f"x{i}": x[:, i] for i in range(NUM_NUMBERS)}
        for i in range(NUM_CATEGORIES):
            levels = np.array([f"level{j}" for j in range(5 + 20 * i)])
            columns[f"c{i}"] = levels[rng.integers(0, len(levels), size)]
        columns["y"] = np.where(x[:, 0] + x[:, 1] * x[:, 2] + rng.normal(size=size) > 0, "yes", "no")
        table = pa.table(columns)
        if writer is None:
            is_parquet = path.suffix == ".parquet"
            plain = pa_csv.WriteOptions(quoting_style="none")
            make = pq.ParquetWriter if is_parquet else pa_csv.CSVWriter
            writer = make(path, table.schema) if is_parquet else make(path, table.schema, write_options=plain)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def train(path: Path, runs: Path, epochs: int) -> dict[str, float]:
    """Train once in this process, and tell what it took."""
    import duckdb  # noqa: F401
    import scipy.stats  # noqa: F401
    import sklearn.metrics  # noqa: F401
    import torch  # noqa: F401

    import nudgenet
    import nudgenet.pipeline

    ends: list[float] = []

    class Watch(nudgenet.pipeline.Silent):
        """The processor time at each epoch's end."""

        def start(self, *numbers: float) -> None:
            ends.append(time.process_time())

        def epoch(self, epoch: object, best: object) -> None:
            ends.append(time.process_time())

    page = resource.getpagesize()
    before = int(Path("/proc/self/statm").read_text().split()[1]) * page
    run = nudgenet.train(
        path, "y", runs=runs, name=path.stem, baselines=False, epochs=epochs, threads=1, observer=Watch()
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    num_rows = sum(run.summary["rows"].values())
    return {
        "rows": num_rows,
        "matrix_mb": num_rows * (NUM_NUMBERS + NUM_CATEGORIES + 1) * 4 / 1e6,
        "above_mb": (peak - before) / 1e6,
        "prepare_s": ends[0],
        "epoch_s": statistics.median(np.diff(ends)),
    }


def predict(path: Path, runs: Path) -> dict[str, float]:
    """Processor seconds of predicting a file, and of its two parts alone; milliseconds of one row."""
    import nudgenet
    from nudgenet.data.read import read_batches
    from nudgenet.predictions import predict as predict_file

    run = nudgenet.load(path.stem, runs)
    names = [column.name for column in run.preparation.columns]
    inputs, _ = run.preparation.apply(next(read_batches(path, run.settings, columns=names)))
    first = {name: tensor[:1] for name, tensor in inputs.items()}
    run._forward(first)
    began = time.process_time()
    num_rows = sum(raw.table.num_rows for raw in read_batches(path, run.settings, columns=names))
    reading = time.process_time() - began
    began = time.process_time()
    repeats = max(1, num_rows // len(inputs["numbers"]))
    for _ in range(repeats):
        run._forward(inputs)
    answering = (time.process_time() - began) * num_rows / (repeats * len(inputs["numbers"]))
    began = time.process_time()
    predict_file(run, path, runs / "answers.csv")
    whole = time.process_time() - began
    return {"read_s": reading, "answer_s": answering, "predict_s": whole, **one_row(run, path)}


def one_row(run: object, path: Path, repeats: int = 1_000) -> dict[str, float]:
    """The median milliseconds for one row, ours and scikit-learn's in turn."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    reader = pq.ParquetFile(path).iter_batches(100) if path.suffix == ".parquet" else pa_csv.open_csv(path)
    rows = next(iter(reader)).slice(0, 100).to_pylist()
    rows = [{name: cell for name, cell in row.items() if name != "y"} for row in rows]
    array = np.random.default_rng(0).normal(size=(500, NUM_NUMBERS + NUM_CATEGORIES))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        peer = MLPClassifier(max_iter=3).fit(array, array[:, 0] > 0)
    ours, theirs = [], []
    for i in range(repeats):
        began = time.perf_counter()
        run.predict(rows[i % len(rows)])  # type: ignore[attr-defined]
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        peer.predict(array[i % 500 : i % 500 + 1])
        theirs.append(time.perf_counter() - began)
    return {"row_ms": 1e3 * statistics.median(ours), "sklearn_row_ms": 1e3 * statistics.median(theirs)}


def in_a_process(what: str, path: Path, runs: Path, epochs: int) -> dict[str, float]:
    """Memory is measured in a process that did nothing else."""
    command = [sys.executable, __file__, "--part", what, str(path), str(runs), "--epochs", str(epochs)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Print a table for the log."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="10000,100000,1000000")
    parser.add_argument("--digits", type=int, default=4)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--parquet", action="store_true")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--part", nargs=3, metavar=("WHAT", "PATH", "RUNS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.part:
        what, path, runs = given.part
        part = train(Path(path), Path(runs), given.epochs) if what == "train" else predict(Path(path), Path(runs))
        print(json.dumps(part))
        return
    print("| rows | matrix MB | above imports MB | times the matrix | prepare s | epoch s | epoch s per 10,000 rows |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        for num_rows in map(int, given.rows.split(",")):
            path = runs / f"rows{num_rows}.{'parquet' if given.parquet else 'csv'}"
            write_table(path, num_rows, None if given.full else given.digits)
            f = in_a_process("train", path, runs, given.epochs)
            print(
                f"| {f['rows']:,} | {f['matrix_mb']:.0f} | {f['above_mb']:.0f} | {f['above_mb'] / f['matrix_mb']:.2f} "
                f"| {f['prepare_s']:.1f} | {f['epoch_s']:.2f} | {1e4 * f['epoch_s'] / f['rows']:.3f} |",
                flush=True,
            )
        f = in_a_process("predict", path, runs, given.epochs)
    parts = f["read_s"] + f["answer_s"]
    print(
        f"\npredict {num_rows:,} rows: {f['predict_s']:.1f} s = {f['predict_s'] / parts:.2f} x (reading {f['read_s']:.1f} s + "
        f"answers {f['answer_s']:.1f} s)\none row: {f['row_ms']:.3f} ms; MLPClassifier.predict {f['sklearn_row_ms']:.3f} ms"
    )


if __name__ == "__main__":
    main()
