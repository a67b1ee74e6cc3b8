"""Which encoding a text is in that is not UTF-8 and has no mark: told from its letters, so never quite sure.

`chardet` weighs which letters follow each other in which language. A text that makes sense in cp1252 is taken for
that, which is by far the most usual, unless another encoding is clearly better.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping, Sequence

import chardet

SAMPLE = 1 << 18  # bytes that are looked at, at most
CONTEXT = 100  # bytes before the first letter beyond ASCII of a line
ENOUGH = 1_000  # bytes of words, from which an encoding was always told rightly (benchmarks/LOG.md)
FEW = 3  # letters beyond ASCII that tell one Latin script from another only with luck
CLEARLY = 1.5  # times the weight of Western encodings; measured on texts and on names in tables
MOST = 0.8  # of a folder's texts that an encoding must fit
MIXED = 1 << 14  # bytes that are searched for words of two scripts
USUAL = "cp1252"

# What tables and texts are found in. Each rarer one would be taken for a usual one now and then.
_KNOWN = (
    "cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874", "iso8859-1",
    "iso8859-2", "iso8859-5", "iso8859-6", "iso8859-7", "iso8859-8", "iso8859-9", "iso8859-15", "koi8-r", "koi8-u",
    "mac-roman", "mac-cyrillic", "cp437", "cp850", "cp852", "cp866", "cp932", "euc_jis_2004", "gb18030", "big5hkscs",
    "cp949",
)  # fmt: skip
_WESTERN_ONES = ("cp1252", "iso8859-1", "iso8859-15")
# The names that people know, and those with a few more letters, which are tried next.
_USUAL = {
    "iso8859-1": "cp1252", "iso8859-8": "cp1255", "iso8859-9": "cp1254",
    "euc_jis_2004": "euc_jp", "big5hkscs": "big5", "cp932": "shift_jis", "cp949": "euc_kr",
}  # fmt: skip
_WIDER = {usual: wide for wide, usual in _USUAL.items() if not usual.startswith("cp")} | {"cp1252": "latin-1"}
_REST_OF_LINE = re.compile(rb"[\x80-\xff][^\r\n]*")
_MIXED = re.compile("[A-Za-z][\u0370-\u0fff]|[\u0370-\u0fff][A-Za-z]")
# Only bytes below 0x40 part words: the others may be the second half of a Chinese or Japanese letter.
_WORD = re.compile(rb"[0-9]*[\x40-\xff][0-9\x40-\xff]*")
_LETTERS = "A-Za-zÀ-ÖØ-Üß-ïñ-öø-üÿŒœ"  # of Western languages: without the Icelandic ones, which are Turkish in cp1254
_SIGNS = "’‘“”„«»‹›…–—•€£¥§°©®™±²³¹¼½¾¿¡·ºªµ×\xa0"
_FOREIGN = re.compile(  # what Western texts do not hold
    rf"[^\x00-\x7f{_LETTERS}{_SIGNS}]"
    rf"|(?<=[{_LETTERS}])[€£¥§±¹¼½¾¿¡×„«‹]"  # a sign that no word ends in
    rf"|[€£¥§±²³¹¼½¾»›](?=[{_LETTERS}])"  # one that none begins with
    rf"|(?<=[{_LETTERS}])[‘“”…•°©®™ªº](?=[{_LETTERS}])"  # one that stands in none
    r"|(?<=[a-zß-ÿ])[À-ÖØ-ÞŒ](?=[a-zß-ÿ])"  # a capital within one
)


def sample_of(data: bytes, size: int = SAMPLE, *, start: int = 0) -> bytes:
    """The words of the lines that hold anything beyond ASCII: what the encoding can be told from."""
    words: list[bytes] = []
    room = size
    for found in _REST_OF_LINE.finditer(data, start):
        begin, end = found.start(), min(found.end(), found.start() + room)
        before = re.split(rb"[\r\n]", data[max(0, begin - CONTEXT) : begin])[-1]
        words += _WORD.findall(before + data[begin:end])
        room -= len(before) + end - begin
        if room <= 0:
            break
    return b" ".join(words)


def likely_encodings(sample: bytes) -> list[str]:
    """Encodings that a sample may be in, the likeliest first; one of them fits any bytes."""
    found = chardet.detect_all(
        sample,
        ignore_threshold=True,
        max_bytes=max(1, len(sample)),
        prefer_superset=False,
        compat_names=False,
        include_encodings=_KNOWN,
        no_match_encoding=USUAL,
        empty_input_encoding=USUAL,
    )
    weights = {
        name: one["confidence"] for one in found if (name := one["encoding"]) is not None and not _mixes(sample, name)
    }
    likely = [_USUAL.get(name, name) for name in weights]
    first = [USUAL] if _is_western(sample, weights) else []
    return list(dict.fromkeys([*first, *likely, USUAL]))


def guess(data: bytes) -> str:
    """The likeliest encoding in which all of the bytes mean something."""
    likely = likely_encodings(sample_of(data))
    return next(name for one in likely if (name := fitting(data, one)) is not None)


def contradicted(data: bytes, encoding: str) -> str:
    """The encoding that the letters clearly speak for, if that gives another text than `encoding` does; "" else."""
    sample = sample_of(data)
    if len(sample) < ENOUGH:
        return ""
    found = guess(data)
    ours, theirs = (sample.decode(name, errors="replace") for name in (encoding, found))
    num_others = sum(a != b for a, b in zip(ours, theirs, strict=False)) + abs(len(ours) - len(theirs))
    return found if num_others > 0.1 * sum(not sign.isascii() for sign in theirs) else ""


def guess_together(samples: Sequence[bytes]) -> str:
    """The encoding that texts of one folder share, by a sample of each. A few that it does not fit do not rule it out."""
    shared = likely_encodings(b" ".join(samples))[0]
    for name in dict.fromkeys(_USUAL.get(name, name) for name in _KNOWN):
        fit = [sample for sample in samples if fitting(sample, name) is not None]
        if MOST * len(samples) <= len(fit) < len(samples) and likely_encodings(b" ".join(fit))[0] == name:
            return name
    return shared


def fitting(data: bytes, encoding: str) -> str | None:
    """An encoding, or the one with a few more letters, if all of the bytes mean something in it; else None."""
    names = (encoding, _WIDER.get(encoding, encoding))
    return next((name for name in names if _decodes(data, name)), None)


def _decodes(data: bytes, encoding: str) -> bool:
    """A letter that is cut off at the very end is no mistake."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for begin in range(0, len(data), SAMPLE):
            decoder.decode(data[begin : begin + SAMPLE])
    except UnicodeDecodeError:
        return False
    return True


def _mixes(sample: bytes, encoding: str) -> bool:
    """Whether an encoding would put Latin letters beside others within words."""
    text = sample[:MIXED].decode(encoding, errors="replace")
    num_words = sum(not word.isascii() for word in text.split())
    return len(_MIXED.findall(text)) > 0.2 * num_words


def _is_western(sample: bytes, weights: Mapping[str, float]) -> bool:
    """Whether a sample makes sense in cp1252, and nothing else is clearly better, however few letters speak for it."""
    try:
        text = sample.decode(USUAL)
    except UnicodeDecodeError:
        return False
    words = "".join(word for word in text.split() if not word.isascii())
    num_letters = sum(sign.isalpha() and not sign.isascii() for sign in words)
    if num_letters > 0.5 * len(words) or _FOREIGN.search(text):
        return False
    return num_letters <= FEW or max(weights.values(), default=0.0) <= CLEARLY * max(
        weights.get(name, 0.0) for name in _WESTERN_ONES
    )
