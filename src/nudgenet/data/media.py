"""Cells that were files: images and sounds, decoded once, each a small array that the column itself holds.

So everything that treats rows (splitting, duplicates, copies of the data, predictions) treats them without knowing it.
A cell is a struct with a `path` (as the source names it), the `digest` of the file's bytes, an `error` (why it could not
be decoded, else null), the decoded `content` (little-endian bytes, null with an error), and what its kind says about it:
`images.IMAGE`, `sounds.SOUND`.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nudgenet.data.walk import NAMED
from nudgenet.errors import ColumnError, shorten
from nudgenet.records import Decision, Medium

T = TypeVar("T")
IN_MEMORY = 2**30  # bytes of content; more are kept in a file that is mapped into memory
DECODED_AT_ONCE = 1_024  # files
TWINS = 10  # equal files that are named
FILE = pa.struct([("bytes", pa.large_binary()), ("path", pa.string())])  # a file in a cell, not decoded yet
_SIGNATURES = {  # first bytes -> what a file is, for a reason that says more than "no image" or "no sound"
    b"\x89PNG": "an image", b"\xff\xd8\xff": "an image", b"GIF8": "an image", b"II*\0": "an image", b"MM\0*": "an image",
    b"PK\x03\x04": "a zip file", b"%PDF": "a PDF", b"ID3": "a sound", b"OggS": "a sound",
    b"fLaC": "a sound", b"\xff\xfb": "a sound", b"FORM": "a sound", b"\x1f\x8b": "a gz file", b"<svg": "an SVG drawing",
    b"<?xml": "an XML file", b"<!DO": "a web page", b"<htm": "a web page",
}  # fmt: skip


class Undecodable(Exception):
    """A file holds nothing usable; the message is the reason in a few words."""


@dataclass(frozen=True)
class Decoded(Generic[T]):
    """What came out of one file. content: None if it could not be decoded, and then `error` says why."""

    content: T | None
    digest: str  # of the file's bytes: equal files have equal ones
    error: str | None = None


def decode_files(
    count: int, load: Callable[[int], bytes], decode: Callable[[bytes], T]
) -> Iterator[tuple[int, list[Decoded[T]]]]:
    """Files 0 ... count - 1 in their order, many at a time, decoded in threads (decoders let go of Python's lock).

    Args:
        load: number -> the bytes of the file. Raises OSError or Undecodable.
        decode: the bytes -> what they hold. Raises Undecodable.

    Yields:
        The number of the first file of a chunk, and what came out of its files.
    """

    def one(number: int) -> Decoded[T]:
        try:
            data = load(number)
        except (OSError, ValueError) as error:
            return Decoded(None, "", f"cannot be read: {getattr(error, 'strerror', None) or error}")
        except Undecodable as error:
            return Decoded(None, "", str(error))
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        try:
            return Decoded(decode(data), digest)
        except Undecodable as error:
            return Decoded(None, digest, str(error))

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for begin in range(0, count, DECODED_AT_ONCE):
            yield begin, list(pool.map(one, range(begin, min(count, begin + DECODED_AT_ONCE))))


def what_it_is(data: bytes) -> str | None:
    """What a file holds that is not what was looked for, such as "a PDF"; None if it cannot be told."""
    if data.startswith(b"RIFF"):
        return {b"WAVE": "a sound", b"WEBP": "an image"}.get(data[8:12], "a video")
    for start, what in _SIGNATURES.items():
        if data[:64].lstrip().startswith(start):
            return what
    if b"\0" in data[:1_000]:
        return None
    try:
        data[:1_000].decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < min(len(data), 1_000) - 4:
            return None
    return "a text"


# --- columns --------------------------------------------------------------------------------------


def medium_of(kind: pa.DataType) -> Medium | None:
    """What cells of a type are, with or without their content; None for cells of a table."""
    if not pa.types.is_struct(kind) or kind.get_field_index("digest") < 0:
        return None
    if kind.get_field_index("text") >= 0:
        return "text"
    return "image" if kind.get_field_index("height") >= 0 else "sound"


def is_media(cells: pa.ChunkedArray) -> bool:
    """Whether a column holds images, sounds or documents."""
    return medium_of(cells.type) is not None


def check_cells(cells: pa.ChunkedArray, column: str, medium: Medium) -> None:
    """Whether a column still holds what the network learned from.

    Raises:
        ColumnError: it holds cells of a table, or another medium.
    """
    if medium_of(cells.type) != medium:
        raise ColumnError(f"The column `{column}` held {medium}s in training, and here it does not")


def media_columns(table: pa.Table) -> dict[str, Medium]:
    """The names of the columns that hold images or sounds -> which of the two."""
    kinds = {field.name: medium_of(field.type) for field in table.schema}
    return {name: kind for name, kind in kinds.items() if kind is not None}


def light(cells: pa.ChunkedArray) -> pa.ChunkedArray:
    """Cells without their content: what is cheap to move around. Columns of a table as they are."""
    if not is_media(cells) or cells.type.get_field_index("content") < 0:
        return cells
    fields = [field for field in cells.type if field.name != "content"]
    chunks = [
        pa.StructArray.from_arrays([chunk.field(f.name) for f in fields], fields=fields) for chunk in cells.chunks
    ]
    return pa.chunked_array(chunks, pa.struct(fields))


def light_table(table: pa.Table) -> pa.Table:
    """A table whose images and sounds are without their content."""
    return pa.table({name: light(table.column(name)) for name in table.column_names})


def readable(table: pa.Table) -> pa.Table:
    """A table in which images and sounds are their paths; those without a path are left out."""
    columns = {
        name: field(light(table.column(name)), "path") if is_media(table.column(name)) else table.column(name)
        for name in table.column_names
    }
    return pa.table({name: cells for name, cells in columns.items() if cells.null_count < len(cells)})


def field(cells: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """One field of such cells, for instance "path"."""
    return pc.struct_field(cells, name)


def contents(chunk: pa.StructArray, kind: type[np.generic]) -> Iterator[np.ndarray | None]:
    """The content of each cell as a flat array, without copying it."""
    content = chunk.field("content")
    ends = np.frombuffer(content.buffers()[1], np.int64)[content.offset : content.offset + len(content) + 1]
    buffer = content.buffers()[2]
    for begin, end in zip(ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        size = np.dtype(kind).itemsize
        yield np.frombuffer(buffer, kind, (end - begin) // size, begin) if end > begin else None


def intact(table: pa.Table) -> np.ndarray:
    """bool (rows,): whether all the images and sounds of a row could be decoded."""
    fine = np.ones(table.num_rows, bool)
    for name in media_columns(table):
        cells = light(table.column(name))
        fine &= cells.is_valid().to_numpy() & field(cells, "error").is_null().to_numpy()
    return fine


def media_paths(table: pa.Table) -> pa.ChunkedArray | None:
    """The paths of the images or sounds, if they have any."""
    for name in media_columns(table):
        paths = field(light(table.column(name)), "path")
        return paths if paths.null_count < len(paths) else None
    return None


def media_errors(table: pa.Table) -> dict[int, str]:
    """Row -> why its image or sound could not be decoded."""
    errors: dict[int, str] = {}
    for name in media_columns(table):
        cells = field(light(table.column(name)), "error")
        errors |= {int(row): cells[int(row)].as_py() for row in np.flatnonzero(cells.is_valid().to_numpy())}
    return errors


# --- what was found -------------------------------------------------------------------------------


def findings(cells: pa.ChunkedArray) -> list[Decision]:
    """Which files could not be decoded, and of which texts the encoding was guessed."""
    return skipped(cells) + guessed(cells)


def skipped(cells: pa.ChunkedArray) -> list[Decision]:
    """Every file that could not be decoded, by name, one entry per reason."""
    cells = light(cells)
    reasons: dict[str, list[str]] = {}
    for row in np.flatnonzero(field(cells, "error").is_valid().to_numpy()):
        cell = cells[int(row)].as_py()
        name = cell["path"] or f"row {row + 1}"
        reasons.setdefault(cell["error"].partition(":")[0], []).append(f"{name} ({cell['error']})")
    why = f"there is no {medium_of(cells.type)} in it to learn from"
    return [
        Decision(f"skipped: {reason}", f"{len(files):,} of {len(cells):,} files: {shorten(files, NAMED)}", why, "")
        for reason, files in sorted(reasons.items(), key=lambda item: -len(item[1]))
    ]


def guessed(cells: pa.ChunkedArray) -> list[Decision]:
    """Every text whose encoding was told from its letters, by name, one entry per encoding."""
    if cells.type.get_field_index("encoding") < 0:
        return []
    names: dict[str, list[str]] = {}
    for row in np.flatnonzero(field(cells, "encoding").is_valid().to_numpy()):
        cell = cells[int(row)].as_py()
        names.setdefault(cell["encoding"], []).append(cell["path"] or f"row {row + 1}")
    why = "they are not UTF-8; told from their letters, which is never quite sure"
    return [
        Decision(
            "encoding",
            f"{encoding} in {len(paths):,} of {len(cells):,} texts: {shorten(paths, NAMED)}",
            why,
            "--set encoding=NAME",
        )
        for encoding, paths in sorted(names.items(), key=lambda item: -len(item[1]))
    ]


def same_files(table: pa.Table, rows: np.ndarray) -> list[str]:
    """Which files among these rows hold the same bytes, by name."""
    warnings = []
    for name, medium in media_columns(table).items():
        cells = light(table.column(name)).take(pa.array(rows))
        is_there = field(cells, "digest").is_valid()
        cells, rows = cells.filter(is_there), rows[is_there.to_numpy()]
        paths = field(cells, "path").to_pylist()
        group = field(cells, "digest").combine_chunks().dictionary_encode().indices.to_numpy()
        counts = np.bincount(group)
        groups: dict[int, list[str]] = {}
        for row in np.flatnonzero(counts[group] > 1):
            groups.setdefault(int(group[row]), []).append(paths[row] or f"{medium} {rows[row] + 1}")
        if groups:
            count = sum(map(len, groups.values()))
            listed = "; ".join(" = ".join(files[:TWINS]) for files in list(groups.values())[:TWINS])
            more = f" and {len(groups) - TWINS} more" if len(groups) > TWINS else ""
            warnings.append(f"{count:,} {medium}s of `{name}` are the same file twice or more: {listed}{more}")
    return warnings


# --- room for many --------------------------------------------------------------------------------


def kept(chunks: Iterator[pa.StructArray], kind: pa.DataType) -> pa.ChunkedArray:
    """The chunks as one column: in memory, or, if they are large, in a nameless file that is mapped into it."""
    held: list[pa.StructArray] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += chunk.nbytes
        if size > IN_MEMORY:
            return _mapped(held, chunks, kind)
    return pa.chunked_array(held, kind)


def _mapped(held: Sequence[pa.StructArray], rest: Iterator[pa.StructArray], kind: pa.DataType) -> pa.ChunkedArray:
    schema = pa.schema([("cells", kind)])
    with tempfile.NamedTemporaryFile(prefix="nudgenet-", suffix=".arrow", delete=False) as file:
        path = Path(file.name)
    try:
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as writer:
            for chunks in (held, rest):
                for chunk in chunks:
                    writer.write_batch(pa.record_batch([chunk], schema=schema))
        column = pa.ipc.open_file(pa.memory_map(str(path))).read_all().column("cells")
    finally:
        with suppress(OSError):  # the mapping keeps the content until the process ends
            path.unlink()
    return column


def room(shape: tuple[int, ...]) -> np.ndarray:
    """Zeros, uint8: in memory, or, if they are many, in a nameless file that is mapped into it."""
    if np.prod(shape) <= IN_MEMORY:
        return np.zeros(shape, np.uint8)
    with tempfile.TemporaryFile(prefix="nudgenet-") as file:
        return np.memmap(file, np.uint8, "w+", shape=shape)
