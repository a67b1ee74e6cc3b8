"""`kinds=`: what the user says that a column is."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pytest

from nudgenet.data.columns import describe
from nudgenet.data.prepare import learn, prepare
from nudgenet.data.split import split
from nudgenet.errors import ColumnError, SettingError
from nudgenet.records import Column, Decision, Raw, Source, Task
from nudgenet.settings import make_settings

ROWS = 60
TASK = Task("y", "binary", (0, 1))


def raw_of(**columns: object) -> Raw:
    return Raw(Source("frame", "frame", None, "0"), pa.table(columns | {"y": [0, 1] * (ROWS // 2)}))


def wish(values: object, kind: str, name: str = "x") -> tuple[Column, list[Decision], list[str]]:
    raw = raw_of(**{name: values, "other": np.random.default_rng(1).normal(size=ROWS)})
    columns, decisions, warnings = describe(raw, TASK, np.arange(ROWS), make_settings(target="y", kinds={name: kind}))
    return columns[0], decisions, warnings


def text(values: object) -> list[str]:
    return [str(value) for value in values]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("values", "kind", "becomes"),
    [
        (text(range(ROWS)), "category", "category"),
        (list(range(ROWS)), "category", "category"),
        (["0", "1"] * 30, "yes_no", "yes_no"),
        ([1.5, 2.5] * 30, "yes_no", "yes_no"),
        (["red", "blue"] * 30, "yes/no", "yes_no"),
        ([f"{i:05}" for i in range(ROWS)], "number", "number"),  # leading zeros
        (["3,5", "4,25", "n.k."] * 20, "number", "number"),
        ([True, False] * 30, "number", "number"),
        (text(range(1950, 1950 + ROWS)), "date", "date"),
        (list(range(1950, 1950 + ROWS)), "date", "date"),
        ([1950.0 + i if i else None for i in range(ROWS)], "date", "date"),
        ([f"2020{1 + i % 12:02}{1 + i % 28:02}" for i in range(ROWS)], "date", "date"),
        ([datetime.date(2020, 1, 1 + i % 28) for i in range(ROWS)], "date", "date"),
        ([datetime.date(2020, 1, 1 + i % 28) for i in range(ROWS)], "category", "category"),
        (text(range(ROWS)), "text", "text"),
        (text(range(ROWS)), "identifier", "identifier"),
        (list(range(ROWS)), "constant", "constant"),
        ([None] * ROWS, "number", "empty"),
        (["same"] * ROWS, "category", "constant"),
        (["7"] * ROWS, "number", "constant"),
    ],
)
def test_wishes_that_can_be_met(values: object, kind: str, becomes: str) -> None:
    column, decisions, _ = wish(values, kind)
    assert column.kind == becomes
    said = next(decision for decision in decisions if decision.what == "kinds of columns")
    assert said.chosen == f"`x`: {becomes}" and said.why == "you said so"


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        (["red", "blue", "7"] * 20, "number", "`x` cannot be read as numbers: 40 of 60 cells are none"),
        (["red", "blue"] * 30, "date", "`x` cannot be read as dates: 60 of 60 cells are none"),
        ([datetime.date(2020, 1, 1 + i % 28) for i in range(ROWS)], "number", "`x` cannot be read as numbers"),
        (["a", "b", "c"] * 20, "yes_no", "`x` has 3 values, and yes/no has two"),
    ],
)
def test_wishes_that_cannot_be_met(values: object, kind: str, message: str) -> None:
    with pytest.raises(ColumnError, match=message) as caught:
        wish(values, kind)
    assert "--set kinds=x:category" in caught.value.fix


def test_words_among_wished_numbers_are_missing_in_new_rows_too() -> None:
    column, _, warnings = wish(["12", "refused", "7"] * 20, "number")
    assert column.num_missing == 20 and "refused" in column.format.missing
    assert warnings == ["`x`: 20 of 60 cells are not numbers (first: `refused`) and count as missing"]
    raw = raw_of(x=text(range(ROWS)))
    settings = make_settings(target="y", kinds="x:number")
    parts, _, _ = split(raw, TASK, settings)
    preparation, _ = learn(raw, parts, [column], TASK, settings)
    _, warnings = preparation.apply(Raw(raw.source, pa.table({"x": ["Refused"] * 50 + ["1"]})))
    assert not [warning for warning in warnings if "not a number" in warning]


def test_wishes_are_read_from_the_command_line() -> None:
    assert make_settings(kinds="zip:category,year:date").kinds == {"zip": "category", "year": "date"}
    assert make_settings(kinds=" zip : category , ").kinds == {"zip": "category"}
    assert make_settings(kinds="a,b:number,c:d:text").kinds == {"a,b": "number", "c:d": "text"}
    assert make_settings(kinds={"a,b": "yes/no"}).kinds == {"a,b": "yes_no"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("zip:categry", "There is no kind `categry` for the column `zip`.*Did you mean `category`"),
        ("zip", "takes column:kind"),
        ({"zip": "colour"}, "There is no kind `colour`"),
        (7, "kinds"),
    ],
)
def test_wishes_that_are_no_kinds(value: object, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        make_settings(kinds=value)


def test_wishes_for_columns_that_are_not_there() -> None:
    raw = raw_of(zip_code=text(range(ROWS)))
    for name, message in (("zipcode", "Did you mean `zip_code`"), ("y", "--set task=")):
        with pytest.raises(ColumnError, match=message):
            describe(raw, TASK, np.arange(ROWS), make_settings(target="y", kinds={name: "category"}))


def test_every_kind_names_the_wish_that_overrides_it() -> None:
    columns: dict[str, object] = {
        "my id": text(range(ROWS)),
        "name": [f"Person {i}" for i in range(ROWS)],
        "review": [f"a review that goes on about film {i} at length" for i in range(ROWS)],
        "same": ["same"] * ROWS,
        "area": np.random.default_rng(0).normal(size=ROWS),
    }
    _, decisions, _ = describe(raw_of(**columns), TASK, np.arange(ROWS), make_settings(target="y"))
    overrides = {decision.what: decision.override for decision in decisions}
    assert overrides == {
        "columns that are numbers": "--set kinds=area:category",
        "column `my id`": "--set 'kinds=my id:number'",
        "column `name`": "--set kinds=name:category",
        "columns that are free text": "--set ignore=review",
        "column `same`": "",
    }


def test_the_split_sees_the_wished_columns() -> None:
    """Rows that differ in an identifier only are identical, unless the user says that it counts."""
    cells = np.repeat(np.arange(ROWS // 2), 2)
    raw = raw_of(x=cells, who=[f"Person {i}" for i in range(ROWS)])
    apart = []
    for kinds in ({}, {"who": "category"}):
        parts, _, _ = split(raw, TASK, make_settings(target="y", kinds=kinds))
        apart.append(len(np.intersect1d(cells[parts.train], cells[parts.test])))
    assert apart[0] == 0 < apart[1]


def test_a_wished_kind_is_what_the_network_sees() -> None:
    raw = raw_of(zip=text(10_000 + np.arange(ROWS) % 4))
    settings = make_settings(target="y", kinds="zip:category")
    parts, _, _ = split(raw, TASK, settings)
    columns, _, _ = describe(raw, TASK, parts.train, settings)
    preparation, _ = learn(raw, parts, columns, TASK, settings)
    assert prepare(raw, parts, preparation).shape.cardinalities == (5,)
