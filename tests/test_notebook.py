"""The notebook face: curves while a network trains and afterwards, and nothing of it elsewhere."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import nudgenet
from nudgenet import notebook
from nudgenet.errors import MissingExtra, RunError
from nudgenet.notebook import LiveCurves, in_kernel, module, observer_here, picture_of, picture_of_run
from nudgenet.observer import Silent
from nudgenet.pipeline import somebody
from nudgenet.records import Epoch
from nudgenet.runs.store import Store


def epochs_of(*losses: tuple[float, float], steps: int = 10) -> list[Epoch]:
    return [
        Epoch(number, number * steps, train, validation, 0.01, 0.01, 0.1, 1.0, float(number))
        for number, (train, validation) in enumerate(losses, start=1)
    ]


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """As inside a notebook's kernel; what is displayed is kept."""
    ipython = pytest.importorskip("IPython", reason="the notebook's tests need the tools: pip install -e '.[dev]'")
    shown: list[Any] = []
    notebook.widget_class()  # its library looks for IPython, too
    monkeypatch.setattr(ipython, "get_ipython", lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setattr("IPython.display.display", shown.append)
    return shown


class Shown:
    """What would be shown, picture by picture."""

    def __init__(self) -> None:
        self.pictures: list[dict[str, Any]] = []

    def __call__(self, picture: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
        self.pictures.append(picture)
        return self.pictures.append


def test_outside_a_kernel_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not in_kernel() and observer_here() is None
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert observer_here() is None
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace()))
    assert observer_here() is None, "IPython in a terminal"
    assert isinstance(somebody(), Silent)


def test_a_training_in_a_notebook_shows_its_curves(kernel: list[Any], tmp_path: Path, houses: Path) -> None:
    assert isinstance(somebody(), LiveCurves)
    run = nudgenet.train(houses, "dear", runs=tmp_path, name="a", epochs=3, members=2, width=8, baselines=False)
    (widget,) = kernel
    picture = widget.picture
    assert picture["series"]["train_loss"]["y"] == [epoch.train_loss for epoch in run.epochs]
    assert picture["series"]["validation_loss"]["x"] == [epoch.step for epoch in run.epochs]
    assert picture["line"] == "3 epochs" and not picture["asks"]


def test_without_the_library_a_line_says_what_to_do(
    kernel: list[Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], quick_runs: dict[str, Path]
) -> None:
    monkeypatch.setattr(notebook, "find_spec", lambda name: None)
    assert observer_here() is None and kernel == []
    assert capsys.readouterr().err == "nudgenet: for live curves in this notebook, pip install 'nudgenet[notebook]'\n"
    with pytest.raises(MissingExtra, match=r"anywidget.*pip install 'nudgenet\[notebook\]'"):
        nudgenet.watch(quick_runs["binary"])


def test_a_mistake_before_the_training_shows_nothing(kernel: list[Any], tmp_path: Path) -> None:
    with pytest.raises(nudgenet.UserError):
        nudgenet.train(tmp_path / "nothing.csv", "x", runs=tmp_path)
    assert kernel == []


def test_at_most_five_pictures_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(notebook.time, "monotonic", lambda: now[0])
    shown = Shown()
    watcher = LiveCurves(shown)
    watcher.start(1_000, 10)
    for epoch in epochs_of(*[(1 / n, 1 / n) for n in range(1, 1_001)]):
        watcher.on_step(epoch.epoch, 1, 0.1)
        watcher.epoch(epoch, epoch)
        now[0] += 0.01
    assert 40 <= len(shown.pictures) <= 52
    watcher.stop()
    watcher.stop()
    assert shown.pictures[-1]["series"]["train_loss"]["total"] == 1_000 and shown.pictures[-1]["line"] == "1,000 epochs"
    assert shown.pictures[-1]["series"]["train_loss"]["shown"] <= 800 and len(shown.pictures) <= 53


def test_drawing_takes_little_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture that takes a second is drawn every twenty seconds."""
    now = [0.0]
    monkeypatch.setattr(notebook.time, "monotonic", lambda: now[0])
    drawn = []

    def show(picture: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
        def update(_: dict[str, Any]) -> None:
            now[0] += 1.0
            drawn.append(now[0])

        return update

    watcher = LiveCurves(show)
    watcher.start(10, 10)
    while now[0] < 100:
        watcher.on_step(1, 1, 0.1)
        now[0] += 0.1
    assert len(drawn) <= 6


def test_a_picture_has_the_best_epoch_and_where_overfitting_began() -> None:
    losses = [(1.0, 1.0), (0.8, 0.7), (0.5, 0.5), (0.4, 0.9), (0.3, 1.2), (0.2, 1.5)]
    picture = picture_of(epochs_of(*losses), 30, 10)
    assert picture["best_step"] == 30 and picture["overfit_from_step"] == 40


def test_a_number_that_is_none_is_null_in_json() -> None:
    picture = picture_of(epochs_of((1.0, math.nan), (math.inf, 0.5)), 20, 10)
    json.dumps(picture, allow_nan=False)
    assert picture["series"]["validation_loss"]["y"] == [None, 0.5]


def test_watch_shows_a_finished_run(quick_runs: dict[str, Path]) -> None:
    run = nudgenet.load(quick_runs["binary"])
    widget = nudgenet.watch(run)
    picture = widget.picture
    summary = run.summary
    assert picture["name"] == "binary" and picture["verdict"]["state"] == summary["verdict"]["state"]
    assert picture["result"] == {"metric": summary["metric"], "value": summary["metrics"]["test"][summary["metric"]]}
    assert picture["best_step"] in [epoch.step for epoch in run.epochs] and not picture["asks"]
    assert nudgenet.watch("binary", runs=quick_runs["binary"].parent).picture == picture
    with pytest.raises(RunError):
        nudgenet.watch("nothing", runs=quick_runs["binary"].parent)


def test_watch_asks_how_a_live_run_goes_on(quick_runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    widget = nudgenet.watch(quick_runs["binary"])
    before = widget.picture
    live = {**picture_of_run(Store(quick_runs["binary"])), "line": "later"}
    monkeypatch.setattr(notebook, "picture_of_run", lambda store: live)
    widget._handle_custom_msg({"other": 1}, [])
    assert widget.picture == before
    widget._handle_custom_msg({"look": True}, [])
    assert widget.picture["line"] == "later"


def test_the_module_is_whole() -> None:
    text = module()
    assert text.rstrip().endswith("};") and "export default { render:" in text
    assert (
        ":root" not in text and ":host([data-theme" in text and "import " not in text.split("const nudgenetModules")[0]
    )
