"""`nudge predict`: a table of answers, one row per row in, and the files that it can be written to."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from nudgenet.errors import UserError
from nudgenet.run import Run


def predict_table(run: Run, source: Any) -> tuple[pa.Table, list[str]]:
    """Columns `prediction` and, for classes, `probability_<class>`; and the warnings about the rows."""
    answers, warnings = run.answer(source)
    columns: dict[str, Any] = {"prediction": run.labels(answers)}
    columns |= {f"probability_{label}": answers[:, index] for index, label in enumerate(run.classes)}
    return pa.table(columns), warnings


def write_table(table: pa.Table, output: Path | None) -> None:
    """Write to a file by its extension (.csv, .parquet, .jsonl), or as CSV to the standard output."""
    if output is None:
        sys.stdout.buffer.write(as_csv(table))
        sys.stdout.buffer.flush()
        return
    writers = {".csv": as_csv, ".parquet": as_parquet, ".jsonl": as_json_lines}
    if output.suffix.lower() not in writers:
        raise UserError(
            "Predictions are written as .csv, .parquet or .jsonl", got=str(output), fix="Choose one of these."
        )
    try:
        temporary = output.with_name(f".{output.name}.tmp")
        temporary.write_bytes(writers[output.suffix.lower()](table))
        temporary.replace(output)
    except OSError as error:
        raise UserError(
            "The predictions cannot be written", got=f"{output}: {error.strerror}", fix="Choose another --output."
        ) from None


def as_csv(table: pa.Table) -> bytes:
    """CSV with quotes only where they are needed."""
    header = io.StringIO()
    csv.writer(header, lineterminator="\n").writerow(table.column_names)
    body = io.BytesIO()
    pyarrow.csv.write_csv(table, body, pyarrow.csv.WriteOptions(include_header=False, quoting_style="needed"))
    return header.getvalue().encode() + body.getvalue()


def as_parquet(table: pa.Table) -> bytes:
    """The bytes of a Parquet file."""
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def as_json_lines(table: pa.Table) -> bytes:
    """One JSON object per line."""
    import json

    return "".join(json.dumps(row) + "\n" for row in table.to_pylist()).encode()
