"""A row from a dict is prepared as the same row in a table is, or left to the table."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nudgenet.data.columns import choose_task, describe
from nudgenet.data.one_row import RowPreparation, prepare_row
from nudgenet.data.prepare import Preparation, learn
from nudgenet.data.read import read
from nudgenet.data.split import split
from nudgenet.errors import UserError
from nudgenet.settings import Settings, make_settings


def learned(extra: dict[str, Any] | None = None) -> Preparation:
    rng = np.random.default_rng(0)
    table = {
        "plain": rng.normal(size=200),
        "text": [f"{x:.2f}" for x in rng.normal(size=200)],
        "skewed": np.exp(3 * rng.normal(size=200)),
        "gaps": [None if i % 7 == 0 else float(i % 30) for i in range(200)],
        "level": [["red", "green", "blue", None][i % 4] for i in range(200)],
        "code": [["1", "2", "x"][i % 3] for i in range(200)],
        "switch": [["yes", "no"][i % 2] for i in range(200)],
        "amount": [f"{x:,} $" for x in rng.integers(1_000, 9_000, 200)],
        **(extra or {}),
        "y": rng.normal(size=200),
    }
    raw = read(table, Settings())
    chosen = make_settings(target="y")
    task, *_ = choose_task(raw, chosen)
    parts, *_ = split(raw, task, chosen)
    columns, *_ = describe(raw, task, parts.train, chosen)
    return learn(raw, parts, columns, task, chosen)[0]


PREPARATION = learned()
HOW = RowPreparation.of(PREPARATION)
USUAL = {"plain": 0.1, "text": "0.25", "skewed": 2.0, "gaps": 3, "level": "red", "code": 1, "switch": "no", "amount": "2,000 $"}  # fmt: skip
CELLS = st.one_of(
    st.none(), st.booleans(), st.floats(-4, 4), st.just(float("nan")), st.just(float("inf")), st.integers(-3, 9),
    st.just(2**60), st.floats(-4, 4).map(np.float64), st.floats(-4, 4).map(np.float32),
    st.sampled_from(["red", " red ", "RED", "violet", "1", "1.0", "01", "0.5", "-0.5", "+1", "1e0", ".5", "NA", "", "yes",
                     "True", "2,000 $", "2000", "3.5 $", "none", "inf", "nan", "x"]),
)  # fmt: skip


def from_table(row: dict[str, Any]) -> dict[str, torch.Tensor] | None:
    """None if it is refused."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return PREPARATION.apply(read({name: [cell] for name, cell in row.items()}, Settings()))[0]
    except UserError:
        return None


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(list(USUAL)), CELLS, max_size=3), st.sets(st.sampled_from([*USUAL, "y"])))
def test_a_row_is_prepared_as_in_a_table(changes: dict[str, Any], absent: set[str]) -> None:
    assert HOW is not None
    row = {name: cell for name, cell in (USUAL | changes).items() if name not in absent or name in changes}
    inputs = prepare_row(row, HOW)
    if inputs is None:
        return
    expected = from_table(row)
    assert expected is not None
    assert torch.equal(inputs["numbers"], expected["numbers"]) and inputs["numbers"].dtype == torch.float32
    assert torch.equal(inputs["categories"], expected["categories"])


def test_plain_rows_take_the_short_way() -> None:
    assert HOW is not None
    usual = USUAL | {"amount": None}  # with a currency sign it takes more than a look
    for row in (usual, usual | {"level": None, "gaps": None, "plain": np.float64(0.2)}, usual | {"y": 3.0}):
        assert prepare_row(row, HOW) is not None


def test_rows_worth_a_warning_take_the_long_way() -> None:
    assert HOW is not None
    usual = USUAL | {"amount": None}
    odd = [{"level": "violet"}, {"plain": 1e9}, {"plain": float("inf")}, {"new": 1}, {"text": "many"}, {"plain": [0.1]}]
    assert all(prepare_row(usual | row, HOW) is None for row in odd)
    assert prepare_row({name: cell for name, cell in usual.items() if name != "plain"}, HOW) is None


def test_dates_take_the_long_way() -> None:
    days = pa.array(np.datetime64("2020-01-01") + np.arange(200))
    assert RowPreparation.of(learned({"day": days})) is None
