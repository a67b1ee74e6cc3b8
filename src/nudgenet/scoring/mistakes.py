"""The rows that a network got most wrong, for a person to look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nudgenet.records import Task
from nudgenet.scoring.answers import AnswerRule
from nudgenet.scoring.metrics import row_losses


@dataclass(frozen=True)
class Mistake:
    """A row, the class that it was taken for (None for a number), and what happened in words."""

    row: int
    taken: int | None
    said: str


def worst_mistakes(task: Task, targets: np.ndarray, answers: np.ndarray, rule: AnswerRule, most: int) -> list[Mistake]:
    """The rows with the largest losses; of classes, those alone that are wrong by the rule that answers follow.

    Args:
        targets, answers: as `row_losses` takes them.
    """
    losses = row_losses(task.kind, targets, answers)
    if not task.classes:
        worst = np.argsort(-losses, kind="stable")[:most].tolist()
        return [Mistake(row, None, f"{targets[row]:.4g}, predicted {answers[row]:.4g}") for row in worst]
    decided = rule.decide(answers)
    wrong = np.flatnonzero(decided != targets)
    worst = wrong[np.argsort(-losses[wrong], kind="stable")][:most].tolist()
    found = []
    for row in worst:
        taken = int(decided[row])
        said = f"{task.classes[int(targets[row])]}, taken for {task.classes[taken]} ({answers[row][taken]:.0%} sure)"
        found.append(Mistake(row, taken, said))
    return found
