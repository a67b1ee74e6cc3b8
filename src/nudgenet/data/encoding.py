"""Bytes of a text file -> UTF-8 bytes with one kind of line end, and what was done to get there.

DuckDB and Arrow read UTF-8 only, so every other encoding is transcoded here, before anything is parsed.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass

from nudgenet.errors import SourceError
from nudgenet.records import Decision

# The longer mark first: UTF-32's begins with UTF-16's.
BYTE_ORDER_MARKS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
CONTROL = bytes(set(range(32)) - set(b"\t\n\r\f\x1a\x1b") | {127})  # bytes that text hardly ever holds
SEPARATORS = b"\x01\x02\x1c\x1d\x1e\x1f"  # control characters that some programs put between cells


@dataclass(frozen=True)
class Text:
    """A text file's content: UTF-8, lines ended by "\\n", no byte order mark, no NUL."""

    data: bytes
    decisions: tuple[Decision, ...] = ()
    warnings: tuple[str, ...] = ()


def to_utf8(data: bytes, name: str) -> Text:
    """Any of the usual encodings -> UTF-8.

    Args:
        data: the file's bytes, decompressed.
        name: the file's name, for messages.

    Raises:
        SourceError: the bytes are not text.
    """
    encoding, mark, why = _encoding(data, name)
    decisions: tuple[Decision, ...] = ()
    warnings: list[str] = []
    body = data[len(mark) :]
    if encoding != "utf-8":
        decisions = (Decision("encoding", encoding, why, "save the file as UTF-8"),)
        body = body.decode(encoding, errors="replace").encode()
    elif why:
        num_bad = body.decode("utf-8", errors="replace").count("�")
        body = body.decode("utf-8", errors="replace").encode()
        warnings.append(f"{num_bad:,} characters of {name} are not valid UTF-8 and were replaced by �")
    num_nul = body.count(b"\0")
    if num_nul:
        body = body.replace(b"\0", b"")
        warnings.append(f"{num_nul:,} NUL bytes were taken out of {name}")
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return Text(body.rstrip(b"\x1a"), decisions, tuple(warnings))  # \x1a: the end mark of old DOS files


def _encoding(data: bytes, name: str) -> tuple[str, bytes, str]:
    """The encoding, the byte order mark that was found, and why ("" for plain UTF-8)."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return encoding, mark, "a byte order mark says so" if encoding != "utf-8" else _broken_utf8(data)
    head = data[: 1 << 16]
    encoding = _utf16_without_mark(head)
    if encoding:
        return encoding, b"", "every second byte is zero"
    if _looks_binary(head):
        raise SourceError(
            f"`{name}` is not text: it looks like a binary file",
            fix="Tables are read from CSV, TSV, Parquet, JSON, Excel and ARFF files.",
        )
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        if _broken_utf8(data):
            return "utf-8", b"", _broken_utf8(data)
        why = f"byte {error.start + 1:,} is not valid UTF-8"
        # cp1252 leaves five bytes undefined; latin-1 defines them all.
        return ("latin-1" if re.search(rb"[\x81\x8d\x8f\x90\x9d]", data) else "cp1252"), b"", why
    return "utf-8", b"", ""


def _broken_utf8(data: bytes) -> str:
    """Why a file is UTF-8 with a few damaged characters; "" if it is sound, or is rather something else."""
    text = data.decode("utf-8", errors="replace")
    num_bad = text.count("�")
    if not num_bad or num_bad == data.decode("utf-8", errors="ignore").count("�"):
        return ""
    num_good = len(re.findall(r"[^\x00-\x7f�]", text))
    return "most characters beyond ASCII are valid UTF-8" if num_good > num_bad else ""


def _utf16_without_mark(head: bytes) -> str:
    """Latin text in UTF-16 has a zero in every second byte."""
    pairs = len(head) // 2
    if pairs < 2:
        return ""
    if head[1::2].count(0) > 0.8 * pairs and head[0::2].count(0) < 0.05 * pairs:
        return "utf-16-le"
    if head[0::2].count(0) > 0.8 * pairs and head[1::2].count(0) < 0.05 * pairs:
        return "utf-16-be"
    return ""


def _looks_binary(head: bytes) -> bool:
    """More than a few control characters that no text and no separator needs."""
    text = head.translate(None, SEPARATORS)
    num_control = len(text) - len(text.translate(None, CONTROL))
    return num_control > max(0.02 * len(head), 8 if b"\0" in text else 0)
