"""A column of paths to images becomes a column of images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from nudgenet.data.decoding import is_image, need_pillow
from nudgenet.data.images import read_images
from nudgenet.data.media import Undecodable, intact, is_media, skipped
from nudgenet.data.typed import Reading
from nudgenet.errors import ColumnError, MissingExtra
from nudgenet.records import Decision
from nudgenet.settings import Settings

SAMPLE = 50  # cells that are looked at to tell whether a column holds paths
MOST_ABSENT = 0.5  # of the sampled cells may name files that are not there: those are then skipped by name
_LIKE_A_PATH = re.compile(r"[^\n\r\0]{1,250}\.\w{2,5}")


def with_images(reading: Reading, folder: Path, settings: Settings, columns: Sequence[str] | None = None) -> Reading:
    """The same table, in which the first column of paths to image files holds the images.

    A column is one if its cells look like paths, the files exist (from the table's own folder) and hold images;
    `kinds=COLUMN:image` says so without looking, and any other kind says that it is not; when predicting
    (`columns` is set), only the former counts.

    Raises:
        ColumnError: `kinds` names a column of images and none of its cells leads to one.
        MissingExtra: Pillow is not installed, and the column's files are images by their names.
    """
    if any(is_media(column) for column in reading.table.columns):
        return reading
    wished = [name for name, kind in settings.kinds.items() if kind == "image" and name in reading.table.column_names]
    if columns is not None and not wished:
        return reading  # the training had no such column
    names = wished or [name for name in reading.table.column_names if name not in settings.kinds]
    for name in names:
        cells = reading.table.column(name)
        if not pa.types.is_string(cells.type) or not (wished or _leads_to_images(cells, folder)):
            continue
        paths: list[str | None] = cells.to_pylist()
        images = read_images(paths, lambda number, paths=paths: _load(paths[number], folder), settings)  # type: ignore[misc]
        column = reading.table.column_names.index(name)
        table = reading.table.set_column(column, name, images)
        if wished and columns is None and not intact(table).any():
            first = images[0]["error"].as_py() if len(images) else "no rows"
            raise ColumnError(
                f"No cell of `{name}` leads to an image", got=f"{paths[:1]}: {first}", fix="Check the paths."
            )
        why = "its cells are paths to files that hold images"
        found = Decision(f"column `{name}`", f"{len(images):,} images", why, f"--set kinds={name}:identifier")
        return replace(reading, table=table, decisions=(*reading.decisions, found, *skipped(images)))
    return reading


def _leads_to_images(cells: pa.ChunkedArray, folder: Path) -> bool:
    """Whether the cells are paths to files that are there and hold images, as far as a sample tells."""
    present = cells.drop_null()
    step = max(1, len(present) // SAMPLE)
    sample: Sequence[str] = [str(cell) for cell in present[::step].to_pylist()] if len(present) else []
    if not sample or not all(_LIKE_A_PATH.fullmatch(cell) for cell in sample):
        return False
    files = [path for cell in sample if (path := _find(cell, folder)) is not None]
    if len(files) <= MOST_ABSENT * len(sample):
        return False
    try:
        need_pillow()
    except MissingExtra:
        if any(
            path.suffix.lower() in (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff") for path in files
        ):
            raise
        return False
    num_images = sum(is_image(path.read_bytes()) for path in files[:5])
    return num_images > len(files[:5]) / 2


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
