"""ARFF, the file format of Weka: attributes with names, then rows of delimited text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from nudgenet.data.dialect import clean_name, find_delimiter
from nudgenet.data.encoding import to_utf8
from nudgenet.data.tables import read_text
from nudgenet.data.typed import File, Reading
from nudgenet.errors import SourceError
from nudgenet.records import Decision
from nudgenet.settings import Settings

_ATTRIBUTE = re.compile(r"@attribute\s+('(?:[^'\\]|\\.)*'|\"[^\"]*\"|\S+)", re.IGNORECASE)


def read_arff(file: File, settings: Settings, columns: Sequence[str] | None = None) -> Reading:
    """Rows below `@data`, named by the `@attribute` lines; `?` is a missing cell.

    Raises:
        SourceError: no attributes, no rows, or sparse rows.
    """
    text = to_utf8(file.data, file.name, settings.encoding)
    start = re.search(rb"(?im)^\s*@data[^\n]*\n?", text.data)
    head = text.data[: start.start()] if start else text.data
    names = [clean_name(found[1]) for found in _ATTRIBUTE.finditer(head.decode("utf-8", errors="replace"))]
    body = re.sub(rb"(?m)^\s*%[^\n]*\n?", b"", text.data[start.end() :]) if start else b""
    if not names:
        raise SourceError(f"`{file.name}` names no @attribute", fix="An ARFF file needs one per column.")
    if not body.strip():
        raise SourceError(f"`{file.name}` holds a header and no rows", fix="Give a file with rows below @data.")
    if re.match(rb"\s*\{", body):
        raise SourceError(f"`{file.name}` is a sparse ARFF file, which is not read", fix="Save it with dense rows.")
    delimiter, _, _ = find_delimiter(body[:100_000].decode("utf-8", errors="replace"))
    # The attributes become a header line of our own, so that rows are read as in any text file.
    glue = delimiter or ","
    header = glue.join('"' + name.replace('"', "'") + '"' for name in names).encode() + b"\n"
    as_text = settings.model_copy(update={"header": True, "encoding": None})
    reading = read_text(replace(file, content=header + body), as_text, None)
    bare = [pc.replace_substring_regex(column, r"^'(.*)'$", r"\1") for column in reading.table.columns]
    table = pa.table(bare, names=reading.table.column_names)
    decisions = [decision for decision in reading.decisions if decision.what != "header"]
    decisions.append(Decision("header", "the @attribute lines name the columns", "the file is ARFF", ""))
    return replace(
        reading, table=table, decisions=(*text.decisions, *decisions), warnings=(*text.warnings, *reading.warnings)
    )
