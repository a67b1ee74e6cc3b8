"""A column of paths to images or sounds becomes a column of images or sounds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from nudgenet.data.files import READ_FILES, most_common_medium
from nudgenet.data.media import Undecodable, intact, is_media, skipped
from nudgenet.data.typed import Reading
from nudgenet.errors import ColumnError
from nudgenet.records import Decision, Medium
from nudgenet.settings import Settings

OPENED = 5  # files of the sample that are opened
SAMPLE = 50  # cells that are looked at to tell whether a column holds paths
MOST_ABSENT = 0.5  # of the sampled cells may name files that are not there: those are then skipped by name
_LIKE_A_PATH = re.compile(r"[^\n\r\0]{1,250}\.\w{2,5}")


def with_media(reading: Reading, folder: Path, settings: Settings, columns: Sequence[str] | None = None) -> Reading:
    """The same table, in which the first column of paths to images or sounds holds them.

    A column is one if its cells look like paths, the files exist (from the table's own folder) and can be opened;
    `kinds=COLUMN:image` or `:sound` says so without looking, and any other kind says that it is not; when predicting
    (`columns` is set), only the former counts.

    Raises:
        ColumnError: `kinds` names such a column and none of its cells leads to a file that can be decoded.
        MissingExtra: the library for such files is not installed.
    """
    if any(is_media(column) for column in reading.table.columns):
        return reading
    names = reading.table.column_names
    wished = {name: kind for name, kind in settings.kinds.items() if name in names and kind in ("image", "sound")}
    if columns is not None and not wished:
        return reading  # the training had no such column
    for name in wished or [name for name in names if name not in settings.kinds]:
        cells = reading.table.column(name)
        if not pa.types.is_string(cells.type):
            continue
        medium = wished[name] if wished else _leads_to(cells, folder)
        if medium not in ("image", "sound"):
            continue
        paths: list[str | None] = cells.to_pylist()
        files = READ_FILES[medium](paths, lambda number, paths=paths: _load(paths[number], folder), settings)  # type: ignore[misc]
        table = reading.table.set_column(names.index(name), name, files)
        if wished and columns is None and not intact(table).any():
            first = files[0]["error"].as_py() if len(files) else "no rows"
            what = "an image" if medium == "image" else "a sound"
            raise ColumnError(
                f"No cell of `{name}` leads to {what}", got=f"{paths[:1]}: {first}", fix="Check the paths."
            )
        why = f"its cells are paths to files that hold {medium}s"
        found = Decision(f"column `{name}`", f"{len(files):,} {medium}s", why, f"--set kinds={name}:identifier")
        return replace(reading, table=table, decisions=(*reading.decisions, found, *skipped(files)))
    return reading


def _leads_to(cells: pa.ChunkedArray, folder: Path) -> Medium | None:
    """What the cells are paths to, as far as a sample tells; None if they are no paths, or the files neither."""
    present = cells.drop_null()
    step = max(1, len(present) // SAMPLE)
    sample: Sequence[str] = [str(cell) for cell in present[::step].to_pylist()] if len(present) else []
    if not sample or not all(_LIKE_A_PATH.fullmatch(cell) for cell in sample):
        return None
    files = [path for cell in sample if (path := _find(cell, folder)) is not None]
    if len(files) <= MOST_ABSENT * len(sample):
        return None
    return most_common_medium(path.read_bytes() for path in files[:OPENED])


def _find(cell: str, folder: Path) -> Path | None:
    try:
        path = folder / cell
        return path if path.is_file() else None
    except (OSError, ValueError):  # a name that no file can have
        return None


def _load(cell: str | None, folder: Path) -> bytes:
    if cell is None:
        raise Undecodable("no path")
    path = _find(cell, folder)
    if path is None:
        raise Undecodable("there is no such file")
    return path.read_bytes()
