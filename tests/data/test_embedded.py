"""Files inside a table's cells: bytes, alone or with a path, in Parquet, Arrow and frames."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

import nudgenet
from conftest import write_pictures, write_sounds
from nudgenet.data import read as reading
from nudgenet.data import typed
from nudgenet.data.media import field, light, media_columns, media_errors
from nudgenet.data.read import read, read_batches
from nudgenet.errors import ColumnError
from nudgenet.settings import Settings


def cells_in(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Objects of bytes and path, as `datasets` writes them, and the classes."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [{"bytes": path.read_bytes(), "path": path.name} for path in files], [path.parent.name for path in files]


@pytest.mark.parametrize("write", [write_pictures, write_sounds])
@pytest.mark.parametrize("form", ["object", "bytes", "bytes only"])
@pytest.mark.parametrize("kind", ["parquet", "arrow", "pandas", "query", "dict"])
def test_files_in_cells_are_decoded(write: Any, form: str, kind: str, tmp_path: Path) -> None:
    medium = "image" if write is write_pictures else "sound"
    cells, labels = cells_in(write(tmp_path / "files", 3))
    # A path that leads to another file is not followed, for the bytes are here.
    write_pictures(tmp_path, 3)
    if form != "object":
        cells = [cell["bytes"] if form == "bytes" else {"bytes": cell["bytes"]} for cell in cells]
    columns = {"what": cells, "class": labels}
    table = pa.table(columns)
    source: Any = tmp_path / f"table.{kind}"
    if kind == "parquet":
        pq.write_table(table, source)
    elif kind == "arrow":
        feather.write_feather(table, str(source))
    elif kind == "pandas":
        source = pd.DataFrame(columns)
    elif kind == "query":
        pq.write_table(table, source)
        source = f"SELECT * FROM read_parquet('{source}')"
    else:
        source = columns
    raw = read(source, Settings())
    assert media_columns(raw.table) == {"what": medium} and raw.table.column_names == ["what", "class"]
    digests = set(field(light(raw.table.column("what")), "digest").to_pylist())
    assert not media_errors(raw.table)
    whole = read(tmp_path / "files", Settings())
    assert digests == set(field(light(whole.table.column(medium)), "digest").to_pylist())


def test_broken_and_absent_cells_are_named_and_paths_stand_in_for_bytes(tmp_path: Path) -> None:
    cells, labels = cells_in(write_pictures(tmp_path / "files", 4))
    (tmp_path / "there.png").write_bytes(cells[0]["bytes"])
    cells[0] = {"bytes": None, "path": "there.png"}
    cells[1] = {"bytes": b"\xff\xfe broken", "path": "broken.png"}
    cells[2] = {"bytes": cells[2]["bytes"][:150], "path": None}
    pq.write_table(pa.table({"image": [*cells, None], "class": [*labels, "disc"]}), tmp_path / "table.parquet")
    raw = read(tmp_path / "table.parquet", Settings())
    assert sorted(media_errors(raw.table)) == [1, 2, 12]
    said = " ".join(f"{decision.what} {decision.chosen}" for decision in raw.decisions)
    for words in ("broken.png (", "row 3 (damaged", "row 13 (no file in the cell)"):
        assert words in said


def test_bytes_of_texts_are_texts_and_others_are_left_out(tmp_path: Path) -> None:
    texts = ["größer als alles".encode("latin-1"), b"a second text", b"a third one"] * 5
    table = {
        "text": texts,
        "weights": [b"\x00\x80\xff\x03\x9c"] * 15,
        "plain": [b"one", b"two", None] * 5,
        "y": [1.0, 2.0, 3.0] * 5,
    }
    raw = read(table, Settings())
    assert raw.table.column("text").to_pylist()[0] == "größer als alles"
    assert raw.table.column("plain").to_pylist()[:3] == ["one", "two", None]
    assert raw.table.column_names == ["text", "plain", "y"]
    said = next(decision for decision in raw.decisions if decision.what == "column `weights`")
    assert "neither images, sounds nor texts" in said.why


def test_one_column_of_images_is_looked_at(tmp_path: Path) -> None:
    cells, labels = cells_in(write_pictures(tmp_path / "files", 3))
    table = {"a": cells, "b": cells[::-1], "class": labels}
    raw = read(table, Settings())
    assert media_columns(raw.table) == {"a": "image"} and "b" not in raw.table.column_names
    said = next(decision for decision in raw.decisions if decision.what == "column `b`")
    assert said.override == "--set kinds=b:image"
    other = read(table, Settings(kinds={"b": "image"}))
    assert media_columns(other.table) == {"b": "image"} and "a" not in other.table.column_names
    with pytest.raises(ColumnError, match="No cell of `a` holds a sound"):
        read(table, Settings(kinds={"a": "sound"}))


def test_when_predicting_another_name_will_do(tmp_path: Path) -> None:
    cells, _ = cells_in(write_pictures(tmp_path / "files", 2))
    settings = Settings(kinds={"image": "image"})
    for name in ("image", "photo"):
        raw = read({name: cells, "other": cells}, settings, columns=["image", "class"])
        assert media_columns(raw.table) == {name: "image"}
    assert read({"image": [cells[0]["bytes"]]}, settings, columns=["image", "class"]).table.num_rows == 1


def test_large_parquet_files_are_decoded_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of large cells a few at a time: Arrow cannot put two gigabytes of objects into one piece."""
    cells, labels = cells_in(write_pictures(tmp_path / "files", 3))
    cells[0:4] = [None] * 4  # type: ignore[list-item]  # a whole piece of nothing
    pq.write_table(pa.table({"image": cells, "class": labels}), tmp_path / "table.parquet", row_group_size=2)
    monkeypatch.setattr(reading, "LARGE_BYTES", 1)
    monkeypatch.setattr(typed, "BATCH_BYTES", 4 * len(cells[-1]["bytes"]))
    predicting = Settings(kinds={"image": "image"}), ["image", "class"]
    raws = list(read_batches(tmp_path / "table.parquet", predicting[0], columns=predicting[1]))
    assert len(raws) > 2 and sum(raw.table.num_rows for raw in raws) == 9
    assert all(media_columns(raw.table) == {"image": "image"} for raw in raws)
    whole = read(tmp_path / "table.parquet", Settings())
    assert whole.table.num_rows == 9 and len(media_errors(whole.table)) == 4


def test_what_is_printed_can_be_typed(tmp_path: Path) -> None:
    """Of two columns of images: the other one, none of them, a column as something else."""
    cells, labels = cells_in(write_pictures(tmp_path / "files", 12))
    table = {"a": cells, "b": cells[::-1], "n": [number % 7 for number in range(36)], "class": labels}
    plain = {"epochs": 1, "baselines": False, "threads": 1, "runs": tmp_path / "runs"}
    quick = {**plain, "width": 8, "augment": "none"}
    first = nudgenet.train(table, "class", name="first", **quick)
    overrides = {decision.what: decision.override for decision in first.decisions}
    assert overrides["column `a`"] == "--set ignore=a" and overrides["column `b`"] == "--set kinds=b:image"
    for name, given in (("second", {"kinds": {"b": "image"}}), ("third", {"ignore": "a"})):
        run = nudgenet.train(table, "class", name=name, **quick, **given)
        assert run.preparation.media is not None and run.preparation.media.column == "b"
    without = nudgenet.train(table, "class", name="fourth", ignore="a,b", **plain)
    as_names = nudgenet.train(table, "class", name="fifth", kinds={"a": "identifier", "b": "identifier"}, **plain)
    assert without.preparation.media is None and as_names.preparation.media is None
    with pytest.warns(UserWarning, match="1 row has no answer"):
        answers = first.predict({"a": [None, cells[0]], "n": [1, 2]})
    assert answers[0] is None and answers[1] in labels


def test_broken_texts_in_cells_are_said_when_predicting() -> None:
    texts = [b"a first text", "größer".encode("latin-1"), b"\x89PNG\r\n\x1a\n" + bytes(60), None]
    raw = read({"text": texts}, Settings(kinds={"text": "text"}), columns=["text", "y"])
    assert raw.table.column("text").to_pylist()[:2] == ["a first text", "größer"]
    said = "2 texts of `text` cannot be read, taken as missing, such as row 3: is an image, no text"
    assert raw.warnings == (said,)


def test_bytes_behind_numbers(tmp_path: Path) -> None:
    cells, labels = cells_in(write_pictures(tmp_path / "files", 2))
    table = pa.table({"image": pa.array([cell["bytes"] for cell in cells]).dictionary_encode(), "class": labels})
    assert media_columns(read(table, Settings()).table) == {"image": "image"}


def test_lists_of_files_and_paths_without_bytes(tmp_path: Path) -> None:
    cells, labels = cells_in(write_pictures(tmp_path / "files", 2))
    for lists in ([[cell] for cell in cells], [[cell["bytes"], b"more"] for cell in cells]):
        raw = read({"image": [*lists, []], "class": [*labels, "disc"]}, Settings())
        assert media_columns(raw.table) == {"image": "image"} and list(media_errors(raw.table)) == [6]
    elsewhere = [{"bytes": None, "path": f"/cache/{number}.png"} for number in range(6)]
    table = pa.table(
        {"image": pa.array(elsewhere, pa.struct([("bytes", pa.binary()), ("path", pa.string())])), "class": labels}
    )
    pq.write_table(table, tmp_path / "table.parquet")
    with pytest.raises(ColumnError, match=r"leads to a file \(got /cache/0.png\)"):
        read(tmp_path / "table.parquet", Settings())


def test_names_of_classes_that_the_file_brings_along(tmp_path: Path) -> None:
    features = {
        "label": {"names": ["cat", "dog"], "_type": "ClassLabel"}, "x": {"dtype": "float32", "_type": "Value"},
        "boxes": [{"a": {"_type": "Value"}}], "more": {"b": {"_type": "Value"}},
    }  # fmt: skip
    about = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"label": [0, 1, 1, -1], "x": [1.0, 2.0, 3.0, 4.0]}).replace_schema_metadata(about)
    pq.write_table(table, tmp_path / "table.parquet")
    raw = read(tmp_path / "table.parquet", Settings())
    assert raw.table.column("label").to_pylist() == ["cat", "dog", "dog", None]
