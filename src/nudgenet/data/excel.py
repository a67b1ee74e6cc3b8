"""Spreadsheets (xlsx, xls, ods) -> an Arrow table: the first sheet that holds one."""

from __future__ import annotations

import datetime
import io
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from nudgenet.data.dialect import Row, sniff_rows, unique_names
from nudgenet.data.typed import File, Reading, name_decisions, strip_cells
from nudgenet.errors import MissingExtra, SourceError, counted, shorten
from nudgenet.records import Decision
from nudgenet.settings import Settings


def read_excel(file: File, settings: Settings, columns: Sequence[str] | None = None) -> Reading:
    """The first sheet with at least two filled rows; its columns keep the types of their cells.

    Raises:
        MissingExtra: python-calamine is not installed.
        SourceError: a damaged or locked file, or no sheet with a table.
    """
    try:
        import python_calamine
    except ImportError:
        raise MissingExtra("Reading a spreadsheet needs python-calamine", fix="pip install 'nudgenet[excel]'") from None
    try:
        book = python_calamine.CalamineWorkbook.from_filelike(io.BytesIO(file.data))
        sheets = {name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names}
    except (python_calamine.CalamineError, OSError, ValueError) as error:
        raise SourceError(f"`{file.name}` cannot be opened as a spreadsheet", got=str(error)[:120]) from None
    filled = {name: rows for name, rows in sheets.items() if sum(any(map(_holds, row)) for row in rows) >= 2}
    if not filled:
        raise SourceError(f"`{file.name}` holds no sheet with a table", got=f"sheets {shorten(sheets)}")
    name = next(iter(filled))
    reading = _read_sheet(filled[name], settings, columns)
    others = f"; not read: {shorten(sheet for sheet in sheets if sheet != name)}" if len(sheets) > 1 else ""
    chosen = Decision("sheet", name, f"the first sheet with a table{others}", "save the other sheet as a file")
    return Reading(reading.table, (chosen, *reading.decisions), reading.warnings, reading.has_header)


def _read_sheet(cells: list[list[Any]], settings: Settings, columns: Sequence[str] | None) -> Reading:
    """Rows of cells -> a table: empty margins go, the header is looked for as in a text file."""
    used = [j for j in range(max(map(len, cells))) if any(j < len(row) and _holds(row[j]) for row in cells)]
    cells = [[row[j] if j < len(row) else "" for j in used] for row in cells]
    while cells and not any(map(_holds, cells[-1])):
        cells.pop()
    rows: list[Row] = [(i + 1, [_text(cell) or "" for cell in row]) for i, row in enumerate(cells)]
    rows = [row for row in rows if any(row[1])]
    dialect = sniff_rows(rows[:1000], header=settings.header, columns=columns)
    names, empty, twice = unique_names([*dialect.names, *[""] * (len(used) - len(dialect.names))])
    body = cells[dialect.first_line :]
    if not body:
        raise SourceError("The sheet holds a header and no rows", fix="Give a sheet with at least one row of data.")
    table = pa.table([_column([row[j] for row in body]) for j in range(len(used))], names=names)
    decisions = []
    if dialect.preamble:
        above = f"skipped above the table: {counted(len(dialect.preamble), 'row')}"
        decisions.append(Decision("preamble", above, f"the first is: {dialect.preamble[0][:60]!r}", ""))
    chosen = "the first row names the columns" if dialect.has_header else "no header: the columns are column_1 ..."
    override = f"--set header={'false' if dialect.has_header else 'true'}"
    decisions.append(Decision("header", chosen, dialect.why_header, override))
    decisions += name_decisions(empty if dialect.has_header else [], twice)
    return Reading(strip_cells(table), tuple(decisions), (), dialect.has_header)


def _column(cells: list[Any]) -> pa.Array:
    """One column: typed if all its cells are of one type, else the text of each."""
    values = [cell if _holds(cell) else None for cell in cells]
    types = {type(value) for value in values if value is not None}
    if types <= {int, float}:
        whole = all(value is None or (float(value).is_integer() and abs(value) < 2**53) for value in values)
        numbers = [None if value is None else int(value) if whole else float(value) for value in values]
        return pa.array(numbers, pa.int64() if whole else pa.float64())
    if types == {bool}:
        return pa.array(values, pa.bool_())
    if types <= {datetime.date, datetime.datetime}:
        midnight = datetime.time()
        stamps = [
            datetime.datetime.combine(value, midnight) if type(value) is datetime.date else value for value in values
        ]
        return pa.array(stamps, pa.timestamp("us"))
    return pa.array([_text(value) for value in values], pa.string())


def _holds(cell: Any) -> bool:
    """Whether a cell holds anything."""
    return cell is not None and not (isinstance(cell, str) and not cell.strip())


def _text(cell: Any) -> str | None:
    """A cell as a person sees it."""
    if not _holds(cell):
        return None
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell).strip()
