"""The scikit-learn face: scikit-learn's own checks, and what they do not look at."""

from __future__ import annotations

import copy
import io
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, make_classification
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from nudgenet import NetworkClassifier, NetworkRegressor, Settings, in_memory
from nudgenet.errors import ColumnError, DataWarning, SettingError

FAST = {"epochs": 25, "layers": 1, "width": 16, "members": 2, "learning_rate": 0.03, "dropout": 0.0, "batch_size": 32}
CHECKED = FAST | {"epochs": 10}  # enough for the scores that scikit-learn's checks ask for


def people(num_rows: int = 240, seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """A dataframe of every kind with missing cells, and a label that follows from two of its columns."""
    random = np.random.default_rng(seed)
    city = random.choice(["Bern", "Lyon", "Turin"], num_rows).astype(object)
    age = random.uniform(18, 82, num_rows).clip(20, 80)  # all rows within the range that training sees
    label = np.where((city == "Bern") | (age > 55), "yes", "no")
    age[random.random(num_rows) < 0.1] = np.nan
    city[random.random(num_rows) < 0.05] = None
    return pd.DataFrame(
        {
            "id": np.arange(num_rows),
            "city": city,
            "age": age,
            "since": pd.Timestamp("2020-01-01") + pd.to_timedelta(random.integers(0, 900, num_rows), unit="D"),
            "plan": pd.Categorical(random.choice(["a", "b"], num_rows)),
            "active": random.random(num_rows) < 0.5,
            "country": "CH",
        }
    ), label


def weights_of(estimator: Any) -> dict[str, torch.Tensor]:
    return dict(estimator.network_.state_dict())


def same_weights(one: Any, other: Any) -> bool:
    ours, theirs = weights_of(one), weights_of(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


# --- scikit-learn's own suite ---------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::nudgenet.errors.DataWarning", "ignore:SCIPY_ARRAY_API")
@parametrize_with_checks([NetworkClassifier(**CHECKED), NetworkRegressor(**CHECKED)])
def test_scikit_learn_checks(estimator: Any, check: Any) -> None:
    check(estimator)


def test_array_api_checks_which_need_a_process_of_their_own() -> None:
    code = f"""
from sklearn.utils.estimator_checks import estimator_checks_generator
from nudgenet import NetworkClassifier, NetworkRegressor
for cls in (NetworkClassifier, NetworkRegressor):
    for estimator, check in estimator_checks_generator(cls(**{CHECKED!r})):
        if "array_api" in str(check):
            check(estimator)
            print("passed")
"""
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    # Older versions of scikit-learn have no such check: then there is nothing that could pass.
    assert done.stdout.split() in (["passed"] * 2, [])


# --- keywords -------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [NetworkClassifier(), NetworkRegressor()])
def test_keywords_are_settings_with_their_defaults(estimator: Any) -> None:
    keywords = estimator.get_params()
    assert keywords.pop("random_state") == Settings.model_fields["seed"].default
    assert keywords == {name: Settings.model_fields[name].default for name in keywords}
    elsewhere = {
        "target",
        "task",
        "test",
        "test_share",
        "group",
        "time",
        "ignore",
        "header",
        "encoding",
        "keep_data",
        "seed",
        "kinds",
        "augment",  # images, sounds and texts of files are for runs
        "image_size",
        "sound_rate",
        "sound_seconds",
        "start_from",
        "unfreeze",
        "frozen_epochs",
        "lora",
    }
    for_classes = set()
    if not isinstance(estimator, NetworkClassifier):
        for_classes = {"label_smoothing", "class_weights", "calibrate", "threshold"}
    # A setting that is new must be given to the estimators, or named here.
    of_a_run = {"baselines", "baseline_rows", "score_test", "record"}
    assert set(Settings.model_fields) - set(keywords) == elsewhere | of_a_run | for_classes


def test_clone_takes_the_keywords_and_nothing_that_was_learned() -> None:
    X, y = load_iris(return_X_y=True)
    model = NetworkClassifier(**FAST, class_weights="balanced").fit(X, y)
    twin = clone(model)
    assert twin.get_params() == model.get_params()
    with pytest.raises(NotFittedError):
        twin.predict(X)
    assert not hasattr(twin, "network_")


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"activation": "rely"}, "activation"),
        ({"dropout": 1.5}, "dropout"),
        ({"optimizer": "adm"}, "Did you mean `adam`"),
        ({"network": "mpl"}, "Did you mean `mlp`"),
        ({"objective": "mse"}, "does not fit a multiclass task"),
    ],
)
def test_a_wrong_keyword_is_one_clear_error(keywords: dict[str, Any], words: str) -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(SettingError, match=words):
        NetworkClassifier(**keywords).fit(X, y)


# --- how well it predicts -------------------------------------------------------------------------


def test_classifier_is_as_good_as_scikit_learns() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    ours = cross_val_score(NetworkClassifier(), X, y, cv=2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs = cross_val_score(make_pipeline(StandardScaler(), MLPClassifier(random_state=0)), X, y, cv=2)
    assert ours.mean() > theirs.mean() - 0.015


def test_regressor_is_as_good_as_a_linear_model() -> None:
    X, y = load_diabetes(return_X_y=True)
    ours = cross_val_score(NetworkRegressor(), X, y, cv=2)
    assert ours.mean() > cross_val_score(Ridge(0.01), X, y, cv=2).mean() - 0.05


@pytest.mark.parametrize(
    "labels",
    [["a", "b", "c"], [7, -3, 11], [10**15, 10**15 + 1, 0], ["NA", "", "?"]],
    ids=["text", "numbers", "large", "missing markers"],
)
def test_labels_come_back_as_they_were(labels: list[Any]) -> None:
    X, y = load_iris(return_X_y=True)
    model = NetworkClassifier(**FAST).fit(X, np.array(labels)[y])
    assert model.classes_.tolist() == sorted(labels)
    assert model.score(X, np.array(labels)[y]) > 0.9
    probabilities = model.predict_proba(X)
    assert probabilities.shape == (150, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), probabilities)


def test_two_classes_of_booleans() -> None:
    X, y = load_iris(return_X_y=True)
    model = NetworkClassifier(**FAST).fit(X, y == 0)
    assert model.predict(X).dtype == bool
    assert model.score(X, y == 0) == 1


# --- one seed, one network ------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bits() -> None:
    X, y = load_iris(return_X_y=True)
    model = NetworkClassifier(**FAST, random_state=3).fit(X, y)
    assert same_weights(model, NetworkClassifier(**FAST, random_state=3).fit(X, y))
    assert not same_weights(model, NetworkClassifier(**FAST, random_state=4).fit(X, y))


def test_the_order_of_rows_does_not_matter() -> None:
    X, y = people()
    order = np.random.default_rng(1).permutation(len(y))
    assert same_weights(NetworkClassifier(**FAST).fit(X, y), NetworkClassifier(**FAST).fit(X.iloc[order], y[order]))


def test_random_state_may_be_a_generator_or_none() -> None:
    X, y = load_iris(return_X_y=True)
    fast = FAST | {"epochs": 2}
    one = NetworkClassifier(**fast, random_state=np.random.RandomState(5)).fit(X, y)
    assert same_weights(one, NetworkClassifier(**fast, random_state=np.random.RandomState(5)).fit(X, y))
    before = np.random.get_state()
    try:
        np.random.seed(5)  # what None draws from, as everywhere in scikit-learn
        assert same_weights(one, NetworkClassifier(**fast, random_state=None).fit(X, y))
        assert not same_weights(one, NetworkClassifier(**fast, random_state=None).fit(X, y))
    finally:
        np.random.set_state(before)


def test_the_callers_random_state_and_threads_are_left_alone() -> None:
    X, y = load_iris(return_X_y=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        before = torch.get_rng_state()
        model = NetworkClassifier(**FAST, threads=1).fit(X, y)
        copy.deepcopy(model).predict(X)
        assert torch.equal(torch.get_rng_state(), before)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_trainings_in_threads_do_not_disturb_each_other() -> None:
    X, y = load_iris(return_X_y=True)
    alone = [NetworkClassifier(**FAST | {"dropout": 0.3}, random_state=seed).fit(X, y) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda model: clone(model).fit(X, y), alone))
    assert all(map(same_weights, alone, together))


def test_an_answer_does_not_depend_on_the_rows_beside_it() -> None:
    X, y = load_diabetes(return_X_y=True)
    model = NetworkRegressor(**FAST | {"width": 100, "members": 8}, normalisation="layer").fit(X, y)
    together = model.predict(X[:60])
    alone = [model.predict(row[None])[0] for row in X[:60]]
    np.testing.assert_allclose(together, alone, rtol=1e-12)


# --- dataframes and arrays ------------------------------------------------------------------------


def test_a_dataframe_with_categories_dates_and_missing_cells() -> None:
    X, y = people()
    model = NetworkClassifier(**FAST).fit(X, y)
    new_rows, new_labels = people(seed=1)
    assert model.score(new_rows, new_labels) > 0.85
    assert list(model.feature_names_in_) == list(X.columns)
    decisions = {decision.what: decision.chosen for decision in model.decisions_}
    assert decisions["column `id`"] == "left out: identifier"
    assert decisions["column `country`"] == "left out: constant"
    assert "`city`" in decisions["missing values"]
    assert "`since`" in decisions["dates"]


def test_polars_and_pandas_give_the_same_network() -> None:
    X, y = people()
    model = NetworkClassifier(**FAST).fit(X, y)
    polars = NetworkClassifier(**FAST).fit(pl.from_pandas(X), pl.Series(y))
    assert same_weights(model, polars)
    np.testing.assert_array_equal(polars.predict_proba(pl.from_pandas(X)), model.predict_proba(X))


def test_an_array_with_text_is_read_like_a_frame() -> None:
    X, y = people()
    cells = X[["city", "age", "plan"]].astype(object).to_numpy()
    model = NetworkClassifier(**FAST).fit(cells, y)
    assert model.score(cells, y) > 0.85
    assert not hasattr(model, "feature_names_in_")


def test_rows_unlike_those_of_training_are_counted_or_refused() -> None:
    X, y = people()
    model = NetworkClassifier(**FAST).fit(X, y)
    with pytest.warns(DataWarning, match=r"^3 rows have a `city` never seen in training$"):
        model.predict(X.assign(city=["Oslo"] * 3 + list(X["city"][3:])))
    with pytest.raises(ColumnError, match="`age` held numbers"):
        model.predict(X.assign(age="old"))
    with pytest.raises(ValueError, match="yet now missing"):
        model.predict(X.drop(columns="age"))


def test_no_column_of_an_array_of_numbers_is_left_out() -> None:
    X, y = load_iris(return_X_y=True)
    odd = np.column_stack([np.arange(150), np.ones(150), np.full(150, np.nan), X])
    odd[::9, 4] = np.nan
    model = NetworkClassifier(**FAST | {"network": "mlp", "members": None}).fit(odd, y)
    first_layer = model.network_.layers[0].sum
    assert first_layer.in_features == 7 + 2  # and two that say where cells were missing
    assert model.score(odd, y) > 0.9
    with pytest.raises(ValueError, match="infinity"):
        model.predict(np.full((1, 7), np.inf))


# --- inside scikit-learn --------------------------------------------------------------------------


def test_grid_search_in_a_pipeline() -> None:
    X, y = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), NetworkClassifier(**FAST))
    grid = {"networkclassifier__learning_rate": [1e-6, 0.03], "networkclassifier__width": np.array([16])}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    assert search.best_params_["networkclassifier__learning_rate"] == 0.03
    assert search.score(X, y) > 0.9


def test_cross_validation_in_two_processes() -> None:
    X, y = load_iris(return_X_y=True)
    model = NetworkClassifier(**FAST | {"epochs": 3})
    np.testing.assert_array_equal(cross_val_score(model, X, y, cv=2, n_jobs=2), cross_val_score(model, X, y, cv=2))


@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"normalisation": "batch", "ema": 0.9},
        {"network": "mlp", "members": None},
        {"layers": 0, "members": None},
    ],
)
def test_predictions_survive_a_round_trip(keywords: dict[str, Any]) -> None:
    X, y = people()
    model = NetworkClassifier(**FAST | keywords).fit(X, y)
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    for twin in (joblib.load(file), copy.deepcopy(model)):
        np.testing.assert_array_equal(twin.predict_proba(X), model.predict_proba(X))
        assert same_weights(twin, model)
        assert twin.epochs_ == model.epochs_
        assert twin.decisions_ == model.decisions_
        assert twin.classes_.tolist() == ["no", "yes"]


def test_what_is_handed_over_is_bytes() -> None:
    X, y = load_iris(return_X_y=True)
    trained = NetworkClassifier(**FAST).fit(X, y).__getstate__()["_trained"]
    assert {type(value) for value in trained.values()} == {bytes}
    with pytest.raises(ValueError, match="format 99"):
        NetworkClassifier().__setstate__({"_trained": {"record": b'{"format_version": 99}', "weights": b""}})


def test_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    X, y = load_iris(return_X_y=True)
    NetworkClassifier(**FAST).fit(X, y).predict(X)
    assert list(tmp_path.iterdir()) == []


def test_the_curves() -> None:
    X, y = load_iris(return_X_y=True)
    model = NetworkClassifier(**FAST, patience=100).fit(X, y)
    assert model.n_iter_ == len(model.epochs_) == FAST["epochs"]
    assert model.loss_curve_ == [epoch.train_loss for epoch in model.epochs_]
    assert model.validation_curve_[-1] < model.validation_curve_[0]
    assert isinstance(model.network_, torch.nn.Module)
    assert not model.network_.training


# --- weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [False, True])
def test_whole_weights_are_copies_of_rows(frame: bool) -> None:
    X, y = people(120) if frame else make_classification(120, random_state=0)
    counts = np.random.default_rng(0).integers(0, 4, 120)
    rows = np.repeat(np.arange(120), counts)
    weighted = NetworkClassifier(**FAST).fit(X, y, counts)
    repeated = NetworkClassifier(**FAST).fit(X.iloc[rows] if frame else X[rows], y[rows])
    assert same_weights(weighted, repeated)


@pytest.mark.parametrize("most_copies", [100_000, 0], ids=["as copies", "in the loss"])
@pytest.mark.parametrize("unit", [1.0, 0.3])
def test_weights_pull_the_answer(most_copies: int, unit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal rows with contradicting targets: the best answer is their weighted mean."""
    monkeypatch.setattr(in_memory, "MOST_COPIES", most_copies)
    X = np.repeat([[0.0], [1.0]], 100, axis=0)
    y = np.tile([0.0, 1.0], 100)
    weights = np.where(y == 1, 3, 1) * unit
    model = NetworkRegressor(**FAST | {"epochs": 60}).fit(X, y, weights)
    np.testing.assert_allclose(model.predict([[0.0], [1.0]]), 0.75, atol=0.02)


def test_weights_in_the_loss_count_in_validation_too() -> None:
    X, y = load_diabetes(return_X_y=True)
    weights = np.random.default_rng(0).uniform(0.1, 2, len(y))
    model = NetworkRegressor(**FAST | {"epochs": 2}).fit(X, y, weights)
    doubled = NetworkRegressor(**FAST | {"epochs": 2}).fit(X, y, weights * 2)
    np.testing.assert_allclose(doubled.validation_curve_, model.validation_curve_, rtol=1e-5)  # only ratios matter
    unweighted = NetworkRegressor(**FAST | {"epochs": 2}).fit(X, y)
    assert abs(unweighted.validation_curve_[0] - model.validation_curve_[0]) > 1e-3


@pytest.mark.parametrize(
    ("weights", "words"),
    [(np.zeros(150), "non-zero"), (np.full(150, -1.0), "[Nn]egative"), (np.ones(149), "shape")],
)
def test_weights_that_cannot_be(weights: np.ndarray, words: str) -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match=words):
        NetworkClassifier(**FAST).fit(X, y, weights)


# --- little to learn from -------------------------------------------------------------------------


def split_of(model: Any) -> str:
    return next(decision.chosen for decision in model.decisions_ if decision.what == "split")


def test_few_rows_validate_themselves() -> None:
    X, y = load_iris(return_X_y=True)
    assert split_of(NetworkClassifier(**FAST).fit(X[::5], y[::5])) == "all 30 rows train, and the same rows validate"
    copies = NetworkClassifier(**FAST).fit(np.repeat(X[::5], 4, axis=0), np.repeat(y[::5], 4))
    assert split_of(copies) == "all 120 rows train, and the same rows validate"
    assert split_of(NetworkClassifier(**FAST).fit(X, y)).endswith("/ 0 rows to train / validate / test")


def test_the_share_for_validation_can_be_set() -> None:
    X, y = make_classification(200, random_state=0)
    model = NetworkClassifier(**FAST, validation_share=0.4).fit(X, y)
    assert split_of(model) == "120 / 80 / 0 rows to train / validate / test"


def test_a_number_that_never_changes() -> None:
    X, _ = load_iris(return_X_y=True)
    model = NetworkRegressor(**FAST).fit(X, np.full(150, 7.0))
    np.testing.assert_allclose(model.predict(X), 7, atol=0.2)


def test_one_class_cannot_be_told_apart() -> None:
    X, y = load_iris(return_X_y=True)
    with pytest.raises(ValueError, match="one class"):
        NetworkClassifier(**FAST).fit(X, np.zeros(150))
    with pytest.raises(ValueError, match="one class"):
        NetworkClassifier(**FAST).fit(X, y, y == 1)


def test_a_class_without_weight_keeps_its_place() -> None:
    X, y = load_iris(return_X_y=True)
    model = NetworkClassifier(**FAST).fit(X, y, y != 1)
    assert model.predict_proba(X).shape == (150, 3)
    assert set(model.predict(X[y != 1])) == {0, 2}


def test_a_training_that_diverges_says_so() -> None:
    X, y = load_diabetes(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="learning rate"):
        NetworkRegressor(epochs=3, optimizer="sgd", learning_rate=1e20, clip=None, warmup=0).fit(X, y)


def test_a_time_limit_is_kept() -> None:
    X, y = load_diabetes(return_X_y=True)
    model = NetworkRegressor(**FAST | {"epochs": 100_000}, patience=100_000, time_limit=0.3).fit(X, y)
    assert 0 < model.n_iter_ < 100_000
