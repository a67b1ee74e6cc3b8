"""`nudge predict`: a table of answers, one row per row in, and the files that it can be written to."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from nudgenet.data.images import image_errors, image_paths
from nudgenet.errors import UserError
from nudgenet.run import Run
from nudgenet.runs.store import as_parquet


def predict_table(run: Run, source: Any) -> tuple[pa.Table, list[str]]:
    """Columns `prediction` and, for classes, `probability_<class>`; and the warnings about the rows."""
    raw = run.read(source)
    answers, warnings = run.answer_rows(raw)
    paths = image_paths(raw)
    columns: dict[str, Any] = {} if paths is None else {"path": paths}
    columns["prediction"] = pa.array(run.labels(answers), from_pandas=True)
    columns |= {
        f"probability_{label}": pa.array(answers[:, index], from_pandas=True) for index, label in enumerate(run.classes)
    }
    if errors := image_errors(raw.table):
        columns["error"] = [errors.get(row) for row in range(raw.table.num_rows)]
    return pa.table(columns), [*raw.warnings, *warnings]


def write_table(table: pa.Table, output: Path | None) -> None:
    """Write to a file by its extension (.csv, .parquet, .jsonl), or as CSV to the standard output."""
    if output is None:
        try:
            sys.stdout.buffer.write(as_csv(table))
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise _cannot_write("the standard output", error) from None
        return
    check_output(output)
    temporary = output.with_name(f".{output.name}.tmp")
    try:
        temporary.write_bytes(WRITERS[output.suffix.lower()](table))
        temporary.replace(output)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise _cannot_write(str(output), error) from None


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


def as_csv(table: pa.Table) -> bytes:
    """CSV with quotes only where they are needed."""
    # Arrow's own writer puts every text into quotes, needed or not.
    columns = [pc.fill_null(column.cast(pa.string()), "") for column in table.columns]
    quoted = [
        _quoted(column) if pa.types.is_string(kind) else column
        for column, kind in zip(columns, table.schema.types, strict=True)
    ]
    lines = pc.binary_join_element_wise(*quoted, ",").to_pylist()
    header = ",".join(_quoted(pa.chunked_array([pa.array(table.column_names)])).to_pylist())
    return "".join(f"{line}\n" for line in [header, *lines]).encode()


def _quoted(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """In quotes where a reader of CSV would otherwise misunderstand."""
    doubled = pc.replace_substring(texts, '"', '""')
    in_quotes = pc.binary_join_element_wise('"', doubled, '"', "")
    return pc.if_else(pc.match_substring_regex(texts, '[",\r\n]|^\\s|\\s$|^$'), in_quotes, texts)


def as_json_lines(table: pa.Table) -> bytes:
    """One JSON object per line."""
    return "".join(json.dumps(row) + "\n" for row in table.to_pylist()).encode()


WRITERS: dict[str, Callable[[pa.Table], bytes]] = {".csv": as_csv, ".parquet": as_parquet, ".jsonl": as_json_lines}
