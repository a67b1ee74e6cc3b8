"""The run's folder and its checkpoints: whole or not at all, and damage is noticed."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nudgenet.errors import RunError
from nudgenet.records import Epoch
from nudgenet.runs.checkpoint import load_checkpoint, save_checkpoint, write_whole
from nudgenet.runs.store import BATCH_COLUMNS, Store, all_runs, check_free

TENSORS = {
    "a": torch.arange(6.0).reshape(2, 3),
    "b": torch.tensor(3),
    "empty": torch.zeros(0),
    "rng": torch.get_rng_state(),
}


def epoch(number: int, loss: float = 1.0) -> Epoch:
    return Epoch(number, number * 10, loss, loss, 0.1, 0.1, 1e-3, 2.0, 0.5, {"accuracy": 0.5}, {"accuracy": 0.25})


def test_a_checkpoint_comes_back_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "state.safetensors"
    save_checkpoint(path, TENSORS, {"epoch": 3, "loss": 0.1 + 0.2, "best": float("inf")})
    tensors, numbers = load_checkpoint(path)
    assert numbers == {"epoch": 3, "loss": 0.1 + 0.2, "best": float("inf")}
    assert tensors.keys() == TENSORS.keys()
    assert all(
        torch.equal(tensors[name], TENSORS[name]) and tensors[name].dtype == TENSORS[name].dtype for name in TENSORS
    )
    assert list(path.parent.iterdir()) == [path]


@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_is_noticed(tmp_path_factory: pytest.TempPathFactory, position: int, bit: int) -> None:
    path = tmp_path_factory.mktemp("flip") / "state.safetensors"
    save_checkpoint(path, TENSORS, {"epoch": 3})
    content = bytearray(path.read_bytes())
    content[position % len(content)] ^= 1 << bit
    path.write_bytes(content)
    try:
        tensors, numbers = load_checkpoint(path)
    except RunError:
        return
    # Only a bit that carries nothing (padding of the header) may pass.
    assert numbers == {"epoch": 3} and all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_torn_file_is_one_line(tmp_path: Path, length: int) -> None:
    path = tmp_path / "state.safetensors"
    save_checkpoint(path, TENSORS, {})
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(RunError, match="cannot be read"):
        load_checkpoint(path)
    with pytest.raises(RunError, match="There is no checkpoint"):
        load_checkpoint(tmp_path / "absent")


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_whole(path, b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"No space left on device.*--runs"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_epochs_and_results(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "run")
    for number in (1, 2, 3):
        store.add_epoch(epoch(number, float("nan") if number == 2 else 1.0 / number))
    epochs = store.epochs()
    assert epochs[0] == epoch(1) and epochs[2] == epoch(3, 1 / 3) and epochs[1].train_loss != epochs[1].train_loss
    store.forget_after(1, 10)
    assert store.epochs() == [epoch(1)]
    store.save_result("scores", {"a": [1, float("inf")]})
    assert store.result("scores") == {"a": [1, None]} and store.result("absent") is None
    assert (store.path / "metrics.sqlite").exists() and not store.is_done
    store.finish({"x": 1})
    assert store.is_done and not list(store.path.glob("metrics.sqlite-*"))


def test_batches_come_back_column_by_column(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "run")
    rows = [(step, 1 + step // 10, 1 / step, float(step), 0.1) for step in range(1, 31)]
    with store.writing():
        store.add_batches(rows[:20])
        store.add_batches(rows[10:])  # again, as a resumed run may
        live = Store(store.path).batches()
    for found in (live, store.batches()):
        assert {name: values.tolist() for name, values in found.items()} == {
            name: list(values) for name, values in zip(BATCH_COLUMNS, zip(*rows, strict=True), strict=True)
        }
    found = store.batches(since=28, columns=["step", "loss"])
    assert found["step"].tolist() == [29, 30] and found["loss"].tolist() == [1 / 29, 1 / 30] and len(found) == 2
    assert found["step"].dtype == np.int64 and store.batches(columns=["loss"]).keys() == {"loss"}
    assert {name: len(values) for name, values in store.batches(since=30).items()} == dict.fromkeys(BATCH_COLUMNS, 0)


def test_health_is_that_of_the_last_look_before_a_step(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "run")
    assert store.health() == (0, {}) and store.health_steps() == []
    layers = {"layer2": {"dead": 0.25}, "layer1": {"dead": None}, "output": {"gradient_norm": float("nan")}}
    store.add_health(10, layers)
    store.add_health(20, {"layer1": {"dead": 0.5}})
    assert store.health_steps() == [10, 20] and store.health() == (20, {"layer1": {"dead": 0.5}})
    assert store.health(9) == (0, {}) and store.health(20)[0] == 20
    step, found = store.health(19)
    assert (step, list(found)) == (10, list(layers)) and found["layer2"] == {"dead": 0.25}
    assert found["output"] == {"gradient_norm": None}


def test_what_came_after_a_checkpoint_is_forgotten(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "run")
    store.add_batches([(step, 1, 1.0, 1.0, 0.1) for step in range(1, 41)])
    for step in (10, 20, 30):
        store.add_epoch(epoch(step // 10))
        store.add_health(step, {"layer1": {}})
        store.snapshots.add(step, TENSORS, {})
    store.forget_after(2, 25)
    assert [one.epoch for one in store.epochs()] == [1, 2] and store.health_steps() == [10, 20]
    assert store.batches()["step"].tolist() == list(range(1, 26)) and store.snapshots.steps() == [10, 20]


def test_a_run_of_an_older_version_has_no_batches_and_gets_them_when_it_goes_on(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "run")
    store.add_epoch(epoch(1))
    with sqlite3.connect(store.path / "metrics.sqlite") as database:
        database.executescript("drop table batches; drop table health")
    database.close()
    assert len(store.batches()["step"]) == 0 and store.health() == (0, {}) and store.health_steps() == []
    assert store.snapshots.steps() == []
    store.forget_after(1, 10)
    store.add_batches([(11, 2, 1.0, 1.0, 0.1)])
    assert store.batches()["step"].tolist() == [11] and len(store.epochs()) == 1


def test_a_reader_disturbs_nobody(tmp_path: Path) -> None:
    """One who holds the database open sees what is committed, and the run can be finished all the same."""
    store = Store.create(tmp_path / "run")
    with store.writing():
        store.add_batches([(1, 1, 1.0, 1.0, 0.1)])
        reader = sqlite3.connect(store.path / "metrics.sqlite")
        assert reader.execute("select count(*) from batches").fetchone() == (1,)
        store.add_batches([(2, 1, 1.0, 1.0, 0.1)])
        assert reader.execute("select count(*) from batches").fetchone() == (2,)
        store.finish({})
    reader.close()
    assert store.is_done and not list(store.path.glob("metrics.sqlite-*"))
    assert store.batches()["step"].tolist() == [1, 2]


def test_json_files_and_their_damage(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "run")
    store.write_json("settings.json", {"name": "ü"})
    assert store.read_json("settings.json") == {"name": "ü"}
    (store.path / "settings.json").write_text('{"format": 99}')
    with pytest.raises(RunError, match="later version"):
        store.read_json("settings.json")
    (store.path / "settings.json").write_text("{")
    with pytest.raises(RunError, match="damaged"):
        store.read_json("settings.json")


def test_finding_runs(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no runs"):
        Store.open("anything", tmp_path)
    store = Store.create(tmp_path / "houses-1")
    store.write_json("settings.json", {})
    assert Store.open("houses-1", tmp_path).path == Store.open(store.path).path == store.path
    assert [run.path for run in all_runs(tmp_path)] == [store.path]
    with pytest.raises(RunError, match="Did you mean `houses-1`"):
        Store.open("house-1", tmp_path)
    with pytest.raises(RunError, match="already a run"):
        check_free(store.path)
    with pytest.raises(RunError, match="cannot be written"):
        (tmp_path / "file").write_text("")
        check_free(tmp_path / "file" / "run")


def test_one_process_at_a_time(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "run")
    assert not store.is_held
    with store.held():
        assert store.is_held
        with pytest.raises(RunError, match="another process"), store.held():
            pass
        assert store.is_held
    assert not store.is_held
