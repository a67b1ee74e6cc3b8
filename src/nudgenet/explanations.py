"""Which words spoke for an answer: what each of them added to it.

Integrated gradients over the network's terms or tokens, whose shares are handed to the words that they come from. Where
tokens cannot be told apart by words, each word is taken out of the text instead, and the network asked again (occlusion:
Zeiler & Fergus, arXiv 1311.2901).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from torch import Tensor, nn

from nudgenet.data.documents import texts_of
from nudgenet.data.media import media_paths
from nudgenet.data.prepare import Preparation
from nudgenet.data.spans import spans_of
from nudgenet.data.texts import TextFeature
from nudgenet.job import Table
from nudgenet.networks.attribution import word_shares
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
ToAnswers = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Weighed:
    """A text in units, and for each how much it spoke for the answer (0 for blanks and what was not tried)."""

    units: tuple[str, ...]
    effects: tuple[float, ...]


def mark_worst(
    network: nn.Module,
    to_answers: ToAnswers,
    predict: Predict,
    table: Table,
    targets: np.ndarray,
    answers: np.ndarray,
    rule: AnswerRule,
) -> list[MarkedText]:
    """The test texts with the largest loss that are wrong, each with the words that led there; [] without texts.

    Args:
        to_answers: what the network gives -> probabilities (rows, classes), or numbers (rows,), with gradients.
        predict: prepared inputs -> answers.
        targets, answers: of the test part, as `score` takes them.
    """
    task, columns = table.task, list(table.preparation.texts)
    if not columns:
        return []
    paths, marked = media_paths(table.test_cells), []
    for mistake in worst_mistakes(task, targets, answers, rule, NUM_WORST):
        cells = table.test_cells.slice(mistake.row, 1)
        inputs = {name: tensor[mistake.row : mistake.row + 1] for name, tensor in table.prepared.test.inputs.items()}
        words: list[tuple[str, float]] = []
        for column in columns:
            found = shares_of_words(
                network, to_answers, table.preparation, cells, inputs, column, mistake.taken
            ) or occlude(predict, table.preparation, cells, inputs, column, mistake.taken)
            words += zip(found.units, found.effects, strict=True) if not words else [
                (" · ", 0.0), *zip(found.units, found.effects, strict=True)
            ]  # fmt: skip
        largest = max((abs(effect) for _, effect in words), default=0.0) or 1.0
        name = f"row {mistake.row + 1}" if paths is None else str(paths[mistake.row].as_py())
        marked.append(MarkedText(tuple((unit, effect / largest) for unit, effect in words), mistake.said, name))
    return marked


def shares_of_words(
    network: nn.Module,
    to_answers: ToAnswers,
    preparation: Preparation,
    row: pa.Table,
    inputs: Mapping[str, Tensor],
    column: str,
    output: int | None,
) -> Weighed | None:
    """How much each word added to the answer for one row, all terms together from nothing to the whole text.

    Args:
        to_answers: as for `mark_worst`. The others: as for `occlude`.

    Returns:
        None where the words cannot be told from the network's tokens, or the network reads none.
    """
    whole = str(texts_of(row.column(column))[0].as_py() or "")
    feature = next(found for found in preparation.features if found.column == column)
    assert isinstance(feature, TextFeature)
    units = _UNITS.findall(whole)
    spans = spans_of(feature, units) if units else None
    if spans is None:
        return None

    def answer(outputs: Tensor) -> Tensor:
        found = to_answers(outputs)
        return found if output is None else found[:, output]

    shares = word_shares(network, inputs, answer)
    if shares is None:
        return None
    effects = shares[preparation.texts[column]].double().numpy() @ spans
    shown = int(np.searchsorted(np.cumsum([len(unit) for unit in units]), LONGEST, side="right")) or 1
    return Weighed(tuple(units[:shown]), tuple(effects[:shown].tolist()))


def occlude(
    predict: Predict,
    preparation: Preparation,
    row: pa.Table,
    inputs: Mapping[str, Tensor],
    column: str,
    output: int | None,
) -> Weighed:
    """How much the answer for one row falls when a word of its text, wherever it stands in it, is taken out.

    Args:
        row: a table of one row, whose images and sounds may be without their content.
        inputs: the same row, prepared.
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
    same = {name: tensor.repeat_interleave(len(texts), dim=0) for name, tensor in inputs.items() if name != "features"}
    answers = predict(same | preparation.encode_texts(rows.set_column(place, column, pa.array(texts, pa.string()))))
    values = answers if output is None else answers[:, output]
    effect_of = dict(zip(different, (values[0] - values[1:]).tolist(), strict=True))
    return Weighed(tuple(units), tuple(effect_of.get(key, 0.0) for key in keys))
