"""Folders as people have them: nested, with strange names, with classes that hold nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from conftest import write_pictures
from nudgenet.data.media import media_paths
from nudgenet.data.read import read
from nudgenet.data.target import choose_task
from nudgenet.errors import SourceError
from nudgenet.settings import Settings


def test_names_of_every_kind_and_folders_within_classes(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "my photos", 4)
    (folder / "disc").rename(folder / "Scheibe, rund – ö")
    inner = folder / "square" / "day 1" / "日本"
    inner.mkdir(parents=True)
    shutil.move(folder / "square" / "000.png", inner / "a b, (c) 'd'.png")
    raw = read(folder, Settings())
    assert set(raw.table["label"].to_pylist()) == {"Scheibe, rund – ö", "square", "stripes"}
    paths = media_paths(raw.table)
    assert paths is not None and "square/day 1/日本/a b, (c) 'd'.png" in paths.to_pylist()
    assert raw.table.num_rows == 12


def test_classes_without_files_are_named(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_pictures(tmp_path / part, 4)
    (tmp_path / "train" / "circle" / "later").mkdir(parents=True)
    (tmp_path / "test" / ".cache").mkdir()
    raw = read(tmp_path, Settings())
    said = {decision.what: decision.chosen for decision in raw.decisions}
    assert said["skipped: empty folders"] == "1 folder: `train/circle`"
    assert set(raw.table["label"].to_pylist()) == {"disc", "square", "stripes"}


def test_a_class_of_broken_files_alone_is_no_class(tmp_path: Path) -> None:
    write_pictures(tmp_path, 4)
    for path in (tmp_path / "disc").iterdir():
        path.write_bytes(b"not found")
    task, decisions, _ = choose_task(read(tmp_path, Settings()), Settings())
    assert (task.kind, task.classes) == ("binary", ("square", "stripes"))
    assert decisions[0].override == ""  # nobody would predict the images


def test_an_archive_is_to_be_unpacked(tmp_path: Path) -> None:
    write_pictures(tmp_path / "shapes", 2)
    for format in ("tar", "gztar", "zip"):
        path = shutil.make_archive(str(tmp_path / "shapes"), format, tmp_path / "shapes")
        with pytest.raises(SourceError, match="Unpack it, and give the folder"):
            read(path, Settings())
