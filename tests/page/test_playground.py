"""The playground: the real loop on two columns, and its frames."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import nudgenet
from nudgenet.errors import SettingError, UserError
from nudgenet.page.opened import Workshop
from nudgenet.page.playground import RESOLUTION, THREAD, Game, Session
from nudgenet.page.toys import TOYS, toy
from nudgenet.training.loop import fit
from nudgenet.training.place import working_at

SMALL = {"rows": 120, "noise": 0.1, "layers": 1, "neurons": 6, "seed": 3, "batch_size": 32, "learning_rate": 0.05}


@pytest.fixture(autouse=True)
def _every_training_ends_with_its_socket() -> Iterator[None]:
    """Else it would draw from torch's random numbers beside whatever the process computes next."""
    yield
    for thread in [one for one in threading.enumerate() if one.name == THREAD]:
        thread.join(timeout=30)
        assert not thread.is_alive()


@pytest.mark.parametrize("name", TOYS)
def test_the_same_seed_gives_the_same_rows(name: str) -> None:
    one, two, other = toy(name, 200, 0.2, 1), toy(name, 200, 0.2, 1), toy(name, 200, 0.2, 2)
    assert one == two != other
    assert set(map(len, one.values())) == {200} and len(set(one["kind"])) == (3 if name == "blobs" else 2)
    counts = np.unique(np.array(one["kind"]), return_counts=True)[1]
    assert counts.max() - counts.min() <= 1
    assert toy(name, 200, 0.0, 1) != one


@given(st.sampled_from(sorted(TOYS)), st.integers(20, 300), st.floats(0, 1), st.integers(0, 2**32))
def test_every_wish_within_the_limits_gives_numbers(name: str, rows: int, noise: float, seed: int) -> None:
    table = toy(name, rows, noise, seed)
    assert np.isfinite(np.array([table["x"], table["y"]])).all() and len(table["x"]) == rows


@pytest.mark.parametrize("wrong", [{"name": "spiral"}, {"rows": 3}, {"rows": 10**6}, {"noise": 2.0}])
def test_other_wishes_are_refused_in_one_line(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        toy(**{"name": "moons", **wrong})


def test_it_is_the_training_that_its_command_starts(page: Any, tmp_path: Path) -> None:
    """The same first weights, and after an epoch the same curve."""
    game = Game.ready({**SMALL, "data": "moons"}, page.context)
    frame = game.frame() | game.beginning()
    runs: list[Any] = []

    def train(*arguments: Any, **settings: Any) -> None:
        runs.append(nudgenet.train(*arguments, runs=tmp_path, baselines=False, **{**settings, "epochs": 2}))

    line = frame["command"].replace("nudgenet.train(", "train(")
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(line, "<command>", "exec"), {"train": train})
    fresh = Game.ready({**SMALL, "data": "moons"}, page.context)
    with working_at(fresh.place):
        torch.set_rng_state(fresh.random)
        epochs = []
        for epoch in fit(fresh.state, fresh.table.prepared):
            epochs.append(epoch)
            if epoch.epoch == 2:
                break
    assert [epoch.validation_loss for epoch in epochs] == [epoch.validation_loss for epoch in runs[0].epochs]


def test_a_frame_shows_what_the_network_answers(page: Any) -> None:
    game = Game.ready({**SMALL, "data": "blobs"}, page.context)
    frame, first = game.frame(), game.beginning()
    grid = np.array(frame["grid"])
    assert grid.shape == (RESOLUTION, RESOLUTION, 3) and np.allclose(grid.sum(axis=2), 1, atol=2e-3)
    layers = frame["network"]["layers"]
    assert [np.array(layer["weights"]).shape for layer in layers] == [(6, 2), (3, 6)]
    assert layers[0]["weights"] == game.state.network.layers[0].sum.weight.tolist()  # type: ignore[union-attr, index]
    assert first["classes"] == ["blue", "green", "orange"]
    table = toy("blobs", 120, 0.1, 3)
    known = {(x, y): kind for x, y, kind in zip(table["x"], table["y"], table["kind"], strict=True)}
    for point in first["points"]:
        nearest = min(known, key=lambda place: abs(place[0] - point["x"]) + abs(place[1] - point["y"]))
        assert abs(nearest[0] - point["x"]) < 1e-3 and known[nearest] == point["truth"]
    assert {point["part"] for point in first["points"]} == {"train", "validation"}


def test_looking_does_not_change_the_training(page: Any) -> None:
    def after(looks: bool) -> dict[str, Any]:
        game = Game.ready({**SMALL, "data": "circles", "dropout": 0.3}, page.context)
        with working_at(game.place):
            torch.manual_seed(5)
            for epoch in fit(game.state, game.table.prepared, on_step=lambda *_: game.frame() if looks else None):  # type: ignore[arg-type, return-value]
                if epoch.epoch == 3:
                    break
        return game.frame()

    assert after(looks=True) == after(looks=False)


def test_without_a_kink_it_stays_a_straight_line(page: Any) -> None:
    game = Game.ready({**SMALL, "data": "circles", "activation": "none", "layers": 3}, page.context)
    with working_at(game.place):
        for epoch in fit(game.state, game.table.prepared):
            if epoch.epoch == 10:
                break
    grid = np.array(game.frame()["grid"]) > 0.5
    turns = (np.diff(grid.astype(int), axis=1) != 0).sum(axis=1)
    assert turns.max() <= 1


def test_two_columns_of_a_run_or_a_file(page: Any) -> None:
    mine = {"run": "binary", "x": "area", "y": "age"}
    game = Game.ready({**SMALL, "data": mine}, page.context)
    assert game.beginning()["classes"] == ["no", "yes"]
    assert "houses.csv" in game.command and "--target dear" in game.command and "ignore=" in game.command
    path = str(page.context.runs.parent / "houses.csv")
    game = Game.ready({**SMALL, "data": {"path": path, "x": "area", "y": "price", "target": "age"}}, page.context)
    assert game.classes == [] and np.array(game.frame()["grid"]).shape == (RESOLUTION, RESOLUTION)
    ensemble = Game.ready({**SMALL, "network": "ensemble", "data": mine}, page.context)
    assert len(ensemble.frame()["network"]["layers"]) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        {"data": "spiral"},
        {"data": 3},
        {"data": {"run": "binary", "x": "area", "y": "city"}},
        {"data": {"run": "binary", "x": "area", "y": "area"}},
        {"data": {"run": "binary", "x": "area", "y": "nothing"}},
        {"data": {"run": "../binary", "x": "area", "y": "age"}},
        {"data": {"path": "/nowhere.csv", "x": "area", "y": "age"}},
        {"rows": "many"},
        {"neurons": 16_384},
        {"layers": 64},
        {"learning_rate": -1},
        {"activation": "step"},
        {"network": "convnet"},
    ],
)
def test_what_cannot_be_trained_is_refused(page: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        Game.ready({**SMALL, "data": "moons", **wrong}, page.context)


def test_it_runs_pauses_and_steps_over_the_socket(page: Any) -> None:
    with page.client.websocket_connect("ws://127.0.0.1:8721/api/playground") as socket:
        socket.send_json({"do": "start", **SMALL, "data": "spirals"})
        first = socket.receive_json()
        assert first["step"] == 0 and first["points"] and first["command"] and first["x_range"][0] < first["x_range"][1]
        later = socket.receive_json()
        assert later["step"] > 0 and "points" not in later
        socket.send_json({"do": "pause"})
        steps: list[int] = []
        for _ in range(10):  # where the processor is busy, a frame that is late makes room for the next one
            socket.send_json({"do": "step"})
            frame = socket.receive_json()
            while steps and frame["step"] == steps[-1]:  # one that was on its way
                frame = socket.receive_json()
            steps.append(frame["step"])
            if len(steps) > 3 and steps[-1] == steps[-3] + 2:
                break
        assert steps[-1] == steps[-2] + 1 == steps[-3] + 2
        assert page.post("runs/binary/network", {"row": {"part": "train", "index": 0}})["layers"]  # others are let in
        socket.send_json({"do": "start", **SMALL, "data": "nothing"})
        answer = socket.receive_json()
        while "error" not in answer:
            answer = socket.receive_json()
        assert "no data `nothing`" in answer["error"]
        socket.send_json({"do": "dance"})
        assert "start, pause" in socket.receive_json()["error"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_mistake_of_ours_reaches_the_page_as_one_line(page: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Game) -> dict[str, Any]:
        raise ZeroDivisionError("nobody\nthought of this")

    monkeypatch.setattr(Game, "frame", broken)
    with page.client.websocket_connect("ws://127.0.0.1:8721/api/playground") as socket:
        socket.send_json({"do": "start", **SMALL, "data": "moons"})
        line = socket.receive_json()["error"]
        assert "bug in nudgenet (ZeroDivisionError: nobody thought of this)" in line and "\n" not in line
        monkeypatch.undo()
        socket.send_json({"do": "start", **SMALL, "data": "moons"})
        assert socket.receive_json()["points"], "and it can be started again"


def test_nothing_begins_once_the_socket_has_ended(page: Any) -> None:
    """A wish may still be carried out by its thread when whoever sent it is gone."""
    session = Session(page.context, Workshop(), lambda frame: None)
    session.do({"do": "start", **SMALL, "data": "moons"})
    session.end()
    session.do({"do": "start", **SMALL, "data": "moons"})
    assert not [thread for thread in threading.enumerate() if thread.name == THREAD]
