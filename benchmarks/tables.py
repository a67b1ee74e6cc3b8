"""Real tables with nudgenet and its rivals: the same rows for everyone, each method in a process of its own.

    .venv/bin/python benchmarks/tables.py [--data FOLDER] [--results FILE] [--methods nudgenet,linear,hgb,sk_mlp]
        [--tables penguins,...] [--seeds 0,1,2] [--max-rows N] [--peers-python PATH] [--again METHOD]
        [--set name=value --as NAME] [--summary]

Rivals that are no dependency of the project run from a venv of their own, named with --peers-python:

    python3 -m venv PEERS && PEERS/bin/pip install torch==2.13.0 catboost==1.2.10 pytabkit==1.7.3 \\
        scikit-learn==1.9.1 pandas pyarrow psutil

For every table and seed one split 70/15/15 is drawn by nudgenet's own code. The test rows are the same for all; the others are
what a method learns from: it takes its validation rows out of them as its defaults say (nudgenet 15/85, RealMLP and
TabM a fifth, CatBoost and histogram boosting none or a tenth). Known leaks and row names are removed for everyone. The rivals
get typed columns (`typed_column`), nudgenet gets CSV text, and one table of scores is computed from everyone's predictions.

Every result is a line of JSON in --results; what is there is not run again (--again NAME does, the last line counts). --set and --as
try nudgenet with other settings, as a method of its own. Seconds mean something only on an idle machine: the load average is written
beside them. `fit_s` is preparing and training (for nudgenet with reading the CSV), `network_s` the loop alone, `whole_s` the command
`nudge train` with start-up, baselines and report.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from nudgenet.data.columns import choose_task, encode_target
from nudgenet.data.read import read
from nudgenet.data.split import split
from nudgenet.records import Raw, Task
from nudgenet.scoring.metrics import score
from nudgenet.settings import make_settings
from table_scores import show

HERE = Path(__file__).parent
DATA = HERE.parents[1] / "shared" / "data"
OURS = "nudgenet"
IN_OUR_VENV = ("linear", "hgb", "sk_mlp")
IN_PEERS_VENV = ("catboost", "realmlp", "tabm")
MISSING = ("", "na", "n/a", "nan", "null", "none", "?")


@dataclass(frozen=True)
class Table:
    """A file, what is predicted, and the columns that nobody may see: leaks and row names."""

    file: str
    target: str | int
    remove: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's name without its extensions."""
        return Path(self.file).name.split(".")[0]


_COMPAS = """id name first last c_case_number is_recid r_case_number r_charge_degree r_days_from_arrest r_offense_date
    r_charge_desc r_jail_in r_jail_out violent_recid is_violent_recid vr_case_number vr_charge_degree vr_offense_date
    vr_charge_desc in_custody out_custody start end event"""
TABLES = [
    Table("penguins.csv", "species"),
    Table("titanic.csv", "survived", ("alive",)),
    Table("diamonds.csv.gz", "price"),
    Table("mpg.csv", "mpg", ("name",)),
    Table("california.csv.gz", "median_house_value"),
    Table("adult_train.csv.gz", "income"),
    Table("bank.csv.gz", "y", ("duration",)),
    Table("ames.csv", "SalePrice", ("Id",)),
    Table("bike.csv.gz", "cnt", ("casual", "registered", "instant")),
    Table("covertype.csv.gz", "Cover_Type", ("Id",)),
    Table("telco_churn.csv.gz", "Churn", ("customerID",)),
    Table("spambase.csv", "type"),
    Table("credit_scoring.csv", "Status"),
    Table("compas.csv.gz", "two_year_recid", tuple(_COMPAS.split())),
    Table("cnae9.csv.gz", 1),
    Table("higgs_train.tsv.gz", 1),
    Table("wine_red_noheader.csv", -1),
    Table("concrete.txt", -1),
    Table("energy.txt", -1),
    Table("kin8nm.txt.gz", -1),
    Table("power-plant.txt", -1),
    Table("pmlb/227_cpu_small.tsv.gz", "target"),
    Table("pmlb/503_wind.tsv.gz", "target"),
    Table("pmlb/529_pollen.tsv", "target"),
    Table("pmlb/churn.tsv", "target"),
    Table("pmlb/credit_g.tsv", "target"),
    Table("pmlb/magic.tsv.gz", "target"),
    Table("pmlb/mushroom.tsv", "target"),
    Table("pmlb/optdigits.tsv.gz", "target"),
    Table("pmlb/page_blocks.tsv", "target"),
    Table("pmlb/satimage.tsv.gz", "target"),
    Table("pmlb/vehicle.tsv", "target"),
    Table("pmlb/waveform_40.tsv.gz", "target"),
]


# ------------------------------------------------------------------ the rows of a job


@dataclass(frozen=True)
class Job:
    """One table under one seed: the files are in `folder`, the truth stays here."""

    folder: Path
    target: str
    task: Task
    truth: np.ndarray  # of the test rows
    num_learn: int
    num_columns: int


def make_job(table: Table, tables: Path, seed: int, max_rows: int | None, folder: Path) -> Job:
    """Read, split, and write the parts as everyone takes them."""
    settings = make_settings(target=table.target, seed=seed)
    raw = read(tables / table.file, settings)
    absent = [name for name in table.remove if name not in raw.table.column_names]
    if absent:
        raise SystemExit(f"{table.file} has no columns {absent} to remove")
    rows = raw.table.drop_columns(list(table.remove)) if table.remove else raw.table
    if max_rows is not None and rows.num_rows > max_rows:
        chosen = np.random.default_rng(seed).permutation(rows.num_rows)[:max_rows]
        rows = rows.take(pa.array(np.sort(chosen)))
    if isinstance(table.target, int):
        settings = make_settings(target=raw.table.column_names[table.target - (table.target > 0)], seed=seed)
    raw = Raw(raw.source, rows, raw.decisions, raw.warnings, raw.has_header)
    task, _, _ = choose_task(raw, settings)
    parts, _, _ = split(raw, task, settings)
    learn, test = np.sort(np.concatenate([parts.train, parts.validation])), parts.test
    targets, _ = encode_target(rows.column(task.target), task)

    for name, part in (("learn", learn), ("test", test)):
        options = pa_csv.WriteOptions(quoting_style="needed")
        pa_csv.write_csv(rows.take(pa.array(part)), folder / f"{name}.csv", options)
    features = typed(rows.drop_columns([task.target]), learn)
    features = features.append_column("target", pa.array(targets))
    for name, part in (("learn", learn), ("test", test)):
        pq.write_table(features.take(pa.array(part)), folder / f"{name}.parquet")
    classes = [str(label) for label in task.classes]
    job = {"target": task.target, "kind": task.kind, "classes": classes, "num_classes": len(classes)}
    (folder / "job.json").write_text(json.dumps(job))
    return Job(folder, task.target, task, targets[test], len(learn), rows.num_columns - 1)


def typed(table: pa.Table, learn: np.ndarray) -> pa.Table:
    """Columns as a person would hand them to a library: numbers, parts of dates, categories. Columns that hold
    one value in the rows to learn from go: some rivals refuse them."""
    columns: dict[str, pa.Array] = {}
    for name in table.column_names:
        columns |= typed_column(name, table.column(name).combine_chunks())
    index = pa.array(learn)
    return pa.table({name: column for name, column in columns.items() if len(pc.unique(column.take(index))) > 1})


def typed_column(name: str, cells: pa.Array) -> dict[str, pa.Array]:
    """Float64 if every cell that is not missing is a number, year ... hour if each is a date, else text."""
    texts = cells.cast(pa.string())
    is_missing = pc.is_in(pc.utf8_lower(texts), pa.array(MISSING))
    texts = pc.if_else(is_missing, pa.scalar(None, pa.string()), texts)
    try:
        return {name: texts.cast(pa.float64())}
    except pa.ArrowInvalid:
        pass
    moments = as_moments(texts)
    if moments is None:
        return {name: texts}
    days = pc.divide(moments.cast(pa.int64()).cast(pa.float64()), 86_400.0)
    parts = {"year": pc.year, "month": pc.month, "weekday": pc.day_of_week, "hour": pc.hour}
    return {f"{name}:days": days} | {f"{name}:{key}": part(moments).cast(pa.float64()) for key, part in parts.items()}


def as_moments(texts: pa.Array) -> pa.Array | None:
    """Timestamps, if every text is one, as ISO or as Americans or Europeans write dates."""
    try:
        return texts.cast(pa.timestamp("s"))
    except pa.ArrowInvalid:
        pass
    for pattern in ("%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y"):
        moments = pc.strptime(texts, format=pattern, unit="s", error_is_null=True)
        if moments.null_count == texts.null_count:
            return moments
    return None


# ------------------------------------------------------------------ one method


def run_method(method: str, job: Job, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """The scores and seconds of one method; a method that fails or takes too long says so in `error`."""
    is_ours = method not in (*IN_OUR_VENV, *IN_PEERS_VENV)
    python = arguments.peers_python if method in IN_PEERS_VENV else sys.executable
    assignments = arguments.set if is_ours and method == arguments.name else []
    script = HERE / ("ours.py" if is_ours else "peers.py")
    began = time.perf_counter()
    found = run_child([python, str(script), method, str(job.folder), str(seed), *assignments], arguments.time_out)
    found["process_s"] = time.perf_counter() - began
    if "error" in found:
        return found
    answers = np.load(job.folder / f"{method}.npy")
    found["scores"] = score(job.task.kind, job.truth, answers)
    if is_ours and not arguments.no_whole:
        found["whole_s"] = whole_command(job, seed, assignments)
    return found


def run_child(command: list[str], time_out: float) -> dict[str, Any]:
    """The JSON on the last line that a process prints."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=time_out)
    except subprocess.TimeoutExpired:
        return {"error": f"more than {time_out:g} s"}
    if done.returncode:
        return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1][:300]}
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def whole_command(job: Job, seed: int, assignments: list[str]) -> float:
    """Seconds of `nudge train` as a user types it: start, reading, training, baselines, report."""
    command = [sys.executable, "-m", "nudgenet", "train", str(job.folder / "learn.csv"), "--target", job.target]
    command += ["--test", str(job.folder / "test.csv"), "--seed", str(seed), "--quiet"]
    command += [word for assignment in assignments for word in ("--set", assignment)]
    with tempfile.TemporaryDirectory() as runs:
        began = time.perf_counter()
        subprocess.run([*command, "--runs", runs], check=True, capture_output=True)
        return time.perf_counter() - began


def matrix_rate() -> float:
    """Floating-point operations per second in a large float32 matrix product with all threads: the best of 20."""
    import torch

    size = 1024
    one, other = torch.randn(size, size), torch.randn(size, size)
    seconds = []
    for _ in range(20):
        began = time.perf_counter()
        torch.mm(one, other)
        seconds.append(time.perf_counter() - began)
    return 2 * size**3 / min(seconds)


# ------------------------------------------------------------------ all of them


def run_all(arguments: argparse.Namespace) -> None:
    """Every table, seed and method that the results lack."""
    done = {key_of(record) for record in load_results(arguments.results) if record["method"] not in arguments.again}
    rate = matrix_rate()
    for table in TABLES:
        for seed in arguments.seeds:
            wanted = [name for name in arguments.methods if (table.name, seed, name, arguments.max_rows) not in done]
            if (arguments.tables and table.name not in arguments.tables) or not wanted:
                continue
            with tempfile.TemporaryDirectory() as folder:
                job = make_job(table, arguments.data / "tables", seed, arguments.max_rows, Path(folder))
                for method in wanted:
                    record = {"table": table.name, "seed": seed, "method": method, "max_rows": arguments.max_rows}
                    record |= {
                        "kind": job.task.kind,
                        "rows": job.num_learn + len(job.truth),
                        "columns": job.num_columns,
                    }
                    record |= {"load": os.getloadavg()[0], "date": time.strftime("%Y-%m-%d"), "matrix_rate": rate}
                    record |= run_method(method, job, seed, arguments)
                    with arguments.results.open("a") as results:
                        results.write(json.dumps(record) + "\n")
                    print(brief(record), flush=True)


def brief(record: dict[str, Any]) -> str:
    """One line about one result."""
    start = f"{record['table']:18} seed {record['seed']} {record['method']:12}"
    if "error" in record:
        return f"{start} {record['error']}"
    scores = "  ".join(f"{name} {value:.4g}" for name, value in record["scores"].items())
    return f"{start} fit {record['fit_s']:7.2f} s  {scores}  (load {record['load']:.1f})"


def key_of(record: dict[str, Any]) -> tuple[str, int, str, int | None]:
    """What makes a result one of its own."""
    return record["table"], record["seed"], record["method"], record["max_rows"]


def load_results(path: Path) -> list[dict[str, Any]]:
    """The results in a file; of those with the same key, the last."""
    if not path.exists():
        return []
    records = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return list({key_of(record): record for record in records}.values())


def show_versions(arguments: argparse.Namespace) -> None:
    """What runs here."""
    scripts = {"ours": [sys.executable, str(HERE / "ours.py")]}
    if arguments.peers_python:
        scripts["peers"] = [arguments.peers_python, str(HERE / "peers.py")]
    for name, command in scripts.items():
        found = run_child([*command, "versions"], 300)
        print(f"{name}: " + ", ".join(f"{package} {number}" for package, number in found.items()))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{os.cpu_count()} processors, load average {load}, {time.strftime('%Y-%m-%d')}")


def parse_arguments() -> argparse.Namespace:
    """The command line, with lists for what is separated by commas."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words = {"type": lambda text: [word for word in text.split(",") if word]}
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--results", type=Path, default=Path(tempfile.gettempdir()) / "nudgenet-tables.jsonl")
    parser.add_argument("--methods", default=[OURS, *IN_OUR_VENV], **words)
    parser.add_argument("--tables", default=[], **words)
    parser.add_argument("--seeds", type=lambda text: [int(word) for word in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--max-rows", type=int, help="a random part of larger tables")
    parser.add_argument("--peers-python", help="the python of the rivals' venv")
    parser.add_argument("--time-out", type=float, default=3600, help="seconds for one method on one table")
    parser.add_argument("--again", default=[], **words)
    parser.add_argument("--set", action="append", default=[], help="a setting of nudgenet")
    parser.add_argument("--as", dest="name", default=OURS, help="what nudgenet is called in the results")
    parser.add_argument("--no-whole", action="store_true", help="leave out the timing of the whole command")
    parser.add_argument("--summary", action="store_true", help="run nothing, show what there is")
    arguments = parser.parse_args()
    if arguments.name not in arguments.methods:
        arguments.methods = [arguments.name if method == OURS else method for method in arguments.methods]
    unknown = set(arguments.methods) - {arguments.name, OURS, *IN_OUR_VENV, *IN_PEERS_VENV}
    if unknown or (set(arguments.tables) - {table.name for table in TABLES}):
        parser.error(f"unknown: {unknown or set(arguments.tables) - {table.name for table in TABLES}}")
    if set(arguments.methods) & set(IN_PEERS_VENV) and not arguments.peers_python:
        parser.error(f"{', '.join(IN_PEERS_VENV)} need --peers-python")
    if arguments.set and arguments.name == OURS:
        parser.error("results with --set need a name of their own: --as NAME")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    show_versions(arguments)
    if not arguments.summary:
        run_all(arguments)
    records = [record for record in load_results(arguments.results) if record["max_rows"] == arguments.max_rows]
    if arguments.tables:
        records = [record for record in records if record["table"] in arguments.tables]
    show(records, arguments.name)


if __name__ == "__main__":
    main()
