"""After the loop: the test part is read once, the baselines are fitted, the verdict is given, the report written."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

import nudgenet
from nudgenet.bookkeeping import leave_if_stopped
from nudgenet.data.columns import encode_target
from nudgenet.data.features import CategoryFeature
from nudgenet.data.images import ImageFeature, image_paths, readable
from nudgenet.data.prepare import Preparation
from nudgenet.exhibits import galleries
from nudgenet.job import Job, Log, Table
from nudgenet.networks.capacity import choose_capacity, describe_layers
from nudgenet.networks.mlp import num_parameters
from nudgenet.records import Epoch, Part, Prepared, TaskKind, Verdict
from nudgenet.report.contents import Contents
from nudgenet.report.page import render
from nudgenet.runs.store import Store, as_parquet
from nudgenet.scoring.baselines import ALL_BASELINES, Baseline, TableArrays, fit_baselines
from nudgenet.scoring.importance import Importance, permutation_importance
from nudgenet.scoring.intervals import assess
from nudgenet.scoring.metrics import primary_metric, row_losses, score
from nudgenet.settings import Settings
from nudgenet.training.loop import evaluate, in_user_units
from nudgenet.training.objectives import Objective
from nudgenet.training.place import rows_at_once
from nudgenet.training.state import State
from nudgenet.watching.curves import overfit_since
from nudgenet.watching.verdict import verdict

Metrics = dict[str, float]
MANY_CLASSES = 256  # with more, every answer is so long that importance is measured on fewer of them


def conclude(
    store: Store, table: Table, state: State, log: Log, job: Job, settings: Settings, seconds: dict[str, float]
) -> None:
    """Score the best network and the baselines on the same rows, judge the training, and write the report.

    Raises:
        Interrupted: somebody asked to stop; a resumed run comes back to here.
    """
    kind, data = table.task.kind, table.prepared
    began = time.perf_counter()
    network = best_network(state)
    targets = {name: true_values(table, part) for name, part in held_out(data).items()}
    seconds["train"] = state.seconds

    baselines: list[Baseline] = []
    if settings.baselines:
        job.observer.stage("Fitting the baselines on the same rows")
        arrays = {name: as_arrays(table, part) for name, part in {"train": data.train, **held_out(data)}.items()}
        # On images alone, trees cost minutes and are never the best answer.
        names = ALL_BASELINES if is_table(data) else ("majority", "mean", "linear")
        fitted = fit_baselines(kind, arrays, num_classes=len(table.task.classes), seed=settings.seed, names=names)
        for baseline in fitted:
            baselines.append(baseline)
            leave_if_stopped(job, store, state)
    seconds["baselines"] = time.perf_counter() - began

    job.observer.stage("Writing the report")
    began = time.perf_counter()
    # Nothing can be stopped any more: the network meets the test part here, once.
    answers = {name: answers_of(network, part, state.objective, data) for name, part in held_out(data).items()}
    metrics = {name: score(kind, targets[name], answers[name]) for name in targets}
    epochs = store.epochs()
    judged = judge(epochs, table, state, settings, baselines, targets["validation"])
    summary = summarise(store, table, log, judged, baselines, targets, metrics)
    summary |= {"parameters": num_parameters(network), "epochs": len(epochs)}
    results = {
        "evidence": dict(judged.evidence),
        **trust_in(kind, targets["test"], answers["test"], baselines, settings.seed),
        "importance": [
            (item.column, item.drop, item.low, item.high)
            for item in importance_of(network, table, state, targets["validation"], settings)
        ],
    }
    predictions = test_table(table, targets["test"], answers["test"])
    store.write("test_predictions.parquet", as_parquet(predictions))
    seconds["report"] = time.perf_counter() - began
    summary["seconds"] = {"total": sum(seconds.values()), **seconds}
    for name, content in (results | {"summary": summary}).items():
        store.save_result(name, content)
    contents = report_contents(store, table, state, settings, log, summary, results, predictions, epochs)
    shown = galleries(network, table, targets["test"], answers["test"], settings)
    store.write("report.html", render(replace(contents, galleries=shown)).encode())
    store.finish(summary)


def summarise(
    store: Store,
    table: Table,
    log: Log,
    judged: Verdict,
    baselines: list[Baseline],
    targets: Mapping[str, np.ndarray],
    metrics: Mapping[str, Metrics],
) -> dict[str, Any]:
    """The JSON line, as far as it does not depend on the network itself."""
    kind, data = table.task.kind, table.prepared
    return {
        "run": str(store.path),
        "task": kind,
        "target": table.task.target,
        "rows": {"train": len(data.train), "validation": len(data.validation), "test": len(data.test)},
        "metrics": dict(metrics),
        "baselines": {
            baseline.name: {
                "validation": score(kind, targets["validation"], baseline.validation),
                "test": score(kind, targets["test"], baseline.test),
            }
            for baseline in baselines
        },
        "verdict": {
            "state": judged.state,
            "best_epoch": judged.best_epoch,
            "reason": judged.reason,
            "advice": [asdict(advice) for advice in judged.advice],
        },
        "decisions": [asdict(decision) for decision in log.decisions],
    }


def trust_in(
    kind: TaskKind, targets: np.ndarray, answers: np.ndarray, baselines: list[Baseline], seed: int
) -> dict[str, Any]:
    """How far the test scores can be trusted: the interval of each, and the comparison with each baseline."""
    rivals = {baseline.name: baseline.test for baseline in baselines}
    intervals, comparisons = assess(kind, targets, answers, rivals, metric=primary_metric(kind), seed=seed)
    return {
        "intervals": {name: (interval.low, interval.high) for name, interval in intervals.items()},
        "comparisons": [
            {
                "metric": item.metric,
                "other": item.other,
                "difference": item.difference,
                "low": item.interval.low,
                "high": item.interval.high,
                "verdict": item.verdict,
            }
            for item in comparisons
        ],
    }


def held_out(data: Prepared) -> dict[str, Part]:
    """The two parts that the network was not trained on."""
    return {"validation": data.validation, "test": data.test}


def best_network(state: State) -> nn.Module:
    """The network with the weights of its best epoch (of its last step, if no epoch was ever finished)."""
    network = state.kept
    if state.best_weights:
        network.load_state_dict(state.best_weights)
    return network.eval()


def true_values(table: Table, part: Part) -> np.ndarray:
    """The targets of a part as they stand in the source: class indices, or float64 in the user's unit."""
    cells = table.raw.table.column(table.task.target).take(part.rows)
    return encode_target(cells, table.task)[0]


def answers_of(network: nn.Module, part: Part, objective: Objective, data: Prepared) -> np.ndarray:
    """Probabilities (rows, classes), or numbers (rows,) in the user's unit."""
    return in_user_units(evaluate(network, part, objective, rows_at_once(data.shape.num_outputs))[1], data)


def is_table(data: Prepared) -> bool:
    """Whether there are columns besides an image."""
    return data.shape.image is None or data.shape.num_numbers + len(data.shape.cardinalities) > 0


def as_arrays(table: Table, part: Part) -> TableArrays:
    """A part as the baselines take it: the same prepared rows that the network sees."""
    numbers, categories = part.inputs["numbers"].cpu().numpy(), part.inputs["categories"].cpu().numpy()
    if (image := table.preparation.image) is not None:
        numbers = np.hstack([numbers, image.pooled(part.inputs["images"])])
    return TableArrays(numbers, categories, table.prepared.shape.cardinalities, true_values(table, part))


def judge(
    epochs: list[Epoch],
    table: Table,
    state: State,
    settings: Settings,
    baselines: list[Baseline],
    targets: np.ndarray,
) -> Verdict:
    """The verdict, from the curves and from what the simple models reach on the same validation rows."""
    data, plan = table.prepared, state.plan
    reference = {}
    if state.objective.name in ("cross_entropy", "mse"):
        # The same loss for the simple models: squared errors in standardised units, or log loss.
        unit = data.target_scale if table.task.kind == "regression" else 1.0
        for baseline in baselines:
            if baseline.name in ("linear", "boosting"):
                is_number = table.task.kind == "regression"
                pair = (targets / unit, baseline.validation / unit) if is_number else (targets, baseline.validation)
                losses = row_losses(table.task.kind, *pair)
                reference[baseline.name] = float(losses.mean())
    return verdict(
        epochs,
        baseline_loss=no_skill_loss(state, data),
        kind=table.task.kind,
        num_train=len(data.train),
        num_parameters=num_parameters(state.network),
        stopped_early=state.stopping.is_over,
        settings=settings,
        reference_skill=reference,
        stop_reason=state.failure or ("the time limit was reached" if state.out_of_time else ""),
        chosen={**settings.model_dump(), **asdict(plan), **asdict(choose_capacity(data.shape, settings))},
        num_validation=len(data.validation),
    )


def no_skill_loss(state: State, data: Prepared) -> float:
    """The validation loss of always giving the same, best, answer."""
    outputs = state.objective.no_skill(data.train.targets).expand(len(data.validation), -1)
    return float(state.objective.row_losses(outputs, data.validation.targets).double().mean())


def importance_of(
    network: nn.Module, table: Table, state: State, targets: np.ndarray, settings: Settings
) -> list[Importance]:
    """How much worse the validation score gets when one column's cells are shuffled."""
    data = table.prepared
    if not is_table(data):
        return []  # there is a single column, and everything comes from it
    num_outputs = data.shape.num_outputs

    def predict(inputs: Mapping[str, Tensor]) -> np.ndarray:
        return in_user_units(state.objective.predict(state.objective.unite(network(inputs))), data)

    with torch.inference_mode():
        return permutation_importance(
            predict,
            data.validation.inputs,
            targets,
            input_positions(table.preparation),
            kind=table.task.kind,
            seed=settings.seed,
            repeats=3 if num_outputs <= MANY_CLASSES else 1,
            max_rows=2_000 if num_outputs <= MANY_CLASSES else 500,
            max_columns=200 if num_outputs <= MANY_CLASSES else 25,
        )


def input_positions(preparation: Preparation) -> dict[str, list[tuple[str, int]]]:
    """A user's column -> where its prepared inputs stand: [(input name, position), ...]."""
    positions: dict[str, list[tuple[str, int]]] = {}
    num_numbers = num_categories = 0
    for feature in preparation.features:
        if isinstance(feature, CategoryFeature):
            positions[feature.column] = [("categories", num_categories)]
            num_categories += 1
        elif isinstance(feature, ImageFeature):
            positions[feature.column] = [("images", channel) for channel in range(feature.channels)]
        else:
            width = len(feature.names)
            positions[feature.column] = [("numbers", num_numbers + offset) for offset in range(width)]
            num_numbers += width
    return positions


def test_table(table: Table, targets: np.ndarray, answers: np.ndarray) -> pa.Table:
    """The test rows with their true values, predictions and losses: all that reports and pages ever show of them."""
    task, rows = table.task, table.prepared.test.rows
    first = table.raw.table.num_rows - table.num_given_test_rows if table.num_given_test_rows else 0
    columns: dict[str, Any] = {"row": rows - first + 1}
    if (paths := image_paths(table.raw)) is not None:
        columns["path"] = paths.take(pa.array(rows))
    if task.kind == "regression":
        columns |= {"actual": targets, "prediction": answers}
    else:
        labels = np.array(task.classes)
        columns |= {"actual": labels[targets], "prediction": labels[answers.argmax(axis=1)]}
        columns |= {f"probability_{label}": answers[:, index] for index, label in enumerate(task.classes)}
    columns["loss"] = row_losses(task.kind, targets, answers)
    return pa.table(columns)


def report_contents(
    store: Store,
    table: Table,
    state: State,
    settings: Settings,
    log: Log,
    summary: Mapping[str, Any],
    results: Mapping[str, Any],
    predictions: pa.Table,
    epochs: list[Epoch],
) -> Contents:
    """Everything that the report shows."""
    stored = store.read_json("settings.json")
    important = [column for column, *_ in results["importance"]]
    features = [column.name for column in table.columns if column.name not in important]
    rows = readable(table.raw.table.select(important + features)).take(table.prepared.test.rows)
    capacity = choose_capacity(table.prepared.shape, settings)
    path = shlex.quote(str(store.path))
    return Contents(
        run_name=store.path.name,
        created=stored["created"],
        version=nudgenet.__version__,
        summary=summary,
        intervals=results["intervals"],
        comparisons=results["comparisons"],
        epochs=epochs,
        overfit_since=overfit_since(epochs),
        test_predictions=predictions,
        test_inputs=rows if rows.num_columns else None,
        importance=results["importance"],
        importance_metric=primary_metric(table.task.kind),
        columns=table.columns,
        warnings=log.warnings,
        network_text=f"{describe_layers(capacity, table.prepared.shape)}, {summary['parameters']:,} knobs",
        commands={
            "reproduce": stored["command"],
            "predict": f"nudge predict {path} NEW_ROWS.csv --output predictions.csv",
            "python": f'import nudgenet\n\nrun = nudgenet.load({str(store.path)!r})\nrun.predict("NEW_ROWS.csv")',
        },
        no_skill_loss=no_skill_loss(state, table.prepared),
    )
