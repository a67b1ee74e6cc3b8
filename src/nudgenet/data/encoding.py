"""Bytes of a text file -> UTF-8 bytes with one kind of line end, and what was done to get there.

DuckDB and Arrow read UTF-8 only, so every other encoding is transcoded here, before anything is parsed.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from nudgenet.data.guessing import contradicted, guess, sample_of
from nudgenet.errors import SourceError, counted
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
STRANGE = 0.02  # of the characters of a text, at most, are neither of its script nor usual signs
WHAT = "encoding"  # what the decision about it is called
OVERRIDE = "--set encoding=NAME"
BY_LETTERS = "it is not UTF-8; told from its letters, which is never quite sure"
BY_SETTING = "the setting says so"
UTF16_SHOWS = "every two bytes make a letter"
# Letters of Latin and signs that stand in texts of every script; no control characters.
_COMMON = "[\t\n\r -~\xa0-\u024f\u2010-\u2027\u2030-\u205e\u20a0-\u20bf]"
_SCRIPTS = tuple(
    f"[{ranges}]"
    for ranges in (
        "\u0370-\u03ff", "\u0400-\u04ff", "\u0530-\u058f", "\u0590-\u05ff\u200e\u200f", "\u0600-\u06ff\u200c-\u200f",
        "\u0900-\u097f", "\u0980-\u09ff", "\u0b80-\u0bff", "\u0e00-\u0e7f", "\u10a0-\u10ff",
        "\u3000-\u303f\uff01-\uff9f\u3040-\u30ff\u4e00-\u9fff", "\u3000-\u303f\uff01-\uff5e\uac00-\ud7a3",
    )
)  # fmt: skip
SEPARATORS = b"\x01\x02\x1c\x1d\x1e\x1f"  # control characters that some programs put between cells


@dataclass(frozen=True)
class Found:
    """The encoding of some bytes. mark: the byte order mark before them. why: "" for plain UTF-8."""

    encoding: str
    why: str = ""
    mark: bytes = b""


@dataclass(frozen=True)
class Text:
    """A text file's content: UTF-8, lines ended by "\n", no byte order mark, no NUL."""

    data: bytes
    decisions: tuple[Decision, ...] = ()
    warnings: tuple[str, ...] = ()


def to_utf8(data: bytes, name: str, encoding: str | None = None) -> Text:
    """Any of the usual encodings -> UTF-8.

    Args:
        data: the file's bytes, decompressed.
        name: the file's name, for messages.
        encoding: that of text which is not UTF-8, if the user named it, or an earlier file had it (`Settings.encoding`).

    Raises:
        SourceError: the bytes are not text.
    """
    given, is_likely = as_given(encoding)
    found = encoding_of(data, name, given) or Found(guess(data), BY_LETTERS)
    other = ""
    if given is not None and found.why == BY_SETTING and _is_like_ascii(given):
        other = contradicted(data, given)
    if other and is_likely:
        doubt = f"{name} was read as {other}, not as {given}: its letters say so. Save it as UTF-8 to be sure"
        found = Found(other, BY_LETTERS)
    else:
        doubt = f"{name} was read as {given}, as was set, but its letters look like {other}"
    text = as_utf8(data, name, found)
    return replace(text, warnings=(*text.warnings, doubt)) if other else text


def as_given(encoding: str | None) -> tuple[str | None, bool]:
    """`Settings.encoding` as (the name, whether the letters may overrule it: it ends with a question mark)."""
    return (None, False) if encoding is None else (encoding.removesuffix("?"), encoding.endswith("?"))


def encoding_of_earlier(decisions: Iterable[Decision]) -> str | None:
    """The encoding that was found for most of what was read, if it is one that may be taken for granted in later rows:
    these may be too few to tell it from, and what is UTF-8 is known as that all the same."""
    found = next((decision.chosen.split()[0] for decision in decisions if decision.what == WHAT), None)
    return found if found is not None and _is_like_ascii(found) else None


def _is_like_ascii(encoding: str) -> bool:
    """Whether ASCII is written in it as it is: no encoding of two bytes per letter, or of mainframes."""
    return "a\n".encode(encoding, "replace") == b"a\n"


def encoding_of(data: bytes, name: str, given: str | None = None) -> Found | None:
    """The encoding that the bytes show without doubt, or that was given; None if only their letters can tell.

    A mark wins over what was given, and so do UTF-16 without one and sound UTF-8 (but not over encodings of two bytes per
    letter, which may look like it): a folder may hold both.

    Raises:
        SourceError: the bytes are not text.
    """
    for mark, encoding in BYTE_ORDER_MARKS:
        if data.startswith(mark):
            return Found(encoding, "" if encoding == "utf-8" else "a byte order mark says so", mark)
    if given and not _is_like_ascii(given):
        return Found(given, BY_SETTING)
    head = data[: 1 << 16]
    if encoding := _utf16_without_mark(head):
        return Found(encoding, UTF16_SHOWS)
    if _looks_binary(head):
        raise SourceError(
            f"`{name}` is not text: it looks like a binary file",
            fix="Tables are read from CSV, TSV, Parquet, JSON, Excel and ARFF files.",
        )
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        if given:
            return Found(given, BY_SETTING)
        return Found("utf-8") if _is_damaged_utf8(data, error.start) else None
    # Some encodings are written in ASCII alone, such as iso2022_jp.
    if given and text.isascii() and data.decode(given, errors="replace") != text:
        return Found(given, BY_SETTING)
    return Found("utf-8")


def as_utf8(data: bytes, name: str, found: Found) -> Text:
    """Bytes of a known encoding -> UTF-8. What means nothing in it is replaced and counted."""
    body = data[len(found.mark) :]
    decisions: tuple[Decision, ...] = ()
    warnings: list[str] = []
    if found.encoding != "utf-8":
        override = "save the file as UTF-8" if found.mark else OVERRIDE
        decisions = (Decision(WHAT, found.encoding, found.why, override),)
    try:
        text = body.decode(found.encoding)
    except UnicodeError:
        text = body.decode(found.encoding, errors="replace")
        known = found.encoding.upper() if found.encoding.startswith("utf") else found.encoding
        num_bad = text.count("�")
        verbs = ("is", "was") if num_bad == 1 else ("are", "were")
        bad = f"{counted(num_bad, 'character')} of {name} {verbs[0]} not valid {known} and {verbs[1]} replaced by �"
        warnings.append(bad)
    if warnings or found.encoding != "utf-8":
        body = text.encode(errors="replace")
    num_nul = body.count(b"\0")
    if num_nul:
        body = body.replace(b"\0", b"")
        warnings.append(f"{counted(num_nul, 'NUL byte was', 'NUL bytes were')} taken out of {name}")
    if b"\r" in body:
        body = body.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return Text(body.rstrip(b"\x1a"), decisions, tuple(warnings))  # \x1a: the end mark of old DOS files


def _is_damaged_utf8(data: bytes, first_bad: int) -> bool:
    """Whether half of the characters beyond ASCII or more are valid UTF-8, which hardly happens by chance: the others are damage.

    Only samples are looked at, from the beginning and from the first bad byte on: replacing many takes long.
    """
    sample = sample_of(data[:first_bad]) + b"\n" + sample_of(data, start=first_bad)
    text = sample.decode(errors="replace")
    return len(re.findall(r"[^\x00-\x7f�]", text)) >= text.count("�")


def _utf16_without_mark(head: bytes) -> str:
    """UTF-16 without a mark: Latin text has a zero in every second byte; others make sense in one byte order only."""
    pairs = len(head) // 2
    if pairs < 2:
        return ""
    if head[1::2].count(0) > 0.8 * pairs and head[0::2].count(0) < 0.05 * pairs:
        return "utf-16-le"
    if head[0::2].count(0) > 0.8 * pairs and head[1::2].count(0) < 0.05 * pairs:
        return "utf-16-be"
    if len(head) % 2 or head.translate(None, CONTROL) == head:  # bytes of 8-bit encodings hold no control characters
        return ""
    orders = [encoding for encoding in ("utf-16-le", "utf-16-be") if _is_of_one_script(head, encoding)]
    return orders[0] if len(orders) == 1 else ""


def _is_of_one_script(head: bytes, encoding: str) -> bool:
    """Whether nearly all characters are letters of one script beside Latin ones, signs and blanks."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)  # a letter may be cut off at the end
    except UnicodeDecodeError:
        return False
    num_strange = len(text) - sum(len(part) for part in re.findall(_COMMON, text))
    return any(num_strange - len(re.findall(script, text)) <= STRANGE * len(text) for script in _SCRIPTS)


def _looks_binary(head: bytes) -> bool:
    """More than a few control characters that no text and no separator needs."""
    text = head.translate(None, SEPARATORS)
    num_control = len(text) - len(text.translate(None, CONTROL))
    return num_control > max(0.02 * len(head), 8 if b"\0" in text else 0)
