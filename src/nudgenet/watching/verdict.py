"""The verdict: how the training went, said in plain English, with the figures that the rule looked at.

A pure function of the epochs and a few numbers. The rules stand in RULES in the order in which they are asked;
the first that applies is the verdict. They look at the *best* epoch, because its weights are the ones that are
kept: a run that overfitted after it, and was put back, is a good fit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from nudgenet.errors import counted
from nudgenet.records import Epoch, TaskKind, Verdict
from nudgenet.settings import Settings
from nudgenet.watching.advice import Cause, Situation, advise
from nudgenet.watching.curves import best_epoch, overfit_since
from nudgenet.watching.facts import CLEARLY_WORSE, FEW_ROWS, FLAT, STILL_FALLING, Facts

State = Literal["good_fit", "overfitting", "underfitting", "not_learning", "diverged", "too_noisy"]

NOT_FINITE = re.compile(r"non-?finite|not (a )?finite|\bnan\b|\binf(inity)?\b|diverge", re.IGNORECASE)
OUT_OF_TIME = re.compile(r"time[ _-]?limit|out of time", re.IGNORECASE)
MODEL_NAMES = {
    "linear": "a linear model (a weighted sum of the columns)",
    "terms": "TF-IDF with a linear model (a weighted sum of the terms)",
    "boosting": "gradient boosting (many small decision trees)",
}


@dataclass(frozen=True)
class Finding:
    """What a rule says when it applies."""

    state: State
    cause: Cause  # decides the advice
    reason: str


def verdict(
    epochs: Sequence[Epoch],
    *,
    baseline_loss: float,
    kind: TaskKind,
    num_train: int,
    num_parameters: int,
    stopped_early: bool,
    settings: Settings,
    chosen: Mapping[str, Any] | None = None,
    reference_skill: Mapping[str, float] | None = None,
    reference_notes: Mapping[str, str] | None = None,
    stop_reason: str = "",
    num_validation: int | None = None,
    constant_loss: float | None = None,
    constant_accuracy: float | None = None,
    chance_auc_error: float | None = None,
    num_unseen: int = 0,
) -> Verdict:
    """How the training went.

    Args:
        epochs: as recorded, in order; may be empty.
        baseline_loss: validation loss of always answering the class frequencies or the mean of the training
            rows, in the unit of the epochs' losses. Not finite (a loss for which it is unknown): the loss after
            the first epoch stands in for it.
        kind: the task, for the words.
        num_train: training rows.
        num_parameters: numbers that training can change.
        stopped_early: early stopping ended the training before its planned end.
        settings: the run's settings; `chosen` has the values of those that were chosen automatically.
        reference_skill: name -> validation loss of simple models, in the same unit and on the same rows.
        reference_notes: name -> what makes such a model no equal of the network; "" or absent where nothing does.
        stop_reason: why the training ended, if not for its epochs or early stopping.
        num_validation: validation rows, if known.
        constant_loss: of classes, the lowest validation loss that one answer for all rows could reach, had it known them.
        constant_accuracy: of classes, the highest validation accuracy of such an answer.
        chance_auc_error: of classes, the standard error of the AUC of mere guesses about the validation rows.
        num_unseen: validation rows of classes that no training row has.
    """
    epochs = [_with_finite_errors(epoch) for epoch in epochs]
    best = best_epoch(epochs)
    facts = None
    if best is not None:
        known = math.isfinite(baseline_loss)
        always = "the mean" if kind == "regression" else "the class frequencies"
        facts = Facts(
            epochs=epochs,
            best=best,
            baseline_loss=baseline_loss if known else _first_finite(epochs),
            no_skill=f"for always answering {always}" if known else "after the first epoch",
            num_train=num_train,
            num_parameters=num_parameters,
            num_validation=num_validation,
            stopped_early=stopped_early,
            overfit_since=overfit_since(epochs),
            reference=_best_reference(reference_skill or {}, reference_notes or {}),
            constant_loss=constant_loss,
            constant_accuracy=constant_accuracy,
            chance_auc_error=chance_auc_error,
        )
    finding = _not_finite(epochs, best, stop_reason)
    if finding is None:
        finding = _nothing_yet() if facts is None else next(found for rule in RULES if (found := rule(facts)))
    out_of_time = bool(OUT_OF_TIME.search(stop_reason))
    situation = Situation(
        settings, chosen or {}, num_epochs=len(epochs), stopped_early=stopped_early, out_of_time=out_of_time
    )
    return Verdict(
        state=finding.state,
        best_epoch=0 if best is None else best.epoch,
        reason=finding.reason + _about_unseen(num_unseen),
        advice=advise(finding.cause, situation),
        evidence={} if facts is None else facts.evidence(),
    )


# The rules, in the order in which they are asked.


def _not_finite(epochs: Sequence[Epoch], best: Epoch | None, stop_reason: str) -> Finding | None:
    broken = [e.epoch for e in epochs if not (math.isfinite(e.train_loss) and math.isfinite(e.validation_loss))]
    if not broken and not NOT_FINITE.search(stop_reason):
        return None
    if broken:
        when = f"at epoch {broken[0]}"
    else:
        when = f"after epoch {epochs[-1].epoch}" if epochs else "in the first epoch"
    kept = "No epoch gave usable weights."
    if best is not None:
        kept = f"The weights of epoch {best.epoch} were kept (validation loss {best.validation_loss:.3g})."
    reason = f"Diverged: the loss or its gradient (the direction of the next nudge) stopped being a finite number {when}. {kept}"
    return Finding("diverged", "exploded", reason)


def _nothing_yet() -> Finding:
    return Finding("not_learning", "no_epoch", "Nothing was learned yet: training ended before its first epoch did.")


def _exploded(facts: Facts) -> Finding | None:
    if not facts.exploded:
        return None
    reached, baseline, best = _figures(facts.last.train_loss, facts.baseline_loss, facts.best.validation_loss)
    return Finding(
        "diverged",
        "exploded",
        f"Diverged: training loss ended at {reached}, far above the {baseline} {facts.no_skill}: the nudges made "
        f"the network worse. The weights of epoch {facts.best.epoch} were kept (validation loss {best}).",
    )


def _few_rows(facts: Facts) -> Finding | None:
    if facts.num_validation is None or facts.num_validation >= FEW_ROWS:
        return None
    rows = counted(facts.num_validation, "row")
    return Finding(
        "too_noisy",
        "noisy",
        f"Too noisy to tell: the validation part has only {rows}, so its loss "
        f"({facts.best.validation_loss:.3g} at best) is largely chance.",
    )


def _one_class_only(facts: Facts) -> Finding | None:
    if facts.constant_accuracy != 1.0:
        return None
    rows = "" if facts.num_validation is None else f"{facts.num_validation:,} "
    return Finding(
        "too_noisy",
        "noisy",
        f"Too noisy to tell: all {rows}validation rows are of one class, so whether the classes can be told apart does not "
        f"show (loss {facts.best.validation_loss:.3g} at best).",
    )


def _nothing_carries_over(facts: Facts) -> Finding | None:
    """Validation loss is not clearly below the no-skill loss: why not?"""
    if facts.carries_over:
        return None
    best, baseline, noise = _figures(facts.best.validation_loss, facts.baseline_loss, facts.noise)
    at_best = f"validation loss was {best} at best, against {baseline} {facts.no_skill}"
    if facts.below_no_skill:  # so it is not the one answer that these rows must be held against
        at_best = f"validation loss was {best} at best, where one answer for all of its rows could reach {facts.constant_loss:.3g}"
    if facts.still_falling(at_least=FLAT * facts.unit):
        reason = f"Underfitting: training ended too soon. Both losses were still clearly falling at epoch {facts.last.epoch}, the last; {at_best}."
        return Finding("underfitting", "budget", reason)
    if facts.below_no_skill:
        return _only_the_shares(facts)
    lowest = min(epoch.train_loss for epoch in facts.epochs)
    trained = f"training loss went from {facts.epochs[0].train_loss:.3g} (epoch 1) to {lowest:.3g} at best"
    if facts.has_hardly_begun:
        reason = (
            f"Underfitting: training ended after {counted(len(facts.epochs), 'epoch')}, too soon to tell whether anything "
            f"can be learned; {at_best}."
        )
        return Finding("underfitting", "budget", reason)
    if facts.never_learned:
        reason = f"Not learning, not even its training rows: {trained}; {at_best}.{_what_others_found(facts)}"
        return Finding("not_learning", "stuck" if facts.is_flat else "unsettled", reason)
    if facts.gap_is_clear:
        return _overfitting(facts)
    if facts.validation_is_noisy:
        reason = f"Too noisy to tell: {at_best}, and chance alone moves it by about {noise} either way. The validation part is too small to show whether something was learned."
        return Finding("too_noisy", "noisy", reason)
    reason = (
        f"Not learning anything that carries over to new rows: {trained}, but {at_best}.{_what_others_found(facts)}"
    )
    return Finding("not_learning", "unsettled", reason)


def _only_the_shares(facts: Facts) -> Finding:
    """The no-skill loss is high for a class that training (nearly) lacks: to be below it says nothing."""
    best, baseline, constant = _figures(facts.best.validation_loss, facts.baseline_loss, facts.constant_loss or 0.0)
    right = ""
    if facts.accuracy is not None and facts.constant_accuracy is not None:
        ours, theirs = (f"{100 * share:.3g}%" for share in (facts.accuracy, facts.constant_accuracy))
        right = f"; {ours} of its rows are right, and {theirs} would be with their commonest class for all"
    return Finding(
        "not_learning",
        "unsettled",
        f"Not learning anything that carries over to new rows: validation loss was {best} at best, where one answer for all "
        f"of its rows could reach {constant}{right}. The {baseline} {facts.no_skill} is no yardstick here, because the "
        "classes have other shares in validation than in training.",
    )


def _overfitting(facts: Facts) -> Finding | None:
    if not (facts.gap_is_clear and facts.gap_is_large):
        return None
    best = facts.best
    validation, train, gap, noise = _figures(best.validation_loss, best.train_loss, facts.gap, facts.gap_noise)
    baseline = f"the {facts.baseline_loss:.3g} {facts.no_skill}"
    size = f"validation loss is not even clearly below {baseline}"
    if facts.below_no_skill:
        size = f"it is large against the {facts.learned:.3g} that was gained on {baseline}"
    return Finding(
        "overfitting",
        "memorising",
        f"Overfitting: at epoch {best.epoch}, the best of {len(facts.epochs)}, the loss was {validation} on the validation "
        f"rows (which training never saw) but {train} on the training rows. That gap of {gap} is more than chance (about "
        f"{noise} either way), and {size}: much of what the network knows holds only for the rows that it trained on. "
        f"It has {facts.num_parameters:,} knobs for {facts.num_train:,} rows.{_who_does_better(facts)}",
    )


def _out_of_epochs(facts: Facts) -> Finding | None:
    if facts.at_ceiling or not facts.still_falling(at_least=STILL_FALLING * facts.learned):
        return None
    validation, train = _figures(facts.last.validation_loss, facts.last.train_loss)
    return Finding(
        "underfitting",
        "budget",
        f"Underfitting: training ended too soon. At epoch {facts.last.epoch}, the last, both losses were still clearly "
        f"falling (validation {validation}, training {train}; {facts.baseline_loss:.3g} {facts.no_skill}).{_who_does_better(facts)}",
    )


def _too_simple(facts: Facts) -> Finding | None:
    if facts.at_ceiling or not facts.reference_is_better or facts.reference is None:
        return None
    name, reference_loss = facts.reference
    if facts.best.train_loss - reference_loss <= CLEARLY_WORSE * facts.noise:
        return None  # it can follow the training rows well enough; what it lacks is not capacity
    validation, train, reference = _figures(facts.best.validation_loss, facts.best.train_loss, reference_loss)
    return Finding(
        "underfitting",
        "capacity",
        f"Underfitting: the network misses something that the columns do tell. Its loss is {validation} on validation and "
        f"{train} on training rows, while {name} reaches {reference} on the same validation rows.",
    )


def _good_fit(facts: Facts) -> Finding:
    validation, train, baseline = _figures(facts.best.validation_loss, facts.best.train_loss, facts.baseline_loss)
    is_last = facts.best.epoch == facts.last.epoch
    where = f"epoch {facts.best.epoch}, the last" if is_last else f"epoch {facts.best.epoch} of {facts.last.epoch}"
    how = ""
    if not is_last:  # without early stopping nothing was stopped: the weights of a later epoch were given up
        how = ", stopped in time" if facts.stopped_early else ", put back to its best epoch"
    reason = (
        f"Good fit{how}: validation loss (the error on rows that training never saw) "
        f"was lowest at {where}: {validation}, against {train} on the training rows and {baseline} {facts.no_skill}. {_kept(facts)}"
    )
    if facts.gap_is_large:
        reason += f" The gap of {facts.gap:.3g} between the two may be chance (about {facts.gap_noise:.3g} either way)."
    if facts.at_ceiling and facts.still_falling(at_least=STILL_FALLING * facts.learned):
        right = "all" if facts.accuracy == 1 else f"{100 * (facts.accuracy or 0.0):.3g}%"
        reason = f"{reason.rstrip()} Both losses were still falling, but {right} of the validation rows are right: little is left to gain."
    return Finding("good_fit", "fine", (reason.rstrip() + _who_does_better(facts)).strip())


RULES: tuple[Callable[[Facts], Finding | None], ...] = (
    _exploded,
    _few_rows,
    _one_class_only,
    _nothing_carries_over,
    _overfitting,
    _out_of_epochs,
    _too_simple,
    _good_fit,
)


# The words.


def _what_others_found(facts: Facts) -> str:
    """Whether the simple models found something in the same columns; nothing if there were none."""
    if facts.reference is None:
        return ""
    name, loss = facts.reference
    if facts.reference_is_better:
        return f" There is something to learn: {name} reaches {loss:.3g}."
    return f" The simple models do no better ({loss:.3g}): the columns may tell little about the target."


def _who_does_better(facts: Facts) -> str:
    """The simple model that clearly does, if there is one; of texts also one that does no worse, for it is far cheaper."""
    if facts.reference is None:
        return ""
    name, loss = facts.reference
    if facts.reference_is_better:
        return f" Still, {name} does better on the same rows: {loss:.3g}."
    if name.startswith(MODEL_NAMES["terms"].removesuffix(")")) and loss <= facts.best.validation_loss:
        return f" But {name} has no higher loss on the same rows ({loss:.3g}), and is far cheaper."
    return ""


def _kept(facts: Facts) -> str:
    """What happened after the best epoch."""
    if facts.best.epoch == facts.last.epoch:
        return ""
    kept = f"the weights of epoch {facts.best.epoch} were kept."
    if facts.overfit_since is not None:
        return f"From epoch {facts.overfit_since} on it was clearly higher while training loss had fallen further, so {kept}"
    return f"After that it got no lower, so {kept}"


def _about_unseen(num_unseen: int) -> str:
    """What no network could have learned, and what the losses are therefore higher by."""
    if num_unseen == 0:
        return ""
    rows = counted(num_unseen, "validation row is", "validation rows are")
    return (
        f" {rows} of classes that no training row has (named among the warnings): nothing could be learned about "
        f"them, and {'it raises' if num_unseen == 1 else 'they raise'} the validation loss."
    )


def _best_reference(skill: Mapping[str, float], notes: Mapping[str, str]) -> tuple[str, float] | None:
    finite = {name: loss for name, loss in skill.items() if math.isfinite(loss)}
    if not finite:
        return None
    name = min(finite, key=lambda name: finite[name])
    said = MODEL_NAMES.get(name, name)
    if note := notes.get(name):
        said = f"{said.removesuffix(')')}; {note})" if said.endswith(")") else f"{said} ({note})"
    return said, finite[name]


def _first_finite(epochs: Sequence[Epoch]) -> float:
    return next(epoch.validation_loss for epoch in epochs if math.isfinite(epoch.validation_loss))


def _with_finite_errors(epoch: Epoch) -> Epoch:
    """Standard errors that are not finite (one row has none) count as 0, so that no rule trips over them."""
    train, validation = (
        error if math.isfinite(error) else 0.0 for error in (epoch.train_loss_se, epoch.validation_loss_se)
    )
    return replace(epoch, train_loss_se=train, validation_loss_se=validation)


def _figures(*values: float) -> list[str]:
    """Numbers with three significant digits, or as many more (up to six) as it takes to tell them apart."""
    shown = [f"{value:.3g}" for value in values]
    for digits in range(4, 7):
        if len(set(shown)) == len(set(values)):
            break
        shown = [f"{value:.{digits}g}" for value in values]
    return shown
