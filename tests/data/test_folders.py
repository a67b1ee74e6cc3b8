"""Folders as people have them: nested, with strange names, with classes that hold nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import write_pictures, write_sounds
from nudgenet.data.given_test import read_with_test
from nudgenet.data.media import intact, media_paths
from nudgenet.data.read import read
from nudgenet.data.target import choose_task
from nudgenet.data.walk import walk
from nudgenet.errors import ColumnError, SourceError
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


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    elsewhere = write_pictures(tmp_path / "elsewhere", 4)
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("disc", "square"):
        (folder / name).symlink_to(elsewhere / name)
    (folder / "stripes").mkdir()
    (folder / "stripes" / "more").symlink_to(elsewhere / "stripes")
    (folder / "stripes" / "back").symlink_to(folder)
    (folder / "a").symlink_to(folder / "stripes")  # what lies here itself is read under its own name
    raw = read(folder, Settings())
    assert sorted(raw.table["label"].to_pylist()) == ["disc"] * 4 + ["square"] * 4 + ["stripes"] * 4
    said = {decision.what: decision.chosen for decision in raw.decisions}
    assert said["skipped: links"] == "2: `a`, `stripes/back`" and "skipped: empty folders" not in said


def test_many_links_that_cross_are_no_more_files(tmp_path: Path) -> None:
    for one in range(12):
        (tmp_path / str(one)).mkdir()
        (tmp_path / str(one) / "file").write_text("x")
        for other in range(12):
            (tmp_path / str(one) / f"to-{other}").symlink_to(tmp_path / str(other))
    found = walk(tmp_path)
    assert len(found.files) == 12 and len(found.again) == 144


def test_links_to_themselves_and_to_nothing_are_files_that_cannot_be_read(tmp_path: Path) -> None:
    write_pictures(tmp_path, 2)
    (tmp_path / "disc" / "self.png").symlink_to("self.png")
    (tmp_path / "disc" / "gone.png").symlink_to("nowhere")
    said = " ".join(decision.chosen for decision in read(tmp_path, Settings()).decisions)
    assert "disc/self.png (cannot be read" in said and "disc/gone.png (cannot be read" in said


def test_a_folder_that_cannot_be_looked_into(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(tmp_path, 2)
    scandir = os.scandir

    def closed(folder: Path) -> object:
        if Path(folder).name == "disc":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", closed)
    assert walk(tmp_path).closed == [tmp_path / "disc"] and len(walk(tmp_path).files) == 4


def test_hidden_files_are_counted_and_are_no_class(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_pictures(tmp_path / part, 2)
    (tmp_path / "train" / "disc" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "__MACOSX").mkdir()
    said = {decision.what: decision.chosen for decision in read(tmp_path, Settings()).decisions}
    assert said["skipped: hidden"] == "2: `__MACOSX`, `train/disc/.DS_Store`" and said["parts"] == "`train`, `test`"


@pytest.mark.parametrize("medium", ["image", "sound", "text"])
def test_names_that_are_no_utf8(medium: str, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    if medium == "text":
        for name in ("one", "two"):
            (folder / name).mkdir(parents=True)
            for number in range(4):
                (folder / name / f"{number}.txt").write_text(f"the text of {name} number {number}")
    else:
        (write_pictures if medium == "image" else write_sounds)(tmp_path / "cafe", 4).rename(folder)
    first, *_ = classes = sorted(folder.iterdir())
    file = min(first.iterdir())
    file.rename(first / os.fsdecode(b"\xff" + os.fsencode(file.suffix)))
    first.rename(folder / os.fsdecode(b"\xfe"))
    raw = read(folder, Settings())
    paths = media_paths(raw.table)
    assert raw.table.num_rows == 4 * len(classes) and paths is not None
    assert rf"\xfe/\xff{file.suffix}" in paths.to_pylist() and r"\xfe" in raw.table["label"].to_pylist()
    assert raw.source.location == str(folder)


def test_the_part_for_testing_of_another_folder(tmp_path: Path) -> None:
    for part in ("train", "test"):
        write_pictures(tmp_path / "other" / part, 4, seed=1)
    folder = write_pictures(tmp_path / "photos", 8)
    raw, count = read_with_test(str(folder), Settings(test=str(tmp_path / "other")))
    assert count == 12 and set(raw.table["label"].to_pylist()) == {"disc", "square", "stripes"}
    assert f"12 from {tmp_path / 'other' / 'test'}" in [decision.chosen for decision in raw.decisions]
    write_pictures(tmp_path / "other" / "testing", 1)
    with pytest.raises(SourceError, match="several of them are for testing"):
        read_with_test(str(folder), Settings(test=str(tmp_path / "other")))
    shutil.rmtree(tmp_path / "other" / "testing")
    (tmp_path / "other" / "test").rename(tmp_path / "other" / "valid")
    with pytest.raises(SourceError, match="none of them is for testing"):
        read_with_test(str(folder), Settings(test=str(tmp_path / "other")))


def test_parts_beside_other_folders(tmp_path: Path) -> None:
    for part in ("Train", "TEST"):
        write_pictures(tmp_path / part, 4)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "readme.txt").write_text("how it was made")
    raw = read(tmp_path, Settings())
    said = {decision.what: decision.chosen for decision in raw.decisions}
    assert said["parts"] == "`Train`, `TEST`" and raw.given_test == 12
    assert said["skipped: in no class"] == "1 file: `docs/readme.txt`" and "skipped: empty folders" not in said


def test_parts_inside_each_class(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        write_pictures(tmp_path / part, 4)
    classes = tmp_path / "shapes"
    for name in ("disc", "square", "stripes"):
        (classes / name).mkdir(parents=True)
        for part in ("train", "valid", "test"):
            (tmp_path / part / name).rename(classes / name / part)
    shutil.rmtree(classes / "disc" / "test")  # a class may lack a part
    (classes / "readme.txt").write_text("how it was made")
    raw = read(classes, Settings())
    said = {decision.what: decision.chosen for decision in raw.decisions}
    assert said["parts"] == "`train`, `valid`, `test`" and said["skipped: in no class"] == "1 file: `readme.txt`"
    assert (raw.given_validation, raw.given_test, raw.table.num_rows) == (12, 8, 32)
    assert raw.table["label"].to_pylist()[-4:] == ["stripes"] * 4
    (classes / "disc" / "more").mkdir()
    shutil.copy(classes / "disc" / "train" / "000.png", classes / "disc" / "more")
    raw = read(classes, Settings())  # then these are folders like others
    assert raw.given_test == 0 and "parts" not in {decision.what for decision in raw.decisions}


def test_a_pipe_among_the_files_is_named_and_not_opened(tmp_path: Path) -> None:
    write_pictures(tmp_path, 4)
    os.mkfifo(tmp_path / "disc" / "pipe.png")
    said = {decision.what: decision.chosen for decision in read(tmp_path, Settings()).decisions}
    assert said["skipped: no files"] == "1: `disc/pipe.png`"


def test_a_folder_called_null_is_a_class(tmp_path: Path) -> None:
    write_pictures(tmp_path, 4)
    for name, other in zip(("disc", "square", "stripes"), ("null", "NaN", "-"), strict=True):
        (tmp_path / name).rename(tmp_path / other)
    task, _, warnings = choose_task(read(tmp_path, Settings()), Settings())
    assert task.classes == ("-", "NaN", "null") and not warnings


@pytest.mark.parametrize("other", ["table", "folder", "parquet"])
def test_test_rows_whose_images_have_another_name(other: str, tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "photos", 8)
    files = sorted(write_pictures(tmp_path / "new", 4, seed=1).rglob("*.png"))
    test = tmp_path / "new"
    if other == "table":
        rows = [f"{path.relative_to(tmp_path)},{path.parent.name}" for path in [*files, tmp_path / "disc" / "gone.png"]]
        test = tmp_path / "test.csv"
        test.write_text("\n".join(["file,label", *rows]))
    elif other == "parquet":
        cells = [path.read_bytes() for path in files]
        test = tmp_path / "test.parquet"
        pq.write_table(pa.table({"photo": cells, "label": [path.parent.name for path in files]}), test)
    raw, count = read_with_test(str(folder), Settings(test=str(test)))
    assert count == 12 + (other == "table") and raw.table.column_names == ["image", "label"]
    assert int(intact(raw.table).sum()) == 24 + 12
    said = [decision.what for decision in raw.decisions]
    assert ("test rows, skipped: there is no such file" in said) == (other == "table")


def test_test_rows_without_images_are_one_line(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "photos", 8)
    (tmp_path / "test.csv").write_text("size,label\n1,disc\n2,square\n")
    with pytest.raises(ColumnError, match="the test rows have none"):
        read_with_test(str(folder), Settings(test=str(tmp_path / "test.csv")))


def test_a_part_without_files_is_no_part(tmp_path: Path) -> None:
    for part in ("train", "val"):
        write_pictures(tmp_path / part, 4)
    (tmp_path / "test" / "disc").mkdir(parents=True)
    said = {decision.what: decision.chosen for decision in read(tmp_path, Settings()).decisions}
    assert said["parts"] == "`train`, `val`" and said["skipped: empty folders"] == "1 folder: `test`"


def test_of_one_class_of_images_and_one_of_sounds_both_are_said(tmp_path: Path) -> None:
    write_pictures(tmp_path, 4)
    write_sounds(tmp_path / "sounds", 1)
    for name in ("square", "stripes"):
        shutil.rmtree(tmp_path / name)
    with pytest.raises(SourceError, match=r"images of one class only .*3 files cannot be used, such as sounds/.*sound"):
        read(tmp_path, Settings())
