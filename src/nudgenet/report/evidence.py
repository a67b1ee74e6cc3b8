"""The parts of a report that tell how good the network is: the score, its mistakes, the columns that mattered.

Each is a function from the contents to HTML, and gives nothing back when there is nothing to show.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nudgenet.errors import counted
from nudgenet.report import charts
from nudgenet.report.contents import Contents
from nudgenet.report.markup import Html, escape, join, paragraph, prose, section, table
from nudgenet.report.wording import (
    ABSENT,
    COMPARED,
    MODELS,
    baselines_of,
    difference_range,
    is_number,
    main_metric,
    metric,
    metrics_of,
    models_of,
    number,
    percent,
    points,
    probabilities_in_words,
    score,
    score_in_words,
    shortened,
    signed,
    value_text,
    worth_it,
)

if TYPE_CHECKING:
    import pyarrow as pa

MOST_CLASSES = 20  # a larger matrix is no longer read: its biggest confusions are listed
MOST_POINTS = 1_500
NUM_WORST = 10
NUM_CELLS = 6
MOST_BARS = 15
MOST_METRICS = 6


def scores(contents: Contents) -> Html:
    """The main score in plain words, and every score beside the baselines."""
    summary = contents.summary
    part = "test" if metrics_of(summary, "test") else "validation"
    ours = metrics_of(summary, part)
    name = main_metric(summary)
    if not name or not is_number(ours.get(name)):
        return Html("")
    value = float(ours[name])
    label = f"{metric(name).label} on the {part} part"
    pieces = [Html(f'<p class="big"><small>{escape(label)}</small>{escape(score(name, value))}</p>')]
    pieces.append(paragraph(_in_words(contents, name, value, part)))
    if part == "validation":
        pieces.append(paragraph("There is no test score: these rows helped to choose the network, so it flatters."))
    pieces.append(paragraph(worth_it(contents.comparisons, name, models_of(summary))))
    pieces.append(_score_table(contents, part, name))
    pieces.append(_calibration(contents))
    return section("score", "The score", join(pieces))


def _in_words(contents: Contents, name: str, value: float, part: str) -> str:
    """What the score means; the simplest baseline beside it; how sure it is."""
    target = str(contents.summary.get("target", ""))
    rows = (contents.summary.get("rows") or {}).get(part)
    asked = f"Asked about {counted(rows, 'row')}" if isinstance(rows, int) else "On rows"
    asked += " that it never saw"
    said = f"{asked}, the network {score_in_words(name, value, target)}"
    baselines = baselines_of(contents.summary, part)
    plain = next((model for model in ("majority", "mean") if is_number(baselines.get(model, {}).get(name))), None)
    if plain:
        model = MODELS[plain].replace("always", "always answering", 1)
        said += f"; {model} {score_in_words(name, float(baselines[plain][name]), target)}"
    said += "."
    interval = contents.intervals.get(name) if part == "test" else None
    if interval and all(map(is_number, interval)):
        low, high = (score(name, bound) for bound in interval)
        said += f" With other rows of the same kind, expect between {low} and {high} (95% interval)."
    return said


def _score_table(contents: Contents, part: str, name: str) -> Html:
    ours = metrics_of(contents.summary, part)
    baselines = baselines_of(contents.summary, part)
    names = [name, *(other for other in ours if other != name)][:MOST_METRICS]
    compared = (
        {str(c.get("other")): c for c in contents.comparisons if c.get("metric") == name} if part == "test" else {}
    )
    header: list[object] = ["", *(_metric_head(other) for other in names)]
    rows: list[list[object]] = [
        [Html("<strong>this network</strong>"), *(_score_cell(contents, n, part) for n in names)]
    ]
    models = models_of(contents.summary)
    for model, values in baselines.items():
        rows.append([models.get(model, model), *(score(n, values.get(n)) for n in names)])
    if compared:
        header.append("the network is")
        rows[0].append("")
        for row, model in zip(rows[1:], baselines, strict=True):
            row.append(_comparison(compared.get(model), name))
    caption = f"Scores on the {part} part" + (
        f"; the last column compares {metric(name).label} on the same rows (paired bootstrap)" if compared else ""
    )
    meanings = join(
        Html(f"<li>{escape(metric(n).label)}: {escape(metric(n).meaning)}.</li>") for n in names if metric(n).meaning
    )
    listed = table(caption, header, rows, kind="stack", numeric=range(1, len(names) + 1))
    return join([listed, Html(f'<ul class="note">\n{meanings}\n</ul>') if meanings else Html("")])


def _calibration(contents: Contents) -> Html:
    """How far probabilities are from being right as often as they say, before and after the temperature."""
    found: Mapping[str, Any] = contents.summary.get("calibration") or {}
    errors: Mapping[str, Any] = found.get("ece") or {}
    part = "test" if is_number((errors.get("test") or {}).get("after")) else "validation"
    said = probabilities_in_words(contents.summary, part)
    if said and contents.summary.get("baselines"):
        said += " The simple models were each given a temperature and a threshold in the same way."
    words = paragraph(said)
    if not errors or found.get("temperature") == 1:
        return words
    rows = [
        (f"{name} part", *(f"{points(errors[name][when])} points" for when in ("before", "after")))
        for name in ("validation", "test")
        if all(is_number((errors.get(name) or {}).get(when)) for when in ("before", "after"))
    ]
    caption = f"Calibration error before and after the temperature of {number(found['temperature'])}"
    return join([words, table(caption, ("", "before", "after"), rows, numeric=(1, 2))])


def _metric_head(name: str) -> str:
    return metric(name).label


def _score_cell(contents: Contents, name: str, part: str) -> Html:
    said = escape(score(name, metrics_of(contents.summary, part).get(name)))
    interval = contents.intervals.get(name) if part == "test" else None
    if not interval or not all(map(is_number, interval)):
        return Html(f"<strong>{said}</strong>")
    low, high = (escape(score(name, bound)) for bound in interval)
    return Html(f"<strong>{said}</strong> <small>{low} to {high}</small>")


def _comparison(comparison: Mapping[str, Any] | None, name: str) -> Html:
    if comparison is None:
        return escape(ABSENT)
    verdict = str(comparison.get("verdict", "")).replace("_", " ")
    sign, words = COMPARED.get(verdict, ("", verdict))
    kind = verdict if verdict in ("better", "worse") else "close"
    cell = f'<span class="{kind}"><span aria-hidden="true">{sign}</span> {escape(words)}</span>'
    low, high = comparison.get("low"), comparison.get("high")
    if is_number(low) and is_number(high):
        cell += f" <small>{escape(difference_range(name, low, high))}</small>"
    return Html(cell)


def mistakes(contents: Contents) -> Html:
    """Classes: which were taken for which. Numbers: predicted over true."""
    predictions = contents.test_predictions
    if predictions is None or predictions.num_rows == 0:
        return Html("")
    if contents.summary.get("task") == "regression":
        target = str(contents.summary.get("target") or "the target")
        return section("mistakes", "Predicted against true", _scatter(predictions, target))
    return section("mistakes", "What it mixes up", _confusions(predictions))


def _confusions(predictions: pa.Table) -> Html:
    grouped = (
        predictions.select(["actual", "prediction"]).group_by(["actual", "prediction"]).aggregate([([], "count_all")])
    )
    counts = {
        (_label(pair["actual"]), _label(pair["prediction"])): int(pair["count_all"]) for pair in grouped.to_pylist()
    }
    totals: Counter[str] = Counter()
    for (true, _), count in counts.items():
        totals[true] += count
    classes = sorted({label for pair in counts for label in pair}, key=_natural)
    right = sum(count for (a, b), count in counts.items() if a == b)
    wrong = sorted(((n, a, b) for (a, b), n in counts.items() if a != b), key=lambda w: (-w[0], w[1], w[2]))
    said = f"{right:,} of {counted(predictions.num_rows, 'test row')} {'is' if right == 1 else 'are'} right."
    if wrong:
        count, true, taken = wrong[0]
        said += f" Most often it took `{shortened(true)}` for `{shortened(taken)}`: {'once' if count == 1 else f'{count:,} times'} out of {totals[true]:,}."
    if len(classes) <= MOST_CLASSES:
        return join([paragraph(said), _matrix(classes, counts, totals)])
    rows = [(shortened(a), shortened(b), f"{n:,}", percent(n / totals[a])) for n, a, b in wrong[:MOST_BARS]]
    listed = table(
        f"The biggest confusions among {len(classes):,} classes",
        ("really", "taken for", "rows", "share of that class"),
        rows,
        numeric=(2, 3),
    )
    return join([paragraph(said), listed if rows else Html("")])


def _label(value: object) -> str:
    """A class in full: two long names may differ only at their ends."""
    return "(empty)" if value is None or value == "" else str(value)


def _natural(label: str) -> tuple[int, float, str]:
    """Numbers by size, then words by letter."""
    try:
        return (0, float(label), label)
    except ValueError:
        return (1, 0.0, label)


def _matrix(classes: Sequence[str], counts: Mapping[tuple[str, str], int], totals: Mapping[str, int]) -> Html:
    """A table: rows are the true classes, columns the predictions; shaded by the share of the row."""
    heads = "".join(f'<th scope="col" title="{escape(c)}">{escape(shortened(c, 16))}</th>' for c in classes)
    lines = []
    for true in classes:
        cells = []
        for taken in classes:
            count = counts.get((true, taken), 0)
            share = count / totals[true] if totals.get(true) else 0.0
            kind = "hit" if true == taken else "miss" if count else ""
            cells.append(f'<td class="{kind}" style="--share:{0.42 * share:.3f}">{count:,}</td>')
        lines.append(f'<tr><th scope="row">{escape(shortened(true, 24))}</th>{"".join(cells)}</tr>')
    body = "\n".join(lines)
    caption = "Test rows by true class (down) and predicted class (across); the framed diagonal is right"
    return Html(
        f'<div class="frame" tabindex="0" role="region" aria-label="{escape(caption)}">\n'
        f'<table class="matrix{" many" if len(classes) > 6 else ""}">\n<caption>{escape(caption)}</caption>\n'
        f'<thead><tr><td></td><th scope="colgroup" colspan="{len(classes)}">predicted</th></tr>\n'
        f'<tr><th scope="col">really</th>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>'
    )


def _scatter(predictions: pa.Table, target: str) -> Html:
    pairs = np.column_stack([_numbers(predictions, name) for name in ("actual", "prediction")])
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    if len(pairs) == 0:
        return Html("")
    error = pairs[:, 1] - pairs[:, 0]
    half, most = np.quantile(np.abs(error), [0.5, 0.9])
    words = (
        f"Half of the {counted(len(pairs), 'test row is', 'test rows are')} predicted to within {number(float(half))}, nine of ten to within "
        f"{number(float(most))}. {_lean(error)}"
    )
    shown = pairs[np.argsort(pairs[:, 0], kind="stable")]
    if len(shown) > MOST_POINTS:
        shown = shown[np.linspace(0, len(shown) - 1, MOST_POINTS).round().astype(int)]
        words += f" {MOST_POINTS:,} rows are drawn, evenly picked."
    chart = charts.scatter(
        [(float(a), float(p)) for a, p in shown],
        title=f"Predicted against true {target}",
        description=words,
        x_label=f"true {shortened(target, 30)}",
        y_label=f"predicted {shortened(target, 20)}",
    )
    entries = charts.legend([("diagonal", "a perfect prediction lies on this line")])
    return Html(f"<figure>\n{entries}\n{chart}\n<figcaption>{prose(words)}</figcaption>\n</figure>")


def _lean(error: np.ndarray) -> str:
    """Whether the errors lean to one side by more than chance would explain."""
    if len(error) < 10 or abs(float(error.mean())) < 3 * float(error.std()) / math.sqrt(len(error)):
        return "It errs as much upwards as downwards."
    side = "too high" if error.mean() > 0 else "too low"
    return f"On average it is {side} by {number(abs(float(error.mean())))}."


def worst(contents: Contents) -> Html:
    """The rows that it got most wrong: the place to look for mistakes in the data."""
    predictions = contents.test_predictions
    if predictions is None or predictions.num_rows == 0:
        return Html("")
    order = _worst_first(predictions)
    chosen = predictions.take(order).to_pylist()
    inputs = contents.test_inputs
    names = list(inputs.column_names[:NUM_CELLS]) if inputs is not None else []
    cells = inputs.select(names).take(order).to_pylist() if inputs is not None else [{} for _ in chosen]
    classes = contents.summary.get("task") != "regression"
    header = ["row", "really", "predicted", "how sure" if classes else "off by", *names]
    rows = []
    for row, cell in zip(chosen, cells, strict=True):
        sure = _how_sure(row) if classes else _off_by(row)
        beside = (value_text(cell[name], 28) for name in names)
        rows.append([row.get("row", ""), value_text(row["actual"]), value_text(row["prediction"]), sure, *beside])
    said = "Look at these rows first: a large error is often a mistake in the data, or something no column tells."
    if classes:
        said += " “How sure” is the probability that the network gave to its own answer."
        num_wrong = sum(row["actual"] != row["prediction"] for row in chosen)
        if num_wrong < len(chosen):
            said += f" Only {num_wrong} of these {len(chosen)} {'is' if num_wrong == 1 else 'are'} wrong; the others are right, but the least sure."
    caption = f"The {len(rows)} worst of {counted(predictions.num_rows, 'test row')}"
    return section(
        "worst", "Its worst predictions", join([paragraph(said), table(caption, header, rows, kind="cells")])
    )


def _worst_first(predictions: pa.Table) -> list[int]:
    """Row positions by loss, the largest first; a loss that is not a number counts as the largest."""
    loss = _numbers(predictions, "loss")
    return [int(i) for i in np.argsort(-np.where(np.isnan(loss), np.inf, loss), kind="stable")[:NUM_WORST]]


def _numbers(predictions: pa.Table, name: str) -> np.ndarray:
    """A column as float64; cells that hold nothing are NaN."""
    return np.asarray(predictions.column(name).cast("float64").to_numpy(), dtype=np.float64)


def _how_sure(row: Mapping[str, Any]) -> str:
    probability = row.get(f"probability_{row['prediction']}")
    return percent(float(probability)) if probability is not None and is_number(probability) else ABSENT


def _off_by(row: Mapping[str, Any]) -> str:
    if not is_number(row["actual"]) or not is_number(row["prediction"]):
        return ABSENT
    return signed(float(row["prediction"]) - float(row["actual"]))


def importance(contents: Contents) -> Html:
    """How much worse the network gets when a column's cells are shuffled."""
    found = [entry for entry in contents.importance if all(map(is_number, entry[1:]))]
    if not found:
        return Html("")
    found.sort(key=lambda entry: -entry[1])
    label = metric(contents.importance_metric).label if contents.importance_metric else "the score"
    clear = [entry for entry in found if entry[2] > 0]
    shares = metric(contents.importance_metric).is_share

    def said(drop: float) -> str:
        return f"{points(drop)} points" if shares else number(drop)

    if clear:
        most = "it matters most" if clear[0] is found[0] else "of the columns that clearly matter it matters most"
        words = f"Shuffling the cells of `{clear[0][0]}` makes {label} worse by {said(clear[0][1])}: {most}."
        unclear = len(found) - len(clear)
        if unclear:
            words += f" For {unclear:,} of {counted(len(found), 'column')} the difference could be chance: the whisker reaches zero."
    else:
        words = "No single column made a difference that could be told from chance."
    bars = [charts.Bar(name, drop, low, high, said(drop)) for name, drop, low, high in found[:MOST_BARS]]
    title = f"How much worse {label} gets without each column"
    chart = charts.bar_chart(bars, title=title, description=words)
    more = f" The first {MOST_BARS} of {len(found):,} columns are shown." if len(found) > MOST_BARS else ""
    caption = (
        f"Bar: how much worse {label} gets on the validation part when the column is shuffled. "
        f"Whisker: 95% interval.{more}"
    )
    figure = Html(f"<figure>\n{chart}\n<figcaption>{prose(caption)}</figcaption>\n</figure>")
    return section("importance", "Which columns mattered", join([paragraph(words), figure]))
