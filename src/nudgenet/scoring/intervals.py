"""How far a score can be trusted: bootstrap intervals, and whether one model really beats another.

The bootstrap asks: had other rows been drawn, what would the score have been? It draws the test rows again
and again, with replacement, and looks at the spread (Efron & Tibshirani, "An Introduction to the Bootstrap",
1993, chapter 13: the percentile interval). A resample is a count per row, so every metric sees it as weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nudgenet.records import TaskKind
from nudgenet.scoring.answers import HALF
from nudgenet.scoring.metrics import LOWER_IS_BETTER, METRICS, Array, weighted_metric

Outcome = Literal["better", "worse", "too close to call"]

LEVEL = 0.95
MAX_DRAWS = 20_000_000  # rows x resamples: about a second or two; larger tests get fewer resamples
MIN_RESAMPLES = 100
DRAWS_AT_ONCE = 1_000_000  # keeps a block of counts (8 MB) near the processor
MIN_ROWS_TO_COMPARE = 10  # below it resampling cannot show how uncertain a difference is


@dataclass(frozen=True)
class Interval:
    """A range that holds the true score in `level` of all cases like this one."""

    low: float
    high: float
    level: float = LEVEL


@dataclass(frozen=True)
class Comparison:
    """One metric of ours against another model's, on the same rows."""

    metric: str
    other: str  # the name of the model that ours is compared with
    difference: float  # ours minus theirs
    interval: Interval  # of the difference
    verdict: Outcome


def assess(
    kind: TaskKind,
    targets: Array,
    ours: Array,
    rivals: Mapping[str, Array],
    *,
    metric: str,
    seed: int,
    threshold: float = HALF,
    rival_thresholds: Mapping[str, float] | None = None,
    num_resamples: int = 1000,
) -> tuple[dict[str, Interval], list[Comparison]]:
    """How far our scores can be trusted, and whether they beat each rival's: all on the same resamples.

    The same seed gives the same answers. More than 20,000 rows get fewer resamples (at least 100): their
    intervals are narrow, and so is the error that this makes.

    Args:
        targets, ours: the rows, and what we answer for them, as `score` takes them.
        rivals: name -> what another model answers for the same rows.
        metric: the one that is compared, by a paired bootstrap of the difference, ours minus theirs: better or worse
            only if its interval leaves out zero; otherwise, and on fewer than ten rows, too close to call.
        threshold, rival_thresholds: of yes/no answers, ours and each rival's (0.5 for those not named); see `decide`.

    Returns:
        A 95 % percentile interval for every metric of ours, without those that are undefined on more than half of the
        resamples (AUC with a single positive row); and the comparisons, without those whose difference is undefined.
    """
    thresholds = {name: (rival_thresholds or {}).get(name, HALF) for name in rivals}
    values: dict[str, list[Array]] = {name: [] for name in METRICS[kind]}
    differences: dict[str, list[Array]] = {name: [] for name in rivals}
    for counts in resample_counts(len(targets), seed=seed, num_resamples=num_resamples):
        for name, blocks in values.items():
            blocks.append(weighted_metric(kind, name, targets, ours, counts, threshold))
        for name, theirs in rivals.items():
            scores = weighted_metric(kind, metric, targets, theirs, counts, thresholds[name])
            differences[name].append(values[metric][-1] - scores)
    intervals = {name: interval_of(np.concatenate(blocks)) for name, blocks in values.items() if blocks}
    found = {name: interval for name, interval in intervals.items() if interval is not None}
    if "accuracy" in found:
        found["accuracy"] = _open_up_certainty(found["accuracy"], len(targets))

    whole = np.ones(len(targets))
    score = weighted_metric(kind, metric, targets, ours, whole, threshold)
    comparisons = []
    for name, blocks in differences.items():
        interval = interval_of(np.concatenate(blocks)) if blocks else None
        difference = float(score - weighted_metric(kind, metric, targets, rivals[name], whole, thresholds[name]))
        if interval is not None and np.isfinite(difference):
            verdict = _verdict(difference, interval, metric, len(targets))
            comparisons.append(Comparison(metric, name, difference, interval, verdict))
    return found, comparisons


def _verdict(difference: float, interval: Interval, metric: str, num_rows: int) -> Outcome:
    if num_rows < MIN_ROWS_TO_COMPARE or interval.low <= 0 <= interval.high:
        return "too close to call"
    return "better" if (difference < 0) == (metric in LOWER_IS_BETTER) else "worse"


def resample_counts(num_rows: int, *, seed: int, num_resamples: int) -> Iterator[Array]:
    """Bootstrap resamples as blocks of counts, float64 `(block, num_rows)`; every row of a block sums to `num_rows`."""
    if num_rows == 0:
        return
    random = np.random.default_rng(seed)
    remaining = min(num_resamples, max(MIN_RESAMPLES, MAX_DRAWS // num_rows))
    block = max(1, DRAWS_AT_ONCE // num_rows)
    while remaining > 0:
        size = min(block, remaining)
        drawn = random.integers(0, num_rows, size=(size, num_rows))
        drawn += np.arange(size)[:, None] * num_rows  # one range of bins per resample: a single bincount does all
        counts = np.bincount(drawn.ravel(), minlength=size * num_rows)
        yield counts.reshape(size, num_rows).astype(np.float64)
        remaining -= size


def interval_of(values: Array, level: float = LEVEL) -> Interval | None:
    """The middle `level` of resampled values; None when less than half of them are finite."""
    finite = values[np.isfinite(values)]
    if len(finite) == 0 or 2 * len(finite) < len(values):
        return None
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high), level)


def _open_up_certainty(interval: Interval, num_rows: int) -> Interval:
    """All right (or all wrong) in every resample looks certain and is not: use the exact bound instead.

    Clopper & Pearson (1934): with no error among n rows the accuracy may still be as low as (alpha/2)^(1/n).
    """
    unseen = ((1 - interval.level) / 2) ** (1 / num_rows)
    if interval.low == 1.0:
        return Interval(unseen, 1.0, interval.level)
    if interval.high == 0.0:
        return Interval(0.0, 1.0 - unseen, interval.level)
    return interval
