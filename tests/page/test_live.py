"""The socket: what is new is told once, and nothing is told where nothing is new."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from nudgenet.errors import RunError
from nudgenet.page import live
from nudgenet.page.live import MOST_STEPS, Watch
from nudgenet.records import Epoch
from nudgenet.runs.store import Store


@pytest.fixture(autouse=True)
def _look_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "INTERVAL_S", 0.01)
    monkeypatch.setattr("nudgenet.page.runs.LOOK_AGAIN_S", 0.01)


def epoch(number: int, steps: int = 5) -> Epoch:
    return Epoch(number, number * steps, 1 / number, 2 / number, 0.1, 0.1, 1e-3, 1.0, 1.0, {"auc": 0.5}, {"auc": 0.25})


def steps(first: int, last: int) -> list[tuple[int, int, float, float, float]]:
    return [(step, 1, float(step % 7), 1.0, 1e-3) for step in range(first, last + 1)]


@pytest.fixture
def running(own_page: Any) -> Store:
    """A run that somebody trains: `binary`, as if it had no end yet."""
    store = Store(own_page.context.runs / "binary")
    (store.path / "DONE").unlink()
    store.forget_after(0, 0)
    return store


def test_epochs_and_steps_come_once(own_page: Any, running: Store) -> None:
    with running.held(), own_page.client.websocket_connect("ws://127.0.0.1:8721/api/live") as socket:
        running.add_epoch(epoch(1))
        running.add_batches(steps(1, 5))
        socket.send_json({"watch": "binary", "epoch": 0, "step": 0})
        first = socket.receive_json()
        assert (first["run"], first["state"], first["time"]) == ("binary", "live", {"last_step": 5})
        assert [one["epoch"] for one in first["epochs"]] == [1] and first["epochs"][0]["validation_metrics"] == {
            "auc": 0.25
        }
        assert first["batches"] == {"step": [1, 2, 3, 4, 5], "loss": [1.0, 2.0, 3.0, 4.0, 5.0]}
        running.add_epoch(epoch(2))
        second = socket.receive_json()
        while not second["epochs"]:
            second = socket.receive_json()
        assert [one["epoch"] for one in second["epochs"]] == [2] and second["batches"] is None
        running.add_health(10, {"layer1": {"neurons": 4, "dead": 0.0, "saturated": None, "gradient_norm": 1.0}})
        third = socket.receive_json()
        assert (
            third["epochs"] == [] and third["health"]["step"] == 10 and third["health"]["layers"][0]["name"] == "layer1"
        )


def test_who_knows_something_hears_the_rest(own_page: Any, running: Store) -> None:
    for number in (1, 2, 3):
        running.add_epoch(epoch(number))
    running.add_batches(steps(1, 15))
    with own_page.client.websocket_connect("ws://127.0.0.1:8721/api/live") as socket:
        socket.send_json({"watch": "binary", "epoch": 2, "step": 13})
        found = socket.receive_json()
        assert [one["epoch"] for one in found["epochs"]] == [3] and found["batches"]["step"] == [14, 15]
        assert found["state"] == "interrupted"


def test_many_steps_are_thinned(running: Store) -> None:
    rows = steps(1, 10_000)
    rows[4_321] = (4_322, 1, 99.0, 1.0, 1e-3)
    running.add_batches(rows)
    news = Watch(running, 0, 0).news()
    assert news is not None
    found = news["batches"]
    assert len(found["step"]) <= MOST_STEPS and (found["step"][0], found["step"][-1]) == (1, 10_000)
    assert found["loss"].max() == 99.0 and (np.diff(found["step"]) > 0).all()


def test_many_epochs_come_in_pieces(running: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "MOST_EPOCHS", 2)
    for number in range(1, 6):
        running.add_epoch(epoch(number))
    watch, told = Watch(running, 0, 0), []
    while (news := watch.news()) is not None:
        told.append([one["epoch"] for one in news["epochs"]])
    assert told == [[1, 2], [3, 4], [5]]


def test_where_nothing_happens_nothing_is_read(running: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    running.add_epoch(epoch(1))
    watch = Watch(running, 0, 0)
    assert watch.news() is not None
    watch.news()  # reading may have folded SQLite's log into its file
    asked: list[str] = []
    monkeypatch.setattr(Store, "_database", lambda self, **options: asked.append("database"))
    began = time.process_time()
    assert [watch.news() for _ in range(200)] == [None] * 200
    assert asked == [] and (time.process_time() - began) / 200 < 0.005, "20 seconds of watching"


def test_the_end_is_told(own_page: Any, running: Store) -> None:
    watch = Watch(running, 0, 0)
    with running.held():
        news = watch.news()
        assert news is not None and news["state"] == "live"
    states = [news["state"] for _ in range(30) if (news := watch.news())]
    assert states == ["interrupted"], "its process is gone"
    (running.path / "DONE").write_text("{}")
    news = watch.news()
    assert news is not None and news["state"] == "done"


def test_a_wish_that_comes_during_a_look_is_kept(own_page: Any, running: Store) -> None:
    """The page hears and looks in two threads: what is told is told of the run that was looked at."""
    feed = live.Feed(own_page.context, socket=None)  # type: ignore[arg-type]
    wished = Watch(Store(own_page.context.runs / "multiclass"), 0, 0)

    class Failing(Watch):
        def news(self) -> None:
            feed.watch = wished
            raise RunError("It is gone")

    feed.watch = Failing(running, 0, 0)
    assert feed._look() == [{"run": "binary", "error": "It is gone"}] and feed.watch is wished
    assert feed._look()[0]["run"] == "multiclass"


def test_the_list_of_runs(own_page: Any) -> None:
    with own_page.client.websocket_connect("ws://127.0.0.1:8721/api/live") as socket:
        own_page.client.delete("/api/runs/multiclass")
        assert socket.receive_json() == {"runs": True}


def test_wrong_wishes_are_answered_and_the_socket_goes_on(own_page: Any) -> None:
    with own_page.client.websocket_connect("ws://127.0.0.1:8721/api/live") as socket:
        for wish in (
            "{",
            "[]",
            '{"watch": 7}',
            '{"watch": "nowhere"}',
            '{"watch": "../binary"}',
            '{"watch": "binary", "epoch": "x"}',
            f'{{"watch": "binary", "epoch": 0, "step": {10**30}}}',
        ):
            socket.send_text(wish)
            assert set(socket.receive_json()) == {"error"}, wish
        socket.send_json({"watch": "binary", "epoch": 0, "step": 0})
        assert socket.receive_json()["state"] == "done"
        socket.send_json({"watch": None})


def test_a_run_that_is_deleted_while_it_is_watched(own_page: Any) -> None:
    with own_page.client.websocket_connect("ws://127.0.0.1:8721/api/live") as socket:
        socket.send_json({"watch": "binary", "epoch": 0, "step": 0})
        assert socket.receive_json()["run"] == "binary"
        own_page.client.delete("/api/runs/binary")
        assert {"runs": True} in [socket.receive_json(), socket.receive_json()]


def test_when_the_page_goes_nothing_stays(own_page: Any, tmp_path: Path) -> None:
    """The feed's tasks end with the connection: else leaving this block would hang."""
    client: TestClient = own_page.client
    for _ in range(3):
        with client.websocket_connect("ws://127.0.0.1:8721/api/live") as socket:
            socket.send_json({"watch": "binary"})
    assert {"binary"} <= {run["name"] for run in own_page.get("runs")["runs"]}  # and the page answers on
