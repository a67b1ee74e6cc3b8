"""A start from a pretrained network: its features first, then its own knobs, where rows suffice.

For the first epochs the trunk stays as it is: what it says of every row is computed once, and only the outputs learn.
Then it is trained, too, with rates that fall from layer to layer: what lies deep is about language, light or sound as
such, and right already. Of very large trunks only small products beside their weights are trained (LoRA).
The best epoch of both is kept, so training the trunk must show on the validation rows that it helps.
Sources: Howard & Ruder, ULMFiT, arXiv 1801.06146 (rates by layer); Kumar et al., arXiv 2202.10054 (outputs first).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from nudgenet.data.batches import shuffled, subset
from nudgenet.data.pixels import read_pixels
from nudgenet.errors import SettingError
from nudgenet.models import OWN, ModelFolder, cached_models, find_model
from nudgenet.networks.pretrained import PretrainedNetwork
from nudgenet.networks.trunks import build_trunk
from nudgenet.records import Advice, Decision, Part, Prepared, Shape
from nudgenet.settings import AUGMENTATIONS, Settings, make_settings
from nudgenet.training.loop import rows_judged
from nudgenet.training.photos import settle_images
from nudgenet.training.plan import is_small_trunk, learns_as_fresh
from nudgenet.training.state import State
from nudgenet.training.ways import check_augment

# Training rows from which on the trunk is trained, too; with 524 texts it brought nothing (LOG.md).
FEWEST_ROWS = 2_000
FEWEST_FOR_OWN = 20  # the same for a small network of ours: it knows less, has fewer knobs, and costs little (LOG.md)
LARGE = 100_000_000  # knobs of a trunk from which on only what stands beside them is trained
RANK = 8  # of that
UNPROVEN = {"flip", "pitch", "mixup", "cutmix"}  # ways to vary rows that may do harm
EMA = 0.95  # memory of the averaged weights of a small trunk; few rows make few steps
LEARNING_COST = 3.5  # times what it takes to read a row without gradients (3.0 with MiniLM, LOG.md)
STANDARDISED_BY = 2_000  # training rows, at most, that say what is usual among features
# What an earlier network for tables is made of: one that starts from it is made of the same.
OF_TABLES = ("network", "layers", "width", "members", "copies", "activation", "normalisation", "residual")


def settle_pretrained(settings: Settings, data: Prepared) -> tuple[Settings, list[Decision]]:
    """The settings with what suits a pretrained start filled in where nothing was set; others unchanged.

    Raises:
        SettingError: there is nothing that a pretrained network could take in, or rows cannot be varied in such a way.
    """
    if settings.start_from is None:
        return settings, []
    shape, model = data.shape, find_model(settings.start_from)
    if model.medium != "table" and not shape.model:
        cells = {"text": "free text", "image": "images", "sound": "sounds"}[model.medium]
        raise SettingError(
            f"This pretrained start is for {model.medium}s, and there is no column of {cells}",
            fix=f"Leave --from away, or name the column: --set kinds=COLUMN:{model.medium}.",
        )
    check_augment(settings, shape)
    if model.medium == "table":
        return settle_earlier(settings, model)
    rows = len(data.train)
    is_own = model.kind == OWN
    fewest = FEWEST_FOR_OWN if is_own else FEWEST_ROWS
    is_open = settings.unfreeze is None
    unfreeze = rows >= fewest if settings.unfreeze is None else settings.unfreeze
    habits: dict[str, Any] = {"network": "pretrained", "unfreeze": unfreeze}
    habits["augment"] = settings.augment or ()
    decisions: list[Decision] = []
    if is_small_trunk(shape) and unfreeze:  # others have seen more variety than could be made up
        assert shape.image is not None
        if learns_as_fresh(shape) and not settings.lora:
            why = f"with {rows:,} training rows it learns best as a fresh network does"
            settings, decisions = settle_images(settings, data, why)
            habits["augment"] = settings.augment
        elif settings.augment is None:
            left_out = UNPROVEN | (set() if shape.image.windows > 1 else {"crop"})
            habits["augment"] = tuple(way for way in AUGMENTATIONS[shape.image.medium] if way not in left_out)
        habits["ema"] = settings.ema if "ema" in settings.model_fields_set else EMA
    if model.medium == "image":  # predictions must be decoded alike, also when the model is gone
        habits["image_size"] = read_pixels(model).cap
    elif model.medium == "sound":
        habits["sound_rate"] = model.sampling_rate
    num_knobs = count_knobs(shape.model)
    habits["lora"] = settings.lora if settings.lora is not None else RANK if unfreeze and num_knobs >= LARGE else 0
    settings = settings.model_copy(update=habits)
    if unfreeze:
        chosen, other = "outputs first, then its layers, the deeper the slower", "--set unfreeze=false"
        why = f"{rows:,} training rows can teach it more, and the validation rows tell whether that helped"
    else:
        chosen, other = "as it is, only the outputs learn", "--set unfreeze=true"
        why = f"{rows:,} training rows are too few to change {num_knobs:,} knobs with"
    why = why if is_open else "as set"
    decisions.insert(0, Decision("pretrained network", f"{settings.start_from}: {chosen}", why, other))
    if settings.lora:
        chosen = f"small products of rank {settings.lora} beside its knobs are trained (LoRA)"
        why = f"all of its {num_knobs:,} knobs would take several times the memory and time, and rarely do better"
        decisions.append(Decision("large trunk", chosen, why, "--set lora=0"))
    return settings, decisions


def settle_earlier(settings: Settings, model: ModelFolder) -> tuple[Settings, list[Decision]]:
    """The settings of a network that starts from an earlier one for tables: its sizes.

    Raises:
        SettingError: another size was asked for, or the model's config does not say one.
    """
    what = "The model's config.json does not describe a network"
    try:
        described = make_settings(**{name: model.config[name] for name in OF_TABLES})
    except KeyError as error:
        raise SettingError(what, got=f"no {error}") from None
    except SettingError as error:
        raise SettingError(what, got=error.what) from None
    sizes = {name: getattr(described, name) for name in OF_TABLES}
    for name, size in sizes.items():
        if name in settings.model_fields_set and getattr(settings, name) not in (None, size):
            raise SettingError(
                f"The earlier network has another `{name}`", got=f"{name}={getattr(settings, name)}, and there it is {size}",
                fix=f"Leave `{name}` away, or --from.",
            )  # fmt: skip
    why = "its columns are the same, so what it learned of them may serve here, too; its outputs are new"
    decision = Decision("start", f"the weights of {settings.start_from}", why, "run without --from")
    augment = ("words",) if sizes["network"] == "bag" and settings.augment is None else settings.augment
    return settings.model_copy(update={**sizes, "augment": augment}), [decision]


def recommend_start(shape: Shape, settings: Settings) -> Advice | None:
    """A pretrained network on this machine that could read these rows, if the run did without one."""
    medium = shape.medium
    if medium is None or settings.start_from is not None:
        return None
    names = cached_models(medium)
    if not names:
        return None
    more = f" ({len(names) - 1} more in the cache)" if len(names) > 1 else ""
    text = f"Try --from {names[0]}{more}: this network, which is on this machine, has learned from far more {medium}s."
    return Advice(text, "start_from", names[0])


def count_knobs(packed_config: str) -> int:
    """The knobs of the trunk that a config describes; nothing is allocated for them."""
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        return sum(parameter.numel() for parameter in build_trunk(packed_config).parameters())


def read_ahead(state: State, data: Prepared) -> Prepared:
    """The data with what the trunk says of every training and validation row, as long as it stays as it is."""
    network = state.network
    if not isinstance(network, PretrainedNetwork):
        return data
    network.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=state.plan.precision == "bfloat16"):
        if state.epoch < state.plan.frozen_epochs:
            train, validation = (with_features(network, part) for part in (data.train, data.validation))
            data = replace(data, train=train, validation=validation)
        if state.step == 0 and data.shape.medium != "text":
            few = subset(data.train, shuffled(len(data.train), state.plan.seed, 0)[:STANDARDISED_BY])
            features = few.inputs["features"] if "features" in few.inputs else network.read(few.inputs)
            for own in (network, state.average):
                if isinstance(own, PretrainedNetwork):
                    own.standardise(features)
    return data


def read_ahead_aloud(state: State, data: Prepared, say: Callable[[str], None]) -> tuple[Prepared, float]:
    """`read_ahead`, announced; and about how many seconds an epoch will take once the trunk learns, too (0: not known).

    Nothing depends on these seconds but what a person is told.
    """
    plan = state.plan
    if state.epoch >= plan.frozen_epochs or not isinstance(state.network, PretrainedNetwork):
        return read_ahead(state, data), 0.0
    num_rows = len(data.train) + len(data.validation)
    say(f"Reading {num_rows:,} rows with the pretrained network, once")
    began = time.perf_counter()
    data = read_ahead(state, data)
    if plan.epochs <= plan.frozen_epochs:
        return data, 0.0
    row_s = (time.perf_counter() - began) / num_rows
    return data, row_s * (LEARNING_COST * len(data.train) + rows_judged(data) + len(data.validation))


def with_features(network: PretrainedNetwork, part: Part) -> Part:
    """A part with the input "features": see `PretrainedNetwork`."""
    return replace(part, inputs={**part.inputs, "features": network.read(part.inputs)})
