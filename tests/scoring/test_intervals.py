"""Bootstrap intervals: they cover, they repeat, and a paired difference is honest about ties."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats

from nudgenet.records import TaskKind
from nudgenet.scoring.intervals import Comparison, Interval, assess, interval_of, resample_counts
from nudgenet.scoring.metrics import METRICS, Array, score


def make_binary(random: np.random.Generator, num_rows: int, skill: float = 1.0) -> tuple[Array, Array]:
    targets = random.integers(0, 2, num_rows)
    positive = 1 / (1 + np.exp(-skill * (2 * targets - 1) - random.normal(size=num_rows)))
    return targets, np.column_stack([1 - positive, positive])


def bootstrap(
    kind: TaskKind, targets: Array, predictions: Array, *, seed: int, num_resamples: int = 1000
) -> dict[str, Interval]:
    metric = next(iter(METRICS[kind]))
    return assess(kind, targets, predictions, {}, metric=metric, seed=seed, num_resamples=num_resamples)[0]


def compare(
    kind: TaskKind, targets: Array, ours: Array, theirs: Array, *, metric: str, seed: int, num_resamples: int = 1000
) -> Comparison:
    found = assess(kind, targets, ours, {"rival": theirs}, metric=metric, seed=seed, num_resamples=num_resamples)
    return found[1][0]


def test_resamples_draw_rows_with_replacement() -> None:
    blocks = list(resample_counts(400, seed=0, num_resamples=3000))
    counts = np.concatenate(blocks)
    assert counts.shape == (3000, 400)
    assert (counts.sum(axis=1) == 400).all()
    assert counts.var() == pytest.approx(1 - 1 / 400, rel=0.01)  # binomial(400, 1/400)
    assert len(np.unique(counts[:, 0])) > 3
    assert list(resample_counts(0, seed=0, num_resamples=10)) == []
    assert sum(len(block) for block in resample_counts(500_000, seed=0, num_resamples=1000)) == 100


@pytest.mark.parametrize("metric", ["accuracy", "auc", "log_loss"])
def test_intervals_cover_the_true_score(metric: str) -> None:
    random = np.random.default_rng(0)
    truth = score("binary", *make_binary(random, 200_000))[metric]
    covered = 0
    for trial in range(200):
        interval = bootstrap("binary", *make_binary(random, 150), seed=trial, num_resamples=200)[metric]
        covered += interval.low <= truth <= interval.high
    assert 0.90 <= covered / 200 <= 0.99


def test_interval_of_a_mean_is_the_textbook_one() -> None:
    random = np.random.default_rng(1)
    errors = random.exponential(size=2000)
    interval = bootstrap("regression", np.zeros(2000), errors, seed=0)["mae"]
    half_width = 1.96 * errors.std() / np.sqrt(2000)
    assert interval.low == pytest.approx(errors.mean() - half_width, abs=0.1 * half_width)
    assert interval.high == pytest.approx(errors.mean() + half_width, abs=0.1 * half_width)


def test_intervals_repeat_with_the_seed() -> None:
    targets, predictions = make_binary(np.random.default_rng(2), 100)
    assert bootstrap("binary", targets, predictions, seed=5) == bootstrap("binary", targets, predictions, seed=5)
    assert bootstrap("binary", targets, predictions, seed=5) != bootstrap("binary", targets, predictions, seed=6)
    assert bootstrap("binary", targets, predictions, seed=2**62)  # any seed of the settings


@pytest.mark.parametrize("kind", METRICS)
def test_intervals_hold_the_score(kind: TaskKind) -> None:
    random = np.random.default_rng(3)
    targets, predictions = make_binary(random, 300)
    if kind == "regression":
        targets, predictions = targets.astype(float), predictions[:, 1]
    found = score(kind, targets, predictions)
    intervals = bootstrap(kind, targets, predictions, seed=0)
    assert intervals.keys() == found.keys()
    for name, interval in intervals.items():
        assert interval.low < found[name] < interval.high


def test_no_error_on_few_rows_is_not_certainty() -> None:
    targets = np.array([0, 1] * 5)
    right, wrong = np.eye(2)[targets], np.eye(2)[1 - targets]
    exact = stats.binomtest(10, 10).proportion_ci(0.95, method="exact")
    interval = bootstrap("binary", targets, right, seed=0)["accuracy"]
    assert (interval.low, interval.high) == pytest.approx((exact.low, 1.0))
    interval = bootstrap("binary", targets, wrong, seed=0)["accuracy"]
    assert (interval.low, interval.high) == pytest.approx((0.0, 1 - exact.low))


def test_undefined_metrics_have_no_interval() -> None:
    assert "auc" not in bootstrap("binary", np.ones(20, dtype=int), np.tile([0.4, 0.6], (20, 1)), seed=0)
    assert bootstrap("regression", np.zeros(0), np.zeros(0), seed=0) == {}
    assert interval_of(np.array([1.0, np.nan, np.nan])) is None


def test_a_large_test_takes_seconds_at_most() -> None:
    targets, predictions = make_binary(np.random.default_rng(4), 10_000)
    start = time.process_time()
    bootstrap("binary", targets, predictions, seed=0)
    assert time.process_time() - start < 4


def test_identical_predictions_are_too_close_to_call() -> None:
    targets, predictions = make_binary(np.random.default_rng(5), 200)
    for metric in METRICS["binary"]:
        found = compare("binary", targets, predictions, predictions, metric=metric, seed=0)
        assert (found.difference, found.verdict) == (0.0, "too close to call")
        assert found.interval.low == found.interval.high == 0


@pytest.mark.parametrize("metric", ["accuracy", "log_loss"])
def test_better_and_worse_know_the_direction_of_the_metric(metric: str) -> None:
    random = np.random.default_rng(6)
    targets, strong = make_binary(random, 500, skill=2.0)
    weak = np.tile([0.5, 0.5], (500, 1))
    ours_better = compare("binary", targets, strong, weak, metric=metric, seed=0)
    ours_worse = compare("binary", targets, weak, strong, metric=metric, seed=0)
    assert (ours_better.verdict, ours_worse.verdict) == ("better", "worse")
    assert ours_better.difference == -ours_worse.difference
    assert ours_better.other == "rival"


def test_pairing_finds_a_small_difference_that_two_intervals_hide() -> None:
    random = np.random.default_rng(7)
    targets = 10 * random.normal(size=300)
    errors = 10 * random.normal(size=300)
    ours, theirs = targets + 0.97 * errors, targets + errors
    separate = (
        bootstrap("regression", targets, ours, seed=0)["rmse"],
        bootstrap("regression", targets, theirs, seed=0)["rmse"],
    )
    assert separate[0].high > separate[1].low  # they overlap
    assert compare("regression", targets, ours, theirs, metric="rmse", seed=0).verdict == "better"


def test_equally_good_models_are_rarely_told_apart() -> None:
    random = np.random.default_rng(8)
    called = 0
    for trial in range(100):
        targets = random.normal(size=120)
        ours, theirs = targets + random.normal(size=120), targets + random.normal(size=120)
        found = compare("regression", targets, ours, theirs, metric="rmse", seed=trial, num_resamples=300)
        called += found.verdict != "too close to call"
    assert called <= 12  # 5 expected


def test_few_rows_are_too_close_to_call() -> None:
    targets = np.array([0, 1, 0, 1])
    found = compare("binary", targets, np.eye(2)[targets], np.eye(2)[1 - targets], metric="accuracy", seed=0)
    assert (found.difference, found.verdict) == (1.0, "too close to call")


def test_an_undefined_metric_is_not_compared() -> None:
    targets, predictions = np.ones(20, dtype=int), np.tile([0.4, 0.6], (20, 1))
    intervals, comparisons = assess("binary", targets, predictions, {"rival": predictions}, metric="auc", seed=0)
    assert "auc" not in intervals and comparisons == []


def test_rivals_are_judged_on_the_resamples_of_the_intervals() -> None:
    targets, ours = make_binary(np.random.default_rng(9), 300)
    nothing = np.tile([0.9, 0.1], (300, 1))  # always the class 0, as the other one
    always = np.eye(2)[np.zeros(300, dtype=int)]
    intervals, comparisons = assess("binary", targets, ours, {"a": nothing, "b": always}, metric="accuracy", seed=3)
    assert [item.other for item in comparisons] == ["a", "b"]
    assert comparisons[0].interval == comparisons[1].interval
    perfect = np.eye(2)[targets]  # against it, the difference is our accuracy less one: the interval, moved by one
    _, (against_perfect,) = assess("binary", targets, ours, {"perfect": perfect}, metric="accuracy", seed=3)
    assert against_perfect.interval.low == pytest.approx(intervals["accuracy"].low - 1)
    assert against_perfect.interval.high == pytest.approx(intervals["accuracy"].high - 1)
