"""Files inside a table's cells: bytes, or objects of `bytes` and `path`, as Parquet files of images and sounds have them.

What such cells are once a typed table is tidy is `media.FILE`. Here they become images, sounds or texts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from nudgenet.data.documents import texts_of
from nudgenet.data.files import READ_FILES, medium_in, most_common_medium
from nudgenet.data.media import FILE, Undecodable, field, findings, intact, is_media, light
from nudgenet.data.paths import load_file
from nudgenet.data.typed import Reading
from nudgenet.data.wishes import WHY
from nudgenet.errors import ColumnError, counted
from nudgenet.records import Decision, Medium
from nudgenet.settings import Settings

OPENED = 20  # cells that are opened to tell what a column holds


def with_embedded(
    reading: Reading, folder: Path, settings: Settings, columns: Sequence[str] | None = None, *, is_whole: bool = True
) -> Reading:
    """The same table, in which cells that are files are decoded: one column of images or sounds, any number of texts.

    Columns of other bytes are left out, and the log says so. `kinds=COLUMN:KIND` decides where it is given.

    Args:
        folder: where paths begin whose bytes are not in the table.
        columns: set when predicting: then the column of images or sounds is that of `kinds`, or the first one where
            the table has none of that name.
        is_whole: whether the table is all of its source: in a piece of one it may well be that nothing can be decoded.

    Raises:
        ColumnError: no cell of the column of images or sounds can be decoded.
        MissingExtra: the library for such files is not installed.
    """
    for name in [column.name for column in reading.table.schema if column.type == FILE]:
        taken = next((one for one in reading.table.column_names if is_media(reading.table.column(one))), "")
        medium = _medium_of(name, reading.table, folder, settings, columns)
        if medium is None or (taken and medium != "text"):
            table, decisions = reading.table.drop_columns([name]), [_left_out(name, medium, taken, settings)]
        else:
            files = _decoded(reading.table.column(name), medium, folder, settings)
            if is_whole or columns is None:
                _check(name, medium, files)
            table = reading.table.set_column(reading.table.column_names.index(name), name, texts_of(files))
            why = f"its cells are files that hold {medium}s"
            chosen = counted(len(files), medium)
            decisions = [Decision(f"column `{name}`", chosen, why, f"--set kinds={name}:identifier"), *findings(files)]
        reading = replace(reading, table=table, decisions=(*reading.decisions, *decisions))
    return reading


def _medium_of(
    name: str, table: pa.Table, folder: Path, settings: Settings, columns: Sequence[str] | None
) -> Medium | None:
    """What a column is decoded as: what `kinds` says, else what most of a sample are; None if it is left out."""
    wish = settings.kinds.get(name)
    if wish in READ_FILES:
        return wish
    if wish is not None:
        return None
    cells = table.column(name)
    load = _loader(cells, folder)
    some = _some(load, len(cells))
    found = most_common_medium(some)
    if found == "text" and medium_in(b"\n".join(some)) != "text":  # a few bytes may look like a text by chance
        return None
    if columns is None or found in (None, "text"):
        return found
    # When predicting, another name will do where the table lacks the one of the training.
    return (
        found if any(kind == found and one not in table.column_names for one, kind in settings.kinds.items()) else None
    )


def _some(load: Callable[[int], bytes], count: int) -> list[bytes]:
    """The bytes of cells that have some, evenly spaced."""
    found: list[bytes] = []
    for number in range(0, count, max(1, count // OPENED)):
        with suppress(Undecodable, OSError):
            found.append(load(number))
    return found


def _decoded(cells: pa.ChunkedArray, medium: Medium, folder: Path, settings: Settings) -> pa.ChunkedArray:
    return READ_FILES[medium](field(cells, "path").to_pylist(), _loader(cells, folder), settings)


def _loader(cells: pa.ChunkedArray, folder: Path) -> Callable[[int], bytes]:
    """A cell's number -> its bytes; where it has only a path, those of the file that this leads to."""

    def load(number: int) -> bytes:
        cell = cells[number].as_py()
        if cell is None:
            raise Undecodable("no file in the cell")
        content: bytes | None = cell["bytes"]
        return load_file(cell["path"], folder) if content is None else content

    return load


def _left_out(name: str, medium: Medium | None, taken: str, settings: Settings) -> Decision:
    """Why a column of files is not looked at."""
    what = f"column `{name}`"
    if name in settings.kinds:
        return Decision(what, "left out", WHY, "")
    if medium is None:
        why = "its cells are bytes that can be opened as neither images, sounds nor texts"
        return Decision(what, "left out", why, "")
    why = f"a network looks at one column of images or sounds, and that is `{taken}`"
    return Decision(what, f"left out: {medium}s", why, f"--set kinds={name}:{medium},{taken}:identifier")


def _check(name: str, medium: Medium, files: pa.ChunkedArray) -> None:
    """Raises ColumnError if nothing can be decoded."""
    if medium == "text" or intact(pa.table({name: files})).any():
        return
    first = field(light(files), "error")[0].as_py() if len(files) else "no rows"
    raise ColumnError(
        f"No cell of `{name}` holds {'an image' if medium == 'image' else 'a sound'}", got=f"row 1: {first}",
        fix=f"Check what the cells hold, or leave the column out: --set kinds={name}:identifier.",
    )  # fmt: skip
