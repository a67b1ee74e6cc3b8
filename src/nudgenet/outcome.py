"""After the loop: the test part is read once, the baselines are fitted, the verdict is given, the report written."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor, nn

import nudgenet
from nudgenet import bookkeeping
from nudgenet.data.batches import subset
from nudgenet.data.media import media_paths, readable
from nudgenet.data.memory import give_back
from nudgenet.data.spans import input_positions
from nudgenet.data.texts import weigh_terms
from nudgenet.errors import counted
from nudgenet.exhibits import galleries
from nudgenet.explanations import mark_worst
from nudgenet.job import Job, Log, Table
from nudgenet.networks.capacity import choose_capacity, describe_layers
from nudgenet.networks.mlp import num_parameters
from nudgenet.records import Decision, Epoch, Part, Prepared, TaskKind, Verdict
from nudgenet.report.contents import Contents
from nudgenet.report.page import render
from nudgenet.runs.store import Store, as_parquet
from nudgenet.scoring.answers import AnswerRule
from nudgenet.scoring.baselines import ALL_BASELINES, Baseline, TableArrays, fit_baselines
from nudgenet.scoring.importance import Importance, permutation_importance
from nudgenet.scoring.intervals import assess
from nudgenet.scoring.metrics import row_losses, score
from nudgenet.scoring.rule import calibration_of, choose_rule, explain_rule
from nudgenet.settings import Settings
from nudgenet.training.budget import affordable
from nudgenet.training.loop import evaluate, in_user_units
from nudgenet.training.objectives import Objective, answer_function
from nudgenet.training.place import rows_at_once
from nudgenet.training.pretrained import recommend_start
from nudgenet.training.state import State
from nudgenet.watching.curves import overfit_since
from nudgenet.watching.verdict import verdict

MANY_CLASSES = 256  # with more, every answer is so long that importance is measured on fewer of them


@dataclass(frozen=True)
class Answers:
    """What a model answers for the rows of each held-out part, by the rule that was chosen on its validation rows.

    unscaled, scaled: part -> probabilities (rows, classes) before and after the temperature, or numbers (rows,).
    """

    unscaled: Mapping[str, np.ndarray]
    scaled: Mapping[str, np.ndarray]
    rule: AnswerRule

    @classmethod
    def choose(
        cls, found: Mapping[str, np.ndarray], targets: Mapping[str, np.ndarray], table: Table, settings: Settings
    ) -> Answers:
        """The network and the simple models beside it are treated alike: each gets a rule of its own."""
        rule = choose_rule(table.task.kind, table.metric, targets["validation"], found["validation"], settings)
        return cls(found, {part: rule.scale(answers) for part, answers in found.items()}, rule)

    def scores(self, kind: TaskKind, targets: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
        """Every metric on each part; none on a test part that stays unread."""
        threshold = self.rule.threshold
        found = {part: score(kind, targets[part], self.scaled[part], threshold=threshold) for part in targets}
        return {**found, "test": found.get("test", {})}

    def explain(self, targets: np.ndarray, table: Table, settings: Settings) -> list[Decision]:
        """The rule in words, with what it did for the validation rows."""
        task, found = table.task, self.unscaled["validation"]
        return explain_rule(self.rule, task.kind, table.metric, targets, found, settings, task.classes)


def conclude(
    store: Store, table: Table, state: State, log: Log, job: Job, settings: Settings, seconds: dict[str, float]
) -> None:
    """Score the best network and the baselines on the same rows, judge the training, and write the report.

    Raises:
        Interrupted: somebody asked to stop; a resumed run comes back to here.
    """
    data = table.prepared
    began = time.perf_counter()
    network = best_network(state)
    parts = scored_parts(data, settings, log)
    targets = {name: true_values(table, part) for name, part in parts.items()}
    seconds["train"] = state.seconds

    baselines = fit_rivals(store, table, parts, state, log, job, settings) if settings.baselines else []
    seconds["baselines"] = time.perf_counter() - began

    job.observer.stage("Writing the report")
    began = time.perf_counter()
    # Nothing can be stopped any more: the network meets the test part here, once.
    found = {name: answers_of(network, part, state.objective, data) for name, part in parts.items()}
    ours = Answers.choose(found, targets, table, settings)
    rivals = {
        baseline.name: Answers.choose({name: getattr(baseline, name) for name in parts}, targets, table, settings)
        for baseline in baselines
    }
    log.decide(ours.explain(targets["validation"], table, settings))
    bookkeeping.warn_of_the_clock(state, log)
    bookkeeping.write_decisions(store, log)
    store.save_answer_rule(asdict(ours.rule))
    epochs = store.epochs()
    judged = judge(epochs, table, state, settings, baselines, targets["validation"])
    trust = trust_in(table, targets, ours, rivals, settings.seed)
    summary = summarise(store, table, log, judged, ours, rivals, targets)
    if notes := {baseline.name: baseline.note for baseline in baselines if baseline.note}:
        summary |= {"baseline_notes": notes}
    summary |= {"interval": trust["intervals"].get(table.metric)}
    summary |= {"parameters": num_parameters(network), "epochs": len(epochs)}
    results = {
        "evidence": dict(judged.evidence),
        **trust,
        "importance": [
            (item.column, item.drop, item.low, item.high)
            for item in importance_of(network, table, state, targets["validation"], ours.rule, settings)
        ],
    }
    give_back()
    predictions = None
    if "test" in parts:
        predictions = test_table(table, targets["test"], ours)
        store.write("test_predictions.parquet", as_parquet(predictions))
    seconds["report"] = time.perf_counter() - began
    summary["seconds"] = {"total": sum(seconds.values()), **seconds}
    for name, content in (results | {"summary": summary}).items():
        store.save_result(name, content)
    contents = report_contents(store, table, state, settings, log, summary, results, predictions, epochs)
    if "test" in parts:
        contents = with_exhibits(contents, network, table, state, ours, settings)
    store.write("report.html", render(contents).encode())
    store.finish(summary)


def with_exhibits(
    report: Contents, network: nn.Module, table: Table, state: State, ours: Answers, settings: Settings
) -> Contents:
    """The report with what can be shown of single test rows: images, sounds, texts."""
    targets, answers = true_values(table, table.prepared.test), ours.scaled["test"]
    shown = galleries(network, table, targets, answers, ours.rule, settings)
    predict = answering(network, state, table.prepared, ours.rule)
    to_answers = answer_function(table.task.kind, settings)
    marked = mark_worst(network, to_answers, predict, table, targets, answers, ours.rule)
    return replace(report, galleries=shown, texts=marked)


def fit_rivals(
    store: Store, table: Table, parts: Mapping[str, Part], state: State, log: Log, job: Job, settings: Settings
) -> list[Baseline]:
    """The simple models, fitted on the rows that the network learned from. Raises Interrupted between two of them."""
    kind, data = table.task.kind, table.prepared
    job.observer.stage("Fitting the baselines on the same rows")
    train, fewer = affordable(data, settings)
    log.decide(fewer)
    unread = subset(data.test, torch.zeros(0, dtype=torch.long))
    arrays = {name: as_arrays(table, part) for name, part in {"train": train, "test": unread, **parts}.items()}
    # On the pixels of images, trees cost minutes and are never the best answer; of texts alone they see nothing.
    names = ALL_BASELINES if is_table(data) or data.shape.medium == "sound" else ("majority", "mean", "linear")
    baselines = []
    classes, rows = len(table.task.classes), len(data.train)
    for baseline in fit_baselines(kind, arrays, num_classes=classes, seed=settings.seed, names=names, num_rows=rows):
        baselines.append(baseline)
        bookkeeping.leave_if_stopped(job, store, state)
    return baselines


def summarise(
    store: Store,
    table: Table,
    log: Log,
    judged: Verdict,
    ours: Answers,
    rivals: Mapping[str, Answers],
    targets: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """The JSON line, as far as it does not depend on the network itself."""
    kind, data = table.task.kind, table.prepared
    is_binary = kind == "binary"
    return {
        "run": str(store.path),
        "task": kind,
        "target": table.task.target,
        "rows": {"train": len(data.train), "validation": len(data.validation), "test": len(data.test)},
        "metric": table.metric,
        "metrics": ours.scores(kind, targets),
        "baselines": {name: rival.scores(kind, targets) for name, rival in rivals.items()},
        "calibration": None if kind == "regression" else calibration_of(ours.rule, targets, ours.unscaled),
        "threshold": {"class": table.task.classes[1], "above": ours.rule.threshold} if is_binary else None,
        "verdict": {
            "state": judged.state,
            "best_epoch": judged.best_epoch,
            "reason": judged.reason,
            "advice": [asdict(advice) for advice in judged.advice],
        },
        "decisions": [asdict(decision) for decision in log.decisions],
    }


def trust_in(
    table: Table, targets: Mapping[str, np.ndarray], ours: Answers, rivals: Mapping[str, Answers], seed: int
) -> dict[str, Any]:
    """How far the test scores can be trusted, if there are any: their intervals, the comparison with each baseline."""
    if "test" not in targets:
        return {"intervals": {}, "comparisons": []}
    intervals, comparisons = assess(
        table.task.kind,
        targets["test"],
        ours.scaled["test"],
        {name: rival.scaled["test"] for name, rival in rivals.items()},
        metric=table.metric,
        seed=seed,
        threshold=ours.rule.threshold,
        rival_thresholds={name: rival.rule.threshold for name, rival in rivals.items()},
    )
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


def scored_parts(data: Prepared, settings: Settings, log: Log) -> dict[str, Part]:
    """The parts that the network was not trained on; the test part only if it is to be read."""
    parts = {"validation": data.validation}
    if settings.score_test:
        return parts | {"test": data.test}
    why = "as set: whoever looks at it again and again ends up choosing by it"
    log.decide(
        [Decision("test part", f"{counted(len(data.test), 'row')} that stay unread", why, "--set score_test=true")]
    )
    return parts


def best_network(state: State) -> nn.Module:
    """The network with the weights of its best epoch (of its last step, if no epoch was ever finished)."""
    network = state.kept
    if state.best_weights:
        network.load_state_dict(state.best_weights)
    return network.eval()


def true_values(table: Table, part: Part) -> np.ndarray:
    """The targets of a part as they stand in the source: class indices, or float64 in the user's unit."""
    values: np.ndarray = table.targets[part.rows]
    return values


def answers_of(network: nn.Module, part: Part, objective: Objective, data: Prepared) -> np.ndarray:
    """Probabilities (rows, classes), or numbers (rows,) in the user's unit."""
    return in_user_units(evaluate(network, part, objective, rows_at_once(data.shape.num_outputs))[1], data)


def is_table(data: Prepared) -> bool:
    """Whether there are columns besides an image, a sound or texts."""
    shape = data.shape
    return shape.medium is None or shape.num_numbers + len(shape.cardinalities) > 0


def as_arrays(table: Table, part: Part) -> TableArrays:
    """A part as the baselines take it: the same prepared rows that the network sees."""
    numbers, categories = part.inputs["numbers"].cpu().numpy(), part.inputs["categories"].cpu().numpy()
    if (media := table.preparation.media) is not None:
        numbers = np.hstack([numbers, media.pooled(part.inputs[media.input])])
    terms = None
    if (text := table.prepared.shape.text) is not None:
        terms = weigh_terms(part.inputs, text)
    return TableArrays(numbers, categories, table.prepared.shape.cardinalities, true_values(table, part), terms=terms)


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
    reference, notes = {}, {}
    if state.objective.name in ("cross_entropy", "mse"):
        # The same loss for the simple models: squared errors in standardised units, or log loss.
        unit = data.target_scale if table.task.kind == "regression" else 1.0
        for baseline in baselines:
            if baseline.name in ("linear", "boosting"):
                is_number = table.task.kind == "regression"
                pair = (targets / unit, baseline.validation / unit) if is_number else (targets, baseline.validation)
                losses = row_losses(table.task.kind, *pair)
                on_terms = baseline.name == "linear" and data.shape.medium == "text"  # none on pixels, too
                name = "terms" if on_terms else baseline.name
                reference[name], notes[name] = float(losses.mean()), baseline.note
    trained = data.train.targets.cpu().numpy()
    shares = shares_of(trained, targets) if table.task.classes else {}
    if state.objective.name != "cross_entropy":
        shares.pop("constant_loss", None)  # it would be in another unit than the curves
    judged = verdict(
        epochs,
        baseline_loss=no_skill_loss(state, data),
        kind=table.task.kind,
        num_train=len(data.train),
        num_parameters=num_parameters(state.network),
        stopped_early=state.stopping.is_over and state.epoch < plan.epochs,
        settings=settings,
        reference_skill=reference,
        reference_notes=notes,
        stop_reason=state.failure or ("the time limit was reached" if state.out_of_time else ""),
        chosen={**settings.model_dump(), **asdict(plan), **asdict(choose_capacity(data.shape, settings))},
        num_validation=len(data.validation),
        **shares,
    )
    start = recommend_start(data.shape, settings)
    return judged if start is None else replace(judged, advice=(start, *judged.advice))


def shares_of(trained: np.ndarray, targets: np.ndarray) -> dict[str, Any]:
    """What the classes' shares alone tell of the validation rows, as `verdict` takes it; both arrays are class indices."""
    counts = np.unique(targets, return_counts=True)[1]
    others, shares = len(targets) - counts, counts / len(targets)
    error = float(np.sqrt((len(targets) + 1) / (12 * counts * others)).mean()) if others.all() else None  # Mann-Whitney
    return {
        "constant_loss": float(
            (shares * np.log(1 / shares)).sum()
        ),  # of the shares themselves: nothing constant is lower
        "constant_accuracy": float(shares.max()),
        "chance_auc_error": error,
        "num_unseen": int((~np.isin(targets, trained)).sum()),
    }


def no_skill_loss(state: State, data: Prepared) -> float:
    """The validation loss of always giving the same, best, answer."""
    outputs = state.objective.no_skill(data.train.targets).expand(len(data.validation), -1)
    return float(state.objective.row_losses(outputs, data.validation.targets).double().mean())


def answering(
    network: nn.Module, state: State, data: Prepared, rule: AnswerRule
) -> Callable[[Mapping[str, Tensor]], np.ndarray]:
    """A function from prepared inputs to answers as `score` takes them, some rows at once."""
    at_once = rows_at_once(data.shape.num_outputs)

    def predict(inputs: Mapping[str, Tensor]) -> np.ndarray:
        chunks = zip(*(torch.split(tensor, at_once) for tensor in inputs.values()), strict=True)
        with torch.inference_mode():
            outputs = [state.objective.unite(network(dict(zip(inputs, chunk, strict=True)))) for chunk in chunks]
            return rule.scale(in_user_units(state.objective.predict(torch.cat(outputs)), data))

    return predict


def importance_of(
    network: nn.Module, table: Table, state: State, targets: np.ndarray, rule: AnswerRule, settings: Settings
) -> list[Importance]:
    """How much worse the metric that counts gets on the validation part when one column's cells are shuffled."""
    data = table.prepared
    positions = input_positions(table.preparation)
    if not is_table(data) and len(positions) < 2:
        return []  # there is a single column, and everything comes from it
    num_outputs = data.shape.num_outputs

    return permutation_importance(
        answering(network, state, data, rule),
        data.validation.inputs,
        targets,
        positions,
        kind=table.task.kind,
        seed=settings.seed,
        metric=table.metric,
        threshold=rule.threshold,
        repeats=2 if num_outputs <= MANY_CLASSES else 1,
        max_rows=2_000 if num_outputs <= MANY_CLASSES else 500,
        max_columns=200 if num_outputs <= MANY_CLASSES else 25,
    )


def test_table(table: Table, targets: np.ndarray, ours: Answers) -> pa.Table:
    """The test rows with their true values, predictions and losses: all that reports and pages ever show of them."""
    task, rows, answers = table.task, table.prepared.test.rows, ours.scaled["test"]
    first = len(table.targets) - table.num_given_test_rows if table.num_given_test_rows else 0
    columns: dict[str, Any] = {"row": rows - first + 1}
    if (paths := media_paths(table.test_cells)) is not None:
        columns["path"] = paths
    if task.kind == "regression":
        columns |= {"actual": targets, "prediction": answers}
    else:
        labels = np.array(task.classes)
        columns |= {"actual": labels[targets], "prediction": labels[ours.rule.decide(answers)]}
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
    predictions: pa.Table | None,
    epochs: list[Epoch],
) -> Contents:
    """Everything that the report shows."""
    stored = store.read_json("settings.json")
    important = [column for column, *_ in results["importance"]]
    features = [column.name for column in table.columns if column.name not in important]
    rows = readable(table.test_cells.select(important + features)) if predictions is not None else None
    capacity = choose_capacity(table.prepared.shape, settings)
    path, new_rows = shlex.quote(str(store.path)), table.preparation.example_source[0]
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
        test_inputs=rows if rows is not None and rows.num_columns else None,
        importance=results["importance"],
        importance_metric=table.metric,
        columns=table.columns,
        warnings=log.warnings,
        network_text=f"{describe_layers(capacity, table.prepared.shape)}, {summary['parameters']:,} knobs",
        commands={
            "reproduce": stored["command"],
            "predict": f"nudge predict {path} {new_rows} --output predictions.csv",
            "python": f'import nudgenet\n\nrun = nudgenet.load({str(store.path)!r})\nrun.predict("{new_rows}")',
        },
        no_skill_loss=no_skill_loss(state, table.prepared),
    )
