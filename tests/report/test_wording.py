from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nudgenet.report import wording
from nudgenet.report.wording import (
    duration,
    flag,
    models_of,
    number,
    percent,
    score,
    shortened,
    times,
    value_text,
    worth_it,
)
from nudgenet.scoring.metrics import LOWER_IS_BETTER, METRICS, primary_metric


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.81234, "0.812"),
        (12.3456, "12.3"),
        (1234567.8, "1,234,568"),
        (1731, "1,731"),
        (0.00001234, "1.23e-5"),
        (2.5e20, "2.50e20"),
        (0.0, "0"),
        (-0.5, "-0.500"),
        (math.nan, "–"),
        (math.inf, "infinite"),
        (None, "–"),
        (True, "–"),
    ],
)
def test_numbers(value: object, expected: str) -> None:
    assert number(value) == expected


@given(st.floats(1e-4, 1e14))
def test_numbers_keep_three_digits(value: float) -> None:
    assert float(number(value).replace(",", "")) == pytest.approx(value, rel=5.01e-3)


@pytest.mark.parametrize(("share", "expected"), [(0.8123, "81.2%"), (1.0, "100.0%"), (0.99999, "99.9%"), (0.0, "0.0%")])
def test_percent(share: float, expected: str) -> None:
    assert percent(share) == expected


@given(st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_what_is_not_perfect_is_never_called_so(share: float) -> None:
    assert percent(share) not in ("100.0%", "0.0%", "100%")
    count, _, out_of = times(share).partition(" of ")
    assert count != out_of


@pytest.mark.parametrize(("share", "expected"), [(0.81, "81 of 100"), (0.9969, "997 of 1,000"), (1.0, "100 of 100")])
def test_times(share: float, expected: str) -> None:
    assert times(share) == expected


def test_points_of_a_hundred() -> None:
    assert [wording.points(v) for v in (0.0123, -0.0123, -0.00001)] == ["1.2", "−1.2", "0.0"]
    assert wording.difference_range("accuracy", -0.02, 0.05) == "−2.0 to +5.0 points"
    assert wording.difference_range("rmse", -1200.0, 0.5) == "−1,200 to +0.500"


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.31, "0.3 s"), (59.2, "59 s"), (75.2, "1 min 15 s"), (7260, "2 h 01 min")]
)
def test_durations(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_text_is_shortened_to_one_line() -> None:
    assert shortened("a\n b") == "a b"
    assert shortened("x" * 50, 10) == "x" * 9 + "…"


def test_cells() -> None:
    assert [value_text(v) for v in (None, "", 2.5, 1999, "a")] == ["(empty)", "(empty)", "2.500", "1999", "a"]


def test_every_metric_is_spoken_about_and_in_the_right_direction() -> None:
    for names in METRICS.values():
        for name in names:
            assert wording.METRICS[name].meaning
            assert wording.METRICS[name].higher_is_better == (name not in LOWER_IS_BETTER)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_the_main_metric_is_the_one_that_is_compared(task: str) -> None:
    metrics = {"test": dict.fromkeys(METRICS[task], 0.5)}  # type: ignore[index]
    assert wording.main_metric({"task": task, "metrics": metrics}) == primary_metric(task)  # type: ignore[arg-type]


def test_the_main_metric_of_a_run_without_scores_is_none() -> None:
    assert wording.main_metric({}) == ""
    assert wording.main_metric({"task": "binary", "metrics": {"test": {"log_loss": 0.3}}}) == "log_loss"


def test_the_metric_that_is_set_comes_first_with_its_interval() -> None:
    summary = {"task": "binary", "metric": "f1", "metrics": {"test": {"accuracy": 0.9, "f1": 0.4}}}
    assert wording.main_metric(summary) == "f1"
    assert wording.interval_in_words(summary) == ""
    assert wording.interval_in_words(summary | {"interval": [0.25, 0.5]}) == "0.250 to 0.500"
    assert wording.interval_in_words(summary | {"interval": [None, None]}) == ""


def test_what_is_said_about_probabilities() -> None:
    errors = {"test": {"before": 0.08, "after": 0.05}, "validation": {"before": 0.02, "after": 0.01}}
    scaled = {"calibration": {"temperature": 1.5, "ece": errors}, "threshold": {"class": "yes", "above": 0.5}}
    said = wording.probabilities_in_words(scaled, "test")
    assert "off by 5.0 points on average" in said and "by 8.0 before a temperature of 1.50" in said
    assert "It answers" not in said
    plain = {"calibration": {"temperature": 1.0, "ece": errors}, "threshold": {"class": "yes", "above": 0.25}}
    said = wording.probabilities_in_words(plain, "validation")
    assert said.endswith("(calibration error). It answers `yes` from a probability of 25.0% on.")
    assert "temperature" not in said
    assert wording.probabilities_in_words({"calibration": None, "threshold": None}, "test") == ""


def test_scores_of_shares_are_percentages() -> None:
    assert score("accuracy", 0.5) == "50.0%"
    assert score("rmse", 0.5) == "0.500"
    assert score("rmse", 61_310.9) == "61,311"
    assert [score("auc", 1.0), score("r2", -0.0002), score("r2", -5e6)] == ["1.000", "0.000", "-5,000,000"]
    assert score("anything", None) == "–"


def test_a_flag_is_said_once() -> None:
    assert flag({"text": "Try it", "setting": "dropout", "value": 0.3}) == "--set dropout=0.3"
    assert flag({"text": "Try --set dropout=0.3", "setting": "dropout", "value": 0.3}) == ""
    assert flag({"text": "More rows", "setting": "", "value": None}) == ""


@pytest.mark.parametrize(
    ("verdicts", "begins"),
    [
        ({"linear": "better", "boosting": "better"}, "Worth a network"),
        ({"linear": "better", "boosting": "too close to call"}, "Too close to call against gradient boosting"),
        ({"linear": "worse", "boosting": "better"}, "Not yet worth a network: a linear model does"),
        ({}, ""),
    ],
)
def test_whether_it_was_worth_it(verdicts: dict[str, str], begins: str) -> None:
    comparisons = [{"metric": "accuracy", "other": other, "verdict": v} for other, v in verdicts.items()]
    assert worth_it(comparisons, "accuracy").startswith(begins)
    assert worth_it(comparisons, "rmse") == ""


def test_a_rival_that_saw_less_is_no_equal() -> None:
    models = models_of({"baseline_notes": {"boosting": "without the texts"}})
    comparisons = [{"metric": "accuracy", "other": "boosting", "verdict": "worse"}]
    assert "gradient boosting (without the texts) does better" in worth_it(comparisons, "accuracy", models)
    assert models_of({})["boosting"] == "gradient boosting"


def test_a_worse_pair_takes_a_plural() -> None:
    comparisons = [{"metric": "rmse", "other": other, "verdict": "worse"} for other in ("linear", "boosting")]
    assert worth_it(comparisons, "rmse").endswith("a linear model and gradient boosting do better on these rows.")
