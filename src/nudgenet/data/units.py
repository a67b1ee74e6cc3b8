"""Which rows belong together: identical ones, and those of one group, must stay on one side of the split."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa

from nudgenet.data.cells import parse_levels
from nudgenet.data.kinds import look
from nudgenet.data.media import field, is_media, light
from nudgenet.records import USED_KINDS, CellFormat, Task
from nudgenet.settings import Settings

SAMPLE_ROWS = 2_000  # enough to see that a column is no identifier


def feature_names(table: pa.Table, task: Task, settings: Settings) -> list[str]:
    """The columns that the network will most probably see, without target, group, ignored ones and identifiers.

    A sample tells which columns may be identifiers or free text; only those are looked at in full.
    """
    apart = {task.target, settings.group, *settings.ignore}
    apart |= {name for name, kind in settings.kinds.items() if kind not in USED_KINDS}
    names = [name for name in table.column_names if name not in apart]
    everything = np.arange(table.num_rows)
    sample = np.unique(np.linspace(0, table.num_rows - 1, min(SAMPLE_ROWS, table.num_rows)).astype(np.int64))

    def is_used(name: str) -> bool:
        if name in settings.kinds:
            return True
        cells = light(table.column(name))
        return look(name, cells.take(sample), sample).column.used or look(name, cells, everything).column.used

    return [name for name in names if is_used(name)]


def row_hashes(table: pa.Table, names: Sequence[str]) -> np.ndarray:
    """A 64-bit hash of each row's cells in the named columns: equal cells give equal hashes.

    Returns:
        uint64 (rows,). Two different rows out of a million share a hash about once in 40 million tables.
    """
    if not names:
        return np.zeros(table.num_rows, np.uint64)
    # DuckDB does not tell `A` from `a`, so the columns get plain names. Of images, equal files are equal.
    columns = [field(table[name], "digest") if is_media(table[name]) else table[name] for name in names]
    cells = pa.table(columns, names=[f"c{i}" for i in range(len(names))])
    config: dict[str, str | bool | int | float | list[str]] = {
        "autoinstall_known_extensions": "false",
        "autoload_known_extensions": "false",
    }
    with duckdb.connect(":memory:", config=config) as connection:
        connection.register("cells", cells)
        hashes = connection.sql(f"SELECT hash({', '.join(cells.column_names)}) AS h FROM cells").fetchnumpy()["h"]
    return np.asarray(hashes, np.uint64)


def content_keys(table: pa.Table, task: Task, settings: Settings) -> np.ndarray:
    """A key per row: equal where all features are equal."""
    keys = row_hashes(table, feature_names(table, task, settings))
    if num_distinct(keys) >= 0.5 * len(keys):
        return keys
    # Most rows are alike: then what looks like an identifier is perhaps all that tells them apart.
    ignored = {task.target, *settings.ignore}
    return row_hashes(table, [name for name in table.column_names if name not in ignored])


def num_distinct(keys: np.ndarray) -> int:
    """As `len(np.unique(keys))`, which puts each key into a hash table of forty bytes or more."""
    ascending = np.sort(keys)
    return int(np.count_nonzero(ascending[1:] != ascending[:-1])) + min(1, len(keys))


def group_keys(cells: pa.ChunkedArray, content: np.ndarray) -> np.ndarray:
    """A key per row: the group; where it is missing, the row's own content."""
    groups = parse_levels(cells, CellFormat())
    return np.where(
        groups.is_null().to_numpy(zero_copy_only=False), content, row_hashes(pa.table({"group": groups}), ["group"])
    )


def numbered(keys: np.ndarray) -> np.ndarray:
    """Keys -> unit numbers 0 ... U-1, in the order of first appearance (so that no hash decides anything)."""
    if num_distinct(keys) == len(keys):  # the usual case, and for millions of rows one that must take little memory
        return np.arange(len(keys))
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first)] = np.arange(len(first))
    return rank[inverse]
