"""Baselines equal direct scikit-learn fits, and survive what a table may hold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_info, threadpool_limits

from nudgenet.records import TaskKind
from nudgenet.scoring import baselines
from nudgenet.scoring.baselines import Baseline, TableArrays, fit_baselines
from nudgenet.scoring.metrics import score


def make_part(seed: int, num_rows: int, kind: TaskKind, *, weighted: bool = False, levels: int = 4) -> TableArrays:
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(num_rows, 3)).astype(np.float32)
    categories = random.integers(0, levels, size=(num_rows, 2))
    signal = numbers[:, 0] * 2 + (categories[:, 0] == 1) + 0.5 * random.normal(size=num_rows)
    targets: Any = 1e6 * signal
    if kind != "regression":
        targets = np.digitize(signal, [0.0] if kind == "binary" else [-1.0, 1.0])
    weights = random.random(num_rows) + 0.1 if weighted else None
    return TableArrays(numbers, categories, (levels, levels), targets, weights)


def make_parts(kind: TaskKind, **options: Any) -> dict[str, TableArrays]:
    sizes = {"train": 300, "validation": 80, "test": 50}
    return {name: make_part(i, size, kind, **options) for i, (name, size) in enumerate(sizes.items())}


def fit(kind: TaskKind, parts: dict[str, TableArrays], num_classes: int = 3) -> dict[str, Baseline]:
    found = fit_baselines(kind, parts, num_classes=2 if kind == "binary" else num_classes, seed=0)
    return {baseline.name: baseline for baseline in found}


def one_hot(part: TableArrays) -> np.ndarray:
    return np.hstack(
        [part.numbers.astype(float), *(np.eye(n)[part.categories[:, i]] for i, n in enumerate(part.cardinalities))]
    )


def raw(part: TableArrays) -> np.ndarray:
    return np.hstack([part.numbers.astype(float), part.categories])


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The direct fits, like ours, must not wait for other programs on a busy machine."""
    with threadpool_limits(1):
        yield


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
@pytest.mark.parametrize("weighted", [False, True])
def test_class_baselines_equal_direct_fits(kind: TaskKind, weighted: bool) -> None:
    parts = make_parts(kind, weighted=weighted)
    found = fit(kind, parts)
    train, test = parts["train"], parts["test"]
    assert list(found) == ["majority", "linear", "boosting"]
    direct = {
        "majority": (DummyClassifier(strategy="prior"), raw),
        "linear": (LogisticRegression(max_iter=1000), one_hot),
        "boosting": (HistGradientBoostingClassifier(random_state=0, categorical_features=[3, 4]), raw),
    }
    for name, (model, encode) in direct.items():
        model.fit(encode(train), train.targets, sample_weight=train.weights)
        np.testing.assert_allclose(found[name].test, model.predict_proba(encode(test)), atol=1e-6)
        assert found[name].validation.shape == (80, 2 if kind == "binary" else 3)
        assert found[name].seconds > 0
    assert score(kind, test.targets, found["linear"].test)["accuracy"] > 0.75


@pytest.mark.parametrize("weighted", [False, True])
def test_number_baselines_equal_direct_fits(weighted: bool) -> None:
    parts = make_parts("regression", weighted=weighted)
    found = fit("regression", parts)
    train, test = parts["train"], parts["test"]
    assert list(found) == ["mean", "linear", "boosting"]
    np.testing.assert_allclose(found["mean"].test, np.average(train.targets, weights=train.weights))
    ridge = Ridge().fit(one_hot(train), train.targets, sample_weight=train.weights)
    np.testing.assert_allclose(found["linear"].test, ridge.predict(one_hot(test)), rtol=1e-6)
    boosting = HistGradientBoostingRegressor(random_state=0, categorical_features=[3, 4])
    boosting.fit(raw(train), train.targets, sample_weight=train.weights)
    spread = train.targets.std()
    np.testing.assert_allclose(found["boosting"].test, boosting.predict(raw(test)), atol=1e-3 * spread)


def test_tiny_targets_are_learned_as_well_as_large_ones() -> None:
    parts = make_parts("regression")
    small = {
        name: TableArrays(p.numbers, p.categories, p.cardinalities, p.targets * 1e-18) for name, p in parts.items()
    }
    for name, baseline in fit("regression", small).items():
        np.testing.assert_allclose(baseline.test * 1e18, fit("regression", parts)[name].test, rtol=1e-4)


def test_many_levels_go_through_a_sparse_matrix_and_ordinal_codes() -> None:
    parts = make_parts("binary", levels=400)
    found = fit("binary", parts)
    train, test = parts["train"], parts["test"]
    direct = LogisticRegression(max_iter=1000).fit(one_hot(train), train.targets)
    np.testing.assert_allclose(found["linear"].test, direct.predict_proba(one_hot(test)), atol=1e-3)
    assert np.isfinite(found["boosting"].test).all()


def test_a_class_that_training_lacks_still_has_its_column() -> None:
    parts = make_parts("multiclass")
    for baseline in fit("multiclass", parts, num_classes=5).values():
        assert baseline.test.shape == (50, 5)
        np.testing.assert_allclose(baseline.test.sum(axis=1), 1)
        assert baseline.test[:, 3:] == pytest.approx(0.5 / 301)  # as half a row would have: not impossible


def test_nothing_to_learn_from_gives_the_same_answer_everywhere() -> None:
    parts = make_parts("binary")
    bare = {n: TableArrays(p.numbers[:, :0], p.categories[:, :0], (), p.targets) for n, p in parts.items()}
    one_class = {
        n: TableArrays(p.numbers, p.categories, p.cardinalities, np.zeros_like(p.targets)) for n, p in parts.items()
    }
    for case in (bare, one_class):
        found = fit("binary", case)
        for baseline in found.values():
            np.testing.assert_array_equal(baseline.test, found["majority"].test)


@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_parts_without_rows(kind: TaskKind) -> None:
    parts = make_parts(kind)
    parts["test"] = make_part(9, 0, kind)
    for baseline in fit(kind, parts).values():
        assert len(baseline.test) == 0
        assert baseline.test.ndim == baseline.validation.ndim
        assert len(baseline.validation) == 80


def test_a_single_row_of_a_class_in_a_large_table() -> None:
    """Above 10,000 rows the library holds rows out by class, which one row cannot be."""
    parts = make_parts("multiclass")
    train = make_part(0, 10_500, "binary")
    train.targets[7] = 2
    found = fit("multiclass", parts | {"train": train})
    assert np.isfinite(found["boosting"].test).all()


def test_large_tables_are_sampled_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "MAX_CELLS", 6000)
    monkeypatch.setattr(baselines, "MAX_TREES", 60)
    parts = make_parts("multiclass") | {"train": make_part(0, 3000, "multiclass")}
    parts["train"].targets[5] = 3  # the only row of its class: it must survive the sample
    found = fit("multiclass", parts, num_classes=4)
    for name in ("linear", "boosting"):
        assert "of 3,000 training rows" in found[name].description
        assert (found[name].test[:, 3] > 0).all()
    assert "stopped after 15 iterations" in found["boosting"].description
    assert found["boosting"].note.endswith("of 3,000 training rows; stopped after 15 iterations")
    assert found["majority"].note == ""


def test_rows_that_were_left_out_before_are_said_too() -> None:
    found = fit_baselines("binary", make_parts("binary"), num_classes=2, seed=0, num_rows=900)
    notes = {baseline.name: baseline.note for baseline in found}
    assert notes == {"majority": "", **dict.fromkeys(("linear", "boosting"), "fitted on 300 of 900 training rows")}


def test_wide_tables_get_fewer_boosting_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "MAX_BOOSTING_WORK", 37_500)
    found = fit("binary", make_parts("binary"))
    assert "stopped after 50 iterations" in found["boosting"].description


def test_stubborn_columns_end_quietly_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "MAX_LINEAR_WORK", 0)
    parts = make_parts("multiclass")
    numbers = parts["train"].numbers * np.array([1, 1e6, 1e-6], dtype=np.float32)
    parts["train"] = TableArrays(numbers, parts["train"].categories, (4, 4), parts["train"].targets)
    assert "stopped after 50 iterations" in fit("multiclass", parts)["linear"].description


def test_the_same_seed_gives_the_same_baselines_and_threads_are_left_alone() -> None:
    parts = make_parts("binary") | {"train": make_part(0, 10_500, "binary")}
    with threadpool_limits(3):
        threads = [pool["num_threads"] for pool in threadpool_info()]
        first, second = fit("binary", parts), fit("binary", parts)
        assert [pool["num_threads"] for pool in threadpool_info()] == threads
    for name in first:
        np.testing.assert_array_equal(first[name].test, second[name].test)
    big_seed = list(fit_baselines("binary", parts, num_classes=2, seed=2**62))
    assert len(big_seed) == 3


def test_they_come_one_by_one_in_their_order() -> None:
    fitted = fit_baselines("binary", make_parts("binary"), num_classes=2, seed=0)
    assert [baseline.name for baseline in fitted] == ["majority", "linear", "boosting"]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 30), st.sampled_from(["binary", "multiclass", "regression"]))
def test_tiny_tables_give_finite_predictions(seed: int, num_rows: int, kind: TaskKind) -> None:
    parts = make_parts(kind) | {"train": make_part(seed, num_rows, kind)}
    for baseline in fit(kind, parts).values():
        assert np.isfinite(baseline.test).all()
