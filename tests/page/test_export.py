"""A run as one file: it answers what the live page answers, and lets nothing else in."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import nudgenet
from nudgenet.cli import run_command
from nudgenet.errors import UserError
from nudgenet.page import export as exporting
from nudgenet.page.export import check_path, export, spread
from nudgenet.page.onefile import compose
from nudgenet.runs.store import Store


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few steps and rows: what is in the file does not depend on how much of it there is."""
    monkeypatch.setattr(exporting, "MOST_STEPS", 3)
    monkeypatch.setattr(exporting, "MOST_ROWS", 4)


def written(run: Path, folder: Path) -> tuple[str, dict[str, Any]]:
    """(the file, what its scripts look up)."""
    told: list[tuple[int, int]] = []
    done = export(Store(run), folder / "run.html", lambda *progress: told.append(progress))
    page = done.path.read_text("utf-8")
    assert done.num_bytes == done.path.stat().st_size and [path.name for path in folder.glob("*run.html*")] == [
        "run.html"
    ]
    assert told == [] or count_of(told[-1]) == 1.0
    assert [one for one, _ in told] == sorted(one for one, _ in told)
    content = json.loads(re.findall(r'<script type="application/json" id="export">(.*?)</script>', page, re.DOTALL)[0])
    return page, content


def count_of(progress: tuple[int, int]) -> float:
    """The share that is done."""
    return progress[0] / progress[1]


def unpacked(state: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(state["packed"])))
    return found


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
def test_the_file_answers_as_the_page_does(page: Any, quick_runs: dict[str, Path], tmp_path: Path, kind: str) -> None:
    _, content = written(quick_runs[kind], tmp_path)
    held, rows = content["run"]["exported"], content["run"]["exported"]["rows"]
    steps = [state["step"] for state in content["states"]]
    assert steps == sorted(steps) == content["time"]["snapshots"] and len(set(steps)) == 3 and len(rows) == 4
    assert {0, content["time"]["last_step"]} <= set(steps) or content["time"]["best_step"] in (
        0,
        content["time"]["last_step"],
    )
    for state in content["states"]:
        found = unpacked(state)
        asked: dict[str, Any] = {"step": None if state["best"] else state["step"], "mode": "exact"}
        at = page.post(f"runs/{kind}/confusion", asked)
        assert found["confusion"] == at and at["at"]["step"] == state["step"]
        for number, row in enumerate(rows):
            of_row = asked | {"row": row}
            for question in ("whatif", "responsible"):
                assert found["of_row"][question][number] == page.post(f"runs/{kind}/{question}", of_row)
            assert found["rows"][number] == page.get(
                f"runs/{kind}/rows?part=validation&from={row['index']}&count=1&mode=exact" + ("" if state["best"] else f"&step={state['step']}")
            )["rows"][0]  # fmt: skip
            layer = number % len(held["neurons"])
            name = list(held["neurons"])[layer]
            wanted = of_row | {"layer": name, "neuron": held["neurons"][name][-1]}
            key = f"{wanted['layer']} {wanted['neuron']}"
            assert found["of_neuron"]["neuron"][key][number] == page.post(f"runs/{kind}/neuron", wanted)
            assert found["of_neuron"]["update"][key][number] == page.post(f"runs/{kind}/update", wanted)
            real = page.post(f"runs/{kind}/update", wanted | {"batch": "real"})
            assert found["of_neuron"]["real"][key][number] == real
        wanted["row"] = rows[0]
        assert found["exciting"][key] == page.post(f"runs/{kind}/exciting", wanted)


def test_the_network_shows_the_same_neurons_at_every_step(quick_runs: dict[str, Path], tmp_path: Path) -> None:
    """So that a neuron which is opened stays open while the slider moves."""
    _, content = written(quick_runs["binary"], tmp_path)
    neurons = content["run"]["exported"]["neurons"]
    for state in content["states"]:
        found = unpacked(state)
        for picture in found["of_row"]["network"]:
            assert {one["name"]: [n["index"] for n in one["shown"]] for one in picture["layers"]} == {
                name: shown for name, shown in neurons.items() if name != "output"
            }
            assert all(one["folded"] == one["neurons"] - len(one["shown"]) for one in picture["layers"])
        for answers in found["of_neuron"].values():
            assert list(answers) == [f"{layer} {number}" for layer, shown in neurons.items() for number in shown]


def test_the_boundary_keeps_its_points_once(page: Any, quick_runs: dict[str, Path], tmp_path: Path) -> None:
    _, content = written(quick_runs["binary"], tmp_path)
    x, y = content["run"]["exported"]["axes"]
    best = next(state for state in content["states"] if state["best"])
    found = unpacked(best)["of_row"]["boundary"][1]
    body = {"row": content["run"]["exported"]["rows"][1], "x": x, "y": y, "resolution": len(found["x"])}
    assert {**found, "points": content["points"]} == page.post("runs/binary/boundary", body)


def test_rows_are_the_worst_and_some_of_all(page: Any, quick_runs: dict[str, Path], tmp_path: Path) -> None:
    _, content = written(quick_runs["binary"], tmp_path)
    worst = page.get("runs/binary/rows?part=validation&sort=worst&count=200")["rows"]
    order = [row["index"] for row in worst]
    places = [order.index(row["index"]) for row in content["run"]["exported"]["rows"]]
    assert places[:2] == [0, 1] and places[-1] == len(order) - 1 and places == sorted(places)


def test_what_is_too_much_is_left_out_and_counted(
    quick_runs: dict[str, Path], tmp_path: Path, monkeypatch: Any
) -> None:
    page, content = written(quick_runs["binary"], tmp_path)
    state = len(next(one["packed"] for one in content["states"] if one["best"]))
    whole = len(json.dumps({**content, "states": []}))
    monkeypatch.setattr(exporting, "LARGEST", whole + int(2.5 * state))
    smaller, content = written(quick_runs["binary"], tmp_path)
    assert len(smaller) < len(page) and len(content["run"]["exported"]["rows"]) == 2
    count = len(content["states"])
    assert content["note"].startswith(f"This file holds {count} snapshot") and "2 rows" in content["note"]
    assert content["time"]["why"] == content["note"] == content["run"]["exported"]["note"]


def test_the_same_run_gives_the_same_file(quick_runs: dict[str, Path], tmp_path: Path) -> None:
    assert written(quick_runs["binary"], tmp_path)[0] == written(quick_runs["binary"], tmp_path)[0]


def test_nothing_of_the_file_leads_out_of_it(quick_runs: dict[str, Path], tmp_path: Path) -> None:
    page, content = written(quick_runs["binary"], tmp_path)
    policy = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[0]
    script = re.findall(r'<script type="module">(.*?)</script>', page, re.DOTALL)[0]
    styles = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)[0]
    for text in (script, styles):
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert policy.startswith("default-src 'none';") and "unsafe" not in policy and "connect-src" not in policy
    assert page.index("Content-Security-Policy") < page.index("<style>") < page.index("<body>")
    assert page.count("<script") == page.count("</script") == 2 and not re.search(r'(?:src|href)="(?!#|data:)', page)
    assert content["run"]["source"]["location"] is None and str(tmp_path) not in page


def test_a_name_cannot_end_its_element() -> None:
    nasty = '</script><img src=x onerror="window.hacked=1"><!--'
    page = compose(nasty, json.dumps({"name": nasty}).encode())
    assert "<img" not in page and page.count("</script") == 2
    data = re.findall(r'id="export">(.*?)</script>', page, re.DOTALL)[0]
    assert json.loads(data) == {"name": nasty}


def test_without_its_rows_a_run_keeps_its_curves(quick_runs: dict[str, Path], tmp_path: Path) -> None:
    table = quick_runs["binary"].parents[1] / "houses.csv"
    shutil.copy(table, tmp_path / "houses.csv")
    small = {"epochs": 2, "members": 2, "width": 8, "threads": 1, "baselines": False}
    run = nudgenet.train(tmp_path / "houses.csv", "dear", runs=tmp_path, name="gone", **small)
    (tmp_path / "houses.csv").unlink()
    _, content = written(run.path, tmp_path)
    assert content["states"] == [] and content["run"]["exported"]["rows"] == []
    assert content["note"].startswith("This file holds no network:") and "houses.csv" in content["note"]
    assert content["series"]["series"]["train_loss"]["total"] == 2 and content["health"]


def test_where_nothing_can_be_written_nothing_is_computed(tmp_path: Path) -> None:
    (tmp_path / "folder.html").mkdir()
    for path, words in (("run.txt", "as .html"), ("nowhere/run.html", "no folder"), ("folder.html", "it is a folder")):
        with pytest.raises(UserError, match=words):
            check_path(tmp_path / path)


def test_spread() -> None:
    assert spread(0, 5) == [] and spread(3, 5) == [0, 1, 2] and spread(100, 3) == [0, 50, 99] and spread(7, 1) == [0]


def test_the_command(quick_runs: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs, path = str(quick_runs["binary"].parent), tmp_path / "run.html"
    assert run_command(["page", "--runs", runs, "--export", "binary", str(path)]) == 0
    assert "This file holds 3 snapshots and 4 rows" in capsys.readouterr().err and path.is_file()
    assert run_command(["page", "--runs", runs, "--export", "nothing", str(path)]) == 2
    assert run_command(["page", "--runs", runs, "--export", "binary", str(tmp_path)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all(line.startswith("nudge: ") for line in lines)


def test_ctrl_c_leaves_nothing(quick_runs: dict[str, Path], tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(Store(quick_runs["binary"]), tmp_path / "run.html", stop)
    assert list(tmp_path.iterdir()) == []
