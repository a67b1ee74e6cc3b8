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


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_a_mark_and_nothing_else_is_empty(encoding: str) -> None:
    with pytest.raises(Undecodable, match=r"^empty$"):
        decode("".encode(encoding))
    with pytest.raises(Undecodable, match="nothing but blanks"):
        decode(" \n".encode(encoding))


def folder_of(tmp_path: Path, texts: list[tuple[str, str]]) -> Path:
    """Texts, each in an encoding of its own, in two classes."""
    for number, (text, encoding) in enumerate(texts):
        folder = tmp_path / "texts" / ("a", "b")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:03}.txt").write_bytes(text.encode(encoding))
    return tmp_path / "texts"


RUSSIAN = ["Не рекомендую.", "Цена хорошая!", "Да", "Отличная книга, читается легко.", "Ёж", "Очень доволен", "Нет"]
JAPANESE = ["良い", "値段は良いですが、品質は普通です。", "①番", "お金はまだ返ってきません。", "本"]
POLISH = ["Źle", "Książka jest świetna", "zażółć", "Nie polecam, pieniędzy nie oddali", "są", "można", "później"]


@pytest.mark.parametrize(
    ("texts", "encoding"),
    [(RUSSIAN, "koi8-r"), (RUSSIAN, "cp1251"), (JAPANESE, "cp932"), (POLISH, "iso8859-2"), (POLISH, "cp1250")],
)
def test_short_texts_of_one_folder_are_told_together(tmp_path: Path, texts: list[str], encoding: str) -> None:
    """Some of them in UTF-8, and each too short to be told alone."""
    mixed = [(text, encoding) for text in texts] * 3 + [(text, "utf-8") for text in texts] * 2
    raw = read(folder_of(tmp_path, mixed), Settings())
    assert sorted(texts_of(raw.table.column("text")).to_pylist()) == sorted(text for text, _ in mixed)
    told = [entry for entry in raw.decisions if entry.what == "encoding"]
    assert sum(int(entry.chosen.split(" in ")[1].split(" of ")[0]) for entry in told) == 3 * len(texts)
    assert "`a/000.txt`" in "".join(entry.chosen for entry in told) and f"of {len(mixed)} texts" in told[0].chosen
    assert told[0].override == "--set encoding=NAME"


def test_a_text_that_the_common_encoding_does_not_fit_is_told_alone(tmp_path: Path) -> None:
    alone = "Größe und Höhe für Jürgen Müller, außerdem ein schöner Spaß in der Küche"
    mixed = [(text, "shift_jis") for text in JAPANESE if "①" not in text] * 4 + [(alone, "cp1252")]
    raw = read(folder_of(tmp_path, mixed), Settings())
    assert sorted(texts_of(raw.table.column("text")).to_pylist()) == sorted(text for text, _ in mixed)
    assert [entry.chosen.split(":")[0] for entry in raw.decisions if entry.what == "encoding"] == [
        "shift_jis in 16 of 17 texts", "cp1252 in 1 of 17 texts",
    ]  # fmt: skip


def test_the_encoding_that_was_named_is_taken(tmp_path: Path) -> None:
    mixed = [("Größe", "mac-roman"), ("Höhe", "mac-roman"), ("Übung", "utf-8"), ("plain", "ascii")]
    raw = read(folder_of(tmp_path, mixed), Settings(encoding="mac-roman"))
    assert sorted(texts_of(raw.table.column("text")).to_pylist()) == sorted(text for text, _ in mixed)
    assert not [entry for entry in raw.decisions if entry.what == "encoding"]


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


def test_an_expected_encoding_is_overruled_by_letters_enough(tmp_path: Path) -> None:
    """Texts to predict are expected to be like those of the training; there may be one, or many from elsewhere."""
    text = "дом стоит на берегу реки и ждёт хозяев"
    many = [(f"{text}, {number}", "koi8-r") for number in range(40)]
    for cases, expected in ((many, text), (many[:1], text.encode("koi8-r").decode("cp1251"))):
        folder = folder_of(tmp_path / str(len(cases)), cases)
        raw = read(folder, Settings(encoding="cp1251?", kinds={"text": "text"}), columns=["text", "label"])
        assert texts_of(raw.table["text"])[0].as_py() == f"{expected}, 0"
