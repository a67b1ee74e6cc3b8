"""Curves: every number as it was recorded, spikes kept, and quick however long the run."""

from __future__ import annotations

import math
import os
import shutil
import sqlite3
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nudgenet.page.curves import Histories, History, epoch_columns, thinned
from nudgenet.records import Epoch
from nudgenet.run import load
from nudgenet.runs.store import Store
from nudgenet.watching.curves import overfit_since

finite = st.floats(-1e6, 1e6)
VALUES = st.lists(st.one_of(finite, finite, st.just(math.nan), st.just(math.inf)), min_size=1, max_size=300)


@given(values=VALUES, points=st.integers(4, 60))
def test_first_last_lowest_and_highest_survive(values: list[float], points: int) -> None:
    steps, array = np.arange(1, len(values) + 1) * 7, np.array(values)
    found = thinned(steps, array, begin=-math.inf, end=math.inf, points=points)
    x, y = found["x"], found["y"]
    assert found["total"] == len(values) and found["shown"] == len(x) == len(y) <= max(points, 4)
    assert found["thinned"] == (found["shown"] < found["total"])
    assert (np.diff(x) > 0).all() and (x[0], x[-1]) == (steps[0], steps[-1])
    np.testing.assert_array_equal(y, array[x // 7 - 1], "every point that is shown is one that was recorded")
    if np.isfinite(array).any():
        known = array[np.isfinite(array)]
        assert {known.min(), known.max()} <= set(y.tolist())


@given(values=st.lists(finite, min_size=5, max_size=200), ends=st.tuples(st.floats(-5, 250), st.floats(-5, 250)))
def test_a_part_of_a_curve_reaches_its_edges(values: list[float], ends: tuple[float, float]) -> None:
    begin, end = sorted(ends)
    steps, array = np.arange(1, len(values) + 1), np.array(values)
    x = thinned(steps, array, begin=begin, end=end, points=1_000)["x"]
    inside = steps[(steps >= begin) & (steps <= end)]
    assert set(inside) <= set(x) and len(x) <= len(inside) + 2
    if len(inside) and inside[0] > 1:
        assert x[0] == inside[0] - 1
    if len(inside) and inside[-1] < len(values):
        assert x[-1] == inside[-1] + 1


def test_every_number_is_the_recorded_one(page: Any, quick_runs: dict[str, Path]) -> None:
    run = load(quick_runs["binary"])
    found = page.get("runs/binary/series?names=train_loss,validation_loss,learning_rate,validation_auc,train_accuracy")
    wanted = {
        "train_loss": [epoch.train_loss for epoch in run.epochs],
        "validation_loss": [epoch.validation_loss for epoch in run.epochs],
        "learning_rate": [epoch.learning_rate for epoch in run.epochs],
        "validation_auc": [epoch.validation_metrics["auc"] for epoch in run.epochs],
        "train_accuracy": [epoch.train_metrics["accuracy"] for epoch in run.epochs],
    }
    for name, values in wanted.items():
        assert found["series"][name]["y"] == values and found["series"][name]["thinned"] is False
        assert found["series"][name]["x"] == [epoch.step for epoch in run.epochs]
    per_epoch = page.get("runs/binary/series?names=train_loss&x=epoch&from=2&to=2")
    assert per_epoch["series"]["train_loss"]["x"] == [1, 2, 3], "with a neighbour on each side"
    best = min(run.epochs, key=lambda epoch: epoch.validation_loss)
    assert found["best_step"] == best.step and found["steps_per_epoch"] == run.epochs[0].step
    assert found["overfit_from_step"] is None and found["last_step"] == run.epochs[-1].step
    names = {item["name"]: item["per"] for item in found["available"]}
    assert names["train_loss"] == "epoch" and names["batch_loss"] == "batch" and "epoch" not in names


def test_steps_are_there_too(page: Any, quick_runs: dict[str, Path]) -> None:
    store = Store(quick_runs["binary"])
    recorded = store.batches()
    found = page.get("runs/binary/series?names=batch_loss,batch_learning_rate")["series"]
    assert found["batch_loss"]["x"] == recorded["step"].tolist()
    assert found["batch_loss"]["y"] == recorded["loss"].tolist()
    assert found["batch_learning_rate"]["y"] == recorded["learning_rate"].tolist()


def test_the_health_of_layers(page: Any, quick_runs: dict[str, Path]) -> None:
    store = Store(quick_runs["binary"])
    found = page.get("runs/binary/health")
    step, layers = store.health()
    assert found["step"] == step and found["steps"] == store.health_steps()
    assert [row["name"] for row in found["layers"]] == list(layers)
    for row in found["layers"]:
        assert {name: row[name] for name in layers[row["name"]]} == layers[row["name"]]
        assert row["line"] is None or isinstance(row["line"], str)
    first = page.get(f"runs/binary/health?step={found['steps'][0]}")
    assert first["step"] == found["steps"][0]


def test_an_ill_layer_has_a_line(own_page: Any) -> None:
    store = Store(own_page.context.runs / "binary")
    store.add_health(10_000, {"layer1": {"neurons": 64, "dead": 0.5, "saturated": None, "gradient_norm": 1.0}})
    (row,) = own_page.get("runs/binary/health")["layers"]
    assert "32 of 64 neurons never fire" in row["line"]


def test_wrong_questions(page: Any) -> None:
    assert "Did you mean `train_loss`?" in page.error("GET", "runs/binary/series?names=tain_loss")
    for query in ("from=x", "to=nan", "points=many"):
        assert "must be a number" in page.error("GET", f"runs/binary/series?{query}")
    assert "must be a number" in page.error("GET", "runs/binary/health?step=first")
    steps = page.get("runs/binary/health")["steps"]
    assert page.get("runs/binary/health?step=1e30")["step"] == steps[-1]
    assert page.get("runs/binary/health?step=-1e30")["layers"] == []


def epochs(number: int, *, first: int = 1, num_metrics: int = 9) -> list[Epoch]:
    """A long run's epochs: one step each, with a spike."""
    random = np.random.default_rng(first)
    values = random.normal(1, 0.1, (number, 2 + 2 * num_metrics))
    names = [f"m{i}" for i in range(num_metrics)]
    return [
        Epoch(
            first + i, 3 * (first + i), row[0], row[1], 0.01, 0.01, 1e-3, 1.0, float(i),
            dict(zip(names, row[2:], strict=False)), dict(zip(names, row[2 + num_metrics :], strict=True)),
        )
        for i, row in enumerate(values.tolist())
    ]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.create(tmp_path / "run")


def test_a_growing_run_is_read_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    histories, all_epochs = Histories(), epochs(8)
    asked: list[int] = []
    contents = Store.epoch_contents

    def counted(self: Store, since: int = 0, limit: int = -1) -> list[str]:
        asked.append(since)
        return contents(self, since, limit)

    monkeypatch.setattr(Store, "epoch_contents", counted)
    assert histories.of(store).num_epochs == 0 and histories.of(store).best is None
    for end in (3, 4, 8):
        for epoch in all_epochs[histories.of(store).num_epochs : end]:
            store.add_epoch(epoch)
        history = histories.of(store)
        assert history.epochs["train_loss"].tolist() == [epoch.train_loss for epoch in all_epochs[:end]]
        assert history.epochs["validation_m8"].tolist() == [e.validation_metrics["m8"] for e in all_epochs[:end]]
        assert history.overfit_from == overfit_since(all_epochs[:end])
        assert history.step_of(2) == 6 and history.step_of(99) is None and history.step_of(None) is None
    assert sorted(set(asked)) == [0, 3, 4]
    store.forget_after(2, 6)  # a run that was interrupted goes back to its checkpoint
    assert histories.of(store).epochs["epoch"].tolist() == [1, 2]


@pytest.mark.parametrize("first_looked_at", [None, ["train_loss"]])
def test_another_run_of_the_same_name_is_read_anew(tmp_path: Path, first_looked_at: list[str] | None) -> None:
    """Deleted, and trained again for longer: that it has more epochs does not tell that it is another one."""
    histories, old = Histories(), epochs(3)
    new = [replace(epoch, train_loss=epoch.train_loss + 1) for epoch in epochs(6)]
    for own in (old, new):
        shutil.rmtree(tmp_path / "run", ignore_errors=True)
        store = Store.create(tmp_path / "run")
        store.write_json("settings.json", {})
        os.utime(store.path / "settings.json", ns=(len(own), len(own)))
        for epoch in own:
            store.add_epoch(epoch)
        history = histories.of(store, first_looked_at)
        assert history.epochs["train_loss"].tolist() == [epoch.train_loss for epoch in own]


def test_what_is_not_finite_is_a_gap(store: Store) -> None:
    first, second = epochs(2)
    store.add_epoch(first)
    store.add_epoch(Epoch(2, 6, math.nan, math.inf, 0.0, 0.0, 1e-3, math.nan, 1.0, second.train_metrics, {}))
    history = Histories().of(store)
    assert history.best == 0 and np.isnan(history.epochs["validation_loss"][1])
    assert np.isnan(history.epochs["validation_m0"][1]), "a metric that was not measured"


def test_only_the_runs_that_were_looked_at_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nudgenet.page.curves.MOST_KEPT", 2)
    histories = Histories()
    stores = [Store.create(tmp_path / str(number)) for number in range(4)]
    for one in stores:
        one.add_epoch(epochs(1)[0])
        histories.of(one)
    assert list(histories._kept) == [one.path for one in stores[2:]]


def test_no_curves_yet() -> None:
    assert History().columns() == {} and History().overfit_from is None and History().last_step == 0
    assert epoch_columns([]) == {}


def test_a_hundred_thousand_epochs_with_twenty_metrics(store: Store) -> None:
    """Read in about a second, answered in milliseconds; a spike is seen from any distance."""
    import json
    from dataclasses import asdict

    number = 100_000
    few = [json.dumps(asdict(epoch)) for epoch in epochs(1_000)]
    rows = [
        (i, 3 * i, few[i % 1_000].replace(json.loads(few[i % 1_000])["epoch"].__repr__(), str(i), 1))
        for i in range(1, number + 1)
    ]
    rows[54_320] = (54_321, 3 * 54_321, rows[54_320][2].replace('"train_loss": ', '"train_loss": 77', 1))
    with sqlite3.connect(store.path / "metrics.sqlite") as database:
        database.executemany("insert into epochs values (?, ?, ?)", rows)
    database.close()
    histories = Histories()
    began = time.process_time()
    history = histories.of(store)
    reading = time.process_time() - began
    from nudgenet.page.context import as_json
    from nudgenet.page.curves import series

    names = [name for name in history.columns() if not name.startswith("batch")][:20]
    began = time.process_time()
    answer = series(history, {"names": ",".join(names), "points": "800"})
    first = time.process_time() - began
    began = time.process_time()
    content = as_json(series(histories.of(store), {"names": ",".join(names), "from": "60000", "to": "200000"}))
    zoom = time.process_time() - began
    print(f"read {reading:.2f} s, first {first:.3f} s, zoom {zoom:.3f} s, {len(content):,} bytes")
    assert history.num_epochs == number and len(names) == 20
    assert max(answer["series"]["train_loss"]["y"]) > 700 and answer["series"]["train_loss"]["total"] == number
    assert reading < 10 and zoom < 0.5, "generous: other work may go on beside the tests"
