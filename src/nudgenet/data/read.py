"""What a source is, and who reads it: `READERS` is the list of everything that can be read."""

from __future__ import annotations

import difflib
import gzip
import hashlib
import io
import mimetypes
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import duckdb
import pyarrow as pa

from nudgenet.data.arff import read_arff
from nudgenet.data.embedded import with_embedded
from nudgenet.data.excel import read_excel
from nudgenet.data.files import READ_FILES
from nudgenet.data.folders import LABEL, TABLES, read_folder
from nudgenet.data.frames import fingerprint, is_frame, read_arrays, read_frame
from nudgenet.data.media import field, findings, light, light_table, media_columns, what_it_is
from nudgenet.data.paths import with_media
from nudgenet.data.pieces import read_delimited, read_pieces
from nudgenet.data.typed import (
    BATCH_ROWS,
    LARGE_BYTES,
    File,
    Reading,
    duckdb_message,
    quiet_duckdb,
    read_arrow,
    read_json,
    read_parquet,
    read_parquet_batches,
    tidy,
)
from nudgenet.data.walk import writable
from nudgenet.errors import SourceError
from nudgenet.records import Raw, Source
from nudgenet.settings import Settings

Reader = Callable[[Any, Settings, Sequence[str] | None], Reading]
_QUERY = re.compile(r"\s*(SELECT|FROM|WITH)\s", re.IGNORECASE)
HEAD_BYTES = 4_096  # enough to tell what a file is
_KNOWN_BINARY = {  # first bytes -> what it is, for a message that says more than "binary"
    b"\x89PNG": "an image", b"\xff\xd8\xff": "an image", b"GIF8": "an image", b"RIFF": "a sound or image",
    b"%PDF": "a PDF", b"SQLite format 3": "an SQLite database", b"\x89HDF": "an HDF5 file",
    b"\x80\x04\x95": "a pickle", b"\x80\x05\x95": "a pickle", b"7z\xbc\xaf": "a 7z archive",
    b"BZh": "a bz2 file", b"\xfd7zXZ": "an xz file", b"\x28\xb5\x2f\xfd": "a zstd file", b"Rar!": "a RAR archive",
}  # fmt: skip


def read(source: Any, settings: Settings, *, columns: Sequence[str] | None = None) -> Raw:
    """Rows from anything that holds a table; nothing is learned from them, nothing is dropped.

    Args:
        source: a path (CSV, TSV, Parquet, JSON, Excel, ARFF, also .gz and .zip; content decides; a folder with a
            sub-folder of images or sounds per class, or of IDX files), a query
            (starts with SELECT, FROM or WITH), a dataframe, a 2-D array, (X, y), a dict of columns, a list of dicts.
        columns: the names that the training data had, when predicting: they decide whether there is a header.

    Raises:
        SourceError: the source cannot be found, opened, or is no table.
        MissingExtra: a library for this kind of file is not installed.
    """
    if is_query(source):
        reading = _with_files(READERS["query"](source, settings, columns), Path.cwd(), settings, columns)
        digest = hashlib.sha256(source.encode() + fingerprint(reading.table).encode()).hexdigest()
        return _raw(reading, Source("query", "query", source, digest))
    if isinstance(source, (str, Path)):
        path = find_file(source)
        if path.is_dir():
            reading = READERS["folder"](path, settings, columns)
            return _raw(reading, Source("file", name_of(path), str(path), ""))
        if columns is not None and (alone := read_alone(path, settings, columns)) is not None:
            return _raw(alone, Source("file", name_of(path), str(path), ""))
        file = open_file(path)
        reading = READERS[kind_of_file(file)](file, settings, columns)
        return _raw(
            _with_files(reading, path.parent, settings, columns), Source("file", name_of(path), str(path), file.sha256)
        )
    kind: Literal["frame", "arrays"] = "frame" if is_frame(source) else "arrays"
    reading = _with_files(READERS[kind](source, settings, columns), Path.cwd(), settings, columns)
    return _raw(reading, Source(kind, kind, None, fingerprint(reading.table)))


def read_batches(source: Any, settings: Settings, *, columns: Sequence[str] | None = None) -> Iterator[Raw]:
    """`read`, some rows at a time where the source is large, for those who look at each row once.

    The rows are not fingerprinted, and all of a large text file's columns are text. Raises as `read` does.
    """
    if isinstance(source, (str, Path)) and not is_query(source):
        path = find_file(source)
        if path.is_dir():
            yield _raw(READERS["folder"](path, settings, columns), Source("file", name_of(path), str(path), ""))
            return
        if columns is not None and (alone := read_alone(path, settings, columns)) is not None:
            yield _raw(alone, Source("file", name_of(path), str(path), ""))
            return
        file = open_file(path)
        kind = kind_of_file(file)
        parts = LARGE_READERS[kind](file, settings, columns) if file.is_large and kind in LARGE_READERS else None
        for reading in parts or [READERS[kind](file, settings, columns)]:
            found = _with_files(reading, path.parent, settings, columns, is_whole=parts is None)
            yield _raw(found, Source("file", name_of(path), str(path), ""))
        return
    kind = "query" if isinstance(source, str) else "frame" if is_frame(source) else "arrays"
    reading = READERS[kind](source, settings, columns)
    whole = _raw(_with_files(reading, Path.cwd(), settings, columns), Source("frame", kind, None, ""))
    yield whole if whole.table.num_rows <= BATCH_ROWS else replace(whole, table=whole.table.slice(0, BATCH_ROWS))
    for first in range(BATCH_ROWS, whole.table.num_rows, BATCH_ROWS):
        yield replace(whole, table=whole.table.slice(first, BATCH_ROWS))


def _with_files(
    reading: Reading, folder: Path, settings: Settings, columns: Sequence[str] | None, *, is_whole: bool = True
) -> Reading:
    """The same table with the files that its cells hold, or lead to."""
    reading = with_embedded(reading, folder, settings, columns)
    return with_media(reading, folder, settings, columns, is_whole=is_whole)


def _raw(reading: Reading, source: Source) -> Raw:
    """The rows; images that a table names are part of what makes it the same again."""
    if reading.table.num_rows == 0:
        raise SourceError(f"`{source.name}` holds no rows", fix="Give at least one row of data.")
    if source.location is not None and source.kind == "file" and media_columns(reading.table):
        both = f"{source.fingerprint}{fingerprint(light_table(reading.table))}"
        source = replace(source, fingerprint=hashlib.sha256(both.encode()).hexdigest())
    return Raw(
        source,
        reading.table,
        reading.decisions,
        reading.warnings,
        reading.has_header,
        reading.given_validation,
        reading.given_test,
    )


# ------------------------------------------------------------------ queries


def read_query(query: str, settings: Settings, columns: Sequence[str] | None = None) -> Reading:
    """The rows of a query that DuckDB runs; files named in it are looked for from the current folder.

    Raises:
        SourceError: more than one statement, an error in it, or no rows.
    """
    try:
        with quiet_duckdb() as connection:
            statements = connection.extract_statements(query)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                got = f"{len(statements)} statements" if len(statements) != 1 else "another statement"
                raise SourceError("A query must be one SELECT", got=got, fix="Give one SELECT and nothing else.")
            table: pa.Table = connection.sql(query).to_arrow_table()
    except duckdb.Error as error:
        raise SourceError(
            "The query failed",
            got=duckdb_message(error),
            fix="Files are named in quotes: SELECT * FROM 'rows.csv'.",
        ) from None
    if table.num_rows == 0:
        raise SourceError("The query gives no rows", fix="Check its conditions.")
    return tidy(table)


# ------------------------------------------------------------------ files

READERS: dict[str, Reader] = {
    "text": read_delimited,
    "parquet": read_parquet,
    "arrow": read_arrow,
    "json": read_json,
    "excel": read_excel,
    "arff": read_arff,
    "folder": read_folder,
    "query": read_query,
    "frame": read_frame,
    "arrays": read_arrays,
}
LARGE_READERS: dict[str, Callable[[File, Settings, Sequence[str] | None], Iterator[Reading]]] = {
    "text": read_pieces,
    "parquet": read_parquet_batches,
}


def read_alone(path: Path, settings: Settings, columns: Sequence[str]) -> Reading | None:
    """A single image, sound or text as a table of one row, for a run that learned from such files; None for a table.

    Args:
        settings: their `kinds` name the column that files stand for, if the run has one.
        columns: of the training data. A text may well look like a table: it is a text if the run learned from a folder.

    Raises:
        SourceError: it is a damaged file of that kind, is named like one, or holds what is no table either.
    """
    medium = next((medium for medium in READ_FILES if medium in settings.kinds.values()), None)
    if medium is None:
        return None
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError:
        return None  # said by `open_file`
    holds, is_blank = what_it_is(head), not head.strip()
    is_named_so = (mimetypes.guess_type(path.name)[0] or "").startswith(("image/", "audio/", "video/"))
    if medium == "text":
        if list(columns) != [medium, LABEL] or path.suffix.lower() in TABLES:
            return None
    elif holds == "a text" and not is_named_so and not is_blank:
        return None
    cells = READ_FILES[medium]([writable(path.name)], lambda _: path.read_bytes(), settings)
    error = field(light(cells), "error")[0].as_py()
    if error is None:
        return Reading(pa.table({medium: cells}), tuple(findings(cells)))
    holds_table = holds in (None, "a text", "a zip file", "a gz file") and not is_named_so and not is_blank
    if holds_table or path.suffix.lower() in TABLES:
        return None  # it may be one at least: its reader will say
    raise SourceError(
        f"`{path.name}` cannot be used as {'an' if medium == 'image' else 'a'} {medium}",
        got=error.removeprefix("is "),
        fix=f"Give another {medium}, or a folder or a table of them.",
    )


def is_query(source: Any) -> bool:
    """Whether a source is a query, and no path."""
    return isinstance(source, str) and _QUERY.match(source) is not None


def find_file(source: str | Path) -> Path:
    """The file or folder that a path names, as an absolute path.

    Raises:
        SourceError: nothing is there ("did you mean").
    """
    if str(source).strip() in ("", "."):
        raise SourceError("No file was named", got=repr(str(source)), fix="Give a table's file, such as rows.csv.")
    try:
        path = Path(source).expanduser().absolute()
        exists = path.exists()
    except (OSError, ValueError, RuntimeError):  # a name that no file can have
        raise SourceError("That is not the name of a file", got=repr(str(source)[:80])) from None
    if exists:
        return path
    fix = "Check the path."
    if path.parent.is_dir():
        others = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
        near = difflib.get_close_matches(path.name, others, n=1, cutoff=0.5)
        fix = f"Did you mean `{Path(source).parent / near[0]}`?" if near else fix
    elif not path.parent.exists():
        fix = f"There is no folder `{path.parent}`."
    raise SourceError("There is no such file", got=str(source), fix=fix)


def open_file(path: Path) -> File:
    """A file out of its gz or zip wrapping; a large one that is not wrapped is not read yet.

    Raises:
        SourceError: no permission, an empty or damaged file, a zip that holds several.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
            is_wrapped = head.startswith((b"\x1f\x8b", b"PK\x03\x04"))
            if path.stat().st_size > LARGE_BYTES and not is_wrapped and head.strip():
                return File(path, head)
            data = head + stream.read()
    except PermissionError:
        raise SourceError(
            "No permission to read the file", got=str(path), fix="Check the file's permissions."
        ) from None
    except OSError as error:
        raise SourceError("The file cannot be read", got=f"{path}: {error.strerror}") from None
    try:
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
        elif data.startswith(b"PK\x03\x04"):
            data = _unzip(data, path)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise SourceError("The file is damaged: it cannot be unpacked", got=f"{path.name}: {error}") from None
    if data[257:262] == b"ustar":
        raise SourceError(f"`{path.name}` is a tar archive", fix="Unpack it, and give the folder or a file from it.")
    if not data.strip():
        raise SourceError(f"`{path.name}` is empty", fix="Give a file with a header and rows.")
    return File(path, data[:HEAD_BYTES], data)


def _unzip(data: bytes, path: Path) -> bytes:
    """The one file in a zip; a spreadsheet (a zip, too) is left as it is."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        names = archive.namelist()
        if "[Content_Types].xml" in names or "mimetype" in names:
            return data
        files = [name for name in names if not name.endswith("/") and not name.startswith("__MACOSX/")]
        if len(files) != 1:
            raise SourceError(
                f"`{path.name}` holds {len(files)} files", fix="Unpack it, and give the folder or the file to read."
            )
        return archive.read(files[0])


def kind_of_file(file: File) -> str:
    """The reader for a file's content; its extension only helps where the content leaves it open.

    Raises:
        SourceError: the content is of a known kind that is no table.
    """
    head = file.head
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith((b"ARROW1", b"FEA1")):
        return "arrow"
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        return "excel"
    for start, kind in _KNOWN_BINARY.items():
        if head.startswith(start):
            raise SourceError(
                f"`{file.name}` is {kind}, not a table that can be read",
                fix="Tables are read from CSV, TSV, Parquet, JSON, Excel and ARFF files.",
            )
    text = head.decode("utf-8-sig", errors="ignore").lstrip()
    if re.search(r"(?im)^\s*@relation\b", text) or re.search(r"(?im)^\s*@attribute\b", text):
        return "arff"
    extensions = "".join(file.path.suffixes).lower()
    if re.match(r'\{\s*("|\}\s*$)|\[\s*\{', text) or (
        re.search(r"\.(json|jsonl|ndjson)\b", extensions) and text[:1] in "[{"
    ):
        return "json"
    return "text"


def name_of(path: Path) -> str:
    """A short word for a run's folder: the file's name without its extensions."""
    stem = re.sub(
        r"(\.(gz|zip|csv|tsv|txt|data|parquet|jsonl?|ndjson|xlsx?|ods|arff|feather|arrow))+$",
        "",
        path.name,
        flags=re.IGNORECASE,
    )
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-") or "data"
