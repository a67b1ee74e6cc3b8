"""Trainings that are started from the page: processes of their own, `nudge train` as anybody would type it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from starlette.routing import BaseRoute

from nudgenet.page.context import Context


class Jobs:
    """The trainings that this page has started."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs

    def started(self, name: str) -> bool:
        """Whether this page started the run of this name."""
        return False

    def close(self, say: Callable[[str], None]) -> None:
        """Ask all that still train to stop, as Ctrl-C does, and wait for them."""


def routes(context: Context) -> list[BaseRoute]:
    """Start, stop and fork."""
    return []
