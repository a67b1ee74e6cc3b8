"""The surface is a contract: what is frozen here changes only on purpose, and with the design."""

from __future__ import annotations

import ast
import inspect
import json
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer

import nudgenet
from nudgenet.cli import app

Nudge = Callable[..., tuple[int, str, str]]
QUICK = ("--set", "epochs=2", "--no-baselines")

COMMANDS = {
    "train": {"source", "--target", "--runs", "--name", "--seed", "--time-limit", "--test", "--set", "--from"}
    | {"--baselines", "--no-baselines", "--open", "--json", "--quiet", "-q"},
    "page": {"--runs", "--no-open", "--port", "--host"},
    "resume": {"run", "--runs", "--json", "--quiet", "-q"},
    "predict": {"run", "source", "--output", "-o", "--runs", "--quiet", "-q"},
    "show": {"run", "--runs", "--json"},
    "runs": {"--runs", "--json"},
    "export": {"run", "path", "--format", "--runs", "--quiet", "-q"},
    "demo": {"--runs", "--json", "--quiet", "-q"},
}
METRICS = {
    "regression": {"rmse", "mae", "r2"},
    "binary": {"accuracy", "auc", "f1", "log_loss"},
    "multiclass": {"accuracy", "auc", "f1", "log_loss"},
}
STATES = {"good_fit", "overfitting", "underfitting", "not_learning", "diverged", "too_noisy"}


# ------------------------------------------------------------------ the command line


def test_the_commands_and_their_options() -> None:
    command: Any = typer.main.get_command(app)
    found = {
        name: {option for parameter in sub.params for option in (*parameter.opts, *parameter.secondary_opts)}
        for name, sub in command.commands.items()
    }
    for name, options in COMMANDS.items():
        assert options <= found[name], f"{name} lost {options - found[name]}"


def test_defaults_of_train() -> None:
    command: Any = typer.main.get_command(app)
    defaults = {parameter.name: parameter.default for parameter in command.commands["train"].params}
    assert (defaults["seed"], str(defaults["runs"]), defaults["target"]) == (0, "runs", None)


def test_help_and_version(nudge: Nudge) -> None:
    code, out, err = nudge("--help")
    assert code == 0 and err == "" and all(name in out for name in COMMANDS)
    assert nudge() == (0, out, "")
    assert nudge("--version") == (0, f"nudgenet {nudgenet.__version__}\n", "")
    for name in COMMANDS:
        code, out, err = nudge(name, "--help")
        assert code == 0 and out.startswith(f"Usage: nudge {name}") and err == ""


def test_help_loads_no_torch() -> None:
    """`--help` is quick because it loads nothing heavy; so is `import nudgenet`."""
    code = "import sys, nudgenet; from nudgenet.cli import run_command; run_command(['--help']); print([m for m in "
    code += "('torch', 'sklearn', 'pandas', 'duckdb', 'pyarrow', 'numpy') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0 and result.stdout.splitlines()[-1] == "[]"


def test_the_json_line(nudge: Nudge, houses: Path, tmp_path: Path) -> None:
    code, out, err = nudge("train", houses, "--target", "dear", "--runs", tmp_path / "r", "--json", "--set", "epochs=2")
    assert code == 0
    assert len(out.splitlines()) == 1, "the standard output holds the JSON line and nothing else"
    assert "Report" in err, "what is for people goes to stderr"
    check_summary(json.loads(out), "binary", "dear", Path(tmp_path / "r"))
    assert set(json.loads(out)["baselines"]) == {"majority", "linear", "boosting"}


def test_quiet_prints_the_json_line_only(nudge: Nudge, houses: Path, tmp_path: Path) -> None:
    code, out, err = nudge("train", houses, "--target", "price", "--runs", tmp_path, "--quiet", "--json", *QUICK)
    assert (code, err) == (0, "")
    check_summary(json.loads(out), "regression", "price", tmp_path)
    code, out, err = nudge("train", houses, "--target", "price", "--runs", tmp_path, "--quiet", *QUICK)
    assert (code, out, err) == (0, "", "")


def check_summary(summary: dict[str, Any], task: str, target: str, runs: Path) -> None:
    """Every key of the JSON line and its type."""
    assert set(summary) == {
        "run", "task", "target", "rows", "metric", "metrics", "interval", "baselines", "calibration", "threshold",
        "verdict", "decisions", "parameters", "epochs", "seconds",
    }  # fmt: skip
    assert summary["metric"] in METRICS[task]
    low, high = summary["interval"]
    assert low <= summary["metrics"]["test"][summary["metric"]] <= high
    if task == "regression":
        assert summary["calibration"] is None
    else:
        assert set(summary["calibration"]) == {"temperature", "ece"}
        assert isinstance(summary["calibration"]["temperature"], float)
        errors = [
            summary["calibration"]["ece"][part][when] for part in ("validation", "test") for when in ("before", "after")
        ]
        assert all(0 <= error <= 1 for error in errors)
    if task == "binary":
        assert set(summary["threshold"]) == {"class", "above"} and 0 < summary["threshold"]["above"] < 1
    else:
        assert summary["threshold"] is None
    assert (summary["task"], summary["target"]) == (task, target)
    assert Path(summary["run"]).parent == runs and Path(summary["run"]).is_dir()
    assert set(summary["rows"]) == {"train", "validation", "test"}
    assert all(isinstance(count, int) and count > 0 for count in summary["rows"].values())
    check_scores(summary["metrics"], task)
    for name, scores in summary["baselines"].items():
        assert name in ("majority", "mean", "linear", "boosting")
        check_scores(scores, task)
    verdict = summary["verdict"]
    assert set(verdict) == {"state", "best_epoch", "reason", "advice"}
    assert verdict["state"] in STATES and isinstance(verdict["best_epoch"], int) and verdict["reason"]
    for advice in verdict["advice"]:
        assert set(advice) == {"text", "setting", "value"} and isinstance(advice["text"], str)
    assert summary["decisions"]
    for decision in summary["decisions"]:
        assert set(decision) == {"what", "chosen", "why", "override"}
        assert all(isinstance(value, str) for value in decision.values()) and decision["what"] and decision["chosen"]
    assert isinstance(summary["parameters"], int) and isinstance(summary["epochs"], int)
    assert all(isinstance(value, float) and value >= 0 for value in summary["seconds"].values())
    assert "total" in summary["seconds"]


def check_scores(scores: dict[str, dict[str, float]], task: str) -> None:
    assert set(scores) == {"validation", "test"}
    for part in scores.values():
        assert set(part) == METRICS[task] and all(isinstance(value, float) for value in part.values())


@pytest.mark.parametrize("kind", list(METRICS))
def test_every_task_gives_the_same_summary(quick_runs: dict[str, Path], kind: str) -> None:
    path = quick_runs[kind]
    target = {"regression": "price", "binary": "dear", "multiclass": "city"}[kind]
    check_summary(nudgenet.load(path).summary, kind, target, path.parent)


def test_no_decision_ends_where_a_value_should_stand(quick_runs: dict[str, Path]) -> None:
    """What overrides a choice can be typed as it stands: no `--set patience=` without a value."""
    for path in quick_runs.values():
        for decision in nudgenet.load(path).decisions:
            assert not re.search(r"=(,|\s|$)|\.\.\.", decision.override), decision


def test_names_of_runs(nudge: Nudge, houses: Path, tmp_path: Path) -> None:
    arguments = ("train", houses, "--target", "price", "--runs", tmp_path / "runs", "--quiet", *QUICK)
    assert nudge(*arguments)[0] == nudge(*arguments)[0] == 0
    names = [path.name for path in (tmp_path / "runs").iterdir()]
    assert len(names) == 2 and all(re.fullmatch(r"houses-\d{8}-\d{6}(-\d+)?", name) for name in names)
    assert nudge(*arguments, "--name", "mine")[0] == 0 and (tmp_path / "runs" / "mine" / "DONE").is_file()
    before = (tmp_path / "runs" / "mine" / "settings.json").read_bytes()
    code, _, err = nudge(*arguments, "--name", "mine")
    assert code == 2 and "There is already a run with this name" in err
    assert (tmp_path / "runs" / "mine" / "settings.json").read_bytes() == before


def test_predictions(nudge: Nudge, quick_runs: dict[str, Path], tmp_path: Path) -> None:
    rows = quick_runs["binary"].parent.parent / "houses.csv"
    num_rows = len(rows.read_text().splitlines()) - 1
    for kind, names in (
        ("regression", ["prediction"]),
        ("binary", ["prediction", "probability_no", "probability_yes"]),
        ("multiclass", ["prediction", "probability_Bern", "probability_Lyon", "probability_Turin"]),
    ):
        code, out, _ = nudge("predict", quick_runs[kind], rows)
        lines = out.splitlines()
        assert code == 0 and lines[0].split(",") == names and len(lines) == num_rows + 1
        assert re.fullmatch(r"-?\d+(\.\d+)?|yes|no|Bern|Lyon|Turin", lines[1].split(",")[0])
    for ending in (".csv", ".parquet", ".jsonl"):
        output = tmp_path / f"answers{ending}"
        code, out, err = nudge("predict", quick_runs["binary"], rows, "--output", output)
        assert (code, out) == (0, "") and f"{num_rows} predictions in" in err and output.stat().st_size
    assert pq.read_table(tmp_path / "answers.parquet").column_names[0] == "prediction"
    assert json.loads((tmp_path / "answers.jsonl").read_text().splitlines()[0])["prediction"] in ("yes", "no")


def test_show_runs_and_resume(nudge: Nudge, quick_runs: dict[str, Path]) -> None:
    path = quick_runs["binary"]
    for run in ((path,), (path.name, "--runs", path.parent)):
        code, out, _ = nudge("show", *run)
        assert code == 0 and "report.html" in out and "accuracy" in out
        code, out, _ = nudge("show", *run, "--json")
        check_summary(json.loads(out), "binary", "dear", path.parent)
        code, out, _ = nudge("resume", *run, "--json")
        assert code == 0 and json.loads(out) == nudgenet.load(path).summary, "a finished run has nothing to go on with"
    code, out, _ = nudge("runs", "--runs", path.parent)
    assert code == 0 and all(kind in out for kind in quick_runs)
    code, out, _ = nudge("runs", "--runs", path.parent, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert {row["name"] for row in rows} == set(quick_runs) and all(row["state"] == "done" for row in rows)


# ------------------------------------------------------------------ a run's folder


def test_a_run_is_a_folder(quick_runs: dict[str, Path]) -> None:
    path = quick_runs["regression"]
    files = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    snapshots = {name for name in files if re.fullmatch(r"snapshots/\d{9}\.safetensors", name)}
    assert "snapshots/000000000.safetensors" in snapshots, "and how many more depends on the machine"
    assert files - snapshots == {
        "settings.json", "decisions.json", "data.json", "preparation.json", "preparation.safetensors",
        "answers.json", "metrics.sqlite", "checkpoints/state.safetensors", "test_predictions.parquet", "report.html",
        "DONE",
    }, "no copy of a file source, and the database is one plain file"  # fmt: skip
    for name in ("settings.json", "decisions.json", "data.json", "answers.json"):
        assert json.loads((path / name).read_text())["format"] == 1
    assert json.loads((path / "preparation.json").read_text())["format_version"] == 1
    data = json.loads((path / "data.json").read_text())
    assert data["source"]["kind"] == "file" and len(data["source"]["fingerprint"]) == 64
    assert {"train", "validation", "test", "sha256"} == set(data["split"])
    stored = json.loads((path / "settings.json").read_text())
    assert {"created", "versions", "settings", "chosen", "own_functions", "command"} <= set(stored)
    with sqlite3.connect(path / "metrics.sqlite") as database:
        assert database.execute("select count(*) from epochs").fetchone() == (3,)
    predictions = pq.read_table(path / "test_predictions.parquet")
    assert predictions.column_names == ["row", "actual", "prediction", "loss"]
    assert predictions.num_rows == nudgenet.load(path).summary["rows"]["test"]


def test_the_printed_command_makes_the_same_run(nudge: Nudge, houses: Path, tmp_path: Path) -> None:
    given = ("--set", "kinds=age:category", "--set", "ignore=sold,id", "--set", "epochs=2", "--no-baselines")
    assert nudge("train", houses, "--target", "dear", "--seed", 3, "--runs", tmp_path, "--name", "a", *given)[0] == 0
    command = shlex.split(json.loads((tmp_path / "a" / "settings.json").read_text())["command"])
    assert command[0] == "nudge"
    assert nudge(*command[1:], "--runs", tmp_path, "--name", "b")[0] == 0
    first, second = (nudgenet.load(tmp_path / name) for name in "ab")
    assert first.metrics == second.metrics and first.settings == second.settings


# ------------------------------------------------------------------ Python


def test_the_python_names() -> None:
    assert nudgenet.__all__ == sorted(nudgenet.__all__) == dir(nudgenet)
    assert {"train", "load", "resume", "watch", "Run", "NetworkClassifier", "NetworkRegressor", "Settings"} <= set(
        dir(nudgenet)
    )
    assert {"UserError", "Interrupted", "NudgeError", "DataWarning"} <= set(dir(nudgenet))
    for name in nudgenet.__all__:
        assert getattr(nudgenet, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'tarin'"):
        _ = nudgenet.tarin
    parameters = list(inspect.signature(nudgenet.train).parameters)
    assert parameters[:2] == ["source", "target"] and parameters[-1] == "settings"


def test_what_a_run_has(quick_runs: dict[str, Path]) -> None:
    run = nudgenet.load(quick_runs["binary"])
    for name in ("metrics", "verdict", "epochs", "decisions", "classes", "network", "warnings", "settings", "report"):
        assert hasattr(run, name)
    assert run.classes == ["no", "yes"] and len(run.epochs) == 3 and run.report.is_file()


def test_the_dependencies_are_what_is_imported() -> None:
    """Every library that the package imports is named in its metadata."""
    root = Path(nudgenet.__file__).parent
    project = tomllib.loads((root.parents[1] / "pyproject.toml").read_text())["project"]
    lines = [
        *project["dependencies"],
        *(
            line
            for name in ("excel", "images", "lora", "notebook", "page", "pretrained", "sounds")
            for line in project["optional-dependencies"][name]
        ),
    ]
    named = {re.split(r"[<>=!~;\s\[]", line)[0].lower() for line in lines}
    imported = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                imported.add(str(node.module).split(".")[0])
    libraries = imported - set(sys.stdlib_module_names) - {"nudgenet"}
    homes = packages_distributions()
    unnamed = {name for name in libraries if not {home.lower() for home in homes.get(name, [name])} & named}
    assert unnamed <= {"IPython"}, "imported without being a dependency"


def test_a_module_runs_as_the_command() -> None:
    result = subprocess.run([sys.executable, "-m", "nudgenet", "--version"], capture_output=True, text=True, timeout=60)
    assert result.stdout == f"nudgenet {nudgenet.__version__}\n" and result.returncode == 0
    assert shutil.which("nudge", path=str(Path(sys.executable).parent))
