from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nudgenet.report import charts
from nudgenet.report.charts import Bar, Line, Scale, line_chart, log_ticks, nice_ticks, tick_text

finite = st.floats(allow_nan=False, allow_infinity=False)


@given(finite, finite, st.integers(2, 12))
def test_ticks_lie_within_in_order_and_are_few(one: float, other: float, count: int) -> None:
    low, high = (max(-charts.LARGEST, min(charts.LARGEST, value)) for value in sorted((one, other)))
    ticks = nice_ticks(one, other, count)
    assert 1 <= len(ticks) <= 2 * count + 2
    assert all(low <= tick <= high for tick in ticks)
    assert ticks == sorted(set(ticks))


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_ticks_are_evenly_spaced_by_one_two_or_five(low: float, span: float) -> None:
    ticks = nice_ticks(low, low + span, 5)
    assert len(ticks) >= 2
    steps = [b - a for a, b in pairwise(ticks[1:-1])]
    for step in steps:
        assert step == pytest.approx(steps[0], rel=1e-6)
        mantissa = step / 10 ** math.floor(math.log10(step) + 1e-6)
        assert min(abs(mantissa - nice) for nice in (1, 2, 5)) < 1e-3


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (-3, 7, [-2, 0, 2, 4, 6]), (5, 5, [5])],
)
def test_ticks_of_known_ranges(low: float, high: float, expected: list[float]) -> None:
    assert nice_ticks(low, high) == pytest.approx(expected)


def test_epochs_are_whole() -> None:
    assert nice_ticks(1, 3, 8, whole=True) == [1, 2, 3]
    assert nice_ticks(1, 1, 8, whole=True) == [1]


@given(st.floats(-250, 250), st.floats(0.7, 300))
def test_log_ticks_lie_within_and_are_few(power: float, decades: float) -> None:
    low, high = 10**power, 10 ** min(300.0, power + decades)
    ticks = log_ticks(low, high)
    assert 1 <= len(ticks) <= 9
    assert all(low * 0.999999 <= tick <= high * 1.000001 for tick in ticks)
    assert ticks == sorted(set(ticks))


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0"), (0.05, "0.05"), (250.0, "250"), (20_000, "20k"), (1_500_000, "1.5M"), (1e-6, "1e−6"), (-3.0, "−3")],
)
def test_ticks_are_short(value: float, expected: str) -> None:
    assert tick_text(value) == expected


@given(st.lists(finite, min_size=2, max_size=2), finite, st.booleans())
def test_a_scale_stays_on_its_canvas(ends: list[float], value: float, log: bool) -> None:
    scale = Scale(min(ends), max(ends), 10.0, 90.0, log)
    assert 10.0 <= scale(value) <= 90.0


def test_a_scale_is_linear_or_logarithmic() -> None:
    assert Scale(0, 10, 0, 100)(2.5) == pytest.approx(25)
    assert Scale(1, 100, 0, 100, log=True)(10) == pytest.approx(50)
    assert Scale(0, 10, 100, 0)(10) == pytest.approx(0)  # upwards is smaller on a canvas


losses = st.lists(st.floats(width=64), min_size=1, max_size=30)


@given(losses, st.booleans(), st.one_of(st.none(), st.integers(-2, 40)))
def test_any_losses_give_a_chart_or_nothing(values: list[float], log: bool, best: int | None) -> None:
    chart = line_chart(
        [Line("train", list(enumerate(values, 1)))],
        title="Loss",
        description="d",
        x_label="epoch",
        y_label="loss",
        log=log,
        best=best,
        shaded_from=best,
    )
    drawable = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
    assert bool(chart) == bool(drawable)
    if chart:
        ET.fromstring(chart)  # well formed
        assert not re.search(r"nan|inf", " ".join(re.findall(r'"[^"]*"', chart)))


def test_a_broken_line_is_drawn_in_pieces() -> None:
    points = [(1, 1.0), (2, 2.0), (3, math.nan), (4, 2.0), (5, 1.0), (6, math.inf), (7, 1.5)]
    chart = line_chart([Line("train", points)], title="t", description="d", x_label="x", y_label="y")
    (path,) = re.findall(r'<path class="train" d="([^"]*)"', chart)
    assert path.count("M") == 2
    assert chart.count('class="train alone"') == 1


def test_the_line_goes_through_its_points() -> None:
    chart = line_chart([Line("train", [(1, 0.0), (3, 1.0)])], title="t", description="d", x_label="x", y_label="y")
    (path,) = re.findall(r'<path class="train" d="M([^"]*)"', chart)
    (x1, y1), (x2, y2) = (map(float, point.split()) for point in path.split("L"))
    assert (x1, x2) == (charts.LEFT, charts.WIDTH - charts.RIGHT)
    assert y1 > y2  # higher values stand higher


def test_charts_say_what_they_show() -> None:
    chart = charts.bar_chart([Bar("<b>", 0.5, 0.4, 0.6, "0.5")], title="Which & why", description="In words")
    root = ET.fromstring(chart)
    assert root.get("role") == "img"
    assert root.get("aria-label") == "Which & why. In words"
    assert (root.findtext("title"), root.findtext("desc")) == ("Which & why", "In words")
    assert [text.text for text in root.findall("text")] == ["<b>", "0.5"]


def test_bars_to_both_sides_start_at_zero() -> None:
    root = ET.fromstring(
        charts.bar_chart([Bar("a", 2.0, 1.0, 3.0, ""), Bar("b", -1.0, -2.0, 0.5, "")], title="t", description="d")
    )
    right, left = root.findall("rect")
    assert float(right.get("x", 0)) == pytest.approx(float(left.get("x", 0)) + float(left.get("width", 0)), abs=0.2)
    assert float(right.get("width", 0)) == pytest.approx(2 * float(left.get("width", 0)), abs=0.3)


def test_all_importances_zero_still_draw() -> None:
    root = ET.fromstring(charts.bar_chart([Bar("a", 0.0, 0.0, 0.0, "0")], title="t", description="d"))
    assert "a" in "".join(root.itertext())


@given(st.lists(st.tuples(finite, finite), min_size=1, max_size=10))
def test_any_scatter_is_well_formed(points: list[tuple[float, float]]) -> None:
    chart = charts.scatter(points, title="t", description="d", x_label="x", y_label="y")
    ET.fromstring(chart)
    assert chart.count("h0") == len(points)
    assert "nan" not in chart
