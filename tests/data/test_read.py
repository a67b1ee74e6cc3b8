"""Every kind of source, and every way in which one can be wrong."""

from __future__ import annotations

import datetime
import gzip
import os
import sys
import zipfile
from pathlib import Path

import duckdb
import numpy as np
import openpyxl
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from nudgenet.data.read import READERS, read
from nudgenet.errors import MissingExtra, SourceError
from nudgenet.settings import Settings

TEXT = b"a,b\n1,x\n2,y\n3,x\n"
COLUMNS = {"a": [1, 2, 3], "b": ["x", "y", "x"]}
A_TABLE_OF_THE_PROGRAM = pa.table(COLUMNS)  # a query must not see variables


def test_the_readers_are_a_visible_table() -> None:
    assert set(READERS) == {"text", "parquet", "arrow", "json", "excel", "arff", "folder", "query", "frame", "arrays"}


def test_a_file_and_where_it_came_from(tmp_path: Path) -> None:
    path = tmp_path / "my houses.csv"
    path.write_bytes(TEXT)
    raw = read(str(path), Settings())
    assert (raw.source.kind, raw.source.name, raw.source.location) == ("file", "my-houses", str(path))
    again = read(path, Settings())
    assert raw.source.fingerprint == again.source.fingerprint and len(raw.source.fingerprint) == 64
    path.write_bytes(TEXT + b"4,z\n")
    assert read(path, Settings()).source.fingerprint != raw.source.fingerprint


def test_compressed_files(tmp_path: Path) -> None:
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(TEXT))
    with zipfile.ZipFile(tmp_path / "t.csv.zip", "w") as archive:
        archive.writestr("inside.csv", TEXT)
    for name in ("t.csv.gz", "t.csv.zip"):
        raw = read(tmp_path / name, Settings())
        assert raw.table.to_pydict() == {"a": ["1", "2", "3"], "b": ["x", "y", "x"]}
        assert raw.source.name == "t"


def test_a_zip_of_several_files_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("1.csv", TEXT)
        archive.writestr("2.csv", TEXT)
    with pytest.raises(SourceError, match="holds 2 files"):
        read(tmp_path / "t.zip", Settings())


def test_parquet_and_arrow_files_keep_their_types_whatever_their_extension(tmp_path: Path) -> None:
    table = pa.table(COLUMNS)
    pq.write_table(table, tmp_path / "t.bin")
    feather.write_feather(table, tmp_path / "t.dat")
    for name in ("t.bin", "t.dat"):
        raw = read(tmp_path / name, Settings())
        assert raw.table.to_pydict() == COLUMNS and raw.table["a"].type == pa.int64()


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "b": "x", "c": {"d": 1.5}}\n{"a": 2, "b": null, "c": {"d": 2.5}}\n',
        '[{"a": 1, "b": "x", "c": {"d": 1.5}}, {"a": 2, "b": null, "c": {"d": 2.5}}]',
    ],
)
def test_json(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.json"
    path.write_text(text)
    assert read(path, Settings()).table.to_pydict() == {"a": [1, 2], "b": ["x", None], "c.d": [1.5, 2.5]}


def test_json_of_other_shapes(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text('{"a": [1, 2], "b": ["x", "y"]}')
    assert read(path, Settings()).table.to_pydict() == {"a": [1, 2], "b": ["x", "y"]}
    path.write_text('{"data": [{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]}')
    assert read(path, Settings()).table.to_pydict() == {"a": [1, 2], "b": ["x", "y"]}
    path.write_text('{"mixed": 1, "list": [1, 2]}\n{"mixed": "x", "list": [3]}\n')
    raw = read(path, Settings())
    assert raw.table.to_pydict() == {"mixed": ["1", "x"], "list": ["[1, 2]", "[3]"]}
    assert "`list` holds lists" in raw.warnings[0]


def test_broken_json_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"a": 1}\n{"a": 2, \n')
    with pytest.raises(SourceError, match=r"cannot be read as rows of JSON") as caught:
        read(path, Settings())
    assert "\n" not in str(caught.value)


def write_sheets(path: Path, sheets: dict[str, list[list[object]]]) -> None:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)


def test_excel(tmp_path: Path) -> None:
    day = datetime.datetime(2020, 12, 31)
    rows: list[list[object]] = [
        ["A report"], [], ["n", "x", "when", "mixed", "ok"],
        [1, 1.5, day, 3, True], [2, None, day, "many", False], [3, 2.5, day, 4.5, True],
    ]  # fmt: skip
    write_sheets(tmp_path / "t.xlsx", {"empty": [], "data": rows, "other": [["z"], [1]]})
    raw = read(tmp_path / "t.xlsx", Settings())
    assert raw.table.to_pydict() == {
        "n": [1, 2, 3], "x": [1.5, None, 2.5], "when": [day] * 3, "mixed": ["3", "many", "4.5"],
        "ok": [True, False, True],
    }  # fmt: skip
    assert raw.decisions[0].what == "sheet" and raw.decisions[0].chosen == "data" and "`other`" in raw.decisions[0].why


def test_excel_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_sheets(tmp_path / "t.xlsx", {"data": [["a"], [1], [2]]})
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(MissingExtra, match=r"nudgenet\[excel\]"):
        read(tmp_path / "t.xlsx", Settings())


def test_excel_without_a_table(tmp_path: Path) -> None:
    write_sheets(tmp_path / "t.xlsx", {"empty": [], "note": [["only this"]]})
    with pytest.raises(SourceError, match="no sheet with a table"):
        read(tmp_path / "t.xlsx", Settings())


ARFF = "% a comment\n@RELATION r\n@ATTRIBUTE 'petal width' NUMERIC\n@attribute class {a,b}\n@DATA\n"


def test_arff(tmp_path: Path) -> None:
    path = tmp_path / "t.arff"
    path.write_text(ARFF + "1.5,a\n% between\n?,b\n2.5,'a'\n")
    assert read(path, Settings()).table.to_pydict() == {"petal width": ["1.5", "?", "2.5"], "class": ["a", "b", "a"]}
    path.write_text(ARFF)
    with pytest.raises(SourceError, match="no rows"):
        read(path, Settings())
    path.write_text(ARFF + "{0 1.5, 1 a}\n")
    with pytest.raises(SourceError, match="sparse"):
        read(path, Settings())
    path.write_text("1,a\n2,b\n3,a\n")  # the extension alone makes no ARFF file
    assert read(path, Settings()).table.num_rows == 3


# ------------------------------------------------------------------ queries


def test_a_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv").write_bytes(TEXT)
    monkeypatch.chdir(tmp_path)
    raw = read("select a * 2 as a, ' ' || b as b from 't.csv' where a < 3", Settings())
    assert raw.table.to_pydict() == {"a": [2, 4], "b": ["x", "y"]}
    assert raw.source.kind == "query" and raw.source.name == "query"
    assert read("FROM 't.csv'", Settings()).table.num_rows == 3


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT * FROM 'absent.csv'", "The query failed"),
        ("SELECT 1 AS a; SELECT 2 AS b", "one SELECT"),
        ("SELECT 1 AS a WHERE false", "no rows"),
        ("WITH x AS (SELECT 1) DELETE FROM y", "The query failed|one SELECT"),
        ("FROM A_TABLE_OF_THE_PROGRAM", "The query failed"),
    ],
)
def test_queries_that_fail(query: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read(query, Settings())


# ------------------------------------------------------------------ files that cannot be read


def test_a_missing_file_names_a_near_one(tmp_path: Path) -> None:
    (tmp_path / "houses.csv").write_bytes(TEXT)
    with pytest.raises(SourceError, match=r"Did you mean `.*houses\.csv`"):
        read(tmp_path / "house.csv", Settings())
    with pytest.raises(SourceError, match="There is no folder"):
        read(tmp_path / "absent" / "house.csv", Settings())


def test_a_folder_without_images_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="a folder without any files"):
        read(tmp_path, Settings())
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(SourceError, match=r"lie in no sub-folders.*got `a.jpg`"):
        read(tmp_path, Settings())
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    with pytest.raises(SourceError, match=rf"or one table: {tmp_path.name}/rows.csv"):
        read(tmp_path, Settings())


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(2):
            (tmp_path / name / f"{number}.txt").write_text(f"{name} {number}")
    (tmp_path / "a" / "gone.txt").symlink_to(tmp_path / "nowhere")
    said = [decision.chosen for decision in read(tmp_path, Settings()).decisions if "skipped" in decision.what]
    assert len(said) == 1 and "a/gone.txt" in said[0] and "No such file" in said[0]


@pytest.mark.parametrize("name", ["x\0y.csv", "a" * 5000])
def test_names_that_no_file_can_have(name: str) -> None:
    with pytest.raises(SourceError):
        read(name, Settings())


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("cut.csv.gz", gzip.compress(TEXT * 100, mtime=0)[:40]),
        ("broken.zip", b"PK\x03\x04 this is no zip"),
        ("broken.parquet", b"PAR1 this is no parquet PAR1"),
        ("broken.arrow", b"ARROW1 this is no arrow"),
        ("broken.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)),
        ("a.pdf", b"%PDF-1.7 \x00\x01"),
        ("model.pkl", b"\x80\x04\x95\x00\x00"),
    ],
)
def test_damaged_and_foreign_files_are_one_line(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(SourceError) as caught:
        read(tmp_path / name, Settings())
    assert name in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(TEXT)
    path.chmod(0)
    with pytest.raises(SourceError, match="permission"):
        read(path, Settings())


def test_no_permission_is_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(TEXT)

    def refuse(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SourceError, match="No permission"):
        read(path, Settings())


# ------------------------------------------------------------------ objects in memory


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.table])
def test_frames_of_any_library(make: object) -> None:
    raw = read(make(COLUMNS), Settings())  # type: ignore[operator]
    assert raw.table.to_pydict() == COLUMNS
    assert raw.source.kind == "frame" and raw.source.location is None


def test_a_duckdb_relation() -> None:
    with duckdb.connect() as connection:
        raw = read(connection.sql("SELECT 1.5::DECIMAL(4, 1) AS a, 'x' AS b"), Settings())
    assert raw.table.to_pydict() == {"a": [1.5], "b": ["x"]} and raw.table["a"].type == pa.float64()


def test_odd_pandas_frames() -> None:
    frame = pd.DataFrame(
        [[1, "a", None, pd.Timestamp("2020-01-01")], ["x", "b", 2.5, pd.Timestamp("2020-01-02")]],
        columns=[0, "n", "n", "t"], index=[7, 7],
    )  # fmt: skip
    frame["c"] = pd.Categorical(["u", "v"])
    table = read(frame, Settings()).table
    assert table.column_names == ["0", "n", "n_2", "t", "c"]
    assert table["0"].to_pylist() == ["1", "x"] and table["n_2"].to_pylist() == [None, 2.5]
    assert table["c"].type == pa.string() and pa.types.is_timestamp(table["t"].type)


def test_pairs_of_features_and_target() -> None:
    raw = read((np.array([[1.0, np.nan], [3.0, 4.0]]), ["yes", "no"]), Settings())
    assert raw.table.to_pydict() == {"column_1": [1.0, 3.0], "column_2": [None, 4.0], "target": ["yes", "no"]}
    assert not raw.has_header and raw.source.kind == "arrays"
    frame = pd.DataFrame({"target": [1, 2], "b": [3, 4]})
    assert read((frame, pd.Series([0.5, 1.5])), Settings()).table.column_names == ["target", "b", "target_"]
    assert read((np.ones((2, 1)), np.ones((2, 1))), Settings()).table.shape == (2, 2)


def test_dicts_and_lists() -> None:
    assert read(COLUMNS, Settings()).table.to_pydict() == COLUMNS
    assert read({"a": 1, "b": "x"}, Settings()).table.to_pydict() == {"a": [1], "b": ["x"]}
    rows = read([{"a": 1}, {"a": "two", "b": 3}], Settings())
    assert rows.table.to_pydict() == {"a": ["1", "two"], "b": [None, 3]}
    assert read([[1, "x"], [2, "y"]], Settings()).table.to_pydict() == {"column_1": [1, 2], "column_2": ["x", "y"]}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((4, 8, 8)), "uint8"),
        (np.zeros((4, 8, 8, 2), np.uint8), "1 or 3 channels"),
        (np.zeros((4, 8, 8, 1, 1), np.uint8), "rows and columns"),
        (np.zeros(4), "rows and columns"),
        (np.zeros((0, 3)), "no rows"),
        (np.zeros((3, 0)), "no columns"),
        ((np.zeros((3, 2)), [1, 2]), "3 rows in X and 2 in y"),
        ({"a": [1, 2], "b": [1]}, "same number of rows"),
        ({}, "no columns"),
        ([], "rows and columns|no rows"),
        ([[1, 2], [3]], "same number of cells"),
        (np.array([[1j, 2j]]), "type"),
        (7, "rows and columns"),
        (None, "rows and columns"),
        (pd.DataFrame(), "no columns"),
    ],
)
def test_objects_that_are_no_table(source: object, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read(source, Settings())


def test_fingerprints_of_frames_follow_their_content() -> None:
    first = read(pa.table(COLUMNS), Settings()).source.fingerprint
    assert read(pa.table(COLUMNS), Settings()).source.fingerprint == first
    assert read(pa.table({**COLUMNS, "a": [1, 2, 4]}), Settings()).source.fingerprint != first
    assert read(pa.table({"a": COLUMNS["a"], "c": COLUMNS["b"]}), Settings()).source.fingerprint != first
