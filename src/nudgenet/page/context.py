"""What every route of the page needs: the folder of runs, and how questions come in and answers go out.

A module of the page declares its routes as `routes(context) -> list[BaseRoute]`. An endpoint is a plain function
behind `reading` (a GET) or `posting` (a POST with a JSON body): it runs in a thread, gives something that JSON can
hold, and raises a `UserError` for whatever a person can cause, which becomes one line with the status 400.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json, to_json
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from nudgenet.bookkeeping import check_name
from nudgenet.errors import RunError, UserError
from nudgenet.runs.store import Store

if TYPE_CHECKING:
    from nudgenet.page.curves import Histories
    from nudgenet.page.jobs import Jobs
    from nudgenet.page.runs import Shelf

LARGEST_BODY = 1 << 20  # bytes; no form of ours comes near it

Endpoint = Callable[[Request], Awaitable[Response]]


class NoSuchRun(RunError):
    """There is no run with this name in the folder: the status 404."""


class BadRequest(UserError):
    """What was sent is not what this address takes."""


@dataclass(frozen=True)
class Context:
    """What the routes share, for as long as the page is open.

    runs: the folder of runs, absolute, links resolved.
    shelf: the list of runs.    histories: their curves.    jobs: the trainings that were started from the page.
    """

    runs: Path
    shelf: Shelf
    histories: Histories
    jobs: Jobs

    def store(self, name: str) -> Store:
        """The run with this name: a folder that lies directly in the folder of runs, and is no link.

        Raises:
            NoSuchRun: there is none, or the name leads elsewhere.
        """
        self.check(name)
        path = self.runs / name
        if path.is_symlink() or not (path / "settings.json").is_file():
            raise NoSuchRun("There is no such run", got=repr(name), fix="It may have been renamed or deleted.")
        return Store(path)

    def check(self, name: str) -> None:
        """A run's name is one folder's name. Raises NoSuchRun for what leads elsewhere."""
        try:
            check_name(name)
        except RunError as error:
            raise NoSuchRun(error.what, got=error.got) from None


def reading(work: Callable[[Request], Any]) -> Endpoint:
    """An endpoint that answers with what `work` gives, as JSON; `work` runs in a thread."""

    async def endpoint(request: Request) -> Response:
        return answer(await run_in_threadpool(work, request))

    return endpoint


def posting(work: Callable[[Request, dict[str, Any]], Any]) -> Endpoint:
    """An endpoint that takes a JSON object and answers with what `work` makes of it; `work` runs in a thread."""

    async def endpoint(request: Request) -> Response:
        body = await read_body(request)
        return answer(await run_in_threadpool(work, request, body))

    return endpoint


def answer(content: Any) -> Response:
    """`content` as JSON: floats in full, null for what is not finite, NumPy arrays as lists. A `Response` stays as it is."""
    if isinstance(content, Response):
        return content
    return Response(as_json(content), media_type="application/json")


def as_json(content: Any) -> bytes:
    """JSON with every float in full (the shortest digits that give it back), and null for what is not finite."""
    return to_json(content, inf_nan_mode="null", fallback=_plain)


def _plain(value: Any) -> Any:
    """NumPy's arrays and numbers, and tensors, as plain ones; anything else as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


async def read_body(request: Request) -> dict[str, Any]:
    """The JSON object that was sent; an empty body is an empty object.

    Raises:
        HTTPException: 413 if it is longer than `LARGEST_BODY`, 415 if it does not say that it is JSON.
        BadRequest: it is not a JSON object.
    """
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > LARGEST_BODY:
            raise HTTPException(413, "That is more than this address takes.")
    if not content:
        return {}
    # A form of another page cannot claim this type without asking first.
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(415, "This address takes JSON.")
    return parse_object(bytes(content))


def parse_object(content: bytes | str) -> dict[str, Any]:
    """A JSON object as a dict. Raises BadRequest if it is none."""
    try:
        body = from_json(content, allow_inf_nan=False)
    except ValueError as error:
        raise BadRequest("This is not JSON", got=str(error)) from None
    if not isinstance(body, dict):
        raise BadRequest("A JSON object is needed", got=type(body).__name__)
    return body
