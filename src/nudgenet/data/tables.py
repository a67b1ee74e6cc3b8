"""Delimited text (CSV, TSV and their relatives) -> an Arrow table of text cells.

It is parsed by Arrow's CSV reader with a layout that `dialect` decided; every cell stays text.
A row with too many or too few cells is kept, filled up or cut, and counted.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from nudgenet.data.dialect import BLANKS, Dialect, sniff, take_sample, unique_names
from nudgenet.data.encoding import to_utf8
from nudgenet.data.typed import File, Reading, name_decisions, strip_cells
from nudgenet.errors import SourceError, counted
from nudgenet.records import Decision
from nudgenet.settings import Settings


@dataclass
class Ragged:
    """Rows whose number of cells is not the table's, collected while Arrow parses."""

    rows: list[tuple[int, str, int]] = field(default_factory=list)  # (number from 1, its text, its cells)

    def __call__(self, row: pa_csv.InvalidRow) -> str:
        self.rows.append((row.number, row.text, row.actual_columns))
        return "skip"


# ------------------------------------------------------------------ delimited text


def read_text(file: File, settings: Settings, columns: Sequence[str] | None = None) -> Reading:
    """CSV, TSV and their relatives, in any encoding, with any delimiter.

    Args:
        columns: the names that the training data had, when predicting; they decide whether there is a header.

    Raises:
        SourceError: the file is not text, or holds no row.
    """
    text = to_utf8(file.data, file.name, settings.encoding)
    refuse_other_text(text.data, file.name)
    dialect = sniff(take_sample(text.data), header=settings.header, columns=columns)
    names, empty, twice = unique_names([*dialect.names, *[""] * (dialect.width - len(dialect.names))])
    table, dialect, warnings = _parse(text.data, dialect, names, file.name)
    decisions = [
        *text.decisions,
        *layout_decisions(dialect),
        *name_decisions(empty if dialect.has_header else [], twice),
    ]
    table, trailing = drop_trailing(table, empty)
    refuse_no_rows(table, file.name, dialect)
    warnings += totals_line(table)
    return Reading(table, (*decisions, *trailing), (*text.warnings, *warnings), dialect.has_header)


def refuse_no_rows(table: pa.Table, name: str, dialect: Dialect) -> None:
    """Raises SourceError if a file has no row of data."""
    if table.num_rows == 0:
        what = "a header and no rows" if dialect.has_header else "no rows"
        raise SourceError(f"`{name}` holds {what}", fix="Give a file with at least one row of data.")


def refuse_other_text(data: bytes, name: str) -> None:
    """Text that is no table gets its own line."""
    head = data[:2000].lstrip().lower()
    if not head:
        raise SourceError(f"`{name}` is empty", fix="Give a file with a header and rows.")
    if head.startswith((b"<!doctype html", b"<html", b"<?xml")):
        kind = "XML" if head.startswith(b"<?xml") and b"<html" not in head else "a web page"
        raise SourceError(f"`{name}` is {kind}, not a table", fix="Download the data itself, for example as CSV.")


def _parse(data: bytes, dialect: Dialect, names: list[str], file_name: str) -> tuple[pa.Table, Dialect, list[str]]:
    """All rows below the header; the other reading of quotes is tried where the first leaves broken rows."""
    body = below_line(data, dialect.first_line)
    if dialect.quote and body.count(dialect.quote.encode()) % 2:
        plain = replace(dialect, quote="", escape="")
        quoted_table, quoted_ragged = arrow_rows(body, dialect, file_name, strict=False)
        table, ragged = arrow_rows(body, plain, file_name)
        # A quote that is never closed swallows the lines after it: literal quotes then give more whole rows.
        if quoted_table is None or table.num_rows > 1.02 * quoted_table.num_rows + len(ragged.rows):
            dialect = plain
        else:
            table, ragged = quoted_table, quoted_ragged
    else:
        table, ragged = arrow_rows(body, dialect, file_name)
    if dialect.width == 1:
        table = _without_blank_end(table)
    warnings = ragged_warnings(ragged, dialect)
    table = strip_cells(with_ragged(table, ragged, dialect))
    return table.rename_columns(names), dialect, warnings


def below_line(data: bytes, num_lines: int) -> bytes:
    """The file without its first lines."""
    start = 0
    for _ in range(num_lines):
        end = data.find(b"\n", start)
        if end < 0:
            return b""
        start = end + 1
    return data[start:] if start else data


def arrow_rows(body: bytes, dialect: Dialect, file_name: str, *, strict: bool = True) -> tuple[pa.Table, Ragged]:
    """Arrow's reading of the rows; every column is text. Not strict: a None table if it cannot be parsed."""
    body = _plain_delimiters(body, dialect)
    columns = [str(number) for number in range(dialect.width)]
    empty = pa.table({name: pa.array([], pa.string()) for name in columns})
    if not body.strip():
        return empty, Ragged()
    ragged = Ragged()
    quoted = bool(dialect.quote) and dialect.quote.encode() in body
    parse = pa_csv.ParseOptions(
        delimiter=dialect.delimiter or _absent(body),
        quote_char=dialect.quote if quoted else False,
        escape_char=dialect.escape or False,
        newlines_in_values=quoted,
        ignore_empty_lines=dialect.width > 1,
        invalid_row_handler=ragged,
    )
    convert = pa_csv.ConvertOptions(
        column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=True, null_values=[""], check_utf8=False
    )
    # Larger blocks when a row does not fit; one thread, because only then Arrow tells a bad row's number.
    for block_size in (1 << 22, 1 << 27, min(len(body) + 1, 2**31 - 1)):
        ragged.rows.clear()
        read = pa_csv.ReadOptions(use_threads=False, column_names=columns, block_size=block_size)
        try:
            table = pa_csv.read_csv(
                pa.BufferReader(body), read_options=read, parse_options=parse, convert_options=convert
            )
        except pa.ArrowInvalid as error:
            problem = str(error)
            if "straddl" in problem or "block" in problem:
                continue
            break
        return table, ragged
    if not strict:
        return None, ragged
    raise SourceError(f"`{file_name}` cannot be parsed as a table", got=problem.split("\n")[0])


def _plain_delimiters(body: bytes, dialect: Dialect) -> bytes:
    """Runs of blanks become one; blanks between a delimiter and a quote go away. Quoted cells are untouched."""
    delimiter, quote = dialect.delimiter.encode(), dialect.quote.encode()
    if dialect.delimiter == BLANKS:
        body = re.sub(rb"(?m)^[ \t]+|[ \t]+$", b"", body)
        if quote and quote in body:
            pattern = quote + rb"(?:[^" + quote + rb"])*" + quote + rb"|[ \t]+"
            return re.sub(pattern, lambda found: found[0] if found[0].startswith(quote) else b" ", body)
        return re.sub(rb"[ \t]+", b" ", body)
    if not quote or quote not in body:
        return body
    blanks = re.escape(delimiter) + rb"[ ]+(?=" + quote + rb")"
    if not (delimiter and re.search(blanks, body)) and not re.search(rb"(?m)^ +" + quote, body):
        return body
    pattern = quote + rb"(?:[^" + quote + rb"])*" + quote + rb"|" + blanks + rb"|(?m:^) +(?=" + quote + rb")"

    def keep(found: re.Match[bytes]) -> bytes:
        cell = found[0]
        return cell if cell.startswith(quote) else delimiter if cell.startswith(delimiter) else b""

    return re.sub(pattern, keep, body)


def _absent(body: bytes) -> str:
    """A character that the file does not hold, for files of one column."""
    return next((mark for mark in "\x1f\x1e\x1d\x1c\x02" if mark.encode() not in body), "\x01")


def with_ragged(table: pa.Table, ragged: Ragged, dialect: Dialect) -> pa.Table:
    """The table with the ragged rows back in their places, filled up or cut to the table's width."""
    if not ragged.rows:
        return table
    options = {"delimiter": dialect.delimiter or "\x1f", "escapechar": dialect.escape or None}
    quoting = {"quotechar": dialect.quote} if dialect.quote else {"quoting": csv.QUOTE_NONE}
    texts = (text for _, text, _ in ragged.rows)
    cells = [next(csv.reader(io.StringIO(text, newline=""), **options, **quoting), []) for text in texts]  # type: ignore[arg-type]
    width = dialect.width
    filled = [(row + [""] * width)[:width] for row in cells]
    columns = [pa.array([row[j] or None for row in filled], pa.string()) for j in range(width)]
    both = pa.concat_tables([table, pa.table(columns, names=table.column_names)])
    bad = np.array([number - 1 for number, _, _ in ragged.rows])
    order = np.empty(both.num_rows, np.int64)
    good = np.ones(both.num_rows, bool)
    good[bad] = False
    order[np.flatnonzero(good)] = np.arange(table.num_rows)
    order[bad] = table.num_rows + np.arange(len(bad))
    return both.take(pa.array(order))


def ragged_warnings(ragged: Ragged, dialect: Dialect) -> list[str]:
    """How many rows were too short or too long, and the first of each."""
    warnings = []
    too_short = [row for row in ragged.rows if row[2] < dialect.width]
    too_long = [row for row in ragged.rows if row[2] > dialect.width]
    if too_short:
        warnings.append(
            f"{counted(len(too_short), 'row has', 'rows have')} fewer than {counted(dialect.width, 'cell')} (first: data row {too_short[0][0]:,}); "
            "the rest of each counts as missing"
        )
    if too_long:
        warnings.append(
            f"{counted(len(too_long), 'row has', 'rows have')} more than {counted(dialect.width, 'cell')} (first: data row {too_long[0][0]:,}, "
            f"{too_long[0][2]} cells); the cells beyond were cut off"
        )
    return warnings


def _without_blank_end(table: pa.Table) -> pa.Table:
    """One column: blank lines are missing cells, except those at the file's end."""
    column = table.column(0)
    present = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    return table.slice(0, int(present[-1]) + 1 if len(present) else 0)


def drop_trailing(table: pa.Table, empty: list[str]) -> tuple[pa.Table, list[Decision]]:
    """Leave out the last columns that have neither a name nor a cell (a delimiter at each line's end)."""
    num_kept = table.num_columns
    while num_kept > 1 and table.column_names[num_kept - 1] in empty:
        column = table.column(num_kept - 1)
        if column.null_count < len(column):
            break
        num_kept -= 1
    if num_kept == table.num_columns:
        return table, []
    chosen = f"empty columns left out: {table.num_columns - num_kept}"
    return table.select(range(num_kept)), [Decision("trailing delimiter", chosen, "no name and no cell", "")]


def totals_line(table: pa.Table) -> list[str]:
    """A last row that sums up the others would be learned as a row: say so."""
    if table.num_rows < 4:
        return []
    first = next((value for value in table.slice(table.num_rows - 1).to_pylist()[0].values() if value is not None), "")
    if (
        isinstance(first, str)
        and re.match(r"(grand |sub-?)?(totals?|sum|all)\b", first, re.IGNORECASE)
        and len(first) < 30
    ):
        return [f"The last row starts with `{first}`: it looks like a totals line; it is kept as a row"]
    return []


def layout_decisions(dialect: Dialect) -> list[Decision]:
    """What was decided about the layout."""
    decisions = [Decision("delimiter", dialect.delimiter_name, "the lines agree best on it", "")]
    if dialect.quote == "'" or dialect.escape:
        decisions.append(Decision("quoting", dialect.quote + dialect.escape, "the lines agree best on it", ""))
    if dialect.preamble:
        lines = f"skipped above the table: {counted(len(dialect.preamble), 'line')}"
        decisions.append(Decision("preamble", lines, f"the first is: {dialect.preamble[0][:60]!r}", ""))
    if dialect.has_header:
        rows = {0: "", 1: "the first line names the columns", 2: "the first two lines name the columns"}
        decisions.append(Decision("header", rows[dialect.header_rows], dialect.why_header, "--set header=false"))
    else:
        chosen = "no header: the columns are column_1, column_2 ..."
        decisions.append(Decision("header", chosen, dialect.why_header, "--set header=true"))
    return decisions
