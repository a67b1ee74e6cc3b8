"""`nudge predict`: a table of answers, one row per row in, and the files that it can be written to."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from nudgenet.data.media import field, light, media_columns, media_paths
from nudgenet.errors import SourceError, UserError, counted
from nudgenet.run import Run, Unanswered

HELD_BYTES = 1 << 26  # answers for the standard output that are held in memory: more go to a temporary file


@dataclass(frozen=True)
class Written:
    """What `predict` wrote: one row per row of the source, of which some may have no answer."""

    num_rows: int
    num_unanswered: int
    warnings: list[str]
    replaced: bool = False  # there was such a file already

    def in_words(self, output: Path) -> str:
        """45 predictions in x.csv, 15 rows without an answer."""
        num_answers = self.num_rows - self.num_unanswered
        words = f"{counted(num_answers, 'prediction')} in {output}"
        words += " (replaced)" if self.replaced else ""
        rows = counted(self.num_unanswered, "row")
        return f"{words}, {rows} without an answer" if self.num_unanswered else words


def predict(run: Run, source: Any, output: Path | None) -> Written:
    """Answer for each row of a source, and write to a file by its extension, or as CSV to the standard output.

    A large source is read, answered and written some rows at a time. Nothing is written if a table's rows are not like
    those of the training. Each file that cannot be opened keeps its row; where that is all there is, it is an error, too.

    Raises:
        UserError: the rows cannot be read, not one could be answered, or nothing can be written there.
    """
    found: list[str] = []
    unanswered = Unanswered()
    tables = answer_tables(run, source, found, unanswered)
    if output is None:
        with tempfile.SpooledTemporaryFile(max_size=HELD_BYTES) as held:
            num_rows = write_csv(tables, held)
            held.seek(0)
            try:
                shutil.copyfileobj(held, sys.stdout.buffer)
                sys.stdout.buffer.flush()
            except BrokenPipeError:
                raise
            except OSError as error:
                raise _cannot_write("the standard output", error) from None
        _check_answers(unanswered)
        return Written(num_rows, len(unanswered), found)
    check_output(output)
    temporary = output.with_name(f".{output.name}.tmp")
    try:
        with temporary.open("wb") as sink:
            num_rows = WRITERS[output.suffix.lower()](tables, sink)
        replaced = output.exists()
        temporary.replace(output)
    except OSError as error:
        raise _cannot_write(str(output), error) from None
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    _check_answers(unanswered)
    return Written(num_rows, len(unanswered), found, replaced)


def predict_table(run: Run, source: Any) -> tuple[pa.Table, list[str]]:
    """All answers as one table, and the warnings about the rows."""
    found: list[str] = []
    return pa.concat_tables(list(answer_tables(run, source, found, Unanswered()))), found


def answer_tables(run: Run, source: Any, found: list[str], unanswered: Unanswered) -> Iterator[pa.Table]:
    """Columns `prediction` and, for classes, `probability_<class>`, some rows at a time; see `Run.answer_rows`.

    Images, sounds and texts also have a column `path`, if they came from files, and `error`: why one could not be decoded.
    """
    kind = pa.array(run.classes).type if run.classes else pa.float64()
    has_paths: bool | None = None  # as in the first batch: all have the same columns
    for raw, answers, errors in run.answer_rows(source, found, unanswered):
        has_paths = media_paths(raw.table) is not None if has_paths is None else has_paths
        medium = next(iter(media_columns(raw.table)), None)
        columns: dict[str, Any] = {}
        if has_paths and medium is not None:
            columns["path"] = field(light(raw.table.column(medium)), "path")
        columns["prediction"] = pa.array(run.labels(answers), kind, from_pandas=bool(errors))
        columns |= {
            f"probability_{label}": pa.array(answers[:, index], from_pandas=bool(errors))
            for index, label in enumerate(run.classes)
        }
        if medium is not None:
            columns["error"] = pa.array([errors.get(row) for row in range(len(answers))], pa.string())
        yield pa.table(columns)
    found += [f"{words}. The column `error` holds the reason of each" for words in unanswered.in_words()]


def _check_answers(unanswered: Unanswered) -> None:
    """Raises SourceError if not a single row could be answered: what calls `nudge` must not take that for a success."""
    if 0 < unanswered.num_rows == len(unanswered):
        rows = "The one row" if unanswered.num_rows == 1 else f"Not one of the {unanswered.num_rows:,} rows"
        could = "could not be answered" if unanswered.num_rows == 1 else "could be answered"
        raise SourceError(f"{rows} {could}", got=unanswered.by_reason(), fix="Check these files.")


def check_output(output: Path) -> None:
    """Raises UserError if nothing can be written there: asked before the work is done."""
    if output.suffix.lower() not in WRITERS:
        raise UserError(
            "Predictions are written as .csv, .parquet or .jsonl", got=str(output), fix="Choose one of these."
        )
    if output.is_dir() or not output.absolute().parent.is_dir():
        what = "it is a folder" if output.is_dir() else f"there is no folder {output.absolute().parent}"
        raise UserError("The predictions cannot be written", got=f"{output}: {what}", fix="Choose another --output.")


def _cannot_write(where: str, error: OSError) -> UserError:
    return UserError(
        "The predictions cannot be written", got=f"{where}: {error.strerror}", fix="Choose another --output."
    )


def write_csv(tables: Iterable[pa.Table], sink: IO[bytes]) -> int:
    """CSV with quotes only where they are needed; gives the number of rows."""
    num_rows = 0
    for table in tables:
        if num_rows == 0:
            sink.write(",".join(_quoted(pa.array(table.column_names)).to_pylist()).encode() + b"\n")
        # Arrow's own writer puts every text into quotes, needed or not.
        columns = [column.cast(pa.string()) for column in table.columns]
        quoted = [
            pc.fill_null(_quoted(column) if pa.types.is_string(kind) else column, "")
            for column, kind in zip(columns, table.schema.types, strict=True)
        ]
        lines = pc.binary_join_element_wise(*quoted, ",").combine_chunks()
        whole = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(lines)], pa.int32()), lines), "\n")
        sink.write(whole[0].as_buffer())
        sink.write(b"\n")
        num_rows += table.num_rows
    return num_rows


def _quoted(texts: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """In quotes where a reader of CSV would otherwise misunderstand."""
    doubled = pc.replace_substring(texts, '"', '""')
    in_quotes = pc.binary_join_element_wise('"', doubled, '"', "")
    return pc.if_else(pc.match_substring_regex(texts, '[",\r\n]|^\\s|\\s$|^$'), in_quotes, texts)


def write_json_lines(tables: Iterable[pa.Table], sink: IO[bytes]) -> int:
    """One JSON object per line; gives the number of rows."""
    num_rows = 0
    for table in tables:
        sink.write("".join(json.dumps(row) + "\n" for row in table.to_pylist()).encode())
        num_rows += table.num_rows
    return num_rows


def write_parquet(tables: Iterable[pa.Table], sink: IO[bytes]) -> int:
    """One row group per batch; gives the number of rows."""
    num_rows, writer = 0, None
    try:
        for table in tables:
            writer = writer or pq.ParquetWriter(sink, table.schema)
            writer.write_table(table)
            num_rows += table.num_rows
    finally:  # also where the rows turn out to be of no use: else it is closed, and complains, when `sink` is gone
        if writer is not None:
            writer.close()
    return num_rows


WRITERS: dict[str, Callable[[Iterable[pa.Table], IO[bytes]], int]] = {
    ".csv": write_csv,
    ".parquet": write_parquet,
    ".jsonl": write_json_lines,
}
