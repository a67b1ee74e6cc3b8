"""The metric that counts, the temperature and the threshold: from the settings to every place that answers."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import f1_score, log_loss

import nudgenet
from nudgenet.errors import SettingError
from nudgenet.predictions import predict_table
from nudgenet.scoring.answers import AnswerRule, scale

Nudge = Callable[..., tuple[int, str, str]]
QUICK: dict[str, Any] = {"epochs": 8, "members": 4, "width": 32, "threads": 1}
# A single network that learns its rows by heart: its probabilities are far too sure.
BY_HEART: dict[str, Any] = {"network": "mlp", "dropout": 0.0, "epochs": 40, "patience": 40, "learning_rate": 0.01}


def defects(num_rows: int = 2000, seed: int = 0) -> pd.DataFrame:
    """One part in fifteen breaks; two measurements tell a little about which."""
    random = np.random.default_rng(seed)
    heat, load = random.normal(size=(2, num_rows))
    breaks = random.random(num_rows) < 1 / (1 + np.exp(3.2 - 1.2 * heat - 0.5 * load))
    return pd.DataFrame({"heat": heat, "load": load, "broken": np.where(breaks, "yes", "no")})


@pytest.fixture(scope="module")
def rare(tmp_path_factory: pytest.TempPathFactory) -> nudgenet.Run:
    return nudgenet.train(defects(), "broken", runs=tmp_path_factory.mktemp("rare"), name="rare", **QUICK)


@pytest.fixture(scope="module")
def too_sure(tmp_path_factory: pytest.TempPathFactory) -> nudgenet.Run:
    """Noisy labels, few rows and no habit that would keep it from learning them by heart, early stopping included."""
    random = np.random.default_rng(0)
    features = random.normal(size=(400, 10))
    targets = (features[:, 0] + features[:, 1] + random.normal(size=400) > 0).astype(int)
    kept = {**BY_HEART, "ema": 0.0, "schedule": "constant", "weight_decay": 0.0}
    folder = tmp_path_factory.mktemp("sure")
    return nudgenet.train((features, targets), runs=folder, name="sure", baselines=False, validation_share=0.4, **kept)


def without_rule(run: nudgenet.Run, folder: Path) -> nudgenet.Run:
    """The same run as it was before its rule was chosen."""
    shutil.copytree(run.path, folder / "before")
    (folder / "before" / "answers.json").unlink()
    return nudgenet.load(folder / "before")


def test_where_a_class_is_rare_f1_counts_everywhere(rare: nudgenet.Run, nudge: Nudge) -> None:
    summary = rare.summary
    assert summary["metric"] == rare.settings.metric == "f1"
    assert {comparison["metric"] for comparison in rare.comparisons} == {"f1"}
    low, high = summary["interval"]
    assert low < rare.metrics["test"]["f1"] < high
    decisions = {decision.what: decision for decision in rare.decisions}
    assert "training rows are `yes`, so accuracy would hide them" in decisions["metric that counts"].why
    assert decisions["threshold"].chosen.startswith("`yes` where its probability is above 0.")
    assert decisions == {decision["what"]: nudgenet.records.Decision(**decision) for decision in summary["decisions"]}
    report = rare.report.read_text()
    assert "F1 on the test part" in report
    assert "How much worse F1 gets without each column" in report
    assert "It answers <code>yes</code> from a probability of" in report
    code, out, _ = nudge("show", rare.path)
    assert code == 0 and "95% interval" in out and "It answers `yes` from a probability of" in " ".join(out.split())
    code, out, _ = nudge("runs", "--runs", rare.path.parent)
    assert code == 0 and "F1 0." in out


def test_every_path_answers_by_the_threshold(rare: nudgenet.Run) -> None:
    above = rare.summary["threshold"]["above"]
    assert rare.summary["threshold"]["class"] == "yes" and 0.05 < above < 0.45
    saved = pq.read_table(rare.path / "test_predictions.parquet").to_pandas()
    said_yes = saved["prediction"] == "yes"
    np.testing.assert_array_equal(said_yes, saved["probability_yes"] > above)
    assert rare.metrics["test"]["f1"] == pytest.approx(f1_score(saved["actual"] == "yes", said_yes))
    assert rare.metrics["test"]["accuracy"] == pytest.approx((saved["actual"] == saved["prediction"]).mean())
    assert said_yes.sum() > 2 * (saved["probability_yes"] > 0.5).sum()
    rows = defects().iloc[saved["row"] - 1]
    np.testing.assert_array_equal(rare.predict(rows), saved["prediction"])
    np.testing.assert_allclose(rare.predict_proba(rows)[:, 1], saved["probability_yes"], rtol=1e-5)
    assert rare.labels(np.array([[0.55, 0.45]])).tolist() == ["yes"]
    table, _ = predict_table(rare, rows)
    np.testing.assert_array_equal(table.column("prediction").to_pylist(), saved["prediction"])


def test_the_simple_models_get_a_threshold_too(rare: nudgenet.Run) -> None:
    """At a half the linear model hardly ever answers yes; compared like that, any network would look good."""
    assert rare.baselines["linear"]["validation"]["f1"] > 0.4
    assert abs(rare.baselines["linear"]["test"]["f1"] - rare.metrics["test"]["f1"]) < 0.2


def test_a_threshold_that_is_set_is_used(tmp_path: Path) -> None:
    run = nudgenet.train(
        defects(400), "broken", runs=tmp_path, threshold=0.03, metric="accuracy", baselines=False, **QUICK
    )
    assert (run.summary["metric"], run.summary["threshold"]["above"]) == ("accuracy", 0.03)
    saved = pq.read_table(run.path / "test_predictions.parquet").to_pandas()
    np.testing.assert_array_equal(saved["prediction"] == "yes", saved["probability_yes"] > 0.03)
    assert without_rule(run, tmp_path).rule == AnswerRule(threshold=0.03)  # an interrupted run knows it, too


def test_probabilities_that_are_too_sure_are_scaled(too_sure: nudgenet.Run, tmp_path: Path) -> None:
    found = too_sure.summary["calibration"]
    assert found["temperature"] == too_sure.rule.temperature > 1
    for part in ("validation", "test"):
        assert set(found["ece"][part]) == {"before", "after"}
    features = np.random.default_rng(1).normal(size=(50, 10)).clip(-2, 2)
    plain = without_rule(too_sure, tmp_path)
    assert plain.rule == AnswerRule()
    unscaled = plain.predict_proba(features)
    np.testing.assert_array_equal(too_sure.predict_proba(features), scale(unscaled, found["temperature"]))
    np.testing.assert_array_equal(too_sure.predict(features), plain.predict(features))
    saved = pq.read_table(too_sure.path / "test_predictions.parquet").to_pandas()
    expected = log_loss(saved["actual"], saved["probability_1"])
    assert too_sure.metrics["test"]["log_loss"] == pytest.approx(expected)
    np.testing.assert_allclose(saved["loss"].mean(), expected)
    said = next(decision for decision in too_sure.decisions if decision.what == "probabilities")
    assert said.chosen.startswith("temperature 1.") and said.override == "--set calibrate=false"
    assert "calibration error" in too_sure.report.read_text()


def test_scaling_can_be_turned_off(tmp_path: Path) -> None:
    run = nudgenet.train(defects(400), "broken", runs=tmp_path, calibrate=False, baselines=False, **QUICK)
    assert run.summary["calibration"]["temperature"] == 1
    assert run.summary["calibration"]["ece"]["test"]["before"] == run.summary["calibration"]["ece"]["test"]["after"]
    assert ("probabilities", "as they are") in {(item.what, item.chosen) for item in run.decisions}


def test_the_mean_error_brings_its_own_loss(houses: Path, tmp_path: Path) -> None:
    run = nudgenet.train(houses, "price", metric="mae", runs=tmp_path, ignore="dear", **QUICK)
    same = nudgenet.train(houses, "price", objective="huber", runs=tmp_path, ignore="dear", baselines=False, **QUICK)
    assert [epoch.validation_loss for epoch in run.epochs] == [epoch.validation_loss for epoch in same.epochs]
    assert (run.summary["metric"], same.summary["metric"]) == ("mae", "rmse")
    assert {comparison["metric"] for comparison in run.comparisons} == {"mae"}
    assert run.summary["calibration"] is None is run.summary["threshold"]
    assert "mean error on the test part" in run.report.read_text()
    squared = nudgenet.train(
        houses, "price", metric="mae", objective="mse", runs=tmp_path, ignore="dear", baselines=False, **QUICK
    )
    assert squared.epochs[-1].validation_loss != same.epochs[-1].validation_loss


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"metric": "auc"}, "does not fit a regression task. Use one of: rmse, mae, r2"),
        ({"metric": "rsme"}, "There is no metric `rsme`: did you mean `rmse`"),
        ({"threshold": 0.3}, "`threshold` is for yes/no answers, and this is a regression task"),
        ({"threshold": 1.0}, "`threshold`"),
    ],
)
def test_a_misfit_is_one_line_and_leaves_no_run(
    houses: Path, tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingError) as error:
        nudgenet.train(houses, "price", runs=tmp_path / "runs", **settings)
    assert words.split("did you")[0].rstrip(": ") in str(error.value)
    assert not list((tmp_path / "runs").glob("*"))


def test_a_resumed_run_is_the_same(rare: nudgenet.Run, tmp_path: Path) -> None:
    """Killed after its rule was chosen, before the report: nothing is said twice, nothing else is chosen."""
    shutil.copytree(rare.path, tmp_path / "again")
    (tmp_path / "again" / "DONE").unlink()
    run = nudgenet.resume(tmp_path / "again")
    assert run.rule == rare.rule
    assert run.decisions == rare.decisions
    assert run.metrics == rare.metrics
    assert json.loads((tmp_path / "again" / "answers.json").read_text())["temperature"] == rare.rule.temperature


# ------------------------------------------------------------------ scikit-learn


def test_an_estimator_answers_by_its_rule() -> None:
    rows = defects(1200)
    model = nudgenet.NetworkClassifier(**QUICK).fit(rows[["heat", "load"]], rows["broken"])
    new = defects(500, seed=1)[["heat", "load"]].clip(-2, 2)
    above = model._trained.rule.threshold
    assert 0.05 < above < 0.45
    np.testing.assert_array_equal(model.predict(new) == "yes", model.predict_proba(new)[:, 1] > above)
    again = copy.deepcopy(model)  # through its bytes
    np.testing.assert_array_equal(again.predict(new), model.predict(new))
    np.testing.assert_array_equal(again.predict_proba(new), model.predict_proba(new))
    assert {"metric that counts", "threshold", "probabilities"} <= {decision.what for decision in model.decisions_}
    fixed = nudgenet.NetworkClassifier(threshold=0.5, **QUICK).fit(rows[["heat", "load"]], rows["broken"])
    np.testing.assert_array_equal(fixed.predict(new) == "yes", fixed.predict_proba(new)[:, 1] > 0.5)


def test_an_estimator_scales_its_probabilities() -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(400, 10))
    targets = (features[:, 0] + features[:, 1] + random.normal(size=400) > 0).astype(int)
    more = {**BY_HEART, "schedule": "constant", "weight_decay": 0.0, "validation_share": 0.4}
    scaled, plain = (
        nudgenet.NetworkClassifier(calibrate=calibrate, **more).fit(features, targets) for calibrate in (True, False)
    )
    temperature = scaled._trained.rule.temperature
    assert temperature > 1
    np.testing.assert_array_equal(scaled.predict_proba(features), scale(plain.predict_proba(features), temperature))
    few = nudgenet.NetworkClassifier(**more).fit(features[:40], targets[:40])
    assert few._trained.rule == AnswerRule()  # the rows that train validate, too: they tell nothing
