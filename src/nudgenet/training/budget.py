"""A time limit, kept by planning: how many epochs fit, so that the learning rate still reaches its end.

A training that is cut off while its nudges are large ends worse than a shorter one that was planned to
be short. The number of epochs follows from a short probe, is written into the run, and a resumed run
uses the written number.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from nudgenet.data.batches import num_steps, shuffled, subset, take
from nudgenet.data.images import POOLED
from nudgenet.errors import counted
from nudgenet.networks.capacity import Capacity, describe_layers
from nudgenet.networks.pretrained import PretrainedNetwork
from nudgenet.records import Decision, Part, Prepared, Shape
from nudgenet.settings import Settings
from nudgenet.training.loop import NonFinite, evaluate, rows_judged, step
from nudgenet.training.optimizers import make_optimizer
from nudgenet.training.place import rows_at_once
from nudgenet.training.plan import LARGEST_BATCH, Plan
from nudgenet.training.pretrained import with_features
from nudgenet.training.state import State

PROBE_SHARE = 0.03  # of the time that is left
MOST_PROBE_STEPS = 30
PROBE_ROWS = 2_048  # that are judged to tell how long all of them take
PROBE_BATCHES = 2  # that a pretrained trunk reads, to tell what steps cost while it rests
SAFETY = 0.95  # the machine may be busier later
AFTERWARDS = 0.15  # of a limit for the whole work: the simple models, the scores and the report
AFTERWARDS_S = 1.5  # seconds that these take besides, however few their rows: imports, charts
DUE_SHARE = 0.4  # of what is left of the limit after reading, for training, whatever comes afterwards
LEAST_SHARE = 0.1  # of the limit, for training, however long the reading took
BASELINE_CELLS_PER_S = 1_000_000  # rows x columns x outputs that the simple models learn from in a second, cautiously
FEWEST_BASELINE_ROWS = 1_000
FEWEST_STEPS = 32  # in an epoch with larger batches
FEW_EPOCHS = 6  # a schedule with fewer hardly bends: then a smaller network serves better


def time_for_training(time_limit: float | None, spent: float, *, with_report: bool = True) -> float | None:
    """Seconds for the probe and the loop of a limit for everything, when `spent` are gone; None: no limit.

    with_report: the simple models, the scores and the report come afterwards.
    """
    if time_limit is None:
        return None
    left = time_limit - spent
    afterwards = AFTERWARDS * time_limit + AFTERWARDS_S if with_report else 0.0
    return max(left - afterwards, DUE_SHARE * left, LEAST_SHARE * time_limit)


def fit_to_time(
    capacity: Capacity, begin: Callable[[Capacity], State], data: Prepared, seconds: float, settings: Settings
) -> tuple[Capacity, State, list[Decision]]:
    """The largest network, up to `capacity`, that sees the data often enough in so many seconds, with its plan.

    As long as only a few epochs would fit: takes larger batches, then halves the copies, the members and the width in
    turn, where they were left open. Every network that is tried takes of these seconds, too.
    """
    began, wanted, larger = time.perf_counter(), capacity, None
    while True:
        state = begin(capacity)
        usual, larger = state.plan, larger or state.plan
        state.plan = replace(usual, batch_size=larger.batch_size, steps_per_epoch=larger.steps_per_epoch)
        decisions = keep_to_time(state, data, seconds - (time.perf_counter() - began), settings)
        if state.plan.epochs >= min(FEW_EPOCHS, usual.epochs) or usual.frozen_epochs:
            break
        if (batch_size := choose_larger_batch(data.shape, settings)) > larger.batch_size:
            larger = replace(usual, batch_size=batch_size, steps_per_epoch=num_steps(len(data.train), batch_size))
            continue
        smaller = much_smaller(capacity, state.plan.epochs, settings)
        if smaller == capacity:
            break
        capacity = smaller
    if larger != usual:
        chosen = f"{counted(larger.batch_size, 'row')} instead of {usual.batch_size:,}"
        why = f"with smaller ones the network would see the data fewer than {FEW_EPOCHS} times"
        decisions.insert(0, Decision("batch size for the time limit", chosen, why, twice_as_long(settings, seconds)))
    if capacity != wanted:
        chosen = f"{describe_layers(capacity, data.shape)} instead of {describe_layers(wanted, data.shape)}"
        why = f"the larger network would see the data fewer than {FEW_EPOCHS} times"
        decisions.insert(0, Decision("network size for the time limit", chosen, why, twice_as_long(settings, seconds)))
    return capacity, state, decisions


def twice_as_long(settings: Settings, seconds: float) -> str:
    """What to type for twice the time limit; `seconds` of it were left when the training was planned."""
    return f"--time-limit {math.ceil(2 * (settings.time_limit or max(seconds, 1.0)))}s"


def much_smaller(capacity: Capacity, epochs: int, settings: Settings) -> Capacity:
    """Halved as often as it takes at least, where so many epochs fit and halving saves half of the time at best."""
    for _ in range(int(math.log2(FEW_EPOCHS / (epochs + 1))) + 1):
        capacity = capacity.smaller(settings) or capacity
    return capacity


def choose_larger_batch(shape: Shape, settings: Settings) -> int:
    """Rows in one step where time is short: of a table, a row costs less in a large batch; 0 where none is larger."""
    if settings.batch_size or shape.medium is not None:
        return 0
    return min(LARGEST_BATCH, 1 << max(0, (shape.num_rows // FEWEST_STEPS).bit_length() - 1))


def keep_to_time(state: State, data: Prepared, seconds: float, settings: Settings) -> list[Decision]:
    """Shorten the plan of a fresh state to what fits into so many seconds; changes nothing else in it.

    Epochs that were set are kept if they fit. If not, a shorter training whose learning rate reaches its end
    serves better than the beginning of a longer one.
    """
    plan = state.plan
    began = time.perf_counter()
    step_s, epoch_end_s = probe(state, data, seconds * PROBE_SHARE)
    if plan.frozen_epochs:
        resting_s = probe_resting(state, data, seconds * PROBE_SHARE)
        reading_s = epoch_end_s * (len(data.train) + len(data.validation)) / (rows_judged(data) + len(data.validation))
        left = SAFETY * seconds - (time.perf_counter() - began) - reading_s
        frozen, learning = two_phases(
            plan, left, plan.steps_per_epoch * resting_s, plan.steps_per_epoch * step_s + epoch_end_s
        )
        epochs = frozen + learning
        state.plan = replace(plan, frozen_epochs=frozen)
    else:
        left = SAFETY * seconds - (time.perf_counter() - began)
        epochs = max(1, int(left / (plan.steps_per_epoch * step_s + epoch_end_s)))
    if epochs >= plan.epochs:
        return []
    state.plan = replace(state.plan, epochs=epochs, patience=min(plan.patience, epochs))
    state.stopping.patience = state.plan.first_patience
    each = f"{_ms(step_s)} here"
    if plan.frozen_epochs:
        each = f"{_ms(resting_s)} here, {_ms(step_s)} once the pretrained network learns, too"
    why = f"a step takes {each}, and {_seconds(max(seconds, 0.0))} of the time limit are left for them"
    wanted = f"the {plan.epochs} that were set" if settings.epochs else f"{plan.epochs}"
    chosen = f"{counted(epochs, 'epoch')} instead of {wanted}"
    if plan.frozen_epochs:
        chosen += f", in {learning or 'none'} of which the pretrained network learns, too"
    return [Decision("time limit", chosen, why, twice_as_long(settings, seconds))]


def two_phases(plan: Plan, left: float, resting_epoch_s: float, learning_epoch_s: float) -> tuple[int, int]:
    """Epochs in which a pretrained trunk rests, and in which it learns, that fit into so many seconds; one at least.

    The first ones cost little and bring the most: they come first.
    """
    frozen = min(plan.frozen_epochs, max(1, int(left / max(resting_epoch_s, 1e-9))))
    learning = int((left - frozen * resting_epoch_s) / max(learning_epoch_s, 1e-9))
    return frozen, min(plan.epochs - plan.frozen_epochs, max(0, learning))


def probe_resting(state: State, data: Prepared, seconds: float) -> float:
    """Seconds of one step on what a pretrained trunk said of its rows, measured on a few of them."""
    network = state.network
    if not isinstance(network, PretrainedNetwork):
        raise ValueError("only a pretrained trunk rests")
    few = subset(data.train, torch.arange(min(PROBE_BATCHES * state.plan.batch_size, len(data.train))))
    with torch.no_grad():
        part = with_features(network.eval(), few)
    plan = replace(state.plan, steps_per_epoch=num_steps(len(few), state.plan.batch_size))
    return probe(replace(state, plan=plan), replace(data, train=part, validation=part), seconds)[0]


def rows_for_baselines(shape: Shape, settings: Settings) -> int | None:
    """How many training rows the simple models have time to learn from; None: all of them.

    A run writes this number down, so that training it again without a clock gives the same simple models.
    """
    num_rows = settings.baseline_rows
    if num_rows is None and settings.time_limit is not None:
        cells = settings.time_limit * AFTERWARDS / 2 * BASELINE_CELLS_PER_S
        pooled = POOLED if shape.medium in ("image", "sound") else 0
        num_columns = max(1, shape.num_numbers + len(shape.cardinalities) + pooled)
        num_rows = max(FEWEST_BASELINE_ROWS, int(cells / (shape.num_outputs * num_columns)))
    return None if num_rows is None or num_rows >= shape.num_rows else num_rows


def affordable(data: Prepared, settings: Settings) -> tuple[Part, list[Decision]]:
    """The training part, or as many evenly spaced rows of it as the simple models may learn from."""
    num_rows = rows_for_baselines(data.shape, settings)
    if num_rows is None:
        return data.train, []
    why = "as set" if settings.time_limit is None else f"all {len(data.train):,} would not fit into the time limit"
    decision = Decision("rows for the baselines", f"{num_rows:,}", why, f"--set baseline_rows={len(data.train)}")
    return subset(data.train, torch.linspace(0, len(data.train) - 1, num_rows).round().long()), [decision]


def probe(state: State, data: Prepared, seconds: float) -> tuple[float, float]:
    """(seconds of one step, seconds of judging an epoch), measured on a copy of the network."""
    network = copy.deepcopy(state.network).train()
    optimizer = make_optimizer(network, state.plan)
    order = shuffled(len(data.train), state.plan.seed, 0)
    num_done = 0
    with torch.random.fork_rng(devices=[]):
        began = warm = time.perf_counter()
        while num_done < MOST_PROBE_STEPS and (num_done < 3 or time.perf_counter() - began < seconds):
            batch = take(data.train, order, num_done % state.plan.steps_per_epoch, state.plan.steps_per_epoch)
            try:
                step(network, batch, state.objective, optimizer, state.plan.clip)
            except NonFinite:
                break  # the training itself will say so
            num_done += 1
            if num_done == 1:
                warm = time.perf_counter()  # the first step also sets things up
    step_s = (time.perf_counter() - warm) / max(1, num_done - 1)
    few = subset(data.validation, torch.arange(min(PROBE_ROWS, len(data.validation))))
    began = time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=state.plan.precision == "bfloat16"):  # as the loop does
        evaluate(network, few, state.objective, rows_at_once(data.shape.num_outputs))
    row_s = (time.perf_counter() - began) / len(few)
    return max(step_s, 1e-6), row_s * (rows_judged(data) + len(data.validation))


def _seconds(seconds: float) -> str:
    """Three digits where there are no more, and never 3.05e+03."""
    return f"{seconds:,.0f} s" if seconds >= 100 else f"{seconds:.3g} s"


def _ms(seconds: float) -> str:
    """Two digits where there are no more, and never 2.2e+02."""
    return f"{1000 * seconds:,.0f} ms" if seconds >= 0.01 else f"{1000 * seconds:.2g} ms"
