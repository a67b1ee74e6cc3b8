"""Choosing what to train on: the folders and files of this machine, and a first look into one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from nudgenet.data.kinds import look
from nudgenet.data.read import find_file, is_query, read, read_batches
from nudgenet.data.target import MAX_CLASS_SHARE, suggest_target
from nudgenet.errors import SourceError
from nudgenet.page.context import reading
from nudgenet.settings import Settings

if TYPE_CHECKING:
    from nudgenet.page.context import Context

MOST_ENTRIES = 2_000
EXAMPLES, LONGEST_EXAMPLE = 3, 80
ROWS_LOOKED_AT = 1_000
TABLE_NAMES = re.compile(
    r"\.(csv|tsv|txt|data|parquet|jsonl?|ndjson|xlsx?|ods|arff|feather|arrow)(\.gz|\.zip)?$", re.IGNORECASE
)


def files_in(path: str) -> dict[str, Any]:
    """What lies in a folder, folders first; hidden things are left out.

    Raises:
        SourceError: there is no such folder, or it may not be read.
    """
    folder = find_file(path).resolve() if path.strip() else Path.cwd()
    if not folder.is_dir():
        folder = folder.parent
    try:
        found = sorted(_entries(folder), key=lambda entry: (not entry["folder"], entry["name"].casefold()))
    except OSError as error:
        raise SourceError("The folder cannot be read", got=f"{folder}: {error.strerror}") from None
    parent = None if folder.parent == folder else str(folder.parent)
    return {
        "path": str(folder),
        "parent": parent,
        "entries": found[:MOST_ENTRIES],
        "left_out": len(found[MOST_ENTRIES:]),
    }


def _entries(folder: Path) -> Iterator[dict[str, Any]]:
    for entry in folder.iterdir():
        if entry.name.startswith("."):
            continue
        try:
            is_folder, size = entry.is_dir(), entry.stat().st_size
        except OSError:  # gone meanwhile, or a link that leads nowhere
            continue
        # A folder may hold a sub-folder of images, sounds or texts per class.
        yield {
            "name": entry.name,
            "folder": is_folder,
            "size": 0 if is_folder else size,
            "openable": is_folder or (entry.is_file() and TABLE_NAMES.search(entry.name) is not None),
        }


def source_at(named: str) -> Path:
    """The file or folder that a person chose. Raises SourceError if it is neither: a device never ends, a pipe never comes."""
    path = find_file(named)
    if not (path.is_file() or path.is_dir()):
        raise SourceError("That is neither a file nor a folder", got=named)
    return path


def peek(source: str) -> dict[str, Any]:
    """The columns of a source, with a few cells of each; of a large one, as far as its first rows show them.

    Raises:
        SourceError: it cannot be read.
    """
    if not is_query(source) and (folder := source_at(source)).is_dir():
        return _peek_into(folder)
    if is_query(source):
        raw, is_whole = read(source, Settings()), True
    else:
        batches = read_batches(source, Settings())
        raw = next(batches)
        is_whole = next(batches, None) is None
    head = raw.table.slice(0, ROWS_LOOKED_AT)
    rows = np.arange(head.num_rows)
    names: list[str] = head.column_names
    kinds = {name: look(name, head.column(name), rows, has_header=raw.has_header).column.kind for name in names}
    columns = [{"name": name, "kind": kinds[name], "examples": _examples(head.column(name))} for name in names]
    return {
        "columns": columns,
        "rows": raw.table.num_rows if is_whole else None,
        "target_guess": suggest_target(
            [name for name in names if may_be_target(kinds[name], head.column(name))] or names
        ),
        "warnings": list(raw.warnings),
    }


def may_be_target(kind: str, cells: pa.ChunkedArray) -> bool:
    """Whether a column holds numbers or classes, as far as its first cells show: names and dates are not guessed at."""
    return kind in ("number", "yes_no") or (
        kind == "category" and pc.count_distinct(cells).as_py() <= MAX_CLASS_SHARE * len(cells)
    )


def _examples(cells: pa.ChunkedArray) -> list[str]:
    """The first different cells that hold something, as text."""
    texts = dict.fromkeys(str(cell)[:LONGEST_EXAMPLE] for cell in cells.slice(0, 50).to_pylist() if cell is not None)
    return list(texts)[:EXAMPLES]


def _peek_into(folder: Path) -> dict[str, Any]:
    """A folder's sub-folders are its classes; its files are opened by the training only."""
    classes = sorted(entry["name"] for entry in _entries(folder) if entry["folder"])
    if not classes:
        raise SourceError(
            f"`{folder.name}` holds no sub-folders",
            fix="Give a folder with one sub-folder per class, or a table's file.",
        )
    return {"columns": [], "rows": None, "target_guess": None, "classes": classes, "warnings": []}


def routes(context: Context) -> list[BaseRoute]:
    """Files and a first look."""

    def files(request: Request) -> dict[str, Any]:
        return files_in(request.query_params.get("path", ""))

    def first_look(request: Request) -> dict[str, Any]:
        return peek(request.query_params.get("path", ""))

    return [Route("/api/files", reading(files)), Route("/api/peek", reading(first_look))]
