"""What the results of `tables.py` come to: scores, mean ranks, time ratios, memory, times above the floor."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from scipy.stats import rankdata

from nudgenet.scoring.metrics import LOWER_IS_BETTER

Record = dict[str, Any]
SHOWN = {
    "binary": ("accuracy", "auc", "log_loss", "f1"),
    "multiclass": ("accuracy", "log_loss", "f1"),
    "regression": ("rmse", "r2"),
}
RANKED = {  # a name for a ranking -> the metric of each kind of task that it looks at
    "log loss, rmse": {"binary": "log_loss", "multiclass": "log_loss", "regression": "rmse"},
    "accuracy, rmse": {"binary": "accuracy", "multiclass": "accuracy", "regression": "rmse"},
    "auc": {"binary": "auc"},
    "rmse": {"regression": "rmse"},
    "log loss": {"binary": "log_loss", "multiclass": "log_loss"},
}


def show(records: list[Record], ours: str) -> None:
    """Print everything as Markdown tables."""
    failed = [record for record in records if "error" in record]
    records = [record for record in records if "error" not in record]
    methods = sorted({record["method"] for record in records}, key=lambda name: (name != ours, name))
    if not methods:
        print("no results")
        return
    show_scores(records, methods)
    show_seconds(records, methods)
    show_ranks(records, methods)
    if ours in methods:
        show_ratios(records, methods, ours)
        show_linear(records, ours)
        show_floor([record for record in records if record["method"] == ours])
    for record in failed:
        print(f"failed: {record['table']} seed {record['seed']} {record['method']}: {record['error']}")


def show_scores(records: list[Record], methods: list[str]) -> None:
    """Mean and standard deviation over the seeds; the best mean is bold."""
    rows = []
    for table, alike in by(records, "table").items():
        first = alike[0]
        for metric in SHOWN[first["kind"]]:
            values = {method: values_of(alike, method, metric) for method in methods}
            means = {method: statistics.mean(found) for method, found in values.items() if found}
            if not means:
                continue
            best = min(means.values()) if metric in LOWER_IS_BETTER else max(means.values())
            cells = [spread(values[method], bold=means.get(method) == best) for method in methods]
            rows.append([table, f"{first['rows']:,} x {first['columns']}", metric, *cells])
    print_table("Test scores, mean and standard deviation over the seeds", ["table", "rows", "metric", *methods], rows)


def show_seconds(records: list[Record], methods: list[str]) -> None:
    """Mean seconds of fitting, and of ours the loop alone and the whole command."""
    rows = []
    for table, alike in by(records, "table").items():
        cells = [mean_cell(record["fit_s"] for record in alike if record["method"] == method) for method in methods]
        loop = mean_cell(record["network_s"] for record in alike if "network_s" in record)
        whole = mean_cell(record["whole_s"] for record in alike if "whole_s" in record)
        load = f"{statistics.mean(record['load'] for record in alike):.1f}"
        rows.append([table, *cells, loop, whole, load])
    header = ["table", *methods, "ours: loop alone", "ours: whole command", "load"]
    print_table("Seconds to fit", header, rows)
    peaks = []
    for table, alike in by(records, "table").items():
        of_method = by(alike, "method")
        cells = [mean_cell((extra_memory(record) for record in of_method.get(name, [])), "{:.0f}") for name in methods]
        peaks.append([table, *cells])
    print_table("Peak memory above that after imports, MB", ["table", *methods], peaks)


def show_ranks(records: list[Record], methods: list[str]) -> None:
    """Mean rank over the tables that every method has: 1 is the best; scores are means over the seeds."""
    rows = []
    for name, metrics in RANKED.items():
        ranks: dict[str, list[float]] = defaultdict(list)
        for alike in by(records, "table").values():
            metric = metrics.get(alike[0]["kind"], "")
            values = [values_of(alike, method, metric) for method in methods]
            if not metric or not all(values):
                continue
            sign = 1 if metric in LOWER_IS_BETTER else -1
            for method, rank in zip(
                methods, rankdata([sign * statistics.mean(found) for found in values]), strict=True
            ):
                ranks[method].append(float(rank))
        if ranks:
            cells = [f"{statistics.mean(ranks[method]):.2f}" for method in methods]
            rows.append([name, str(len(ranks[methods[0]])), *cells])
    print_table("Mean rank", ["by", "tables", *methods], rows)


def show_ratios(records: list[Record], methods: list[str], ours: str) -> None:
    """Median over tables and seeds of our seconds divided by theirs."""
    pairs = {(record["table"], record["seed"]): record for record in records if record["method"] == ours}
    rows = []
    for method in methods:
        both = [
            (pairs[key], record)
            for record in records
            if record["method"] == method != ours and (key := (record["table"], record["seed"])) in pairs
        ]
        if both:
            rows.append(
                [
                    method,
                    str(len(both)),
                    ratio_cell(mine["network_s"] / other["fit_s"] for mine, other in both),
                    ratio_cell(mine["fit_s"] / other["fit_s"] for mine, other in both),
                    ratio_cell(mine["whole_s"] / other["fit_s"] for mine, other in both if "whole_s" in mine),
                ]
            )
    header = ["ours / theirs", "pairs", "loop alone / fit", "read, prepare, train / fit", "whole command / fit"]
    print_table("Time ratios, median (smallest to largest)", header, rows)


def show_linear(records: list[Record], ours: str) -> None:
    """Tables on which the linear model is better, with the spread of the difference over the seeds."""
    for table, alike in by(records, "table").items():
        for metric in dict.fromkeys(RANKED["log loss, rmse"].values()):
            mine, linear = (seeds_of(alike, method, metric) for method in (ours, "linear"))
            losses = [mine[seed] - linear[seed] for seed in mine.keys() & linear.keys()]
            if losses and statistics.mean(losses) > 0:
                differences = ", ".join(f"{loss:.3g}" for loss in sorted(losses))
                print(f"linear is better on {table}: {metric} lower by {differences}")


def show_floor(records: list[Record]) -> None:
    """The loop's seconds against 6 x multiply-adds x rows x epochs at the machine's rate of matrix products."""
    rows, times = [], []
    rate = max(record["matrix_rate"] for record in records)  # a busy machine measures less than it can
    for table, alike in by(records, "table").items():
        above = [record["network_s"] / floor_s(record, rate) for record in alike]
        times += above
        first = alike[0]
        speed = statistics.mean(record["steps"] / record["network_s"] for record in alike)
        verdicts = ", ".join(sorted({record["verdict"] for record in alike}))
        epochs = f"{statistics.mean(record['epochs'] for record in alike):.0f}"
        figures = [f"{first['parameters']:,}", f"{first['multiply_adds']:,.0f}", str(first["batch_size"])]
        rows.append([table, *figures, str(first["threads"]), epochs, f"{speed:,.0f}", ratio_cell(above), verdicts])
    header = [
        "table",
        "knobs",
        "multiply-adds",
        "batch",
        "threads",
        "epochs",
        "steps/s",
        "times above the floor",
        "verdict",
    ]
    print_table(f"Ours against the floor ({rate / 1e9:.0f} GFLOP/s in float32 matrix products)", header, rows)
    print(f"times above the floor: {ratio_cell(times)}")


def floor_s(record: Record, rate: float) -> float:
    """Seconds that the matrix products alone need: 2 operations per multiply-add, forward, and twice that backward."""
    return 6 * record["multiply_adds"] * record["rows_train"] * record["epochs"] / rate


# ------------------------------------------------------------------ helpers


def by(records: Iterable[Record], key: str) -> dict[str, list[Record]]:
    """Records by one of their fields, in the order of their appearance."""
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        groups[record[key]].append(record)
    return groups


def seeds_of(records: list[Record], method: str, metric: str) -> dict[int, float]:
    """Seed -> score."""
    return {
        record["seed"]: record["scores"][metric]
        for record in records
        if record["method"] == method and metric in record["scores"]
    }


def values_of(records: list[Record], method: str, metric: str) -> list[float]:
    """The scores of all seeds."""
    return list(seeds_of(records, method, metric).values())


def extra_memory(record: Record) -> float:
    """Megabytes at the peak beyond those after the imports and the reading of the rivals' rows."""
    return max(0.0, record["memory_peak_mb"] - record["memory_before_mb"])


def spread(values: list[float], *, bold: bool) -> str:
    """`0.91 ± 0.02`."""
    if not values:
        return ""
    text = f"{statistics.mean(values):.4g}"
    text = f"**{text}**" if bold else text
    return text + (f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else "")


def mean_cell(values: Iterable[float], form: str = "{:.2f}") -> str:
    """The mean, or nothing."""
    found = list(values)
    return form.format(statistics.mean(found)) if found else ""


def ratio_cell(values: Iterable[float], middle: Callable[[list[float]], float] = statistics.median) -> str:
    """`2.1 (0.5 to 8)`."""
    found = list(values)
    return f"{middle(found):.3g} ({min(found):.2g} to {max(found):.2g})" if found else ""


def print_table(title: str, header: list[str], rows: list[list[str]]) -> None:
    """Markdown."""
    print(f"\n{title}\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
