"""One run, opened: everything about it that is no curve and no neuron."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from nudgenet.data.batches import num_steps
from nudgenet.data.features import CategoryFeature, DateFeature, Feature, NumberFeature
from nudgenet.data.prepare import Preparation
from nudgenet.page.context import NoSuchRun, reading
from nudgenet.page.curves import LOSSES, History
from nudgenet.page.runs import notes_of, state_of
from nudgenet.records import Column
from nudgenet.report.wording import main_metric, models_of, worth_it
from nudgenet.run import Run
from nudgenet.runs.store import Store
from nudgenet.settings import Settings
from nudgenet.watching.advice import Situation, advise

if TYPE_CHECKING:
    from nudgenet.page.context import Context

MOST_VALUES = 200  # levels of a category that a form offers
# The report is one file with its styles and scripts inside it. In a sandbox it is of no origin: it can ask us nothing.
REPORT_POLICY = (
    "sandbox allow-scripts allow-popups; default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "img-src data:; media-src data:; frame-ancestors 'none'"
)


def detail(store: Store, history: History) -> dict[str, Any]:
    """What the page shows of a run, but for whether it was started here.

    Raises:
        RunError: the run's folder is damaged.
    """
    stored, data, log = (store.read_json(f"{name}.json") for name in ("settings", "data", "decisions"))
    summary = store.result("summary")
    run = Run(store)
    settings = run.settings
    split = data["split"]
    batch_size = settings.batch_size or 0
    verdict = (summary or {}).get("verdict") or {}
    best = history.best
    return {
        "name": store.path.name,
        "state": state_of(store),
        "created": stored["created"],
        "summary": summary,
        "command": stored["command"],
        "settings": settings.model_dump(mode="json"),
        "given": stored["settings"],
        "decisions": log["decisions"],
        "warnings": log["warnings"],
        "source": {name: data["source"][name] for name in ("kind", "location", "name")},
        "task": {name: data["task"][name] for name in ("kind", "target", "classes")},
        "columns": columns_of(run.preparation),
        "plan": {
            "epochs": settings.epochs,
            "steps_per_epoch": history.steps_per_epoch
            or (num_steps(split["train"], batch_size) if batch_size else None),
            "batch_size": settings.batch_size,
        },
        "trained": {"epochs": history.num_epochs, "steps": history.last_step},
        "best": None if best is None else {name: int(history.epochs[name][best]) for name in ("epoch", "step")},
        "overfit_from": history.overfit_from,
        "verdict": {"state": verdict.get("state"), "reason": _in_words(summary, run)} if summary and verdict else None,
        "advice": verdict.get("advice") or against_overfitting(settings, history),
        "baselines": (summary or {}).get("baselines") or {},
        "models": models_of(summary or {}),
        "comparisons": run.comparisons,
        "parts": {part: split[part] for part in ("train", "validation", "test")},
        "media": medium_of(run.preparation),
        "report": store.report.is_file(),
        **notes_of(store),
    }


def _in_words(summary: Mapping[str, Any], run: Run) -> str:
    """Why the verdict, and whether a network was worth it: a good fit of what a linear model does better is no success."""
    worth = worth_it(run.comparisons, main_metric(summary), models_of(summary))
    return f"{summary['verdict'].get('reason') or ''} {worth}".strip()


def against_overfitting(settings: Settings, history: History) -> list[dict[str, Any]]:
    """What would put off the overfitting of a run that kept its best epoch, so that its verdict advises nothing."""
    if history.overfit_from is None:
        return []
    situation = Situation(settings, {}, num_epochs=history.num_epochs, stopped_early=True, out_of_time=False)
    return [asdict(piece) for piece in advise("memorising", situation)]


def columns_of(preparation: Preparation) -> list[dict[str, Any]]:
    """What a row is made of: each column's kind, its values if they are few, and a typical one."""
    features = {feature.column: feature for feature in preparation.features}
    return [_column(column, features.get(column.name)) for column in preparation.columns]


def _column(column: Column, feature: Feature | None) -> dict[str, Any]:
    found: dict[str, Any] = {"name": column.name, "kind": column.kind, "why": column.why, "used": column.used}
    found["typical"] = typical_text(feature)
    if isinstance(feature, CategoryFeature):
        found["values"] = list(feature.levels[:MOST_VALUES])
    if isinstance(feature, NumberFeature):
        found |= {"low": feature.low, "high": feature.high}
    return found


def typical_text(feature: Feature | None) -> str | None:
    """The median of a column's numbers or dates, or its commonest level, as a cell would hold it; None if unknown."""
    if not isinstance(feature, NumberFeature | CategoryFeature | DateFeature) or feature.typical is None:
        return None
    if isinstance(feature, DateFeature):
        return str(np.datetime64(feature.typical, "us").astype("datetime64[s]")).removesuffix("T00:00:00")
    return f"{feature.typical:.15g}" if isinstance(feature, NumberFeature) else feature.typical


def medium_of(preparation: Preparation) -> str | None:
    """What rows hold besides numbers and categories: "image", "sound" or "text"."""
    if preparation.media is not None:
        return preparation.media.kind
    return "text" if preparation.texts else None


def routes(context: Context) -> list[BaseRoute]:
    """One run, and its report."""

    def detail_of(request: Request) -> dict[str, Any]:
        store = context.store(request.path_params["name"])
        return detail(store, context.histories.of(store, LOSSES)) | {
            "started_here": context.jobs.started(store.path.name)
        }

    def report_of(request: Request) -> Response:
        store = context.store(request.path_params["name"])
        if not store.report.is_file() or store.report.is_symlink():
            raise NoSuchRun("This run has no report yet", got=store.path.name)
        return FileResponse(store.report, media_type="text/html", headers={"content-security-policy": REPORT_POLICY})

    return [Route("/api/runs/{name}", reading(detail_of)), Route("/api/runs/{name}/report", reading(report_of))]
