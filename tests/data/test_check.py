"""Pre-flight: each kind of trouble is found, named and counted, and sound data is left in peace."""

from __future__ import annotations

import time

import numpy as np
import pyarrow as pa
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris, load_wine

from nudgenet.data.check import check
from nudgenet.data.prepare import learn
from nudgenet.data.split import split
from nudgenet.records import Column, Raw, Source, Task
from nudgenet.settings import make_settings


def warnings_of(task: Task, kinds: dict[str, str] | None = None, /, **cells: object) -> list[str]:
    """What `check` says about a table, whose columns are numbers unless `kinds` says otherwise."""
    raw = Raw(Source("frame", "test", None, ""), pa.table(cells))
    settings = make_settings()
    parts, _, _ = split(raw, task, settings)
    columns = [
        Column(name, (kinds or {}).get(name, "number"), "")  # type: ignore[arg-type]
        for name in raw.table.column_names
        if name != task.target
    ]
    preparation, _ = learn(raw, parts, columns, task, settings)
    return check(raw, parts, columns, task, preparation.shape(len(parts.train)))


def two_classes() -> Task:
    return Task("y", "binary", ("no", "yes"))


def noise(num_rows: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=num_rows)


def yes_no(num_rows: int, share: float = 0.4, seed: int = 1) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random(num_rows) < share, "yes", "no")


def test_sound_data_is_left_in_peace() -> None:
    assert warnings_of(two_classes(), a=noise(500), b=noise(500, 2), y=yes_no(500).tolist()) == []
    assert warnings_of(Task("y", "regression"), a=noise(500), b=noise(500, 2), y=noise(500, 3)) == []


def test_a_column_that_is_no_leak_is_seen_in_bins_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = []
    monkeypatch.setattr("nudgenet.data.check._fit_tree", lambda *given: fitted.append(given))
    table = {f"x{i}": noise(300, i) for i in range(5)}
    warnings_of(two_classes(), **table, y=yes_no(300).tolist())
    warnings_of(Task("y", "regression"), **table, y=noise(300, 9) + table["x1"])
    assert fitted == []


@pytest.mark.parametrize("loader", [load_iris, load_wine, load_breast_cancer])
def test_easy_data_is_no_leak(loader: object) -> None:
    bunch = loader()  # type: ignore[operator]
    task = Task("y", "multiclass", tuple(str(label) for label in np.unique(bunch.target)))
    cells = {f"x{i}": column for i, column in enumerate(bunch.data.T)}
    assert not [w for w in warnings_of(task, **cells, y=bunch.target.astype(str).tolist()) if "perfectly" in w]


def test_a_good_column_is_no_leak() -> None:
    target = yes_no(4000)
    good = (target == "yes") + 0.4 * noise(4000)  # an area under the ROC curve of 0.96
    assert warnings_of(two_classes(), good=good, y=target.tolist()) == []
    diabetes = load_diabetes()
    cells = {f"x{i}": column for i, column in enumerate(diabetes.data.T)}
    assert warnings_of(Task("y", "regression"), **cells, y=diabetes.target) == []


@pytest.mark.parametrize("num_rows", [120, 50_000])
def test_a_number_that_gives_the_class_away(num_rows: int) -> None:
    target = yes_no(num_rows)
    leak = np.where(target == "yes", 1000 + noise(num_rows), noise(num_rows))
    leak[::10] = np.nan
    leak[::10] = np.where(target[::10] == "yes", 1000, np.nan)  # even by being missing
    found = warnings_of(two_classes(), leak=leak, a=noise(num_rows), y=target.tolist())
    assert len(found) == 1
    assert found[0].startswith("`leak` alone predicts `y` almost perfectly (it avoids ")
    assert "--set ignore=leak" in found[0]


def test_a_category_that_says_the_class_in_words() -> None:
    target = yes_no(600)
    alive = np.where(target == "yes", "lives", "died").astype(object)
    alive[:3] = None
    other = np.random.default_rng(3).choice(["u", "v"], 600)
    found = warnings_of(
        two_classes(),
        {"alive": "category", "other": "category"},
        alive=alive.tolist(),
        other=other.tolist(),
        a=noise(600),
        y=target.tolist(),
    )
    assert [warning.split()[0] for warning in found] == ["`alive`"]


def test_a_number_that_gives_the_target_away() -> None:
    target = np.exp(noise(2000))
    found = warnings_of(Task("y", "regression"), cents=100 * target + 1e-3 * noise(2000, 5), a=noise(2000, 2), y=target)
    assert [warning.split()[0] for warning in found] == ["`cents`"]


def test_a_date_that_gives_the_target_away() -> None:
    day = np.datetime64("2020-01-01", "us") + np.arange(400) * np.timedelta64(1, "D")
    found = warnings_of(Task("y", "regression"), {"day": "date"}, day=day, a=noise(400), y=np.arange(400.0) ** 2)
    assert [warning.split()[0] for warning in found] == ["`day`"]


@pytest.mark.parametrize("num_summands", [2, 3])
def test_columns_that_add_up_to_the_target(num_summands: int) -> None:
    rng = np.random.default_rng(0)
    parts = {f"p{i}": rng.gamma(2, 10.0, 3000) for i in range(num_summands)}
    others = {f"x{i}": noise(3000, i) for i in range(8)}
    found = warnings_of(Task("y", "regression"), **others, **parts, y=sum(parts.values()))
    assert len(found) == 1
    assert found[0].startswith(", ".join(f"`p{i}`" for i in range(num_summands)) + " together give `y` exactly")
    assert warnings_of(Task("y", "regression"), **others, **parts, y=sum(parts.values()) + 5 * noise(3000, 99)) == []


def test_repeated_and_contradicting_rows_are_counted() -> None:
    cells, target = noise(500), yes_no(500)
    cells[490:] = cells[:10]
    target[490:497] = target[:7]
    target[497:] = np.where(target[7:10] == "yes", "no", "yes")
    found = warnings_of(two_classes(), a=cells, y=target.tolist())
    assert found == [
        "7 of 500 rows repeat another row exactly (kept)",
        "6 of 500 rows have the same features as another row but a different `y`: no model can get all of them right",
    ]


def test_rare_classes_and_imbalance() -> None:
    target = ["no"] * 900 + ["yes"] * 95 + ["odd"] * 5
    found = warnings_of(Task("y", "multiclass", ("no", "odd", "yes")), a=noise(1000), y=target)
    assert len(found) == 2
    assert found[0].startswith("1 class has fewer than 10 training rows and can hardly be learned: `odd` (3)")
    assert "90% of the training rows are `no`" in found[1]
    assert "class_weights=balanced" in found[1]


def test_fewer_rows_than_inputs() -> None:
    cells = {f"x{i}": noise(60, i) for i in range(50)}
    found = warnings_of(two_classes(), **cells, y=yes_no(60, seed=2).tolist())
    assert any(warning.startswith("Only 42 training rows for 50 inputs") for warning in found)


def test_odd_tables_do_no_harm() -> None:
    assert warnings_of(Task("y", "regression"), {"a": "constant"}, a=["word"] * 60, y=noise(60)) == []
    everything = {"nothing": pa.nulls(60, pa.float64()), "same": [1.0] * 60, "huge": 1e300 * noise(60)}
    assert isinstance(warnings_of(Task("y", "regression"), **everything, y=noise(60, 3)), list)


def test_nearly_as_many_classes_as_rows() -> None:
    labels = [f"k{i // 2:03d}" for i in range(200)]
    task = Task("y", "multiclass", tuple(sorted(set(labels))))
    assert not [w for w in warnings_of(task, a=noise(200), y=labels) if "perfectly" in w]


def test_one_column_in_another_unit() -> None:
    wild = np.exp(4 * noise(300))
    wild[0] = 1e9  # what a tree with leaves of three rows cannot follow, a straight line can
    found = warnings_of(Task("y", "regression"), cents=wild * 100, a=noise(300, 2), y=wild)
    assert found[0].startswith("`cents` gives `y` exactly")


def test_it_is_quick() -> None:
    cells = {f"x{i}": noise(50_000, i) for i in range(50)}
    raw = Raw(Source("frame", "test", None, ""), pa.table(cells | {"y": yes_no(50_000).tolist()}))
    columns = [Column(name, "number", "") for name in cells]
    settings = make_settings()
    parts, _, _ = split(raw, two_classes(), settings)
    shape = learn(raw, parts, columns, two_classes(), settings)[0].shape(len(parts.train))
    began = time.process_time()
    check(raw, parts, columns, two_classes(), shape)
    assert time.process_time() - began < 10  # about 2 on an idle machine; this only catches a blunder


def test_cells_of_held_out_rows_that_do_not_fit_are_counted() -> None:
    cells = [f"{value:.3f}" for value in noise(200)]
    raw = Raw(Source("frame", "test", None, ""), pa.table({"a": cells, "y": yes_no(200).tolist()}))
    settings = make_settings()
    parts, _, _ = split(raw, two_classes(), settings)
    for row in (*parts.validation[:2], parts.test[0]):
        cells[row] = "oops"
    for row in parts.train[:1]:
        cells[row] = "described elsewhere"
    raw = Raw(raw.source, raw.table.set_column(0, "a", pa.array(cells)))
    columns = [Column("a", "number", "")]
    preparation, _ = learn(raw, parts, columns, two_classes(), settings)
    warnings = check(raw, parts, columns, two_classes(), preparation.shape(len(parts.train)))
    assert warnings[:1] == [
        "`a`: 3 of 60 validation and test cells are not numbers (first: `oops`) and count as missing"
    ]
