"""The arithmetic of charts, as the browser does it, against Python's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page

from nudgenet.watching.curves import thin


def ask(page: Page, module: str, expression: str, *values: Any) -> Any:
    """What `expression`, which may use the module's names as `m` and the values as `v`, gives in the browser."""
    script = f"async (v) => {{ const m = await import('/{module}'); return {expression}; }}"
    return page.evaluate(script, list(values))


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.013, 0.017), (-3.2, 7.9), (0, 100_000), (1e-9, 3e-9), (12.5, 12.500001)]
)
def test_ticks_are_round_even_and_within_the_range(page: Page, low: float, high: float) -> None:
    ticks = ask(page, "scales.js", "m.linearTicks(v[0], v[1], 5)", low, high)
    assert 2 <= len(ticks) <= 11
    room = (high - low) * 1e-6
    assert all(low - room <= tick <= high + room for tick in ticks)
    steps = np.diff(ticks)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-3)
    lead = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-4)
    assert min(abs(lead - nice) for nice in (1, 2, 5, 10)) < 1e-2


def test_ticks_have_no_noise_of_floats(page: Page) -> None:
    assert ask(page, "scales.js", "m.linearTicks(0, 0.5, 5)") == [0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert ask(page, "scales.js", "m.linearTicks(0, 0.5, 5).map((t, i, all) => m.tickText(t, all))") == [
        "0.0", "0.1", "0.2", "0.3", "0.4", "0.5",
    ]  # fmt: skip
    assert ask(page, "scales.js", "m.tickText(-1500, [-1500, -1000])") == "−1,500"


def test_ticks_of_a_range_without_width_and_of_none(page: Page) -> None:
    assert ask(page, "scales.js", "m.linearTicks(3, 3)") == [3]
    assert ask(page, "scales.js", "m.linearTicks(NaN, 1)") == []
    assert ask(page, "scales.js", "m.wholeTicks(1, 3, 8)") == [1, 2, 3]
    assert ask(page, "scales.js", "m.wholeTicks(3, 3)") == [3]


def test_a_narrow_chart_of_many_steps_has_few_whole_ticks(page: Page) -> None:
    for low, high in ((1, 89), (40, 8_900), (2, 5)):
        ticks = ask(page, "scales.js", "m.wholeTicks(v[0], v[1], 2)", low, high)
        assert 2 <= len(ticks) <= 7 and all(tick == round(tick) for tick in ticks), (low, high)


def test_log_ticks_are_powers_of_ten_over_many_decades(page: Page) -> None:
    ticks = ask(page, "scales.js", "m.logTicks(1e-6, 1, 6)")
    assert all(abs(math.log10(tick) - round(math.log10(tick))) < 1e-9 for tick in ticks)
    assert 4 <= len(ticks) <= 7
    assert ask(page, "scales.js", "m.logTicks(0.1, 10, 6)") == [0.1, 0.2, 0.5, 1, 2, 5, 10]
    few = ask(page, "scales.js", "m.logTicks(0.4, 0.9, 5)")  # within a decade a log scale is nearly straight
    assert len(few) >= 3


@pytest.mark.parametrize("kind", ["linear", "log"])
def test_a_scale_and_its_inverse_agree(page: Page, kind: str) -> None:
    found = ask(page, "scales.js", "(() => { const s = m.makeScale(0.01, 50, 40, 640, v[0]); return [s(0.01), s(50), s.invert(s(3))]; })()", kind)  # fmt: skip
    assert found == pytest.approx([40, 640, 3])


def test_what_has_no_place_on_a_log_scale_has_none(page: Page) -> None:
    assert ask(page, "scales.js", "Number.isNaN(m.makeScale(0.1, 1, 0, 1, 'log')(0))") is True


def reference_smooth(y: np.ndarray, weight: float) -> np.ndarray:
    """The moving average of TensorBoard, corrected for its start, for evenly spaced points."""
    out, last = [], 0.0
    for count, value in enumerate(y, start=1):
        last = last * weight + (1 - weight) * value
        out.append(last / (1 - weight**count))
    return np.array(out)


def test_smoothing_is_the_corrected_moving_average(page: Page) -> None:
    y = np.random.default_rng(0).normal(size=200)
    found = ask(page, "scales.js", "m.smooth(v[0], v[1], 0.9)", list(range(10, 2010, 10)), y.tolist())
    np.testing.assert_allclose(found, reference_smooth(y, 0.9), rtol=1e-12)


def test_smoothing_leaves_gaps_as_they_are_and_does_not_touch_the_raw_line(page: Page) -> None:
    found = ask(page, "scales.js", "(() => { const y = [1, NaN, 3, 5]; const out = m.smooth([0, 1, 2, 3], y, 0.5); return [Number.isNaN(out[1]), out[0], out[3] > 1 && out[3] < 5, y[2]]; })()")  # fmt: skip
    assert found == [True, 1, True, 3]


def test_thinning_is_the_same_as_in_python_and_keeps_spikes(page: Page) -> None:
    random = np.random.default_rng(1)
    y = random.normal(size=10_000)
    y[4321], y[8765] = 50.0, -50.0
    x = list(range(10_000))
    found = ask(page, "scales.js", "m.thin({x: v[0], y: v[1]}, 800)", x, y.tolist())
    expected = thin(list(zip(x, y.tolist(), strict=True)), 800)
    assert list(zip(found["x"], found["y"], strict=True)) == [tuple(point) for point in expected]
    assert {50.0, -50.0} <= set(found["y"])
    assert (found["x"][0], found["x"][-1]) == (0, 9999)


def test_a_zoomed_window_replaces_only_what_lies_in_it(page: Page) -> None:
    merged = ask(page, "scales.js", "m.mergeWindow({x: [0, 10, 20, 30], y: [0, 1, 2, 3]}, {x: [9, 10, 12, 15, 20, 22], y: [-1, 1, 7, 8, 2, -1]}, 10, 20)")  # fmt: skip
    assert merged == {"x": [0, 10, 12, 15, 20, 30], "y": [0, 1, 7, 8, 2, 3]}


def test_points_that_come_twice_are_appended_once(page: Page) -> None:
    grown = ask(page, "scales.js", "m.appended({x: [1, 2], y: [5, 6]}, {x: [2, 3], y: [9, 7]})")
    assert grown == {"x": [1, 2, 3], "y": [5, 6, 7]}


def test_zooming_stays_within_the_whole(page: Page) -> None:
    assert ask(page, "scales.js", "m.zoomed([0, 100], [0, 100], 90, 0.5)") == pytest.approx([45, 95])
    assert ask(page, "scales.js", "m.zoomed([80, 100], [0, 100], 100, 2)") == pytest.approx([60, 100])
    assert ask(page, "scales.js", "m.zoomed([10, 90], [0, 100], 50, 4)") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.123"),
        (-2.5, "−2.50"),
        (1234567, "1,234,567"),
        (0.00001234, "1.23e−5"),
        (12.0, "12"),
        (None, "–"),
    ],
)
def test_numbers_for_people(page: Page, value: float | None, text: str) -> None:
    assert ask(page, "format.js", "m.number(v[0])", value) == text


def test_shares_are_never_rounded_to_all_or_nothing(page: Page) -> None:
    found = ask(page, "format.js", "[0.9999, 1, 0.00001, 0, 0.5].map((x) => m.percent(x))")
    assert found == ["99.9%", "100.0%", "0.001%", "0.0%", "50.0%"]


def test_a_redraw_of_twenty_lines_is_quick(page: Page) -> None:
    """Under 16 ms is the aim; the test allows a busy machine some."""
    took = page.evaluate(
        """async () => {
          const { createChart } = await import('/chart.js');
          const { createCleanup } = await import('/state.js');
          const chart = createChart({ title: 'Many', cleanup: createCleanup() });
          document.querySelector('main').replaceChildren(chart.element);
          const x = Array.from({ length: 800 }, (_, i) => i);
          const series = Array.from({ length: 20 }, (_, k) => ({ name: `${k}`, label: `line ${k}`, colour: '--train', x, y: x.map((i) => Math.sin(i / 30 + k) + 2) }));
          chart.update({ series, smoothing: 0.6 });
          const times = [];
          for (let i = 0; i < 15; i += 1) { const start = performance.now(); chart.redraw(); times.push(performance.now() - start); }
          return times.sort((a, b) => a - b)[7];
        }"""
    )
    assert took < 50
