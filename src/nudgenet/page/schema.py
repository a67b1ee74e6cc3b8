"""The settings as a form: the same schema that the command line and Python use."""

from __future__ import annotations

from collections.abc import Mapping
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from nudgenet.networks import NETWORKS
from nudgenet.page.context import reading
from nudgenet.report.glossary import GLOSSARY
from nudgenet.scoring.metrics import METRICS
from nudgenet.settings import Settings
from nudgenet.training.objectives import OBJECTIVES
from nudgenet.training.optimizers import OPTIMIZERS
from nudgenet.training.schedules import SCHEDULES

if TYPE_CHECKING:
    from nudgenet.page.context import Context

# The headings in `settings.py`, each with the first setting below it.
GROUPS = {
    "target": "The question",
    "test": "The data",
    "effort": "The network",
    "start_from": "A pretrained start",
    "image_size": "Images and sounds",
    "objective": "The objective",
    "metric": "The answers",
    "optimizer": "The loop",
    "precision": "The place",
    "baselines": "Honesty",
    "record": "What is kept for the page",
}
# What a person meets first; all else waits behind "more".
BASIC = (
    "target",
    "effort",
    "time_limit",
    "network",
    "dropout",
    "learning_rate",
    "epochs",
    "batch_size",
    "seed",
    "ignore",
)
# Settings that name an entry of a table.
TABLES: Mapping[str, tuple[str, ...]] = {
    "network": tuple(NETWORKS),
    "optimizer": tuple(OPTIMIZERS),
    "schedule": tuple(SCHEDULES),
    "objective": tuple(OBJECTIVES),
    "metric": tuple(dict.fromkeys(name for names in METRICS.values() for name in names)),
}


def schema() -> dict[str, Any]:
    """Every setting as a field of a form, under the headings of `settings.py`."""
    groups: list[dict[str, Any]] = []
    for name, field in Settings.model_fields.items():
        if name in GROUPS:
            groups.append({"title": GROUPS[name], "fields": []})
        groups[-1]["fields"].append(field_of(name, field))
    return {"groups": groups}


def field_of(name: str, field: FieldInfo) -> dict[str, Any]:
    """One setting: its type, its choices or its range, its default (null: chosen from the data) and what it is."""
    kinds = [kind for kind in _alternatives(field.annotation) if kind is not type(None)]
    choices = TABLES.get(name) or tuple(
        value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)
    )
    found: dict[str, Any] = {"name": name, "type": "choice" if choices else _type(kinds)}
    if choices:
        found["choices"] = list(choices)
    for limit in field.metadata:
        for key, bound in (("ge", "minimum"), ("gt", "minimum"), ("le", "maximum"), ("lt", "maximum")):
            if (value := getattr(limit, key, None)) is not None:
                found |= {bound: value, f"{bound}_excluded": key in ("gt", "lt")}
    optional = type(None) in _alternatives(field.annotation)
    return found | {
        "default": field.default,
        "optional": optional,
        "description": field.description,
        "basic": name in BASIC,
    }


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def _type(kinds: list[Any]) -> str:
    """The kind of input that a form needs; lists and column kinds are typed as the command line takes them."""
    names = {bool: "bool", int: "integer", float: "number"}
    return names.get(kinds[0], "text") if len(kinds) == 1 else "text"


def routes(context: Context) -> list[BaseRoute]:
    """The form, and the words that explain themselves."""

    def form(request: Request) -> dict[str, Any]:
        return schema()

    def words(request: Request) -> dict[str, Any]:
        return dict(GLOSSARY)

    return [Route("/api/schema", reading(form)), Route("/api/words", reading(words))]
