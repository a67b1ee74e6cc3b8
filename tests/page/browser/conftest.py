"""A real page in a real browser: a server over a folder of small trained runs, and Chromium to look at it.

Every test that takes `page` also proves that nothing was asked of any address but the server's, and that no
script failed: see `watched`.
"""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

pytest.importorskip("playwright", reason="the page's tests need the tools: pip install -e '.[dev]'")

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

import nudgenet

COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NASTY = '<img src=x onerror="window.hacked=1">'  # a name that must stay a text
START_S, WAIT_MS = 60, 15_000


def find_chromium() -> str:
    """The browser: NUDGE_CHROMIUM, else one on PATH, else installed by apt where that is allowed.

    Raises:
        RuntimeError: there is none. A page that is not looked at is not tested: this is never skipped.
    """
    named = os.environ.get("NUDGE_CHROMIUM")
    if named:
        return named
    found = next((path for command in COMMANDS if (path := shutil.which(command))), None)
    if found is None and hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {
            "check": False,
            "stdout": subprocess.DEVNULL,
            "env": os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        }
        subprocess.run(["apt-get", "update"], **quiet)
        subprocess.run(["apt-get", "install", "--yes", "--no-install-recommends", "chromium"], **quiet)
        found = shutil.which("chromium")
    if found is None:
        raise RuntimeError("The page's tests need Chromium: install it, or name it in NUDGE_CHROMIUM.")
    return found


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests of a session."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=find_chromium(), args=["--no-sandbox"] if root else [], headless=True
        )
        yield opened
        opened.close()


def write_rows(path: Path, header: list[str], rows: list[list[object]]) -> None:
    """A CSV file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two tables: `flowers.csv` (three classes, a nasty column and class) and `houses.csv` (a number)."""
    folder = tmp_path_factory.mktemp("sources")
    random = np.random.default_rng(0)
    size, colour = random.normal(size=300), random.choice(["red", "white", "yellow"], 300)
    length = size + 0.7 * random.normal(size=300)
    kind = np.where(length > 0.6, "rose", np.where(colour == "white", "daisy", NASTY))
    kind[::17] = "daisy"  # nobody could tell, so there is something left to advise
    flowers = [[f"{a:.3f}", f"{b:.3f}", c, d] for a, b, c, d in zip(size, length, colour, kind, strict=True)]
    write_rows(folder / "flowers.csv", ["size", NASTY, "colour", "kind"], flowers)
    area, rooms = random.uniform(30, 200, 240), random.integers(1, 7, 240)
    price = 3 * area + 10 * rooms + random.normal(0, 20, 240)
    houses = [[f"{a:.1f}", int(b), f"{c:.2f}"] for a, b, c in zip(area, rooms, price, strict=True)]
    write_rows(folder / "houses.csv", ["area", "rooms", "price"], houses)
    return folder


@pytest.fixture(scope="session")
def runs_folder(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: `flowers`, `flowers-wide` (the same, wider and overfitted) and `houses` (a regression)."""
    folder = tmp_path_factory.mktemp("runs")
    small = {"runs": folder, "members": 2, "copies": 1, "layers": 2, "width": 8, "threads": 1, "batch_size": 32}
    nudgenet.train(sources / "flowers.csv", "kind", name="flowers", epochs=12, patience=12, **small)
    wide = small | {"width": 64, "learning_rate": 0.02, "schedule": "constant", "weight_decay": 0.0, "dropout": 0.0}
    nudgenet.train(sources / "flowers.csv", "kind", name="flowers-wide", epochs=60, patience=60, **wide)
    nudgenet.train(sources / "houses.csv", "price", name="houses", epochs=12, **small)
    return folder


@dataclass
class Server:
    """A running `nudge page`."""

    address: str  # with the token
    runs: Path
    sources: Path

    @property
    def origin(self) -> str:
        return f"http://{urlsplit(self.address).netloc}"


@pytest.fixture(scope="session")
def server(runs_folder: Path, sources: Path) -> Iterator[Server]:
    """`nudge page` over the runs, as a person starts it; its working folder is the sources'."""
    command = [sys.executable, "-m", "nudgenet", "page", "--runs", str(runs_folder), "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=sources) as process:
        assert process.stdout is not None
        address = next((line.strip() for line in process.stdout if "token=" in line), "")
        if not address.startswith("http"):
            process.terminate()
            raise RuntimeError("`nudge page` did not say its address.")
        yield Server(address, runs_folder, sources)
        process.terminate()
        process.wait(timeout=START_S)


@dataclass
class Watched:
    """What a browser's context did that it should not have done."""

    origin: str
    strangers: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)  # pieces of messages that a test provokes on purpose

    def on(self, context: BrowserContext) -> None:
        context.on("request", self._asked)
        context.on("console", self._said)
        context.on("weberror", lambda error: self.errors.append(str(error.error)))

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((self.origin, self.origin.replace("http", "ws", 1), "data:", "blob:")):
            self.strangers.append(request.url)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not any(text in message.text for text in self.expected):
            self.errors.append(f"{message.text} ({message.location.get('url', '')})")


@pytest.fixture
def context(browser: Browser, server: Server) -> Iterator[BrowserContext]:
    """A fresh browser profile that is let in; proves at its end that it was quiet and stayed at home."""
    opened = browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    opened.set_default_timeout(WAIT_MS)
    watched = Watched(server.origin)
    watched.on(opened)
    opened.watched = watched  # type: ignore[attr-defined]
    yield opened
    opened.close()
    assert watched.strangers == [], "the page asked another address"
    assert watched.errors == [], "a script failed, or the policy refused something"


@pytest.fixture
def page(context: BrowserContext, server: Server) -> Page:
    """The page at its list of runs."""
    opened = context.new_page()
    opened.goto(server.address)
    opened.wait_for_selector("table.runs")
    return opened
