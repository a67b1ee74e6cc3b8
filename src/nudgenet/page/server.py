"""The page's server: a Starlette app over a folder of runs, for one person on this machine.

Routes come from the modules in `ROUTES`. Training happens in other processes: the page reads what they write.
"""

from __future__ import annotations

import errno
import hashlib
import os
import signal
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from nudgenet.bundle import STATIC, bundle
from nudgenet.errors import SettingError, UserError
from nudgenet.page import compare, curves, detail, jobs, live, openings, runs, schema, sources
from nudgenet.page.context import LARGEST_BODY, Context, NoSuchRun, answer
from nudgenet.page.security import Guard, Trust
from nudgenet.training.stopping import StopSignal, stop_on_signals

# Every module of the page that has routes: `routes(context) -> list[BaseRoute]`.
ROUTES: list[ModuleType] = [runs, detail, curves, compare, live, sources, schema, jobs, openings]

ENTRY = "main.js"
KINDS = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
DEFAULT_PORT, PORTS_TO_TRY = 8721, 50
NICENESS = 10  # of the page beside a training
CTRL_C = 130  # the usual way to close the page: no failure
BUG = "This is a bug in nudgenet: the lines where `nudge page` was started say more."


def make_context(folder: Path) -> Context:
    """What the routes share, for this folder of runs."""
    folder = folder.resolve()
    runs.empty_trash(folder)
    return Context(folder, runs.Shelf(folder), curves.Histories(), jobs.Jobs(folder))


def create_app(context: Context, trust: Trust) -> ASGIApp:
    """The whole app, guarded: nothing is answered, no file either, before `Guard` has let the request through."""
    routes: list[BaseRoute] = [route for module in ROUTES for route in module.routes(context)]
    app = Starlette(
        routes=[*routes, files()],
        exception_handlers={
            NoSuchRun: _as_error(404),
            UserError: _as_error(400),
            HTTPException: _as_error(None),
            Exception: _as_error(500),
        },
    )
    return Guard(app, trust)


def files() -> Route:
    """Our own files, index.html at "/", held in memory; the entry comes with every module that it needs, in one answer.

    The browser asks each time whether they have changed, so that an upgrade is seen at once.
    """
    held = {}
    for path in STATIC.iterdir():
        if path.suffix in KINDS:
            content = bundle(path.name).encode() if path.name == ENTRY else path.read_bytes()
            held[path.name] = content, f'"{hashlib.sha256(content).hexdigest()[:32]}"', KINDS[path.suffix]

    async def give(request: Request) -> Response:
        name = request.path_params["name"] or "index.html"
        if name not in held:
            raise HTTPException(404)
        content, mark, kind = held[name]
        headers = {"cache-control": "no-cache", "etag": mark}
        if request.headers.get("if-none-match") == mark:
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=kind, headers=headers)

    return Route("/{name:path}", give)


def _as_error(status: int | None) -> Callable[[Request, Exception], Response]:
    """One line of JSON with this status, or with the one that the exception names."""

    def handle(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            line, code = error.detail, error.status_code
        else:
            line, code = BUG if status == 500 else str(error), status or 500
        response = answer({"error": " ".join(line.split())})
        response.status_code = code
        return response

    return handle


def serve(
    folder: Path, *, host: str, port: int | None, open_browser: bool, tied: bool, say: Callable[[str], None]
) -> int:
    """Open the page, keep it open until Ctrl-C, and give the exit code: 0, or 143 after a request to terminate.

    Args:
        folder: where the runs are; it need not be there yet.
        host: the address to listen on; other than 127.0.0.1, other machines can reach the page with the token.
        port: None: 8721, or the next free one.
        open_browser: show it in the person's browser.
        tied: end when the standard input ends, because whoever holds its other end is gone (see `beside`).
        say: takes the lines for the person; the address with the token is one of its own.

    Raises:
        SettingError: the port is in use, there is no such address, or the folder is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise SettingError("The runs lie in a folder, and this is none", got=str(folder), fix="Choose another --runs.")
    with listen(host, port) as listening:
        trust = Trust.at(host, listening.getsockname()[1])
        context = make_context(folder)
        address = f"http://{host if host != '0.0.0.0' else '127.0.0.1'}:{trust.port}/?token={trust.token}"
        server = uvicorn.Server(
            uvicorn.Config(
                create_app(context, trust),
                log_level="error",
                access_log=False,
                server_header=False,
                date_header=False,
                lifespan="off",
                ws="websockets-sansio",
                ws_max_size=LARGEST_BODY,
                timeout_graceful_shutdown=2,
            )
        )
        stop = StopSignal()

        def on_request() -> None:  # only until uvicorn listens to signals itself; it hands them on to here at its end
            server.should_exit = True

        with stop_on_signals(stop, on_request):
            say(address)
            if open_browser:
                webbrowser.open(address)
            if tied:
                _give_way()
                threading.Thread(target=_end_with_input, daemon=True).start()
            try:
                server.run(sockets=[listening])
            finally:
                context.jobs.close(say)
    return 0 if stop.exit_code == CTRL_C else stop.exit_code


def _give_way() -> None:
    """Let the training beside this page have the processor first: it must not wait for who only looks on.

    Trainings that are started from this page give way to it, too. A page of its own keeps its priority, which they
    would inherit and could not raise again.
    """
    if sys.platform != "win32":
        os.nice(NICENESS)


def _end_with_input() -> None:
    """Wait for the end of the standard input, and end this process as Ctrl-C would."""
    sys.stdin.read()
    signal.raise_signal(signal.SIGINT)


def listen(host: str, port: int | None) -> socket.socket:
    """A socket that listens there. Raises SettingError if it cannot."""
    ports = range(DEFAULT_PORT, DEFAULT_PORT + PORTS_TO_TRY) if port is None else [port]
    for number in ports:
        listening = socket.socket(socket.AF_INET)
        if sys.platform != "win32":  # there it would let two pages share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, number))
            listening.listen(128)
            return listening
        except OSError as error:
            listening.close()
            if error.errno != errno.EADDRINUSE:
                raise SettingError(
                    "The page cannot listen there",
                    got=f"{host}:{number}: {error.strerror or error}",
                    fix="Choose another --port.",
                ) from None
    taken = f"{ports[0]}" if len(ports) == 1 else f"{ports[0]} to {ports[-1]}"
    raise SettingError("The port is in use", got=taken, fix="Choose another --port, or leave it away.")
