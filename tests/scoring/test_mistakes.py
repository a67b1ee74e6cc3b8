"""The rows that were got most wrong, by the rule that answers follow."""

from __future__ import annotations

import numpy as np

from nudgenet.records import Task
from nudgenet.scoring.answers import AnswerRule
from nudgenet.scoring.mistakes import worst_mistakes

ANSWERS = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.3, 0.7], [0.55, 0.45]])
TARGETS = np.array([1, 1, 0, 1, 0])


def test_classes_with_the_largest_loss_first() -> None:
    task = Task("y", "binary", ("no", "yes"))
    found = worst_mistakes(task, TARGETS, ANSWERS, AnswerRule(), 10)
    assert [mistake.row for mistake in found] == [0, 2, 1]
    assert found[0].said == "yes, taken for no (90% sure)" and found[0].taken == 0
    assert [mistake.row for mistake in worst_mistakes(task, TARGETS, ANSWERS, AnswerRule(), 1)] == [0]


def test_a_threshold_decides_what_is_wrong() -> None:
    """Above 0.35 "yes" is answered: row 1 is right then, row 4 wrong, though each is likelier to be the other."""
    task = Task("y", "binary", ("no", "yes"))
    found = worst_mistakes(task, TARGETS, ANSWERS, AnswerRule(threshold=0.35), 10)
    assert [mistake.row for mistake in found] == [0, 2, 4]
    assert found[2].said == "no, taken for yes (45% sure)" and found[2].taken == 1


def test_numbers() -> None:
    found = worst_mistakes(
        Task("y", "regression"), np.array([1.0, 2.0, 3.0]), np.array([1.5, 2.0, 9.0]), AnswerRule(), 2
    )
    assert [(mistake.row, mistake.taken, mistake.said) for mistake in found] == [
        (2, None, "3, predicted 9"),
        (0, None, "1, predicted 1.5"),
    ]
