"""What a trained model answers: the temperature and the threshold, chosen on its validation rows, and how well they did.

The network and the simple models beside it are treated alike, or the comparison would not be fair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nudgenet.errors import SettingError
from nudgenet.records import Decision, Label, TaskKind
from nudgenet.scoring.answers import HALF, AnswerRule
from nudgenet.scoring.calibration import expected_calibration_error, fit_temperature
from nudgenet.scoring.metrics import Array, score
from nudgenet.scoring.threshold import choose_threshold
from nudgenet.settings import Settings


def check_threshold(kind: TaskKind, settings: Settings) -> None:
    """Raises SettingError if a threshold was set that nothing can be done with: before any work is done."""
    if settings.threshold is not None and kind != "binary":
        raise SettingError(
            f"The setting `threshold` is for yes/no answers, and this is a {kind} task",
            got=f"{settings.threshold:g}",
            fix="Leave it out.",
        )


def choose_rule(
    kind: TaskKind, metric: str, targets: Array, probabilities: Array, settings: Settings, weights: Array | None = None
) -> AnswerRule:
    """Temperature first, then the threshold on the scaled probabilities; a setting always wins.

    Args:
        metric: the one that counts.
        targets, probabilities, weights: of the validation rows, as `score` takes them.
    """
    if kind == "regression":
        return AnswerRule()
    temperature = fit_temperature(targets, probabilities, weights) if settings.calibrate else 1.0
    threshold = settings.threshold
    if threshold is None:
        scaled = AnswerRule(temperature).scale(probabilities)
        threshold = choose_threshold(kind, metric, targets, scaled, seed=settings.seed, weights=weights)
    return AnswerRule(temperature, threshold)


def explain_rule(
    rule: AnswerRule,
    kind: TaskKind,
    metric: str,
    targets: Array,
    probabilities: Array,
    settings: Settings,
    classes: Sequence[Label],
) -> list[Decision]:
    """The rule in words, with what it did for the validation rows; nothing where nothing could be chosen."""
    if kind == "regression" or len(targets) == 0:
        return []
    scaled = rule.scale(probabilities)
    plain, found = score(kind, targets, probabilities), score(kind, targets, scaled)
    if rule.temperature != 1.0:
        sure = "too sure" if rule.temperature > 1 else "not sure enough"
        change = f"validation log loss {plain.get('log_loss', 0):.4g} before, {found.get('log_loss', 0):.4g} after"
        chosen, why, override = f"temperature {rule.temperature:.3g}", f"it was {sure}: {change}", "calibrate=false"
    elif settings.calibrate:
        chosen, why, override = "as they are", "no temperature was clearly better on the validation rows", ""
    else:
        chosen, why, override = "as they are", "as set", "calibrate=true"
    decisions = [Decision("probabilities", chosen, why, f"--set {override}" if override else "")]
    if kind != "binary" or (metric != "f1" and settings.threshold is None):
        return decisions
    if settings.threshold is not None:
        why = "as set"
    elif rule.threshold != HALF:
        better = score(kind, targets, scaled, threshold=rule.threshold)
        why = f"validation F1 {better.get('f1', 0):.3g}, and {found.get('f1', 0):.3g} at 0.5: beyond noise"
    else:
        why = "no other one has a better F1 on the validation rows beyond noise"
    chosen = f"`{classes[1]}` where its probability is above {rule.threshold:.3g}"
    override = f"--set threshold={HALF:g}" if rule.threshold != HALF else "--set threshold=0.3"
    return [*decisions, Decision("threshold", chosen, why, override)]


def calibration_of(
    rule: AnswerRule, targets: Mapping[str, Array], probabilities: Mapping[str, Array]
) -> dict[str, Any]:
    """For the JSON line: the temperature, and each part's expected calibration error before and after it."""
    errors = {
        part: {
            "before": expected_calibration_error(targets[part], probabilities[part]),
            "after": expected_calibration_error(targets[part], rule.scale(probabilities[part])),
        }
        for part in targets
    }
    return {"temperature": rule.temperature, "ece": errors}
