"""The plan of a training: every number that the loop follows, decided before its first step."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace

from nudgenet.data.batches import num_steps
from nudgenet.errors import SettingError, counted, did_you_mean
from nudgenet.models import OWN
from nudgenet.networks.capacity import ENSEMBLES
from nudgenet.records import Decision, Shape
from nudgenet.settings import Settings, more_or_less
from nudgenet.training.schedules import PLATEAU_CUT, SCHEDULES

LEARNING_RATES = {"sgd": 1e-1, "adam": 1e-3, "adamw": 1e-3}  # the textbook's starting points
# An ensemble whose rate decays to zero bears far larger nudges, and needs fewer: see benchmarks/LOG.md.
ENSEMBLE_LEARNING_RATES = {"sgd": 1e-1, "adam": 2e-2, "adamw": 2e-2}
CONVNET_LEARNING_RATES = {"sgd": 1e-1, "adam": 3e-3, "adamw": 3e-3, "muon": 5e-3}
CONVNET_BATCH = 128  # rows: with more, an epoch is hardly faster, and has fewer steps
LARGEST_BATCH = 1_024
PRETRAINED_BATCH = 32
PRETRAINED_LEARNING_RATES = {"sgd": 1e-1, "adam": 2e-3, "adamw": 2e-3, "muon": 2e-3}  # of the fresh knobs on top
SECOND_RATE = 0.25  # of it, once the trunk learns, too: by then the outputs are nearly right
TRUNK_RATE = 0.05  # of the learning rate of fresh knobs: what a pretrained trunk knows is nearly right
LORA_RATE = 0.25  # of what stands beside the trunk's own knobs: it begins at nothing, and knows nothing
MANY_FOR_OWN = 500  # images from which on such a network learns as a fresh one does (benchmarks/LOG.md)
OWN_TRUNK_RATE = 0.3  # of a small network of ours: it knows less, and what it learns next is much like what it learned
TRUNK_WARMUP = 0.15  # share of the trunk's turn in which its rate rises
EFFORTS = {"quick": 0.4, "default": 1.0, "best": 1.5}  # times the usual number of epochs
PLAIN_UNTIL, ALL_VARIED_FROM = 0.1, 0.4  # of a training: when the first rows are varied, and when all are
ENSEMBLE_MEMORY = 0.98  # of the averaged weights: about 50 steps
WEIGHT_DECAYS = {"sgd": 1e-4, "adam": 0.0, "adamw": 1e-2, "muon": 1e-2}


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
    augment: tuple[str, ...] = ()
    precision: str = "float32"  # of the matrix products, in the steps and for the curves
    frozen_epochs: int = 0  # the first ones, in which a pretrained trunk stays as it is
    trunk_rate: float = 0.0  # times the learning rate: that of a pretrained trunk's last layer
    second_rate: float = 1.0  # times the learning rate, once the trunk learns, too

    @property
    def first_patience(self) -> int:
        """The patience to begin with: while a trunk stays as it is, epochs are cheap, and there is more to come."""
        return max(self.patience, self.frozen_epochs)

    def varied_at(self, step: int) -> float:
        """The share of the images or sounds of update number `step` that are varied: none at first, in the end all.

        Early on nothing is learned by heart that would have to be prevented, and plain rows teach faster.
        """
        progress = step / (self.epochs * self.steps_per_epoch)
        return min(1.0, max(0.0, (progress - PLAIN_UNTIL) / (ALL_VARIED_FROM - PLAIN_UNTIL)))

    def learning_rate_at(self, step: int, cuts: int = 0) -> float:
        """The learning rate of the update number `step` (0 is the first) after `cuts` plateaus."""
        begun, end = min(self.frozen_epochs, self.epochs) * self.steps_per_epoch, self.epochs * self.steps_per_epoch
        progress = (
            step / begun if step < begun else (step - begun) / (end - begun)
        )  # each phase has a course of its own
        is_second = begun > 0 and step >= begun
        warmup = max(self.warmup, TRUNK_WARMUP) if is_second else self.warmup
        rate = (
            self.learning_rate * SCHEDULES[self.schedule](progress, warmup) * (self.second_rate if is_second else 1.0)
        )
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
    if settings.optimizer == "muon" and shape.image is None:
        raise SettingError(
            "Muon moves the weights of convolutions, and this network has none",
            fix="Leave `optimizer` away, or --set optimizer=adamw.",
        )
    rows = shape.num_rows
    is_ensemble = settings.network in ENSEMBLES and settings.layers != 0
    predicts_numbers = shape.num_outputs == 1
    is_pretrained = bool(shape.model)
    is_convnet = shape.image is not None and not is_pretrained
    largest = CONVNET_BATCH if is_convnet else PRETRAINED_BATCH if is_pretrained else rows
    batch_size = min(rows, settings.batch_size or min(choose_batch_size(rows), largest))
    steps = num_steps(rows, batch_size)
    if settings.normalisation == "batch" and rows // steps < 2:
        raise SettingError(
            "Batch normalisation needs at least two rows in every batch",
            got=f"{rows // steps} of {rows}",
            fix="Use --set batch_size=32 or --set normalisation=layer.",
        )
    usual = (
        choose_convnet_epochs(rows) if is_convnet or is_small_trunk(shape) else choose_epochs(rows, steps, is_ensemble)
    )
    epochs = settings.epochs or max(1, round(EFFORTS[settings.effort] * usual))
    patience = settings.patience or max(8, epochs // 4)
    rates = CONVNET_LEARNING_RATES if is_convnet else ENSEMBLE_LEARNING_RATES if is_ensemble else LEARNING_RATES
    if is_pretrained:
        rates = PRETRAINED_LEARNING_RATES
    chosen_rate = rates.get(settings.optimizer, 1e-3) / (2 if is_ensemble and predicts_numbers else 1)
    if settings.start_from is not None and not is_pretrained:  # an earlier network for tables
        chosen_rate *= OWN_TRUNK_RATE
    learning_rate = settings.learning_rate or chosen_rate
    given = settings.weight_decay
    weight_decay = WEIGHT_DECAYS.get(settings.optimizer, 0.0) if given is None else given
    # The best epoch of classes often comes while the nudges are still large: an average stands in for smaller ones.
    is_averaged = settings.network == "ensemble" and is_ensemble and not predicts_numbers
    usual_memory = ENSEMBLE_MEMORY if is_averaged else 0.0
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
        ema=usual_memory if settings.ema is None else settings.ema,
        augment=settings.augment or (),
    )
    if is_pretrained:
        plan = _in_two_phases(plan, settings, shape)
    return plan, _explain(plan, settings, shape, is_averaged=is_averaged and settings.ema is None)


def _explain(plan: Plan, settings: Settings, shape: Shape, *, is_averaged: bool) -> list[Decision]:
    """Why the plan is what it is. is_averaged: the memory of the averaged weights was chosen, not set."""
    epochs, steps, rate = plan.epochs, plan.steps_per_epoch, plan.learning_rate
    batch_size = more_or_less("batch_size", plan.batch_size, most=shape.num_rows)
    per_epoch = f"{counted(steps, 'update')} in each pass over {counted(shape.num_rows, 'training row')}"
    decisions = [
        Decision("batch size", counted(plan.batch_size, "row"), per_epoch, f"--set batch_size={batch_size}"),
        Decision(
            "epochs", _how_many(plan), f"about {counted(epochs * steps, 'update')} in all", f"--set epochs={2 * epochs}"
        ),
        Decision(
            "learning rate",
            f"{rate:g} with {settings.optimizer}, {settings.schedule} schedule",
            _why_rate(settings, shape),
            f"--set learning_rate={rate / 3:.2g}, --set optimizer={'adamw' if settings.optimizer == 'sgd' else 'sgd'}, "
            f"--set schedule={'cosine' if settings.schedule == 'constant' else 'constant'}",
        ),
        _early_stopping(plan),
    ]
    if is_averaged:
        steps_kept = f"weights over the last {counted(round(1 / (1 - plan.ema)), 'step')} or so"
        why = "the average answers better than any single step's weights"
        decisions.append(Decision("averaging", steps_kept, why, "--set ema=0"))
    return decisions


def _early_stopping(plan: Plan) -> Decision:
    if plan.frozen_epochs >= plan.epochs:
        why = "while the pretrained network stays as it is an epoch costs little; the best weights are kept"
        return Decision("early stopping", "none", why, "")
    then = ", once the pretrained network learns, too" if plan.frozen_epochs else ""
    why = "training longer than that only learns the training rows by heart; the best weights are kept"
    chosen = f"after {counted(plan.patience, 'epoch')} without a better validation loss{then}"
    return Decision("early stopping", chosen, why, f"--set patience={2 * plan.patience}")


def _how_many(plan: Plan) -> str:
    frozen, learning = plan.frozen_epochs, plan.epochs - plan.frozen_epochs
    phases = (
        f": {frozen} for the outputs, then {learning} for the pretrained network, too" if frozen and learning else ""
    )
    return f"at most {plan.epochs}{phases}"


def _in_two_phases(plan: Plan, settings: Settings, shape: Shape) -> Plan:
    """First the outputs, cheaply, on what the trunk says of each row once and for all; then a few passes for all of it.

    For a small trunk of ours many passes over rows that are varied each time are no cost.
    """
    is_small = is_small_trunk(shape)
    steps, effort = plan.steps_per_epoch, EFFORTS[settings.effort]
    outputs = max(5, round(effort * min(60, max(10, 3_000 / steps))))
    passes = plan.epochs if is_small else max(2, round(effort * min(10, max(3, 1_500 / steps))))
    if not settings.unfreeze:
        outputs, passes = settings.epochs or settings.frozen_epochs or outputs, 0
    else:
        if settings.frozen_epochs is not None:
            outputs = min(settings.frozen_epochs, settings.epochs or settings.frozen_epochs)
        elif settings.epochs:
            outputs = min(outputs, max(1, settings.epochs // 2))
        passes = settings.epochs - outputs if settings.epochs else passes
    # The trunk's rate rises first: a third of its turn must do, or it brings nothing. A small one's turn costs little.
    usual_patience = max(2 if passes else 3, passes if is_small else math.ceil(passes / 3))
    return replace(
        plan,
        epochs=outputs + passes,
        frozen_epochs=outputs,
        trunk_rate=_trunk_rate(settings, shape),
        second_rate=1.0 if is_small else SECOND_RATE,
        patience=settings.patience or usual_patience,
    )


def _trunk_rate(settings: Settings, shape: Shape) -> float:
    """The learning rate of a pretrained network's last layer, or of what stands beside it, as a share of that of fresh knobs."""
    usual = OWN_TRUNK_RATE if is_small_trunk(shape) else TRUNK_RATE
    if settings.optimizer == "muon" and learns_as_fresh(shape):
        usual = 1.0  # Muon's nudges are as long as its rate says, whatever is left to learn, and fall with it
    return max(usual, LORA_RATE) if settings.lora else usual


def is_small_trunk(shape: Shape) -> bool:
    """Whether the start is a network of convolutions of ours."""
    return shape.image is not None and bool(shape.model) and json.loads(shape.model)["model_type"] == OWN


def learns_as_fresh(shape: Shape) -> bool:
    """Whether the start is one on images, and these are so many that it learns from them as a fresh network would."""
    is_image = shape.image is not None and shape.image.medium == "image"
    return is_image and is_small_trunk(shape) and shape.num_rows >= MANY_FOR_OWN


def choose_batch_size(num_rows: int) -> int:
    """A dozen steps in an epoch of few rows, batches of 256 for thousands, up to 1,024 for very many.

    Still larger ones would not be faster, row for row, and what a step needs of memory grows with them.
    """
    wanted = min(max(num_rows / 12, 32), max(256.0, num_rows / 200), LARGEST_BATCH)
    exponent: int = round(math.log2(wanted))
    return 1 << exponent


def choose_epochs(num_rows: int, steps_per_epoch: int, is_ensemble: bool) -> int:
    """Few rows need many passes, many rows few: between 8 and 100 for an ensemble, 20 and 200 for one network."""
    if is_ensemble:
        wanted: float = 60 * (3_000 / num_rows) ** 0.4
        return min(100, max(8, round(wanted)))
    return min(200, max(20, round(6_000 / steps_per_epoch)))


def choose_convnet_epochs(num_rows: int) -> int:
    """Images that are varied bear many passes: 12 over tens of thousands, 60 over a few thousand."""
    wanted: float = 60 * (3_000 / num_rows) ** 0.55
    return min(80, max(12, round(wanted)))


def _why_rate(settings: Settings, shape: Shape) -> str:
    if settings.learning_rate:
        return "as set"
    if shape.model:
        is_small = is_small_trunk(shape)
        share = _trunk_rate(settings, shape) * (1.0 if is_small else SECOND_RATE)
        what = (
            "what stands beside the pretrained network's last layer"
            if settings.lora
            else "the pretrained network's last layer"
        )
        return f"for the outputs; {share:.0%} of it for {what}, less for deeper ones"
    if settings.start_from is not None:
        return f"{OWN_TRUNK_RATE:.0%} of the usual: most of what it starts from is nearly right"
    if settings.network in ENSEMBLES and settings.layers != 0:
        return "the value that served ensembles best on other tables"
    if shape.image is not None:
        return "the value that served convolutions with normalised sums best"
    return f"the textbook's value for {settings.optimizer}"
