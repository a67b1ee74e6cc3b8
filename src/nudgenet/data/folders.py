"""A folder with one sub-folder per class -> a table with a column of images and a column of labels.

`train`, `validation` (or `val`, `valid`) and `test` folders above the classes say which rows are for what.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from nudgenet.data.frames import GIVEN_TARGET
from nudgenet.data.idx import find_idx, read_idx
from nudgenet.data.images import read_images
from nudgenet.data.media import field, intact, light, skipped
from nudgenet.data.typed import Reading
from nudgenet.errors import SourceError, shorten
from nudgenet.records import Decision
from nudgenet.settings import Settings

IMAGES, LABEL = "image", "label"
PARTS = {"train": 0, "training": 0, "validation": 1, "val": 1, "valid": 1, "dev": 1, "test": 2, "testing": 2}
MIN_CLASSES = 2


def read_folder(folder: Path, settings: Settings, columns: Sequence[str] | None = None) -> Reading:
    """Every image below a folder; its class is the name of the folder that it lies in.

    Args:
        columns: set when predicting: then the images may lie anywhere, and classes are not needed.

    Raises:
        SourceError: no image in it, or none in sub-folders that name their classes.
        MissingExtra: Pillow is not installed.
    """
    if columns is None and find_idx(folder):
        return read_idx(folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not _is_hidden(path, folder))
    roots = _parts(folder) if columns is None else {}
    part_of = {path: _part_of(path, folder, roots) for path in files}
    files.sort(key=lambda path: part_of[path][0])  # train, then validation, then test; by name within
    in_class = [path for path in files if columns is not None or part_of[path][1] is not None]
    if not in_class:
        raise SourceError(
            f"`{folder.name}` is a folder, and it holds no sub-folders with images",
            got=shorten([path.name for path in files], 3) or "an empty folder",
            fix="Give a folder with one sub-folder of images per class, or a table's file.",
        )
    names = [str(path.relative_to(folder)) for path in in_class]
    images = read_images(names, lambda number: in_class[number].read_bytes(), settings)
    labels = [part_of[path][1] for path in in_class]
    table = pa.table({IMAGES: images, LABEL: pa.array(labels, pa.string())})
    _check(folder, table, images, columns is not None)
    counts = [sum(part_of[path][0] == part for path in in_class) for part in range(3)]
    decisions = _decisions(folder, table, files, in_class, roots)
    if columns is None and not counts[0]:
        raise SourceError(f"`{folder.name}` has no images to train on", fix="Put them into a folder `train`.")
    return Reading(table, tuple(decisions), given_validation=counts[1], given_test=counts[2])


def _is_hidden(path: Path, folder: Path) -> bool:
    """What file managers and archives leave behind."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.relative_to(folder).parts)


def _parts(folder: Path) -> dict[str, int]:
    """The sub-folders that name parts (train, val ...), if there are any for training, and nothing else."""
    names = [path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    parts = {name: PARTS[name.lower()] for name in names if name.lower() in PARTS}
    return parts if 0 in parts.values() and len(parts) == len(names) else {}


def _part_of(path: Path, folder: Path, roots: dict[str, int]) -> tuple[int, str | None]:
    """(0 train, 1 validation, 2 test; the class, None for a file outside of every class folder)."""
    parents = path.relative_to(folder).parts[:-1]
    part = roots.get(parents[0], 0) if parents else 0
    if parents and parents[0] in roots:
        parents = parents[1:]
    return part, parents[0] if parents else None


def _check(folder: Path, table: pa.Table, images: pa.ChunkedArray, is_prediction: bool) -> None:
    fine = intact(table)
    if not fine.any():
        errors = field(light(images), "error").drop_null()
        raise SourceError(
            f"`{folder.name}` is a folder, and no file in it holds an image", got=errors[0].as_py() if len(errors) else "no file",
            fix="Folders of images can be read, one sub-folder per class.",
        )  # fmt: skip
    labels = table.column(LABEL).filter(pa.array(fine)).unique()
    if not is_prediction and len(labels) < MIN_CLASSES:
        raise SourceError(
            f"`{folder.name}` holds images of one class only", got=shorten(labels.to_pylist()),
            fix="Give a folder with one sub-folder of images per class.",
        )  # fmt: skip


def _decisions(
    folder: Path, table: pa.Table, files: Sequence[Path], in_class: Sequence[Path], roots: dict[str, int]
) -> list[Decision]:
    decisions = [Decision(GIVEN_TARGET, f"`{LABEL}`", "the folder that each image lies in is its class", "")]
    if roots:
        chosen = ", ".join(f"`{name}`" for name in sorted(roots, key=lambda name: roots[name]))
        decisions.append(Decision("parts", chosen, "folders with these names say which images are for what", ""))
    if outside := [str(path.relative_to(folder)) for path in files if path not in set(in_class)]:
        chosen = f"{len(outside):,} files: {shorten(outside, 100)}"
        decisions.append(Decision("skipped: in no class", chosen, "they lie outside of every class folder", ""))
    return decisions + skipped(table.column(IMAGES))
