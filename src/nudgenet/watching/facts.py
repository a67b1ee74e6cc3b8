"""What the verdict's rules look at: the figures of a run, and yes/no answers about them.

Numbers only; the words are in `verdict.py`. Every threshold of the rules stands at the top of this file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nudgenet.records import Epoch
from nudgenet.watching.curves import wiggle

# How sure a rule must be, in standard errors over rows.
CLEAR = 2.0  # a loss against the no-skill loss
CLEAR_GAP = 2.5  # validation against training loss
CLEARLY_WORSE = 1.0  # against another model on the same rows: most of the noise is the same, and cancels
# How large an effect must be to be worth a word.
FEWEST_MISTAKES = 0.01  # of the validation rows, and
SHARE_OF_MISTAKES = 0.02  # of the commonest class's mistakes: with no more than both, nothing is left to be gained
LARGE_GAP = 0.5  # of what was learned (no-skill loss minus validation loss)
WORTH_HAVING = 0.1  # of the no-skill loss
WORTH_A_MENTION = 0.05  # of what another model learned: how far behind it is worth a word
STILL_FALLING = 0.05  # of what was learned, in the last fifth of the epochs
FLAT = 0.02  # of the no-skill loss: a training curve that moved less than this did not move
EXPLODED = 3.0  # times the no-skill loss
FEW_ROWS = 20  # validation rows below which the standard error is itself a guess
FIRST_EPOCHS, FEW_ANSWERS = 2, 10_000  # epochs, and training rows seen in them, in which little can be learned
SMALLEST_UNIT = 0.01  # a no-skill loss nearer to zero than this is no yardstick


@dataclass(frozen=True)
class Facts:
    """What the rules look at. Losses are those of the best epoch unless the name says otherwise."""

    epochs: Sequence[Epoch]  # at least one
    best: Epoch
    baseline_loss: float  # of always giving the same answer, on the validation rows
    no_skill: str  # what that answer is, in words
    num_train: int
    num_parameters: int
    num_validation: int | None
    stopped_early: bool
    overfit_since: int | None
    reference: tuple[str, float] | None  # the best of the simple models, in words, and its validation loss
    constant_loss: float | None = None  # the lowest that any one answer could reach on these validation rows
    constant_accuracy: float | None = None  # and the highest accuracy: their commonest class for all
    chance_auc_error: float | None = None  # standard error of the AUC of mere guesses about them

    @property
    def last(self) -> Epoch:
        """The last epoch that was run."""
        return self.epochs[-1]

    @property
    def unit(self) -> float:
        """The size of the no-skill loss: the yardstick for "much"."""
        return max(abs(self.baseline_loss), SMALLEST_UNIT)

    @property
    def learned(self) -> float:
        """How far validation loss came below the no-skill loss."""
        return self.baseline_loss - self.best.validation_loss

    @property
    def noise(self) -> float:
        """Standard error of the validation loss."""
        return self.best.validation_loss_se

    @property
    def gap(self) -> float:
        """Validation minus training loss."""
        return self.best.validation_loss - self.best.train_loss

    @property
    def gap_noise(self) -> float:
        """Standard error of the gap."""
        return math.hypot(self.best.train_loss_se, self.best.validation_loss_se)

    @property
    def carries_over(self) -> bool:
        """Whether something was learned that holds for the validation rows: their loss is clearly below the no-skill loss.

        Where validation holds classes that training (nearly) lacks, that alone is cheap: the no-skill answer pays dearly
        for a probability near zero. So the loss must also be below what one answer for all rows could reach, or the
        classes must be told apart, whatever their shares are.
        """
        return self.at_ceiling or (self.below_no_skill and not self.below_for_shares)

    @property
    def below_no_skill(self) -> bool:
        """Whether validation loss is clearly below the no-skill loss."""
        return self.learned > max(CLEAR * self.noise, 0.0)

    @property
    def below_for_shares(self) -> bool:
        """Whether only the classes' shares, which differ between the parts, put validation loss below the no-skill loss."""
        if self.constant_loss is None or self.tells_apart:
            return False
        return self.constant_loss - self.best.validation_loss <= max(CLEAR * self.noise, 0.0)

    @property
    def accuracy(self) -> float | None:
        """Of the best epoch, on the validation rows; None for a regression."""
        return self.best.validation_metrics.get("accuracy")

    @property
    def tells_apart(self) -> bool:
        """Whether clearly more rows are right, or the classes ranked better, than one answer for all rows could do."""
        auc = self.best.validation_metrics.get("auc")
        if auc is not None and self.chance_auc_error is not None and auc - 0.5 > CLEAR * self.chance_auc_error:
            return True
        if self.accuracy is None or self.constant_accuracy is None:
            return False
        rows = self.num_validation or 0
        noise = math.sqrt(self.accuracy * (1 - self.accuracy) / rows) if rows else 0.0
        return self.accuracy - self.constant_accuracy > CLEAR * noise

    @property
    def at_ceiling(self) -> bool:
        """Whether (nearly) every validation row is right, also in comparison with one answer for all of them."""
        if self.accuracy is None:
            return False
        mistakes, others = 1 - self.accuracy, 1 - (self.constant_accuracy or 0.0)
        return others > 0 and mistakes <= min(FEWEST_MISTAKES, SHARE_OF_MISTAKES * others) + 1e-9

    @property
    def gap_is_clear(self) -> bool:
        """Whether the gap is more than chance."""
        return self.gap > max(CLEAR_GAP * self.gap_noise, 0.0)

    @property
    def gap_is_large(self) -> bool:
        """Whether the gap is large against what was learned."""
        return self.gap > LARGE_GAP * self.learned

    @property
    def validation_is_noisy(self) -> bool:
        """Whether the noise band alone is wide enough to hide an effect worth having."""
        return CLEAR * self.noise > WORTH_HAVING * self.unit

    @property
    def exploded(self) -> bool:
        """Whether training loss ended far above the no-skill loss, and was not on its way down from further up."""
        train = self.last.train_loss
        far_above = train > EXPLODED * self.unit + CLEAR * self.last.train_loss_se
        lowest = min(epoch.train_loss for epoch in self.epochs)
        return far_above and not (train < self.epochs[0].train_loss and train < EXPLODED * lowest)

    def still_falling(self, *, at_least: float) -> bool:
        """Whether both curves fell by more than `at_least`, and more than they wiggle, in the last fifth of the epochs."""
        epochs, last = self.epochs, self.last
        if self.stopped_early or last.epoch - self.best.epoch > len(epochs) // 10:
            return False
        if len(epochs) == 1:  # before it, the network knew nothing
            falls = [(self.baseline_loss - last.train_loss, 0.0), (self.baseline_loss - last.validation_loss, 0.0)]
        else:
            before = epochs[-1 - math.ceil(len(epochs) / 5)]
            falls = [
                (before.train_loss - last.train_loss, wiggle([e.train_loss for e in epochs])),
                (before.validation_loss - last.validation_loss, wiggle([e.validation_loss for e in epochs])),
            ]
        return all(fall > max(at_least, 2 * jitter) for fall, jitter in falls)

    @property
    def is_flat(self) -> bool:
        """Whether training loss stayed where it was, epoch after epoch."""
        losses = [epoch.train_loss for epoch in self.epochs]
        return len(losses) > 2 and max(losses) - min(losses) <= FLAT * self.unit

    @property
    def has_hardly_begun(self) -> bool:
        """Whether there were so few steps that a flat curve says nothing."""
        return (
            not self.stopped_early
            and len(self.epochs) <= FIRST_EPOCHS
            and len(self.epochs) * self.num_train < FEW_ANSWERS
        )

    @property
    def never_learned(self) -> bool:
        """Whether not even the training rows were learned: a flat curve, or one whose fall is small and may be chance."""
        lowest = min(self.epochs, key=lambda epoch: epoch.train_loss)
        fall = self.baseline_loss - lowest.train_loss
        return self.is_flat or fall <= max(0.0, min(CLEAR * lowest.train_loss_se, WORTH_HAVING * self.unit))

    @property
    def reference_is_better(self) -> bool:
        """Whether the best simple model is clearly, and by enough to matter, better on the same rows."""
        if self.reference is None:
            return False
        behind = self.best.validation_loss - self.reference[1]
        return behind > max(CLEARLY_WORSE * self.noise, WORTH_A_MENTION * (self.baseline_loss - self.reference[1]))

    def evidence(self) -> dict[str, float]:
        """Every figure that the rules looked at; finite floats only, so that it can be stored as JSON."""
        figures = {
            "best_epoch": self.best.epoch,
            "last_epoch": self.last.epoch,
            "train_loss": self.best.train_loss,
            "validation_loss": self.best.validation_loss,
            "last_train_loss": self.last.train_loss,
            "last_validation_loss": self.last.validation_loss,
            "baseline_loss": self.baseline_loss,
            "learned": self.learned,
            "noise": self.noise,
            "gap": self.gap,
            "gap_noise": self.gap_noise,
            "overfit_since": self.overfit_since,
            "reference_loss": None if self.reference is None else self.reference[1],
            "constant_loss": self.constant_loss,
            "constant_accuracy": self.constant_accuracy,
            "validation_accuracy": self.accuracy,
            "num_train": self.num_train,
            "num_validation": self.num_validation,
            "num_parameters": self.num_parameters,
        }
        return {name: float(value) for name, value in figures.items() if value is not None and math.isfinite(value)}
