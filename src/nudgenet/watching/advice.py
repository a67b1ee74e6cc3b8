"""What to try after a verdict: each piece of advice is one setting and one concrete value for it.

ADVICE says which pieces belong to which cause, most promising first. A piece that would change nothing (dropout
is already high, the network is already small) keeps silent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nudgenet.records import Advice
from nudgenet.settings import Settings

Cause = Literal["fine", "memorising", "budget", "capacity", "stuck", "unsettled", "exploded", "noisy", "no_epoch"]

MAX_PIECES = 5


@dataclass(frozen=True)
class Situation:
    """The values that the run had: `chosen` where nudgenet chose them, else the settings."""

    settings: Settings
    chosen: Mapping[str, Any]
    num_epochs: int  # that were run
    stopped_early: bool  # more epochs would not be used
    out_of_time: bool  # the time limit ended the training

    def value(self, name: str, default: float | None = None) -> float | None:
        """A setting as a number; the default if it is not known."""
        value = self.chosen.get(name)
        value = getattr(self.settings, name) if value is None else value
        return value if isinstance(value, int | float) else default


Piece = Callable[[Situation], Advice | None]


def advise(cause: Cause, situation: Situation) -> tuple[Advice, ...]:
    """The pieces of advice for a cause that would change something, at most five."""
    pieces = [piece(situation) for piece in ADVICE[cause]]
    return tuple(piece for piece in pieces if piece is not None)[:MAX_PIECES]


def _advice(setting: str, now: float | None, value: float, effect: str) -> Advice:
    before = "" if now is None else f" (now {now:.6g})"
    return Advice(f"Try {setting}={value:.6g}{before}: {effect}.", setting, value)


def _more_rows(situation: Situation) -> Advice:
    """The one piece without a setting: rows cannot be set."""
    return Advice("Train on more rows, if there are any to be had: it is the surest remedy.", "", None)


def _more_dropout(situation: Situation) -> Advice | None:
    now = situation.value("dropout", 0.0) or 0.0
    if now >= 0.5 or situation.value("layers") == 0:
        return None
    value = 0.3 if now < 0.2 else min(0.5, round(now + 0.2, 2))
    share = f"{100 * value:.0f}%"
    return _advice("dropout", now, value, f"{share} of the neurons pause in each step, so none can rely on a few rows")


def _less_dropout(situation: Situation) -> Advice | None:
    now = situation.value("dropout", 0.0) or 0.0
    if now < 0.1 or situation.value("layers") == 0:
        return None
    return _advice("dropout", now, _round(now / 2) if now >= 0.2 else 0.0, "more neurons take part in each step")


def _more_weight_decay(situation: Situation) -> Advice | None:
    now = situation.value("weight_decay", 0.0) or 0.0
    if now >= 1:
        return None
    value = 0.01 if now < 0.001 else min(1.0, _round(10 * now))
    return _advice("weight_decay", now, value, "a stronger pull of the weights towards zero keeps the answers smooth")


def _less_weight_decay(situation: Situation) -> Advice | None:
    now = situation.value("weight_decay", 0.0) or 0.0
    if now < 0.05:
        return None
    return _advice("weight_decay", now, _round(now / 10), "a weaker pull to zero lets the weights grow")


def _narrower(situation: Situation) -> Advice | None:
    now = situation.value("width")
    if now is None or now < 8 or situation.value("layers") == 0:
        return None
    return _advice("width", now, int(now) // 2, "fewer neurons have less room to memorise rows")


def _wider(situation: Situation) -> Advice | None:
    now = situation.value("width")
    if now is None or now > 8192 or situation.value("layers") == 0:
        return None
    return _advice("width", now, int(now) * 2, "more neurons can follow finer patterns")


def _shallower(situation: Situation) -> Advice | None:
    now = situation.value("layers")
    if now is None or now < 2:
        return None
    return _advice("layers", now, int(now) - 1, "a shallower network has less room to memorise rows")


def _deeper(situation: Situation) -> Advice | None:
    now = situation.value("layers")
    if now is None or now >= 6:
        return None
    effect = "a hidden layer bends what was a straight line" if now == 0 else "another layer can follow finer patterns"
    return _advice("layers", now, int(now) + 1, effect)


def _longer(situation: Situation) -> Advice | None:
    if situation.stopped_early:
        return None
    if situation.out_of_time:
        limit = situation.value("time_limit")
        return None if limit is None else _advice("time_limit", limit, _round(2 * limit), "twice the time to learn")
    now = situation.value("epochs", situation.num_epochs) or 1
    return _advice("epochs", now, 2 * max(int(now), 1), "twice as many passes over the training rows")


def _faster(situation: Situation) -> Advice | None:
    now = situation.value("learning_rate")
    if now is None or now >= 1:
        return None
    value = max(_round(3 * now), 0.001)  # from far below it, straight to the textbook value
    return _advice("learning_rate", now, value, "larger nudges get further in the same number of steps")


def _slower(situation: Situation) -> Advice | None:
    now = situation.value("learning_rate")
    if now is None or now < 1e-7:
        return None
    return _advice("learning_rate", now, _round(now / 3), "smaller nudges do not jump over the low point")


def _clip(situation: Situation) -> Advice | None:
    now = situation.settings.clip
    if now is not None and now <= 1:
        return None
    return _advice("clip", now, 1.0, "a gradient longer than this is shortened, so no single step runs away")


def _longer_warmup(situation: Situation) -> Advice | None:
    now = situation.settings.warmup
    if now >= 0.1:
        return None
    return _advice("warmup", now, 0.1, "the learning rate rises more gently at the start")


def _larger_validation(situation: Situation) -> Advice | None:
    now = situation.settings.validation_share
    if now >= 0.3:
        return None
    return _advice(
        "validation_share", now, min(0.3, _round(2 * now)), "more validation rows make the curves less noisy"
    )


def _round(value: float) -> float:
    return float(f"{value:.2g}")


ADVICE: dict[Cause, tuple[Piece, ...]] = {
    "fine": (),
    "memorising": (_more_dropout, _more_weight_decay, _narrower, _shallower, _more_rows),
    "budget": (_longer, _faster),
    "capacity": (_wider, _deeper, _longer, _less_dropout, _less_weight_decay, _faster),
    "stuck": (_faster, _longer, _less_dropout, _less_weight_decay),
    "unsettled": (_slower, _more_rows),
    "exploded": (_slower, _clip, _longer_warmup),
    "noisy": (_larger_validation, _more_rows),
    "no_epoch": (_longer,),
}
