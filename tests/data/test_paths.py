"""A column of paths: which one, where its paths begin, and what is said when they lead nowhere."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import write_pictures, write_sounds
from nudgenet.data import pieces
from nudgenet.data import read as reading
from nudgenet.data.media import intact, media_columns, media_paths
from nudgenet.data.read import read
from nudgenet.data.target import choose_task
from nudgenet.errors import ColumnError
from nudgenet.settings import Settings


def write_table(path: Path, header: list[str], rows: list[list[str]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def names_of(folder: Path, suffix: str = ".png") -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob(f"*{suffix}"))


@pytest.mark.parametrize("place", ["photos.csv", "lists/photos.csv", "lists/first/photos.csv", "shapes/photos.csv"])
def test_paths_begin_at_the_table_or_above_or_inside(place: str, tmp_path: Path) -> None:
    write_pictures(tmp_path / "shapes", 4)
    # Named from the folder above `shapes`, but where the table lies inside of it.
    begin = tmp_path if place != "shapes/photos.csv" else tmp_path / "shapes"
    rows = [[name, Path(name).parent.name] for name in names_of(begin)]
    raw = read(write_table(tmp_path / place, ["file", "shape"], rows), Settings())
    assert media_columns(raw.table) == {"file": "image"}
    paths = media_paths(raw.table)
    assert paths is not None and all(((tmp_path / place).parent / path).is_file() for path in paths.to_pylist())


def test_a_folder_beside_the_table_is_found(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "train", 4) / "disc"
    for other in ("square", "stripes"):  # they have files of the same names
        shutil.rmtree(tmp_path / "train" / other)
    rows = [[path.name, "x"] for path in sorted(folder.iterdir())]
    raw = read(write_table(tmp_path / "train" / "labels.csv", ["file", "shape"], rows), Settings())
    assert media_paths(raw.table)[0].as_py() == "disc/000.png"  # type: ignore[index]
    said = next(decision for decision in raw.decisions if decision.what == "column `file`")
    assert "begin at `disc`" in said.why


@pytest.mark.parametrize("write", [lambda name: Path(name).stem, str.upper, lambda name: f"disc/{Path(name).stem}"])
def test_names_without_endings_or_with_other_capitals(write: Callable[[str], str], tmp_path: Path) -> None:
    """As lists of photos have them: `id` is the name without its ending; or a camera wrote IMG_1.JPG, the list img_1.jpg."""
    folder = write_pictures(tmp_path, 4) / "disc"
    for path in folder.iterdir():
        path.rename(folder / f"Photo-{path.name}")
    rows = [[write(path.name), str(number % 2)] for number, path in enumerate(sorted(folder.iterdir()))]
    table = write_table(tmp_path / "photos.csv", ["id", "fine"], rows)
    raw = read(table, Settings())
    assert media_columns(raw.table) == {"id": "image"} and intact(raw.table).all()
    predicting: dict[str, Any] = {"settings": Settings(kinds={"id": "image"}), "columns": ["id", "fine"]}
    assert media_columns(read(table, **predicting).table) == {"id": "image"}
    write_pictures(tmp_path / "more", 1)
    for path in sorted(folder.iterdir()):  # two that would do: neither is meant
        path.with_suffix(".jpg").write_bytes(path.read_bytes())
    if write("a.png") != "A.PNG":
        assert not media_columns(read(table, Settings()).table)


def test_numbers_that_happen_to_be_names_of_files_are_numbers(tmp_path: Path) -> None:
    for number, path in enumerate(sorted((write_pictures(tmp_path, 20) / "disc").iterdir())):
        path.rename(path.with_name(f"{number}.png"))
    rows = [[str(number % 15), str(number % 2)] for number in range(100)]
    assert not media_columns(read(write_table(tmp_path / "people.csv", ["age", "ill"], rows), Settings()).table)


@pytest.mark.parametrize("given", [{}, {"kinds": {"file": "image"}}])
def test_of_two_folders_inside_that_fit_none_is_taken(given: dict[str, Any], tmp_path: Path) -> None:
    """Such as `test` and `train` of one data set, both with a 000.png: the first by name would be the wrong one."""
    for part in ("test", "train"):
        (write_pictures(tmp_path / "shapes", 4) / "disc").rename(tmp_path / part)
    names = names_of(tmp_path / "train")
    table = write_table(tmp_path / "train.csv", ["file", "shape"], [[name, "x"] for name in names])
    with pytest.raises(ColumnError, match=r"several folders \(got `test`, `train`\)") as caught:
        read(table, Settings(**given))
    assert "test/000.png" in str(caught.value)
    inner = write_table(tmp_path / "train" / "train.csv", ["file", "shape"], [[name, "x"] for name in names])
    assert media_columns(read(inner, Settings(**given)).table) == {"file": "image"}  # its own folder comes first
    assert not media_columns(read(table, Settings(kinds={"file": "identifier"})).table)


def test_when_predicting_another_folder_than_the_tables_own_is_a_warning(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "shapes", 4) / "disc"
    (folder / "000.png").rename(folder / "new.png")
    predicting: dict[str, Any] = {"settings": Settings(kinds={"file": "image"}), "columns": ["file", "shape"]}
    inner = read(write_table(folder / "new.csv", ["file"], [["new.png"]]), **predicting)
    assert inner.warnings == ()
    above = read(write_table(folder.parent / "new.csv", ["file"], [["new.png"]]), **predicting)
    (warning,) = above.warnings
    assert "`file`" in warning and f"begin at {folder}" in warning


def test_of_two_columns_of_files_the_first_is_used_and_the_other_named(tmp_path: Path) -> None:
    write_pictures(tmp_path / "shapes", 4)
    write_sounds(tmp_path / "tones", 4)
    rows = [[a, b, c, "x"] for a, b, c in zip(
        names_of(tmp_path), names_of(tmp_path)[::-1], names_of(tmp_path, ".wav"), strict=True
    )]  # fmt: skip
    table = write_table(tmp_path / "pairs.csv", ["left", "right", "call", "same"], rows)
    raw = read(table, Settings())
    assert media_columns(raw.table) == {"left": "image"}
    said = {decision.what: decision for decision in raw.decisions}
    assert said["column `right`"].chosen == "its paths alone, not the images that they lead to"
    assert said["column `call`"].override == "--set kinds=call:sound"
    assert media_columns(read(table, Settings(kinds={"call": "sound"})).table) == {"call": "sound"}
    with pytest.raises(ColumnError, match="one column of images or sounds"):
        read(table, Settings(kinds={"left": "image", "call": "sound"}))


def test_files_that_are_not_there_are_warned_about(tmp_path: Path) -> None:
    rows = [[f"https://somewhere.example/{number}.jpg", str(number), "x"] for number in range(20)]
    raw = read(write_table(tmp_path / "photos.csv", ["photo", "size", "kind"], rows), Settings())
    assert not media_columns(raw.table)
    assert any("`photo` names files such as https" in warning and "not there" in warning for warning in raw.warnings)


@pytest.mark.parametrize(
    ("cell", "fix"), [("photos/{}.png", "begin at the table's own folder"), ("https://x.example/{}.png", "downloaded")]
)
def test_where_nothing_else_is_left_lost_paths_are_an_error(cell: str, fix: str, tmp_path: Path) -> None:
    rows = [[cell.format(number), "xy"[number % 2]] for number in range(20)]
    with pytest.raises(ColumnError, match=fix):
        read(write_table(tmp_path / "photos.csv", ["photo", "kind"], rows), Settings())


def test_where_most_files_are_gone_the_others_are_used(tmp_path: Path) -> None:
    write_pictures(tmp_path / "shapes", 4)
    rows = [[name, Path(name).parent.name] for name in names_of(tmp_path)]
    rows += [[f"gone/{number}.png", "disc"] for number in range(30)]
    raw = read(write_table(tmp_path / "lists" / "photos.csv", ["file", "shape"], rows), Settings())
    assert media_columns(raw.table) == {"file": "image"} and int(intact(raw.table).sum()) == 12
    assert "30 of 42 files" in next(entry.chosen for entry in raw.decisions if entry.what.startswith("skipped"))


def test_addresses_of_files_here_and_an_ignored_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (write_pictures(tmp_path / "my shapes", 4) / "disc").rename(tmp_path / "home")
    files = sorted((tmp_path / "my shapes").rglob("*.png"))
    rows = [[path.as_uri(), f"~/home/{number % 4:03}.png", path.parent.name] for number, path in enumerate(files)]
    table = write_table(tmp_path / "lists" / "photos.csv", ["file", "other", "shape"], rows)
    raw = read(table, Settings())
    assert media_columns(raw.table) == {"file": "image"} and intact(raw.table).all()
    assert media_columns(read(table, Settings(ignore=["file"])).table) == {"other": "image"}


def test_paths_that_were_written_on_windows(tmp_path: Path) -> None:
    write_pictures(tmp_path / "shapes", 4)
    rows = [[name.replace("/", "\\"), Path(name).parent.name] for name in names_of(tmp_path)]
    raw = read(write_table(tmp_path / "lists" / "photos.csv", ["file", "shape"], rows), Settings())
    assert media_columns(raw.table) == {"file": "image"} and intact(raw.table).all()


def test_when_predicting_another_name_will_do(tmp_path: Path) -> None:
    write_pictures(tmp_path / "shapes", 4)
    rows = [[name, "3"] for name in names_of(tmp_path)]
    raw = read(
        write_table(tmp_path / "new.csv", ["path", "size"], rows), Settings(kinds={"photo": "image"}),
        columns=["photo", "size", "kind"],
    )  # fmt: skip
    assert media_columns(raw.table) == {"path": "image"}
    assert raw.warnings == ("`path` holds the paths here, so it stands for the images of the training",)


@pytest.mark.parametrize("name", ["photo", "path"])
def test_when_predicting_paths_that_lead_nowhere_are_one_line(name: str, tmp_path: Path) -> None:
    write_pictures(tmp_path / "shapes", 4)
    rows = [[path, "3"] for path in names_of(tmp_path)]
    table = write_table(tmp_path / "elsewhere" / "deep" / "er" / "new.csv", [name, "size"], rows)
    with pytest.raises(ColumnError, match="begin at the table's own folder") as caught:
        read(table, Settings(kinds={"photo": "image"}), columns=["photo", "size", "kind"])
    assert "\n" not in str(caught.value) and "disc/000.png" in str(caught.value)


def test_when_predicting_one_file_that_is_gone_keeps_its_row(tmp_path: Path) -> None:
    write_pictures(tmp_path / "shapes", 4)
    rows = [[path, "3"] for path in [*names_of(tmp_path), "shapes/gone.png"]]
    table = write_table(tmp_path / "new.csv", ["photo", "size"], rows)
    raw = read(table, Settings(kinds={"photo": "image"}), columns=["photo", "size", "kind"])
    assert raw.table["photo"][12]["error"].as_py() == "there is no such file" and raw.table.num_rows == 13


def test_of_a_large_table_a_piece_may_lead_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of it may have been answered by then: its rows are kept, as those of single lost files are."""
    write_pictures(tmp_path / "shapes", 4)
    rows = [[path, "3"] for path in [*names_of(tmp_path), *(f"shapes/gone/{number:02}.png" for number in range(12))]]
    table = write_table(tmp_path / "new.csv", ["photo", "size"], rows)
    monkeypatch.setattr(reading, "LARGE_BYTES", 0)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 64)
    raws = list(reading.read_batches(table, Settings(kinds={"photo": "image"}), columns=["photo", "size", "kind"]))
    errors = [error for raw in raws for error in raw.table["photo"].combine_chunks().field("error").to_pylist()]
    assert len(raws) > 4 and errors == [None] * 12 + ["there is no such file"] * 12


def test_a_table_whose_images_are_mostly_absent_is_an_error_about_images(tmp_path: Path) -> None:
    names = names_of(write_pictures(tmp_path, 10))
    rows = [
        [name if number % 10 == 0 else "", str(number), Path(name).parent.name] for number, name in enumerate(names)
    ]
    raw = read(write_table(tmp_path / "few.csv", ["photo", "size", "shape"], rows), Settings(target="shape"))
    with pytest.raises(
        ColumnError, match=r"Only 3 of 30 rows of `photo` have an image .*\(got no path in 27 of 30 files\)"
    ):
        choose_task(raw, Settings(target="shape"))
