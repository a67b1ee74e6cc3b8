"""A run that was made: it predicts for rows in every form, says what is odd about them, and can be carried around."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
import torch

import nudgenet
from nudgenet.errors import ColumnError, DataWarning, RunError, UserError

QUICK: dict[str, Any] = {"epochs": 3, "batch_size": 32, "baselines": False}


@pytest.fixture
def run(quick_runs: dict[str, Path]) -> nudgenet.Run:
    """Predicts `price`."""
    return nudgenet.load(quick_runs["regression"])


@pytest.mark.parametrize("kind", ["regression", "binary", "multiclass"])
def test_no_choice_is_to_be_overridden_by_itself(quick_runs: dict[str, Path], kind: str) -> None:
    run = nudgenet.load(quick_runs[kind])
    decisions = {decision.what: decision for decision in run.decisions}
    assert {"split", "threads", "epochs", "network size"} <= set(decisions)
    for decision in decisions.values():
        for typed in decision.override.split(", "):
            name, equals, value = typed.removeprefix("--set ").partition("=")
            if equals and name in type(run.settings).model_fields:
                assert str(getattr(run.settings, name)).lower() != value, decision


@pytest.fixture
def table(quick_runs: dict[str, Path]) -> Path:
    """The table that it was trained on."""
    return quick_runs["regression"].parent.parent / "houses.csv"


@pytest.fixture
def frame(run: nudgenet.Run, table: Path) -> pd.DataFrame:
    """Its training rows, about which nothing is odd."""
    return pd.read_csv(table).iloc[20:30]


def known(run: nudgenet.Run, rows: Any) -> np.ndarray:
    """Answers, without a word about the rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return run.predict(rows)


# ------------------------------------------------------------------ forms of rows


def test_rows_in_every_form_get_the_same_answers(run: nudgenet.Run, frame: pd.DataFrame, tmp_path: Path) -> None:
    expected = known(run, frame)
    assert expected.shape == (10,) and expected.dtype == np.float64
    features = frame.drop(columns="price")
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.to_parquet(tmp_path / "rows.parquet")
    frame.to_json(tmp_path / "rows.jsonl", orient="records", lines=True)
    forms: dict[str, Any] = {
        "without the target": features,
        "columns in another order": features[features.columns[::-1]],
        "polars": pl.from_pandas(features),
        "dict of columns": features.to_dict("list"),
        "list of dicts": [{k: v for k, v in row.items() if v == v} for row in features.to_dict("records")],
        "array": features.to_numpy(object),
        "path": tmp_path / "rows.csv",
        "text": str(tmp_path / "rows.csv"),
        "parquet": tmp_path / "rows.parquet",
        "json lines": tmp_path / "rows.jsonl",
        "query": f"SELECT * FROM '{tmp_path / 'rows.csv'}'",
    }
    for name, rows in forms.items():
        np.testing.assert_allclose(known(run, rows), expected, rtol=1e-6, err_msg=name)


def test_one_row(run: nudgenet.Run, frame: pd.DataFrame) -> None:
    expected = known(run, frame)
    row = frame.dropna().iloc[0]
    position = frame.index.get_loc(row.name)
    answer = known(run, dict(row.drop("price")))
    assert answer.shape == (1,) and answer[0] == pytest.approx(expected[position], rel=1e-6)
    array = row.drop("price").to_numpy()
    assert known(run, array).shape == (1,)


def test_a_row_is_answered_alike_alone_and_among_others(run: nudgenet.Run, frame: pd.DataFrame) -> None:
    together = known(run, frame)
    alone = np.concatenate([known(run, frame.iloc[i : i + 1]) for i in range(len(frame))])
    np.testing.assert_allclose(alone, together, rtol=1e-5)


def test_classes(quick_runs: dict[str, Path], frame: pd.DataFrame) -> None:
    run = nudgenet.load(quick_runs["multiclass"])
    assert run.classes == ["Bern", "Lyon", "Turin"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        probabilities = run.predict_proba(frame)
    assert probabilities.shape == (10, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    labels = known(run, frame)
    assert labels.tolist() == [run.classes[i] for i in probabilities.argmax(axis=1)]


@pytest.mark.parametrize("values", [[1, 3, 7], [False, True], ["10", "9", "x"]])
def test_labels_have_the_type_that_they_had(tmp_path: Path, values: list[Any]) -> None:
    random = np.random.default_rng(0)
    labels = [values[i % len(values)] for i in range(90)]
    run = nudgenet.train({"x": random.normal(size=90), "y": labels}, "y", runs=tmp_path, **QUICK)
    assert run.classes == sorted(values)
    answer = known(run, {"x": [0.1, 0.2]})
    assert all(label in values for label in answer.tolist())
    assert type(answer.tolist()[0]) is type(values[0])


def test_a_regression_has_no_probabilities(run: nudgenet.Run, frame: pd.DataFrame) -> None:
    assert run.classes == []
    with pytest.raises(RunError, match="no probabilities"):
        run.predict_proba(frame)


def test_a_file_without_header(tmp_path: Path) -> None:
    """The target stands in the middle; new rows come with it and without it."""
    random = np.random.default_rng(0)
    x = random.normal(size=(120, 2)).round(3)
    rows = [f"{a},{'pos' if a > 0 else 'neg'},{b}" for a, b in x]
    (tmp_path / "train.csv").write_text("\n".join(rows))
    (tmp_path / "with.csv").write_text("\n".join(rows[:5]))
    (tmp_path / "without.csv").write_text("\n".join(f"{a},{b}" for a, b in x[:5]))
    run = nudgenet.train(tmp_path / "train.csv", 2, runs=tmp_path, **QUICK)
    assert run.task.target == "column_2"
    expected = known(run, tmp_path / "with.csv")
    assert known(run, tmp_path / "without.csv").tolist() == expected.tolist() == known(run, x[:5]).tolist()


# ------------------------------------------------------------------ what is odd about rows


def test_what_is_odd_is_counted(run: nudgenet.Run, table: Path) -> None:
    rows = pd.read_csv(table).drop(columns=["price", "age"])
    rows["area"] = rows["area"].astype(object)
    rows.loc[3, "area"] = "large"
    rows.loc[:16, "city"] = "Atlantis"
    rows["garden"] = 1
    with pytest.warns(DataWarning) as caught:
        answers = run.predict(rows.iloc[:100])
    said = [str(warning.message) for warning in caught]
    assert np.isfinite(answers).all() and len(answers) == 100
    assert "1 column is absent, taken as missing values: `age`" in said
    assert "1 column was not in training: `garden` left out" in said
    assert "17 rows have a `city` never seen in training" in said
    assert any(text.startswith("1 cell of `area` is not a number, taken as missing ('large' in row 4") for text in said)
    assert {warning.filename for warning in caught} == {__file__}, "it points at the caller's line"


def test_rows_that_cannot_be_used(run: nudgenet.Run, table: Path, tmp_path: Path) -> None:
    rows = pd.read_csv(table).iloc[:100]
    rows["area"] = rows["area"].astype(object)
    rows.loc[:5, "area"] = "large"
    with pytest.raises(ColumnError, match="`area` held numbers in training, but 6 of 100 cells are none"):
        run.predict(rows)
    with pytest.raises(ColumnError, match="None of the columns"):
        run.predict({"a": [1]})
    with pytest.raises(UserError, match="no rows"):
        run.predict(rows.iloc[:0])
    with pytest.raises(RunError, match="must have 6 columns"):
        run.predict(np.zeros((3, 2)))
    with pytest.raises(UserError, match="There is no such file"):
        run.predict(tmp_path / "nothing.csv")
    (tmp_path / "image.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)))
    with pytest.raises(UserError, match="is an image"):
        run.predict(tmp_path / "image.png")


# ------------------------------------------------------------------ the folder


def test_a_run_can_be_moved_and_zipped(run: nudgenet.Run, frame: pd.DataFrame, tmp_path: Path) -> None:
    expected = known(run, frame)
    archive = shutil.make_archive(str(tmp_path / "run"), "zip", run.path)
    shutil.unpack_archive(archive, tmp_path / "elsewhere" / "renamed")
    moved = nudgenet.load("renamed", tmp_path / "elsewhere")
    np.testing.assert_array_equal(known(moved, frame), expected)
    assert moved.metrics == run.metrics and moved.summary["run"] == str(moved.path)
    assert [epoch.epoch for epoch in moved.epochs] == [1, 2, 3]


def test_a_read_only_run_predicts(run: nudgenet.Run, frame: pd.DataFrame, tmp_path: Path) -> None:
    path = shutil.copytree(run.path, tmp_path / "copy")
    for file in path.rglob("*"):
        file.chmod(0o555 if file.is_dir() else 0o444)
    path.chmod(0o555)
    try:
        sealed = nudgenet.load(path)
        assert len(known(sealed, frame)) == 10 and sealed.epochs and "<Run copy" in repr(sealed)
    finally:
        path.chmod(0o755)
        for folder in [item for item in path.rglob("*") if item.is_dir()]:
            folder.chmod(0o755)


@pytest.mark.parametrize(
    ("name", "key", "value", "message"),
    [
        ("data.json", "format", 99, "written by a later version"),
        ("settings.json", "format", 99, "written by a later version"),
        ("preparation.json", "format_version", 99, "cannot read"),
        ("preparation.json", "format_version", 0, "cannot read"),
        ("preparation.json", "features", [{"column": "x"}], "is damaged"),
    ],
)
def test_runs_of_other_versions(
    run: nudgenet.Run, frame: pd.DataFrame, tmp_path: Path, name: str, key: str, value: Any, message: str
) -> None:
    path = shutil.copytree(run.path, tmp_path / "copy")
    content = json.loads((path / name).read_text())
    (path / name).write_text(json.dumps(content | {key: value}))
    with pytest.raises(RunError, match=message) as caught:
        nudgenet.load(path).predict(frame)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["data.json", "preparation.json", "preparation.safetensors", "checkpoints"])
@pytest.mark.parametrize("how", ["gone", "cut"])
def test_damaged_runs(run: nudgenet.Run, frame: pd.DataFrame, tmp_path: Path, name: str, how: str) -> None:
    path = shutil.copytree(run.path, tmp_path / "copy")
    file = path / name / "state.safetensors" if name == "checkpoints" else path / name
    if how == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(RunError) as caught:
        nudgenet.load(path).predict(frame)
    assert "\n" not in str(caught.value)


def test_runs_that_are_not_there(run: nudgenet.Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="Did you mean `regression`"):
        nudgenet.load("regresion", run.path.parent)
    with pytest.raises(RunError, match="There are no runs in"):
        nudgenet.load("any", tmp_path)


# ------------------------------------------------------------------ what it shows


def test_reprs(quick_runs: dict[str, Path]) -> None:
    run = nudgenet.load(quick_runs["binary"])
    assert repr(run).startswith("<Run binary: binary on 'dear', test accuracy 0.")
    html = run._repr_html_()
    assert html.lstrip().startswith("<") and "dear" in html and "<script" not in html


def test_the_network_is_a_plain_module(run: nudgenet.Run, frame: pd.DataFrame) -> None:
    """From prepared inputs to outputs: by hand it gives what `predict` gives."""
    from nudgenet.training.objectives import answer_function

    network = run.network
    assert isinstance(network, torch.nn.Module) and not network.training
    inputs, _ = run.preparation.apply(run.read(frame))
    with torch.inference_mode():
        outputs = answer_function("regression", run.settings)(network(inputs)).numpy()
    np.testing.assert_allclose(run.preparation.restore(outputs), known(run, frame), rtol=1e-6)


def test_settings_hold_what_was_chosen(run: nudgenet.Run) -> None:
    settings = run.settings
    assert settings.target == "price" and settings.epochs == 3 and settings.batch_size == 32
    for name in ("width", "layers", "learning_rate", "weight_decay", "dropout", "threads", "patience"):
        assert getattr(settings, name) is not None, name


def test_the_copy_of_the_rows_is_whole(tmp_path: Path, table: Path) -> None:
    frame = pd.read_csv(table)
    run = nudgenet.train(frame, "price", runs=tmp_path, **QUICK)
    copy = pq.read_table(run.path / "data.parquet").to_pandas()
    pd.testing.assert_frame_equal(copy, frame, check_dtype=False)


def test_a_named_encoding_is_that_of_what_is_predicted(tmp_path: Path) -> None:
    rows = "".join(f"{'Žatec' if n % 2 else 'Jičín'},{n % 7},{'yes' if n % 2 else 'no'}\n" for n in range(80))
    (tmp_path / "towns.csv").write_bytes(f"town,n,answer\n{rows}".encode("cp852"))
    run = nudgenet.train(
        tmp_path / "towns.csv", "answer", encoding="cp852", epochs=8, baselines=False, runs=tmp_path / "runs"
    )
    (tmp_path / "new.csv").write_bytes("town,n\nŽatec,1\nJičín,2\n".encode("cp852"))
    assert run.predict(tmp_path / "new.csv").tolist() == run.predict({"town": ["Žatec", "Jičín"], "n": [1, 2]}).tolist()
    assert [entry.override for entry in run.decisions if entry.what == "encoding"] == ["--set encoding=NAME"]
    assert nudgenet.load(run.path)._reading.encoding == "cp852"


def test_an_encoding_that_training_told_is_that_of_few_later_rows(tmp_path: Path) -> None:
    words = {"да": ("прекрасный", "добрый", "весёлый"), "нет": ("ужасный", "злой", "скучный")}
    rows = [
        f"этот {first} и {second} фильм номер {number},{answer}"
        for number in range(20) for answer, chosen in words.items() for first in chosen for second in chosen[:1]
    ]  # fmt: skip
    (tmp_path / "films.csv").write_bytes("\n".join(["text,answer", *rows]).encode("koi8-r"))
    given = {"kinds": {"text": "text"}, "epochs": 3, "baselines": False, "runs": tmp_path / "runs"}
    run = nudgenet.train(tmp_path / "films.csv", "answer", **given)
    assert run._reading.encoding == "koi8-r?" and run.settings.encoding is None
    new = [tmp_path / "old.csv", tmp_path / "new.csv"]
    for path, encoding in zip(new, ("koi8-r", "utf-8"), strict=True):
        path.write_bytes("text\nужасный фильм\n".encode(encoding))
    assert np.array_equal(*(run.predict_proba(path) for path in new))
    (tmp_path / "films.csv").write_text("\n".join(["text,answer", *rows]), encoding="utf-16")
    assert nudgenet.train(tmp_path / "films.csv", "answer", **given)._reading.encoding is None
