"""Text files as cells of a table: each was read once, whatever its encoding. See `data.media` for such cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from nudgenet.data.encoding import to_utf8
from nudgenet.data.media import Decoded, Undecodable, decode_files, field, kept, medium_of, what_it_is
from nudgenet.errors import SourceError
from nudgenet.records import Column
from nudgenet.settings import Settings

# The text is light, so it is no `content` that is put aside where rows are moved around.
DOCUMENT = pa.struct([("path", pa.string()), ("text", pa.string()), ("digest", pa.string()), ("error", pa.string())])
MOST_BYTES = 50_000_000  # of one text
_TEXTS = (None, "a text", "an XML file", "a web page")  # what a text may look like at its beginning


def read_documents(paths: Sequence[str | None], load: Callable[[int], bytes], settings: Settings) -> pa.ChunkedArray:
    """Text files as a column; one that cannot be read is a cell with an `error`.

    Args:
        paths: what each is called.
        load: its number -> its bytes.
        settings: nothing in them matters to texts.
    """
    chunks = (
        _cells(paths[begin : begin + len(texts)], texts) for begin, texts in decode_files(len(paths), load, decode)
    )
    return kept(chunks, DOCUMENT)


def decode(data: bytes) -> str:
    """The text in a file's bytes. Raises Undecodable if there is none."""
    if not data.strip(b"\0 \t\r\n"):
        raise Undecodable("empty" if not data else "holds nothing but blanks")
    if len(data) > MOST_BYTES:
        raise Undecodable(f"has {len(data):,} bytes: too long for a text")
    if (what := what_it_is(data)) not in _TEXTS:
        raise Undecodable(f"is {what}, no text")
    try:
        return to_utf8(data, "").data.decode()
    except SourceError:
        raise Undecodable("is no text") from None


def is_document(data: bytes) -> bool:
    """Whether bytes can be read as a text."""
    try:
        return bool(decode(data))
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


def _cells(paths: Sequence[str | None], texts: Sequence[Decoded[str]]) -> pa.StructArray:
    columns = [
        pa.array(values, pa.string())
        for values in (paths, *([getattr(text, name) for text in texts] for name in ("content", "digest", "error")))
    ]
    return pa.StructArray.from_arrays(columns, fields=list(DOCUMENT))
