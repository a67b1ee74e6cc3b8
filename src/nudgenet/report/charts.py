"""Charts as inline SVG, written by hand: they need no script, no library and no network.

A chart is drawn on a canvas of 640 units and scaled to the page. Colours and the size of the letters come
from the page's style sheet (classes `train`, `validation`, `grid` ...), so that a chart follows light, dark
and narrow screens. Every chart carries a title and a description that says in words what it shows.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from nudgenet.report.markup import Html, escape
from nudgenet.report.wording import shortened

WIDTH = 640
LEFT, RIGHT, TOP, BOTTOM = 84, 16, 16, 52  # margins: room for tick labels, also in the larger letters of a phone
LARGEST = 1e300  # what lies beyond is drawn there: spans must not overflow


class Line(NamedTuple):
    """A line of a chart; points that are not finite are left out, and the line is broken there."""

    kind: str  # CSS class: train, validation, skill
    points: Sequence[tuple[float, float]]


class Bar(NamedTuple):
    """A bar with its whisker."""

    label: str
    value: float
    low: float
    high: float
    text: str  # the value as it is said


@dataclass(frozen=True)
class Scale:
    """From values to units of the canvas; logarithmic if asked."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, value = (self._place(v) for v in (self.low, self.high, value))
        share = (value - low) / (high - low) if high > low else 0.5
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def _place(self, value: float) -> float:
        return math.log10(max(value, 1 / LARGEST)) if self.log else min(LARGEST, max(-LARGEST, value))


def nice_ticks(low: float, high: float, count: int = 5, *, whole: bool = False) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within [low, high], about `count` of them.

    Args:
        whole: only whole numbers, e.g. epochs.
    """
    low, high = (min(LARGEST, max(-LARGEST, value)) for value in sorted((low, high)))
    span = high - low
    if span <= 1e-9 * max(abs(low), abs(high)) or span < 1e-290:  # nothing between them that a float can tell apart
        return [low]
    rough = span / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    if whole:
        step = max(1.0, math.floor(step))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = [min(high, max(low, i * step)) for i in range(first, last + 1)]
    return ticks or [low]


def log_ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Powers of ten within [low, high]; also their doubles and fives if there are few; thinned if there are many."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    factors = (1.0, 2.0, 5.0) if last - first <= 2 else (1.0,)
    every = max(1, math.ceil((last - first + 1) / count))
    powers = range(first, last + 1, every)
    return [f * 10.0**p for p in powers for f in factors if low * (1 - 1e-9) <= f * 10.0**p <= high * (1 + 1e-9)]


def tick_text(value: float) -> str:
    """A tick's label: short, also for large and small numbers (1.5M, 20k, 0.05, 1e-6)."""
    size = abs(value)
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if limit <= size < 1e15:
            return f"{value / (1e3 if unit == 'k' else limit):.4g}{unit}".replace("-", "−")
    if size and (size < 1e-4 or size >= 1e15):
        mantissa, _, exponent = f"{value:.2g}".partition("e")
        return f"{mantissa}e{int(exponent)}".replace("-", "−") if exponent else mantissa.replace("-", "−")
    return f"{value:.6g}".replace("-", "−")


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    description: str,
    x_label: str,
    y_label: str,
    log: bool = False,
    best: float | None = None,
    shaded_from: float | None = None,
    height: int = 320,
) -> Html:
    """Lines over whole-numbered x, such as losses over epochs.

    Args:
        best: an x that is marked by a vertical line.
        shaded_from: the region from this x to the end is shaded.
    """
    points = [(x, y) for line in lines for x, y in line.points if math.isfinite(y) and (y > 0 or not log)]
    if not points:
        return Html("")
    x = _scale_of((p[0] for p in points), LEFT, WIDTH - RIGHT, padding=0.0)
    y = _scale_of((p[1] for p in points), height - BOTTOM, TOP, padding=0.06, log=log)
    ticks = log_ticks(y.low, y.high) if log else nice_ticks(y.low, y.high)
    parts = []
    if shaded_from is not None and shaded_from < x.high:
        start = x(shaded_from)
        parts.append(
            f'<rect class="overfit" x="{start:.1f}" y="{TOP}" width="{x(x.high) - start:.1f}" '
            f'height="{height - BOTTOM - TOP}"/>'
        )
    parts.append(_axes(x, y, nice_ticks(x.low, x.high, 8, whole=True), ticks, x_label, y_label, height))
    if best is not None and x.low <= best <= x.high:
        parts.append(f'<path class="best" d="M{x(best):.1f} {TOP}V{height - BOTTOM}"/>')
    parts += [_line(line, x, y) for line in lines]
    return svg("".join(parts), title=title, description=description, height=height)


def bar_chart(bars: Sequence[Bar], *, title: str, description: str) -> Html:
    """Horizontal bars with whiskers; each bar's name stands above it, so that long names have room on a phone."""
    if not bars:
        return Html("")
    ends = [end for bar in bars for end in (bar.value, bar.low, bar.high, 0.0) if math.isfinite(end)]
    x = Scale(min(ends), max(ends), 8.0, WIDTH - 8.0)
    zero, row = x(0.0), 48
    parts = []
    for i, bar in enumerate(bars):
        y, value = 20 + i * row, x(bar.value)
        name, text = escape(shortened(bar.label, 30)), escape(bar.text)
        parts.append(
            f'<text x="8" y="{y}">{name}</text><text class="value" x="{WIDTH - 8}" y="{y}">{text}</text>'
            f'<rect class="bar" x="{min(zero, value):.1f}" y="{y + 8}" width="{abs(value - zero):.1f}" height="12"/>'
            f'<path class="axis" d="M{zero:.1f} {y + 5}v18"/>'
            f'<path class="whisker" d="M{x(bar.low):.1f} {y + 14}H{x(bar.high):.1f}M{x(bar.low):.1f} {y + 9}v10'
            f'M{x(bar.high):.1f} {y + 9}v10"/>'
        )
    height = 20 + row * len(bars) - 14
    return svg("".join(parts), title=title, description=description, height=height)


def scatter(points: Sequence[tuple[float, float]], *, title: str, description: str, x_label: str, y_label: str) -> Html:
    """Predicted over true, on one scale for both, with the diagonal on which a perfect prediction lies."""
    finite = [(a, b) for a, b in points if math.isfinite(a) and math.isfinite(b)]
    if not finite:
        return Html("")
    height = 460
    values = [v for point in finite for v in point]
    x = _scale_of(values, LEFT, WIDTH - RIGHT, padding=0.03)
    y = _scale_of(values, height - BOTTOM, TOP, padding=0.03)
    ticks = nice_ticks(x.low, x.high)
    # One path for all points: each is a line of no length whose round ends make the dot.
    dots = "".join(f"M{x(a):.0f} {y(b):.0f}h0" for a, b in finite)
    body = (
        _axes(x, y, ticks, ticks, x_label, y_label, height)
        + f'<path class="diagonal" d="M{x(x.low):.1f} {y(x.low):.1f}L{x(x.high):.1f} {y(x.high):.1f}"/>'
        + f'<path class="dots" d="{dots}"/>'
    )
    return svg(body, title=title, description=description, height=height)


def svg(body: str, *, title: str, description: str, height: int, width: int = WIDTH) -> Html:
    """The frame of a chart: scales with the page, and says in words what it shows."""
    return Html(
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}. {escape(description)}">'
        f"<title>{escape(title)}</title><desc>{escape(description)}</desc>{body}</svg>"
    )


def swatch(kind: str) -> Html:
    """The sample of a line or region that a legend shows."""
    shape = (
        '<rect class="overfit" x="1" y="1" width="32" height="12"/>'
        if kind == "overfit"
        else f'<path class="{kind}" d="M17 0V14"/>'
        if kind == "best"
        else f'<path class="{kind}" d="M1 7H33"/>'
    )
    return Html(f'<svg class="swatch" viewBox="0 0 34 14" width="34" height="14" aria-hidden="true">{shape}</svg>')


def legend(entries: Iterable[tuple[str, str]]) -> Html:
    """(kind, words) of everything that a chart draws."""
    items = "".join(f"<li>{swatch(kind)} {escape(words)}</li>" for kind, words in entries)
    return Html(f'<ul class="legend">{items}</ul>')


def _scale_of(values: Iterable[float], start: float, end: float, *, padding: float, log: bool = False) -> Scale:
    """A scale over the values with some air around them."""
    clipped = [min(LARGEST, max(-LARGEST, value)) for value in values]
    low, high = min(clipped), max(clipped)
    if log:
        lowest, highest = (math.log10(min(LARGEST, max(1 / LARGEST, value))) for value in (low, high))
        decades = max(highest - lowest, 1e-6) * padding
        return Scale(10 ** max(-300, lowest - decades), 10 ** min(300, highest + decades), start, end, log=True)
    air = (high - low) * padding
    if high == low and padding:  # one value: a scale around it
        air = abs(high) * 0.1 or 1.0
    return Scale(low - air, high + air, start, end)


def _axes(
    x: Scale, y: Scale, x_ticks: Sequence[float], y_ticks: Sequence[float], x_label: str, y_label: str, height: int
) -> str:
    floor = height - BOTTOM
    parts = []
    for tick in y_ticks:
        at = y(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text class="y" x="{LEFT - 8}" y="{at:.1f}" dy=".35em">{escape(tick_text(tick))}</text>')
    for tick in x_ticks:
        at = x(tick)
        parts.append(f'<path class="axis" d="M{at:.1f} {floor}v5"/>')
        parts.append(f'<text class="x" x="{at:.1f}" y="{floor + 22}">{escape(tick_text(tick))}</text>')
    parts.append(f'<path class="axis" d="M{LEFT} {floor}H{WIDTH - RIGHT}"/>')
    parts.append(
        f'<text class="x label" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{height - 7}">{escape(x_label)}</text>'
    )
    middle = (TOP + floor) / 2
    parts.append(
        f'<text class="x label" transform="translate(15 {middle:.0f}) rotate(-90)">{escape(shortened(y_label, 30))}</text>'
    )
    return "".join(parts)


def _line(line: Line, x: Scale, y: Scale) -> str:
    """The path of a line; a single point between gaps becomes a dot, else it could not be seen."""
    runs: list[list[tuple[float, float]]] = [[]]
    for px, py in line.points:
        if math.isfinite(py) and (py > 0 or not y.log):
            runs[-1].append((x(px), y(py)))
        elif runs[-1]:
            runs.append([])
    path = "".join("M" + "L".join(f"{px:.1f} {py:.1f}" for px, py in run) for run in runs if len(run) > 1)
    alone = "".join(
        f'<circle class="{line.kind} alone" cx="{run[0][0]:.1f}" cy="{run[0][1]:.1f}" r="4"/>'
        for run in runs
        if len(run) == 1
    )
    return (f'<path class="{line.kind}" d="{path}"/>' if path else "") + alone
