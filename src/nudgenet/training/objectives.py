"""What the network is to get better at: the loss of each row, and what an output means.

An `Objective` is called on a network's outputs and a batch and gives the one number that the loop
brings down. `OBJECTIVES` is the plug point: name -> builder.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nudgenet.errors import SettingError, did_you_mean
from nudgenet.records import Batch, Part, TaskKind
from nudgenet.scoring.metrics import UNSEEN_ROWS
from nudgenet.settings import Settings

RowLosses = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Objective:
    """A loss and what the network's outputs mean under it.

    training_loss, row_losses: (outputs, targets) -> float32 (rows,). Training may use a softened
        loss (label smoothing, class weights); curves and early stopping always look at `row_losses`.
    predict: outputs (rows, num_outputs) -> probabilities (rows, num_classes), or the standardised
        number (rows,).
    no_skill: targets of the training part -> the best constant outputs (num_outputs,), which a network must beat.
    unite: outputs of an ensemble (rows, members, num_outputs) -> the outputs (rows, num_outputs) of the
        one network that answers with the mean of its members' answers.
    """

    name: str
    training_loss: RowLosses
    row_losses: RowLosses
    predict: Callable[[Tensor], Tensor]
    no_skill: Callable[[Tensor], Tensor]
    unite: Callable[[Tensor], Tensor]

    def __call__(self, outputs: Tensor, batch: Batch) -> Tensor:
        """The (weighted) mean loss of a batch: one number with a gradient.

        Members of an ensemble are trained on their own losses, not on that of their common answer: else
        they would lean on each other, and be worse together.
        """
        targets, weights, others, share = batch.targets, batch.weights, batch.others, batch.share
        if outputs.ndim == 3:
            num_members = outputs.shape[1]
            outputs = outputs.flatten(0, 1)
            targets = targets.repeat_interleave(num_members)
            weights, others, share = (
                None if of_rows is None else of_rows.repeat_interleave(num_members)
                for of_rows in (weights, others, share)
            )
        losses = self.training_loss(outputs, targets)
        if others is not None and share is not None:  # two rows in one: its loss is that of both answers
            losses = torch.lerp(self.training_loss(outputs, others), losses, share)
        if weights is None:
            return losses.mean()
        return (losses * weights).sum() / weights.sum().clamp_min(1e-12)


Builder = Callable[[Part, int, Settings], Objective]


def cross_entropy(train: Part, num_outputs: int, settings: Settings) -> Objective:
    """Minus the log of the probability given to the true class, in nats."""
    counts = torch.bincount(train.targets, minlength=num_outputs).float()
    seen = counts.clamp_min(UNSEEN_ROWS)
    class_weights = None
    if settings.class_weights == "balanced":
        # A class's weight is rows / (classes x its rows), as in scikit-learn; an absent class has none.
        class_weights = torch.where(counts > 0, counts.sum() / (num_outputs * counts.clamp_min(1)), 0.0)

    def training_loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(
            outputs, targets, class_weights, reduction="none", label_smoothing=settings.label_smoothing
        )

    return Objective(
        name="cross_entropy",
        training_loss=training_loss,
        row_losses=lambda outputs, targets: F.cross_entropy(outputs, targets, reduction="none"),
        predict=_probabilities,
        no_skill=lambda targets: (seen / seen.sum()).log(),
        unite=_unite_logits,
    )


def _regression(name: str, row_losses: RowLosses, no_skill: Callable[[Tensor], Tensor]) -> Builder:
    """A builder for a loss between one standardised output and one standardised target."""

    def on_column(outputs: Tensor, targets: Tensor) -> Tensor:
        return row_losses(outputs.squeeze(1), targets)

    def build(train: Part, num_outputs: int, settings: Settings) -> Objective:
        return Objective(name, on_column, on_column, _number, no_skill, _unite_numbers)

    return build


def _mean(targets: Tensor) -> Tensor:
    return targets.mean().reshape(1)


def _median(targets: Tensor) -> Tensor:
    return targets.median().reshape(1)


def poisson(train: Part, num_outputs: int, settings: Settings) -> Objective:
    """For counts: the output is the log of the expected count. Targets must be 0 or more.

    The constant terms of the likelihood are added, so that a perfect prediction has loss 0 (half the Poisson deviance).
    """
    if bool((train.targets < 0).any()):
        raise SettingError(
            "The Poisson objective counts things: no target may be negative",
            got=f"{float(train.targets.min()):g}",
            fix="Use --set objective=mse.",
        )

    def row_losses(outputs: Tensor, targets: Tensor) -> Tensor:
        log_rate = outputs.squeeze(1)
        targets = targets.clamp_min(0)  # a held-out row may be negative where no training row was
        return log_rate.exp() - targets * log_rate + torch.xlogy(targets, targets) - targets

    return Objective(
        name="poisson",
        training_loss=row_losses,
        row_losses=row_losses,
        predict=_rate,
        no_skill=lambda targets: targets.mean().clamp_min(1e-6).log().reshape(1),
        unite=_unite_logs,
    )


OBJECTIVES: dict[str, Builder] = {
    "cross_entropy": cross_entropy,
    "mse": _regression("mse", lambda outputs, targets: (outputs - targets).square(), _mean),
    "huber": _regression("huber", lambda outputs, targets: F.huber_loss(outputs, targets, reduction="none"), _median),
    "mae": _regression("mae", lambda outputs, targets: (outputs - targets).abs(), _median),
    "poisson": poisson,
}
CLASS_OBJECTIVES = frozenset({"cross_entropy"})


def custom(function: RowLosses, like: Objective) -> Objective:
    """A user's own loss, (outputs, targets) -> (rows,) or one number, in the place of a built-in one.

    What an output means (probabilities, a number) stays that of the objective it replaces.
    """

    def row_losses(outputs: Tensor, targets: Tensor) -> Tensor:
        losses = function(outputs, targets)
        return losses.expand(len(targets)) if losses.ndim == 0 else losses.reshape(len(targets), -1).mean(dim=1)

    return Objective(f"custom:{like.name}", row_losses, row_losses, like.predict, like.no_skill, like.unite)


def make_objective(kind: TaskKind, train: Part, num_outputs: int, settings: Settings) -> Objective:
    """The objective of a task: the one that was set, or the task's own; `train` is what it is to fit."""
    name = settings.objective or default_objective(kind, settings.metric)
    if name not in OBJECTIVES:
        raise SettingError(f"There is no objective `{name}`", fix=did_you_mean(name, OBJECTIVES))
    if (name in CLASS_OBJECTIVES) != (kind != "regression"):
        fitting = sorted(CLASS_OBJECTIVES if kind != "regression" else set(OBJECTIVES) - CLASS_OBJECTIVES)
        raise SettingError(
            f"The objective `{name}` does not fit a {kind} task", fix=f"Use one of: {', '.join(fitting)}."
        )
    return OBJECTIVES[name](train, num_outputs, settings)


def answer_function(kind: TaskKind, settings: Settings) -> Callable[[Tensor], Tensor]:
    """What a trained network's outputs mean: (rows, ..., num_outputs) -> probabilities, or the standardised number."""
    unite, predict = _unite_logits, _probabilities
    if kind == "regression":
        unite, predict = (_unite_logs, _rate) if settings.objective == "poisson" else (_unite_numbers, _number)
    return lambda outputs: predict(unite(outputs))


def _unite_logits(outputs: Tensor) -> Tensor:
    """Logs of the mean probabilities."""
    if outputs.ndim == 2:
        return outputs
    return outputs.log_softmax(dim=2).logsumexp(dim=1) - math.log(outputs.shape[1])


def _unite_numbers(outputs: Tensor) -> Tensor:
    return outputs if outputs.ndim == 2 else outputs.mean(dim=1)


def _unite_logs(outputs: Tensor) -> Tensor:
    """Logs of the mean rates."""
    return outputs if outputs.ndim == 2 else outputs.logsumexp(dim=1) - math.log(outputs.shape[1])


def _probabilities(outputs: Tensor) -> Tensor:
    return outputs.double().softmax(dim=1)


def _number(outputs: Tensor) -> Tensor:
    return outputs.double().squeeze(1)


def _rate(outputs: Tensor) -> Tensor:
    return outputs.double().squeeze(1).exp()


def default_objective(kind: TaskKind, metric: str | None) -> str:
    """Cross-entropy for classes, squared error for numbers; Huber's loss where the mean absolute error is what counts.

    The absolute error itself is least at the median, which that metric asks for, but its gradient does not fade as
    errors get small: networks that were trained on it had larger mean errors on new rows. Huber's (1964) is absolute
    for large errors and squared for small ones: see benchmarks/LOG.md.
    """
    if kind != "regression":
        return "cross_entropy"
    return "huber" if metric == "mae" else "mse"
