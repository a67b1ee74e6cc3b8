"""What a network answers, as a person is told it: labels, probabilities, numbers in the target's unit."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nudgenet.networks.pretrained import PretrainedNetwork
from nudgenet.page.opened import OpenedRun
from nudgenet.page.rows import Inputs, Row
from nudgenet.records import Label
from nudgenet.training.place import rows_at_once, working_at


def answers(opened: OpenedRun, outputs: Tensor) -> np.ndarray:
    """What `nudge predict` would answer to these outputs: probabilities (rows, classes), or numbers (rows,)."""
    objective = opened.objective
    found = objective.predict(objective.unite(outputs)).numpy()
    return said(opened, found)


def said(opened: OpenedRun, predictions: np.ndarray) -> np.ndarray:
    """Predictions as they are answered: in the target's unit, or at the run's temperature."""
    run = opened.run
    return run.preparation.restore(predictions) if run.task.kind == "regression" else run.rule.scale(predictions)


def ask(opened: OpenedRun, network: nn.Module, inputs: Inputs) -> np.ndarray:
    """The answers of a network for prepared rows."""
    num_rows, at_once = len(next(iter(inputs.values()))), rows_at_once(opened.shape.num_outputs)
    found = []
    with working_at(opened.place), torch.inference_mode():
        for begin in range(0, num_rows, at_once):
            outputs = network({name: tensor[begin : begin + at_once] for name, tensor in inputs.items()})
            found.append(answers(opened, outputs))
    return np.concatenate(found)


def told(opened: OpenedRun, network: nn.Module, inputs: Inputs) -> Inputs:
    """Prepared rows with what a pretrained network says of them, in place of what it read: it need not be asked again."""
    if not isinstance(network, PretrainedNetwork):
        return inputs
    with working_at(opened.place), torch.no_grad():
        kept = {name: tensor for name, tensor in inputs.items() if name not in ("images", "waves")}
        return kept | {"features": network.read(inputs)}


def label_of(opened: OpenedRun, answer: np.ndarray) -> Label | float:
    """The label that one row's answer stands for, or its number."""
    if opened.run.task.kind == "regression":
        return float(answer)
    classes = opened.run.classes
    return classes[int(opened.run.rule.decide(answer[None])[0])]


def truth_of(opened: OpenedRun, target: Tensor | None) -> Label | float | None:
    """A prepared target as a person knows it."""
    if target is None:
        return None
    if opened.run.task.kind == "regression":
        number = float(opened.run.preparation.restore(target.double().numpy())[0])
        # It was kept as a float32 of the scaled target: 14 comes back as 13.9999998.
        return round(number, 6 - math.floor(math.log10(opened.run.preparation.target_scale)))
    return opened.run.classes[int(target[0])]


def answer_as_json(opened: OpenedRun, answer: np.ndarray) -> dict[str, Any]:
    """One row's answer: the label with its probability, or the number."""
    label = label_of(opened, answer)
    if opened.run.task.kind == "regression":
        return {"value": label}
    classes = opened.run.classes
    probabilities = probabilities_of(opened, answer)
    return {"label": label, "probability": float(answer[classes.index(label)]), "probabilities": probabilities}


def probabilities_of(opened: OpenedRun, answer: np.ndarray) -> list[dict[str, Any]]:
    """The probability of each class."""
    return [{"class": label, "probability": float(p)} for label, p in zip(opened.run.classes, answer, strict=True)]


def loss_of(opened: OpenedRun, outputs: Tensor, row: Row) -> float | None:
    """The loss of the whole ensemble's answer, as the curves judge it; None if nobody knows the truth."""
    if row.target is None:
        return None
    objective = opened.objective
    with torch.inference_mode():
        return float(objective.row_losses(objective.unite(outputs), row.target)[0])
