"""Large files are read in pieces: the same table, the same columns, decisions and warnings as in one go."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nudgenet.data import pieces, read, typed
from nudgenet.data.columns import choose_task, describe
from nudgenet.data.plain import as_plain, is_plain
from nudgenet.data.prepare import learn, prepare
from nudgenet.data.split import split
from nudgenet.errors import SourceError, UserError
from nudgenet.records import Raw
from nudgenet.settings import Settings, make_settings


def small_pieces(patch: pytest.MonkeyPatch, piece_bytes: int = 64) -> None:
    """Every file counts as large."""
    patch.setattr(read, "LARGE_BYTES", 0)
    patch.setattr(read, "HEAD_BYTES", 64)
    patch.setattr(pieces, "PIECE_BYTES", piece_bytes)


def read_both(path: Path, settings: Settings, piece_bytes: int = 64) -> tuple[Raw, Raw]:
    """(in one go, in pieces)."""
    with pytest.MonkeyPatch.context() as patch:
        small_pieces(patch, piece_bytes)
        return_pieces = read.read(path, settings)
    return read.read(path, settings), return_pieces


def told(raw: Raw, chosen: Settings) -> object:
    """All that the columns of a table lead to, from the task to the tensors, or the error."""
    try:
        task, *odd = choose_task(raw, chosen)
        parts, *dealt = split(raw, task, chosen)
        columns, *seen = describe(raw, task, parts.train, chosen)
        preparation, decisions = learn(raw, parts, columns, task, chosen)
        prepared = prepare(raw, parts, preparation)
    except UserError as error:
        return str(error)
    tensors = [t.tolist() for t in (prepared.train.targets, *prepared.test.inputs.values())]
    return task, odd, dealt, columns, seen, preparation, decisions, tensors


def cells(kind: str, rng: np.random.Generator, num_rows: int) -> list[str]:
    """Columns of all sorts, as people write them."""
    numbers = rng.normal(size=num_rows) * 100
    whole = rng.integers(-50, 5_000, num_rows)
    texts = {
        "short": [f"{x:.2f}" for x in numbers],
        "full": [repr(float(x)) for x in numbers],
        "whole": [str(x) for x in whole],
        "blanks": [f" {x:.1f} " for x in numbers],
        "markers": [["NA", "?", "", "none"][x % 4] if x % 5 == 0 else str(x) for x in whole],
        "one marker": ["NA" if x % 5 == 0 else str(x) for x in whole],
        "index": [str(i) for i in range(num_rows)],
        "codes": [f"{x % 700:05d}" for x in whole],
        "late codes": [f"{x % 999:03d}" if i > num_rows * 0.6 else f"{x % 900 + 100}" for i, x in enumerate(whole)],
        "days": [f"2020{x % 12 + 1:02d}{x % 28 + 1:02d}" for x in whole],
        "dates": [f"2020-{x % 12 + 1:02d}-{x % 28 + 1:02d}" for x in whole],
        "late dirt": ["wild" if i == num_rows - 2 else str(x) for i, x in enumerate(whole)],
        "late words": ["word" if i > num_rows * 0.7 else f"{x % 7}.50" for i, x in enumerate(whole)],
        "one and gaps": ["0.50" if x % 2 else "" for x in whole],
        "only markers": ["NA" if x % 2 else "?" for x in whole],
        "nothing": [""] * num_rows,
        "constant": ["3.50"] * num_rows,
        "levels": [f"level {x % 4}" for x in whole],
        "quoted": [f'"{x % 3}, or so"' for x in whole],
        "infinite": ["inf" if x % 9 == 0 else str(x) for x in whole],
        "thousands": [f'"{x:,}"' for x in whole * 1_000],
    }
    return texts[kind]


KINDS = (
    "short", "full", "whole", "blanks", "markers", "one marker", "index", "codes", "late codes", "days", "dates", "late dirt",
    "late words", "one and gaps", "only markers", "nothing", "constant", "levels", "quoted", "infinite", "thousands",
)  # fmt: skip


def write(path: Path, kinds: list[str], seed: int, num_rows: int = 150, end: str = "\n") -> None:
    rng = np.random.default_rng(seed)
    columns = [cells(kind, rng, num_rows) for kind in kinds]
    columns.append([f"{x:.3f}" for x in rng.normal(size=num_rows)])
    lines = [",".join([*(f"c{i}" for i in range(len(kinds))), "y"]), *map(",".join, zip(*columns, strict=True))]
    path.write_text(end.join(lines) + end, newline="")


@pytest.mark.parametrize("kind", KINDS)
def test_a_column_means_the_same_in_pieces(kind: str, tmp_path: Path) -> None:
    write(tmp_path / "t.csv", ["short", kind], seed=1)
    chosen = make_settings(target="y")
    whole, in_pieces = read_both(tmp_path / "t.csv", chosen)
    assert dataclasses.replace(whole, table=None) == dataclasses.replace(in_pieces, table=None)  # type: ignore[arg-type]
    assert whole.table.column_names == in_pieces.table.column_names
    assert told(whole, chosen) == told(in_pieces, chosen)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=5),
    seed=st.integers(0, 9),
    piece_bytes=st.sampled_from([40, 300, 5_000]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    target=st.sampled_from(["y", "c0"]),
)
def test_tables_mean_the_same_in_pieces(
    kinds: list[str], seed: int, piece_bytes: int, end: str, target: str, tmp_path: Path
) -> None:
    write(tmp_path / "t.csv", kinds, seed, end=end)
    chosen = make_settings(target=target)
    whole, in_pieces = read_both(tmp_path / "t.csv", chosen, piece_bytes)
    assert told(whole, chosen) == told(in_pieces, chosen)


def test_plain_numbers_are_kept_as_numbers_and_all_else_as_text(tmp_path: Path) -> None:
    kinds = ["short", "one marker", "late codes", "late dirt", "levels", "one and gaps", "markers", "one marker"]
    write(tmp_path / "t.csv", kinds, seed=2)
    whole, in_pieces = read_both(tmp_path / "t.csv", make_settings(group="c1"))
    plain = [is_plain(kind) for kind in in_pieces.table.schema.types]
    assert plain == [True, False, False, False, False, False, False, True, True]
    for name in ("c1", "c2", "c3", "c4", "c5", "c6"):
        assert in_pieces.table[name].to_pylist() == whole.table[name].to_pylist()
    assert in_pieces.table["c0"].to_pylist() == [float(cell) for cell in whole.table["c0"].to_pylist()]
    assert in_pieces.table["c0"].num_chunks > 10


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,2\n3\n4,5,6\n7,8\n",  # ragged rows in different pieces
        'a,b\n1,"x\ny"\n2,z\n' * 3,  # a cell of two lines
        "a,b\n1,caf\xe9\n2,t\xe9\n",
        'a,b\n5" pipe,1\n2,3\n',
        "a;b;\n1;2;\n3;4;\n",
        "# made by hand\na,b\n1,2\n3,4\n",
        "a\n1\n\n2\n",
        "x,y\n1,2\n3,4\n5,6\nTotal,9\n",
        "1,2\n3,4\n5,6",
        "a  b\n1  2\n3   4\n",
    ],
)
def test_odd_files_read_the_same_in_pieces(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode("latin-1"))
    whole, in_pieces = read_both(tmp_path / "t.csv", Settings(), piece_bytes=8)

    def as_text(raw: Raw) -> list[list[object]]:
        def plainly(cell: object) -> object:
            return f"{cell:g}" if isinstance(cell, float) else cell

        return [[plainly(cell) for cell in column.to_pylist()] for column in raw.table.columns]

    assert dataclasses.replace(whole, table=None) == dataclasses.replace(in_pieces, table=None)  # type: ignore[arg-type]
    assert as_text(whole) == as_text(in_pieces)


@pytest.mark.parametrize("text", ["a,b\n", "<html><body>\n</body></html>\n"])
def test_no_table_is_refused_in_the_same_words(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(SourceError) as in_one_go:
        read.read(tmp_path / "t.csv", Settings())
    small_pieces(monkeypatch, 8)
    with pytest.raises(SourceError) as in_pieces:
        read.read(tmp_path / "t.csv", Settings())
    assert str(in_one_go.value) == str(in_pieces.value)


def test_a_large_parquet_file_comes_in_batches_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"a": np.arange(100.0), "b": ["x", "y"] * 50})
    pq.write_table(table, tmp_path / "t.parquet")
    small_pieces(monkeypatch)
    monkeypatch.setattr(typed, "BATCH_ROWS", 30)
    found = read.read(tmp_path / "t.parquet", Settings()).table
    assert found.equals(table)
    assert found["a"].num_chunks == 4


def test_a_damaged_large_parquet_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t.parquet").write_bytes(b"PAR1" + b"\1" * 500)
    small_pieces(monkeypatch)
    with pytest.raises(SourceError, match="damaged Parquet"):
        read.read(tmp_path / "t.parquet", Settings())


@given(st.lists(st.none() | st.text(st.sampled_from("0123456789.-+e %naNA?"), max_size=6), max_size=8))
def test_what_counts_as_plain_is_what_a_float_is(texts: list[str | None]) -> None:
    array = pa.array([text or None for text in texts], pa.string())
    plain = as_plain(array, pa.array(["", "na", "?"]))
    if plain is None:
        return
    for text, number in zip(array.to_pylist(), plain.storage.to_pylist(), strict=True):
        if text is None or text.strip().lower() in ("", "na", "?"):
            assert number is None
        else:
            assert torch.equal(torch.tensor(float(text)), torch.tensor(number)) or "nan" in text.lower()
            assert not text.strip().startswith(tuple(f"0{digit}" for digit in range(10)))
