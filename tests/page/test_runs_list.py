"""The list of runs: what stands in it, how fast, and what a person does with its rows."""

from __future__ import annotations

import csv
import json
import os
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from nudgenet.page import detail
from nudgenet.page.runs import TRASH, TRASH_DAYS
from nudgenet.page.server import make_context
from nudgenet.run import load
from nudgenet.runs.store import Store

NASTY = "<img src=x onerror=alert(1)>"


def test_a_row_is_what_the_run_says(page: Any, quick_runs: dict[str, Path]) -> None:
    found = page.get("runs")
    assert found["folder"] == str(quick_runs["binary"].parent.resolve())
    rows = {row["name"]: row for row in found["runs"]}
    assert set(rows) == set(quick_runs)
    for name, path in quick_runs.items():
        run, row = load(path), rows[name]
        metric = run.summary["metric"]
        assert row["metric"] == {
            "name": metric,
            "validation": run.metrics["validation"][metric],
            "test": run.metrics["test"][metric],
            "low": run.summary["interval"][0],
            "high": run.summary["interval"][1],
        }
        assert (row["state"], row["verdict"], row["task"]) == ("done", run.verdict.state, run.task.kind)
        assert (row["epochs"], row["best_epoch"]) == (3, run.verdict.best_epoch)
        assert (row["target"], row["source"]) == (run.task.target, "houses")
        assert (row["star"], row["note"], row["problem"], row["started_here"]) == (False, "", None, False)
    assert [row["created"] for row in found["runs"]] == sorted((row["created"] for row in rows.values()), reverse=True)


def test_notes_and_stars_stay(own_page: Any, page_over: Callable[[Path], Any]) -> None:
    assert own_page.post("runs/binary/note", {"text": NASTY}) == {"star": False, "note": NASTY}
    assert own_page.post("runs/binary/star", {"star": True}) == {"star": True, "note": NASTY}
    again = page_over(own_page.context.runs)
    row = next(row for row in again.get("runs")["runs"] if row["name"] == "binary")
    assert (row["star"], row["note"]) == (True, NASTY)
    assert "`text`" in own_page.error("POST", "runs/binary/note", {"words": "x"})
    assert len(own_page.post("runs/binary/note", {"text": "x" * 20_000})["note"]) == 10_000
    assert load(own_page.context.runs / "binary").is_done, "the run itself is as it was"


def test_deleting_can_be_undone(own_page: Any) -> None:
    runs = own_page.context.runs
    before = (runs / "binary" / "DONE").read_bytes()
    assert own_page.client.delete("/api/runs/binary").json() == {"deleted": "binary"}
    assert {row["name"] for row in own_page.get("runs")["runs"]} == {"multiclass", "regression"}
    own_page.error("GET", "runs/binary", status=404)
    own_page.error("DELETE", "runs/binary", status=404)
    assert own_page.post("runs/binary/restore", {}) == {"restored": "binary"}
    assert (runs / "binary" / "DONE").read_bytes() == before and len(own_page.get("runs")["runs"]) == 3
    assert not list((runs / TRASH).iterdir())
    own_page.error("POST", "runs/binary/restore", {}, status=404)


def test_of_two_deleted_runs_of_one_name_the_last_comes_back(own_page: Any) -> None:
    runs = own_page.context.runs
    own_page.post("runs/binary/note", {"text": "first"})
    own_page.client.delete("/api/runs/binary")
    shutil.copytree(runs / "multiclass", runs / "binary")
    own_page.post("runs/binary/note", {"text": "second"})
    own_page.client.delete("/api/runs/binary")
    (runs / "multiclass").rename(runs / "binary")
    assert "another run" in own_page.error("POST", "runs/binary/restore", {})
    (runs / "binary").rename(runs / "elsewhere")
    own_page.post("runs/binary/restore", {})
    assert own_page.get("runs/binary")["note"] == "second"


def test_the_trash_is_emptied_after_a_while(own_page: Any) -> None:
    runs = own_page.context.runs
    own_page.client.delete("/api/runs/binary")
    own_page.client.delete("/api/runs/multiclass")
    old = next(place for place in (runs / TRASH).iterdir() if (place / "binary").is_dir())
    old.rename(old.with_name(str(time.time_ns() - (TRASH_DAYS * 86_400 + 60) * 10**9)))
    make_context(runs)
    assert [path.name for path in (runs / TRASH).glob("*/*")] == ["multiclass"]


def test_a_run_that_is_being_trained_is_live_and_is_not_deleted(own_page: Any) -> None:
    path = own_page.context.runs / "binary"
    (path / "DONE").unlink()
    row = next(row for row in own_page.get("runs")["runs"] if row["name"] == "binary")
    assert (row["state"], row["epochs"], row["metric"]) == ("interrupted", 3, None)
    mark = own_page.context.shelf.mark()
    with Store(path).held():
        row = next(row for row in own_page.get("runs")["runs"] if row["name"] == "binary")
        assert row["state"] == "live" and own_page.get("runs/binary")["state"] == "live"
        assert "being trained" in own_page.error("DELETE", "runs/binary")
        own_page.context.shelf._looked = float("-inf")
        assert own_page.context.shelf.mark() != mark
    assert own_page.get("runs/binary")["state"] == "interrupted"


def test_looking_on_does_not_keep_a_run_from_being_resumed(own_page: Any) -> None:
    """`is_held` holds the run for a moment; who wants to train it waits that long."""
    store = Store(own_page.context.runs / "binary")
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            _ = store.is_held

    looking = threading.Thread(target=look)
    looking.start()
    held = 0
    try:
        for _ in range(50):
            with store.held():
                held += 1
    finally:
        over.set()
        looking.join()
    assert held == 50


def test_damaged_runs_do_not_take_the_list_down(own_page: Any) -> None:
    runs = own_page.context.runs
    (runs / "binary" / "settings.json").write_text("{")
    (runs / "multiclass" / "DONE").write_text('{"metrics": 3}')
    (runs / "regression" / "page.json").write_text("[]")
    (runs / "no-run").mkdir()
    (runs / "file").write_text("")
    rows = {row["name"]: row for row in own_page.get("runs")["runs"]}
    assert set(rows) == {"binary", "multiclass", "regression"}
    assert all(row["problem"] and "\n" not in row["problem"] for row in rows.values())
    for content in ("{", "[]", "null"):
        (runs / "binary" / "settings.json").write_text(content)
        assert "damaged" in own_page.error("GET", "runs/binary")


def test_names_are_text(own_page: Any) -> None:
    """A folder may be called what it likes, whoever made it."""
    runs = own_page.context.runs
    for name in ("100 % ä", "a,b", "a&b=c", "#1", "'; drop table epochs; --"):
        (runs / "binary").rename(runs / name)
        listed = {row["name"] for row in own_page.get("runs")["runs"]}
        assert name in listed
        assert own_page.get(f"runs/{quote(name, safe='')}")["name"] == name
        (runs / name).rename(runs / "binary")


def test_an_absent_folder_has_no_runs(page_over: Callable[[Path], Any], tmp_path: Path) -> None:
    assert page_over(tmp_path / "nowhere").get("runs")["runs"] == []
    assert not (tmp_path / "nowhere").exists()


def test_five_hundred_runs(own_page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read once; after that a look at the times of their files."""
    runs = own_page.context.runs
    source = runs / "binary"
    for number in range(500):
        folder = runs / f"copy-{number}"
        folder.mkdir()
        for name in ("settings.json", "data.json", "DONE"):
            os.link(source / name, folder / name)
    assert len(own_page.get("runs")["runs"]) == 503
    read = []
    monkeypatch.setattr(Store, "read_json", lambda self, name: read.append(name))
    began = time.process_time()
    assert len(own_page.get("runs")["runs"]) == 503
    spent = time.process_time() - began
    assert read == [] and spent < 0.5
    monkeypatch.undo()
    own_page.post("runs/copy-7/star", {"star": True})
    assert [row["name"] for row in own_page.get("runs")["runs"] if row["star"]] == ["copy-7"]


def test_one_run(page: Any, quick_runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    run = load(quick_runs["binary"])
    found = page.get("runs/binary")
    stored = json.loads((quick_runs["binary"] / "settings.json").read_text())
    assert found["settings"] == run.settings.model_dump(mode="json") and found["given"] == stored["settings"]
    assert found["command"] == stored["command"] and found["summary"]["metrics"] == run.metrics
    assert found["parts"] == run.summary["rows"] and found["report"] is True and found["media"] is None
    assert found["task"] == {"kind": "binary", "target": "dear", "classes": ["no", "yes"]}
    last = run.epochs[-1]
    assert found["plan"] == {"epochs": 3, "steps_per_epoch": last.step // last.epoch, "batch_size": 32}
    assert found["trained"] == {"epochs": 3, "steps": last.step}
    best = run.verdict.best_epoch
    assert found["best"] == {"epoch": best, "step": run.epochs[best - 1].step}
    assert found["verdict"]["state"] == run.verdict.state and found["decisions"] and found["warnings"] == run.warnings
    assert found["models"]["boosting"] == "gradient boosting"
    assert found["verdict"]["reason"] == run.verdict.reason  # without baselines nothing more can be said
    monkeypatch.setattr(detail, "worth_it", lambda comparisons, metric, models: f"By {metric} not worth it.")
    assert page.get("runs/binary")["verdict"]["reason"] == f"{run.verdict.reason} By accuracy not worth it."


def test_columns_have_a_typical_value(page: Any, quick_runs: dict[str, Path]) -> None:
    """The median of the training rows' numbers (one of them), and their commonest level."""
    run = load(quick_runs["binary"])
    columns = {column["name"]: column for column in page.get("runs/binary")["columns"]}
    with (quick_runs["binary"].parent.parent / "houses.csv").open() as file:
        cells = list(csv.DictReader(file))
    parts = json.loads((quick_runs["binary"] / "data.json").read_text())["split"]
    city = next(feature for feature in run.preparation.features if feature.column == "city")
    assert columns["city"]["values"] == ["Bern", "Lyon", "Turin"] == list(city.levels)
    assert columns["id"]["used"] is False and columns["id"]["typical"] is None
    area = [float(row["area"]) for row in cells]
    assert float(columns["area"]["typical"]) in area and parts["train"] < len(area)
    middle = sorted(area)[len(area) // 3 : 2 * len(area) // 3]
    assert middle[0] <= float(columns["area"]["typical"]) <= middle[-1]
    assert columns["city"]["typical"] in Counter(row["city"] for row in cells)
    assert columns["sold"]["typical"] in {row["sold"] for row in cells}
