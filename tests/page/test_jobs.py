"""Trainings started from the page: they are what the command line makes, and they end as Ctrl-C ends them."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nudgenet.page.jobs import MOST_AT_ONCE, Job, Jobs, fork_name, where
from nudgenet.run import load

Nudge = Callable[..., tuple[int, str, str]]
QUICK = {"epochs": 2, "baselines": False}
PATIENCE_S = 120


@pytest.fixture
def empty_page(page_over: Callable[[Path], Any], tmp_path: Path) -> Iterator[Any]:
    """A page over a folder without runs; what it started is ended with it."""
    page = page_over(tmp_path / "runs")
    yield page
    page.context.jobs.close(lambda line: None)


def wait_for(page: Any, job: str, *states: str) -> dict[str, Any]:
    """Ask until the job is in one of these states."""
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        found: dict[str, Any] = page.get(f"jobs/{job}")
        if found["state"] in states:
            return found
        assert found["state"] in ("starting", "training"), found
        time.sleep(0.05)
    raise AssertionError(f"still not {states}: {found}")


def test_from_a_form_to_a_run(empty_page: Any, houses: Path, nudge: Nudge) -> None:
    """And the command that is shown makes the same network."""
    body = {"source": str(houses), "target": "dear", "settings": QUICK | {"ignore": "price,id", "dropout": ""}}
    started = empty_page.post("start", body | {"name": "first"})
    assert started["name"] == "first"
    done = wait_for(empty_page, started["job"], "done")
    assert done == {"state": "done", "run": "first", "name": "first", "line": ""}
    row = empty_page.get("runs")["runs"][0]
    assert (row["name"], row["state"], row["started_here"], row["epochs"]) == ("first", "done", True, 2)
    assert empty_page.get("runs/first")["given"] == {"target": "dear", "ignore": ["price", "id"], **QUICK}
    words = shlex.split(started["command"])
    assert words[:2] == ["nudge", "train"] and words[-2:] == ["--name", "first"]
    assert empty_page.post("command", body | {"name": "first"}) == {"command": started["command"]}
    words[-1] = "second"
    assert nudge(*words[1:])[0] == 0
    runs = empty_page.context.runs
    first, second = load(runs / "first"), load(runs / "second")
    assert first.metrics == second.metrics and first.settings == second.settings


def test_a_fork_is_the_run_with_one_setting_changed(own_page: Any) -> None:
    started = own_page.post("runs/binary/fork", {"setting": "dropout", "value": 0.3})
    assert started["name"] == "binary-dropout-0.3" and "score_test=False" in started["command"]
    wait_for(own_page, started["job"], "done")
    before, after = (load(own_page.context.runs / name) for name in ("binary", started["name"]))
    given = own_page.get(f"runs/{started['name']}")["given"]
    assert given == own_page.get("runs/binary")["given"] | {"dropout": 0.3, "score_test": False}
    assert (
        after.metrics["test"] == {}
        and after.metrics["validation"]
        and not (after.path / "test_predictions.parquet").exists()
    )
    splits = [json.loads((run.path / "data.json").read_text())["split"] for run in (before, after)]
    assert splits[0] == splits[1], "validation scores are of the same rows"
    assert own_page.post("runs/binary/fork", {"setting": "dropout", "value": 0.3})["name"] == "binary-dropout-0.3-2"
    own_page.context.jobs.close(lambda line: None)


def test_stop_saves_first(empty_page: Any, houses: Path, nudge: Nudge) -> None:
    body = {
        "source": str(houses),
        "target": "price",
        "name": "long",
        "settings": {"epochs": 100_000, "patience": 100_000},
    }
    job = empty_page.post("start", body)["job"]
    wait_for(empty_page, job, "training")
    until = time.monotonic() + PATIENCE_S
    while empty_page.get("runs")["runs"][0]["epochs"] in (None, 0) and time.monotonic() < until:
        time.sleep(0.05)
    assert empty_page.get("runs")["runs"][0]["state"] == "live"
    assert "being trained" in empty_page.error("DELETE", "runs/long")
    empty_page.post("runs/long/stop", {})
    stopped = wait_for(empty_page, job, "stopped")
    assert "everything is saved" in stopped["line"] and "nudge resume" in stopped["line"]
    row = empty_page.get("runs")["runs"][0]
    assert row["state"] == "interrupted" and row["epochs"] > 0
    assert "Only a training that was started here" in empty_page.error("POST", "runs/long/stop", {})


def test_closing_the_page_stops_what_it_started(empty_page: Any, houses: Path) -> None:
    body = {"source": str(houses), "target": "price", "settings": {"epochs": 100_000, "patience": 100_000}}
    jobs = [empty_page.post("start", body) for _ in range(2)]
    assert jobs[0]["name"] != jobs[1]["name"], "started in one second, without a name"
    for job in jobs:
        wait_for(empty_page, job["job"], "training")
    said: list[str] = []
    empty_page.context.jobs.close(said.append)
    assert len(said) == 1 and "Stopping 2 trainings" in said[0]
    for job in jobs:
        stopped = empty_page.get(f"jobs/{job['job']}")
        assert stopped["state"] == "stopped" and "everything is saved" in stopped["line"]
        assert not load(empty_page.context.runs / job["name"]).is_done
    empty_page.context.jobs.close(said.append)
    assert len(said) == 1


def test_a_failed_training_says_why(empty_page: Any, houses: Path) -> None:
    job = empty_page.post("start", {"source": str(houses), "target": "sold", "settings": QUICK})["job"]
    failed = wait_for(empty_page, job, "failed")
    assert failed["run"] is None and failed["line"].startswith("The target `sold` holds dates")
    assert empty_page.get("runs")["runs"] == []


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "A source is needed"),
        ({"source": 7}, "A source is needed"),
        ({"source": "{houses}", "settings": [1]}, "must be an object"),
        ({"source": "{houses}", "settings": {"dropuot": 0.1}}, "Did you mean `dropout`?"),
        ({"source": "{houses}", "settings": {"dropout": 1.5}}, "The setting `dropout`"),
        ({"source": "{houses}", "name": "../elsewhere"}, "plain folder name"),
        ({"source": "{houses}", "name": ".hidden"}, "plain folder name"),
        ({"source": "--runs=/tmp"}, "There is no such file"),
        ({"source": "gone.csv"}, "There is no such file"),
    ],
)
def test_a_wrong_form_starts_nothing(empty_page: Any, houses: Path, body: dict[str, Any], message: str) -> None:
    filled = {key: str(houses) if value == "{houses}" else value for key, value in body.items()}
    assert message in empty_page.error("POST", "start", filled)
    assert not (empty_page.context.runs).exists()


def test_forks_that_cannot_be(own_page: Any) -> None:
    def fork(setting: Any, value: Any) -> str:
        return str(own_page.error("POST", "runs/binary/fork", {"setting": setting, "value": value}))

    assert "Did you mean `dropout`?" in fork("dropuot", 0.1)
    assert "The setting `dropout`" in fork("dropout", 2)
    stored = own_page.context.runs / "binary" / "settings.json"
    content = json.loads(stored.read_text())
    stored.write_text(json.dumps(content | {"own_functions": ["objective"]}))
    assert "functions of your own" in fork("dropout", 0.1)
    stored.write_text(json.dumps(content))
    data = own_page.context.runs / "binary" / "data.json"
    found = json.loads(data.read_text())
    data.write_text(json.dumps(found | {"source": found["source"] | {"location": "/nowhere/houses.csv"}}))
    assert "no folder" in fork("dropout", 0.1)
    data.write_text(json.dumps(found | {"source": found["source"] | {"kind": "frame", "location": None}}))
    assert "kept no copy" in fork("dropout", 0.1)


def test_no_more_than_a_few_at_once(tmp_path: Path, houses: Path) -> None:
    jobs = Jobs(tmp_path / "runs")
    process = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        jobs._jobs = {str(number): Job(str(number), tmp_path / str(number), process) for number in range(MOST_AT_ONCE)}
        with pytest.raises(ValueError, match="still go on"):
            jobs.start(str(houses), {}, None)
    finally:
        process.kill()
        process.communicate()


def test_names_of_forks() -> None:
    assert fork_name("a", "dropout", 0.3, lambda name: False) == "a-dropout-0.3"
    assert fork_name("a", "dropout", 0.3, {"a-dropout-0.3", "a-dropout-0.3-2"}.__contains__) == "a-dropout-0.3-3"
    assert "/" not in fork_name("a", "ignore", "../../x", lambda name: False)
    assert len(fork_name("x" * 200, "ignore", "y" * 200, lambda name: False)) <= 200


def test_what_is_so_by_default_is_left_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert where(tmp_path / "runs", "") == [] and where(tmp_path / "runs", "a b") == ["--name", "a b"]
    assert where(tmp_path / "other", "") == ["--runs", "other"]
    assert where(tmp_path.parent, "") == ["--runs", str(tmp_path.parent)]


def test_a_time_limit_stays_one_in_a_command_that_was_not_run_yet(empty_page: Any, houses: Path) -> None:
    body = {"source": str(houses), "target": -1, "settings": {"time_limit": "1.5m", "seed": 3, "clip": None}}
    words = shlex.split(empty_page.post("command", body)["command"])
    assert words[3:5] == ["--target", "-1"] and words[words.index("--time-limit") + 1] == "90s"
    assert words[words.index("--seed") + 1] == "3" and "clip=None" in words
