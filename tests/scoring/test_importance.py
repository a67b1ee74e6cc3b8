"""Permutation importance finds what the network relies on, and leaves the inputs as they were."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

from nudgenet.scoring.importance import permutation_importance


def make_inputs(num_rows: int = 500, num_numbers: int = 4) -> dict[str, Tensor]:
    random = np.random.default_rng(0)
    numbers = torch.from_numpy(random.normal(size=(num_rows, num_numbers)).astype(np.float32))
    return {"numbers": numbers, "categories": torch.from_numpy(random.integers(0, 3, size=(num_rows, 2)))}


def third_number(inputs: Mapping[str, Tensor]) -> np.ndarray:
    return inputs["numbers"][:, 2].numpy()  # a view on purpose: it must not see the shuffled values put back


GROUPS = {"a": [("numbers", 0)], "b": [("numbers", 1)], "c": [("numbers", 2)], "d": [("categories", 0)]}


def measure(predict: Any, inputs: dict[str, Tensor], targets: np.ndarray, **options: Any) -> list[Any]:
    options = {"kind": "regression", "seed": 0} | options
    return permutation_importance(predict, inputs, targets, options.pop("groups", GROUPS), **options)


def test_finds_the_one_column_that_matters() -> None:
    inputs = make_inputs()
    targets = third_number(inputs) + 0.1 * np.random.default_rng(1).normal(size=500)
    before = {name: tensor.clone() for name, tensor in inputs.items()}
    first, *others = measure(third_number, inputs, targets)
    assert first.column == "c"
    assert first.drop == pytest.approx(np.sqrt(2) - 0.1, abs=0.1)  # the error becomes that of two unrelated normals
    assert first.low < first.drop < first.high
    assert [(o.column, o.drop, o.low, o.high) for o in others] == [(n, 0, 0, 0) for n in ("a", "b", "d")]
    assert all(torch.equal(inputs[name], before[name]) for name in inputs)


def test_classes_lose_accuracy() -> None:
    inputs = make_inputs()

    def predict(inputs: Mapping[str, Tensor]) -> np.ndarray:
        return np.eye(3)[inputs["categories"][:, 0].numpy()]

    targets = inputs["categories"][:, 0].numpy().copy()
    first = measure(predict, inputs, targets, kind="multiclass")[0]
    assert first.column == "d"
    assert first.drop == pytest.approx(2 / 3, abs=0.05)
    loss = measure(predict, inputs, targets, kind="multiclass", metric="log_loss")[0]
    assert loss.drop > 5


def test_features_of_one_column_are_shuffled_together() -> None:
    inputs = make_inputs()
    inputs["numbers"][:, 1] = inputs["numbers"][:, 0]

    def difference(inputs: Mapping[str, Tensor]) -> np.ndarray:
        return (inputs["numbers"][:, 0] - inputs["numbers"][:, 1]).numpy()

    together = measure(difference, inputs, np.zeros(500), groups={"pair": [("numbers", 0), ("numbers", 1)]})
    assert together[0].drop == 0  # moved alike, their difference stays
    assert measure(difference, inputs, np.zeros(500), groups={"one": [("numbers", 0)]})[0].drop > 1


def test_a_useless_column_has_an_interval_around_zero() -> None:
    inputs = make_inputs()
    noise = np.random.default_rng(2).normal(size=500)
    useless = measure(third_number, inputs, noise)[0]
    assert useless.low < 0 < useless.high


def test_many_columns_keep_those_that_move_the_predictions() -> None:
    inputs = make_inputs(300, 400)
    groups = {f"column_{i}": [("numbers", i)] for i in range(400)}
    weights = torch.zeros(400)
    weights[[7, 399]] = torch.tensor([1.0, 2.0])
    found = measure(
        lambda i: (i["numbers"] @ weights).numpy(),
        inputs,
        (inputs["numbers"] @ weights).numpy(),
        groups=groups,
        max_columns=10,
    )
    assert len(found) == 10
    assert [importance.column for importance in found[:2]] == ["column_399", "column_7"]


def test_rows_are_capped_and_the_seed_repeats() -> None:
    inputs = make_inputs(5000)
    seen: list[int] = []

    def predict(inputs: Mapping[str, Tensor]) -> np.ndarray:
        seen.append(len(inputs["numbers"]))
        return third_number(inputs)

    targets = third_number(inputs)
    first = measure(predict, inputs, targets, max_rows=100)
    assert set(seen) == {100}
    assert measure(predict, inputs, targets, max_rows=100) == first
    assert measure(predict, inputs, targets, max_rows=100, seed=1) != first


def test_nothing_to_measure() -> None:
    assert measure(third_number, make_inputs(1), np.zeros(1)) == []
    assert measure(third_number, make_inputs(5), np.zeros(5), groups={}) == []
    assert measure(third_number, make_inputs(5), np.zeros(5), metric="r2") == []  # undefined


def test_fifty_columns_take_two_seconds_at_most() -> None:
    inputs = make_inputs(2000, 50)
    network = torch.nn.Sequential(torch.nn.Linear(50, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2), torch.nn.Softmax(1))
    targets = (inputs["numbers"][:, 0] > 0).long().numpy()
    groups = {f"column_{i}": [("numbers", i)] for i in range(50)}
    start = time.process_time()
    with torch.inference_mode(), threadpool_limits(1):  # waiting threads would count as work
        measure(lambda i: network(i["numbers"]).numpy(), inputs, targets, kind="binary", groups=groups)
    assert time.process_time() - start < 3
