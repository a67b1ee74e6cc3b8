"""Every metric against scikit-learn, with ties and weights; undefined ones are left out."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from nudgenet.errors import SettingError
from nudgenet.records import TaskKind
from nudgenet.scoring.metrics import (
    LOWER_IS_BETTER,
    METRICS,
    MOST_RANKED_CLASSES,
    choose_metric,
    primary_metric,
    row_losses,
    score,
    weighted_metric,
)


def make_classes(seed: int, num_rows: int, num_classes: int, *, ties: bool) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    targets = random.integers(0, num_classes, num_rows)
    targets[:2] = [0, 1]
    probabilities = random.dirichlet(np.ones(num_classes), num_rows)
    if ties:
        probabilities = np.round(probabilities * 4) + 0.5
        probabilities /= probabilities.sum(axis=1, keepdims=True)
    return targets, probabilities, random.choice([0.0, 0.5, 1.0, 3.0], num_rows) + 0.01


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 200), st.booleans(), st.booleans())
def test_binary_scores_equal_scikit_learn(seed: int, num_rows: int, ties: bool, weighted: bool) -> None:
    targets, probabilities, weights = make_classes(seed, num_rows, 2, ties=ties)
    weights = weights if weighted else None
    found = score("binary", targets, probabilities, weights)
    hard = probabilities.argmax(axis=1)
    options = {"sample_weight": weights}
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(targets, hard, **options))
    assert found["auc"] == pytest.approx(reference.roc_auc_score(targets, probabilities[:, 1], **options))
    assert found["f1"] == pytest.approx(reference.f1_score(targets, hard, **options))
    assert found["log_loss"] == pytest.approx(reference.log_loss(targets, probabilities, **options))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 200), st.integers(3, 8), st.booleans())
def test_multiclass_scores_equal_scikit_learn(seed: int, num_rows: int, num_classes: int, weighted: bool) -> None:
    targets, probabilities, weights = make_classes(seed, num_rows, num_classes, ties=False)
    options = {"sample_weight": weights if weighted else None}
    hard = probabilities.argmax(axis=1)
    areas = [
        reference.roc_auc_score(targets == index, probabilities[:, index], **options) for index in np.unique(targets)
    ]
    assert score("multiclass", targets, probabilities, options["sample_weight"]) == pytest.approx(
        {
            "auc": np.mean(areas),
            "accuracy": reference.accuracy_score(targets, hard, **options),
            "f1": reference.f1_score(targets, hard, average="macro", **options),
            "log_loss": reference.log_loss(targets, probabilities, labels=range(num_classes), **options),
        }
    )


def test_the_area_of_many_classes_is_scikit_learns() -> None:
    targets, probabilities, weights = make_classes(1, 300, 6, ties=True)
    expected = reference.roc_auc_score(targets, probabilities, multi_class="ovr", sample_weight=weights)
    assert score("multiclass", targets, probabilities, weights)["auc"] == pytest.approx(expected)
    num_classes = MOST_RANKED_CLASSES + 1
    targets, probabilities, _ = make_classes(1, 300, num_classes, ties=False)
    assert set(score("multiclass", targets, probabilities)) == {"accuracy", "f1", "log_loss"}


def test_a_threshold_moves_what_judges_the_answers_and_nothing_else() -> None:
    targets, probabilities, _ = make_classes(2, 200, 2, ties=False)
    plain, strict = score("binary", targets, probabilities), score("binary", targets, probabilities, threshold=0.8)
    answers = probabilities[:, 1] > 0.8
    assert strict["accuracy"] == pytest.approx(reference.accuracy_score(targets, answers)) != plain["accuracy"]
    assert strict["f1"] == pytest.approx(reference.f1_score(targets, answers)) != plain["f1"]
    assert (strict["auc"], strict["log_loss"]) == (plain["auc"], plain["log_loss"])
    three = make_classes(2, 200, 3, ties=False)[:2]
    assert score("multiclass", *three, threshold=0.8) == score("multiclass", *three)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 200), st.sampled_from([1e-9, 1.0, 1e9]), st.booleans())
def test_regression_scores_equal_scikit_learn(seed: int, num_rows: int, unit: float, weighted: bool) -> None:
    random = np.random.default_rng(seed)
    targets = unit * (3 + random.normal(size=num_rows))
    predictions = targets + unit * random.normal(size=num_rows)
    weights = random.random(num_rows) + 0.01 if weighted else None
    options = {"sample_weight": weights}
    assert score("regression", targets, predictions, weights) == pytest.approx(
        {
            "rmse": reference.root_mean_squared_error(targets, predictions, **options),
            "mae": reference.mean_absolute_error(targets, predictions, **options),
            "r2": reference.r2_score(targets, predictions, **options),
        },
        rel=1e-6,
    )


@pytest.mark.parametrize("kind", METRICS)
def test_many_weightings_at_once_equal_one_at_a_time(kind: TaskKind) -> None:
    targets, predictions, _ = make_classes(0, 50, 2 if kind == "binary" else 4, ties=True)
    if kind == "regression":
        targets, predictions = targets.astype(float), predictions[:, 0]
    weights = np.random.default_rng(1).integers(0, 4, size=(7, 50)).astype(float)
    for name in METRICS[kind]:
        together = weighted_metric(kind, name, targets, predictions, weights)
        apart = [weighted_metric(kind, name, targets, predictions, row) for row in weights]
        np.testing.assert_allclose(together, apart)


def test_undefined_metrics_are_left_out() -> None:
    one_class = score("binary", np.ones(3, dtype=int), np.tile([0.4, 0.6], (3, 1)))
    assert set(one_class) == {"accuracy", "f1", "log_loss"}
    no_positive = score("binary", np.zeros(3, dtype=int), np.tile([0.6, 0.4], (3, 1)))
    assert set(no_positive) == {"accuracy", "log_loss"}
    assert set(score("regression", np.full(5, 0.1), np.arange(5.0))) == {"rmse", "mae"}
    assert score("binary", np.zeros(0, dtype=int), np.zeros((0, 2))) == {}
    assert score("regression", np.arange(3.0), np.array([0, 1, math.nan])) == {}
    assert set(score("regression", np.array([0.0, 1e300]), np.array([1.0, -1e300]))) == {"mae"}
    assert score("regression", np.arange(3.0), np.arange(3.0), np.zeros(3)) == {}


def test_certain_and_wrong_costs_much_but_not_infinity() -> None:
    found = score("binary", np.array([0, 1]), np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert found["log_loss"] == pytest.approx(-math.log(1e-7))
    assert score("binary", np.array([0]), np.array([[1.0, 0.0]]))["log_loss"] == 0


def test_row_losses_average_to_the_score() -> None:
    targets, probabilities, _ = make_classes(3, 40, 3, ties=False)
    losses = row_losses("multiclass", targets, probabilities)
    assert losses.shape == (40,)
    assert losses.mean() == pytest.approx(score("multiclass", targets, probabilities)["log_loss"])
    np.testing.assert_allclose(row_losses("regression", np.array([1.0, 2.0]), np.array([3.0, 2.0])), [4.0, 0.0])


def test_primary_metric_is_one_of_the_tables() -> None:
    assert {kind: primary_metric(kind) for kind in METRICS} == {
        "binary": "accuracy",
        "multiclass": "accuracy",
        "regression": "rmse",
    }
    assert {name for table in METRICS.values() for name in table} >= LOWER_IS_BETTER


# ------------------------------------------------------------------ the metric that counts


@pytest.mark.parametrize(
    ("num_second", "metric"), [(9, "f1"), (10, "accuracy"), (50, "accuracy"), (90, "accuracy"), (91, "auc"), (0, "f1")]
)
def test_a_rare_class_changes_the_metric_that_counts(num_second: int, metric: str) -> None:
    targets = np.repeat([0, 1], [100 - num_second, num_second])
    name, decisions = choose_metric("binary", None, targets, ("no", "yes"))
    assert (name, decisions[0].chosen) == (metric, metric)
    assert ("rare" in decisions[0].why) == (metric == "accuracy")
    assert ("`yes`" in decisions[0].why) == (metric != "accuracy")  # F1 judges it, whichever is rare
    assert "--set metric=log_loss" in decisions[0].override
    assert choose_metric("binary", "log_loss", targets, ("no", "yes"))[0] == "log_loss"


def test_the_metric_that_counts_must_fit_the_task() -> None:
    assert choose_metric("multiclass", None, np.zeros(99, int), "abc")[0] == "accuracy"
    assert choose_metric("regression", "mae", np.zeros(3), ())[0] == "mae"
    with pytest.raises(SettingError, match=r"`auc` does not fit a regression task. Use one of: rmse, mae, r2"):
        choose_metric("regression", "auc", np.zeros(3), ())
    with pytest.raises(SettingError, match=r"`r2` does not fit a multiclass task with 3 classes. Use one of: acc"):
        choose_metric("multiclass", "r2", np.zeros(3, int), "abc")
    with pytest.raises(SettingError, match="does not fit a multiclass task with 51 classes"):
        choose_metric("multiclass", "auc", np.zeros(3, int), range(51))
    with pytest.raises(SettingError, match=r"There is no metric `logloss`.*log_loss"):
        choose_metric("binary", "logloss", np.zeros(3, int), "ab")
