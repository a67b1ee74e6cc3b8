"""Text files in folders: any encoding is read, what is no text is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from nudgenet.data.documents import decode, is_document, texts_of
from nudgenet.data.media import Undecodable, media_errors
from nudgenet.data.read import read
from nudgenet.settings import Settings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"])
def test_any_encoding(encoding: str) -> None:
    assert decode("A café\r\nfor two".encode(encoding)) == "A café\nfor two"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \n\t", "nothing but blanks"),
        (b"\0" * 50, "nothing but blanks"),
        (b"\x89PNG\r\n\x1a\n", "is an image"),
        (b"%PDF-1.7 text", "is a PDF"),
        (b"PK\x03\x04" + bytes(30), "is a zip file"),
        (bytes(range(256)) * 8, "is no text"),
    ],
)
def test_what_is_no_text(data: bytes, reason: str) -> None:
    assert not is_document(data)
    with pytest.raises(Undecodable, match=reason):
        decode(data)


def test_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nudgenet.data.documents.MOST_BYTES", 9)
    with pytest.raises(Undecodable, match="10 bytes"):
        decode(b"ten bytes!")


def test_a_folder_of_texts(tmp_path: Path) -> None:
    for part in ("train", "test"):
        for label in ("sad", "glad"):
            folder = tmp_path / part / label
            folder.mkdir(parents=True)
            for number in range(3):
                (folder / f"{number}.txt").write_text(f"{label} text {number}")
    (tmp_path / "train" / "sad" / "broken.md").write_bytes(b"\x89PNG\r\n")
    (tmp_path / "train" / "sad" / "latin").write_bytes("Größe für alle, ein Text mit Ä".encode("latin-1"))
    (tmp_path / "notes.txt").write_text("outside")
    raw = read(tmp_path, Settings())
    assert raw.table.column_names == ["text", "label"] and raw.given_test == 6
    texts = texts_of(raw.table.column("text")).to_pylist()
    assert texts[0] == "glad text 0" and "Größe für alle, ein Text mit Ä" in texts
    ((row, reason),) = media_errors(raw.table).items()
    assert texts[row] is None and reason == "is an image, no text"
    said = [(decision.what, decision.chosen) for decision in raw.decisions]
    assert any(what.startswith("skipped") and "broken.md" in chosen for what, chosen in said)
    assert any(what.startswith("skipped") and "notes.txt" in chosen for what, chosen in said)
