"""Images as cells: folders, arrays, IDX files and columns of paths all become the same kind of column."""

from __future__ import annotations

import gzip
import struct
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from conftest import write_pictures
from nudgenet.data import media as module
from nudgenet.data.columns import choose_task
from nudgenet.data.given_test import read_with_test
from nudgenet.data.images import (
    IMAGE,
    array_images,
    choose_size,
    learn_images,
    pictures_of,
)
from nudgenet.data.media import field, intact, light, media_columns, same_files
from nudgenet.data.read import read
from nudgenet.data.split import split
from nudgenet.errors import ColumnError, SourceError
from nudgenet.records import Column, Raw
from nudgenet.settings import Settings


def pixels_of(cells: pa.ChunkedArray) -> list[np.ndarray | None]:
    return [picture for chunk in cells.chunks for picture in pictures_of(chunk)]


def parts_of(raw: Raw) -> tuple[list[str], list[str], list[str]]:
    task, _, _ = choose_task(raw, Settings())
    parts, _, _ = split(raw, task, Settings(), num_given_test_rows=raw.given_test)
    paths = field(raw.table["image"], "path").to_pylist()
    train, validation, test = ([paths[row] for row in rows] for rows in (parts.train, parts.validation, parts.test))
    return train, validation, test


def test_a_folder_per_class_is_a_table(tmp_path: Path) -> None:
    raw = read(write_pictures(tmp_path / "shapes", 4), Settings())
    assert raw.table.column_names == ["image", "label"]
    assert Counter(raw.table["label"].to_pylist()) == {"disc": 4, "square": 4, "stripes": 4}
    first = pixels_of(raw.table["image"])[0]
    assert first is not None
    assert np.array_equal(first, np.asarray(Image.open(tmp_path / "shapes" / "disc" / "000.png")))
    assert raw.source.name == "shapes"


def test_the_fingerprint_tells_a_changed_image(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "shapes", 3)
    before = read(folder, Settings()).source.fingerprint
    assert read(folder, Settings()).source.fingerprint == before
    Image.new("L", (4, 4)).save(folder / "disc" / "000.png")
    assert read(folder, Settings()).source.fingerprint != before


def test_parts_above_the_classes_are_honoured(tmp_path: Path) -> None:
    for part, count in (("train", 8), ("val", 3), ("test", 2)):
        write_pictures(tmp_path / part, count, seed=count)
    raw = read(tmp_path, Settings())
    train, validation, test = parts_of(raw)
    assert (len(train), len(validation), len(test)) == (24, 9, 6)
    assert all(path.startswith("train/") for path in train)
    assert all(path.startswith("val/") for path in validation)
    assert all(path.startswith("test/") for path in test)


@pytest.mark.parametrize("given", ["validation", "test"])
def test_a_missing_part_is_carved_from_train(tmp_path: Path, given: str) -> None:
    write_pictures(tmp_path / "train", 20)
    write_pictures(tmp_path / given, 3, seed=1)
    train, validation, test = parts_of(read(tmp_path, Settings()))
    carved = test if given == "validation" else validation
    assert len(carved) == 9 and len(train) == 51
    assert all(path.startswith("train/") for path in [*carved, *train])


def test_a_folder_called_test_among_the_classes_is_a_class(tmp_path: Path) -> None:
    write_pictures(tmp_path, 3)
    (tmp_path / "disc").rename(tmp_path / "test")
    assert set(read(tmp_path, Settings()).table["label"].to_pylist()) == {"test", "square", "stripes"}


def test_what_is_no_image_is_named_and_in_no_part(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path, 8)
    (folder / "disc" / "notes.txt").write_text("one two")
    (folder / "disc" / "empty.png").touch()
    (folder / "disc" / "half.png").write_bytes((folder / "disc" / "000.png").read_bytes()[:150])
    (folder / "disc" / "really.txt").write_bytes((folder / "square" / "000.png").read_bytes())
    (folder / "loose.png").write_bytes((folder / "square" / "000.png").read_bytes())
    (folder / "disc" / ".hidden").write_text("x")
    raw = read(folder, Settings())
    said = " ".join(f"{decision.what} {decision.chosen}" for decision in raw.decisions if "skipped" in decision.what)
    for name in ("notes.txt", "empty.png", "half.png", "loose.png"):
        assert said.count(name) >= 1, name
    assert "really.txt" not in said and "1: `disc/.hidden`" in said
    used = [path for part in parts_of(raw) for path in part]
    assert "disc/really.txt" in used
    assert not {"disc/notes.txt", "disc/empty.png", "disc/half.png"} & set(used)
    assert len(used) == 25


def test_equal_files_stay_on_one_side(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path, 20)
    for number in range(20):
        (folder / "square" / f"copy{number:03}.png").write_bytes((folder / "square" / f"{number:03}.png").read_bytes())
    train, validation, test = parts_of(read(folder, Settings()))
    for part in (train, validation, test):
        originals = {path for path in part if path.startswith("square/0")}
        copies = {path.replace("copy", "") for path in part if "copy" in path}
        assert originals == copies


def test_folders_that_cannot_be_learned_from(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "one" / "a.png")
    with pytest.raises(SourceError, match="one class only"):
        read(tmp_path, Settings())
    (tmp_path / "one" / "a.png").write_bytes(b"%PDF-1.7" + bytes(range(256)))
    with pytest.raises(SourceError, match="holds an image"):
        read(tmp_path, Settings())


def test_arrays_of_bytes_are_images() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3)).astype(np.uint8)
    for array in (pixels, pixels.transpose(0, 3, 1, 2), pixels[..., 0], pixels[..., :1]):
        table = read((array, list("ababab")), Settings()).table
        assert list(media_columns(table)) == ["image"] and table.column_names == ["image", "target"]
        expected = pixels if array.size == pixels.size else pixels[..., :1]
        for picture, right in zip(pixels_of(table["image"]), expected, strict=True):
            assert picture is not None and np.array_equal(picture, right)


def test_idx_files_are_read_with_their_test_part(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for stem, count in (("train", 12), ("t10k", 5)):
        pixels = random.integers(0, 256, (count, 3, 4)).astype(np.uint8)
        labels = (np.arange(count) % 3).astype(np.uint8)
        head = struct.pack(">HBB3I", 0, 8, 3, count, 3, 4)
        (tmp_path / f"{stem}-images-idx3-ubyte.gz").write_bytes(gzip.compress(head + pixels.tobytes()))
        (tmp_path / f"{stem}-labels-idx1-ubyte").write_bytes(struct.pack(">HBBI", 0, 8, 1, count) + labels.tobytes())
    raw, num_test = read_with_test(tmp_path, Settings())
    assert (raw.table.num_rows, num_test) == (17, 5)
    assert np.array_equal(pixels_of(raw.table["image"])[16], pixels[4][:, :, None])
    assert raw.table["label"].to_pylist()[12:] == labels.tolist()
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01\0\0\0\x05\1\2")
    with pytest.raises(SourceError, match="damaged IDX"):
        read(tmp_path, Settings())


def table_of_paths(tmp_path: Path) -> Path:
    folder = write_pictures(tmp_path / "pictures", 6)
    files = sorted(folder.rglob("*.png"))
    lines = [
        f"pictures/{file.relative_to(folder)},{number % 5},{file.parent.name}" for number, file in enumerate(files)
    ]
    path = tmp_path / "shapes.csv"
    path.write_text("\n".join(["file,weight,shape", *lines, "pictures/gone.png,3,disc"]) + "\n")
    return path


def test_a_column_of_paths_is_a_column_of_images(tmp_path: Path) -> None:
    raw = read(table_of_paths(tmp_path), Settings())
    assert media_columns(raw.table) == {"file": "image"}
    assert intact(raw.table).tolist() == [True] * 18 + [False]
    assert any("gone.png" in decision.chosen for decision in raw.decisions)


def test_kinds_decide_whether_paths_are_images(tmp_path: Path) -> None:
    path = table_of_paths(tmp_path)
    assert not media_columns(read(path, Settings(kinds={"file": "identifier"})).table)
    assert media_columns(read(path, Settings(kinds={"file": "image"})).table) == {"file": "image"}
    with pytest.raises(ColumnError, match="leads to an image"):
        read(path, Settings(kinds={"shape": "image"}))


def test_paths_to_other_files_stay_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "rows.csv").write_text("file,y\na.txt,1\na.txt,2\n")
    assert not media_columns(read(tmp_path / "rows.csv", Settings()).table)


def test_many_pixels_are_kept_in_a_mapped_file(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3_000, 4, 4)).astype(np.uint8)
    monkeypatch.setattr(module, "IN_MEMORY", 10_000)
    cells = array_images(pixels)
    assert np.array_equal(np.stack([p for p in pixels_of(cells) if p is not None])[..., 0], pixels)
    feature, _ = learn_images(Column("image", "image", ""), cells, np.arange(3_000), Settings())
    assert np.array_equal(feature.encode(cells, np.arange(3_000))[:, 0].numpy(), pixels)


def test_images_survive_a_parquet_file(tmp_path: Path) -> None:
    table = pa.table({"image": array_images(np.arange(64, dtype=np.uint8).reshape(4, 4, 4)), "y": [1, 2, 1, 2]})
    pq.write_table(table, tmp_path / "rows.parquet")
    again = read(pq.read_table(tmp_path / "rows.parquet"), Settings()).table
    assert again["image"].type == IMAGE
    assert again["image"].to_pylist() == table["image"].to_pylist()


def test_the_size_is_learned_from_the_training_rows_only() -> None:
    small, large = np.zeros((5, 10, 10), np.uint8), np.zeros((5, 40, 40, 3), np.uint8)
    cells = pa.chunked_array([*array_images(small).chunks, *array_images(large).chunks])
    feature, decisions = learn_images(Column("image", "image", ""), cells, np.arange(5), Settings())
    assert (feature.height, feature.width, feature.channels) == (10, 10, 1)
    assert "10 x 10 pixels, grey" in decisions[0].chosen
    assert feature.encode(cells, np.arange(10)).shape == (10, 1, 10, 10)


def test_grey_and_colour_meet() -> None:
    colour = np.zeros((2, 8, 8, 3), np.uint8)
    colour[..., 1] = 200
    cells = pa.chunked_array([*array_images(colour).chunks, *array_images(np.full((2, 8, 8), 90, np.uint8)).chunks])
    in_colour, _ = learn_images(Column("image", "image", ""), cells, np.arange(4), Settings())
    encoded = in_colour.encode(cells, np.arange(4))
    assert encoded[0, :, 0, 0].tolist() == [0, 200, 0] and encoded[3, :, 0, 0].tolist() == [90, 90, 90]
    grey, _ = learn_images(Column("image", "image", ""), cells, np.arange(2, 4), Settings())
    assert grey.encode(cells, np.arange(4))[:, 0, 0, 0].tolist() == [117, 117, 90, 90]  # 0.587 x 200


@pytest.mark.parametrize(
    ("typical", "wanted", "varied", "size"),
    [
        ((28, 28), None, False, (28, 28)),
        ((375, 500), None, True, (112, 144)),
        ((500, 480), None, True, (128, 128)),
        ((30, 31), None, True, (32, 32)),
        ((28, 28), 64, False, (64, 64)),
        ((128, 512), None, False, (64, 256)),
    ],
)
def test_sizes(typical: tuple[int, int], wanted: int | None, varied: bool, size: tuple[int, int]) -> None:
    assert choose_size(*typical, wanted, varied=varied) == size


def test_light_cells_carry_no_pixels() -> None:
    cells = array_images(np.zeros((3, 50, 50), np.uint8))
    assert light(cells).nbytes < 500 < cells.nbytes


def test_equal_files_are_named(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path, 3)
    (folder / "square" / "twin.png").write_bytes((folder / "disc" / "001.png").read_bytes())
    raw = read(folder, Settings())
    (warning,) = same_files(raw.table, np.arange(raw.table.num_rows))
    assert "disc/001.png = square/twin.png" in warning
    assert same_files(raw.table, np.arange(3)) == []
