"""A column of paths to images or sounds becomes a column of images or sounds."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from nudgenet.data.files import READ_FILES, most_common_medium
from nudgenet.data.media import Undecodable, field, findings, intact, is_media, light
from nudgenet.data.typed import Reading
from nudgenet.errors import ColumnError, counted, shorten
from nudgenet.records import Decision, Medium
from nudgenet.settings import Settings

OPENED = 5  # files of the sample that are opened
SAMPLE = 50  # cells that are looked at to tell whether a column holds paths
MOST_ABSENT = 0.5  # of the sampled cells may name files that are not there: those are then skipped by name
FEWEST_THERE = 0.1  # of them must be there if paths begin at the table's own folder or above, and nowhere more are
LEVELS_UP = 2  # folders above the table's own that paths may begin at
MOST_INSIDE = 100  # folders inside it that they may begin at
SHOWN = 200  # characters of a path in an error
ABSENT = "there is no such file"
_LIKE_A_PATH = re.compile(r"[^\n\r\0]{1,250}\.\w{2,5}")
_LIKE_A_STEM = re.compile(r"[\w./\\-]{1,250}")  # a path without its ending, as lists of photos give them
_A_NUMBER = re.compile(r"[-+]?\d*[.,]\d+(e[-+]?\d+)?|[-+]\d+", re.IGNORECASE)  # that no file is called
_LIKE_MEDIA = re.compile(
    r".*\.(png|jpe?g|gif|bmp|webp|tiff?|wav|mp3|flac|ogg|opus|aiff?|m4a)", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True)
class _Paths:
    """A column of paths: what they lead to, and the folder that they begin at."""

    name: str
    medium: Medium
    root: Path


def with_media(
    reading: Reading,
    folder: Path,
    settings: Settings,
    columns: Sequence[str] | None = None,
    *,
    is_whole: bool = True,
) -> Reading:
    """The same table, in which the first column of paths to images or sounds holds them.

    A column is one if its cells look like paths, with or without endings, the files exist and can be opened; `kinds=COLUMN:image` or `:sound`
    says so without looking, and any other kind says that it is not. Paths begin at the table's own folder, at one above
    it, or at the one inside it that has such files. When predicting (`columns` is set), the column that was one in training counts; if the
    table has none of that name, the first new one that leads to such files stands for it.

    is_whole: the table is all of its source, so that one of which nothing leads to a file is a mistake. A piece of a
        large one may be so: when predicting, its rows are kept, and say what is wrong with them.

    Raises:
        ColumnError: `kinds` names two such columns, or one of which no cell leads to a file that can be decoded; or
            files of these names are in several folders inside the table's own.
        MissingExtra: the library for such files is not installed.
    """
    if any(is_media(column) for column in reading.table.columns):
        return reading
    found = _columns_of_paths(reading.table, folder, settings, columns)
    if not found:
        return replace(reading, warnings=(*reading.warnings, *_lost(reading.table, folder, settings, columns)))
    first, *others = found
    if others and first.name in settings.kinds:
        raise ColumnError(
            "A network looks at one column of images or sounds", got=f"{first.name} and {others[0].name}",
            fix=f"Leave one of them out of `kinds`, and out of the training: --set ignore={others[0].name}.",
        )  # fmt: skip
    table, files = _decoded(reading.table, first, folder, settings)
    if is_whole or columns is None:
        _check(first, files, is_prediction=columns is not None)
    where = "" if first.root == folder else f", which begin at `{_between(folder, first.root)}`"
    why = f"its cells are paths to files that hold {first.medium}s{where}"
    chosen = counted(len(files), first.medium)
    decisions = [Decision(f"column `{first.name}`", chosen, why, f"--set kinds={first.name}:identifier")]
    why = f"a network looks at one column of images or sounds, and that is `{first.name}`"
    decisions += [
        Decision(f"column `{one.name}`", f"its paths alone, not the {one.medium}s that they lead to", why,
                 f"--set kinds={one.name}:{one.medium}")
        for one in others
    ]  # fmt: skip
    warnings = list(reading.warnings)
    if columns is not None and first.name not in columns:
        warnings.append(f"`{first.name}` holds the paths here, so it stands for the {first.medium}s of the training")
    if columns is not None and first.root != folder:
        warnings.append(
            f"The paths in `{first.name}` lead nowhere from {folder}; they were taken to begin at {first.root}"
        )
    return replace(
        reading, table=table, decisions=(*reading.decisions, *decisions, *findings(files)), warnings=tuple(warnings)
    )


def _columns_of_paths(table: pa.Table, folder: Path, settings: Settings, columns: Sequence[str] | None) -> list[_Paths]:
    """Those that are to hold images or sounds: as `kinds` says, else all that lead to some."""
    wished: dict[str, Medium] = {name: kind for name, kind in settings.kinds.items() if kind in ("image", "sound")}
    texts = [name for name in table.column_names if pa.types.is_string(table.column(name).type)]
    if columns is not None and not wished:
        return []  # the training had no such column
    here = [
        _Paths(name, wished[name], _root_of(name, table.column(name), folder) or folder)
        for name in texts
        if name in wished
    ]
    if here:
        return here
    known = {*settings.kinds, *settings.ignore} if columns is None else columns
    led = (_leads_to(name, table.column(name), folder) for name in texts if name not in known)
    return [one for one in led if one is not None and (columns is None or one.medium in wished.values())]


def _decoded(table: pa.Table, paths: _Paths, folder: Path, settings: Settings) -> tuple[pa.Table, pa.ChunkedArray]:
    """The table with files in the place of paths, which are then named from the table's own folder; and the files."""
    cells: list[str | None] = table.column(paths.name).to_pylist()
    if paths.root != folder:
        before = _between(folder, paths.root)
        cells = [cell if cell is None or Path(cell).is_absolute() else f"{before}/{cell}" for cell in cells]
    files = READ_FILES[paths.medium](cells, lambda number: load_file(cells[number], folder), settings)
    return table.set_column(table.column_names.index(paths.name), paths.name, files), files


def _check(paths: _Paths, files: pa.ChunkedArray, *, is_prediction: bool) -> None:
    """Raises ColumnError if nothing can be made of a column: when predicting, if not a single file of several is there."""
    errors = field(light(files), "error")
    if is_prediction and (len(files) == 1 or not all(error == ABSENT for error in errors.to_pylist())):
        return  # each keeps its row, and says what is wrong with it
    if intact(pa.table({paths.name: files})).any():
        return
    first = f"{str(files[0]['path'])[:SHOWN]}: {errors[0]}" if len(files) else "no rows"
    what = "an image" if paths.medium == "image" else "a sound"
    raise ColumnError(
        f"No cell of `{paths.name}` leads to {what}", got=first,
        fix=f"Check the paths: they begin at the table's own folder, {paths.root}.",
    )  # fmt: skip


def _lost(table: pa.Table, folder: Path, settings: Settings, columns: Sequence[str] | None) -> list[str]:
    """A warning for each column that names images or sounds which are not there; raises when they are all there is.

    Raises:
        ColumnError: when predicting from images or sounds, and nothing leads to any.
    """
    wished = [name for name, kind in settings.kinds.items() if kind in ("image", "sound")]
    if columns is not None and (not wished or wished[0] in table.column_names):
        return []
    warnings: list[str] = []
    lost: list[str] = []
    for name in table.column_names:
        if not pa.types.is_string(table.column(name).type) or name in (columns or {*settings.kinds, *settings.ignore}):
            continue
        sample = _sample(table.column(name))
        if not sample or not all(_LIKE_MEDIA.fullmatch(cell) for cell in sample):
            continue
        if _root_of(name, table.column(name), folder) is not None:
            continue  # they are there, and hold something else
        if columns is not None:
            raise _leads_nowhere(name, sample[0], folder)
        lost.append(name)
        warnings.append(
            f"`{name}` names files such as {sample[0]}, which are not there: paths begin at the table's own folder, "
            f"{folder}. What is in them is not looked at"
        )
    if lost and table.num_columns - len(lost) <= 1:  # the target, and nothing to learn from
        raise _leads_nowhere(lost[0], _sample(table.column(lost[0]))[0], folder)
    return warnings


def _leads_nowhere(name: str, cell: str, folder: Path) -> ColumnError:
    where = f"Check the paths: they begin at the table's own folder, {folder}."
    fix = "Nothing is downloaded: save the files first, and give their paths." if "://" in cell else where
    return ColumnError(f"No cell of `{name}` leads to a file", got=cell[:SHOWN], fix=fix)


def _leads_to(name: str, cells: pa.ChunkedArray, folder: Path) -> _Paths | None:
    """What the cells are paths to, as far as a sample tells; None if they are no paths, or the files neither."""
    root = _root_of(name, cells, folder)
    medium = None if root is None else _medium_in(_sample(cells), root)
    return None if root is None or medium is None else _Paths(name, medium, root)


def _medium_in(sample: Sequence[str], root: Path) -> Medium | None:
    """Images or sounds, whichever most of the files are; None for neither."""
    files = [path for cell in sample if (path := _find(cell, root)) is not None]
    medium = most_common_medium(path.read_bytes() for path in files[:OPENED])
    return medium if medium in ("image", "sound") else None


def _root_of(name: str, cells: pa.ChunkedArray, folder: Path) -> Path | None:
    """The folder that paths begin at: the table's own, the nearest above it, or the only one inside it in which most of
    a sample are there; None if there is none.

    Raises:
        ColumnError: several inside it have images or sounds of these names: which are meant, nobody can tell.
    """
    sample = _sample(cells)
    are_paths = all(_LIKE_A_PATH.fullmatch(cell) for cell in sample)
    are_stems = len({*sample}) == len(sample) and all(_LIKE_A_STEM.fullmatch(cell) for cell in sample)
    if not sample or not (are_paths or are_stems) or any(_A_NUMBER.fullmatch(cell) for cell in sample):
        return None
    outer = (folder, *folder.parents[:LEVELS_UP])
    shares = [_share_there(sample, root) for root in outer]
    for root, share in zip(outer, shares, strict=True):
        if share > MOST_ABSENT:
            return root
    inside = [root for root in _folders_in(folder) if _share_there(sample, root) > MOST_ABSENT]
    if len(inside) > 1 and are_paths and any(_medium_in(sample, root) for root in inside):
        raise ColumnError(
            f"The paths in `{name}` may begin at several folders", got=shorten(root.name for root in inside),
            fix=f"Write the folder into the paths: {inside[0].name}/{sample[0]}. Or put the table into it.",
        )  # fmt: skip
    if len(inside) == 1 or (inside and are_paths):
        return inside[0]
    return outer[shares.index(max(shares))] if are_paths and max(shares) >= FEWEST_THERE else None


def _share_there(sample: Sequence[str], root: Path) -> float:
    if any(sign in cell for cell in sample for sign in "./\\"):
        return sum(_find(cell, root) is not None for cell in sample) / len(sample)
    names = _names_now(root)  # many columns of numbers may be looked up in many folders
    return sum(cell.lower() in names for cell in sample) / len(sample)


def _folders_in(folder: Path) -> list[Path]:
    """Those inside, by their names."""
    try:
        inside = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []
    return [folder / name for name in inside[:MOST_INSIDE]]


def _sample(cells: pa.ChunkedArray) -> list[str]:
    """Cells that hold something, evenly spaced."""
    present = cells.drop_null()
    step = max(1, len(present) // SAMPLE)
    return [str(cell) for cell in present[::step].to_pylist()] if len(present) else []


def _between(folder: Path, root: Path) -> str:
    """How to get from one folder to another, with slashes."""
    return Path(os.path.relpath(root, folder)).as_posix()


def _find(cell: str, folder: Path) -> Path | None:
    """The file that a path leads to, also one that was written on Windows, without its ending, or with other capitals."""
    paths = [folder / way for way in dict.fromkeys([cell, cell.replace("\\", "/"), *_local(cell)])]
    with suppress(OSError, ValueError):  # a name that no file can have
        for path in paths:
            if path.is_file():
                return path
        for path in paths:
            if (name := _names_now(path.parent).get(path.name.lower())) is not None:
                return path.parent / name
    return None


def _names_now(folder: Path) -> dict[str, str]:
    """See `_names_in`; nothing for a folder that is not there, or may not be looked into."""
    try:
        return _names_in(folder, folder.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=128)
def _names_in(folder: Path, changed_at: int) -> dict[str, str]:
    """The images and sounds of a folder by their names and by these without endings, in small letters; none that two share.

    changed_at: when the folder was, in nanoseconds: a name for what is remembered.
    """
    found: dict[str, list[str]] = {}
    for entry in os.scandir(folder):
        if _LIKE_MEDIA.fullmatch(entry.name) and entry.is_file():
            for name in (entry.name, Path(entry.name).stem):
                found.setdefault(name.lower(), []).append(entry.name)
    return {name: names[0] for name, names in found.items() if len(names) == 1}


def _local(cell: str) -> list[str]:
    """What `~/x` and `file:///x` stand for."""
    if cell.startswith("~"):
        return [str(Path(cell).expanduser())]
    return [unquote(urlsplit(cell).path)] if cell.startswith("file://") else []


def load_file(cell: str | None, folder: Path) -> bytes:
    """The bytes of the file that a path leads to from a folder. Raises Undecodable if there is none."""
    if cell is None:
        raise Undecodable("no path")
    path = _find(cell, folder)
    if path is None:
        raise Undecodable(ABSENT)
    return path.read_bytes()
