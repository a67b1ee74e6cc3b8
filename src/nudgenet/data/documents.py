"""Text files as cells of a table: each was read once, whatever its encoding. See `data.media` for such cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from nudgenet.data.encoding import Found, as_given, as_utf8, encoding_of
from nudgenet.data.guessing import SAMPLE, USUAL, contradicted, fitting, guess, guess_together, sample_of
from nudgenet.data.media import Decoded, Undecodable, decode_files, field, kept, medium_of, what_it_is
from nudgenet.errors import SourceError
from nudgenet.records import Column
from nudgenet.settings import Settings

# The text is light, so it is no `content` that is put aside where rows are moved around.
# encoding: the one that was guessed; null for a text that shows its own.
DOCUMENT = pa.struct([(name, pa.string()) for name in ("path", "text", "digest", "error", "encoding")])
MOST_BYTES = 50_000_000  # of one text
_TEXTS = (None, "a text", "an XML file", "a web page")  # what a text may look like at its beginning


def read_documents(paths: Sequence[str | None], load: Callable[[int], bytes], settings: Settings) -> pa.ChunkedArray:
    """Text files as a column; one that cannot be read is a cell with an `error`.

    Args:
        paths: what each is called.
        load: its number -> its bytes.
        settings: only their `encoding` matters to texts.
    """
    given, is_likely = as_given(settings.encoding)
    look = partial(_look, encoding=None if is_likely else given)
    return kept(_chunks(paths, decode_files(len(paths), load, look), given or USUAL), DOCUMENT)


def decode(data: bytes, encoding: str | None = None) -> str:
    """The text in a file's bytes. Raises Undecodable if there is none."""
    text = _look(data, encoding)
    return text if isinstance(text, str) else _text(data, Found(guess(data)))


def is_document(data: bytes) -> bool:
    """Whether bytes can be read as a text."""
    try:
        return bool(_look(data, None))
    except Undecodable:
        return False


def texts_of(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """The texts of a column of documents; other columns as they are."""
    return field(cells, "text") if medium_of(cells.type) == "text" else cells


def look_at_documents(name: str, cells: pa.ChunkedArray) -> Column:
    """What a column of documents is, in words."""
    texts = texts_of(cells).drop_null()
    if not len(texts):
        return Column(name, "empty", "no text could be read", num_missing=len(cells))
    length = pc.mean(pc.utf8_length(texts)).as_py()
    why = f"{len(texts):,} texts of {length:,.0f} characters on average"
    return Column(name, "text", why, num_unique=len(texts.unique()), num_missing=len(cells) - len(texts))


def _look(data: bytes, encoding: str | None) -> str | bytes:
    """The text in a file's bytes, or these themselves if its encoding must be guessed. Raises Undecodable."""
    if not data.strip(b"\0 \t\r\n"):
        raise Undecodable("empty" if not data else "holds nothing but blanks")
    if len(data) > MOST_BYTES:
        raise Undecodable(f"has {len(data):,} bytes: too long for a text")
    if (what := what_it_is(data)) not in _TEXTS:
        raise Undecodable(f"is {what}, no text")
    try:
        found = encoding_of(data, "", encoding)
    except SourceError:
        raise Undecodable("is no text") from None
    return data if found is None else _text(data, found)


def _text(data: bytes, found: Found) -> str:
    text = as_utf8(data, "", found).data.decode()
    if not text.strip():  # nothing but a mark, or blanks of two bytes each
        raise Undecodable("holds nothing but blanks" if text else "empty")
    return text


def _chunks(
    paths: Sequence[str | None], files: Iterator[tuple[int, list[Decoded[str | bytes]]]], likely: str
) -> Iterator[pa.StructArray]:
    """Cells, many at a time. Files of one folder mostly share an encoding: it is guessed from all that came so far.

    likely: the one that is expected: used until there are letters enough to tell.
    """
    samples: list[bytes] = []
    room, expected = SAMPLE, likely
    for begin, chunk in files:
        unsure = [file.content for file in chunk if isinstance(file.content, bytes)]
        if unsure and room > 0:
            more = [sample_of(data, room // len(unsure) + 1) for data in unsure]
            samples, room = samples + more, room - sum(map(len, more))
            is_enough = expected == USUAL or contradicted(b"\n".join(samples), expected)
            likely = guess_together(samples) if is_enough else expected
        yield _cells(paths[begin : begin + len(chunk)], [_settled(file, likely) for file in chunk])


def _settled(file: Decoded[str | bytes], likely: str) -> tuple[str | None, str, str | None, str | None]:
    """The text, digest, error and guessed encoding of a file; the likely encoding, unless it does not fit."""
    content, encoding = file.content, None
    if isinstance(content, bytes):
        encoding = fitting(content, likely) or guess(content)
        content = _text(content, Found(encoding))
    return content, file.digest, file.error, encoding


def _cells(
    paths: Sequence[str | None], settled: Sequence[tuple[str | None, str, str | None, str | None]]
) -> pa.StructArray:
    columns = [pa.array(values, pa.string()) for values in (paths, *zip(*settled, strict=True))]
    return pa.StructArray.from_arrays(columns, fields=list(DOCUMENT))
