"""Preparing: learned on training rows alone, the same at prediction, invertible, saved without loss."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import StandardScaler

from nudgenet.data.features import learn_scale, log_unit, signed_log, squeeze
from nudgenet.data.prepare import Preparation, learn, prepare
from nudgenet.errors import ColumnError, RunError
from nudgenet.records import Column, Decision, Parts, Raw, Source, Task
from nudgenet.settings import make_settings

CITIES = ["Basel", "Chur", "Genf", "Zug"]


def raw_of(**columns: object) -> Raw:
    return Raw(Source("frame", "test", None, ""), pa.table(columns))


def columns_of(**kinds: str) -> tuple[Column, ...]:
    return tuple(Column(name, kind, "") for name, kind in kinds.items())  # type: ignore[arg-type]


COLUMNS = columns_of(age="number", city="category", member="yes_no", joined="date", note="text")
TASK = Task("price", "regression")


def make_raw(num_rows: int = 300, seed: int = 0) -> Raw:
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 91, num_rows).astype(float)
    age[[0, 3]] = 18, 90  # both in the training part, as are the first and the last day
    joined = np.datetime64("2020-01-01T00:00", "us") + rng.integers(0, 800, num_rows) * np.timedelta64(1, "D")
    joined[[0, 3]] = np.datetime64("2020-01-01", "us"), np.datetime64("2022-03-11", "us")
    return raw_of(
        age=pa.array(age, mask=(rng.random(num_rows) < 0.1) & (np.arange(num_rows) > 3)),
        city=rng.choice(CITIES, num_rows).tolist(),
        member=pa.array(rng.choice(["yes", "no"], num_rows).tolist(), mask=rng.random(num_rows) < 0.1),
        joined=joined,
        note=["free text"] * num_rows,
        price=rng.normal(100, 20, num_rows),
    )


def thirds(num_rows: int) -> Parts:
    rows = np.arange(num_rows)
    return Parts(rows[rows % 3 == 0], rows[rows % 3 == 1], rows[rows % 3 == 2])


def learned(raw: Raw, columns: tuple[Column, ...] = COLUMNS, task: Task = TASK) -> tuple[Preparation, list[Decision]]:
    return learn(raw, thirds(raw.table.num_rows), columns, task, make_settings())


def save(preparation: Preparation, folder: Path) -> None:
    for name, content in preparation.pack().items():
        (folder / name).write_bytes(content)


def number(values: np.ndarray) -> np.ndarray:
    """The prepared training values of a single number column, in which every row is a training row."""
    raw = raw_of(x=values, price=np.arange(float(len(values))))
    everything = Parts(np.arange(len(values)), np.array([0]), np.array([1]))
    preparation, _ = learn(raw, everything, columns_of(x="number"), TASK, make_settings())
    return prepare(raw, everything, preparation).train.inputs["numbers"][:, 0].numpy()


def test_only_training_rows_count() -> None:
    """Change validation and test rows at will, features and targets: nothing that training sees moves."""
    raw = make_raw()
    parts = thirds(raw.table.num_rows)
    other = make_raw(seed=1).table.to_pydict()
    other["city"] = ["Atlantis"] * raw.table.num_rows
    other["age"] = [1e9] * raw.table.num_rows
    other["price"] = [-5e6] * raw.table.num_rows
    other["joined"] = [None] * raw.table.num_rows
    in_train = np.isin(np.arange(raw.table.num_rows), parts.train)
    mixed = {
        name: [mine if keep else theirs for mine, theirs, keep in zip(column, other[name], in_train, strict=True)]
        for name, column in raw.table.to_pydict().items()
    }
    changed = Raw(raw.source, pa.table(mixed, schema=raw.table.schema))
    settings_ = make_settings()
    before, decisions_before = learn(raw, parts, COLUMNS, TASK, settings_)
    after, decisions_after = learn(changed, parts, COLUMNS, TASK, settings_)
    assert before == after
    assert decisions_before == decisions_after
    prepared_before, prepared_after = prepare(raw, parts, before), prepare(changed, parts, after)
    assert torch.equal(prepared_before.train.targets, prepared_after.train.targets)
    assert not torch.equal(prepared_before.validation.targets, prepared_after.validation.targets)
    for name in ("numbers", "categories"):
        assert torch.equal(prepared_before.train.inputs[name], prepared_after.train.inputs[name])
        assert not torch.equal(prepared_before.test.inputs[name], prepared_after.test.inputs[name])


def test_names_shapes_and_types() -> None:
    raw = make_raw()
    parts = thirds(300)
    preparation, _ = learned(raw)
    prepared = prepare(raw, parts, preparation)
    assert preparation.number_names == (
        *("age", "age:missing", "joined:days", "joined:year", "joined:month_sin", "joined:month_cos"),
        *("joined:weekday_sin", "joined:weekday_cos"),
    )
    assert preparation.category_names == ("city", "member")
    assert preparation.cardinalities == (1 + 4, 1 + 1 + 2)
    assert prepared.shape == preparation.shape(100)
    assert (prepared.shape.num_numbers, prepared.shape.num_outputs, prepared.shape.num_rows) == (8, 1, 100)
    for part, rows in ((prepared.train, parts.train), (prepared.test, parts.test)):
        assert part.inputs["numbers"].shape == (len(rows), 8)
        assert part.inputs["numbers"].dtype == torch.float32
        assert part.inputs["categories"].dtype == torch.int64
        assert part.targets.dtype == torch.float32
        assert len(part) == len(rows)
        assert torch.isfinite(part.inputs["numbers"]).all()
    city = np.array(raw.table["city"].to_pylist())[parts.train]
    np.testing.assert_array_equal(
        prepared.train.inputs["categories"][:, 0].numpy(), [1 + CITIES.index(c) for c in city]
    )
    member = raw.table["member"].take(parts.train).to_pylist()
    codes = {None: 1, "no": 2, "yes": 3}
    np.testing.assert_array_equal(prepared.train.inputs["categories"][:, 1].numpy(), [codes[m] for m in member])


def test_classes_become_indices() -> None:
    raw = raw_of(x=np.arange(90.0), kind=["b", "a", "c"] * 30)
    task = Task("kind", "multiclass", ("a", "b", "c"))
    preparation, _ = learned(raw, columns_of(x="number"), task)
    prepared = prepare(raw, Parts(np.arange(60), np.arange(60, 75), np.arange(75, 90)), preparation)
    assert prepared.train.targets.dtype == torch.int64
    assert prepared.train.targets[:3].tolist() == [1, 0, 2]
    assert prepared.shape.num_outputs == 3


def test_standardised_as_scikit_learn_does_on_ordinary_data() -> None:
    values = np.random.default_rng(0).normal(170, 12, 5000)
    expected = StandardScaler().fit_transform(values[:, None])[:, 0]
    np.testing.assert_allclose(number(values), expected, atol=2e-3)


@pytest.mark.parametrize(
    "kind", ["uniform", "two values", "mostly zero", "wild", "tiny", "huge", "lognormal", "counts"]
)
def test_prepared_numbers_have_mean_0_and_deviation_1(kind: str) -> None:
    rng = np.random.default_rng(0)
    values = {
        "uniform": rng.uniform(-3, 8, 4000),
        "two values": rng.integers(0, 2, 4000).astype(float),
        "mostly zero": np.where(rng.random(4000) < 0.9, 0.0, rng.normal(5, 1, 4000)),
        "wild": np.where(rng.random(4000) < 0.002, 1e12, rng.normal(5, 1, 4000)),
        "tiny": rng.normal(1, 0.1, 4000) * 1e-30,
        "huge": rng.normal(1, 0.1, 4000) * 1e200,
        "lognormal": rng.lognormal(3, 2, 4000),
        "counts": rng.negative_binomial(1, 0.05, 4000).astype(float),
    }[kind]
    prepared = number(values).astype(np.float64)
    assert abs(prepared.mean()) < 0.06
    assert abs(prepared.std() - 1) < 0.15
    assert np.abs(prepared).max() <= 8


def test_an_outlier_decides_nothing() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    with_outlier = values.copy()
    with_outlier[0] = 1e9
    np.testing.assert_allclose(number(with_outlier)[1:], number(values)[1:], atol=0.1)
    assert 4 < number(with_outlier)[0] <= 8


def test_a_skewed_column_gets_a_logarithm_and_says_so() -> None:
    rng = np.random.default_rng(0)
    raw = raw_of(area=rng.lognormal(5, 1.5, 900), height=rng.normal(170, 10, 900), price=rng.normal(size=900))
    preparation, decisions = learned(raw, columns_of(area="number", height="number"))
    logs = [decision for decision in decisions if decision.what == "logarithm"]
    assert [decision.chosen for decision in logs] == ["`area`"]
    in_thousands = raw_of(
        area=raw.table["area"].to_numpy() / 1000, height=raw.table["height"], price=raw.table["price"]
    )
    again, _ = learned(in_thousands, columns_of(area="number", height="number"))
    np.testing.assert_allclose(
        preparation.apply(raw)[0]["numbers"].numpy(), again.apply(in_thousands)[0]["numbers"].numpy(), atol=1e-5
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=3, max_size=40))
def test_any_numbers_become_finite_bounded_and_keep_their_order(cells: list[float]) -> None:
    values = np.array(cells)
    prepared = number(values)
    assert np.isfinite(prepared).all()
    finite = np.isfinite(values)
    assert np.abs(prepared).max() <= 8.001
    ordered = prepared[finite][np.argsort(values[finite], kind="stable")]
    assert (np.diff(ordered) >= 0).all()


@settings(max_examples=100, deadline=None)
@given(st.integers(-(10**6), 10**6), st.floats(1e-3, 1e6))
def test_squeeze_and_signed_log(value: int, unit: float) -> None:
    values = np.array([value, value + 0.5])
    assert abs(squeeze(values)).max() < 8
    if np.abs(values).max() <= 4:
        np.testing.assert_array_equal(squeeze(values), values)
    np.testing.assert_allclose(signed_log(-values, unit), -signed_log(values, unit))
    np.testing.assert_allclose(np.sign(values) * unit * np.expm1(np.abs(signed_log(values, unit))), values, rtol=1e-6)


def test_scale_of_nothing_and_of_one_value() -> None:
    assert learn_scale(np.array([]))(np.array([3.0, np.nan])).tolist() == [3.0, 0.0]
    assert learn_scale(np.array([7.0, 7.0]))(np.array([7.0, 8.0])).tolist() == [0.0, 1.0]
    assert log_unit(np.array([-1.0, 1.0, 2.0, 1e9])) == 0.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e9, 1e9), min_size=6, max_size=30))
def test_targets_come_back(prices: list[float]) -> None:
    raw = raw_of(age=np.arange(float(len(prices))), price=prices)
    preparation, _ = learned(raw, columns_of(age="number"))
    target = np.array(prices)
    scale = max(1.0, np.abs(target).max())
    np.testing.assert_allclose(
        preparation.restore(preparation.standardise_targets(target)) / scale, target / scale, atol=1e-12
    )


def test_targets_are_standardised() -> None:
    raw = make_raw()
    parts = thirds(300)
    prepared = prepare(raw, parts, learned(raw)[0])
    targets = prepared.train.targets.numpy().astype(np.float64)
    assert abs(targets.mean()) < 1e-6
    assert abs(targets.std() - 1) < 1e-6
    in_units = prepared.test.targets.numpy() * prepared.target_scale + prepared.target_center
    np.testing.assert_allclose(in_units, raw.table["price"].to_numpy()[parts.test], rtol=1e-5)


def test_missing_numbers_are_the_mean_and_say_so() -> None:
    raw = make_raw()
    inputs, _ = learned(raw)[0].apply(raw)
    missing = raw.table["age"].is_null().to_numpy()
    np.testing.assert_array_equal(inputs["numbers"][:, 1].numpy(), missing.astype(np.float32))
    assert (inputs["numbers"][missing, 0] == 0).all()
    infinite = raw_of(age=[np.inf, 30.0], city=["Zug"] * 2, member=["no"] * 2, joined=raw.table["joined"][:2])
    inputs, warnings = learned(raw)[0].apply(infinite)
    assert inputs["numbers"][:, 1].tolist() == [1.0, 0.0]
    assert "1 `age` cell is infinite, taken as missing" in warnings


def test_missing_categories_without_any_in_training_are_unknown() -> None:
    raw = raw_of(city=["Basel", "Chur"] * 30, price=np.arange(60.0))
    preparation, _ = learned(raw, columns_of(city="category"))
    assert preparation.cardinalities == (3,)
    inputs, warnings = preparation.apply(raw_of(city=["Chur", None, "Atlantis"]))
    assert inputs["categories"][:, 0].tolist() == [2, 0, 0]
    assert warnings == ["1 row has a `city` never seen in training"]


def test_rare_levels_are_unknown_and_counted() -> None:
    cities = ["Basel", "Chur"] * 44 + ["Zug", "Genf"]
    raw = raw_of(city=cities, price=np.arange(90.0))
    everything = Parts(np.arange(90), np.array([0]), np.array([1]))
    preparation, decisions = learn(raw, everything, columns_of(city="category"), TASK, make_settings())
    assert preparation.cardinalities == (3,)
    rare = next(decision for decision in decisions if decision.what == "rare levels count as unknown")
    assert rare.chosen == "2 of 4 of `city`"
    inputs, warnings = preparation.apply(raw)
    assert inputs["categories"][-2:, 0].tolist() == [0, 0]
    assert not warnings  # training did see them


def test_the_hour_counts_when_it_varies() -> None:
    hours = np.datetime64("2021-03-01T00:00", "us") + np.arange(300) * np.timedelta64(1, "h")
    raw = raw_of(joined=hours, price=np.arange(300.0))
    preparation, _ = learned(raw, columns_of(joined="date"))
    assert "joined:hour_sin" in preparation.number_names
    assert "joined:year" not in preparation.number_names
    inputs, _ = preparation.apply(raw)
    names = preparation.number_names
    sine = inputs["numbers"][:, names.index("joined:hour_sin")].numpy()
    np.testing.assert_allclose(sine, np.sin(2 * np.pi * (np.arange(300) % 24) / 24), atol=1e-6)
    # 1 March 2021 was a Monday, day 0 of the week
    cosine = inputs["numbers"][:, names.index("joined:weekday_cos")].numpy()
    np.testing.assert_allclose(cosine, np.cos(2 * np.pi * (np.arange(300) // 24 % 7) / 7), atol=1e-6)


def test_unseen_rows_are_warned_about_with_counts() -> None:
    raw = make_raw()
    preparation, _ = learned(raw)
    assert preparation.apply(Raw(raw.source, raw.table.take(thirds(300).train)))[1] == []
    table = raw.table.slice(0, 100)
    ages = [17.0, 91.0, 200.0] + [40.0] * 97
    table = table.set_column(0, "age", pa.array(ages))
    table = table.set_column(1, "city", pa.array(["Atlantis"] * 17 + ["Zug"] * 83))
    table = table.append_column("extra", pa.array([1] * 100)).drop_columns(["joined", "price"])
    inputs, warnings = preparation.apply(Raw(raw.source, table))
    assert warnings == [
        "1 column is absent, taken as missing values: `joined`",
        "1 column was not in training: `extra` left out",
        "17 rows have a `city` never seen in training",
        "3 rows have an `age` outside the 18 to 90 seen in training",
    ]
    assert len(inputs["numbers"]) == 100


def test_columns_that_training_left_out_are_not_extra() -> None:
    raw = make_raw()
    preparation, _ = learned(raw, columns_of(age="number", city="category"))  # the others were ignored
    assert preparation.apply(Raw(raw.source, raw.table.take(thirds(300).train)))[1] == []


def test_no_feature_column_at_all_is_an_error() -> None:
    with pytest.raises(ColumnError, match=r"got `colour`.*Needed are: `age`, `city`"):
        learned(make_raw())[0].apply(raw_of(colour=["red"]))


@pytest.mark.parametrize(("num_bad", "refused"), [(5, False), (6, True)])
def test_cells_that_are_not_numbers(num_bad: int, refused: bool) -> None:
    raw = make_raw()
    preparation, _ = learned(raw)
    ages = ["30"] * (100 - num_bad) + ["old"] * num_bad
    table = raw.table.slice(0, 100).set_column(0, "age", pa.array(ages))
    if refused:
        with pytest.raises(ColumnError, match=r"`age` held numbers.*6 of 100.*'old' in row 95"):
            preparation.apply(Raw(raw.source, table))
    else:
        inputs, warnings = preparation.apply(Raw(raw.source, table))
        assert warnings == ["5 cells of `age` are not numbers, taken as missing ('old' in row 96, for example)"]
        assert inputs["numbers"][-5:, 1].tolist() == [1.0] * 5


def test_cells_that_are_not_dates() -> None:
    raw = make_raw()
    preparation, _ = learned(raw)
    days = ["2020-05-05"] * 99 + ["soon"]
    table = raw.table.slice(0, 100).set_column(3, "joined", pa.array(days))
    assert "1 cell of `joined` is not a date" in preparation.apply(Raw(raw.source, table))[1][0]
    late = table.set_column(3, "joined", pa.array(["2035-05-05"] * 100))
    assert "outside the 2020-01-" in preparation.apply(Raw(raw.source, late))[1][0]


def test_text_and_typed_cells_give_the_same_tensors() -> None:
    raw = make_raw()
    codes = np.random.default_rng(5).integers(1, 5, 300)
    ages = raw.table["age"].to_pylist()
    stem = {"joined": raw.table["joined"], "price": raw.table["price"]}
    as_text = raw_of(
        age=[None if age is None else f"{age:g}" for age in ages],
        code=[str(code) for code in codes],
        **stem | {"joined": [str(day.date()) for day in raw.table["joined"].to_pylist()]},
    )
    as_ints = raw_of(age=pa.array(ages).cast(pa.int64()), code=codes, **stem)
    as_floats = raw_of(age=pa.array(ages), code=codes.astype(float), **stem)
    preparation, _ = learned(as_text, columns_of(age="number", code="category", joined="date"))
    expected, _ = preparation.apply(as_text)
    for typed in (as_ints, as_floats):
        inputs, warnings = preparation.apply(typed)
        assert warnings == [] or all("outside" in warning for warning in warnings)
        for name in expected:
            assert torch.equal(inputs[name], expected[name])


def test_headerless_rows_without_the_target() -> None:
    cells = {f"column_{i + 2}": np.random.default_rng(i).normal(size=60) for i in range(3)}
    raw = Raw(Source("file", "t", None, ""), pa.table({"column_1": np.arange(60.0), **cells}), has_header=False)
    columns = columns_of(column_2="number", column_3="number", column_4="number")
    preparation, _ = learned(raw, columns, Task("column_1", "regression"))
    expected, _ = preparation.apply(raw)
    bare = pa.table({f"column_{i + 1}": column for i, column in enumerate(cells.values())})
    inputs, _ = preparation.apply(Raw(raw.source, bare, has_header=False))
    assert torch.equal(inputs["numbers"], expected["numbers"])


def test_saved_and_loaded_is_the_same(tmp_path: Path) -> None:
    raw = make_raw(3000)
    streets = [f"straße {i % 230:03d}" for i in range(3000)]
    table = raw.table.append_column("street", pa.array(streets))
    table = table.append_column("code", pa.array(np.random.default_rng(0).integers(0, 3000, 3000).astype(str).tolist()))
    raw = Raw(raw.source, table)
    preparation, _ = learned(raw, (*COLUMNS, *columns_of(street="category", code="category")))
    save(preparation, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["preparation.json", "preparation.safetensors"]
    loaded = Preparation.load(tmp_path)
    assert loaded == preparation
    before, after = preparation.apply(raw), loaded.apply(raw)
    assert before[1] == after[1]
    for name in ("numbers", "categories"):
        assert torch.equal(before[0][name], after[0][name])


@pytest.mark.parametrize("classes", [(0, 1), (False, True), (0.5, 1.5), ("no", "yes"), (1, "1")])
def test_classes_keep_their_types(tmp_path: Path, classes: tuple[object, ...]) -> None:
    task = Task("y", "binary", classes)  # type: ignore[arg-type]
    save(Preparation((), (), (), task), tmp_path)
    loaded = Preparation.load(tmp_path).task.classes
    assert [(type(label), label) for label in loaded] == [(type(label), label) for label in classes]


def test_damaged_files_are_one_line(tmp_path: Path) -> None:
    preparation, _ = learned(make_raw())
    path = tmp_path / "preparation.json"
    with pytest.raises(RunError, match="is not there"):
        Preparation.load(tmp_path)
    save(preparation, tmp_path)
    text = path.read_text()
    stored = json.loads(text)
    damaged = [
        text[: len(text) // 2],
        "",
        "[]",
        "null",
        "{}",
        json.dumps(stored | {"features": 3}),
        json.dumps(stored | {"columns": [{"name": "x"}]}),
        json.dumps(stored | {"features": [{"kind": "number"}]}),
        json.dumps(stored | {"task": None}),
        json.dumps(stored | {"target_scale": "wide"}),
    ]
    for content in damaged:
        path.write_text(content)
        with pytest.raises(RunError, match="damaged") as raised:
            Preparation.load(tmp_path)
        assert "\n" not in str(raised.value)
    path.write_text(json.dumps(stored | {"format_version": 99}))
    with pytest.raises(RunError, match="format 99"):
        Preparation.load(tmp_path)
    path.write_text(text)
    (tmp_path / "preparation.safetensors").write_bytes(b"not tensors")
    with pytest.raises(RunError, match="damaged"):
        Preparation.load(tmp_path)


def test_counts_are_scaled_but_never_moved_below_zero() -> None:
    raw = make_raw()
    counts = np.random.default_rng(0).poisson(3.0, raw.table.num_rows).astype(float)
    raw = Raw(raw.source, raw.table.set_column(5, "price", pa.array(counts)))
    parts = thirds(len(counts))
    preparation, _ = learn(raw, parts, COLUMNS, TASK, make_settings(objective="poisson"))
    assert preparation.target_center == 0
    assert preparation.target_scale == pytest.approx(counts[parts.train].mean())
    targets = prepare(raw, parts, preparation).train.targets.numpy()
    assert targets.min() == 0 and targets.mean() == pytest.approx(1)
    np.testing.assert_allclose(preparation.restore(targets), counts[parts.train], rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, -2.0])
def test_the_scale_of_counts_is_positive_whatever_they_are(value: float) -> None:
    raw = raw_of(x=[1.0, 2.0, 3.0], price=[value] * 3)
    rows = np.arange(3)
    settings = make_settings(objective="poisson")
    preparation, _ = learn(raw, Parts(rows, rows, rows), columns_of(x="number"), TASK, settings)
    assert (preparation.target_center, preparation.target_scale) == (0.0, 1.0)


def test_many_columns_that_are_odd_alike_share_one_warning() -> None:
    names = [f"c{i}" for i in range(9)]
    raw = raw_of(**{name: [0.0, 1.0, 2.0, 3.0] * 3 for name in names}, price=np.arange(12.0))
    preparation, _ = learned(raw, columns_of(**dict.fromkeys(names, "number")))
    wild = raw_of(**{name: [9.0] * (1 + (name == "c3")) + [2.0] * (11 - (name == "c3")) for name in names})
    (warning,) = preparation.apply(wild)[1]
    assert warning.startswith("9 columns hold values outside the range seen in training: `c3` (2 rows), `c0` (1 row)")
    assert warning.endswith("and 3 more")


def test_targets_that_no_float32_could_hold_stay_finite() -> None:
    raw = raw_of(x=np.arange(6.0), price=[0.0, 0.0, 1e300, 1e-150, 0.0, 0.0])
    rows = np.arange(6)
    parts = Parts(rows[[0, 3, 4]], rows[[1, 2]], rows[[5]])
    preparation, _ = learn(raw, parts, columns_of(x="number"), TASK, make_settings())
    assert torch.isfinite(prepare(raw, parts, preparation).validation.targets.square()).all()


@pytest.mark.parametrize("cells", [["yes", "no"], ["Yes", "NO"], ["true", "false"], [True, False], ["T", "f"]])
def test_yes_and_no_are_understood_however_they_are_written(cells: list[object]) -> None:
    raw = raw_of(ok=["yes", "no"] * 6, price=np.arange(12.0))
    preparation, _ = learned(raw, columns_of(ok="yes_no"))
    inputs, warnings = preparation.apply(raw_of(ok=cells))
    assert inputs["categories"].flatten().tolist() == [2, 1] and warnings == []


def test_other_pairs_are_not_taken_for_yes_and_no() -> None:
    raw = raw_of(side=["left", "right"] * 6, price=np.arange(12.0))
    preparation, _ = learned(raw, columns_of(side="category"))
    inputs, warnings = preparation.apply(raw_of(side=["yes", "left"]))
    assert inputs["categories"].flatten().tolist() == [0, 1] and len(warnings) == 1
