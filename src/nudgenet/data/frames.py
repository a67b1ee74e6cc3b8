"""Objects in memory -> an Arrow table: dataframes of any library, arrays, dicts, lists, and (X, y) pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import narwhals as nw
import numpy as np
import pyarrow as pa

from nudgenet.data.images import array_images
from nudgenet.data.typed import Reading, tidy
from nudgenet.errors import SourceError, counted
from nudgenet.records import Decision
from nudgenet.settings import Settings

Names = Sequence[str] | None
BY_FOLDERS = "the folder that each"  # how its reason begins where classes are the names of folders
GIVEN_TARGET = "target"  # what the decision is called that says that the last column is the y of (X, y)


def read_frame(source: Any, settings: Settings, columns: Names = None) -> Reading:
    """A frame of pandas, polars or Arrow (a lazy one is collected), or a DuckDB relation.

    Raises:
        SourceError: the frame has no columns, or cannot be brought to Arrow.
    """
    return _checked(tidy(_frame_to_arrow(source)))


def read_arrays(source: Any, settings: Settings, columns: Names = None) -> Reading:
    """(X, y), a 2-D array, a dict of columns (or of one row), or a list of rows.

    Raises:
        SourceError: images, ragged rows, X and y of different lengths, and other shapes that are no table.
    """
    if isinstance(source, tuple) and len(source) == 2:
        return _read_pair(*source)
    if isinstance(source, Mapping):
        return _checked(tidy(_from_mapping(source)))
    if isinstance(source, (list, tuple)) and source and all(isinstance(row, Mapping) for row in source):
        names = list(dict.fromkeys(name for row in source for name in row))
        return _checked(tidy(_from_mapping({name: [row.get(name) for row in source] for name in names})))
    return _checked(_read_matrix(source))


def is_frame(source: Any) -> bool:
    """Whether an object is a dataframe (or a relation) of a library that narwhals knows."""
    if isinstance(source, pa.Table) or type(source).__name__ == "DuckDBPyRelation":
        return True
    return isinstance(nw.from_native(_with_text_names(source), pass_through=True), (nw.DataFrame, nw.LazyFrame))


def fingerprint(table: pa.Table) -> str:
    """SHA-256 over names, types and cells."""
    digest = hashlib.sha256()

    class Sink:
        """What Arrow writes to: only the digest is kept."""

        closed = False

        def write(self, data: Any) -> int:
            digest.update(data)
            return len(data)

        def flush(self) -> None:
            """Nothing is held back."""

    sink = pa.PythonFile(Sink(), mode="w")
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table.combine_chunks(), max_chunksize=1 << 16)
    return digest.hexdigest()


def _checked(reading: Reading) -> Reading:
    """The same reading, if it holds a table at all."""
    if reading.table.num_columns == 0:
        raise SourceError("The data has no columns", fix="Give at least one column of features and the target.")
    if reading.table.num_rows == 0:
        raise SourceError("The data has no rows", fix="Give at least one row.")
    return reading


# ------------------------------------------------------------------ frames


def _frame_to_arrow(source: Any) -> pa.Table:
    """Any dataframe -> Arrow, without the libraries' own metadata."""
    if isinstance(source, pa.Table):
        return source.replace_schema_metadata(None)
    if type(source).__name__ == "DuckDBPyRelation":
        return source.to_arrow_table()
    frame = nw.from_native(_with_text_names(source))
    if isinstance(frame, nw.LazyFrame):
        frame = frame.collect()
    frame = nw.maybe_reset_index(frame)  # else a selection of rows would bring its row numbers along, as a column
    try:
        table = frame.to_arrow()
    except (pa.ArrowException, TypeError, ValueError, NotImplementedError):
        # An object column of mixed values: Arrow wants one type, so each is brought there on its own.
        table = _from_mapping({name: frame[name].to_list() for name in frame.columns})
    return table.replace_schema_metadata(None)


def _with_text_names(source: Any) -> Any:
    """A pandas frame may have numbers, tuples or twice the same as names: plain unique text instead."""
    if not type(source).__module__.startswith("pandas") or not hasattr(source, "columns"):
        return source
    names = source.columns
    texts = ["_".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in names]
    if texts == list(names) and len(set(texts)) == len(texts):
        return source
    copy = source.copy(deep=False)
    taken: dict[str, int] = {}
    for position, text in enumerate(texts):
        taken[text] = taken.get(text, 0) + 1
        texts[position] = text if taken[text] == 1 else f"{text}_{taken[text]}"
    copy.columns = texts
    return copy


# ------------------------------------------------------------------ arrays, dicts, lists


def _read_pair(features: Any, target: Any) -> Reading:
    """(X, y): the columns of X, and y as the last column, called "target"."""
    reading = _features(features)
    num_rows = reading.table.num_rows
    cells = _one_column(target)
    if len(cells) != num_rows:
        raise SourceError(
            "X and y must have one row each per example", got=f"{counted(num_rows, 'row')} in X and {len(cells):,} in y"
        )
    name = "target"
    while name in reading.table.column_names:
        name = f"{name}_"
    whole = tidy(reading.table.append_column(name, cells))
    decision = Decision(GIVEN_TARGET, f"`{name}`", "it is the y of (X, y)", "target=...")
    return _checked(replace(reading, table=whole.table, decisions=(*reading.decisions, decision)))


def _features(features: Any) -> Reading:
    if is_frame(features):
        return tidy(_frame_to_arrow(features))
    if isinstance(features, Mapping):
        return tidy(_from_mapping(features))
    return _read_matrix(features)


def _read_matrix(matrix: Any) -> Reading:
    """A 2-D array -> column_1, column_2 ...; the fields of a structured one keep their names."""
    if hasattr(matrix, "toarray"):  # a sparse matrix of scipy
        matrix = matrix.toarray()
    if hasattr(matrix, "detach"):  # a tensor
        matrix = matrix.detach().cpu().numpy()
    try:
        array = np.asarray(matrix)
    except ValueError:
        raise SourceError("The rows do not all have the same number of cells", fix="Give rows of one length.") from None
    if array.dtype.names:
        return tidy(_from_mapping({name: array[name] for name in array.dtype.names}))
    if array.ndim in (3, 4):
        return Reading(pa.table({"image": array_images(array)}))
    if array.ndim != 2:
        raise SourceError(
            "The data must be a table with rows and columns", got=f"{type(matrix).__name__} of shape {array.shape}",
            fix="Give a 2-D array, a dataframe, a dict of columns or a path.",
        )  # fmt: skip
    if array.shape[1] == 0:
        raise SourceError("The data has no columns", got=f"shape {array.shape}")
    names = [f"column_{number}" for number in range(1, array.shape[1] + 1)]
    if isinstance(matrix, list) and array.dtype.kind in "US":  # numpy turned a mix of types into text
        columns: dict[str, Any] = {name: [row[j] for row in matrix] for j, name in enumerate(names)}
    else:
        columns = {name: np.ascontiguousarray(array[:, j]) for j, name in enumerate(names)}
    return replace(tidy(_from_mapping(columns)), has_header=False)


def _from_mapping(columns: Mapping[Any, Any]) -> pa.Table:
    """A dict of columns, or of one row's values."""
    if not columns:
        raise SourceError("The data has no columns", fix="Give at least one column of features and the target.")
    if not any(_is_column(value) for value in columns.values()):
        columns = {name: [value] for name, value in columns.items()}
    cells = [_one_column(values) for values in columns.values()]
    lengths = {str(name): len(column) for name, column in zip(columns, cells, strict=True)}
    if len(set(lengths.values())) > 1:
        shortest, longest = min(lengths, key=lengths.__getitem__), max(lengths, key=lengths.__getitem__)
        raise SourceError(
            "All columns must have the same number of rows",
            got=f"{lengths[shortest]:,} in `{shortest}` and {lengths[longest]:,} in `{longest}`",
        )
    return pa.table(cells, names=[str(name) for name in columns])


def _is_column(value: Any) -> bool:
    """Whether something is many values, and no single one: a number, a text, the bytes of a file."""
    return hasattr(value, "__len__") and not isinstance(value, str | bytes | Mapping) and getattr(value, "ndim", 1) > 0


def _one_column(values: Any) -> pa.ChunkedArray | pa.Array:
    """A 1-D array, series or list -> an Arrow column; mixed values become text, NaN and None missing."""
    if isinstance(values, (pa.Array, pa.ChunkedArray)):
        return values
    if is_frame(values):
        table = _frame_to_arrow(values)
        if table.num_columns != 1:
            raise SourceError("y must be one column", got=f"{table.num_columns} columns")
        return table.column(0)
    if hasattr(values, "detach"):
        values = values.detach().cpu().numpy()
    if isinstance(nw.from_native(values, allow_series=True, pass_through=True), nw.Series):
        values = nw.from_native(values, series_only=True).to_numpy()
    if isinstance(values, np.ndarray) and values.dtype != object:
        if values.ndim == 2 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim != 1:
            raise SourceError("A column must have one dimension", got=f"shape {values.shape}")
        if values.dtype.kind == "c" or values.dtype.kind == "V":
            raise SourceError("Numbers of this type cannot be used", got=str(values.dtype))
        return pa.array(values.astype(np.float64) if values.dtype == np.longdouble else values, from_pandas=True)
    cells = list(values) if not isinstance(values, str) else [values]
    if cells and all(_is_column(cell) and len(cell) == 1 and not _is_column(cell[0]) for cell in cells):
        cells = [cell[0] for cell in cells]
    try:
        return pa.array(cells, from_pandas=True)
    except (pa.ArrowException, TypeError, OverflowError):
        return _mixed_column(cells)


def _mixed_column(cells: Sequence[Any]) -> pa.Array:
    """Values of several types: numbers if all are, else the text of each."""
    present = [cell for cell in cells if cell is not None and cell == cell]
    if all(isinstance(cell, (bool, int, float, np.number, np.bool_)) for cell in present):
        return pa.array([None if cell is None else float(cell) for cell in cells], pa.float64(), from_pandas=True)
    texts = [None if cell is None or cell != cell else str(cell) for cell in cells]
    return pa.array(texts, pa.string())
