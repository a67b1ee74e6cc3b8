"""`--test SOURCE`: the given test rows are put below the others, and split() keeps them apart."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from nudgenet.data.folders import part_for_testing
from nudgenet.data.media import media_columns
from nudgenet.data.read import find_file, is_query, read
from nudgenet.errors import ColumnError, SourceError, shorten
from nudgenet.records import ColumnKind, Decision, Raw
from nudgenet.settings import Settings


def read_with_test(source: Any, settings: Settings) -> tuple[Raw, int]:
    """The rows of `source`, then those of `settings.test` if it is set, and how many the latter are.

    Raises:
        SourceError: one of the two cannot be read.
        ColumnError: the test rows have none of the columns.
    """
    raw = read(source, settings)
    if settings.test is None:
        return raw, raw.given_test
    if raw.given_test:
        raise SourceError(
            "The source holds a test part of its own", got=f"--test {settings.test}", fix="Leave --test away."
        )
    known: dict[str, ColumnKind] = dict(media_columns(raw.table).items())
    alike = settings.model_copy(update={"kinds": settings.kinds | known})
    where: str | Path = settings.test
    if not is_query(where) and (path := find_file(where)).is_dir():
        where = part_for_testing(path) or path
    test = _named_alike(read(where, alike, columns=raw.table.column_names), raw, known, str(where))
    return below(raw, test, str(where)), test.table.num_rows


def _named_alike(test: Raw, raw: Raw, media: dict[str, ColumnKind], name: str) -> Raw:
    """The test rows with their images or sounds under the name that they have in training: a folder's has a name of its own.

    Raises:
        ColumnError: they hold none of that kind.
    """
    table = test.table
    for column, kind in media.items():
        if column in table.column_names:
            continue
        others = [
            one for one, found in media_columns(table).items() if found == kind and one not in raw.table.column_names
        ]
        if not others:
            raise ColumnError(
                f"The training rows have {kind}s in `{column}`, and the test rows have none",
                got=f"{shorten(table.column_names, 5)} in {name}",
                fix=f"Give a folder of {kind}s, or a table with them, or paths to them, in `{column}`.",
            )
        table = table.rename_columns([column if one == others[0] else one for one in table.column_names])
    return replace(test, table=table)


def below(raw: Raw, test: Raw, name: str) -> Raw:
    """One table from two; columns that the test rows lack are missing in them, their own extra ones are left out."""
    names = raw.table.column_names
    absent = [column for column in names if column not in test.table.column_names]
    extra = [column for column in test.table.column_names if column not in names]
    if len(absent) == len(names):
        raise ColumnError(
            "The test rows have no column in common with the training rows",
            got=f"{shorten(test.table.column_names, 5)} in {name}",
            fix="Check --test, or whether the first line names the columns: --set header=true.",
        )
    warnings = [*raw.warnings, *test.warnings]
    if absent:
        warnings.append(f"The test rows lack {shorten(absent)}: missing there")
    if extra:
        warnings.append(f"The test rows have {shorten(extra)}, which the training rows lack: left out")
    columns = {column: _joined(raw.table[column], _column(test.table, column)) for column in names}
    both = hashlib.sha256(f"{raw.source.fingerprint}{test.source.fingerprint}".encode()).hexdigest()
    decision = Decision("test rows", f"{test.table.num_rows:,} from {name}", "as set", "--test")
    # What the test rows lost is worth knowing as well.
    lost = [replace(one, what=f"test rows, {one.what}") for one in test.decisions if one.what.startswith("skipped")]
    return Raw(
        replace(raw.source, fingerprint=both),
        pa.table(columns),
        (*raw.decisions, decision, *lost),
        tuple(warnings),
        raw.has_header,
        raw.given_validation,
    )


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    return table[name] if name in table.column_names else pa.chunked_array([pa.nulls(table.num_rows)])


def _joined(upper: pa.ChunkedArray, lower: pa.ChunkedArray) -> pa.ChunkedArray:
    """Two columns as one; where their types differ and do not convert exactly, both become text."""
    if lower.type != upper.type:
        try:
            lower = lower.cast(upper.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            upper, lower = upper.cast(pa.string()), lower.cast(pa.string())
    return pa.chunked_array([*upper.chunks, *lower.chunks], upper.type)
