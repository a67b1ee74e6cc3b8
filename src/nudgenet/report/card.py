"""A run as a small card for notebooks: verdict, scores and the curve."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nudgenet.records import Epoch
from nudgenet.report import charts
from nudgenet.report.markup import Html, escape, join, prose
from nudgenet.report.sections import LOG_FROM, MOST_POINTS, loss_in_words
from nudgenet.report.wording import baselines_of, main_metric, metric, metrics_of, models_of, score, verdict_words
from nudgenet.watching.curves import thin

# Only what is inside the card, and no colour for its ink and paper: a notebook's theme may be light or dark.
_STYLE = """
.nudgenet-card { max-width: 560px; padding: 12px 16px; border: 1px solid rgba(128,128,128,.5); border-radius: 8px; font: 14px/1.5 system-ui, sans-serif; }
.nudgenet-card p { margin: 4px 0; }
.nudgenet-card table { border-collapse: collapse; margin: 8px 0; color: inherit; font-size: inherit; }
.nudgenet-card th, .nudgenet-card td { text-align: left; padding: 2px 14px 2px 0; vertical-align: top; }
.nudgenet-card tbody th { font-weight: inherit; }
.nudgenet-card td { text-align: right; font-variant-numeric: tabular-nums; }
.nudgenet-card ul.legend { display: flex; flex-wrap: wrap; gap: 0 16px; list-style: none; margin: 4px 0; padding: 0; }
.nudgenet-card figure { margin: 0; }
.nudgenet-card figure > svg { width: 100%; height: auto; }
.nudgenet-card .swatch { display: inline-block; width: 34px; height: 14px; vertical-align: -2px; }
.nudgenet-card svg text { font: 15px system-ui, sans-serif; fill: currentColor; }
.nudgenet-card svg .x { text-anchor: middle; }
.nudgenet-card svg .y { text-anchor: end; }
.nudgenet-card svg path { fill: none; stroke: currentColor; vector-effect: non-scaling-stroke; }
.nudgenet-card svg .grid { stroke-opacity: .15; }
.nudgenet-card svg .axis { stroke-opacity: .5; }
.nudgenet-card svg .train { stroke: #0072b2; stroke-width: 2.5; }
.nudgenet-card svg .validation { stroke: #d55e00; stroke-width: 2.5; stroke-dasharray: 7 4; }
.nudgenet-card svg circle { fill: none; }
"""


def repr_html(summary: Mapping[str, Any], epochs: Sequence[Epoch]) -> str:
    """A compact card: the verdict, the scores against the baselines, the curves. Nothing in it is required."""
    sign, words, _ = verdict_words(summary)
    found = summary.get("verdict") or {}
    target = summary.get("target")
    heading = f"{sign} {words}" + (f": predicting `{target}`" if target is not None else "")
    pieces = [
        Html(f"<style>{_STYLE}</style>"),
        Html(f"<p><strong>{prose(heading)}</strong></p>"),
        Html(f"<p>{prose(found.get('reason', ''))}</p>") if found.get("reason") else Html(""),
        _scores(summary),
        _curve(epochs, int(found.get("best_epoch") or 0) or None),
    ]
    return f'<div class="nudgenet-card">\n{join(pieces)}\n</div>'


def _scores(summary: Mapping[str, Any]) -> Html:
    part = "test" if metrics_of(summary, "test") else "validation"
    ours = metrics_of(summary, part)
    if not ours:
        return Html("")
    first = main_metric(summary)
    names = [first, *(name for name in ours if name != first)][:4]
    said = models_of(summary)
    models = {"this network": ours} | {
        said.get(model, model).removeprefix("always "): values for model, values in baselines_of(summary, part).items()
    }
    heads = "".join(f'<th scope="col">{escape(metric(name).label)}</th>' for name in names)
    rows = join(
        Html(
            f'<tr><th scope="row">{escape(model)}</th>'
            + "".join(f"<td>{escape(score(name, values.get(name)))}</td>" for name in names)
            + "</tr>"
        )
        for model, values in models.items()
    )
    return Html(
        f'<table><thead><tr><th scope="col">on the {part} part</th>{heads}</tr></thead>\n<tbody>{rows}</tbody></table>'
    )


def _curve(epochs: Sequence[Epoch], best: int | None) -> Html:
    if not epochs:
        return Html("")
    lines = [
        charts.Line("train", thin([(e.epoch, e.train_loss) for e in epochs], MOST_POINTS)),
        charts.Line("validation", thin([(e.epoch, e.validation_loss) for e in epochs], MOST_POINTS)),
    ]
    losses = [y for line in lines for _, y in line.points if math.isfinite(y)]
    log = bool(losses) and min(losses) > 0 and max(losses) > LOG_FROM * min(losses)
    chart = charts.line_chart(
        lines,
        title="Loss over epochs",
        description=loss_in_words(epochs, best, None),
        x_label="epoch",
        y_label="loss (log scale)" if log else "loss",
        log=log,
        best=best,
        height=240,
    )
    entries = [("train", "training loss"), ("validation", "validation loss")]
    if best:
        entries.append(("best", f"best epoch ({best})"))
    return Html(f"<figure>{charts.legend(entries)}{chart}</figure>") if chart else Html("")
