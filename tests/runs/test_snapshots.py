"""Snapshots: they come back bit for bit, stay within their budget, and the first one stays."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nudgenet.errors import RunError
from nudgenet.runs import snapshots
from nudgenet.runs.snapshots import Snapshots

TENSORS = {"a": torch.arange(250.0), "rng.cpu": torch.get_rng_state()[:8]}


def test_a_snapshot_comes_back_bit_for_bit(tmp_path: Path) -> None:
    album = Snapshots(tmp_path)
    assert album.steps() == []
    album.add(1_234, TENSORS, {"epoch": 3, "stopping": {"best_loss": float("inf")}})
    assert album.steps() == [1_234] and [path.name for path in album.folder.iterdir()] == ["000001234.safetensors"]
    tensors, numbers = album.load(1_234)
    assert numbers == {"epoch": 3, "stopping": {"best_loss": float("inf")}}
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_an_absent_or_damaged_one_is_one_line(tmp_path: Path) -> None:
    album = Snapshots(tmp_path)
    with pytest.raises(RunError, match="no checkpoint"):
        album.load(1)
    album.add(1, TENSORS, {})
    path = album.folder / "000000001.safetensors"
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(RunError, match="damaged"):
        album.load(1)
    (album.folder / "notes.safetensors").write_text("")
    assert album.steps() == [1]


def test_when_they_are_too_many_every_second_one_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    album = Snapshots(tmp_path)
    album.add(0, TENSORS, {})
    size = sum(path.stat().st_size for path in album.folder.iterdir())
    monkeypatch.setattr(snapshots, "BUDGET", 6 * size)
    assert album.takes(size) and not album.takes(2 * size)
    times = [album.add(step, TENSORS, {}, kept=[30]) for step in range(10, 60, 10)]
    assert times == [0] * 5 and album.steps() == [0, 10, 20, 30, 40, 50]
    assert album.add(60, TENSORS, {}, kept=[30]) == 1
    assert album.steps() == [0, 20, 30, 40, 60], "the first, the newest and what is to be kept stay"
    assert sum(path.stat().st_size for path in album.folder.iterdir()) <= 6 * size


def test_never_more_than_so_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MOST", 10)
    album = Snapshots(tmp_path)
    for step in range(200):
        album.add(step, TENSORS, {})
        assert len(album.steps()) <= 10 and {0, step} <= set(album.steps())


def test_later_ones_are_forgotten(tmp_path: Path) -> None:
    album = Snapshots(tmp_path)
    for step in (0, 5, 10):
        album.add(step, TENSORS, {})
    album.forget_after(5)
    assert album.steps() == [0, 5]
    Snapshots(tmp_path / "nothing").forget_after(5)
