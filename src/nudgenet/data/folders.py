"""A folder with one sub-folder per class -> a table with a column of images or sounds and a column of labels.

`train`, `validation` (or `val`, `valid`) and `test` folders above the classes, or inside each, say which rows are for what.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from nudgenet.data.files import READ_FILES, most_common_medium
from nudgenet.data.frames import BY_FOLDERS, GIVEN_TARGET
from nudgenet.data.idx import find_idx, read_idx
from nudgenet.data.media import findings, intact, light, what_it_is
from nudgenet.data.typed import Reading
from nudgenet.data.walk import Found, is_hidden, walk, writable
from nudgenet.errors import SourceError, counted, shorten
from nudgenet.records import Decision, Medium
from nudgenet.settings import Settings

LABEL = "label"  # the other column is called what it holds: image or sound
PARTS = {"train": 0, "training": 0, "validation": 1, "val": 1, "valid": 1, "dev": 1, "test": 2, "testing": 2}
MIN_CLASSES = 2
TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".json", ".xlsx", ".gz")  # what a folder of tables is known by
PER_CLASS = "Give a folder with one sub-folder of images, sounds or texts per class"
OPENED = 40  # files that are opened to tell what a folder holds


def read_folder(folder: Path, settings: Settings, columns: Sequence[str] | None = None) -> Reading:
    """Every image or sound below a folder; its class is the name of the folder that it lies in.

    Args:
        columns: set when predicting: then the files may lie anywhere, and classes are not needed.

    Raises:
        SourceError: no image or sound in it, or none in sub-folders that name their classes.
        MissingExtra: the library for such files is not installed.
    """
    if columns is None and find_idx(folder):
        return read_idx(folder)
    below = walk(folder)
    files = below.files
    if columns is not None and LABEL not in columns and _is_for_a_table(files, settings):
        raise SourceError(
            f"`{folder.name}` is a folder of files, and the rows of a table are needed here",
            fix=f"Give a table's file with the columns {shorten(columns)}.",
        )
    roots = _parts(folder) if columns is None else {}
    inside = {} if roots or columns is not None else _parts_inside(folder, files)
    part_of = {path: _part_of(path, folder, roots, inside) for path in files}
    files.sort(key=lambda path: part_of[path][0])  # train, then validation, then test; by name within
    in_class = [path for path in files if columns is not None or part_of[path][1] is not None]
    if not in_class:
        raise _without_classes(folder, files, columns is not None)
    names = [below.name(path) for path in in_class]
    medium = _medium(folder, in_class, settings)
    cells = READ_FILES[medium](names, lambda number: in_class[number].read_bytes(), settings)
    labels = [label if (label := part_of[path][1]) is None else writable(label) for path in in_class]
    table = pa.table({medium: cells})
    if columns is None or LABEL in columns:
        table = table.append_column(LABEL, pa.array(labels, pa.string()))
    _check(folder, table, medium, columns is not None)
    counts = [sum(part_of[path][0] == part for path in in_class) for part in range(3)]
    full = {path.relative_to(folder).parts[0] for path in in_class}
    roots = {name: part for name, part in roots.items() if name in full}
    decisions = _decisions(below, table, medium, in_class, roots, inside)
    if columns is None and not counts[0]:
        raise SourceError(f"`{folder.name}` has no {medium}s to train on", fix="Put them into a folder `train`.")
    return Reading(table, tuple(decisions), given_validation=counts[1], given_test=counts[2])


def _is_for_a_table(files: Sequence[Path], settings: Settings) -> bool:
    """Whether no column could take files in, or only one of texts, and these are tables."""
    media = [kind for kind in settings.kinds.values() if kind in READ_FILES]
    are_tables = bool(files) and all(path.suffix.lower() in TABLES for path in files)
    return not media or (media == ["text"] and are_tables)


def _without_classes(folder: Path, files: Sequence[Path], is_prediction: bool) -> SourceError:
    """Why nothing can be learned from a folder without sub-folders that hold files."""
    if not files:
        fix = "Give a folder of files, or a single one" if is_prediction else PER_CLASS
        return SourceError(f"`{folder.name}` is a folder without any files", fix=f"{fix}.")
    table = next((path for path in files if path.suffix.lower() in TABLES), None)
    other = "the file of a table" if table is None else f"one table: {folder.name}/{table.name}"
    return SourceError(
        f"`{folder.name}` is a folder, and its files lie in no sub-folders, which would name their classes",
        got=shorten([path.name for path in files], 3),
        fix=f"{PER_CLASS}, or {other}.",
    )


def _parts(folder: Path) -> dict[str, int]:
    """The sub-folders that name parts (train, val ...) and that part of each, if there are any for training.

    They are classes that happen to be called so if others lie beside them, unless all have sub-folders, as only parts have.
    """
    inside = [path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name)]
    named = [path for path in inside if path.name.lower() in PARTS]
    parts = {path.name: PARTS[path.name.lower()] for path in named}
    if 0 not in parts.values():
        return {}
    are_parts = len(named) == len(inside) or (
        len(set(parts.values())) > 1 and all(any(one.is_dir() for one in path.iterdir()) for path in named)
    )
    return parts if are_parts else {}


def _parts_inside(folder: Path, files: Sequence[Path]) -> dict[str, int]:
    """The names of folders, and that part of each, by which every class is divided for itself; none if some are not."""
    parents = [path.relative_to(folder).parts[:-1] for path in files]
    inside = {names[1] if len(names) > 1 else "" for names in parents if names}
    parts = {name: PARTS.get(name.lower(), -1) for name in inside}
    return parts if {0, -1} & {*parts.values()} == {0} and len(parts) > 1 else {}


def _part_of(path: Path, folder: Path, roots: dict[str, int], inside: dict[str, int]) -> tuple[int, str | None]:
    """(0 train, 1 validation, 2 test; the class, None for a file outside of every class folder)."""
    parents = path.relative_to(folder).parts[:-1]
    if inside and parents:
        return inside[parents[1]], parents[0]
    if not roots or not parents:
        return 0, parents[0] if parents else None
    return roots.get(parents[0], 0), parents[1] if parents[0] in roots and len(parents) > 1 else None


def part_for_testing(folder: Path) -> Path | None:
    """The sub-folder with the test files of a folder that is divided into parts; None for any other folder.

    Raises:
        SourceError: it is divided into parts, and none is for testing.
    """
    parts = _parts(folder)
    if not parts:
        return None
    found = [name for name, part in parts.items() if part == PARTS["test"]]
    if len(found) != 1:
        how_many = "several of them are" if found else "none of them is"
        raise SourceError(
            f"`{folder.name}` is divided into parts, and {how_many} for testing", got=shorten(parts),
            fix=f"Give the folder with the classes of the test files, such as {folder.name}/{next(iter(parts))}.",
        )  # fmt: skip
    return folder / found[0]


def _medium(folder: Path, files: Sequence[Path], settings: Settings) -> Medium:
    """What most of the files hold, unless `kinds` says so, as it does when predicting."""
    for medium in READ_FILES:
        if medium in settings.kinds.values():
            return medium
    sample = files[:: max(1, len(files) // OPENED)]
    found = most_common_medium(_bytes_of(sample)) or most_common_medium(_bytes_of(files))
    if found is None:
        data = next((data for data in _bytes_of(files) if data), b"")
        raise SourceError(
            f"No file in `{folder.name}` holds an image, a sound or a text that can be opened",
            got=f"{files[0].name} is {what_it_is(data) or 'neither'}" if data else "empty files",
            fix=f"{PER_CLASS}.",
        )
    return found


def _bytes_of(files: Sequence[Path]) -> Iterator[bytes]:
    for path in files:
        with suppress(OSError):  # it is named when it is decoded
            yield path.read_bytes()


def _check(folder: Path, table: pa.Table, medium: Medium, is_prediction: bool) -> None:
    """Raises SourceError if there is nothing usable, or, for training, nothing to tell apart."""
    fine = pa.array(intact(table))
    broken = light(table.column(medium)).filter(pc.invert(fine))
    first = f"{broken[0]['path']}: {broken[0]['error']}" if len(broken) else ""
    if len(broken) == table.num_rows:
        raise SourceError(
            f"`{folder.name}` is a folder, and no file in it holds {'an' if medium == 'image' else 'a'} {medium}",
            got=first,
            fix=f"The network learned from {medium}s: give a folder of them." if is_prediction else f"{PER_CLASS}.",
        )
    if is_prediction:
        return
    labels = table.column(LABEL).filter(fine).unique()
    if len(labels) < MIN_CLASSES:
        others = f"; {counted(len(broken), 'file')} cannot be used, such as {first}" if len(broken) else ""
        raise SourceError(
            f"`{folder.name}` holds {medium}s of one class only", got=f"{shorten(labels.to_pylist())}{others}",
            fix=f"Give a folder with one sub-folder of {medium}s per class.",
        )  # fmt: skip


def _decisions(
    below: Found,
    table: pa.Table,
    medium: Medium,
    in_class: Sequence[Path],
    roots: dict[str, int],
    inside: dict[str, int],
) -> list[Decision]:
    """What the folder's own names say, and all that was left out."""
    decisions = [Decision(GIVEN_TARGET, f"`{LABEL}`", f"{BY_FOLDERS} {medium} lies in is its class", "")]
    if parts := roots or inside:
        chosen = ", ".join(f"`{name}`" for name in sorted(parts, key=lambda name: parts[name]))
        where = " in each class" if inside else ""
        why = f"folders with these names{where} say which {medium}s are for what"
        decisions.append(Decision("parts", chosen, why, ""))
    known = set(in_class)
    if outside := [below.name(path) for path in below.files if path not in known]:
        chosen = f"{counted(len(outside), 'file')}: {shorten(outside, 100)}"
        decisions.append(Decision("skipped: in no class", chosen, "they lie outside of every class folder", ""))
    if empty := _empty_folders(below, roots):
        chosen = f"{counted(len(empty), 'folder')}: {shorten(empty, 100)}"
        decisions.append(Decision("skipped: empty folders", chosen, "there is no file in them to learn from", ""))
    return decisions + below.decisions() + findings(table.column(medium))


def _empty_folders(below: Found, roots: dict[str, int]) -> list[str]:
    """Folders that would be a class or a part and hold no file, by name."""
    full = {parent for path in below.files for parent in path.parents} | {*below.again, *below.closed}
    places = [below.folder, *(below.folder / name for name in roots)]
    found = [path for place in places for path in sorted(place.iterdir()) if path.is_dir() and path not in full]
    return [below.name(path) for path in found if not is_hidden(path.name)]
