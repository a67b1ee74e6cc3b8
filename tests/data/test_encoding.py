"""Bytes to UTF-8: marks, UTF-16 without one in every script, what the user named, and what is no text."""

from __future__ import annotations

import gzip
import io
import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nudgenet.data.encoding import encoding_of, to_utf8
from nudgenet.errors import SettingError, SourceError
from nudgenet.settings import make_settings

SCRIPTS = [
    "今天天气很好,我们去公园。\n明天有雨。\n", "昨日の夜、新しい映画を見ました。\nとても良かったです。\n",
    "Вчера мы смотрели новый фильм.\nОн мне понравился.\n", "Χθες είδαμε μια νέα ταινία.\n", "ראינו אתמול סרט חדש.\n",
    "شاهدنا أمس فيلما جديدا.\n", "어제 새 영화를 보았습니다.\n", "हमने कल एक नई फ़िल्म देखी।\nबहुत अच्छी थी।\n",
    "name,город,n\nAnna,Москва,1\nOtto,Казань,2\n", "id,城市\n1,北京\n2,上海\n", "Zoë und Jürgen\n",
]  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", SCRIPTS)
def test_utf16_without_a_mark(text: str, encoding: str) -> None:
    for times in (1, 9_000):
        got = to_utf8((text * times).encode(encoding), "t")
        assert got.data.decode() == text * times and got.decisions[0].chosen == encoding


@pytest.mark.parametrize("text", SCRIPTS)
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "cp1251", "shift_jis", "koi8-r", "euc_kr", "cp1253"])
def test_bytes_of_one_letter_are_no_utf16(text: str, encoding: str) -> None:
    data = text.encode(encoding, errors="ignore")
    found = encoding_of(data[: len(data) // 2 * 2], "t")
    assert found is None or found.encoding == "utf-8"


def pictures() -> list[bytes]:
    from PIL import Image

    made = []
    for kind in ("PNG", "BMP", "TIFF", "GIF", "JPEG"):
        stream = io.BytesIO()
        Image.effect_noise((40, 40), 60).save(stream, kind)
        made.append(stream.getvalue())
    return made


def test_binary_files_are_no_text() -> None:
    rng = random.Random(0)
    binary = [*pictures(), gzip.compress(" ".join(map(str, range(9_000))).encode(), mtime=0)]
    binary += [b"ID3\x04" + bytes(20) + b"\xff\xfb\x90\x64" + rng.randbytes(4_000), b"\x7fELF" + bytes(100)]
    binary += [rng.randbytes(size) for size in (300, 301, 5_000, 100_000)]
    binary += [b"".join(rng.randrange(-900, 900).to_bytes(2, "little", signed=True) for _ in range(2_000))]
    for data in binary:
        with pytest.raises(SourceError, match="binary"):
            to_utf8(data, "t")


@given(st.integers(150, 2_000))
def test_random_bytes_are_no_utf16(size: int) -> None:
    try:
        found = encoding_of(os.urandom(size), "t")
    except SourceError:
        return
    assert found is None


def test_a_named_encoding() -> None:
    data = "Größe".encode("mac-roman")
    got = to_utf8(data, "t", "mac-roman")
    assert got.data.decode() == "Größe"
    assert (got.decisions[0].chosen, got.decisions[0].override) == ("mac-roman", "--set encoding=NAME")
    assert to_utf8("Größe".encode(), "t", "mac-roman").data.decode() == "Größe"  # sound UTF-8 wins
    assert to_utf8("Größe".encode("utf-16"), "t", "mac-roman").data.decode() == "Größe"  # and so does a mark
    assert to_utf8(b"plain", "t", "koi8-r").decisions == ()


@pytest.mark.parametrize("encoding", ["iso2022_jp", "utf-16-le", "utf-32-be", "hz", "utf-7"])
def test_named_encodings_beyond_ascii_of_8_bits(encoding: str) -> None:
    assert to_utf8("今日は\n".encode(encoding), "t", encoding).data.decode() == "今日は\n"


def test_what_means_nothing_in_the_named_encoding_is_counted() -> None:
    got = to_utf8("荷物".encode("shift_jis") + b"\xff!", "t", "shift_jis")
    assert (
        got.data.decode() == "荷物�!" and "1 character of t is not valid shift_jis and was replaced" in got.warnings[0]
    )


def test_damaged_utf8_stays_utf8_wherever_the_damage_is() -> None:
    text = "Zoë, Jürgen und Anaïs\n" * 20_000
    for data in (text.encode() + b"\xff", b"\xff" + text.encode(), b"\xef\xbb\xbf" + text.encode() + b"\xff"):
        got = to_utf8(data, "t")
        assert got.data.decode().replace("�", "") == text and "1 character of" in got.warnings[0]


def test_half_of_it_valid_utf8_is_damage_and_no_arabic() -> None:
    got = to_utf8("Zoë,1\nJürgen,2\n".encode() + "René,3\nAnaïs,4\n".encode("latin-1"), "t")
    assert got.data.decode() == "Zoë,1\nJürgen,2\nRen�,3\nAna�s,4\n" and "2 characters of t are" in got.warnings[0]


@pytest.mark.parametrize("name", ["rot13", "base64", "zip"])
def test_another_way_to_write_bytes_is_no_encoding(name: str) -> None:
    with pytest.raises(SettingError) as caught:
        make_settings(encoding=name)
    assert f"`{name}`" not in str(caught.value)


@pytest.mark.parametrize("name", ["koi8-x", "hex", "idna", "undefined", "a\0b", "", "ß" * 400])
def test_an_unknown_encoding_is_a_wrong_setting(name: str) -> None:
    with pytest.raises(SettingError, match="no such encoding"):
        make_settings(encoding=name)


def test_the_nearest_encoding_is_offered() -> None:
    with pytest.raises(SettingError, match=r"got 'koi-8r'\). Did you mean `koi8-r`\?"):
        make_settings(encoding="koi-8r")
    assert make_settings(encoding="koi8-r?").encoding == "koi8-r?"
    assert make_settings(encoding="auto").encoding is None
    assert make_settings(encoding="Windows-1251").encoding == "Windows-1251"


def test_an_encoding_that_the_letters_contradict_is_used_and_said() -> None:
    """Such as that of the training, for rows that come from elsewhere."""
    line = "дом,стоит на берегу реки и ждёт хозяев\n"
    other = to_utf8((line * 40).encode("koi8-r"), "new.csv", "cp1251")
    assert "koi8-r" in other.warnings[0] and "new.csv was read as cp1251" in other.warnings[0]
    assert not to_utf8((line * 40).encode("cp1251"), "new.csv", "cp1251").warnings
    assert not to_utf8(line.encode("koi8-r"), "new.csv", "cp1251").warnings, "too few letters to tell"
    assert not to_utf8(("Straße, Äpfel, Übermut\n" * 90).encode("latin-1"), "new.csv", "latin-1").warnings
    overruled = to_utf8((line * 40).encode("koi8-r"), "new.csv", "cp1251?")
    assert overruled.data.decode() == line * 40 and "read as koi8-r, not as cp1251" in overruled.warnings[0]
    kept = to_utf8(line.encode("koi8-r"), "new.csv", "cp1251?")
    assert kept.data.decode() == line.encode("koi8-r").decode("cp1251") and not kept.warnings, "too few letters to tell"
    for encoding in ("utf-16-le", "utf-16-be"):
        assert not to_utf8((line * 40).encode(encoding), "new.csv", encoding).warnings
    for encoding in ("cp1252", "koi8-r"):
        wide = to_utf8((line * 40).encode("utf-16-le"), "new.csv", encoding)
        assert wide.data.decode() == line * 40 and not wide.warnings
