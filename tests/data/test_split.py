"""Splitting: shares, strata, units that stay together, groups, time, and a given test part."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nudgenet.data.split import assign_units, split
from nudgenet.data.units import num_distinct, numbered, row_hashes
from nudgenet.errors import ColumnError, SettingError, SourceError
from nudgenet.records import Parts, Raw, Source, Task
from nudgenet.settings import make_settings


def raw_of(**columns: object) -> Raw:
    return Raw(Source("frame", "test", None, ""), pa.table(columns))


def class_task(*classes: str) -> Task:
    return Task("y", "binary" if len(classes) == 2 else "multiclass", tuple(classes))


def make_classes(num_rows: int, shares: list[float], seed: int = 0) -> tuple[Raw, Task]:
    rng = np.random.default_rng(seed)
    labels = rng.choice([f"k{i}" for i in range(len(shares))], num_rows, p=shares)
    return raw_of(x=rng.normal(size=num_rows), y=labels.tolist()), class_task(*[f"k{i}" for i in range(len(shares))])


def check_disjoint(parts: Parts, num_rows: int) -> None:
    together = np.concatenate([parts.train, parts.validation, parts.test])
    assert len(np.unique(together)) == len(together)
    assert np.isin(together, np.arange(num_rows)).all()
    for part in (parts.train, parts.validation, parts.test):
        assert len(part) >= 1
        assert part.dtype == np.int64
        assert (np.diff(part) > 0).all()


def test_shares_and_strata() -> None:
    raw, task = make_classes(1000, [0.9, 0.09, 0.01])
    parts, decisions, warnings = split(raw, task, make_settings())
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (700, 150, 150)
    labels = np.array(raw.table["y"].to_pylist())
    for label in task.classes:
        total = (labels == label).sum()
        assert abs((labels[parts.train] == label).sum() - 0.7 * total) < 2
        assert abs((labels[parts.validation] == label).sum() - 0.15 * total) < 2
        assert abs((labels[parts.test] == label).sum() - 0.15 * total) < 2
    assert not warnings
    assert decisions[0].what == "split"
    assert decisions[0].chosen.startswith("700 / 150 / 150 rows")


def test_shares_follow_the_settings() -> None:
    raw, task = make_classes(1000, [0.5, 0.5])
    parts, _, _ = split(raw, task, make_settings(validation_share=0.1, test_share=0.3))
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (600, 100, 300)


def test_regression_strata() -> None:
    rng = np.random.default_rng(0)
    target = rng.lognormal(sigma=2, size=2000)
    parts, _, _ = split(raw_of(x=rng.normal(size=2000), y=target), Task("y", "regression"), make_settings())
    edges = np.quantile(target, np.linspace(0, 1, 11)[1:-1])
    for part, share in ((parts.train, 0.7), (parts.validation, 0.15), (parts.test, 0.15)):
        in_bins = np.bincount(np.searchsorted(edges, target[part]), minlength=10)
        assert np.abs(in_bins - 200 * share).max() <= 1


def test_seed_alone_decides() -> None:
    raw, task = make_classes(500, [0.6, 0.4])
    first = split(raw, task, make_settings(seed=3))[0]
    torch.manual_seed(99)
    np.random.seed(99)
    again, other = split(raw, task, make_settings(seed=3))[0], split(raw, task, make_settings(seed=4))[0]
    for name in ("train", "validation", "test"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.test, other.test)


@pytest.mark.parametrize(("count", "expected"), [(1, {0: 1}), (3, {0: 1, 1: 1, 2: 1}), (4, {0: 2, 1: 1, 2: 1})])
def test_rare_classes(count: int, expected: dict[int, int]) -> None:
    labels = ["common"] * 100 + ["rare"] * count
    raw = raw_of(x=np.arange(100.0 + count) ** 2, y=labels)
    for seed in range(8):
        parts, _, _ = split(raw, class_task("common", "rare"), make_settings(seed=seed))
        held = {
            i: n
            for i, rows in enumerate((parts.train, parts.validation, parts.test))
            if (n := int((rows >= 100).sum()))
        }
        assert held == expected


def test_a_class_of_two_rows_is_learned_and_judged() -> None:
    raw = raw_of(x=np.arange(102.0) ** 2, y=["common"] * 100 + ["rare"] * 2)
    judged_by = set()
    for seed in range(12):
        parts, _, _ = split(raw, class_task("common", "rare"), make_settings(seed=seed))
        assert (parts.train >= 100).sum() == 1
        judged_by.add("validation" if (parts.validation >= 100).any() else "test")
    assert judged_by == {"validation", "test"}


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 4), st.sampled_from("abc")), min_size=10, max_size=80),
    st.integers(0, 5),
)
def test_identical_rows_stay_together(rows: list[tuple[int, int, str]], seed: int) -> None:
    labels = [label for _, _, label in rows]
    features = [(first, second) for first, second, _ in rows]
    raw = raw_of(p=[f[0] for f in features], q=[str(f[1]) for f in features], y=labels)
    task = class_task("a", "b", "c")
    try:
        parts, _, warnings = split(raw, task, make_settings(seed=seed))
    except ColumnError:
        return  # one class only, in the whole or in the only training unit
    check_disjoint(parts, len(rows))
    assert len(parts.train) + len(parts.validation) + len(parts.test) == len(rows)
    held = [{features[i] for i in part} for part in (parts.train, parts.validation, parts.test)]
    overlap = (held[0] & held[1]) | (held[0] & held[2]) | (held[1] & held[2])
    if len(set(features)) < 10:
        assert any("different rows of features" in warning for warning in warnings)
    else:
        assert not overlap


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=12, max_size=60), st.integers(0, 5))
def test_train_holds_every_class(labels: list[int], seed: int) -> None:
    if len(set(labels)) < 2:
        return
    raw = raw_of(x=np.arange(float(len(labels))) ** 2, y=[f"k{label}" for label in labels])
    parts, _, _ = split(raw, class_task("k0", "k1", "k2", "k3"), make_settings(seed=seed))
    check_disjoint(parts, len(labels))
    assert {labels[i] for i in parts.train} == set(labels)
    assert len(parts.validation) >= 2 or len(set(labels)) > 2


def test_a_row_number_does_not_hide_identical_rows() -> None:
    rng = np.random.default_rng(0)
    cells = np.tile(rng.normal(size=120), 2)[:200]  # 80 rows occur twice
    raw = raw_of(rownames=[str(i + 1) for i in range(200)], x=cells, y=rng.choice(["a", "b"], 200).tolist())
    parts, _, _ = split(raw, class_task("a", "b"), make_settings())
    assert not set(cells[parts.train]) & set(cells[parts.test])
    assert not set(cells[parts.train]) & set(cells[parts.validation])


def test_a_row_number_that_alone_tells_rows_apart_counts() -> None:
    raw = raw_of(id=list(range(200)), x=["u", "v"] * 100, y=["a", "b", "b", "a"] * 50)
    parts, _, warnings = split(raw, class_task("a", "b"), make_settings())
    assert len(parts.train) == 140
    assert not warnings


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.one_of(st.none(), st.integers(0, 12)), min_size=15, max_size=100),
    st.integers(0, 5),
    st.booleans(),
)
def test_groups_stay_together(groups: list[int | None], seed: int, regression: bool) -> None:
    rng = np.random.default_rng(seed)
    target = rng.normal(size=len(groups)) if regression else rng.choice(["a", "b"], len(groups)).tolist()
    raw = raw_of(g=pa.array(groups, pa.int64()), x=rng.normal(size=len(groups)), y=target)
    task = Task("y", "regression") if regression else class_task("a", "b")
    try:
        parts, _, _ = split(raw, task, make_settings(group="g", seed=seed))
    except ColumnError as error:
        assert "different values" in str(error) or "is the same in every" in str(error)
        return
    check_disjoint(parts, len(groups))
    held = [{groups[i] for i in part} - {None} for part in (parts.train, parts.validation, parts.test)]
    assert not (held[0] & held[1]) | (held[0] & held[2]) | (held[1] & held[2])


def test_groups_keep_the_shares() -> None:
    rng = np.random.default_rng(0)
    groups = rng.integers(0, 200, 4000)
    labels = np.where(groups % 4 == 0, "a", "b")
    raw = raw_of(g=groups, x=rng.normal(size=4000), y=labels.tolist())
    parts, decisions, _ = split(raw, class_task("a", "b"), make_settings(group="g"))
    for part, share in ((parts.train, 0.7), (parts.validation, 0.15), (parts.test, 0.15)):
        assert abs(len(part) / 4000 - share) < 0.02
        assert abs((labels[part] == "a").mean() - (labels == "a").mean()) < 0.03
    assert "200 groups" in decisions[0].why


def test_missing_groups_and_rows_that_groups_share() -> None:
    rng = np.random.default_rng(0)
    groups = [None if i % 2 else f"g{i % 40}" for i in range(400)]
    raw = raw_of(g=groups, x=np.tile(rng.normal(size=200), 2), y=rng.choice(["a", "b"], 400).tolist())
    parts, _, warnings = split(raw, class_task("a", "b"), make_settings(group="g"))
    assert abs(len(parts.test) - 60) < 12  # the 200 rows without a group are no group of their own
    held = [{raw.table["x"][int(i)].as_py() for i in part if i % 2} for part in (parts.train, parts.test)]
    assert not held[0] & held[1]
    table = raw.table.set_column(0, "g", pa.array([f"g{i}" for i in range(400)]))
    _, _, warnings = split(Raw(raw.source, table), class_task("a", "b"), make_settings(group="g"))
    assert any("identical to a training row of another `g`" in warning for warning in warnings)


def test_groups_shared_with_the_given_test_part_are_counted() -> None:
    raw, task = make_classes(300, [0.5, 0.5])
    groups = [f"g{i // 10}" for i in range(290)] + ["g0", "g1"] * 5
    table = raw.table.append_column("g", pa.array(groups))
    _, _, warnings = split(Raw(raw.source, table), task, make_settings(group="g"), num_given_test_rows=10)
    assert any(warning.startswith("2 `g` values are in the test source") for warning in warnings)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(0, 20)), min_size=15, max_size=80))
def test_time_is_past_then_future(times: list[int | None]) -> None:
    rng = np.random.default_rng(0)
    raw = raw_of(t=pa.array(times, pa.int64()), x=rng.normal(size=len(times)), y=rng.normal(size=len(times)))
    try:
        parts, _, warnings = split(raw, Task("y", "regression"), make_settings(time="t"))
    except ColumnError:
        known = [time for time in times if time is not None]
        assert len(set(known)) < 3 or len(known) < 0.5 * len(times)
        return
    check_disjoint(parts, len(times))
    unknown = {i for i, time in enumerate(times) if time is None}
    assert unknown <= set(parts.train.tolist())
    assert any("no usable `t`" in warning for warning in warnings) == bool(unknown)
    past = [times[i] for i in parts.train if times[i] is not None]
    between = [times[i] for i in parts.validation]
    assert max(past) < min(between)
    assert max(between) < min(times[i] for i in parts.test)


def test_time_by_dates_in_text() -> None:
    rng = np.random.default_rng(0)
    days = (np.datetime64("2020-01-01") + rng.permutation(200)).astype(str).tolist()
    raw = raw_of(when=days, x=rng.normal(size=200), y=rng.normal(size=200))
    parts, decisions, _ = split(raw, Task("y", "regression"), make_settings(time="when"))
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (140, 30, 30)
    assert max(days[i] for i in parts.train) < min(days[i] for i in parts.validation)
    assert max(days[i] for i in parts.validation) < min(days[i] for i in parts.test)
    assert "`when`" in decisions[0].why


def test_a_given_test_part_is_kept() -> None:
    raw, task = make_classes(300, [0.5, 0.5])
    cells = raw.table["x"].to_numpy().copy()
    cells[290:293] = cells[:3]  # three test rows that are also to be learned from
    table = raw.table.set_column(0, "x", pa.array(cells))
    parts, decisions, warnings = split(Raw(raw.source, table), task, make_settings(), num_given_test_rows=50)
    assert parts.test.tolist() == list(range(250, 300))
    assert abs(len(parts.validation) - 0.15 * 250) < 1
    assert len(parts.train) + len(parts.validation) == 250
    assert any(warning.startswith("3 rows are in the test source") for warning in warnings)
    assert "test source" in decisions[0].why


def test_rows_without_a_target_are_in_no_part() -> None:
    target = [None if i % 10 == 0 else float(i) for i in range(120)]
    raw = raw_of(x=np.arange(120.0) ** 2, y=target)
    parts, _, warnings = split(raw, Task("y", "regression"), make_settings())
    assert warnings == []  # `choose_task` counts them
    together = np.concatenate([parts.train, parts.validation, parts.test])
    assert sorted(together.tolist()) == [i for i in range(120) if i % 10]


def test_few_different_rows_are_said() -> None:
    raw = raw_of(x=["u", "v", "w"] * 40, y=["a", "b"] * 60)
    parts, _, warnings = split(raw, class_task("a", "b"), make_settings())
    assert len(parts.test) == 18
    assert "Only 3 different rows of features among 120" in warnings[0]


def test_mistakes_are_one_line() -> None:
    raw, task = make_classes(60, [0.5, 0.5])
    with pytest.raises(ColumnError, match="Did you mean `x`"):
        split(raw, task, make_settings(group="X"))
    with pytest.raises(ColumnError, match="no column `when`"):
        split(raw, task, make_settings(time="when"))
    with pytest.raises(ColumnError, match="is the target"):
        split(raw, task, make_settings(group="y"))
    with pytest.raises(SettingError, match="`group` and `time`"):
        split(raw, task, make_settings(group="x", time="x"))
    with pytest.raises(SourceError, match="At least 10 rows"):
        split(Raw(raw.source, raw.table.slice(0, 9)), task, make_settings())
    with pytest.raises(ColumnError, match="same in every row"):
        split(raw_of(x=np.arange(60.0), y=["k0"] * 60), task, make_settings())
    with pytest.raises(ColumnError, match="No row has a usable `y`"):
        split(raw_of(x=np.arange(60.0), y=pa.nulls(60, pa.string())), task, make_settings())
    with pytest.raises(ColumnError, match="dates or numbers"):
        split(raw_of(x=[f"word{i}" for i in range(60)], y=raw.table["y"]), task, make_settings(time="x"))


def test_a_class_that_only_the_future_knows_is_named() -> None:
    labels = ["a", "b"] * 40 + ["c"] * 20
    raw = raw_of(t=list(range(100)), y=labels)
    _, _, warnings = split(raw, class_task("a", "b", "c"), make_settings(time="t"))
    assert any("'c', which no training row has" in warning for warning in warnings)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 3)), min_size=3, max_size=60),
    st.sampled_from([(0.15, 0.15), (0.15, 0.0), (0.4, 0.4), (0.01, 0.01)]),
    st.booleans(),
)
def test_assigned_units_fill_every_part(
    units: list[tuple[int, int]], held_out: tuple[float, float], spread: bool
) -> None:
    sizes = np.array([size for size, _ in units])
    strata = np.unique([stratum for _, stratum in units], return_inverse=True)[1]
    part = assign_units(sizes, strata, held_out, np.random.default_rng(0), spread=spread)
    assert len(part) == len(units)
    assert set(part) == ({0, 1, 2} if held_out[1] else {0, 1})


def test_row_hashes_tell_cells_and_columns_apart() -> None:
    table = pa.table({"a": [1, 1, 2, None, None], "A": ["x", "x", "y", None, "x"], 'b"': [2.0, 2.0, 1.0, 0.0, 0.0]})
    hashes = row_hashes(table, ["a", "A", 'b"'])
    assert hashes[0] == hashes[1]
    assert len(set(hashes.tolist())) == 4
    assert len(set(row_hashes(table, []).tolist())) == 1


def test_row_hashes_keep_the_order_of_many_rows() -> None:
    table = pa.table({"a": np.random.default_rng(0).integers(0, 1000, 400_000)})
    hashes = row_hashes(table, ["a"])  # more rows than one thread takes at a time
    np.testing.assert_array_equal(hashes[300_000:], row_hashes(table.slice(300_000), ["a"]))


def test_units_are_numbered_in_the_order_of_their_first_row() -> None:
    keys = np.array([7, 3, 7, 2**64 - 1, 3, 0], np.uint64)
    assert numbered(keys).tolist() == [0, 1, 0, 2, 1, 3]
    assert numbered(keys[[3, 0, 5]]).tolist() == [0, 1, 2]  # all different: a shorter way
    assert numbered(keys[:0]).tolist() == []


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 3), max_size=30))
def test_distinct_keys_are_counted_as_numpy_counts_them(keys: list[int]) -> None:
    hashes = np.array(keys, np.uint64)
    assert num_distinct(hashes) == len(np.unique(hashes))
