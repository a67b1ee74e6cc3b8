"""The story of a run on one screen: read -> split -> prepare -> network -> loop -> verdict."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nudgenet import bookkeeping
from nudgenet.bookkeeping import Wanted
from nudgenet.data.check import check
from nudgenet.data.columns import choose_task, describe, encode_target
from nudgenet.data.earlier import is_from_table, unlike_before
from nudgenet.data.given_test import read_with_test
from nudgenet.data.memory import give_back
from nudgenet.data.prepare import learn, prepare_batches
from nudgenet.data.split import split
from nudgenet.data.typed import BATCH_ROWS
from nudgenet.errors import RunError, SettingError, UserError, did_you_mean
from nudgenet.exporting import ready_to_start
from nudgenet.job import Job, Log, Table
from nudgenet.models import find_model, find_start
from nudgenet.networks import NETWORKS, pieces_in
from nudgenet.networks.capacity import Capacity, choose_capacity, explain_capacity
from nudgenet.networks.encoding import learn_pieces
from nudgenet.networks.mlp import num_parameters
from nudgenet.networks.pretrained import load_trunk
from nudgenet.networks.trunks import table_weights
from nudgenet.notebook import observer_here
from nudgenet.observer import Observer, Silent
from nudgenet.outcome import conclude
from nudgenet.records import Decision, Prepared, Raw
from nudgenet.run import Run
from nudgenet.runs.store import Store
from nudgenet.scoring.metrics import choose_metric
from nudgenet.scoring.rule import check_threshold
from nudgenet.settings import Settings, make_settings
from nudgenet.training.budget import fit_to_time, rows_for_baselines, time_for_training
from nudgenet.training.images import settle
from nudgenet.training.loop import Step, fit
from nudgenet.training.loop import step as textbook_step
from nudgenet.training.objectives import RowLosses, custom, make_objective
from nudgenet.training.place import Place, choose_place, working_at
from nudgenet.training.plan import Plan, make_plan
from nudgenet.training.pretrained import read_ahead_aloud
from nudgenet.training.recorder import Recorder
from nudgenet.training.state import State, start
from nudgenet.training.stopping import StopSignal, stop_on_signals
from nudgenet.training.texts import settle_texts
from nudgenet.watching.curves import best_epoch


def train(
    source: Any,
    target: str | int | None = None,
    *,
    runs: str | Path = "runs",
    name: str | None = None,
    objective: RowLosses | str | None = None,
    step: Step | None = None,
    observer: Observer | None = None,
    stop: StopSignal | None = None,
    **settings: Any,
) -> Run:
    """Train a network on a source, test it once, and write everything into a run's folder.

    Args:
        source: a table's path, a query, a dataframe or `(X, y)`.
        target: the column to predict, by name or 1-based position (-1: the last).
        runs, name: the folder is `runs/name`; by default `runs/<source>-<time>`.
        objective: the name of a loss, or one of your own: (outputs, targets) -> loss of each row; see `training.objectives`.
        step: a step of your own; see `training.loop.step`.
        observer: who is told about progress; by default the terminal, if there is one.
        stop: stops the work at the next step boundary; by default Ctrl-C does.
        settings: any field of `Settings`.

    Raises:
        UserError: what is wrong with the source, a column or a setting, in one line.
        Interrupted: stopped by a signal after saving; `resume` goes on.
    """
    if target is not None:
        settings["target"] = target
    if isinstance(objective, str):
        settings["objective"], objective = objective, None
    chosen = make_settings(**settings)
    if chosen.start_from is not None:  # a run's name means a folder only here, where `runs` is known
        chosen = chosen.model_copy(update={"start_from": find_start(chosen.start_from, runs)})
    wanted = Wanted.at(runs, name)
    job = Job(observer or somebody(), stop or StopSignal(), objective, step)
    with stop_on_signals(job.stop) if stop is None else nullcontext(), watched_by(job.observer):
        return work(source, chosen, job, wanted)


def resume(
    run: str | Path,
    *,
    runs: str | Path = "runs",
    objective: RowLosses | None = None,
    step: Step | None = None,
    observer: Observer | None = None,
    stop: StopSignal | None = None,
) -> Run:
    """Go on with an interrupted run, bit for bit as if it had not been interrupted.

    Raises:
        RunError: there is no such run, its source has changed, or it needs an own function passed again.
        Interrupted: stopped again, after saving again.
    """
    store = Store.open(run, runs)
    if store.is_done:
        return Run(store)
    job = Job(observer or somebody(), stop or StopSignal(), objective, step)
    settings = Run(store).settings
    bookkeeping.check_own_functions(store, job.own_functions)
    bookkeeping.check_start(store, settings)
    with stop_on_signals(job.stop) if stop is None else nullcontext(), watched_by(job.observer):
        return work(None, settings, job, store)


def work(source: Any, settings: Settings, job: Job, where: Wanted | Store) -> Run:
    """From a source to a finished run: a new one, or (source None) one that goes on from where it was interrupted."""
    began = time.perf_counter()
    job.stop.has_work = False
    job.stop.leave_early()  # importing torch takes seconds
    ready_to_start(settings)
    job.observer.stage(f"Reading {source}" if isinstance(source, str | Path) else "Reading the data")
    if isinstance(where, Wanted):
        log = Log(job.observer)
        rows = partial(read_with_test, source, settings)
    else:
        log = Log(Silent())
        rows = partial(bookkeeping.read_again, where, settings)
    table = prepare_table(rows, settings, log)
    log.warn(bookkeeping.seen_before(table, settings))
    data = table.prepared
    wished = settings
    settings, suited = settle(settings, data)
    settings, more = settle_texts(settings, data)
    log.decide([*suited, *more])

    capacity = choose_capacity(data.shape, settings)
    plan, habits = make_plan(settings, data.shape)
    place, where_it_runs = choose_place(settings, plan.batch_size * capacity.multiply_adds(data.shape))
    with working_at(place):
        pieces = learn_pieces(data.train.inputs["numbers"])
        start = partial(begin, data, plan=plan, place=place, settings=settings, own=job.objective, pieces=pieces)
        limit = time_for_training(settings.time_limit, time.perf_counter() - job.stop.began)
        shortened: list[Decision] = []
        if limit is not None and isinstance(where, Wanted):
            capacity, state, shortened = fit_to_time(capacity, start, data, limit, settings)
        else:
            state = start(capacity)
        sizes = explain_capacity(capacity, data.shape, num_parameters(state.network), settings)
        log.decide([*sizes, *habits, *where_it_runs, *shortened])
        if shortened:  # from here on as if it had been set
            settings, wished = (one.model_copy(update=asdict(capacity)) for one in (settings, wished))
        job.stop.has_work = True
        if isinstance(where, Wanted):
            chosen = bookkeeping.chosen_settings(settings, capacity, state.plan, place) | {"metric": table.metric}
            chosen |= {"baseline_rows": rows_for_baselines(data.shape, settings)}
            store = bookkeeping.open_run(where, table, wished, chosen, log, job)
        else:
            store = where
            bookkeeping.recall(store, log)
        with store.held(), store.writing():
            bookkeeping.catch_up(store, table, state)
            with bookkeeping.nothing_to_save_in(job, store, state):
                data, learning_epoch_s = read_ahead_aloud(state, data, job.observer.stage)
            seconds = {"prepare": time.perf_counter() - began}
            best = best_epoch(store.epochs())
            limit = time_for_training(settings.time_limit, time.perf_counter() - job.stop.began)
            frozen_epochs = state.plan.frozen_epochs
            job.observer.start(state.plan.epochs, state.plan.steps_per_epoch, frozen_epochs, learning_epoch_s)
            recorder = Recorder(state, data, store if settings.record else None, job.observer.on_step)
            for epoch in fit(
                state,
                data,
                step=job.step or textbook_step,
                on_step=recorder.on_step,
                save=partial(bookkeeping.save, store, recorder),
                stop=job.stop,
                time_limit=limit,
            ):
                store.add_epoch(epoch)
                recorder.epoch()
                best = epoch if epoch.epoch == state.stopping.best_epoch else best
                job.observer.epoch(epoch, best)
            recorder.close()
            job.observer.stop()
            bookkeeping.leave_if_stopped(job, store, state)
            give_back()
            conclude(store, table, state, log, job, settings, seconds)
    return Run(store)


def reopen(run: Run) -> tuple[Table, State]:
    """A run's rows and its state before the first step, as it began: what `training.replay` needs to compute any step.

    Raises:
        RunError: the rows have changed or are gone, are split otherwise now, or the run was trained with functions of
            the user's own.
    """
    store, settings = Store.open(run.path), run.settings
    bookkeeping.check_own_functions(store, [])
    place = Place(settings.threads or 1, settings.precision or "float32")
    try:
        table = prepare_table(partial(bookkeeping.read_again, store, settings), settings, Log(Silent()))
        bookkeeping.check_unchanged(store, table)
        data = table.prepared
        settings = settle_texts(settle(settings, data)[0], data)[0]
        capacity, (plan, _) = choose_capacity(data.shape, settings), make_plan(settings, data.shape)
        with working_at(place):
            return table, begin(data, capacity, plan, place, settings)
    except RunError:
        raise
    except UserError as error:  # the file, or the model that it started from, is gone
        what = f"What this run was trained on cannot be read again: {error.what[:1].lower()}{error.what[1:]}"
        raise RunError(what, got=error.got) from None


@contextmanager
def watched_by(observer: Observer) -> Iterator[None]:
    """Whatever happens, the observer hears of the end: a live display gives the terminal back."""
    try:
        yield
    finally:
        observer.stop()


def somebody() -> Observer:
    """Curves in a notebook, a display where a person sits at a terminal, else nobody: a script's log is its own."""
    if (live := observer_here()) is not None:
        return live
    if not sys.stderr.isatty():
        return Silent()
    from nudgenet.terminal import Display

    return Display()


def begin(
    data: Prepared,
    capacity: Capacity,
    plan: Plan,
    place: Place,
    settings: Settings,
    own: RowLosses | None = None,
    pieces: Tensor | None = None,
) -> State:
    """A fresh network with its objective and optimizer, before the first step; call it inside `working_at(place)`.

    Args:
        own: a loss of the caller's in the place of the built-in one.
        pieces: where the training numbers are cut (`learn_pieces`); whoever begins several times finds them once.

    Raises:
        SettingError: there is no such network, objective or optimizer, or it does not fit the task.
    """
    if settings.network not in NETWORKS:
        raise SettingError(f"There is no network `{settings.network}`", fix=did_you_mean(settings.network, NETWORKS))
    torch.manual_seed(settings.seed)
    settings, plan = (
        settings.model_copy(update={"precision": place.precision}),
        replace(plan, precision=place.precision),
    )
    if pieces is None:
        pieces = learn_pieces(data.train.inputs["numbers"])
    model = find_model(settings.start_from) if settings.start_from is not None else None
    if model is not None and model.medium == "table":
        pieces = pieces_in(table_weights(model))
    network = NETWORKS[settings.network](data.shape, capacity, settings, pieces)
    if model is not None:
        load_trunk(network, model)
    objective = make_objective(data.task.kind, data.train, data.shape.num_outputs, settings)
    if own is not None:
        objective = custom(own, like=objective)
    return start(network, objective, plan)


def prepare_table(read_rows: Callable[[], tuple[Raw, int]], settings: Settings, log: Log) -> Table:
    """Choose the task, split, and only then learn from the training part how to prepare.

    The rows are read in here, so that nobody else holds on to them: of a file, few are needed once they are tensors.
    """
    raw, num_test_rows = read_rows()
    log.decide(list(raw.decisions))
    log.warn(list(raw.warnings))
    task, decisions, warnings = choose_task(raw, settings)
    check_threshold(task.kind, settings)
    log.decide(decisions)
    log.warn(warnings)
    parts, decisions, warnings = split(raw, task, settings, num_given_test_rows=num_test_rows)
    log.decide(decisions)
    log.warn(warnings)
    give_back()
    log.observer.stage("Preparing the columns")
    columns, decisions, warnings = describe(raw, task, parts.train, settings)
    log.decide(decisions)
    log.warn(warnings)
    preparation, decisions = learn(raw, parts, columns, task, settings)
    log.decide(decisions)
    if is_from_table(settings):
        log.warn(unlike_before(preparation.features, raw, parts.train))
    log.warn(check(raw, parts, columns, task, preparation.shape(len(parts.train))))
    targets = encode_target(raw.table.column(task.target), task)[0]
    give_back()  # here most is in memory: all cells, and soon the first tensors
    batches = raw.table.to_batches(max_chunksize=BATCH_ROWS)
    if raw.source.kind == "file":
        raw = replace(raw, table=raw.table.schema.empty_table())
    prepared, test_cells = prepare_batches(batches, targets, parts, preparation)
    metric, decisions = choose_metric(task.kind, settings.metric, prepared.train.targets.numpy(), task.classes)
    log.decide(decisions)
    return Table(raw, task, parts, columns, preparation, prepared, targets, test_cells, metric, num_test_rows)
