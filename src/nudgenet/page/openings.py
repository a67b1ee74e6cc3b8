"""The routes of an opened run: its time, rows, network, neurons and updates, and why it answers as it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast, get_args

from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from nudgenet.page import drawing, insights, items, neurons, playground, updates
from nudgenet.page.context import BadRequest, posting, reading
from nudgenet.page.listing import Sought, list_rows
from nudgenet.page.opened import Mode, Moment, OpenedRun, OpenedRuns
from nudgenet.page.rows import at_of, resolve

if TYPE_CHECKING:
    from nudgenet.page.context import Context

Body = dict[str, Any]
Answer = Callable[[OpenedRun, Body], Any]


def routes(context: Context) -> list[BaseRoute]:
    """Everything under /api/runs/NAME/ that looks into a network."""
    opened = OpenedRuns()

    def getting(address: str, work: Answer) -> Route:
        def look(request: Request) -> Any:
            store = context.store(request.path_params["name"])
            return opened.ask(store, lambda run: work(run, dict(request.query_params)))

        return Route(f"/api/runs/{{name}}/{address}", reading(look), methods=["GET"])

    def asking(address: str, work: Answer) -> Route:
        def look(request: Request, body: Body) -> Any:
            store = context.store(request.path_params["name"])
            return opened.ask(store, lambda run: work(run, body))

        return Route(f"/api/runs/{{name}}/{address}", posting(look), methods=["POST"])

    return [
        getting("time", lambda run, query: run.time()),
        getting("rows", rows),
        getting("item", item),
        asking("network", network),
        asking("neuron", neuron),
        asking("update", update),
        asking("whatif", lambda run, body: insights.what_if(run, moment(run, body), resolve(run, body.get("row")))),
        asking("responsible", responsible),
        asking("exciting", exciting),
        playground.route(context, opened.workshop),
        asking("confusion", lambda run, body: insights.confusion(run, moment(run, body))),
        asking("boundary", boundary),
        asking("filters", lambda run, body: insights.filters(run, moment(run, body))),
        asking(
            "attention", lambda run, body: insights.attention(run, moment(run, body), resolve(run, body.get("row")))
        ),
    ]


# --- what was asked -------------------------------------------------------------------------------


def whole_number(body: Body, name: str, default: int | None = None, least: int = 0) -> int | None:
    """A whole number in a request. Raises BadRequest if it is something else."""
    value = body.get(name, default)
    if isinstance(value, str):  # from an address
        value = None if value in ("", "null") else int(value) if value.isdecimal() and len(value) < 16 else value
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise BadRequest(f"`{name}` must be a whole number from {least}", got=str(value)[:50])
    return value


def step_and_mode(body: Body) -> tuple[int | None, Mode]:
    """When in the training, and how exactly."""
    mode = body.get("mode") or "nearest"
    if mode not in get_args(Mode):
        raise BadRequest("`mode` is `nearest` or `exact`", got=str(mode)[:50])
    return whole_number(body, "step"), cast(Mode, mode)


def moment(run: OpenedRun, body: Body) -> Moment:
    """The network at the step that was asked for."""
    return run.moment(*step_and_mode(body))


def member_of(body: Body) -> int:
    """Which network of an ensemble."""
    return whole_number(body, "member", 0) or 0


# --- answers --------------------------------------------------------------------------------------


def rows(run: OpenedRun, query: Body) -> Any:
    """Rows of a part."""
    at = moment(run, query)
    sort = query.get("sort", "order")
    if sort not in ("order", "worst"):
        raise BadRequest("`sort` is `order` or `worst`", got=str(sort)[:50])
    part, begin, count = (
        query.get("part", "validation"),
        whole_number(query, "from", 0),
        whole_number(query, "count", 50),
    )
    sought = Sought(*(query.get(name) or None for name in ("find", "truth", "answer")))
    return {"at": at_of(at.at), **list_rows(run, at, part, sort, begin or 0, count or 50, sought)}


def item(run: OpenedRun, query: Body) -> Any:
    """A row's picture, sound or text."""
    return items.item(run, query.get("part", "validation"), whole_number(query, "index", 0) or 0)


def network(run: OpenedRun, body: Body) -> Any:
    """The network over one row."""
    unfold = body.get("unfold") or []
    if not isinstance(unfold, list):
        raise BadRequest("`unfold` is a list of layers", got=str(unfold)[:50])
    return drawing.open_network(run, moment(run, body), resolve(run, body.get("row")), member_of(body), unfold)


def neuron(run: OpenedRun, body: Body) -> Any:
    """One neuron over one row."""
    row, member = resolve(run, body.get("row")), member_of(body)
    return neurons.open_neuron(run, moment(run, body), row, member, body.get("layer"), body.get("neuron"))


def update(run: OpenedRun, body: Body) -> Any:
    """The next update, seen from one neuron."""
    row, member, (step, mode) = resolve(run, body.get("row")), member_of(body), step_and_mode(body)
    batch = body.get("batch") or "row"
    return updates.open_update(run, step, mode, row, member, body.get("layer"), body.get("neuron"), batch)


def responsible(run: OpenedRun, body: Body) -> Any:
    """The neurons that speak for the answer."""
    return insights.responsible(run, moment(run, body), resolve(run, body.get("row")), member_of(body))


def exciting(run: OpenedRun, body: Body) -> Any:
    """The training rows that excite a neuron."""
    wanted = body.get("row") or {"part": "train", "index": 0}  # any row shows the layers
    row = resolve(run, wanted)
    return insights.exciting(run, moment(run, body), row, member_of(body), body.get("layer"), body.get("neuron"))


def boundary(run: OpenedRun, body: Body) -> Any:
    """The answer over two columns; without a row, all others as usual."""
    row = resolve(run, body["row"]) if body.get("row") else insights.usual_row(run)
    at = moment(run, body)
    return insights.boundary(run, at, row, body.get("x"), body.get("y"), body.get("resolution"))
