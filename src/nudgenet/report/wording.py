"""How numbers, scores and verdicts are said: one place for the report, the terminal and the notebook card."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeGuard

Tone = Literal["good", "warn", "bad", "unknown"]
ABSENT = "–"


class Metric(NamedTuple):
    """How a metric is spoken about."""

    label: str
    meaning: str
    higher_is_better: bool = True
    is_share: bool = False  # shown as a percentage
    decimals: int | None = None  # for scores whose scale is fixed; else three digits


METRICS: Mapping[str, Metric] = {
    "accuracy": Metric("accuracy", "share of rows that it gets right", is_share=True),
    "auc": Metric("AUC", "how well it ranks the classes apart; 0.5 is guessing, 1 is perfect", decimals=3),
    "f1": Metric("F1", "finds the class, and is right when it says so; 0 is worst, 1 is perfect", decimals=3),
    "log_loss": Metric("log loss", "how wrong its probabilities are; 0 is perfect", higher_is_better=False),
    "rmse": Metric("RMSE", "typical error, large ones counting more; 0 is perfect", higher_is_better=False),
    "mae": Metric("mean error", "how far off it is on average; 0 is perfect", higher_is_better=False),
    "r2": Metric(
        "R²", "share of the differences between rows that it explains; 1 is perfect, 0 is the mean", decimals=3
    ),
}

MAIN_METRICS: Mapping[str, str] = {"binary": "accuracy", "multiclass": "accuracy", "regression": "rmse"}

# state -> (sign, words, tone). The sign and the words say it without colour.
VERDICTS: Mapping[str, tuple[str, str, Tone]] = {
    "good_fit": ("✓", "Good fit", "good"),
    "overfitting": ("▲", "Overfitting", "warn"),
    "underfitting": ("▼", "Underfitting", "warn"),
    "not_learning": ("✗", "Not learning", "bad"),
    "diverged": ("✗", "Diverged", "bad"),
    "too_noisy": ("?", "Too noisy to tell", "unknown"),
}
_NO_VERDICT: tuple[str, str, Tone] = ("…", "No verdict yet", "unknown")

COMPARED: Mapping[str, tuple[str, str]] = {  # verdict of a comparison -> (sign, words)
    "better": ("▲", "better"),
    "worse": ("▼", "worse"),
    "too close to call": ("≈", "too close to call"),
}

MODELS: Mapping[str, str] = {
    "majority": "always the most common class",
    "mean": "always the mean",
    "linear": "a linear model",
    "boosting": "gradient boosting",
}

TASKS: Mapping[str, str] = {
    "binary": "one of two classes",
    "multiclass": "one of several classes",
    "regression": "a number",
}


def number(value: object, digits: int = 3) -> str:
    """A number for people: `digits` significant digits, thousands separators; a dash for what is not there."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ABSENT
    if isinstance(value, int) or (value.is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    if math.isnan(value):
        return ABSENT
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    size = abs(value)
    if size >= 1e15 or size < 1e-4:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        return f"{mantissa}e{int(exponent)}"
    decimals = max(0, digits - 1 - math.floor(math.log10(size)))
    return f"{value:,.{decimals}f}"


def loss_text(value: float) -> str:
    """A loss, also one that is no longer a number."""
    return "not a number" if math.isnan(value) else number(value)


def signed(value: object) -> str:
    """A difference, with its sign."""
    text = number(value)
    return f"+{text}" if isinstance(value, (int, float)) and value > 0 else text.replace("-", "−")


def percent(share: float) -> str:
    """0.8123 -> "81.2%"; what is not exactly all or nothing is never rounded to it."""
    if not math.isfinite(share):
        return ABSENT
    text = f"{100 * share:.1f}"
    if (text == "100.0" and share < 1) or (text == "0.0" and share > 0):
        text = f"{100 * share:.3g}" if share < 0.5 else "99.9"
    return f"{text}%"


def times(share: float) -> str:
    """0.8123 -> "81 of 100"; near the ends "997 of 1,000"."""
    out_of = 100 if 0.02 <= share <= 0.98 or share in (0.0, 1.0) else 1000
    count = round(share * out_of)
    if share < 1:
        count = min(count, out_of - 1)
    return f"{count:,} of {out_of:,}"


def duration(seconds: float) -> str:
    """75.2 -> "1 min 15 s"."""
    if not math.isfinite(seconds):
        return ABSENT
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def shortened(value: object, limit: int = 40) -> str:
    """Text on one line, cut with an ellipsis."""
    text = " ".join(str(value).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def value_text(value: object, limit: int = 40) -> str:
    """A cell, label or prediction for people; an empty cell is said to be one."""
    if value is None or value == "":
        return "(empty)"
    if isinstance(value, float):
        return number(value, digits=4)
    return shortened(value, limit)  # whole numbers stay as they are: a year or a code has no separators


def metric(name: str) -> Metric:
    """How a metric is spoken about; one that is not known keeps its name."""
    return METRICS.get(name, Metric(name.replace("_", " "), ""))


def score(name: str, value: object) -> str:
    """A metric's value: shares as a percentage, others as a number."""
    if not is_number(value):
        return number(value)
    found = metric(name)
    if found.is_share:
        return percent(value)
    if found.decimals is not None and abs(value) < 1000:
        text = f"{value:.{found.decimals}f}"
        return text.removeprefix("-") if float(text) == 0 else text
    return number(float(value))


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def verdict_words(summary: Mapping[str, Any]) -> tuple[str, str, Tone]:
    """(sign, words, tone) of a run's verdict."""
    state = str((summary.get("verdict") or {}).get("state") or "")
    return VERDICTS.get(state, _NO_VERDICT if not state else ("?", state.replace("_", " "), "unknown"))


def flag(advice: Mapping[str, Any]) -> str:
    """What to type to follow a piece of advice: `--set dropout=0.3`; "" if no setting does it or its text says it."""
    setting, value = advice.get("setting"), advice.get("value")
    typed = f"--set {setting}={value}" if setting and value not in (None, "") else ""
    return "" if typed in str(advice.get("text", "")) else typed


def metrics_of(summary: Mapping[str, Any], part: str) -> Mapping[str, float]:
    """The network's metrics on a part; empty if they are not there."""
    return (summary.get("metrics") or {}).get(part) or {}


def baselines_of(summary: Mapping[str, Any], part: str) -> dict[str, Mapping[str, float]]:
    """Baseline's name -> its metrics on a part; only those that have some."""
    found = {name: (parts or {}).get(part) or {} for name, parts in (summary.get("baselines") or {}).items()}
    return {name: values for name, values in found.items() if values}


def models_of(summary: Mapping[str, Any]) -> Mapping[str, str]:
    """Baseline's name -> how it is spoken of, with what makes it no equal of the network."""
    notes: Mapping[str, str] = summary.get("baseline_notes") or {}
    return {**MODELS, **{name: f"{MODELS.get(name, name)} ({note})" for name, note in notes.items()}}


def main_metric(summary: Mapping[str, Any]) -> str:
    """The metric that counts, which a person is told first; "" if the run has none."""
    found = metrics_of(summary, "test") or metrics_of(summary, "validation")
    first = str(summary.get("metric") or MAIN_METRICS.get(str(summary.get("task")), ""))
    return first if first in found else next(iter(found), "")


def interval_in_words(summary: Mapping[str, Any]) -> str:
    """The 95 % interval of the metric that counts, on the test part; "" if it is not known."""
    interval, name = summary.get("interval"), main_metric(summary)
    if not interval or not all(map(is_number, interval)):
        return ""
    low, high = (score(name, bound) for bound in interval)
    return f"{low} to {high}"


def probabilities_in_words(summary: Mapping[str, Any], part: str) -> str:
    """Whether probabilities can be taken at their word, what was done about it, and from where on it says yes."""
    said = []
    found = summary.get("calibration") or {}
    errors = (found.get("ece") or {}).get(part) or {}
    if is_number(errors.get("before")) and is_number(errors.get("after")):
        said.append(f"Its probabilities are off by {points(errors['after'])} points on average (calibration error)")
        if found.get("temperature") != 1:
            said[-1] += (
                f"; by {points(errors['before'])} before a temperature of {number(found['temperature'])} from the validation part"
            )
    threshold = summary.get("threshold") or {}
    if threshold.get("above", 0.5) != 0.5:
        above = percent(float(threshold["above"]))
        said.append(f"It answers `{shortened(threshold['class'])}` from a probability of {above} on")
    return "".join(f"{sentence}. " for sentence in said).rstrip()


def score_in_words(name: str, value: float, target: str) -> str:
    """What a score means, as the end of a sentence that begins with a model's name."""
    sentences = {
        "accuracy": lambda: f"gets {times(value)} right",
        "auc": lambda: f"puts a row of each class in the right order {times(value)} times",
        "mae": lambda: f"is off by {number(value)} on average",
        "rmse": lambda: f"is typically off by {number(value)}",
        "r2": lambda: (
            f"explains {percent(value)} of the differences in `{target}`"
            if value > 0
            else f"explains nothing of the differences in `{target}`"
        ),
    }
    said = sentences.get(name)
    return said() if said else f"has a {metric(name).label} of {score(name, value)}"


def worth_it(comparisons: Sequence[Mapping[str, Any]], name: str, models: Mapping[str, str] = MODELS) -> str:
    """Whether a network was worth it here: one sentence from the comparisons on one metric; "" without any."""
    against: dict[str, list[str]] = {"better": [], "worse": [], "too close to call": []}
    for comparison in comparisons:
        if comparison.get("metric") == name:
            verdict = str(comparison.get("verdict", "")).replace("_", " ")
            against.setdefault(verdict, []).append(models.get(str(comparison["other"]), str(comparison["other"])))
    if not any(against.values()):
        return ""
    if against["worse"]:
        does = "does" if len(against["worse"]) == 1 else "do"
        return f"Not yet worth a network: {_and(against['worse'])} {does} better on these rows."
    if against["too close to call"]:
        return (
            f"Too close to call against {_and(against['too close to call'])}: "
            "on these rows chance alone could explain the difference."
        )
    return "Worth a network: it beats every simple baseline by more than chance would explain."


def points(share: float, *, sign: bool = False) -> str:
    """A difference of shares, in points of a hundred: 0.0123 -> "1.2"."""
    rounded = round(100 * share, 1) + 0.0  # the sum turns minus zero into zero
    return (f"{rounded:+.1f}" if sign and rounded else f"{rounded:.1f}").replace("-", "−")


def difference_range(name: str, low: float, high: float) -> str:
    """How far two scores are apart, from a low to a high bound: shares in points, others as numbers."""
    if metric(name).is_share:
        return f"{points(low, sign=True)} to {points(high, sign=True)} points"
    return f"{signed(low)} to {signed(high)}"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
