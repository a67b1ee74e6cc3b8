"""Cells as people write them -> numbers, dates, levels."""

from __future__ import annotations

import datetime
import math

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nudgenet.data.cells import parse_dates, parse_levels, parse_numbers
from nudgenet.records import CellFormat


def column(*cells: object) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(list(cells))])


def numbers(format: CellFormat, *cells: object) -> list[float | str | None]:
    """The numbers; None where missing, "bad" where bad."""
    values, bad = parse_numbers(column(*cells), format)
    return ["bad" if wrong else None if math.isnan(value) else value for value, wrong in zip(values, bad, strict=True)]


def test_plain_numbers() -> None:
    cells = ["1", " -2.5 ", "+3", ".5", "5.", "1e3", "-1.5E-2", "inf", "(4)", "1_0", "0x1", "1,5", "x"]
    assert numbers(CellFormat(), *cells) == [
        1, -2.5, 3, 0.5, 5, 1000, -0.015, math.inf, -4, "bad", "bad", "bad", "bad",
    ]  # fmt: skip


@pytest.mark.parametrize("marker", ["", "  ", "NA", "n/a", "NaN", "null", "None", "?", "-", "--", ".", "#N/A", None])
def test_missing_markers(marker: str | None) -> None:
    assert numbers(CellFormat(), "1", marker, "2") == [1, None, 2]


def test_markers_of_the_format_alone_count_when_it_has_any() -> None:
    assert numbers(CellFormat(missing=("absent",)), "1", "Absent", "NA") == [1, None, "bad"]


def test_thousands_currency_percent() -> None:
    assert numbers(CellFormat(thousands=","), "1,234,567.5", "12", "1,2", "12,34,567", "1234,567") == [
        1234567.5, 12, "bad", 1234567, "bad",
    ]  # fmt: skip
    assert numbers(CellFormat(decimal=",", thousands="."), "1.234,5", "3,5", "1.5") == [1234.5, 3.5, "bad"]
    assert numbers(CellFormat(decimal=",", thousands=" "), "1 234,5", "1\u202f234", "7") == [1234.5, 1234, 7]
    assert numbers(CellFormat(thousands=",", currency="$"), "$1,234", "-$5", "($6)", "$ 7", "8") == [1234, -5, -6, 7, 8]
    assert numbers(CellFormat(currency="€", decimal=","), "3,5 €", "€ 4") == [3.5, 4]
    assert numbers(CellFormat(percent=True), "12 %", "3.5%", "7") == [12, 3.5, 7]


def test_typed_cells() -> None:
    assert numbers(CellFormat(decimal=","), 1, None, 2**40) == [1, None, 2**40]
    assert numbers(CellFormat(), True, False, None) == [1, 0, None]
    assert numbers(CellFormat(), 1.5, math.nan) == [1.5, None]
    assert numbers(CellFormat(), datetime.date(2020, 1, 1), None) == ["bad", None]
    empty = parse_numbers(pa.chunked_array([], pa.string()), CellFormat())
    assert empty[0].shape == (0,) and empty[1].shape == (0,)


@settings(max_examples=150, deadline=None)
@given(
    values=st.lists(
        st.floats(-1e12, 1e12, allow_nan=False).map(lambda value: round(value, 3)), min_size=1, max_size=20
    ),
    separators=st.sampled_from([(".", ""), (".", ","), (",", ""), (",", "."), (",", " "), (".", "'"), (".", " ")]),
    sign=st.sampled_from(["", "$", "€"]),
    percent=st.booleans(),
)
def test_formatted_numbers_agree_with_python(
    values: list[float], separators: tuple[str, str], sign: str, percent: bool
) -> None:
    decimal, thousands = separators
    texts = []
    for value in values:
        text = f"{value:,.3f}" if thousands else f"{value:.3f}"
        text = text.translate(str.maketrans({",": thousands, ".": decimal}))
        texts.append(sign + text + (" %" if percent else ""))
    format = CellFormat(decimal=decimal, thousands=thousands, currency=sign, percent=percent)
    parsed, bad = parse_numbers(column(*texts), format)
    assert not bad.any()
    np.testing.assert_array_equal(parsed, [float(f"{value:.3f}") for value in values])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=20))
def test_any_float_that_python_writes_is_read_exactly(values: list[float]) -> None:
    for format in (CellFormat(), CellFormat(thousands=",")):
        parsed, bad = parse_numbers(column(*[repr(value) for value in values]), format)
        assert not bad.any()
        np.testing.assert_array_equal(parsed, values)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=10))
def test_no_text_breaks_the_parsers(texts: list[str]) -> None:
    for format in (
        CellFormat(),
        CellFormat(decimal=",", thousands=".", currency="$", percent=True),
        CellFormat(date="%d.%m.%y"),
    ):
        values, bad = parse_numbers(column(*texts), format)
        assert np.isnan(values[bad]).all()
        dates, bad = parse_dates(column(*texts), format)
        assert np.isnat(dates[bad]).all()
        assert len(parse_levels(column(*texts), format)) == len(texts)


# ------------------------------------------------------------------ dates


def dates(pattern: str, *cells: object) -> list[str]:
    values, bad = parse_dates(column(*cells), CellFormat(date=pattern))
    return ["bad" if wrong else str(value) for value, wrong in zip(values.astype("datetime64[s]"), bad, strict=True)]


def test_iso_dates() -> None:
    assert dates("", "2020-12-31", "2020-02-30", "NA", "x") == ["2020-12-31T00:00:00", "bad", "NaT", "bad"]
    assert dates("", "2020-12-31T23:59:01.5Z", "2020-12-31 13:00", "2020-12-31 01:30+02:00") == [
        "2020-12-31T23:59:01", "2020-12-31T13:00:00", "2020-12-30T23:30:00",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "cell", "day"),
    [
        ("%d/%m/%Y", "31/12/2020", "2020-12-31"),
        ("%m/%d/%Y", "12/31/2020", "2020-12-31"),
        ("%d.%m.%y", "31.12.99", "1999-12-31"),
        ("%m/%d/%y", "1/2/20", "2020-01-02"),
        ("%Y/%m/%d", "2020/12/31", "2020-12-31"),
        ("%b %d, %Y", "Dec 31, 2020", "2020-12-31"),
        ("%b %d, %Y", "Thursday, December 31, 2020", "2020-12-31"),
        ("%d-%b-%y", "31-Dec-20", "2020-12-31"),
        ("%Y%m%d", "20201231", "2020-12-31"),
        ("%Y-%m", "2020-12", "2020-12-01"),
        ("%b-%y", "Dec-20", "2020-12-01"),
    ],
)
def test_date_patterns(pattern: str, cell: str, day: str) -> None:
    assert dates(pattern, cell) == [f"{day}T00:00:00"]


def test_times_of_day() -> None:
    assert dates("%m/%d/%Y", "12/31/2020 1:05 PM", "12/31/2020 12:00 am") == [
        "2020-12-31T13:05:00", "2020-12-31T00:00:00",
    ]  # fmt: skip
    assert dates("%H:%M", "13:30", "5:00 pm") == ["1970-01-01T13:30:00", "1970-01-01T17:00:00"]


def test_typed_dates() -> None:
    moment = datetime.datetime(2020, 1, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    assert dates("", datetime.date(2020, 1, 1), None) == ["2020-01-01T00:00:00", "NaT"]
    assert dates("", moment) == ["2020-01-01T10:00:00"]
    assert dates("", 5, None) == ["bad", "NaT"]


@settings(max_examples=100, deadline=None)
@given(
    st.datetimes(datetime.datetime(1969, 1, 1), datetime.datetime(2068, 12, 31)),
    st.sampled_from(["%d/%m/%Y", "%m-%d-%Y", "%d.%m.%y", "%b %d, %Y", "%d %b %y", "%Y_%m_%d"]),
)
def test_dates_agree_with_strftime(moment: datetime.datetime, pattern: str) -> None:
    moment = moment.replace(microsecond=0)
    assert dates(pattern, moment.strftime(f"{pattern} %H:%M:%S")) == [moment.isoformat()]


# ------------------------------------------------------------------ levels


def test_levels() -> None:
    assert parse_levels(column("a", " b ", "NA", "", "?", "none", "No", None), CellFormat()).to_pylist() == [
        "a", "b", None, None, None, "none", "No", None,
    ]  # fmt: skip
    assert parse_levels(column("1", "1.0", "1.50", "007", "-2."), CellFormat()).to_pylist() == [
        "1",
        "1",
        "1.50",
        "007",
        "-2",
    ]
    assert parse_levels(column(1.0, 2.5, math.nan, None), CellFormat()).to_pylist() == ["1", "2.5", None, None]
    assert parse_levels(column(1, None), CellFormat()).to_pylist() == ["1", None]
    assert parse_levels(column(True, False, None), CellFormat()).to_pylist() == ["true", "false", None]


@pytest.mark.parametrize("num_different", [3, 5_000])
def test_long_columns_read_like_short_ones(num_different: int) -> None:
    """Cells that repeat are parsed once each; the result must not tell."""
    cells = [f" {i % num_different}.50 " if i % 7 else ("NA", "oops", None, "(3)")[i % 4] for i in range(5_000)]
    format = CellFormat()
    values, bad = parse_numbers(column(*cells), format)
    one_by_one = [parse_numbers(column(cell, "x"), format) for cell in cells[:200]]
    np.testing.assert_array_equal(values[:200], [pair[0][0] for pair in one_by_one])
    assert bad[:200].tolist() == [bool(pair[1][0]) for pair in one_by_one]
    levels = parse_levels(column(*cells), format).to_pylist()
    assert levels[:200] == [parse_levels(column(cell, "x"), format)[0].as_py() for cell in cells[:200]]
    days = [f"2020-01-{1 + i % 28:02}" if i % 5 else "never" for i in range(3_000)]
    dates, bad = parse_dates(column(*days), format)
    assert bad.sum() == 600 and np.isnat(dates).sum() == 600
    assert dates[1] == np.datetime64("2020-01-02")


def test_a_first_cell_that_fits_says_nothing_about_the_last() -> None:
    values, bad = parse_numbers(column(*["1.5"] * 2_000, "x"), CellFormat())
    assert bad.nonzero()[0].tolist() == [2_000] and values[0] == 1.5
