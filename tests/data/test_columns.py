"""The target, the task, and what every column is."""

from __future__ import annotations

import datetime

import numpy as np
import pyarrow as pa
import pytest

from nudgenet.data.columns import choose_task, describe, encode_target, find_target
from nudgenet.errors import ColumnError
from nudgenet.records import CellFormat, Column, Raw, Source, Task
from nudgenet.settings import Settings

ROWS = 60
RANDOM = np.random.default_rng(0)


def make_raw(has_header: bool = True, **columns: object) -> Raw:
    return Raw(Source("frame", "frame", None, "0"), pa.table(columns), has_header=has_header)


def text(values: object) -> list[str | None]:
    return [None if value is None else str(value) for value in values]  # type: ignore[attr-defined]


# ------------------------------------------------------------------ the target


def test_find_target() -> None:
    raw = make_raw(Age=["1"], Price=["2"], **{"3": ["3"]})
    assert find_target(raw, Settings(target="Price")) == "Price"
    assert find_target(raw, Settings(target="price")) == "Price"
    assert find_target(raw, Settings(target=1)) == "Age"
    assert find_target(raw, Settings(target="-1")) == "3"
    assert find_target(raw, Settings(target="2")) == "Price"
    assert find_target(raw, Settings(target="3")) == "3"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("prize", "Did you mean `Price`"),
        (4, "position must be 1 to 3"),
        (0, "position must be 1 to 3"),
        ("-4", "position must be 1 to 3"),
        (None, "--target Price"),
    ],
)
def test_targets_that_are_not_there(target: str | int | None, message: str) -> None:
    raw = make_raw(Age=["1"], Price=["2"], Rooms=["3"])
    with pytest.raises(ColumnError, match=message):
        find_target(raw, Settings(target=target))


def task_of(values: object, task: str | None = None) -> tuple[Task, list[str]]:
    raw = make_raw(y=values)
    found, decisions, warnings = choose_task(raw, Settings(target="y", task=task))
    assert [entry.what for entry in decisions] == ["task"]
    assert decisions[0].override.startswith("--set task=") or not decisions[0].override
    return found, warnings


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        (["b", "a", "a", "b"] * 5, "binary", ("a", "b")),
        (["yes", "no"] * 5, "binary", ("no", "yes")),
        (["c", "a", "b"] * 5, "multiclass", ("a", "b", "c")),
        (["1", "1.0", "0", "0.0", "2"] * 5, "multiclass", (0, 1, 2)),
        (["0", "1"] * 5, "binary", (0, 1)),
        ([True, False] * 5, "binary", (False, True)),
        ([3, 1, 2] * 5, "multiclass", (1, 2, 3)),
        ([1.0, 2.0] * 5, "binary", (1, 2)),
        ([1, 2, 3] * 4, "regression", ()),  # four rows each: too few
        (list(range(21)) * 10, "regression", ()),  # 21 values: too many
        ([0.5, 1.5] * 20, "regression", ()),  # not whole
        (["1.5", "2,5", "3"] * 1, "refused", ()),
        (["$1,200", "$900", "$3,100", "NA"] * 3, "regression", ()),
        (["none", "some", "NA", "many"] * 5, "multiclass", ("many", "none", "some")),
        (["007", "008"] * 5, "binary", ("007", "008")),
    ],
)
def test_tasks(values: list[object], kind: str, classes: tuple[object, ...]) -> None:
    if kind == "refused":
        with pytest.raises(ColumnError):
            task_of(values)
        return
    task, _ = task_of(values)
    assert task.kind == kind and task.classes == classes
    assert [type(label) for label in task.classes] == [type(label) for label in classes]


def test_task_can_be_overridden() -> None:
    numbers = [1.5, 2.5, 3.5] * 5
    assert task_of(numbers, "multiclass")[0].classes == (1.5, 2.5, 3.5)
    assert task_of([0, 1] * 10, "regression")[0].kind == "regression"
    assert task_of(["a", "b"] * 4, "multiclass")[0].kind == "binary"
    with pytest.raises(ColumnError, match="A regression needs numbers"):
        task_of(["a", "b"] * 4, "regression")
    with pytest.raises(ColumnError, match="3 classes, and binary needs two"):
        task_of(numbers, "binary")
    with pytest.raises(ColumnError, match="no classes"):
        task_of([0.1 * i for i in range(30)], "multiclass")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([None, "NA", "?"], "no values"),
        ([None] * 3, "no values"),
        (["a", "a", None], "same value"),
        ([5, 5, 5], "same value"),
        ([datetime.date(2020, 1, day) for day in range(1, 20)], "dates"),
        ([f"2020-01-{day:02}" for day in range(1, 20)], "dates"),
        ([f"person {i}" for i in range(30)], "different value in nearly every row"),
        ([f"this is a long review of film {i} which I saw" for i in range(30)], "free text"),
    ],
)
def test_targets_that_cannot_be_predicted(values: list[object], message: str) -> None:
    with pytest.raises(ColumnError, match=message):
        task_of(values)


def test_an_index_is_refused_as_a_target_unless_asked_for() -> None:
    raw = make_raw(customer_id=list(range(100, 160)))
    with pytest.raises(ColumnError, match="is an identifier"):
        choose_task(raw, Settings(target="customer_id"))
    assert choose_task(raw, Settings(target="customer_id", task="regression"))[0].kind == "regression"


def test_warnings_about_the_target() -> None:
    bad, warnings = task_of([*text(range(100)), "oops", None])
    assert bad.kind == "regression"
    assert (
        "1 of 102 rows has no `y`: it cannot" in warnings[0] and "1 cell is not a number (first: `oops`)" in warnings[1]
    )
    _, warnings = task_of(["a"] * 9 + ["b"] * 9 + ["lonely", "A"])
    assert "Classes with a single row" in warnings[0] and "`lonely`" in warnings[0]
    assert "only in upper and lower case: `A`, `a`" in warnings[1]


def encode(cells: list[object], task: Task) -> tuple[list[float], list[bool]]:
    values, usable = encode_target(pa.chunked_array([pa.array(cells)]), task)
    return values.tolist(), usable.tolist()


def test_encode_target() -> None:
    binary = Task("y", "binary", ("no", "yes"))
    assert encode(["yes", " no ", "NA", "maybe", None], binary) == ([1, 0, 0, 0, 0], [True, True, False, False, False])
    whole = Task("y", "multiclass", (1, 5, 7))
    assert encode(["7", "1.0", "2", "x", "NA"], whole) == ([2, 0, 0, 0, 0], [True, True, False, False, False])
    assert encode([5, 9, None], whole) == ([1, 0, 0], [True, False, False])
    booleans = Task("y", "binary", (False, True))
    assert encode([True, False, None], booleans) == ([1, 0, 0], [True, True, False])
    assert encode(["True", "false", "1", "x"], booleans) == ([1, 0, 1, 0], [True, True, True, False])
    codes = Task("y", "binary", ("1", "x"))
    assert encode([1, 2], codes) == ([0, 0], [True, False])
    money = Task("y", "regression", format=CellFormat(thousands=",", currency="$"))
    values, usable = encode(["$1,200", "x", "inf", None], money)
    assert values[0] == 1200 and np.isnan(values[1:]).all() and usable == [True, False, False, False]


def test_what_choose_task_says_is_what_encode_target_reads() -> None:
    for cells in (["1.0", "2", "2.0"] * 5, ["1.0", "x", "2"] * 5, [True, None, False] * 5, ["3,5", "1,25", "7,0"] * 5):
        raw = make_raw(y=cells)
        task, _, _ = choose_task(raw, Settings(target="y"))
        _, usable = encode_target(raw.table["y"], task)
        assert usable.sum() == sum(cell is not None for cell in cells)


# ------------------------------------------------------------------ the columns


def look(values: object, name: str = "x", *, has_header: bool = True) -> tuple[Column, list[str], list[str]]:
    """What a column is, what was decided, and the warnings."""
    size = len(values)  # type: ignore[arg-type]
    raw = make_raw(
        has_header, **{name: values, "other": np.linspace(0, 1, size), "y": [0, 1] * (size // 2) + [0] * (size % 2)}
    )
    columns, decisions, warnings = describe(raw, Task("y", "binary", (0, 1)), np.arange(size), Settings(target="y"))
    return columns[0], [f"{entry.what}: {entry.chosen} ({entry.why})" for entry in decisions], warnings


SHUFFLED = RANDOM.permutation(ROWS)


SIZES, COLOURS = ("small", "large", "tiny", "huge", "new"), ("red", "green", "blue", "white")
THINGS, LETTERS = ("bottle", "kettle", "chair"), "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (text(RANDOM.normal(size=ROWS)), "number"),
        (text(SHUFFLED), "number"),
        (text(range(1950, 1950 + ROWS)), "number"),  # years
        (["3,5", "4,25", "1,0"] * 20, "number"),
        (["$1,234", "$99", "$12,345.50"] * 20, "number"),
        (["12 %", "3.5%", "7%"] * 20, "number"),
        (["1 234", "999", "12 345"] * 20, "number"),
        (["(5)", "3", "12"] * 20, "number"),
        (["5", "unknown", "7"] * 20, "number"),
        (["0", "1"] * 30, "number"),
        (["yes", "no"] * 30, "yes_no"),
        (["Y", "N", None] * 20, "yes_no"),
        (["True", "False"] * 30, "yes_no"),
        ([True, False] * 30, "yes_no"),
        (["red", "green", "none"] * 20, "category"),
        (["02139", "94110", "10001"] * 20, "category"),  # zip codes
        (["only", None] * 30, "category"),
        (["7", None] * 30, "category"),
        (["2020-01-01", "2020-12-31", "NA"] * 20, "date"),
        ([f"{1 + i % 28}/{1 + i % 12}/2020" for i in range(ROWS)], "date"),
        ([f"Dec {1 + i % 31}, 2020" for i in range(ROWS)], "date"),
        ([f"2020{1 + i % 12:02}{1 + i % 28:02}" for i in range(ROWS)], "date"),
        ([f"{i % 24:02}:30" for i in range(ROWS)], "date"),
        ([datetime.date(2020, 1, 1 + i % 28) for i in range(ROWS)], "date"),
        ([f"Person {i}" for i in range(ROWS)], "identifier"),
        ([f"{i:08x}-beef" for i in range(ROWS)], "identifier"),
        ([f"{i:05}" for i in range(ROWS)], "identifier"),  # leading zeros
        ([f"a review that goes on about film {i} at length" for i in range(ROWS)], "text"),
        ([f"{SIZES[i % 5]} {COLOURS[i // 5 % 4]} {THINGS[i // 20]} No. {i}" for i in range(ROWS)], "text"),  # titles
        (
            [f"{'とてもすこし'[i % 2 * 3 :][:3]}{'良悪大小'[i % 4]}い本{'でした' * (i % 3)}{i}" for i in range(ROWS)],
            "text",
        ),
        (
            [f"https://shop.example/{THINGS[i % 3]}/{COLOURS[i % 4]}/{SIZES[i % 5]}/{i}" for i in range(ROWS)],
            "identifier",
        ),
        (
            [
                f"{LETTERS[i % 26 :][:3]}x{i} {LETTERS[i // 3 :][:4]}y{i} {LETTERS[i // 7 :][:5]}z{i}"
                for i in range(ROWS)
            ],
            "identifier",
        ),
        (["same"] * ROWS, "constant"),
        (["4.0"] * ROWS, "constant"),
        ([None] * ROWS, "empty"),
        (["NA", "?", ""] * 20, "empty"),
        (pa.array([None] * ROWS, pa.float64()), "empty"),
        (np.arange(ROWS), "number"),
        (np.arange(ROWS) + 0.0, "number"),
        (RANDOM.normal(size=ROWS), "number"),
    ],
)
def test_kinds(values: object, kind: str) -> None:
    column, decisions, _ = look(values)
    assert column.kind == kind
    assert any(char.isdigit() for char in column.why) or kind == "empty"
    left_out = kind in ("identifier", "constant", "empty")
    assert any(entry.startswith(f"column `x`: left out: {kind}") for entry in decisions) == left_out


@pytest.mark.parametrize(
    ("values", "name", "kind"),
    [
        (text(range(1, ROWS + 1)), "id", "identifier"),
        (text(SHUFFLED), "customer_id", "identifier"),
        (text(SHUFFLED), "passengerId", "identifier"),
        (np.arange(ROWS), "index", "identifier"),
        (np.arange(ROWS) + 0.0, "index", "number"),  # floats are never identifiers
        (text(range(1, ROWS + 1)), "instant", "identifier"),
        (text(range(1, ROWS + 1)), "Unnamed: 0", "identifier"),
        (text(range(1, ROWS + 1)), "age", "number"),
        (text([1, 2, 3] * 20), "id", "number"),  # repeats: a code, not an identifier
        (text(SHUFFLED), "width", "number"),
        (text(SHUFFLED), "humid", "number"),
        (text(SHUFFLED), "column_1", "identifier"),  # unnamed in a file with a header
    ],
)
def test_identifiers_need_a_name_and_values_that_say_so(values: object, name: str, kind: str) -> None:
    assert look(values, name)[0].kind == kind


def test_the_first_column_of_a_file_without_header() -> None:
    assert look(text(range(ROWS)), "column_1", has_header=False)[0].kind == "identifier"
    assert look(text(SHUFFLED), "column_1", has_header=False)[0].kind == "number"
    assert look(np.arange(ROWS), "column_1", has_header=False)[0].kind == "number"  # typed: be careful


def test_an_index_is_known_from_part_of_its_rows() -> None:
    raw = make_raw(id=text(range(ROWS)), x=text(RANDOM.normal(size=ROWS)), y=[0, 1] * 30)
    rows = np.sort(RANDOM.choice(ROWS, 40, replace=False))
    columns, _, _ = describe(raw, Task("y", "binary", (0, 1)), rows, Settings(target="y"))
    assert [column.kind for column in columns] == ["identifier", "number"]


@pytest.mark.parametrize(
    ("cells", "format"),
    [
        (["3,5", "4,25"], {"decimal": ","}),
        (["1,234", "5,678"], {"thousands": ","}),
        (["1,234", "5,6"], {"decimal": ","}),
        (["0,123", "0,456"], {"decimal": ","}),
        (["1.234,5", "2,5"], {"decimal": ",", "thousands": "."}),
        (["1.234.567", "2.345.678"], {"decimal": ",", "thousands": "."}),
        (["1 234", "5"], {"thousands": " "}),
        (["1 234,5", "5"], {"decimal": ",", "thousands": " "}),
        (["€ 5", "€7.5"], {"currency": "€"}),
        (["5 USD", "7 USD"], {"currency": "USD"}),
        (["5%", "7 %"], {"percent": True}),
        (["12/31/2020", "01/05/2021"], {"date": "%m/%d/%Y"}),
        (["31/12/2020", "05/01/2021"], {"date": "%d/%m/%Y"}),
        (["31.12.20", "05.01.21"], {"date": "%d.%m.%y"}),
        (["31-Dec-20", "05-Jan-21"], {"date": "%d-%b-%y"}),
        (["2020-12-31 10:00", "2021-01-05T11:00:00Z"], {"date": ""}),
    ],
)
def test_formats(cells: list[str], format: dict[str, object]) -> None:
    column, decisions, _ = look(cells * 10)
    found = {"decimal": ".", "thousands": "", "percent": False, "currency": "", "date": ""} | format
    assert {name: getattr(column.format, name) for name in found} == found
    assert any(entry.startswith("how `x` is written") for entry in decisions) == any(format.values())


def test_doubtful_formats_are_said() -> None:
    assert any("could be decimal commas too" in entry for entry in look(["1,234", "5,678"] * 10)[1])
    doubtful = [f"{1 + i % 5}/{1 + (3 * i) % 7}/2020" for i in range(20)]
    assert any("day and month could be swapped" in entry for entry in look(doubtful)[1])


def test_the_order_of_rows_tells_day_from_month() -> None:
    column, decisions, _ = look([f"{day}/{month}/2020" for month in range(1, 13) for day in (3, 9)])
    assert column.format.date == "%d/%m/%Y"
    assert any("in order of time" in entry for entry in decisions)


def test_bad_cells_are_counted_up_to_five_percent() -> None:
    column, _, warnings = look([*text(range(98)), "oops", "what"])
    assert column.kind == "number" and column.num_missing == 2
    assert "`x`: 2 of 100 cells are not numbers (first: `oops`)" in warnings[0]
    assert look([*text(range(90)), *["oops", "what"] * 5])[0].kind != "number"


def test_infinite_cells_are_warned_about() -> None:
    assert "1 cell is infinite and counts as missing" in look([*RANDOM.normal(size=30), np.inf])[2][0]


@pytest.mark.parametrize("sentinel", ["99999999", "-999", "9999"])
def test_sentinels_are_warned_about_and_kept(sentinel: str) -> None:
    column, _, warnings = look([*text(range(50)), sentinel, sentinel])
    assert column.kind == "number" and column.format.sentinels == (float(sentinel),)
    assert f"holds {sentinel} in 2 rows" in warnings[0]


def test_nines_among_other_numbers_are_no_sentinels() -> None:
    assert look(text([*range(900, 1100)]))[0].format.sentinels == ()
    assert look(text(RANDOM.lognormal(6, 2, 200).astype(int)))[0].format.sentinels == ()


def test_only_the_given_rows_are_looked_at() -> None:
    cells = ["1"] * 10 + ["text", "2,5", "99999999"] * 10
    raw = make_raw(a=cells, b=text(range(40)), y=[0, 1] * 20)
    task = Task("y", "binary", (0, 1))
    columns, _, _ = describe(raw, task, np.arange(10), Settings(target="y"))
    assert columns[0].kind == "constant"


def test_columns_that_are_set_apart() -> None:
    raw = make_raw(a=text(range(10)), b=text(range(10)), g=["p", "q"] * 5, y=[0, 1] * 5)
    task = Task("y", "binary", (0, 1))
    columns, decisions, _ = describe(raw, task, np.arange(10), Settings(target="y", ignore="b", group="g"))
    assert [column.name for column in columns] == ["a"]
    assert {"ignored columns", "group column"} <= {entry.what for entry in decisions}
    with pytest.raises(ColumnError, match="`ignore` names a column that does not exist"):
        describe(raw, task, np.arange(10), Settings(target="y", ignore="bb"))
    with pytest.raises(ColumnError, match="No column is left"):
        describe(raw, task, np.arange(10), Settings(target="y", ignore="a,b,g"))


def test_many_columns_left_out_share_one_entry_that_names_all() -> None:
    constant = {f"c{i}": ["same"] * 10 for i in range(30)}
    raw = make_raw(**constant, x=text(range(10)), y=[0, 1] * 5)
    _, decisions, _ = describe(raw, Task("y", "binary", (0, 1)), np.arange(10), Settings(target="y"))
    entry = next(entry for entry in decisions if entry.what.startswith("30 columns left out"))
    assert all(f"`c{i}`" in entry.chosen for i in range(30))


def test_an_identifier_of_several_words_could_be_text() -> None:
    names = [f"{'abcdefgh'[i % 8] * 3}{i} {'stuvwxyz'[i // 8] * 3}{i}" for i in range(ROWS)]
    codes = [f"{number:08x}-beef" for number in range(ROWS)]
    for cells, kind in ((names, "text"), (codes, "category")):
        raw = make_raw(x=cells, z=np.arange(ROWS) % 7, y=[0.0, 1.0] * (ROWS // 2))
        task, _, _ = choose_task(raw, Settings(target="y"))
        decisions = describe(raw, task, np.arange(ROWS), Settings(target="y"))[1]
        assert f"--set kinds=x:{kind}" in [decision.override for decision in decisions]
        with pytest.raises(ColumnError, match=f"or say what one is: --set kinds=x:{kind}"):
            describe(raw, task, np.arange(ROWS), Settings(target="y", ignore=["z"]))
