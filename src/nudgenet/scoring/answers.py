"""From a network's probabilities to what is told: a temperature scales them, a threshold decides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

HALF = 0.5  # the threshold at which the more probable of two classes is answered
_TINY = np.finfo(np.float64).tiny  # a probability of 0 has no logarithm


@dataclass(frozen=True)
class AnswerRule:
    """What was chosen on the validation rows about the answers of a trained network; it has no weights of its own.

    temperature: 1 leaves probabilities as they are, more makes them less sure, less makes them surer.
    threshold: the probability of the second of two classes above which it is answered.
    """

    temperature: float = 1.0
    threshold: float = HALF

    def scale(self, probabilities: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Probabilities (rows, classes) at this temperature; as they came if it is 1."""
        return scale(probabilities, self.temperature)

    def decide(self, probabilities: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Scaled probabilities (rows, classes) -> the class that is answered, int64 (rows,)."""
        return decide(probabilities, self.threshold)


def scale(probabilities: npt.NDArray[Any], temperature: float) -> npt.NDArray[Any]:
    """Probabilities (rows, classes) whose logits were divided by the temperature.

    A network's logits are the logarithms of its probabilities but for a constant per row, which the softmax takes
    off again: so this is `softmax(logits / temperature)`, of an ensemble as of a single network, without the logits.
    """
    if temperature == 1.0:
        return probabilities
    logits = np.log(np.maximum(probabilities, _TINY)) / temperature
    logits -= logits.max(axis=1, keepdims=True)
    odds = np.exp(logits)
    scaled: npt.NDArray[Any] = odds / odds.sum(axis=1, keepdims=True)
    return scaled


def decide(probabilities: npt.NDArray[Any], threshold: float = HALF) -> npt.NDArray[np.int64]:
    """The class that is answered, int64 (rows,): the most probable one.

    Of two classes it is the second (1) where its probability is above the threshold, else the first (0).
    """
    if threshold == HALF or probabilities.shape[1] != 2:
        decided: npt.NDArray[np.int64] = probabilities.argmax(axis=1)
        return decided
    return (probabilities[:, 1] > threshold).astype(np.int64)
