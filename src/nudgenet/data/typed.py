"""Tables whose columns have types: Parquet, Arrow and JSON files, results of queries, frames.

`tidy` brings all of them to plain types: numbers, booleans, text, dates.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather as feather
import pyarrow.parquet as pq

from nudgenet.data.dialect import unique_names
from nudgenet.data.encoding import to_utf8
from nudgenet.data.media import FILE, medium_of
from nudgenet.data.memory import give_back
from nudgenet.data.plain import text_buffers
from nudgenet.errors import SourceError, shorten
from nudgenet.records import Decision
from nudgenet.settings import Settings

LARGE_BYTES = 1 << 25  # larger files are read in pieces where that gives the same table: 32 MiB
# Rows that are read, prepared or answered for at once. Arrays of a power of two take a whole size more of Arrow's pool.
BATCH_ROWS = (1 << 16) - 64
BATCH_BYTES = 1 << 28


@dataclass(frozen=True)
class File:
    """A file that was opened.

    head: its first bytes, decompressed.
    content: all of them, decompressed; None for a large file, which readers take in pieces.
    """

    path: Path
    head: bytes
    content: bytes | None = None

    @cached_property
    def data(self) -> bytes:
        """All bytes, decompressed."""
        return self.path.read_bytes() if self.content is None else self.content

    @property
    def is_large(self) -> bool:
        """Whether its bytes are still to be read, so that a reader can take them in pieces."""
        return self.content is None

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file as it is, before it was decompressed, hex."""
        with self.path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()

    @property
    def name(self) -> str:
        """For messages."""
        return self.path.name


@dataclass(frozen=True)
class Reading:
    """A table as a reader hands it over, and what the reader had to decide."""

    table: pa.Table
    decisions: tuple[Decision, ...] = ()
    warnings: tuple[str, ...] = ()
    has_header: bool = True
    given_validation: int = 0  # see records.Raw
    given_test: int = 0


def read_parquet(file: File, settings: Settings, columns: Sequence[str] | None = None) -> Reading:
    """A Parquet file.

    Raises:
        SourceError: the file is damaged.
    """
    try:
        if not file.is_large:
            return tidy(_with_class_names(pq.read_table(_arrows_own(file.data))))
        with pq.ParquetFile(file.path, pre_buffer=False) as parquet:  # else the file's own bytes are held as well
            # Batches with memory of their own: each can be let go of when its rows are prepared.
            table = pa.Table.from_batches(parquet.iter_batches(_rows_at_once(parquet)), parquet.schema_arrow)
        give_back()  # what decoding took
        return tidy(_with_class_names(table))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SourceError(f"`{file.name}` is a damaged Parquet file", got=_first_sentence(error)) from None


def _arrows_own(data: bytes) -> pa.BufferReader:
    """Bytes in memory that Arrow lets go of by itself.

    A thread of its may still hold them when Python ends; what belongs to Python would then abort the process.
    """
    sink = pa.BufferOutputStream()
    sink.write(data)
    return pa.BufferReader(sink.getvalue())


def _rows_at_once(parquet: pq.ParquetFile) -> int:
    """Fewer where rows are large, as images are: Arrow cannot hold two gigabytes of objects in one piece."""
    groups = [parquet.metadata.row_group(number) for number in range(parquet.metadata.num_row_groups)]
    largest = max((group.total_byte_size / max(1, group.num_rows) for group in groups), default=1.0)
    return max(1, min(BATCH_ROWS, int(BATCH_BYTES / max(1.0, largest))))


def read_parquet_batches(file: File, settings: Settings, columns: Sequence[str] | None = None) -> Iterator[Reading]:
    """A large Parquet file, some rows at a time. Raises as `read_parquet` does."""
    try:
        with pq.ParquetFile(file.path, pre_buffer=False) as parquet:
            for batch in parquet.iter_batches(_rows_at_once(parquet)):
                yield tidy(_with_class_names(pa.Table.from_batches([batch])))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SourceError(f"`{file.name}` is a damaged Parquet file", got=_first_sentence(error)) from None


def _with_class_names(table: pa.Table) -> pa.Table:
    """Numbers of classes as the classes' names, where the file says them as Hugging Face's `datasets` does."""
    try:
        said = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"].items()
    except (TypeError, KeyError, ValueError, AttributeError):
        return table
    classes = {name: one for name, one in said if isinstance(one, dict) and one.get("_type") == "ClassLabel"}
    named = {name: [str(label) for label in one.get("names") or ()] for name, one in classes.items()}
    for at, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if name in named and pa.types.is_integer(column.type):
            numbers = column.cast(pa.int64())
            known = pc.if_else(pc.and_(pc.greater_equal(numbers, 0), pc.less(numbers, len(named[name]))), numbers, None)
            table = table.set_column(at, name, pc.take(pa.array(named[name], pa.string()), known))
    return table


def read_arrow(file: File, settings: Settings, columns: Sequence[str] | None = None) -> Reading:
    """An Arrow (Feather) file.

    Raises:
        SourceError: the file is damaged.
    """
    try:
        table = feather.read_table(_arrows_own(file.data))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SourceError(f"`{file.name}` is a damaged Arrow file", got=_first_sentence(error)) from None
    return tidy(_with_class_names(table))


def read_json(file: File, settings: Settings, columns: Sequence[str] | None = None) -> Reading:
    """JSON lines, or one JSON array of objects.

    Raises:
        SourceError: the text is no JSON, or holds no objects.
    """
    text = to_utf8(file.data, file.name, settings.encoding)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.json"
        path.write_bytes(text.data)
        try:
            with quiet_duckdb() as connection:
                relation = connection.read_json(str(path), sample_size=-1, maximum_depth=4, records="true")
                table = _unpack(relation.project(_bare_columns(relation)).to_arrow_table())
        except duckdb.Error as error:
            message = duckdb_message(error).replace(str(path), file.name)
            raise SourceError(
                f"`{file.name}` cannot be read as rows of JSON", got=message, fix="Give one object per line."
            ) from None
    reading = tidy(table)
    return replace(
        reading, decisions=(*text.decisions, *reading.decisions), warnings=(*text.warnings, *reading.warnings)
    )


def _bare_columns(relation: duckdb.DuckDBPyRelation) -> str:
    """SQL for all columns; where values of several types meet, their bare text instead of JSON."""
    parts = []
    for name, kind in zip(relation.columns, relation.types, strict=True):
        quoted = '"' + name.replace('"', '""') + '"'
        parts.append(f"{quoted} ->> '$' AS {quoted}" if str(kind) == "JSON" else quoted)
    return ", ".join(parts)


def _unpack(table: pa.Table) -> pa.Table:
    """One object that holds whole columns, or one list of rows: take the table out of it."""
    lists = [column for column in table.columns if pa.types.is_list(column.type)]
    if table.num_rows != 1 or not lists or len(lists) < table.num_columns:
        return table
    cells = [column.combine_chunks().flatten() for column in lists]
    if len({len(column) for column in cells}) > 1:
        return table
    if len(cells) == 1 and pa.types.is_struct(cells[0].type):
        return pa.Table.from_struct_array(cells[0])
    return pa.table(cells, names=table.column_names)


def duckdb_message(error: duckdb.Error) -> str:
    """What DuckDB complains about, on one line and without the name of its kind of error."""
    return re.sub(r"^[A-Z][A-Za-z ]+ Error: ", "", " ".join(str(error).split(" LINE ")[0].split()))[:300]


def _first_sentence(error: Exception) -> str:
    return re.split(r"(?<=\.)\s", str(error))[0][:200]


def quiet_duckdb() -> duckdb.DuckDBPyConnection:
    """A database in memory that downloads nothing and sees no variables of the program."""
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "python_enable_replacements": "false",
        }
    )
    connection.execute("SET enable_progress_bar = false")
    return connection


# ------------------------------------------------------------------ typed tables


def tidy(table: pa.Table) -> Reading:
    """A typed table with unique names and plain types: numbers, booleans, text, dates, and `media.FILE` for bytes.

    Nested columns are taken apart (objects) or become text (lists); images and sounds are tidy already.
    """
    table = _taken_apart(table)
    names, empty, twice = unique_names(table.column_names)
    columns = [column if _is_file(column.type) else _plain_column(column) for column in table.columns]
    warnings = [
        f"`{name}` holds lists or objects; each counts as one text"
        for name, column in zip(names, table.columns, strict=True)
        if pa.types.is_nested(column.type) and not _is_file(column.type)
    ]
    plain = strip_cells(pa.table(columns, names=names)) if names else table
    return Reading(plain, tuple(name_decisions(empty, twice)), tuple(warnings))


def _taken_apart(table: pa.Table) -> pa.Table:
    """Objects as a column per field, but for those that are files."""
    table = _with_files(table)
    while any(_is_object(column.type) for column in table.columns):
        names: list[str] = []
        columns: list[pa.ChunkedArray] = []
        for name, column in zip(table.column_names, table.columns, strict=True):
            is_object = _is_object(column.type)
            names += [f"{name}.{part.name}" for part in column.type] if is_object else [name]
            columns += column.flatten() if is_object else [column]
        table = _with_files(pa.table(columns, names=names))
    return table


def _is_object(kind: pa.DataType) -> bool:
    return pa.types.is_struct(kind) and not _is_file(kind)


def _is_file(kind: pa.DataType) -> bool:
    """Whether cells are files, decoded or not."""
    return kind == FILE or medium_of(kind) is not None


def _with_files(table: pa.Table) -> pa.Table:
    """Bytes that are no text, and objects of bytes and a path, as files that are still to be decoded."""
    columns = [_as_files(column) for column in table.columns]
    return pa.table(columns, names=table.column_names) if columns else table


def _as_files(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type) and _is_bytes(column.type.value_type):
        column = column.cast(column.type.value_type)
    if _is_list(column.type) and _could_be_files(column.type.value_type):
        column = _first_of_each(column)
    kind = column.type
    if pa.types.is_struct(kind) and kind != FILE:
        if not _could_be_files(kind):
            return column
    elif not _is_bytes(kind) or _is_text(column):  # a column of nothing is one of texts that are missing
        return column
    return pa.chunked_array([_files(chunk) for chunk in column.chunks], FILE)


def _could_be_files(kind: pa.DataType) -> bool:
    """Whether cells are bytes, or objects of nothing but bytes and a path."""
    if not pa.types.is_struct(kind):
        return _is_bytes(kind)
    parts = {part.name: part.type for part in kind}
    return parts.keys() <= {part.name for part in FILE} and _is_bytes(parts.get("bytes", pa.null()))


def _is_list(kind: pa.DataType) -> bool:
    return any(is_kind(kind) for is_kind in (pa.types.is_list, pa.types.is_large_list))


def _first_of_each(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The first item of each list; null for an empty one."""
    firsts = []
    for chunk in column.chunks:
        is_there = pc.greater(pc.fill_null(pc.list_value_length(chunk), 0), 0)
        firsts.append(chunk.values.take(pc.if_else(is_there, chunk.offsets[:-1], None)))
    return pa.chunked_array(firsts, column.type.value_type)


def _files(chunk: pa.Array) -> pa.StructArray:
    """Bytes, or objects of bytes and a path, as cells of the type `FILE`; null where there is neither."""
    names = [part.name for part in chunk.type] if pa.types.is_struct(chunk.type) else ["bytes"]
    found = dict(zip(names, chunk.flatten() if pa.types.is_struct(chunk.type) else [chunk], strict=True))
    parts = [
        found[part.name].cast(part.type) if part.name in found else pa.nulls(len(chunk), part.type) for part in FILE
    ]
    nothing = pc.and_(*(part.is_null() for part in parts))
    return pa.StructArray.from_arrays(parts, fields=list(FILE), mask=nothing)


def _is_bytes(kind: pa.DataType) -> bool:
    types = pa.types
    kinds = (types.is_binary, types.is_large_binary, types.is_binary_view, types.is_fixed_size_binary)
    return any(is_kind(kind) for is_kind in kinds)


def _is_text(column: pa.ChunkedArray) -> bool:
    """Whether all bytes of a column are UTF-8."""
    try:
        column.cast(pa.large_binary()).cast(pa.large_string())
    except pa.ArrowInvalid:
        return False
    return True


def _plain_column(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """One column in one of the plain types."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain_column(column.cast(kind.value_type))
    if pa.types.is_large_string(kind) or kind == pa.string_view() or pa.types.is_null(kind):
        return column.cast(pa.string())
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        return column.cast(pa.float64())
    if pa.types.is_time(kind):
        return pc.utf8_slice_codeunits(column.cast(pa.string()), 0, 8)
    if pa.types.is_duration(kind):
        return pc.divide(column.cast(pa.duration("us")).cast(pa.int64()).cast(pa.float64()), 1e6)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_string(kind):
        return column
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return column
    if _is_bytes(kind):  # those that are text
        return column.cast(pa.large_binary()).cast(pa.string())
    return _as_text(column)


def _as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Any column as text, value by value."""
    values = [None if value is None else str(value) for value in column.to_pylist()]
    return pa.chunked_array([pa.array(values, pa.string())])


def strip_cells(table: pa.Table) -> pa.Table:
    """Text cells without outer blanks; those that hold nothing become null."""
    columns = []
    for column in table.columns:
        if pa.types.is_string(column.type) and not all(map(_is_stripped, column.chunks)):
            column = pc.utf8_trim_whitespace(column)
            column = pc.if_else(pc.equal(column, ""), pa.scalar(None, pa.string()), column)
        columns.append(column)
    return pa.table(columns, names=table.column_names)


def _is_stripped(texts: pa.Array) -> bool:
    """Whether no cell can have blanks around it: looking at the bytes is far quicker than stripping."""
    starts, ends, content = text_buffers(texts)
    starts, ends = (starts[valid], ends[valid]) if (valid := _valid(texts)) is not None else (starts, ends)
    if (starts == ends).any():
        return False
    outer = np.concatenate([content[starts], content[ends - 1]])
    return bool(((outer > 32) & (outer < 128)).all())  # blanks beyond ASCII are possible, too


def _valid(texts: pa.Array) -> np.ndarray | None:
    return None if texts.null_count == 0 else np.asarray(texts.is_valid().to_numpy(zero_copy_only=False))


def name_decisions(empty: list[str], twice: list[str]) -> list[Decision]:
    """What was done to names that were empty or taken."""
    decisions = []
    if empty:
        why = "a column had no name" if len(empty) == 1 else f"{len(empty)} columns had no name"
        decisions.append(Decision("column names", f"named {shorten(empty)}", why, "name them in the source"))
    if twice:
        why = "the name occurred before" if len(twice) == 1 else f"{len(twice)} names occurred before"
        decisions.append(Decision("column names", f"renamed to {shorten(twice)}", why, "rename them in the source"))
    return decisions
