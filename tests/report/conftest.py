"""Made-up but realistic contents of a report, one of each kind."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from nudgenet.records import Column, Epoch
from nudgenet.report.contents import Contents

DECISIONS = [
    {
        "what": "delimiter",
        "chosen": "semicolon",
        "why": "all 1,204 lines split into 9 cells",
        "override": "",
    },
    {
        "what": "task",
        "chosen": "binary",
        "why": "`churned` is yes or no",
        "override": "--set task=multiclass",
    },
    {
        "what": "network",
        "chosen": "2 layers of 32 neurons",
        "why": "843 training rows: about two rows for each knob would be too few for more",
        "override": "--set layers=1 --set width=16",
    },
    {
        "what": "column `customer_id`",
        "chosen": "left out",
        "why": "every value is different: an identifier says nothing about new rows",
        "override": "",
    },
    {
        "what": "dropout",
        "chosen": "0.1",
        "why": "few rows for the size of the network",
        "override": "--set dropout=0",
    },
]

COMMANDS = {
    "reproduce": "nudge train customers.csv --target churned --seed 0",
    "predict": "nudge predict runs/customers-20250102-101500 new.csv --output predictions.csv",
    "python": "import nudgenet\n\nrun = nudgenet.load('runs/customers-20250102-101500')\nrun.predict('new.csv')",
}


def epoch_at(number: int, train: float, validation: float, **metrics: float) -> Epoch:
    """An epoch with these losses; the metrics are those of the validation part."""
    return Epoch(
        epoch=number,
        step=number * 27,
        train_loss=train,
        validation_loss=validation,
        train_loss_se=0.01,
        validation_loss_se=0.02,
        learning_rate=1e-3,
        gradient_norm=0.4,
        seconds=0.12 * number,
        train_metrics={name: min(1.0, value * 1.03) for name, value in metrics.items()},
        validation_metrics=metrics,
    )


def summary_of(task: str, target: str, **more: Any) -> dict[str, Any]:
    """The JSON line of a run, without its scores."""
    return {
        "run": "runs/example",
        "task": task,
        "target": target,
        "rows": {"train": 843, "validation": 180, "test": 181},
        "decisions": DECISIONS,
        "parameters": 1731,
        "epochs": 40,
        "seconds": {"total": 6.3, "reading": 0.2, "baselines": 1.4, "training": 4.1, "report": 0.3},
        **more,
    }


def binary() -> Contents:
    """Overfitting, too close to call against one baseline."""
    random = np.random.default_rng(0)
    count = 181
    actual = random.random(count) < 0.38
    sure = np.clip(np.where(actual, 0.68, 0.3) + random.normal(0, 0.22, count), 0.01, 0.99)
    labels = np.array(["no", "yes"])
    predictions = pa.table(
        {
            "row": (np.sort(random.choice(1204, count, replace=False)) + 1).tolist(),
            "actual": labels[actual.astype(int)].tolist(),
            "prediction": labels[(sure > 0.5).astype(int)].tolist(),
            "loss": (-np.log(np.where(actual, sure, 1 - sure))).tolist(),
            "probability_no": (1 - sure).tolist(),
            "probability_yes": sure.tolist(),
        }
    )
    inputs = pa.table(
        {
            "contract": random.choice(["monthly", "one year", "two years"], count).tolist(),
            "monthly_charge": [f"{value:.2f}" for value in random.uniform(18, 118, count)],
            "months_as_customer": random.integers(0, 72, count).astype(str).tolist(),
            "internet": random.choice(["fibre", "DSL", None], count).tolist(),
            "payment": random.choice(["electronic check", "credit card (automatic)"], count).tolist(),
            "phone": random.choice(["yes", "no"], count).tolist(),
            "not_shown": ["x"] * count,
        }
    )
    epochs = tuple(
        epoch_at(
            i,
            0.35 + 0.34 * math.exp(-i / 9) - 0.0035 * i,
            0.44 + 0.27 * math.exp(-i / 7) + 0.00006 * max(0, i - 17) ** 2 + 0.004 * math.sin(i * 2.1),
            accuracy=0.8 - 0.18 * math.exp(-i / 6) + 0.006 * math.sin(i * 1.7),
            auc=0.86 - 0.2 * math.exp(-i / 5),
        )
        for i in range(1, 41)
    )
    summary = summary_of(
        "binary",
        "churned",
        metrics={
            "validation": {"accuracy": 0.822, "auc": 0.871, "f1": 0.74, "log_loss": 0.412},
            "test": {"accuracy": 0.8121, "auc": 0.8613, "f1": 0.7312, "log_loss": 0.4291},
        },
        baselines={
            "majority": {"test": {"accuracy": 0.619, "auc": 0.5, "f1": 0.0, "log_loss": 0.665}},
            "linear": {"test": {"accuracy": 0.801, "auc": 0.849, "f1": 0.702, "log_loss": 0.441}},
            "boosting": {"test": {"accuracy": 0.779, "auc": 0.831, "f1": 0.688, "log_loss": 0.489}},
        },
        verdict={
            "state": "overfitting",
            "best_epoch": 19,
            "reason": "At the best epoch (19) the validation loss (0.459) is above the training loss (0.325) by 0.134, "
            "7 times what chance would explain: the network knows `churned` of its own rows by heart.",
            "advice": [
                {"text": "Silence more neurons while training", "setting": "dropout", "value": 0.3},
                {"text": "Pull the knobs harder towards zero", "setting": "weight_decay", "value": 0.1},
                {"text": "Use a smaller network", "setting": "width", "value": 16},
                {"text": "Get more rows: it is the surest cure", "setting": "", "value": None},
            ],
        },
    )
    return Contents(
        run_name="customers-20250102-101500",
        created="2025-01-02T10:15:00+00:00",
        version="0.1.0",
        summary=summary,
        intervals={"accuracy": (0.751, 0.867), "auc": (0.802, 0.911), "log_loss": (0.36, 0.51)},
        comparisons=[
            {
                "metric": "accuracy",
                "other": "majority",
                "difference": 0.193,
                "low": 0.12,
                "high": 0.27,
                "verdict": "better",
            },
            {
                "metric": "accuracy",
                "other": "linear",
                "difference": 0.011,
                "low": -0.02,
                "high": 0.05,
                "verdict": "too close to call",
            },
            {
                "metric": "accuracy",
                "other": "boosting",
                "difference": 0.033,
                "low": 0.004,
                "high": 0.06,
                "verdict": "better",
            },
        ],
        epochs=epochs,
        overfit_since=24,
        test_predictions=predictions,
        test_inputs=inputs,
        importance=[
            ("contract", 0.11, 0.08, 0.14),
            ("months_as_customer", 0.062, 0.04, 0.085),
            ("monthly_charge", 0.03, 0.011, 0.05),
            ("internet", 0.012, -0.004, 0.03),
            ("payment", 0.0, -0.01, 0.01),
            ("phone", -0.006, -0.018, 0.004),
        ],
        importance_metric="accuracy",
        columns=(
            Column("contract", "category", "3 different words", num_unique=3),
            Column("monthly_charge", "number", "all 843 cells are numbers", num_unique=811),
            Column("months_as_customer", "number", "all cells are numbers", num_unique=72, num_missing=4),
            Column("customer_id", "identifier", "every value is different", num_unique=843),
        ),
        warnings=(
            "12 rows stand twice in `customers.csv`; both copies are in the same part.",
            "`total_charge` alone tells `churned` almost perfectly (98.7%): was it known at the time?",
        ),
        network_text="2 layers of 32 neurons, 1,731 knobs",
        commands=COMMANDS,
        no_skill_loss=0.66,
    )


def digits() -> Contents:
    """Ten classes, a good fit."""
    random = np.random.default_rng(1)
    count = 540
    actual = random.integers(0, 10, count)
    scores = random.gumbel(0, 1, (count, 10)) * 0.9
    scores[np.arange(count), actual] += 5.2
    scores[np.arange(count), (actual * 3 + 1) % 10] += 1.6
    odds = np.exp(scores)
    odds /= odds.sum(1, keepdims=True)
    predicted = odds.argmax(1)
    predictions = pa.table(
        {
            "row": list(range(1, count + 1)),
            "actual": actual.tolist(),
            "prediction": predicted.tolist(),
            "loss": (-np.log(odds[np.arange(count), actual])).tolist(),
            **{f"probability_{c}": odds[:, c].tolist() for c in range(10)},
        }
    )
    accuracy = float((predicted == actual).mean())
    epochs = tuple(
        epoch_at(
            i, 2.3 * math.exp(-i / 6) + 0.004, 2.3 * math.exp(-i / 5) + 0.09, accuracy=1 - 0.9 * math.exp(-i / 3) - 0.02
        )
        for i in range(1, 61)
    )
    return Contents(
        run_name="digits-20250102-120000",
        created="2025-01-02T12:00:00",
        version="0.1.0",
        summary=summary_of(
            "multiclass",
            "digit",
            metrics={
                "validation": {"accuracy": 0.984, "balanced_accuracy": 0.983, "log_loss": 0.061},
                "test": {"accuracy": accuracy, "balanced_accuracy": accuracy - 0.004, "log_loss": 0.071},
            },
            baselines={
                "majority": {"test": {"accuracy": 0.101, "balanced_accuracy": 0.1, "log_loss": 2.3026}},
                "linear": {"test": {"accuracy": 0.951, "balanced_accuracy": 0.95, "log_loss": 0.19}},
                "boosting": {"test": {"accuracy": 0.962, "balanced_accuracy": 0.961, "log_loss": 0.15}},
            },
            verdict={
                "state": "good_fit",
                "best_epoch": 52,
                "reason": "The validation loss stopped falling at epoch 52 and the training was stopped in time.",
                "advice": [],
            },
        ),
        intervals={"accuracy": (accuracy - 0.012, accuracy + 0.01)},
        comparisons=[
            {
                "metric": "accuracy",
                "other": name,
                "difference": 0.01,
                "low": 0.001,
                "high": 0.02,
                "verdict": "better",
            }
            for name in ("majority", "linear", "boosting")
        ],
        epochs=epochs,
        test_predictions=predictions,
        test_inputs=pa.table(
            {f"pixel_{r}_{c}": random.integers(0, 17, count).tolist() for r in range(2) for c in range(4)}
        ),
        importance=[
            (f"pixel_{i // 8}_{i % 8}", 0.03 * math.exp(-i / 9), 0.03 * math.exp(-i / 9) - 0.004, 0.03)
            for i in range(64)
        ],
        importance_metric="accuracy",
        network_text="1 layer of 64 neurons, 4,810 knobs",
        commands=COMMANDS,
    )


def houses() -> Contents:
    """A regression with large numbers, worse than boosting."""
    random = np.random.default_rng(2)
    count = 3096
    actual = np.exp(random.normal(12.1, 0.5, count)).round(-2)
    predicted = actual * np.exp(random.normal(0, 0.17, count))
    predictions = pa.table(
        {
            "row": list(range(1, count + 1)),
            "actual": actual.tolist(),
            "prediction": predicted.tolist(),
            "loss": ((predicted - actual) ** 2 / 1e10).tolist(),
        }
    )
    epochs = tuple(
        epoch_at(i, 0.22 + 60 * math.exp(-i / 2), 0.25 + 55 * math.exp(-i / 2), mae=40_000 + 60_000 * math.exp(-i / 4))
        for i in range(1, 26)
    )
    return Contents(
        run_name="houses-20250102-130000",
        created="2025-01-02T13:00:00",
        version="0.1.0",
        summary=summary_of(
            "regression",
            "median_house_value",
            metrics={
                "validation": {"rmse": 60_000.1, "mae": 41_022.4, "r2": 0.73},
                "test": {"rmse": 61_310.9, "mae": 41_544.2, "r2": 0.724},
            },
            baselines={
                "mean": {"test": {"mae": 91_220.0, "rmse": 115_000.0, "r2": -0.0002}},
                "linear": {"test": {"mae": 50_300.0, "rmse": 69_000.0, "r2": 0.63}},
                "boosting": {"test": {"mae": 33_120.0, "rmse": 49_900.0, "r2": 0.81}},
            },
            verdict={
                "state": "underfitting",
                "best_epoch": 25,
                "reason": "The validation loss was still falling at the last epoch (25).",
                "advice": [{"text": "Train for longer", "setting": "epochs", "value": 200}],
            },
        ),
        intervals={"rmse": (58_100.0, 64_020.0), "r2": (0.70, 0.745)},
        comparisons=[
            {
                "metric": "rmse",
                "other": "mean",
                "difference": -49_676,
                "low": -51_000,
                "high": -47_000,
                "verdict": "better",
            },
            {
                "metric": "rmse",
                "other": "linear",
                "difference": -8_756,
                "low": -9_800,
                "high": -7_500,
                "verdict": "better",
            },
            {
                "metric": "rmse",
                "other": "boosting",
                "difference": 8_424,
                "low": 7_300,
                "high": 9_500,
                "verdict": "worse",
            },
        ],
        epochs=epochs,
        test_predictions=predictions,
        test_inputs=pa.table(
            {
                "median_income": random.uniform(0.5, 15, count).tolist(),
                "ocean_proximity": random.choice(["INLAND", "NEAR BAY", "<1H OCEAN"], count).tolist(),
                "latitude": random.uniform(32, 42, count).round(2).tolist(),
            }
        ),
        importance=[("median_income", 22_000.0, 20_500.0, 23_400.0), ("latitude", 9_000.0, 8_100.0, 9_900.0)],
        importance_metric="rmse",
        network_text="3 layers of 128 neurons, 34,817 knobs",
        commands=COMMANDS,
    )


def diverged() -> Contents:
    """Cut short: no scores, no predictions, losses that are no longer numbers."""
    losses = [(0.9, 1.0), (4.0, 5.2), (800.0, 1900.0), (math.inf, math.nan)]
    return Contents(
        run_name="broken",
        created="yesterday",
        version="0.1.0",
        summary=summary_of(
            "regression",
            "price",
            metrics={"validation": {}, "test": None},
            baselines=None,
            verdict={
                "state": "diverged",
                "best_epoch": 1,
                "reason": "In step 96 the loss was no longer a number: the nudges were too large.",
                "advice": [{"text": "Take smaller nudges", "setting": "learning_rate", "value": 0.0001}],
            },
        ),
        epochs=tuple(epoch_at(i, *pair) for i, pair in enumerate(losses, 1)),
        commands={"resume": "nudge resume runs/broken"},
    )


def bare() -> Contents:
    """Nothing but the names."""
    return Contents(run_name="empty", created="", version="0.1.0", summary={})


EXAMPLES: dict[str, Callable[[], Contents]] = {
    "binary": binary,
    "digits": digits,
    "houses": houses,
    "diverged": diverged,
    "bare": bare,
}


@pytest.fixture
def example() -> Callable[[str], Contents]:
    """Contents by name: binary, digits, houses, diverged, bare."""
    return lambda name: EXAMPLES[name]()


@pytest.fixture(params=list(EXAMPLES))
def any_contents(request: pytest.FixtureRequest) -> Contents:
    """Every kind of contents, one after the other."""
    return EXAMPLES[request.param]()
