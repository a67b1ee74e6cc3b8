"""Files inside a table's cells: bytes, or objects of `bytes` and `path`, as Parquet files of images and sounds have them.

What such cells are once a typed table is tidy is `media.FILE`. Here they become images, sounds or texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from nudgenet.data.documents import texts_of
from nudgenet.data.files import READ_FILES, medium_in, most_common_medium
from nudgenet.data.media import FILE, Undecodable, field, findings, intact, is_media, light
from nudgenet.data.paths import load_file
from nudgenet.data.typed import Reading
from nudgenet.errors import ColumnError, counted
from nudgenet.records import Decision, Medium
from nudgenet.settings import Settings

OPENED = 20  # cells that are opened to tell what a column holds


def with_embedded(reading: Reading, folder: Path, settings: Settings, columns: Sequence[str] | None = None) -> Reading:
    """The same table, in which cells that are files are decoded: one column of images or sounds, any number of texts.

    Columns of other bytes are left out, and the log says so. `kinds=COLUMN:KIND` decides where it is given; a column that
    is to be ignored, or something else, becomes one of the files' paths.

    Args:
        folder: where paths begin whose bytes are not in the table.
        columns: set when predicting: then the column of images or sounds is that of `kinds`, or the first one where
            the table has none of that name.

    Raises:
        ColumnError: in training, no cell of the column of images or sounds can be decoded.
        MissingExtra: the library for such files is not installed.
    """
    for name in [column.name for column in reading.table.schema if column.type == FILE]:
        reading = _without_files(reading, name, folder, settings, columns)
    return reading


def _without_files(
    reading: Reading, name: str, folder: Path, settings: Settings, columns: Sequence[str] | None
) -> Reading:
    """The same table with one column of files decoded, as their paths alone, or left out."""
    table, cells = reading.table, reading.table.column(name)
    at = table.column_names.index(name)
    is_paths = (
        not field(cells, "bytes").is_valid().to_numpy().any() and field(cells, "path").is_valid().to_numpy().any()
    )
    if is_paths or name in settings.ignore or settings.kinds.get(name) not in (None, *READ_FILES):
        return replace(reading, table=table.set_column(at, name, field(cells, "path")))
    taken = next((one for one in table.column_names if is_media(table.column(one))), "")
    wished = [one for one, kind in settings.kinds.items() if kind in ("image", "sound") and one in table.column_names]
    medium = _medium_of(name, table, folder, settings, columns)
    if medium is None or (medium != "text" and (taken or (wished and name not in wished))):
        decision = _left_out(name, medium, taken or next(iter(wished), ""), is_empty=cells.null_count == len(cells))
        return replace(reading, table=table.drop_columns([name]), decisions=(*reading.decisions, decision))
    files = READ_FILES[medium](field(cells, "path").to_pylist(), _loader(cells, folder), settings)
    if columns is None:
        _check(name, medium, files)
    decoded = Decision(
        f"column `{name}`",
        counted(len(files), medium),
        f"its cells are files that hold {medium}s",
        f"--set ignore={name}",
    )
    unread = _unread(name, files) if medium == "text" and columns is not None else []
    return replace(
        reading,
        table=table.set_column(at, name, texts_of(files)),
        decisions=(*reading.decisions, decoded, *findings(files)),
        warnings=(*reading.warnings, *unread),
    )


def _medium_of(
    name: str, table: pa.Table, folder: Path, settings: Settings, columns: Sequence[str] | None
) -> Medium | None:
    """What a column is decoded as: what `kinds` says, else what most of a sample are; None if it is left out."""
    wish = settings.kinds.get(name)
    if wish in READ_FILES:
        return wish
    cells = table.column(name)
    some = _some(_loader(cells, folder), len(cells))
    found = most_common_medium(some)
    if found == "text" and medium_in(b"\n".join(some)) != "text":  # a few bytes may look like a text by chance
        return None
    if columns is None or found in (None, "text"):
        return found
    # When predicting, another name will do where the table lacks the one of the training.
    return (
        found if any(kind == found and one not in table.column_names for one, kind in settings.kinds.items()) else None
    )


def _unread(name: str, texts: pa.ChunkedArray) -> list[str]:
    """A warning about texts that cannot be read: as texts they are missing, and nothing else would say so."""
    errors = field(texts, "error")
    rows = np.flatnonzero(errors.is_valid().to_numpy())
    if not len(rows):
        return []
    first = f"row {rows[0] + 1}: {errors[int(rows[0])].as_py()}"
    return [f"{counted(len(rows), 'text')} of `{name}` cannot be read, taken as missing, such as {first}"]


def _some(load: Callable[[int], bytes], count: int) -> list[bytes]:
    """The bytes of cells that have some, evenly spaced."""
    found: list[bytes] = []
    for number in range(0, count, max(1, count // OPENED)):
        with suppress(Undecodable, OSError):
            found.append(load(number))
    return found


def _loader(cells: pa.ChunkedArray, folder: Path) -> Callable[[int], bytes]:
    """A cell's number -> its bytes; where it has only a path, those of the file that this leads to."""

    def load(number: int) -> bytes:
        cell = cells[number].as_py()
        if cell is None:
            raise Undecodable("no file in the cell")
        content: bytes | None = cell["bytes"]
        return load_file(cell["path"], folder) if content is None else content

    return load


def _left_out(name: str, medium: Medium | None, taken: str, *, is_empty: bool) -> Decision:
    """Why a column of files is not looked at."""
    what = f"column `{name}`"
    if is_empty:
        return Decision(what, "left out: empty", "no cell holds anything", "")
    if medium is None:
        why = "its cells are bytes that can be opened as neither images, sounds nor texts"
        return Decision(what, "left out", why, "")
    why = f"a network looks at one column of images or sounds, and that is `{taken}`"
    return Decision(what, f"left out: {medium}s", why, f"--set kinds={name}:{medium}")


def _check(name: str, medium: Medium, files: pa.ChunkedArray) -> None:
    """Raises ColumnError if there is nothing to learn from."""
    if medium == "text" or intact(pa.table({name: files})).any():
        return
    first = field(light(files), "error")[0].as_py() if len(files) else "no rows"
    raise ColumnError(
        f"No cell of `{name}` holds {'an image' if medium == 'image' else 'a sound'}", got=f"row 1: {first}",
        fix=f"Check what the cells hold, or leave the column out: --set ignore={name}.",
    )  # fmt: skip
