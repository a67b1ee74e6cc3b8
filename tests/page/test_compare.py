"""Runs beside each other: settings that differ, and the paired bootstrap on the same test rows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import nudgenet
from nudgenet.scoring.intervals import assess


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, make_houses: Callable[[Path], Path]) -> dict[str, nudgenet.Run]:
    """Two runs on the same rows, one on another split, and one that left its test part unread."""
    folder = tmp_path_factory.mktemp("compare")
    table = make_houses(folder / "houses.csv")
    quick: dict[str, Any] = {"runs": folder / "runs", "epochs": 2, "baselines": False, "ignore": ("area",)}
    return {
        "a": nudgenet.train(table, "dear", name="a", **quick),
        "b": nudgenet.train(table, "dear", name="b", learning_rate=1e-5, dropout=0.5, **quick),
        "seed": nudgenet.train(table, "dear", name="seed", seed=1, **quick),
        "unread": nudgenet.train(table, "dear", name="unread", score_test=False, **quick),
        "price": nudgenet.train(table, "price", name="price", **quick),
        "price2": nudgenet.train(table, "price", name="price2", **(quick | {"epochs": 3})),
    }


@pytest.fixture(scope="module")
def both(two: dict[str, nudgenet.Run], page_over: Any) -> Any:
    return page_over(two["a"].path.parent)


def test_only_what_differs_is_shown(both: Any) -> None:
    found = both.get("compare?runs=a,b")
    assert [row["name"] for row in found["runs"]] == ["a", "b"]
    differences = {item["setting"]: item["values"] for item in found["differences"]}
    assert set(differences) == {"learning_rate", "dropout"}
    assert differences["learning_rate"][1] == 1e-5 and differences["dropout"][1] == 0.5


def test_the_comparison_is_the_paired_bootstrap(both: Any, two: dict[str, nudgenet.Run]) -> None:
    (test,) = both.get("compare?runs=a,b")["tests"]
    saved = [pq.read_table(two[name].path / "test_predictions.parquet") for name in "ab"]
    targets = np.array(saved[0].column("actual").to_pylist()) == "yes"
    answers = [np.stack([one.column(f"probability_{label}").to_numpy() for label in ("no", "yes")], 1) for one in saved]
    metric = two["a"].summary["metric"]
    _, (wanted,) = assess(
        "binary", targets.astype(int), answers[0], {"b": answers[1]}, metric=metric, seed=0,
        threshold=two["a"].rule.threshold, rival_thresholds={"b": two["b"].rule.threshold},
    )  # fmt: skip
    assert (test["difference"], test["low"], test["high"]) == (
        wanted.difference,
        wanted.interval.low,
        wanted.interval.high,
    )
    scores = [two[name].metrics["test"][metric] for name in "ab"]
    assert test["difference"] == pytest.approx(scores[0] - scores[1])
    assert (test["a"], test["b"], test["metric"], test["verdict"]) == ("a", "b", metric, wanted.verdict)
    assert ("too close to call" in test["words"]) == (wanted.verdict == "too close to call")


def test_other_rows_are_not_compared(both: Any) -> None:
    assert both.get("compare?runs=a,seed")["tests"] == []
    assert both.get("compare?runs=a,unread")["tests"] == []
    assert both.get("compare?runs=a,price")["tests"] == []
    tests = both.get("compare?runs=a,b,seed,price,price2,unread")["tests"]
    assert [(test["a"], test["b"]) for test in tests] == [("a", "b"), ("price", "price2")]


def test_what_cannot_be_compared(both: Any) -> None:
    for runs in ("", "a", "a,a", ",,"):
        assert "2 to 8 runs" in both.error("GET", f"compare?runs={runs}")
    both.error("GET", "compare?runs=a,nowhere", status=404)
    both.error("GET", "compare?runs=a,..", status=404)


def test_a_damaged_run_is_shown_and_not_tested(both: Any, two: dict[str, nudgenet.Run]) -> None:
    path = two["b"].path / "test_predictions.parquet"
    before = path.read_bytes()
    try:
        path.write_bytes(b"no parquet")
        found = both.get("compare?runs=a,b")
        assert len(found["runs"]) == 2 and found["tests"] == []
    finally:
        path.write_bytes(before)


def test_an_unread_test_part_is_nowhere(two: dict[str, nudgenet.Run], both: Any) -> None:
    run = two["unread"]
    assert run.metrics["test"] == {} and set(run.metrics["validation"]) == {"accuracy", "auc", "f1", "log_loss"}
    assert run.summary["interval"] is None and run.summary["rows"] == two["a"].summary["rows"]
    assert set(run.summary["calibration"]["ece"]) == {"validation"} and run.comparisons == []
    assert not (run.path / "test_predictions.parquet").exists()
    decision = next(item for item in run.decisions if item.what == "test part")
    assert "unread" in decision.chosen and decision.override == "--set score_test=true"
    report = run.report.read_text()
    assert "There is no test score" in report and "test rows are right" not in report
    assert "validation" in repr(run) and "test " not in repr(run)
    row = next(row for row in both.get("runs")["runs"] if row["name"] == "unread")
    assert row["metric"]["test"] is None and row["metric"]["low"] is None
    assert row["metric"]["validation"] == run.metrics["validation"][row["metric"]["name"]]
    assert two["a"].metrics["validation"] == run.metrics["validation"], "it is the same network"
