"""Which words spoke for an answer: each word of a text is taken out, and the network is asked again.

Occlusion (Zeiler & Fergus, arXiv 1311.2901), which needs to know nothing of the network: it is the same for a bag of
terms and for attention.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from torch import Tensor

from nudgenet.data.documents import texts_of
from nudgenet.data.media import media_paths
from nudgenet.data.prepare import Preparation
from nudgenet.job import Table
from nudgenet.report.contents import MarkedText
from nudgenet.scoring.answers import AnswerRule
from nudgenet.scoring.mistakes import worst_mistakes

NUM_WORST = 12
MOST_WORDS = 80  # different words of a text that are taken out, the first ones
LONGEST = 3_000  # characters that are shown
# Blanks, an ideograph or a syllable by itself, or a run of anything else.
_UNITS = re.compile(r"\s+|[\u3040-\u30ff\u3400-\u9fff]|[^\s\u3040-\u30ff\u3400-\u9fff]+")
_AROUND = re.compile(r"^[\W_]+|[\W_]+$")

Predict = Callable[[Mapping[str, Tensor]], np.ndarray]


@dataclass(frozen=True)
class Occluded:
    """A text in units, and for each how much it spoke for the answer (0 for blanks and what was not tried)."""

    units: tuple[str, ...]
    effects: tuple[float, ...]


def mark_worst(
    predict: Predict, table: Table, targets: np.ndarray, answers: np.ndarray, rule: AnswerRule
) -> list[MarkedText]:
    """The test texts with the largest loss that are wrong, each with the words that led there; [] without texts.

    Args:
        predict: prepared inputs -> answers.
        targets, answers: of the test part, as `score` takes them.
    """
    task, columns = table.task, list(table.preparation.texts)
    if not columns:
        return []
    paths, marked = media_paths(table.test_cells), []
    for mistake in worst_mistakes(task, targets, answers, rule, NUM_WORST):
        cells = table.test_cells.slice(mistake.row, 1)
        words: list[tuple[str, float]] = []
        for column in columns:
            found = occlude(predict, table.preparation, cells, column, mistake.taken)
            words += zip(found.units, found.effects, strict=True) if not words else [
                (" · ", 0.0), *zip(found.units, found.effects, strict=True)
            ]  # fmt: skip
        largest = max((abs(effect) for _, effect in words), default=0.0) or 1.0
        name = f"row {mistake.row + 1}" if paths is None else str(paths[mistake.row].as_py())
        marked.append(MarkedText(tuple((unit, effect / largest) for unit, effect in words), mistake.said, name))
    return marked


def occlude(predict: Predict, preparation: Preparation, row: pa.Table, column: str, output: int | None) -> Occluded:
    """How much the answer for one row falls when a word of its text, wherever it stands in it, is taken out.

    Args:
        row: a table of one row.
        column: the column of the text.
        output: the class whose probability is looked at; None for a regression.
    """
    whole = texts_of(row.column(column))[0].as_py()
    units = _UNITS.findall(str(whole or "")[:LONGEST])
    keys = [_AROUND.sub("", unit).casefold() for unit in units]
    different = [key for key in dict.fromkeys(keys) if key][:MOST_WORDS]
    texts = [str(whole or "")] + [
        "".join(unit for unit, own in zip(units, keys, strict=True) if own != key) for key in different
    ]
    rows = row.take(pa.array(np.zeros(len(texts), np.int64)))
    place = row.column_names.index(column)
    answers = predict(preparation.encode(rows.set_column(place, column, pa.array(texts, pa.string()))))
    values = answers if output is None else answers[:, output]
    effect_of = dict(zip(different, (values[0] - values[1:]).tolist(), strict=True))
    return Occluded(tuple(units), tuple(effect_of.get(key, 0.0) for key in keys))
