"""Choosing a source: folders, files, and a first look at columns."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

NASTY = "<img src=x onerror=alert(1)>"


def test_a_folder(page: Any, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("b.CSV", "a.parquet", "notes.md", ".hidden.csv", f"{NASTY.replace('/', '')}.csv"):
        (tmp_path / name).write_text("a,b\n1,2\n")
    (tmp_path / "nowhere.csv").symlink_to(tmp_path / "gone")
    found = page.get(f"files?path={quote(str(tmp_path))}")
    assert (found["path"], found["parent"], found["left_out"]) == (str(tmp_path), str(tmp_path.parent), 0)
    entries = {entry["name"]: entry for entry in found["entries"]}
    assert [entry["name"] for entry in found["entries"]] == ["photos", f"{NASTY}.csv", "a.parquet", "b.CSV", "notes.md"]
    assert entries["photos"]["folder"] and not entries["b.CSV"]["folder"] and entries["b.CSV"]["size"] == 8
    assert [name for name, entry in entries.items() if not entry["openable"]] == ["notes.md"]
    assert page.get(f"files?path={quote(str(tmp_path / 'b.CSV'))}")["path"] == str(tmp_path), "a file's own folder"
    assert page.get(f"files?path={quote(str(tmp_path / 'photos' / '..'))}")["path"] == str(tmp_path)
    assert page.get("files?path=/")["parent"] is None


def test_without_a_path_it_is_the_working_folder(page: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert page.get("files")["path"] == str(tmp_path)


def test_a_first_look(page: Any, quick_runs: dict[str, Path]) -> None:
    table = quick_runs["binary"].parent.parent / "houses.csv"
    found = page.get(f"peek?path={quote(str(table))}")
    columns = {column["name"]: column for column in found["columns"]}
    assert list(columns) == ["id", "area", "age", "city", "sold", "price", "dear"]
    assert {name: column["kind"] for name, column in columns.items()} == {
        "id": "identifier", "area": "number", "age": "number", "city": "category", "sold": "date", "price": "number",
        "dear": "yes_no",
    }  # fmt: skip
    assert found["rows"] == 240 and found["target_guess"] == "price"
    assert len(columns["area"]["examples"]) == 3 and all(float(text) for text in columns["area"]["examples"])


def test_what_could_be_no_target_is_not_guessed(page: Any, tmp_path: Path) -> None:
    rows = [f"{place % 7}.5,{'ab'[place % 2]},2024-01-{place % 28 + 1:02},car {place}" for place in range(40)]
    (tmp_path / "cars.csv").write_text("\n".join(["power,maker,day,car", *rows]))
    assert page.get(f"peek?path={quote(str(tmp_path / 'cars.csv'))}")["target_guess"] == "maker"
    (tmp_path / "names.csv").write_text("\n".join(["car", *(f"car-{place}" for place in range(40))]))
    assert page.get(f"peek?path={quote(str(tmp_path / 'names.csv'))}")["target_guess"] == "car"


def test_a_query_and_a_folder_of_classes(page: Any, quick_runs: dict[str, Path], tmp_path: Path) -> None:
    table = quick_runs["binary"].parent.parent / "houses.csv"
    found = page.get(f"""peek?path={quote(f"SELECT area, city FROM '{table}' LIMIT 5")}""")
    assert [column["name"] for column in found["columns"]] == ["area", "city"] and found["rows"] == 5
    for name in ("cats", "dogs"):
        (tmp_path / name).mkdir()
    assert page.get(f"peek?path={quote(str(tmp_path))}")["classes"] == ["cats", "dogs"]


def test_names_in_a_table_are_text(page: Any, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f'"{NASTY}",y\n"<b>",1\n"c",2\n')
    column = page.get(f"peek?path={quote(str(tmp_path / 't.csv'))}")["columns"][0]
    assert column["name"] == NASTY and "<b>" in column["examples"]


def test_what_cannot_be_opened_is_one_line(page: Any, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "image.csv").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    assert "empty" in page.error("GET", f"peek?path={quote(str(tmp_path / 'empty.csv'))}")
    assert "is an image" in page.error("GET", f"peek?path={quote(str(tmp_path / 'image.csv'))}")
    assert "no sub-folders" in page.error("GET", f"peek?path={quote(str(tmp_path))}")
    assert "No file was named" in page.error("GET", "peek?path=")
    assert "no such file" in page.error("GET", f"files?path={quote(str(tmp_path / 'gone'))}")
    assert "no such file" in page.error("GET", f"peek?path={quote(str(tmp_path / 'gone.csv'))}")
    page.error("GET", "files?path=%00")
    os.mkfifo(tmp_path / "pipe.csv")
    (found,) = (one for one in page.get(f"files?path={quote(str(tmp_path))}")["entries"] if one["name"] == "pipe.csv")
    assert not found["openable"]
    for endless in ("/dev/zero", str(tmp_path / "pipe.csv")):
        assert "neither a file nor a folder" in page.error("GET", f"peek?path={quote(endless)}")
        assert "neither a file nor a folder" in page.error("POST", "start", {"source": endless})
    assert "one SELECT" in page.error("GET", "peek?path=" + quote("SELECT 1; SELECT 2"))
