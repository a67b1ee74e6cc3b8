"""The plan of a training: every number that the loop follows, decided before its first step."""

from __future__ import annotations

from dataclasses import dataclass

from nudgenet.data.batches import num_steps
from nudgenet.errors import SettingError, did_you_mean
from nudgenet.records import Decision, Shape
from nudgenet.settings import Settings
from nudgenet.training.schedules import PLATEAU_CUT, SCHEDULES

LEARNING_RATES = {"sgd": 1e-1, "adam": 1e-3, "adamw": 1e-3}  # the textbook's starting points
WEIGHT_DECAYS = {"sgd": 1e-4, "adam": 0.0, "adamw": 1e-2}


@dataclass(frozen=True)
class Plan:
    """What the loop follows; nothing in it depends on a clock."""

    seed: int
    epochs: int
    batch_size: int
    steps_per_epoch: int
    optimizer: str
    learning_rate: float
    momentum: float
    weight_decay: float
    schedule: str
    warmup: float
    clip: float | None
    patience: int
    ema: float

    def learning_rate_at(self, step: int, cuts: int = 0) -> float:
        """The learning rate of the update number `step` (0 is the first) after `cuts` plateaus."""
        progress = step / (self.epochs * self.steps_per_epoch)
        rate = self.learning_rate * SCHEDULES[self.schedule](progress, self.warmup)
        return rate * PLATEAU_CUT**cuts if self.schedule == "plateau" else rate


def make_plan(settings: Settings, shape: Shape) -> tuple[Plan, list[Decision]]:
    """Epochs, batch size, learning rate ... for this many training rows; a setting always wins.

    A training is planned by its number of updates rather than of epochs: few rows need many passes,
    many rows need few.
    """
    if settings.schedule not in SCHEDULES:
        raise SettingError(
            f"There is no schedule `{settings.schedule}`", fix=did_you_mean(settings.schedule, SCHEDULES)
        )
    rows = shape.num_rows
    batch_size = settings.batch_size or min(256, max(16, 2 ** round((rows / 16) ** 0.5 / 4 + 4)))
    batch_size = min(batch_size, rows)
    steps = num_steps(rows, batch_size)
    epochs = settings.epochs or min(200, max(20, round(6_000 / steps)))
    patience = settings.patience or max(10, epochs // 4)
    learning_rate = settings.learning_rate or LEARNING_RATES.get(settings.optimizer, 1e-3)
    given = settings.weight_decay
    weight_decay = WEIGHT_DECAYS.get(settings.optimizer, 0.0) if given is None else given
    plan = Plan(
        seed=settings.seed,
        epochs=epochs,
        batch_size=batch_size,
        steps_per_epoch=steps,
        optimizer=settings.optimizer,
        learning_rate=learning_rate,
        momentum=settings.momentum,
        weight_decay=weight_decay,
        schedule=settings.schedule,
        warmup=settings.warmup,
        clip=settings.clip,
        patience=patience,
        ema=settings.ema,
    )
    per_epoch = f"{steps:,} updates in each pass over {rows:,} training rows"
    return plan, [
        Decision("batch size", f"{batch_size} rows", per_epoch, "--set batch_size="),
        Decision("epochs", f"at most {epochs}", f"about {epochs * steps:,} updates in all", "--set epochs="),
        Decision(
            "learning rate",
            f"{learning_rate:g} with {settings.optimizer}, {settings.schedule} schedule",
            "as set" if settings.learning_rate else f"the textbook's value for {settings.optimizer}",
            "--set learning_rate=, --set optimizer=, --set schedule=",
        ),
        Decision(
            "early stopping",
            f"after {patience} epochs without a better validation loss",
            "training longer than that only learns the training rows by heart; the best weights are kept",
            "--set patience=",
        ),
    ]
