"""Everything that a report shows, in one frozen record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from nudgenet.records import Column, Epoch

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Exhibit:
    """One thing to look at: images as `data:` links, what is said below them, the file that they come from, its sound."""

    images: tuple[str, ...]
    words: str
    name: str
    sound: str = ""  # a `data:` link, too


@dataclass(frozen=True)
class Gallery:
    """Pictures that belong together."""

    title: str
    words: str
    exhibits: tuple[Exhibit, ...]


@dataclass(frozen=True)
class MarkedText:
    """A text, and how much each of its words spoke for the answer: (word, from -1 to 1); what the answer was; its name."""

    words: tuple[tuple[str, float], ...]
    said: str
    name: str


@dataclass(frozen=True)
class Contents:
    """Everything that a report shows; put together from a run's folder. Whatever is absent is left out of the page.

    summary: the JSON line of a run: task, target, rows, metrics, baselines, verdict, decisions ...
    intervals: test metric -> its 95 % interval.
    comparisons: paired bootstraps on the test rows, each {"metric", "other", "difference", "low", "high",
        "verdict"}; `other` is a baseline's name, `verdict` is better | worse | too close to call.
    test_predictions: columns `row` (1-based data row), `actual`, `prediction`, `loss`, and for classes
        `probability_<class>`.
    test_inputs: the original cells of the same rows in the same order, most important column first.
    importance: (column, drop, low, high): how much worse `importance_metric` got on the validation part when
        the column's cells were shuffled, with a 95 % interval.
    commands: what to copy: "reproduce", "predict", "resume", "python" -> code.
    no_skill_loss: the validation loss of always giving the same answer, in the unit of the curves.
    """

    run_name: str
    created: str  # ISO 8601
    version: str
    summary: Mapping[str, Any]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    comparisons: Sequence[Mapping[str, Any]] = ()
    epochs: Sequence[Epoch] = ()
    overfit_since: int | None = None
    test_predictions: pa.Table | None = None
    test_inputs: pa.Table | None = None
    importance: Sequence[tuple[str, float, float, float]] = ()
    importance_metric: str = ""
    columns: Sequence[Column] = ()
    warnings: Sequence[str] = ()
    network_text: str = ""  # e.g. "2 layers of 32 neurons, 1,731 knobs"
    commands: Mapping[str, str] = field(default_factory=dict)
    no_skill_loss: float | None = None
    galleries: Sequence[Gallery] = ()
    texts: Sequence[MarkedText] = ()
