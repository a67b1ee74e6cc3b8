"""What a training on images or sounds does otherwise than one on tables, where nobody said how: all of it as settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F

from nudgenet.data.augment import augmented
from nudgenet.data.batches import shuffled, take
from nudgenet.errors import SettingError, counted
from nudgenet.networks import NETWORKS
from nudgenet.networks.capacity import choose_capacity
from nudgenet.records import Decision, Part, Prepared, Shape, TaskKind
from nudgenet.settings import AUGMENTATIONS, Settings
from nudgenet.training.loop import evaluate, step
from nudgenet.training.mirrored import does_no_harm, first_rows
from nudgenet.training.objectives import make_objective
from nudgenet.training.optimizers import make_optimizer
from nudgenet.training.photos import LABEL_SMOOTHING, settle_images
from nudgenet.training.place import Place, working_at
from nudgenet.training.plan import make_plan
from nudgenet.training.texts import varied_texts

PROBE_ROWS = 2_000  # of either part, at most
PROBE_MOMENTS = 32  # of the picture of a sound; it keeps all its pitches
PROBE_STEPS = 100
PROBE_BATCH = 64
MOST_WORSE = 0.10  # varied sounds are more to learn, so a short training always suffers a little


def settle(settings: Settings, data: Prepared) -> tuple[Settings, list[Decision]]:
    """The settings with what suits images or sounds filled in where nothing was set; those of a table unchanged.

    Raises:
        SettingError: the network that was asked for takes no images.
    """
    if data.shape.image is None or data.shape.model:
        return settings, []
    given, medium = settings.model_fields_set, data.shape.image.medium
    if "network" in given and settings.network != "convnet":
        raise SettingError(
            f"The network `{settings.network}` takes no {medium}s",
            fix="Leave `network` away, or --set network=convnet.",
        )
    is_image = medium == "image"
    habits: dict[str, Any] = {"network": "convnet", "ema": choose_ema(data), "warmup": 0.01 if is_image else 0.02}
    settings = settings.model_copy(update={name: value for name, value in habits.items() if name not in given})
    decisions = [
        Decision("network", "a residual network of convolutions", f"the rows are {medium}s",
                 f"--set width={2 * choose_capacity(data.shape, settings).width}"),
    ]  # fmt: skip
    if settings.ema:
        why = "as set" if "ema" in given else "the average answers better than any single step's weights"
        chosen = f"weights over the last {counted(round(1 / (1 - settings.ema)), 'step')} or so"
        decisions.append(Decision("averaging", chosen, why, "--set ema=0"))
    is_open = settings.augment is None
    if is_image:
        why = "with all directions of a nudge equally long, convolutions learn more from the same epochs"
        settings, more = settle_images(settings, data, why)
    else:
        settings, more = settle_sounds(settings, data)
    decisions += more
    if is_open and data.shape.text is not None:
        settings = settings.model_copy(update={"augment": (*(settings.augment or ()), *AUGMENTATIONS["text"])})
        decisions.append(varied_texts())
    return settings, decisions


def settle_sounds(settings: Settings, data: Prepared) -> tuple[Settings, list[Decision]]:
    """The settings with softened targets and varied sounds filled in where nothing was set."""
    if data.task.classes and "label_smoothing" not in settings.model_fields_set:
        settings = settings.model_copy(update={"label_smoothing": LABEL_SMOOTHING})
    if settings.augment is not None:
        return settings, []
    settings, decision = vary_sounds(settings, data)
    return settings, [decision]


def choose_ema(data: Prepared) -> float:
    """A memory of about an epoch's steps, but of 300 at most."""
    return round(1 - 1 / min(300.0, max(20.0, len(data.train) / 128)), 4)


def vary_sounds(settings: Settings, data: Prepared) -> tuple[Settings, Decision]:
    """All that leaves a sound what it is; its pitch where a probe shows no harm: it is all that tells notes apart."""
    harmless, why = probe(settings, data)
    left_out = set() if harmless else {"pitch"}
    if data.shape.image is not None and data.shape.image.windows == 1:
        left_out.add("crop")
    ways = tuple(way for way in AUGMENTATIONS["sound"] if way not in left_out)
    decision = Decision("varied sounds", ", ".join(ways), why, "--set augment=none, --set augment=delay,gain")
    return settings.model_copy(update={"augment": ways}), decision


def probe(settings: Settings, data: Prepared) -> tuple[bool, str]:
    """Whether it does no harm to change the pitch of sounds, and the figures: the validation losses of two short, equal
    trainings, without it and with it. (Of images `mirrored.may_be_mirrored` tells more quickly.)
    """
    assert data.shape.image is not None
    parts = (first_rows(part, PROBE_ROWS, settings.seed) for part in (data.train, data.validation))
    train, validation = (_short(part) for part in parts)
    images = train.inputs["images"]
    image = replace(data.shape.image, width=images.shape[3])
    shape = replace(data.shape, image=image, text=None, num_rows=len(train))  # what stands beside has no pitch
    losses = []
    anyway = ("crop",) if image.windows > 1 else ()  # a training on all windows would take several times as long
    for ways in (anyway, (*anyway, "pitch")):
        trial = settings.model_copy(
            update={"augment": ways, "width": 16, "precision": None, "ema": 0.0, "batch_size": PROBE_BATCH}
        )
        losses.append(_short_training(trial, shape, data.task.kind, train, validation))
    harmless, (plain, varied), chance = does_no_harm(losses[0], losses[1], MOST_WORSE)
    figures = (
        f"a short training with sounds of changed pitch has a validation loss of {varied:.3f}, without of {plain:.3f}"
    )
    return (
        harmless,
        f"{figures} (their difference is known to ± {chance:.3f}), so they {'do no harm' if harmless else 'do harm'}",
    )


def _short_training(settings: Settings, shape: Shape, kind: TaskKind, train: Part, validation: Part) -> torch.Tensor:
    """The loss of each validation row after `PROBE_STEPS` steps."""
    with working_at(Place(threads=1)):  # the same figures wherever it runs
        torch.manual_seed(settings.seed)
        network = NETWORKS["convnet"](shape, choose_capacity(shape, settings), settings, torch.zeros(0, 3))
        objective = make_objective(kind, train, shape.num_outputs, settings)
        plan = make_plan(settings, shape)[0]
        optimizer = make_optimizer(network, plan)
        per_epoch = max(1, len(train) // PROBE_BATCH)
        for number in range(PROBE_STEPS):
            order = shuffled(len(train), settings.seed, number // per_epoch)
            batch = take(train, order, number % per_epoch, per_epoch)
            step(
                network.train(),
                augmented(batch, settings.augment or (), settings.seed, number),
                objective,
                optimizer,
                1.0,
            )
        return evaluate(network, validation, objective, 256)[0]


def _short(part: Part) -> Part:
    """The same rows with sounds of at most `PROBE_MOMENTS` moments."""
    sounds = part.inputs["images"]
    size = (sounds.shape[2], min(PROBE_MOMENTS, sounds.shape[3]))
    pooled = F.adaptive_avg_pool2d(sounds.float(), size).round().to(torch.uint8)
    return replace(part, inputs={**part.inputs, "images": pooled})
