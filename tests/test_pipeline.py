"""The story from end to end: each kind of task, honesty, the same seed, own functions, and every kind of source."""

from __future__ import annotations

import csv
import errno
import shlex
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

import nudgenet
from conftest import train_until, write_houses
from nudgenet import bookkeeping, pipeline
from nudgenet.data.given_test import read_with_test
from nudgenet.errors import RunError, SettingError, UserError
from nudgenet.job import Log, Table
from nudgenet.networks.encoding import learn_pieces
from nudgenet.observer import Silent
from nudgenet.runs.checkpoint import load_checkpoint
from nudgenet.settings import make_settings
from nudgenet.training.loop import fit

pytestmark = pytest.mark.filterwarnings("ignore::nudgenet.errors.DataWarning")  # tests/test_run.py is about them
QUICK: dict[str, Any] = {"epochs": 3, "batch_size": 32, "baselines": False}


class Listener(Silent):
    """Remembers what it was warned about."""

    def __init__(self) -> None:
        self.warnings = list[str]()

    def warning(self, text: str) -> None:
        self.warnings.append(text)


def weights(path: Path) -> dict[str, Tensor]:
    """Everything that the checkpoint holds: weights, optimizer, best weights."""
    return load_checkpoint(path / "checkpoints" / "state.safetensors")[0]


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def curves(run: nudgenet.Run) -> list[Any]:
    """All that was recorded of the epochs, without the clock."""
    from dataclasses import replace

    return [replace(epoch, seconds=0.0) for epoch in run.epochs]


# ------------------------------------------------------------------ each task


@pytest.mark.parametrize(
    ("target", "kind", "metric", "at_least"),
    [("price", "regression", "r2", 0.7), ("dear", "binary", "auc", 0.9), ("city", "multiclass", "accuracy", 0.3)],
)
def test_each_task_from_end_to_end(
    houses: Path, tmp_path: Path, target: str, kind: str, metric: str, at_least: float
) -> None:
    other = "price" if target == "dear" else "dear"
    run = nudgenet.train(
        houses, target, runs=tmp_path, epochs=60, learning_rate=1e-2, baselines=False, ignore=other, patience=60
    )
    assert run.task.kind == kind and run.is_done
    assert run.metrics["test"][metric] > at_least
    assert run.epochs[-1].train_loss < run.epochs[0].train_loss
    answers = run.predict(houses)
    assert answers.shape == (240,)
    if kind != "regression":
        assert set(answers) <= set(run.classes)
        np.testing.assert_allclose(run.predict_proba(houses).sum(axis=1), 1, atol=1e-6)
    html = run.report.read_text()
    assert (
        html.startswith("<!doctype html>") and target in html and "http://" not in html.replace("http://www.w3.org", "")
    )


def test_the_scores_are_those_of_the_saved_predictions(quick_runs: dict[str, Path]) -> None:
    run = nudgenet.load(quick_runs["regression"])
    saved = pq.read_table(run.path / "test_predictions.parquet").to_pandas()
    rmse = float(np.sqrt(((saved["actual"] - saved["prediction"]) ** 2).mean()))
    assert run.metrics["test"]["rmse"] == pytest.approx(rmse)
    table = pd.read_csv(run.path.parent.parent / "houses.csv")
    rows = table.iloc[saved["row"] - 1]
    np.testing.assert_allclose(rows["price"], saved["actual"])
    np.testing.assert_allclose(run.predict(rows), saved["prediction"], rtol=1e-5)


def test_counts_with_the_poisson_objective(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=300)
    table = pa.table({"x": x, "visits": random.poisson(np.exp(1 + 0.8 * x))})
    settings: dict[str, Any] = {"objective": "poisson", "task": "regression", "epochs": 80, "learning_rate": 1e-2}
    run = nudgenet.train(table, "visits", runs=tmp_path, baselines=False, **settings)
    answers = run.predict(table)
    assert (answers > 0).all() and run.metrics["test"]["r2"] > 0.4
    assert answers.mean() == pytest.approx(table["visits"].to_numpy().mean(), rel=0.25)
    with pytest.raises(SettingError, match="no target may be negative"):
        nudgenet.train(table, "x", runs=tmp_path, objective="poisson", epochs=1)


# ------------------------------------------------------------------ honesty


def write_days(path: Path, change: Callable[[np.ndarray, np.ndarray, list[str]], None] | None = None) -> Path:
    """A table with a day for each row, so that a split by time does not depend on anything else."""
    random = np.random.default_rng(5)
    x, kind = random.normal(size=200), [("a", "b", "c")[i % 3] for i in range(200)]
    y = 3 * x + np.array([{"a": 0.0, "b": 2.0, "c": 4.0}[name] for name in kind]) + random.normal(0, 0.3, 200)
    if change is not None:
        change(x, y, kind)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["day", "x", "kind", "y"])
        start = np.datetime64("2020-01-01")
        writer.writerows([start + i, f"{x[i]:.6g}", kind[i], f"{y[i]:.6g}"] for i in range(200))
    return path


def shake_held_out_rows(x: np.ndarray, y: np.ndarray, kind: list[str]) -> None:
    """Everything about the last 30 % of the rows is made wild: scales, new categories, targets."""
    x[140:] = np.linspace(-1e6, 1e6, 60)
    y[140:] = np.linspace(500, -500, 60)
    kind[140:] = [f"new {i}" for i in range(60)]


def prepared_by_time(path: Path) -> Table:
    settings = make_settings(target="y", time="day")
    return pipeline.prepare_table(partial(read_with_test, path, settings), settings, Log(Silent()))


def test_held_out_rows_leave_the_training_tensors_alone(tmp_path: Path) -> None:
    """Everything learned from data is learned from the training part only."""
    before = prepared_by_time(write_days(tmp_path / "a.csv"))
    after = prepared_by_time(write_days(tmp_path / "b.csv", shake_held_out_rows))
    np.testing.assert_array_equal(before.parts.train, after.parts.train)
    assert len(before.parts.train) == 140
    assert before.preparation == after.preparation
    for name, tensor in before.prepared.train.inputs.items():
        assert torch.equal(tensor, after.prepared.train.inputs[name])
    assert torch.equal(before.prepared.train.targets, after.prepared.train.targets)
    assert not torch.equal(before.prepared.test.targets, after.prepared.test.targets), "the rows did change"
    assert not torch.equal(before.prepared.test.inputs["numbers"], after.prepared.test.inputs["numbers"])


def test_held_out_rows_leave_the_trained_weights_alone(tmp_path: Path) -> None:
    """Validation rows choose among epochs; they never move a weight."""
    trained = []
    for name, change in (("a", None), ("b", shake_held_out_rows)):
        table = write_days(tmp_path / f"{name}.csv", change)
        run = nudgenet.train(table, "y", runs=tmp_path, name=name, time="day", patience=99, **QUICK)
        trained.append({key: tensor for key, tensor in weights(run.path).items() if key.startswith("network.")})
    assert trained[0] and same(*trained)


def test_test_rows_are_not_looked_at_in_training(tmp_path: Path) -> None:
    """With other test rows, everything but the test score is the same."""

    def shake_test_rows(x: np.ndarray, y: np.ndarray, kind: list[str]) -> None:
        x[175:], y[175:], kind[175:] = 1e6, -500, ["new"] * 25

    runs = [
        nudgenet.train(write_days(tmp_path / f"{name}.csv", change), "y", runs=tmp_path, name=name, time="day", **QUICK)
        for name, change in (("a", None), ("b", shake_test_rows))
    ]
    assert same(weights(runs[0].path), weights(runs[1].path))
    assert curves(runs[0]) == curves(runs[1]) and runs[0].verdict == runs[1].verdict
    assert runs[0].metrics["validation"] == runs[1].metrics["validation"]
    assert runs[0].metrics["test"] != runs[1].metrics["test"]


# ------------------------------------------------------------------ the same seed


def test_the_same_seed_gives_the_same_network(houses: Path, tmp_path: Path) -> None:
    def trained(name: str, seed: int) -> nudgenet.Run:
        return nudgenet.train(houses, "price", runs=tmp_path, name=name, seed=seed, **QUICK)

    first, second, other = trained("a", 1), trained("b", 1), trained("c", 2)
    assert same(weights(first.path), weights(second.path))
    assert curves(first) == curves(second) and first.metrics == second.metrics
    assert not same(weights(first.path), weights(other.path))


def test_the_caller_keeps_their_random_state_and_threads(houses: Path, tmp_path: Path) -> None:
    torch.manual_seed(7)
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    run = nudgenet.train(houses, "price", runs=tmp_path, seed=3, **QUICK)
    run.predict(houses)
    assert torch.equal(torch.get_rng_state(), before) and torch.get_num_threads() == threads


# ------------------------------------------------------------------ own functions


def absolute(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.squeeze(-1) - targets).abs()


def test_an_own_loss(houses: Path, tmp_path: Path) -> None:
    train_until(4, houses, "price", runs=tmp_path, name="own", objective=absolute, **QUICK)
    with pytest.raises(RunError, match="objective="):
        nudgenet.resume("own", runs=tmp_path)
    run = nudgenet.resume("own", runs=tmp_path, objective=absolute)
    whole = nudgenet.train(houses, "price", runs=tmp_path, name="whole", objective=absolute, **QUICK)
    assert same(weights(run.path), weights(whole.path)) and run.is_done
    plain = nudgenet.train(houses, "price", runs=tmp_path, name="plain", **QUICK)
    assert not same(weights(run.path), weights(plain.path))


def test_an_own_step(houses: Path, tmp_path: Path) -> None:
    from nudgenet.training.loop import step as textbook

    calls = []

    def counted(*arguments: Any) -> tuple[float, float]:
        calls.append(1)
        return textbook(*arguments)

    run = nudgenet.train(houses, "price", runs=tmp_path, name="own", step=counted, **QUICK)
    plain = nudgenet.train(houses, "price", runs=tmp_path, name="plain", **QUICK)
    assert len(calls) == run.epochs[-1].step and same(weights(run.path), weights(plain.path))


def test_a_loss_that_is_no_number_keeps_the_last_good_weights(houses: Path, tmp_path: Path) -> None:
    calls = []

    def breaking(outputs: Tensor, targets: Tensor) -> Tensor:
        calls.append(1)
        losses = absolute(outputs, targets)
        return losses * float("nan") if outputs.requires_grad and len(calls) > 20 else losses

    run = nudgenet.train(houses, "price", runs=tmp_path, objective=breaking, **(QUICK | {"epochs": 30}))
    assert run.verdict.state == "diverged" and "stopped being a finite number" in run.verdict.reason
    assert np.isfinite(run.predict(houses)).all()


# ------------------------------------------------------------------ test source, group, time, time limit


def test_a_test_source_in_the_home_folder(houses: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "given.csv").write_bytes(houses.read_bytes())
    train_until(3, houses, "price", runs=tmp_path, name="r", test="~/given.csv", **QUICK)
    monkeypatch.setenv("HOME", "/")  # it may go on elsewhere
    run = nudgenet.resume("r", runs=tmp_path, observer=Silent())
    assert run.settings.test == str(tmp_path / "given.csv") and run.summary["rows"]["test"] == 240


def test_a_given_test_source(houses: Path, tmp_path: Path) -> None:
    lines = houses.read_text().splitlines(keepends=True)
    own, given = tmp_path / "own.csv", tmp_path / "given.csv"
    own.write_text("".join(lines[:201]))
    given.write_text("".join([lines[0], *lines[201:]]))
    run = nudgenet.train(own, "price", runs=tmp_path, name="r", test=str(given), **QUICK)
    assert run.summary["rows"] == {"train": 170, "validation": 30, "test": 40}
    saved = pq.read_table(run.path / "test_predictions.parquet")
    assert saved["row"].to_pylist() == list(range(1, 41)), "rows are counted in the test source"
    actual = [float(line.split(",")[5]) for line in lines[201:]]
    assert saved["actual"].to_pylist() == actual
    given.write_text("".join([lines[0], *lines[202:]]))
    (run.path / "DONE").unlink()
    with pytest.raises(RunError, match="has changed"):
        nudgenet.resume("r", runs=tmp_path)


def test_groups_stay_together(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    table = pa.table(
        {"patient": np.repeat(np.arange(40), 5), "x": random.normal(size=200), "y": random.normal(size=200)}
    )
    run = nudgenet.train(table, "y", runs=tmp_path, group="patient", **QUICK)
    tested = pq.read_table(run.path / "test_predictions.parquet")["row"].to_numpy() - 1
    counts = np.bincount(table["patient"].to_numpy()[tested], minlength=40)
    assert set(counts) == {0, 5}
    assert "patient" not in [column.name for column in run.preparation.columns]


def test_the_future_is_the_test(tmp_path: Path) -> None:
    run = nudgenet.train(write_days(tmp_path / "days.csv"), "y", runs=tmp_path, time="day", **QUICK)
    assert pq.read_table(run.path / "test_predictions.parquet")["row"].to_pylist() == list(range(171, 201))


def test_a_time_limit(houses: Path, tmp_path: Path) -> None:
    settings = QUICK | {"epochs": 100_000, "patience": 100_000, "time_limit": "0.3s"}
    run = nudgenet.train(houses, "price", runs=tmp_path, **settings)
    assert run.is_done and 0 < len(run.epochs) < 100_000 and run.summary["seconds"]["train"] < 10
    assert np.isfinite(run.predict(houses)).all()


def test_a_time_limit_that_is_over_at_once(houses: Path, tmp_path: Path) -> None:
    run = nudgenet.train(houses, "price", runs=tmp_path, **(QUICK | {"time_limit": 1e-6}))
    assert run.is_done and np.isfinite(run.predict(houses)).all()


# ------------------------------------------------------------------ sources, and resuming from them


def frame_of(houses: Path) -> pd.DataFrame:
    return pd.read_csv(houses, parse_dates=["sold"])


SOURCES: dict[str, Callable[[Path], Any]] = {
    "file": lambda path: path,
    "text": str,
    "query": lambda path: f"SELECT * FROM '{path}' WHERE area > 0",
    "pandas": frame_of,
    "polars": pl.read_csv,
    "arrow": lambda path: pa.Table.from_pandas(frame_of(path)),
    "dict": lambda path: frame_of(path).to_dict("list"),
    "pair": lambda path: (frame_of(path).drop(columns="price"), frame_of(path)["price"]),
    "arrays": lambda path: (frame_of(path)[["area", "age"]].to_numpy(), frame_of(path)["dear"].to_numpy()),
}


@pytest.mark.parametrize("name", list(SOURCES))
def test_every_source_trains_and_resumes(houses: Path, tmp_path: Path, name: str) -> None:
    source = SOURCES[name](houses)
    target = None if name in ("pair", "arrays") else "price"
    train_until(7, source, target, runs=tmp_path, name="cut", **QUICK)
    is_file = name in ("file", "text")
    assert (tmp_path / "cut" / "data.parquet").exists() != is_file
    resumed = nudgenet.resume("cut", runs=tmp_path)
    whole = nudgenet.train(source, target, runs=tmp_path, name="whole", **QUICK)
    assert same(weights(resumed.path), weights(whole.path))
    assert curves(resumed) == curves(whole) and resumed.metrics == whole.metrics


def test_without_a_copy_of_its_rows_a_run_cannot_go_on(houses: Path, tmp_path: Path) -> None:
    train_until(3, frame_of(houses), "price", runs=tmp_path, name="r", keep_data=False, **QUICK)
    assert not (tmp_path / "r" / "data.parquet").exists()
    with pytest.raises(RunError, match="kept no copy"):
        nudgenet.resume("r", runs=tmp_path)
    assert len(nudgenet.load("r", tmp_path).predict(houses)) == 240


def test_a_source_that_has_changed_or_gone(houses: Path, tmp_path: Path) -> None:
    train_until(3, houses, "price", runs=tmp_path, name="r", **QUICK)
    content = houses.read_bytes()
    houses.write_bytes(content.replace(b"Bern", b"Basel"))
    with pytest.raises(RunError, match="has changed since this run began"):
        nudgenet.resume("r", runs=tmp_path)
    houses.unlink()
    with pytest.raises(UserError, match="The source of this run is gone"):
        nudgenet.resume("r", runs=tmp_path)
    houses.write_bytes(content)
    assert nudgenet.resume("r", runs=tmp_path).is_done


# ------------------------------------------------------------------ a disk that does not play along


@pytest.mark.parametrize("fail_after", [0, 1, 3, 5, 7])
def test_a_full_disk_is_one_line(
    houses: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fail_after: int
) -> None:
    """Whichever file is the one that does not fit any more."""
    import os

    real, calls = os.fsync, []

    def full(descriptor: int) -> None:
        calls.append(1)
        if len(calls) > fail_after:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"cannot be written.*No space left on device") as caught:
        nudgenet.train(frame_of(houses), "price", runs=tmp_path, name="r", **QUICK)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("runs", ["a-file", "/proc/runs", "a-file/below"])
def test_folders_that_cannot_be_written(houses: Path, tmp_path: Path, runs: str) -> None:
    (tmp_path / "a-file").write_text("")
    with pytest.raises(RunError, match="cannot be written") as caught:
        nudgenet.train(houses, "price", runs=tmp_path / runs, **QUICK)
    assert "\n" not in str(caught.value)


def test_the_same_thing_is_said_once(tmp_path: Path) -> None:
    rows = ["x,y"] + [f"{i},{'' if i % 10 == 0 else i * 1.5}" for i in range(100)]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    listener = Listener()
    nudgenet.train(tmp_path / "t.csv", "y", runs=tmp_path, observer=listener, **QUICK)
    assert [text for text in listener.warnings if "10" in text and "`y`" in text] == [
        "10 of 100 rows have no `y`: they cannot be learned from"
    ]


def test_a_copied_source_with_given_test_rows_goes_on(tmp_path: Path) -> None:
    """The copy in the run holds the test rows already: they are not put below it a second time."""
    train, test = write_houses(tmp_path / "train.csv"), write_houses(tmp_path / "test.csv", 60, seed=1)
    frame = pd.read_csv(train)
    options = {"test": str(test), "epochs": 3, "baselines": False, "runs": tmp_path}
    train_until(1, frame, "price", name="cut", **options)
    whole = nudgenet.train(frame, "price", name="whole", **options)
    resumed = nudgenet.resume(tmp_path / "cut")
    assert resumed.metrics == whole.metrics
    assert resumed.summary["decisions"] == whole.summary["decisions"] == [asdict(d) for d in resumed.decisions]


def test_a_copied_array_of_text_goes_on(tmp_path: Path) -> None:
    """Columns without names are judged as they were at the start."""
    random = np.random.default_rng(0)
    X = np.stack(
        [random.choice(["a", "b"], 80), random.normal(size=80).round(3).astype(str), np.arange(80).astype(str)], 1
    )
    y = random.normal(size=80)
    train_until(1, (X, y), epochs=2, runs=tmp_path, name="cut", baselines=False)
    assert nudgenet.resume(tmp_path / "cut").is_done


def test_a_time_limit_is_reproduced_by_what_it_decided(houses: Path, tmp_path: Path) -> None:
    run = nudgenet.train(houses, "price", time_limit=0.05, runs=tmp_path, name="short", baselines=False)
    command = run._store.read_json("settings.json")["command"]
    assert "--time-limit" not in command
    assert f"--set epochs={run.settings.epochs}" in command
    assert f"--set width={run.settings.width}" in command
    why = {decision.what: decision.why for decision in run.decisions}
    assert "dropout" in why and "as set" not in why["network size"]  # nobody had set it
    assert "baseline_rows" not in command  # there are none
    run = nudgenet.train(
        houses, "price", time_limit=None, test=None, epochs=1, runs=tmp_path, name="none", baselines=False
    )
    assert "None" not in run._store.read_json("settings.json")["command"]


def test_the_reproduce_command_rebuilds_a_time_limited_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network, and the simple models beside it, which learned from a part of the rows."""
    random = np.random.default_rng(0)
    x = random.normal(size=(1_700, 3)).round(4)
    rows = pa.table({"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": x[:, 0] * x[:, 1] + random.normal(size=1_700)})
    pq.write_table(rows, tmp_path / "rows.parquet")
    cut: list[int] = []
    monkeypatch.setattr(pipeline, "learn_pieces", lambda numbers: cut.append(len(numbers)) or learn_pieces(numbers))
    # Planned for this time, but let go on: under a clock no test could say how far it comes.
    monkeypatch.setattr(pipeline, "fit", lambda *given, time_limit, **options: fit(*given, **options))
    source = tmp_path / "rows.parquet"
    run = nudgenet.train(source, "y", time_limit=0.02, epochs=50, threads=1, runs=tmp_path, name="short")
    decided = {decision.what: decision.chosen for decision in run.decisions}
    assert cut == [len(x) * 7 // 10]  # once for all networks that were tried
    assert "network size for the time limit" in decided
    assert decided["time limit"].endswith(" instead of the 50 that were set") and len(run.epochs) < 50
    assert decided["rows for the baselines"] == "1,000"
    words = shlex.split(run._store.read_json("settings.json")["command"])
    assert "--time-limit" not in words and words[3:5] == ["--target", "y"]
    given = dict(word.split("=") for word in words[5:] if word != "--set")
    again = nudgenet.train(source, "y", **given, runs=tmp_path, name="again")
    assert curves(again) == curves(run) and again.metrics == run.metrics
    assert again.summary["baselines"] == run.summary["baselines"]
    assert same(weights(again.path), weights(run.path))


def test_a_run_that_the_clock_ended_says_so(houses: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "fit_to_time", lambda capacity, start, *others: (capacity, start(capacity), []))
    run = nudgenet.train(houses, "price", time_limit=0.05, epochs=5_000, patience=5_000, runs=tmp_path, baselines=False)
    said = "The time limit ended the training in epoch"
    assert any(warning.startswith(said) for warning in run._store.read_json("decisions.json")["warnings"])


def test_a_failed_beginning_leaves_no_folder(houses: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> str:
        raise RuntimeError("a test")

    monkeypatch.setattr(bookkeeping, "train_command", fail)
    with pytest.raises(RuntimeError):
        nudgenet.train(houses, "price", epochs=1, runs=tmp_path, name="x")
    assert not (tmp_path / "x").exists()


def test_very_large_and_very_small_targets(tmp_path: Path) -> None:
    x = np.linspace(0, 1, 60)
    for scale in (1e60, 1e-60):
        frame = pd.DataFrame({"x": x, "y": (x + np.sin(9 * x)) * scale})
        run = nudgenet.train(frame, "y", epochs=2, runs=tmp_path, name=f"{scale:g}")
        assert run.verdict.reason and run.metrics["test"]["rmse"] > 0
    with pytest.raises(UserError, match="too large to square"):
        nudgenet.train(pd.DataFrame({"x": x, "y": (x + 1) * 1e170}), "y", epochs=2, runs=tmp_path)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"network": "mlp", "normalisation": "batch", "batch_size": 1}, "Batch normalisation needs"),
        ({"clip": float("inf")}, "`clip`"),
        ({"network": "mlp", "copies": 2}, "The network `mlp` is a single one: it has no `copies`"),
        ({"network": "mlp", "members": 16}, r"`members` \(got members=16\). Leave `members` away, or use"),
        ({"layers": 0, "members": 4}, "The network without a hidden layer is a single one"),
        ({"time_limit": "100ms"}, "A time limit is a number"),
        ({"time_limit": "inf"}, "A time limit is a number"),
    ],
)
def test_settings_that_cannot_work_are_one_line(
    houses: Path, tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingError, match=words):
        nudgenet.train(houses, "price", runs=tmp_path, epochs=1, **settings)


def test_a_linear_model_is_not_called_an_ensemble(houses: Path, tmp_path: Path) -> None:
    run = nudgenet.train(houses, "price", layers=0, epochs=2, runs=tmp_path, baselines=False)
    assert not {"ensemble", "precision"} & {decision.what for decision in run.decisions}
    assert run.settings.members == 1
