"""`nudge predict` on large sources: some rows at a time, and the answers, warnings and files of one go."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

import nudgenet
from conftest import write_pictures
from nudgenet.data import pieces, read, typed
from nudgenet.errors import ColumnError, DataWarning, SourceError
from nudgenet.predictions import predict, predict_table, write_csv
from nudgenet.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    rng = np.random.default_rng(0)
    x = np.round(rng.normal(size=200), 3)
    table = {"x": x, "level": np.array(["a", "b"])[rng.integers(0, 2, 200)], "y": np.where(x > 0, "up", "down")}
    return nudgenet.train(table, "y", runs=tmp_path_factory.mktemp("runs"), epochs=1, baselines=False)


@pytest.fixture
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as large, and a batch has seven rows."""
    monkeypatch.setattr(read, "LARGE_BYTES", 0)
    monkeypatch.setattr(pieces, "PIECE_BYTES", 60)
    for module in (read, typed):
        monkeypatch.setattr(module, "BATCH_ROWS", 7)


def rows(path: Path, num_rows: int = 100) -> Path:
    """Some odd cells among them, of which the whole file has few and a batch has many."""
    lines = [f"{i / 50 - 1:.2f},{'ab'[i % 2]}" for i in range(num_rows)]
    lines[70:73] = ["wild,a", "99,b", "0.5,zebra"]
    path.write_text("x,level\n" + "".join(f"{line}\n" for line in lines))
    return path


def test_pieces_answer_as_the_whole(run: Run, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    source = rows(tmp_path / "rows.csv")
    whole, said = predict_table(run, source)
    assert any("in row 71" in words for words in said) and len(said) == 3
    request.getfixturevalue("in_pieces")
    assert len(list(run.answer_batches(source, []))) > 5
    again, said_again = predict_table(run, source)
    assert said_again == said
    assert again.column("prediction").to_pylist() == whole.column("prediction").to_pylist()
    np.testing.assert_allclose(again.column("probability_up"), whole.column("probability_up"), rtol=1e-5)


@pytest.mark.parametrize("kind", ["parquet", "frame"])
def test_typed_rows_in_batches_answer_as_the_whole(
    kind: str, run: Run, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    table = pa.table({"x": np.linspace(-1, 1, 50), "level": ["a", "b"] * 25})
    pq.write_table(table, tmp_path / "rows.parquet")
    source = table if kind == "frame" else tmp_path / "rows.parquet"
    whole = run.predict_proba(source)
    request.getfixturevalue("in_pieces")
    assert len(list(run.answer_batches(source, []))) == 8
    np.testing.assert_allclose(run.predict_proba(source), whole, rtol=1e-5)


@pytest.mark.usefixtures("in_pieces")
@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_one_row_out_per_row_in(suffix: str, run: Run, tmp_path: Path) -> None:
    output = tmp_path / f"answers.{suffix}"
    num_rows = predict(run, rows(tmp_path / "rows.csv"), output).num_rows
    found = {"csv": pa_csv.read_csv, "parquet": pq.read_table}.get(suffix)
    answers = found(output) if found else nudgenet.data.read.read(output, run.settings).table
    assert num_rows == answers.num_rows == 100
    expected = predict_table(run, tmp_path / "rows.csv")[0]
    assert answers.column_names == expected.column_names
    assert answers.column("prediction").to_pylist() == expected.column("prediction").to_pylist()


@pytest.mark.usefixtures("in_pieces")
def test_too_many_bad_cells_write_nothing(run: Run, tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    source = rows(tmp_path / "rows.csv")
    source.write_text(source.read_text() + "wild,a\n" * 20)
    for output in (tmp_path / "answers.csv", None):
        with pytest.raises(ColumnError, match="21 of 120 cells are none"):
            predict(run, source, output)
    assert list(tmp_path.iterdir()) == [source]
    assert capsysbinary.readouterr().out == b""


def test_a_dict_is_answered_as_a_table_of_one_row(run: Run) -> None:
    for row in ({"x": 0.25, "level": "a"}, {"x": "-0.5", "level": None}, {"x": None, "level": "b"}):
        answer = run.predict_proba(row)
        assert answer.shape == (1, 2)
        np.testing.assert_array_equal(answer, run.predict_proba({name: [cell] for name, cell in row.items()}))
    with pytest.warns(DataWarning, match="never seen"):
        run.predict({"x": 0.25, "level": "zebra"})


def test_a_file_without_rows(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "none.parquet"
    pq.write_table(pa.table({"x": pa.array([], pa.float64()), "level": pa.array([], pa.string())}), path)
    with pytest.raises(SourceError, match="`none` holds no rows"):
        predict(run, path, tmp_path / "answers.csv")
    assert not (tmp_path / "answers.csv").exists()


def test_what_is_missing_is_left_empty_in_a_csv() -> None:
    """No quotes around nothing: a file that could be read has no `error`."""
    sink = BytesIO()
    table = pa.table({"path": ["a b.png", "c,d.png"], "prediction": ["", None], "error": pa.array([None, "is empty"])})
    assert write_csv([table], sink) == 2
    assert sink.getvalue() == b'path,prediction,error\na b.png,"",\n"c,d.png",,is empty\n'


# --- files that cannot be decoded -----------------------------------------------------------------


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("pictures")
    source = write_pictures(folder / "shapes", 6)
    return nudgenet.train(source, runs=folder, name="run", epochs=1, width=8, baselines=False)


def listed(pictures: Run, path: Path, broken: list[int], num_rows: int = 24) -> Path:
    """A table of paths to images, of which those of some rows are damaged, or name nothing at all."""
    whole = next(pictures.path.parent.glob("shapes/disc/*.png")).read_bytes()
    (path.parent / "good.png").write_bytes(whole)
    cells = ["good.png"] * num_rows
    for row in broken:
        (path.parent / f"{row}.png").write_bytes(whole[:70])
        cells[row] = f"{row}.png" if row % 5 else ""
    path.write_text("image,place\n" + "".join(f"{cell},Bern\n" for cell in cells))
    return path


@pytest.mark.usefixtures("in_pieces")
@pytest.mark.parametrize("suffix", ["csv", "parquet", "jsonl"])
def test_rows_without_an_answer_are_counted_over_all_batches(suffix: str, pictures: Run, tmp_path: Path) -> None:
    """The second batch is all broken, and the third has no path at all in its first rows."""
    broken = [*range(7, 18), 20]
    source, output = listed(pictures, tmp_path / "rows.csv", broken), tmp_path / f"answers.{suffix}"
    assert len(list(pictures.answer_batches(source, []))) > 2
    written = predict(pictures, source, output)
    assert (written.num_rows, written.num_unanswered, written.replaced) == (24, 12, False)
    assert written.in_words(Path("x.csv")) == "12 predictions in x.csv, 12 rows without an answer"
    (said,) = [words for words in written.warnings if "no answer" in words]
    assert said.startswith("12 rows have no answer. damaged: 9 (`7.png`, `8.png`, ") and "column `error`" in said
    assert "no path: 3 (`row 11`, `row 16`, `row 21`)" in said
    answers = predict_table(pictures, source)[0]
    assert [row for row, error in enumerate(answers["error"].to_pylist()) if error] == broken
    assert predict(pictures, source, output).in_words(output).startswith(f"12 predictions in {output} (replaced), 12")


def test_at_most_ten_files_are_named_for_a_reason(pictures: Run, tmp_path: Path) -> None:
    written = predict(pictures, listed(pictures, tmp_path / "rows.csv", [1, *range(6, 21)]), tmp_path / "a.csv")
    (said,) = [words for words in written.warnings if "no answer" in words]
    assert "damaged: 13 (" in said and "`16.png` and 3 more)" in said and "`17.png`" not in said


@pytest.mark.parametrize("in_batches", [False, True])
def test_where_no_row_can_be_answered_each_keeps_its_row_and_it_is_an_error(
    in_batches: bool,
    pictures: Run,
    tmp_path: Path,
    nudge: Callable[..., tuple[int, str, str]],
    request: pytest.FixtureRequest,
) -> None:
    source = listed(pictures, tmp_path / "rows.csv", list(range(1, 15)), 15)
    source.write_text(source.read_text().replace("good.png", "1.png"))
    if in_batches:
        request.getfixturevalue("in_pieces")
    output = tmp_path / "answers.csv"
    for where in (("--output", output), ("--output", output.with_suffix(".parquet")), ()):
        code, out, err = nudge("predict", pictures.path, source, *where)
        assert code == 2 and err.count("\n") == 1 and (out.count("\n") == 16) == (not where)
        assert "Not one of the 15 rows could be answered (got damaged: 13 (`1.png`" in err
        assert err.endswith("Check these files.\n")
    written = pa_csv.read_csv(output, convert_options=pa_csv.ConvertOptions(strings_can_be_null=True))
    assert written.num_rows == 15 and written["error"].null_count == 0 == len(written["prediction"].drop_null())
    assert sorted(path.name for path in tmp_path.glob("*answers*")) == ["answers.csv", "answers.parquet"]


def test_the_last_line_counts_answers(
    pictures: Run, tmp_path: Path, nudge: Callable[..., tuple[int, str, str]]
) -> None:
    source, output = listed(pictures, tmp_path / "rows.csv", [3]), tmp_path / "answers.csv"
    first, again = (nudge("predict", pictures.path, source, "-o", output)[2].splitlines()[-1] for _ in range(2))
    assert first == f"23 predictions in {output}, 1 row without an answer"
    assert again == f"23 predictions in {output} (replaced), 1 row without an answer"
