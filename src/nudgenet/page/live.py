"""What is new, as it happens: one WebSocket that looks at a run's files, never at its process.

Twice a second the times of three files are asked for. Only when one has changed is anything read, and only what the
page does not have yet is sent. More often would look no smoother, and every look is taken from the training's time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from nudgenet.errors import RunError
from nudgenet.page.context import BadRequest, NoSuchRun, as_json, parse_object
from nudgenet.page.curves import FURTHEST, health_rows
from nudgenet.page.runs import Stamp, stamp_of, state_of
from nudgenet.run import Run
from nudgenet.runs.store import Store
from nudgenet.watching.curves import kept_when_thinned

if TYPE_CHECKING:
    from nudgenet.page.context import Context

INTERVAL_S = 0.5  # between two frames, at least
STATE_EVERY = 2  # intervals between two questions whether the run is still being trained
MOST_EPOCHS = 500  # in a frame; the next one has the next ones
MOST_STEPS = 400  # points of the curve of steps in a frame


@dataclass
class Watch:
    """The run that a page looks at, and what it knows of it."""

    store: Store
    epoch: int
    step: int
    stamp: Stamp | None = None  # of the files when everything was sent; None: there is something to send
    state: str = ""
    health_step: int = 0
    looks: int = 0

    def news(self) -> dict[str, Any] | None:
        """What is new since the last time, None if nothing is. Raises RunError if the run cannot be read."""
        stamp = stamp_of(self.store.path)
        state, self.looks = self.state, self.looks + 1
        if stamp != self.stamp or self.looks % STATE_EVERY == 0:
            state = state_of(self.store)
        if stamp == self.stamp and state == self.state:
            return None
        contents = self.store.epoch_contents(since=self.epoch, limit=MOST_EPOCHS)
        epochs = [json.loads(text) for text in contents]
        batches = self._new_batches()
        health = self._new_health()
        is_first = self.state != state
        self.state = state
        self.epoch = epochs[-1]["epoch"] if epochs else self.epoch
        self.stamp = None if len(epochs) == MOST_EPOCHS else stamp
        if not (epochs or batches or health or is_first):
            return None
        last = max(self.step, epochs[-1]["step"] if epochs else 0)
        return {
            "run": self.store.path.name,
            "state": state,
            "epochs": epochs,
            "batches": batches,
            "health": health,
            "time": {"last_step": last},
        }

    def _new_health(self) -> dict[str, Any] | None:
        step, layers = self.store.health()
        if step <= self.health_step:
            return None
        self.health_step = step
        rows = health_rows(layers, self._learning_rate, self.store.rate_at(step))
        return {"step": step, "layers": rows}

    @cached_property
    def _learning_rate(self) -> float | None:
        return Run(self.store).settings.learning_rate

    def _new_batches(self) -> dict[str, Any] | None:
        found = self.store.batches(since=self.step, columns=("step", "loss"))
        if not len(found["step"]):
            return None
        self.step = int(found["step"][-1])
        kept = kept_when_thinned(found["loss"], MOST_STEPS)
        return {name: found[name][kept] for name in ("step", "loss")}


class Feed:
    """One page's socket: what it watches, and what it has been told."""

    def __init__(self, context: Context, socket: WebSocket) -> None:
        self.context, self.socket = context, socket
        self.watch: Watch | None = None
        self.mark = context.shelf.mark()

    async def run(self) -> None:
        """Until the page goes away: hear what it wants, and tell what is new."""
        await self.socket.accept()
        hearing = asyncio.create_task(self._hear())
        try:
            while not hearing.done():
                for message in await run_in_threadpool(self._look):
                    await self.socket.send_text(as_json(message).decode())
                await asyncio.wait([hearing], timeout=INTERVAL_S)
        except (WebSocketDisconnect, RuntimeError):  # it went away while we spoke
            pass
        finally:
            hearing.cancel()
            with suppress(asyncio.CancelledError, WebSocketDisconnect):
                await hearing

    async def _hear(self) -> None:
        """Take the page's wishes, until it goes away."""
        while True:
            try:
                wish = parse_object(await self.socket.receive_text())
                self.watch = self._wished(wish)
            except (BadRequest, NoSuchRun) as error:
                await self.socket.send_text(as_json({"error": str(error)}).decode())
            except KeyError:  # bytes instead of text
                return

    def _wished(self, wish: Mapping[str, Any]) -> Watch | None:
        name, epoch, step = wish.get("watch"), wish.get("epoch") or 0, wish.get("step") or 0
        if name is None:
            return None
        known = all(isinstance(count, int) and 0 <= count <= FURTHEST for count in (epoch, step))
        if not isinstance(name, str) or not known:
            raise BadRequest("`watch` is a run's name, `epoch` and `step` are whole numbers", got=str(dict(wish))[:80])
        return Watch(self.context.store(name), epoch, step)

    def _look(self) -> list[dict[str, Any]]:
        """What is to be told now."""
        messages: list[dict[str, Any]] = []
        mark = self.context.shelf.mark()
        if mark != self.mark:
            self.mark = mark
            messages.append({"runs": True})
        watch = self.watch  # `_hear` may set another one meanwhile
        if watch is not None:
            try:
                news = watch.news()
            except RunError as error:
                messages.append({"run": watch.store.path.name, "error": str(error)})
                if self.watch is watch:
                    self.watch = None
            else:
                messages += [news] if news else []
        return messages


def routes(context: Context) -> list[BaseRoute]:
    """The socket."""

    async def live(socket: WebSocket) -> None:
        await Feed(context, socket).run()

    return [WebSocketRoute("/api/live", live)]
