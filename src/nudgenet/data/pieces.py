"""Large delimited text, piece by piece: the same table as `tables.read_text` gives, in a fraction of the memory.

A piece ends at a line's end and is parsed like a small file of its own. Files that need a look at the whole
(another encoding, cells of several lines, escapes, a single column) go the long way.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from nudgenet.data.cells import NUMBER_MARKERS
from nudgenet.data.dialect import Dialect, sniff, take_sample, unique_names
from nudgenet.data.encoding import to_utf8
from nudgenet.data.memory import give_back
from nudgenet.data.plain import as_plain
from nudgenet.data.tables import (
    Ragged,
    arrow_rows,
    below_line,
    drop_trailing,
    layout_decisions,
    ragged_warnings,
    read_text,
    refuse_no_rows,
    refuse_other_text,
    totals_line,
    with_ragged,
)
from nudgenet.data.typed import File, Reading, name_decisions, strip_cells
from nudgenet.records import Decision
from nudgenet.settings import Settings

PIECE_BYTES = 1 << 22  # 4 MiB; while it is parsed, a piece takes a few times as much
JOINED = 8  # pieces whose cells are then put into one array: many small ones waste memory between them
FIRST_BYTES = 1 << 22  # looked at to find the layout: more than the sniffer wants
_MARKERS = pa.array(["", *NUMBER_MARKERS])


@dataclass(frozen=True)
class Layout:
    """How the pieces of a file are to be read."""

    dialect: Dialect
    names: list[str]
    unnamed: list[str]  # what columns were called that had no name in the file
    decisions: tuple[Decision, ...]


def read_delimited(file: File, settings: Settings, columns: Sequence[str] | None = None) -> Reading:
    """CSV, TSV and their relatives: large ones in pieces, all others as `read_text` does.

    Columns of a large file in which every cell is a plain number are kept as numbers (see `plain`). Which
    ones those are is known at the end only: a column that turns out otherwise is read once more, as text.

    Raises:
        SourceError: the file is not text, or holds no row.
    """
    layout = layout_of(file, settings, columns)
    if layout is None:
        return read_text(file, settings, columns)
    apart = {settings.group, settings.time, *settings.kinds}  # these are read in ways of their own
    texts = {j for j, name in enumerate(layout.names) if name in apart}
    ragged = Ragged()
    cells, doubtful = _read(file, layout, ragged, list(range(len(layout.names))), texts)
    if doubtful:
        again, _ = _read(file, layout, Ragged(), doubtful, set(doubtful))
        cells |= again
    give_back()  # what parsing took
    table = pa.table([pa.chunked_array(cells[j]) for j in range(len(layout.names))], names=layout.names)
    table, trailing = drop_trailing(table, layout.unnamed)
    refuse_no_rows(table, file.name, layout.dialect)
    warnings = (*ragged_warnings(ragged, layout.dialect), *totals_line(table))
    return Reading(table, (*layout.decisions, *trailing), warnings, layout.dialect.has_header)


def read_pieces(file: File, settings: Settings, columns: Sequence[str] | None = None) -> Iterator[Reading]:
    """The same rows as text, a piece at a time; what is odd about the whole is said with the last one.

    Raises:
        SourceError: the file is not text, or holds no row.
    """
    layout = layout_of(file, settings, columns)
    if layout is None:
        yield read_text(file, settings, columns)
        return
    ragged, piece = Ragged(), None
    for following in text_pieces(file, layout, ragged):
        if piece is not None and piece.num_rows:
            yield Reading(piece, layout.decisions, (), layout.dialect.has_header)
        piece, _ = drop_trailing(strip_cells(following), layout.unnamed)
    if piece is None:
        return
    refuse_no_rows(piece, file.name, layout.dialect)
    warnings = (*ragged_warnings(ragged, layout.dialect), *totals_line(piece))
    yield Reading(piece, layout.decisions, warnings, layout.dialect.has_header)


def layout_of(file: File, settings: Settings, columns: Sequence[str] | None = None) -> Layout | None:
    """How to read a file in pieces; None if it is not large, or if it needs a look at the whole.

    Raises:
        SourceError: the file is not text.
    """
    if not file.is_large:
        return None
    text = to_utf8(next(_blocks(file.path, FIRST_BYTES)), file.name, settings.encoding)
    refuse_other_text(text.data, file.name)
    if text.decisions or text.warnings:
        return None
    dialect = sniff(take_sample(text.data), header=settings.header, columns=columns)
    if dialect.escape or dialect.width == 1 or not _is_sound(file.path, dialect):
        return None
    names, empty, twice = unique_names([*dialect.names, *[""] * (dialect.width - len(dialect.names))])
    decisions = (*layout_decisions(dialect), *name_decisions(empty if dialect.has_header else [], twice))
    return Layout(dialect, names, empty, decisions)


def text_pieces(file: File, layout: Layout, ragged: Ragged) -> Iterator[pa.Table]:
    """Tables of text cells, not stripped yet, one per piece that holds rows; `ragged` collects broken rows."""
    num_rows, num_above = 0, layout.dialect.first_line
    for number, block in enumerate(_blocks(file.path, PIECE_BYTES)):
        body = block.replace(b"\r\n", b"\n")
        if number == 0:
            body = body.removeprefix(codecs.BOM_UTF8)
        if num_above:
            num_lines = body.count(b"\n")
            body, num_above = below_line(body, num_above), max(0, num_above - num_lines)
        table, broken = arrow_rows(body, layout.dialect, file.name)
        table = with_ragged(table, broken, layout.dialect).rename_columns(layout.names)
        ragged.rows += [(row + num_rows, text, num_cells) for row, text, num_cells in broken.rows]
        num_rows += table.num_rows
        if table.num_rows or not num_rows:
            yield table.combine_chunks()


def _blocks(path: Path, num_bytes: int) -> Iterator[bytes]:
    """A file's bytes, cut at ends of lines into blocks of about so many."""
    with path.open("rb") as stream:
        rest = b""
        while block := stream.read(num_bytes):
            block = rest + block
            end = block.rfind(b"\n") + 1
            if end:
                yield block[:end]
            rest = block[end:]
        if rest:
            yield rest


def _is_sound(path: Path, dialect: Dialect) -> bool:
    """Whether each block of a file stands for itself: UTF-8, usual line ends, and no cell of several lines."""
    quote = ord(dialect.quote) if dialect.quote else None
    for block in _blocks(path, PIECE_BYTES):
        try:
            block.decode()
        except UnicodeDecodeError:
            return False
        if b"\0" in block or b"\x1a" in block or block.count(b"\r") != block.count(b"\r\n"):
            return False
        if quote is not None and quote in block:
            content = np.frombuffer(block, np.uint8)
            ends = np.append(np.flatnonzero(content == ord("\n")), len(content))
            # As many opening as closing quotes before every line's end.
            if (np.searchsorted(np.flatnonzero(content == quote), ends) % 2).any():
                return False
    return True


def _read(
    file: File, layout: Layout, ragged: Ragged, wanted: list[int], texts: set[int]
) -> tuple[dict[int, list[pa.Array]], list[int]]:
    """The wanted columns, piece by piece: those in `texts` as stripped text, others as plain numbers if they are.

    Returns:
        The cells of each column, and the columns that must be read again, as text.
    """
    cells: dict[int, list[pa.Array]] = {j: [] for j in wanted}
    sights = {j: _Seen() for j in wanted}
    texts, doubtful = set(texts), set[int]()
    for number, piece in enumerate(text_pieces(file, layout, ragged)):
        for j in set(wanted) - doubtful:
            column = piece.column(j)
            chunk = column.chunk(0) if column.num_chunks else pa.array([], pa.string())
            plain = None if j in texts else as_plain(chunk, _MARKERS)
            if plain is not None:
                sights[j].add(chunk, plain)
                cells[j].append(plain)
            elif j in texts or number == 0:
                texts.add(j)
                cells[j].append(strip_cells(pa.table([chunk], ["c"])).column(0).combine_chunks())
            else:
                doubtful.add(j)
                cells[j].clear()
        if number % JOINED == JOINED - 1:
            for j in set(wanted) - doubtful:
                # The system's pool: Arrow's own rounds such sizes up, by a tenth of all cells.
                cells[j][-JOINED:] = [pa.concat_arrays(cells[j][-JOINED:], pa.system_memory_pool())]
    doubtful |= {j for j in set(wanted) - texts if not sights[j].as_numbers}
    return cells, sorted(doubtful)


@dataclass
class _Seen:
    """What makes a column of numbers one that text tells more about: at most one value, or several marks of missing cells."""

    low: float = np.inf
    high: float = -np.inf
    gaps: set[str | None] = field(default_factory=set)  # how missing cells are written

    def add(self, texts: pa.Array, plain: pa.ExtensionArray) -> None:
        ends = pc.min_max(plain.storage)
        if ends["min"].is_valid:
            self.low, self.high = min(self.low, ends["min"].as_py()), max(self.high, ends["max"].as_py())
        if plain.null_count > texts.null_count:
            self.gaps |= set(pc.unique(texts.filter(plain.is_null())).to_pylist())
        elif plain.null_count:
            self.gaps.add(None)

    @property
    def as_numbers(self) -> bool:
        """Whether nothing is lost: a lone value with gaps is a category, and rows with NA and with ? are not identical."""
        if self.low > self.high:
            return self.gaps <= {None}
        return not self.gaps or (self.low < self.high and len(self.gaps) == 1)
