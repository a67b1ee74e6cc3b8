"""Texts go the way of a table: trained, tested, explained, predicted, resumed; alone, and beside other columns."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import nudgenet
from conftest import FILLING, KIND, UNKIND, assert_same_weights, train_in_two
from nudgenet.errors import SettingError, SourceError
from nudgenet.explanations import occlude, shares_of_words
from nudgenet.observer import Silent
from nudgenet.predictions import predict_table
from nudgenet.run import Run
from nudgenet.training.objectives import answer_function

QUICK = {"epochs": 12, "threads": 1, "batch_size": 32}


def review(is_kind: bool, random: np.random.Generator) -> str:
    words = [*random.choice(FILLING, 9), random.choice(KIND if is_kind else UNKIND)]
    return " ".join(random.permutation(words).tolist())


def write_reviews(path: Path, num_rows: int = 240) -> Path:
    """`stars` needs the text, a number and a category; `liked` needs the text."""
    random = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["review", "minutes", "seat", "liked", "stars"])
        for row in range(num_rows):
            is_kind = bool(random.integers(2))
            minutes, seat = random.normal(), random.choice(["front", "back"])
            stars = 10 * is_kind + 3 * minutes + 5 * (seat == "back") + 0.1 * random.normal()
            text = "" if row == 7 else review(is_kind, random)
            writer.writerow([text, f"{minutes:.3f}", seat, "yes" if is_kind else "no", f"{stars:.2f}"])
    return path


def write_documents(folder: Path, num_each: int = 40) -> Path:
    random = np.random.default_rng(1)
    for name, is_kind in (("glad", True), ("sad", False)):
        (folder / name).mkdir(parents=True)
        for number in range(num_each):
            (folder / name / f"{number:03}.txt").write_text(review(is_kind, random))
    (folder / "sad" / "picture.txt").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "sad" / "empty.txt").write_text("")
    return folder


def train(source: object, target: str | None, runs: Path, name: str, **settings: object) -> Run:
    return nudgenet.train(source, target, runs=runs, name=name, observer=Silent(), **(QUICK | settings))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reviews(tmp_path_factory.mktemp("data") / "reviews.csv")


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_documents(tmp_path_factory.mktemp("data") / "letters")


@pytest.fixture(scope="module")
def run(reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(reviews, "liked", tmp_path_factory.mktemp("runs"), "liked", ignore="stars")


@pytest.fixture(scope="module")
def letters(documents: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(documents, None, tmp_path_factory.mktemp("runs"), "letters")


def test_a_table_with_texts(run: Run) -> None:
    assert run.metrics["test"]["accuracy"] > 0.9 and run.settings.network == "bag"
    assert set(run.baselines) == {"majority", "linear", "boosting"}
    assert run.baselines["linear"]["test"]["accuracy"] > 0.9 > run.baselines["boosting"]["test"]["accuracy"]
    chosen = {decision.what: decision.chosen for decision in run.decisions}
    assert "`review`" in chosen["columns that are free text"]
    assert "pairs of words" in chosen["text `review`"] and chosen["varied texts"] == "words"
    importance = run._store.result("importance")
    assert importance[0][0] == "review" and importance[0][1] > 0.3 and len(importance) == 3


def test_a_single_text_and_a_folder_of_tables(run: Run, letters: Run, documents: Path, tmp_path: Path) -> None:
    of_folder, _ = predict_table(letters, documents / "glad")
    alone, _ = predict_table(letters, documents / "glad" / "003.txt")
    row = of_folder["path"].to_pylist().index("003.txt")
    assert alone.slice(0, 1).to_pylist()[0]["prediction"] == of_folder["prediction"][row].as_py()
    assert letters.preparation.example_source == (
        "NEW_TEXTS/",
        "a folder of texts, one text, or a table with them in `text`",
    )
    assert run.preparation.example_source == ("NEW_ROWS.csv", "")
    of_table = replace(
        letters.preparation, names=("text", "mood"), task=replace(letters.preparation.task, target="mood")
    )
    assert of_table.example_source == ("NEW_ROWS.csv", "a table, or a folder of texts"), (
        "one text would be read as a table"
    )
    (tmp_path / "rows.csv").write_text("minutes,seat\n1,front\n")
    with pytest.raises(SourceError, match=r"rows of a table are needed here.*`review`"):
        run.predict(tmp_path)


@pytest.mark.parametrize("network", ["bag", "transformer"])
def test_texts_numbers_and_categories_together(reviews: Path, tmp_path: Path, network: str) -> None:
    """No column alone explains the stars."""
    settings = {"learning_rate": 0.01, "epochs": 25} if network == "transformer" else {"epochs": 50}
    run = train(reviews, "stars", tmp_path, network, ignore="liked", network=network, **settings)
    assert run.metrics["test"]["r2"] > 0.7
    assert {column for column, drop, *_ in run._store.result("importance") if drop > 0.5} == {
        "review",
        "minutes",
        "seat",
    }


def test_one_row_in_a_dict_and_unseen_words(run: Run) -> None:
    row = {"minutes": 0.0, "seat": "front"}
    assert run.predict(row | {"review": "a delightful thing"}).tolist() == ["yes"]
    assert run.predict(row | {"review": "HORRID, horrid!"}).tolist() == ["no"]
    assert np.isfinite(run.predict_proba(row | {"review": "素晴らしい ☃"})).all()
    with pytest.warns(UserWarning, match="absent"):
        assert np.isfinite(run.predict_proba(row)).all()


def test_a_folder_of_texts(letters: Run, documents: Path, tmp_path: Path) -> None:
    assert letters.metrics["test"]["accuracy"] > 0.9 and letters.classes == ["glad", "sad"]
    assert set(letters.baselines) == {"majority", "linear"}
    said = " ".join(decision.chosen for decision in letters.decisions)
    assert "picture.txt" in said and "empty.txt" in said
    assert all(
        path.endswith(".txt") for path in pq.read_table(letters.path / "test_predictions.parquet")["path"].to_pylist()
    )
    (tmp_path / "a.txt").write_text("a charming monday")
    (tmp_path / "b.txt").write_bytes("tedious".encode("utf-16"))
    (tmp_path / "c.txt").write_bytes(b"%PDF-1.4")
    table, warnings = predict_table(letters, tmp_path)
    assert table["path"].to_pylist() == ["a.txt", "b.txt", "c.txt"]
    assert table["prediction"].to_pylist() == ["glad", "sad", None]
    assert table["error"].to_pylist() == [None, None, "is a PDF, no text"] and any(
        "1 row has no answer" in words for words in warnings
    )
    assert letters.predict({"text": "a splendid evening"}).tolist() == ["glad"]


def test_a_run_on_a_table_predicts_a_folder(run: Run, letters: Run, reviews: Path, tmp_path: Path) -> None:
    """The one column of texts may come from files, and a folder's from a table."""
    (tmp_path / "a.txt").write_text("awful film")
    with pytest.warns(UserWarning, match="absent"):
        assert run.predict(tmp_path).tolist() == ["no"]
    assert letters.predict(pd.DataFrame({"text": ["charming", "horrid"]})).tolist() == ["glad", "sad"]


@pytest.mark.parametrize("network", ["bag", "transformer"])
def test_an_interrupted_run_goes_on_bit_for_bit(documents: Path, tmp_path: Path, network: str) -> None:
    settings = {"network": network, "epochs": 4, "baselines": False}
    whole = train(documents, None, tmp_path, "whole", **settings)
    resumed = train_in_two((2, 1), documents, runs=tmp_path, **(QUICK | settings))
    assert_same_weights(whole, resumed)
    assert resumed.metrics == whole.metrics


def test_other_held_out_texts_move_no_weight(reviews: Path, tmp_path: Path) -> None:
    """Words, their rarity and the length come from the training rows alone."""
    with reviews.open(newline="") as file:
        header, *rows = csv.reader(file)
    weights = []
    for name, test in (
        ("one", rows[:40]),
        ("two", [["words that no other text holds " * 9, *row[1:]] for row in rows[:40]]),
    ):
        for file, content in ((f"{name}.csv", rows[40:]), (f"{name}-test.csv", test)):
            with (tmp_path / file).open("w", newline="") as opened:
                csv.writer(opened).writerows([header, *content])
        run = train(
            tmp_path / f"{name}.csv", "liked", tmp_path, name, test=str(tmp_path / f"{name}-test.csv"),
            epochs=2, baselines=False,
        )  # fmt: skip
        weights.append(run.network.state_dict())
    assert all(np.array_equal(weights[0][name].numpy(), weights[1][name].numpy()) for name in weights[0])


def test_the_words_that_led_there(run: Run, reviews: Path) -> None:
    table = run.read(pd.DataFrame({"review": ["a lovely film, Lovely!"], "minutes": [0.0], "seat": ["front"]})).table
    found = occlude(
        run._forward, run.preparation, table, run.preparation.encode(table), "review", run.classes.index("yes")
    )
    effects = dict(zip(found.units, found.effects, strict=True))
    assert "".join(found.units) == "a lovely film, Lovely!"
    assert effects["lovely"] == effects["Lovely!"] > 0.2 > abs(effects["film,"]) and effects[" "] == 0


@pytest.mark.parametrize("network", ["bag", "transformer"])
def test_words_share_the_answer(network: str, reviews: Path, tmp_path: Path) -> None:
    run = train(reviews, "liked", tmp_path, network, network=network, ignore="stars", baselines=False)
    table = run.read(pd.DataFrame({"review": ["a lovely film, Lovely!"], "minutes": [0.0], "seat": ["front"]})).table
    to_answers = answer_function(run.task.kind, run.settings)
    inputs = run.preparation.encode(table)
    found = shares_of_words(run.network, to_answers, run.preparation, table, inputs, "review", run.classes.index("yes"))
    assert found is not None and "".join(found.units) == "a lovely film, Lovely!"
    effects = dict(zip(found.units, found.effects, strict=True))
    assert effects["lovely"] > 3 * abs(effects["film,"]) and effects["Lovely!"] > 0.02 and effects[" "] == 0


def test_the_report_marks_words(documents: Path, tmp_path: Path) -> None:
    """A run that had no time to learn makes mistakes to show."""
    run = train(documents, None, tmp_path, "hasty", epochs=1, learning_rate=1e-5, baselines=False)
    page = run.report.read_text()
    assert 'id="texts"' in page and "<mark class=" in page and "taken for" in page


def test_networks_that_read_no_texts_say_so(reviews: Path, documents: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="takes no texts"):
        train(reviews, "liked", tmp_path, "mlp", network="mlp")
    assert train(reviews, "liked", tmp_path, "left-out", network="mlp", ignore="review,stars", epochs=1).is_done


def test_an_estimator_takes_a_frame_with_texts(reviews: Path) -> None:
    frame = pd.read_csv(reviews).fillna("")
    features = frame[["review", "minutes", "seat"]]
    model = nudgenet.NetworkClassifier(epochs=8, threads=1).fit(features, frame["liked"])
    assert model.score(features, frame["liked"]) > 0.95
