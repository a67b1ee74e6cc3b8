"""Training without a run's folder: rows and targets in, a trained network out, nothing written and no test part.

The same reading, preparing, network and loop as `pipeline`; only what surrounds a run is left away.
"""

from __future__ import annotations

import copy
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import safetensors.torch
import torch
from pydantic import TypeAdapter
from torch import nn

from nudgenet.data.columns import describe
from nudgenet.data.prepare import Preparation, learn, prepare
from nudgenet.data.split import split
from nudgenet.data.units import row_hashes
from nudgenet.errors import ColumnError, RunError
from nudgenet.networks import rebuild
from nudgenet.networks.capacity import choose_capacity, explain_capacity
from nudgenet.networks.encoding import learn_pieces
from nudgenet.networks.mlp import num_parameters
from nudgenet.outcome import best_network
from nudgenet.pipeline import begin
from nudgenet.records import Column, Decision, Epoch, Part, Parts, Prepared, Raw, Task, TaskKind
from nudgenet.scoring.answers import HALF, AnswerRule
from nudgenet.scoring.metrics import choose_metric
from nudgenet.scoring.rule import check_threshold, choose_rule, explain_rule
from nudgenet.settings import Settings
from nudgenet.training.budget import fit_to_time, time_for_training
from nudgenet.training.loop import fit
from nudgenet.training.objectives import answer_function
from nudgenet.training.place import choose_place, rows_at_once, working_at
from nudgenet.training.plan import make_plan
from nudgenet.training.state import weights_of
from nudgenet.training.texts import settle_texts

FORMAT_VERSION = 2
# With fewer different rows a validation part is seven rows at most: training stops by chance, and misses them.
# Measured on subsets of three tables: at 45 rows a held-out part costs 3.5 points of score, at 90 rows nothing.
FEWEST_TO_DIVIDE = 50
MOST_COPIES = 100_000  # rows in all up to which whole weights are taken literally, as copies

# Torch's random state belongs to the whole process: of two trainings at once, as threads of scikit-learn's
# searches may start them, each would take random numbers from the other.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True)
class Trained:
    """A trained network, and all that it takes to ask it.

    network: a plain module on the CPU, in evaluation mode, with the weights of the best epoch.
    settings: with the layers, width and dropout that were chosen filled in.
    all_numbers: the rows came as an array of numbers, so every column is a number and nothing is left out.
    rule: the temperature and the threshold of its answers.
    failure: what made the loss non-finite; "" if nothing did.
    """

    network: nn.Module
    preparation: Preparation
    settings: Settings
    num_rows: int
    all_numbers: bool
    epochs: tuple[Epoch, ...]
    decisions: tuple[Decision, ...]
    rule: AnswerRule
    failure: str = ""

    def answer(self, raw: Raw) -> tuple[np.ndarray, list[str]]:
        """Probabilities, float64 (rows, classes), or numbers, float64 (rows,), and what was odd about the rows.

        Computed in double precision: in single precision the last digits of a row's answer would depend on
        how many other rows stand beside it.

        Raises:
            ColumnError: too many cells are not what their column held in training.
        """
        inputs, found = self._prepare(raw)
        answers = answers_of(self.network, inputs, self.preparation.task, self.settings)
        is_number = self.preparation.task.kind == "regression"
        return self.preparation.restore(answers) if is_number else self.rule.scale(answers), found

    def _prepare(self, raw: Raw) -> tuple[dict[str, torch.Tensor], list[str]]:
        """Columns are matched by their place where the names differ: the caller has compared the names."""
        names = [column.name for column in self.preparation.columns]
        if raw.table.num_columns == len(names):
            raw = replace(raw, table=raw.table.rename_columns(names))
        if self.all_numbers:
            return self.preparation.encode(raw.table), []
        inputs, found = self.preparation.apply(raw)
        return inputs, [*raw.warnings, *found]

    def pack(self) -> dict[str, bytes]:
        """Everything as bytes: the weights as safetensors, the rest as JSON."""
        record = {
            "format_version": FORMAT_VERSION,
            "preparation": asdict(self.preparation),
            "settings": self.settings.model_dump(mode="json"),
            "num_rows": self.num_rows,
            "all_numbers": self.all_numbers,
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "decisions": [asdict(decision) for decision in self.decisions],
            "failure": self.failure,
            "rule": asdict(self.rule),
        }
        return {"record": json.dumps(record).encode(), "weights": safetensors.torch.save(weights_of(self.network))}

    @classmethod
    def unpack(cls, packed: Mapping[str, bytes]) -> Trained:
        """What `pack` packed. Raises RunError if a version wrote it that this one cannot read."""
        record: dict[str, Any] = json.loads(packed["record"])
        if record["format_version"] != FORMAT_VERSION:
            raise RunError(
                "This estimator was saved in a format that this version of nudgenet cannot read",
                got=f"format {record['format_version']!r}, known is {FORMAT_VERSION}",
                fix="Use the version of nudgenet that saved it, or fit again.",
            )
        preparation = TypeAdapter(Preparation).validate_python(record["preparation"])
        settings = Settings(**record["settings"])
        shape = preparation.shape(record["num_rows"])
        weights = safetensors.torch.load(packed["weights"])
        with _ONE_AT_A_TIME:
            network = rebuild(shape, settings, weights)
        return cls(
            network,
            preparation,
            settings,
            record["num_rows"],
            record["all_numbers"],
            tuple(TypeAdapter(list[Epoch]).validate_python(record["epochs"])),
            tuple(TypeAdapter(list[Decision]).validate_python(record["decisions"])),
            AnswerRule(**record["rule"]),
            record["failure"],
        )


def train_in_memory(
    features: Raw,
    targets: np.ndarray,
    kind: TaskKind,
    settings: Settings,
    *,
    num_classes: int = 0,
    weights: np.ndarray | None = None,
    all_numbers: bool = False,
) -> tuple[Trained, list[str]]:
    """Split, prepare, build and train; the best network comes back with the warnings about the rows.

    Args:
        features: the columns to learn from.
        targets: class indices int64 (rows,), or finite float64 (rows,).
        num_classes: 0 for a regression.
        weights: float64 (rows,), not negative, or None; see `arrange`.
        all_numbers: every column is taken as a number, whatever it looks like.

    Raises:
        UserError: a setting that does not fit, or no column to learn from.
    """
    began = time.perf_counter()
    raw, target, weights = arrange(features, targets, weights)
    task = Task(target, kind, tuple(range(num_classes)))
    parts, decisions, found = divide(raw, task, settings)
    if all_numbers:
        columns = tuple(Column(name, "number", "the rows came as numbers") for name in features.table.column_names)
    else:
        columns, more, odd = describe(raw, task, parts.train, settings)
        decisions, found = [*features.decisions, *decisions, *more], [*features.warnings, *found, *odd]
    preparation, more = learn(raw, parts, columns, task, settings)
    data = with_weights(prepare(raw, parts, preparation), weights)

    settings, suited = settle_texts(settings, data)
    metric, scored_by = choose_metric(kind, settings.metric, data.train.targets.numpy(), task.classes)
    check_threshold(kind, settings)
    capacity = choose_capacity(data.shape, settings)
    plan, habits = make_plan(settings, data.shape)
    place, where = choose_place(settings, plan.batch_size * capacity.multiply_adds(data.shape))
    with _ONE_AT_A_TIME, working_at(place):
        pieces = learn_pieces(data.train.inputs["numbers"])
        start = partial(begin, data, plan=plan, place=place, settings=settings, pieces=pieces)
        shortened: list[Decision] = []
        limit = time_for_training(settings.time_limit, time.perf_counter() - began, with_report=False)
        if limit is not None:
            capacity, state, shortened = fit_to_time(capacity, start, data, limit, settings)
        else:
            state = start(capacity)
        sizes = [*explain_capacity(capacity, data.shape, num_parameters(state.network), settings), *shortened]
        limit = time_for_training(settings.time_limit, time.perf_counter() - began, with_report=False)
        epochs = tuple(fit(state, data, time_limit=limit))
        network = best_network(state).to("cpu")
    rule = AnswerRule(threshold=settings.threshold or HALF)
    chosen: list[Decision] = []
    if parts.validation is not parts.train:  # rows that were learned by heart tell nothing about other ones
        rule, chosen = choose_answers(network, data, metric, settings)
    trained = Trained(
        network=network,
        preparation=preparation,
        settings=settings.model_copy(update=asdict(capacity)),
        num_rows=data.shape.num_rows,
        all_numbers=all_numbers,
        epochs=epochs,
        decisions=(*decisions, *more, *suited, *scored_by, *sizes, *habits, *where, *chosen),
        rule=rule,
        failure=state.failure,
    )
    return trained, found


def answers_of(network: nn.Module, inputs: Mapping[str, torch.Tensor], task: Task, settings: Settings) -> np.ndarray:
    """Prepared inputs -> probabilities, float64 (rows, classes), or standardised numbers (rows,); in double precision."""
    network = copy.deepcopy(network).double()
    to_answers = answer_function(task.kind, settings)
    at_once = rows_at_once(len(task.classes) or 1)
    answers = []
    with torch.inference_mode():
        for begins in range(0, len(inputs["numbers"]), at_once):
            rows = slice(begins, begins + at_once)
            chunk = {name: tensor[rows] for name, tensor in inputs.items()}
            chunk |= {name: tensor.double() for name, tensor in chunk.items() if tensor.is_floating_point()}
            answers.append(to_answers(network(chunk)).numpy())
    return np.concatenate(answers)


def choose_answers(
    network: nn.Module, data: Prepared, metric: str, settings: Settings
) -> tuple[AnswerRule, list[Decision]]:
    """The temperature and the threshold, from the validation rows and their weights."""
    task, part = data.task, data.validation
    if task.kind == "regression":
        return AnswerRule(), []
    targets, found = part.targets.numpy(), answers_of(network, part.inputs, task, settings)
    weights = None if part.weights is None else part.weights.numpy()
    rule = choose_rule(task.kind, metric, targets, found, settings, weights)
    return rule, explain_rule(rule, task.kind, metric, targets, found, settings, task.classes)


def arrange(features: Raw, targets: np.ndarray, weights: np.ndarray | None) -> tuple[Raw, str, np.ndarray | None]:
    """The rows to train on, in an order of their own: (rows with their target, its name, weights for the loss).

    Rows are sorted by their content, so that the same rows give the same network in whatever order they come.
    A row of weight 0 is left out, and whole weights are copies of their row (up to `MOST_COPIES` in all): so
    they mean exactly what repeating the row does. Other weights weigh the row's loss.
    """
    counts, loss_weights = np.ones(len(targets), np.int64), None
    if weights is not None:
        counts, loss_weights = copies(weights)
    name = "target"
    while name in features.table.column_names:
        name += "_"
    table = features.table.append_column(name, pa.array(targets))
    by = table if loss_weights is None else table.append_column(f"{name}_weight", pa.array(loss_weights))
    order = pc.sort_indices(by, sort_keys=[(column, "ascending") for column in by.column_names]).to_numpy()
    rows = np.repeat(order, counts[order])
    raw = replace(features, table=table.take(pa.array(rows)))
    return raw, name, None if loss_weights is None else loss_weights[rows]


def copies(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """How often each row is taken, int64 (rows,), and what its loss weighs, float64 (rows,) with mean 1 (None: all alike)."""
    if (weights == np.round(weights)).all() and weights.sum() <= MOST_COPIES:
        return weights.astype(np.int64), None
    used = weights[weights > 0]
    alike = used.min() == used.max()
    return (weights > 0).astype(np.int64), None if alike else weights / used.mean()


def divide(raw: Raw, task: Task, settings: Settings) -> tuple[Parts, list[Decision], list[str]]:
    """Training and validation rows. Where none can be spared, the training rows validate, too."""
    num_rows = raw.table.num_rows
    features = [name for name in raw.table.column_names if name != task.target]
    num_different = len(np.unique(row_hashes(raw.table, features)))
    why = f"{num_different:,} different rows are too few to spare any"
    if num_different >= FEWEST_TO_DIVIDE:
        try:
            return split(raw, task, settings, with_test=False)
        except ColumnError as problem:  # the target hardly varies: divided, one part would hold a single value
            why = problem.what
    rows = np.arange(num_rows)
    chosen = f"all {num_rows:,} rows train, and the same rows validate"
    return Parts(rows, rows, rows[:0]), [Decision("split", chosen, why, "")], []


def with_weights(data: Prepared, weights: np.ndarray | None) -> Prepared:
    """The same parts, with the weight of each row in the loss."""
    if weights is None:
        return data

    def weigh(part: Part) -> Part:
        return replace(part, weights=torch.from_numpy(weights[part.rows].astype(np.float32)))

    return replace(data, train=weigh(data.train), validation=weigh(data.validation), test=weigh(data.test))
