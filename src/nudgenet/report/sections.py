"""The parts of a report that tell how the training went: verdict, curves, columns, decisions, what to type next.

Each is a function from the contents to HTML, and gives nothing back when there is nothing to show.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nudgenet.errors import counted
from nudgenet.records import Epoch
from nudgenet.report import charts
from nudgenet.report.contents import Contents
from nudgenet.report.glossary import GLOSSARY, IN_REPORTS
from nudgenet.report.markup import Html, escape, folded, join, paragraph, prose, section, table
from nudgenet.report.wording import (
    duration,
    flag,
    is_number,
    loss_text,
    main_metric,
    metric,
    number,
    score,
    shortened,
    verdict_words,
)
from nudgenet.scoring.answers import HALF
from nudgenet.watching.curves import thin

LOG_FROM = 100.0  # losses that span more than two decades are drawn on a logarithmic scale
MOST_SHOWN = 160  # characters of what was chosen, before a click
MOST_POINTS = 600  # of a curve: more than a chart can show

KINDS = {
    "number": "number",
    "yes_no": "yes / no",
    "category": "category",
    "date": "date",
    "text": "free text",
    "identifier": "identifier",
    "constant": "always the same",
    "empty": "empty",
}

COMMANDS = {
    "reproduce": "Train the same network again",
    "predict": "Predict new rows",
    "resume": "Go on with this run",
    "python": "Use it from Python",
}


def verdict(contents: Contents) -> Html:
    """How the training went: the state in a word, the reason, and what to try."""
    found: Mapping[str, Any] = contents.summary.get("verdict") or {}
    sign, words, tone = verdict_words(contents.summary)
    reason = found.get("reason") or "The training has not come to its end, so there is nothing to judge yet."
    body = [
        Html(f'<strong class="badge"><span aria-hidden="true">{escape(sign)}</span> {escape(words)}</strong>'),
        paragraph(reason),
    ]
    advice: Sequence[Mapping[str, Any]] = found.get("advice") or ()
    if advice:
        items = join(Html(f"<li>{prose(one.get('text', ''))}{_flag(one)}</li>") for one in advice)
        body.append(Html(f'<p>What to try:</p>\n<ul class="try">\n{items}\n</ul>'))
    return section("verdict", "Verdict", Html(f'<div class="verdict {tone}">\n{join(body)}\n</div>'))


def _flag(advice: Mapping[str, Any]) -> Html:
    typed = flag(advice)
    return Html(f" <code>{escape(typed)}</code>") if typed else Html("")


def curves(contents: Contents) -> Html:
    """Training and validation loss, and the main metric, over the epochs."""
    epochs = contents.epochs
    if not epochs:
        return Html("")
    best = int((contents.summary.get("verdict") or {}).get("best_epoch") or 0) or None
    pieces = [_loss_chart(contents, best)]
    name = main_metric(contents.summary) or next(iter(epochs[-1].validation_metrics), "")
    if name and len(epochs) > 1 and all(name in epoch.validation_metrics for epoch in epochs):
        pieces.append(_metric_chart(epochs, name, best))
    if said := rule_in_words(contents.summary):
        pieces.append(paragraph(said))
    return section("curves", "How it learned", join(pieces))


def rule_in_words(summary: Mapping[str, Any]) -> str:
    """Why curves and scores may differ: temperature and threshold are chosen after the last epoch. "" if neither was."""
    temperature = (summary.get("calibration") or {}).get("temperature", 1.0)
    threshold = (summary.get("threshold") or {}).get("above", HALF)
    before = [f"before the temperature of {temperature:.3g}"] if temperature != 1.0 else []
    before += [f"with a threshold of {HALF:g}, not {threshold:.3g}"] if threshold != HALF else []
    if not before:
        return ""
    return (
        f"The curves show the network as it was after each epoch, {' and '.join(before)}: "
        "what was chosen at the end holds for the scores only."
    )


def _loss_chart(contents: Contents, best: int | None) -> Html:
    epochs, since = contents.epochs, contents.overfit_since
    lines = [
        charts.Line("train", thin([(e.epoch, e.train_loss) for e in epochs], MOST_POINTS)),
        charts.Line("validation", thin([(e.epoch, e.validation_loss) for e in epochs], MOST_POINTS)),
    ]
    entries = [("train", "training loss"), ("validation", "validation loss")]
    if best:
        entries.append(("best", f"best epoch ({best}): this network is kept"))
    if since is not None:
        entries.append(("overfit", f"overfitting, from epoch {since}"))
    if is_number(contents.no_skill_loss):
        level = float(contents.no_skill_loss or 0.0)
        lines.append(charts.Line("skill", [(epochs[0].epoch, level), (epochs[-1].epoch, level)]))
        entries.append(("skill", "no skill: always the same answer"))
    losses = [y for line in lines for _, y in line.points if math.isfinite(y)]
    log = bool(losses) and min(losses) > 0 and max(losses) > LOG_FROM * min(losses)
    words = loss_in_words(epochs, best, since)
    chart = charts.line_chart(
        lines,
        title="Loss over epochs",
        description=words,
        x_label="epoch",
        y_label="loss (log scale)" if log else "loss",
        log=log,
        best=best,
        shaded_from=since,
    )
    if not chart:
        return paragraph("No loss was a number, so there is no curve to draw.")
    return Html(f"<figure>\n{charts.legend(entries)}\n{chart}\n<figcaption>{prose(words)}</figcaption>\n</figure>")


def loss_in_words(epochs: Sequence[Epoch], best: int | None, since: int | None) -> str:
    """What the curves show, for those who cannot see them, and for those who have not yet learned to read them."""
    (train, validation), (last_train, last_validation) = (
        (loss_text(e.train_loss), loss_text(e.validation_loss)) for e in (epochs[0], epochs[-1])
    )
    if len(epochs) == 1:
        said = f"One epoch only: training loss {train}, validation loss {validation}."
    else:
        said = (
            f"Over {len(epochs):,} epochs the training loss went from {train} to {last_train}, "
            f"the validation loss from {validation} to {last_validation}."
        )
    at_best = next((e for e in epochs if e.epoch == best), None)
    if at_best and len(epochs) > 1:
        said += f" The validation loss was lowest in epoch {best}, at {loss_text(at_best.validation_loss)}."
    if since is not None:
        said += (
            f" From epoch {since} on it got better on rows that it knew and worse on rows that it did not: overfitting."
            + (" The network from before that is kept." if best and best < since else "")
        )
    if any(not math.isfinite(e.train_loss) or not math.isfinite(e.validation_loss) for e in epochs):
        said += " Where a line breaks off, the loss was no longer a number."
    return said


def _metric_chart(epochs: Sequence[Epoch], name: str, best: int | None) -> Html:
    lines, entries = [], [("validation", f"validation {metric(name).label}")]
    if all(name in epoch.train_metrics for epoch in epochs):
        lines.append(charts.Line("train", thin([(e.epoch, e.train_metrics[name]) for e in epochs], MOST_POINTS)))
        entries.insert(0, ("train", f"training {metric(name).label}"))
    lines.append(charts.Line("validation", thin([(e.epoch, e.validation_metrics[name]) for e in epochs], MOST_POINTS)))
    first, last = epochs[0].validation_metrics[name], epochs[-1].validation_metrics[name]
    better = "more" if metric(name).higher_is_better else "less"
    words = f"On the validation part, {metric(name).label} went from {score(name, first)} to {score(name, last)}; {better} is better."
    chart = charts.line_chart(
        lines,
        title=f"{metric(name).label} over epochs",
        description=words,
        x_label="epoch",
        y_label=metric(name).label,
        best=best,
        height=260,
    )
    if not chart:
        return Html("")
    return Html(f"<figure>\n{charts.legend(entries)}\n{chart}\n<figcaption>{prose(words)}</figcaption>\n</figure>")


def columns(contents: Contents) -> Html:
    """What each column was taken for."""
    if not contents.columns:
        return Html("")
    used = sum(column.used for column in contents.columns)
    left_out = len(contents.columns) - used
    said = f"The network saw {used} of {counted(len(contents.columns), 'column')}" + (
        f"; {left_out} had nothing that it could learn from." if left_out else "."
    )
    rows = [
        (
            Html(f"<code>{escape(shortened(column.name, 60))}</code>"),
            KINDS.get(column.kind, column.kind) + ("" if column.used else " (left out)"),
            column.why,
            number(column.num_unique),
            number(column.num_missing),
        )
        for column in contents.columns
    ]
    listed = table(
        "Every column: what it is, and how that was told",
        ("column", "what it is", "why", "different values", "missing"),
        rows,
        kind="stack",
        numeric=(3, 4),
    )
    return section("columns", "What each column is", join([paragraph(said), folded("All columns", listed)]))


def warnings(contents: Contents) -> Html:
    """What a person should look at before trusting the score."""
    if not contents.warnings:
        return Html("")
    items = join(Html(f"<li>{prose(text)}</li>") for text in contents.warnings)
    return section("warnings", "Worth a look", Html(f'<ul class="warnings">\n{items}\n</ul>'))


def decisions(contents: Contents) -> Html:
    """Every automatic choice, why, and how to choose otherwise."""
    found: Sequence[Mapping[str, Any]] = contents.summary.get("decisions") or ()
    if not found:
        return Html("")
    rows = [
        (
            one.get("what", ""),
            _whole(str(one.get("chosen", ""))),
            one.get("why", ""),
            Html(
                " ".join(
                    f"<code>{escape(typed)}</code>" for typed in str(one.get("override") or "").split(", ") if typed
                )
            ),
        )
        for one in found
    ]
    return section(
        "decisions",
        "What was chosen for you",
        table(
            "Every automatic choice, and what to type to choose otherwise",
            ("what", "chosen", "why", "to change it"),
            rows,
            kind="stack",
        ),
    )


def _whole(text: str) -> str | Html:
    """What was chosen; a long list, such as all files that were skipped, opens on a click."""
    begin = shortened(text, MOST_SHOWN)
    return text if begin == text else folded(begin, paragraph(text))


def reproduce(contents: Contents) -> Html:
    """What to type: the known commands first, then any other."""
    names = [name for name in COMMANDS if contents.commands.get(name)]
    names += [name for name in contents.commands if name not in COMMANDS and contents.commands[name]]
    blocks = [
        Html(f"<h3>{escape(COMMANDS.get(name, name))}</h3>\n<pre><code>{escape(contents.commands[name])}</code></pre>")
        for name in names
    ]
    seconds = contents.summary.get("seconds") or {}
    timed = ", ".join(
        f"{name.replace('_', ' ')} {duration(float(value))}"
        for name, value in seconds.items()
        if name != "total" and is_number(value)
    )
    if blocks and is_number(seconds.get("total")):
        detail = f" ({timed})" if timed else ""
        blocks.append(paragraph(f"It took {duration(float(seconds['total']))}{detail}.", kind="note"))
    return section("reproduce", "Do it again, and use it", join(blocks))


def glossary(contents: Contents) -> Html:
    """One line for each term that appears."""
    entries = join(Html(f"<dt>{escape(term)}</dt><dd>{escape(GLOSSARY[term])}</dd>") for term in IN_REPORTS)
    return section("glossary", "The words used here", Html(f"<dl>\n{entries}\n</dl>"))
