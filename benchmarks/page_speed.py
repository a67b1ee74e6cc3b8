"""How quick the page is, in a real browser: what `page.py --load --zoom --slider` measure.

Each figure is taken inside the page, from its own clock: from the start of a load, a key or a moved slider to the first
frame after the wanted picture was drawn. The browser is Chromium (NUDGE_CHROMIUM, else the one on PATH).
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Page, sync_playwright

import nudgenet
from nudgenet.run import Run
from nudgenet.runs.store import Store

SIZE = {"width": 1280, "height": 2000}  # the network is in sight whatever stands above it
LONG_STEPS, LONG_METRICS = 100_000, 8  # of each part; with losses, learning rate and gradient norm 20 in all
WAIT_MS = 60_000
# Kept by the page from its first moment: when curves and network were first there, in ms since the load began.
WATCH_LOAD = """
(() => {
  const seen = (window.seen = {});
  const wanted = {
    curves: () => document.querySelector('.chart .stage[aria-label*=" by "]'),
    network: () => document.querySelector('section.network .slot.output .label')?.textContent,
  };
  const look = () => {
    for (const [name, there] of Object.entries(wanted)) if (!(name in seen) && there()) seen[name] = performance.now();
    requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
})();
"""
ZOOM = """async () => {
  const stage = document.querySelector('.chart .stage');
  stage.focus();
  const below = document.querySelector('.chart .below span'); // of how many points it shows how many
  const before = below.textContent;
  const frame = () => new Promise(requestAnimationFrame);
  const start = performance.now();
  stage.dispatchEvent(new KeyboardEvent('keydown', { key: '+', bubbles: true }));
  await frame();
  const repainted = performance.now() - start;
  while (below.textContent === before && performance.now() - start < 5000) await frame();
  return [repainted, performance.now() - start];
}"""
SLIDE = """async (step) => {
  const slider = document.querySelector('.timebar input[type=range]');
  const drawing = document.querySelector('section.network svg[role=group]');
  const drawn = new Promise((done) => {
    const watcher = new MutationObserver(() => (watcher.disconnect(), requestAnimationFrame(done)));
    watcher.observe(drawing, { attributes: true, childList: true, subtree: true });
  });
  const start = performance.now();
  slider.value = step;
  slider.dispatchEvent(new Event('input', { bubbles: true }));
  await drawn;
  return performance.now() - start;
}"""


def tell(name: str, found: list[float], target: float | None, unit: str = "ms") -> bool:
    """Prints median and 95th percentile; whether the latter is within the target."""
    high = float(np.percentile(found, 95))
    fine = target is None or high < target
    verdict = "" if target is None else f", {'within' if fine else 'above'} {target:g} {unit}"
    print(
        f"{name}: median {statistics.median(found):.0f} {unit}, p95 {high:.0f} {unit} of {len(found)}{verdict}",
        flush=True,
    )
    return fine


def tell_machine() -> None:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{os.cpu_count()} processors, load average {load}, {time.strftime('%Y-%m-%d')}", flush=True)


def write_table(path: Path, num_rows: int) -> None:
    """A table with three numbers, a category and a yes/no target."""
    random = np.random.default_rng(0)
    numbers = random.normal(size=(num_rows, 3))
    kinds = random.choice(["red", "green", "blue"], num_rows)
    answers = np.where(numbers.sum(axis=1) + (kinds == "red") + random.normal(0, 0.7, num_rows) > 0, "yes", "no")
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["a", "b", "c", "kind", "answer"])
        writer.writerows(
            [*map("{:.4f}".format, row), kind, answer]
            for row, kind, answer in zip(numbers, kinds, answers, strict=True)
        )


def make_run(folder: Path, epochs: int = 30) -> None:
    """The run `usual`: a table network of the default size."""
    write_table(folder / "table.csv", 3_000)
    nudgenet.train(folder / "table.csv", "answer", runs=folder / "runs", name="usual", epochs=epochs, patience=epochs)


def make_long_run(folder: Path) -> None:
    """The run `long`: as `usual`, with the record of 100,000 steps and 20 metrics in place of its own."""
    make_run(folder, epochs=3)
    (folder / "runs" / "usual").rename(folder / "runs" / "long")
    store = Store(folder / "runs" / "long")
    first = Run(store).epochs[0]
    random = np.random.default_rng(0)
    falling = 0.2 + np.exp(-np.arange(LONG_STEPS) / 2e4) + random.normal(0, 0.02, LONG_STEPS)
    rows = []
    for step, loss in enumerate(falling.tolist(), start=1):
        scores = {f"metric_{place}": loss * place for place in range(1, LONG_METRICS + 1)}
        epoch = asdict(first) | {"epoch": step, "step": step, "train_loss": loss, "validation_loss": loss + 0.05}
        rows.append((step, step, json.dumps(epoch | {"train_metrics": scores, "validation_metrics": scores})))
    with (
        closing(sqlite3.connect(store.path / "metrics.sqlite")) as database,
        database,
    ):  # at once: one by one takes minutes
        database.executemany("insert or replace into epochs values (?, ?, ?)", rows)
    store.add_batches([(step, step, loss, 1.0, 0.001) for step, loss in enumerate(falling.tolist(), start=1)])


def find_chromium() -> str:
    found = os.environ.get("NUDGE_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not found:
        raise SystemExit("These figures need Chromium: install it, or name it in NUDGE_CHROMIUM.")
    return found


@contextmanager
def served(runs: Path, *, tied: bool = False) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a page over these runs, with its token, and its process; tied: as `nudge train --open` has it."""
    command = [sys.executable, "-m", "nudgenet", "page", "--runs", str(runs), "--no-open"] + ["--tied"] * tied
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield next(line.strip() for line in process.stdout if "token=" in line), process
        finally:
            process.terminate()


@contextmanager
def browsing() -> Iterator[Browser]:
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=["--no-sandbox"] if root else [])
        yield browser
        browser.close()


def opened(browser: Browser, address: str, name: str, *, moves: bool = False) -> Page:
    """A run's page in a profile of its own, from an empty cache; `seen` says when it was drawn. moves: with animations."""
    motion = "no-preference" if moves else "reduce"
    context = browser.new_context(viewport=SIZE, reduced_motion=motion)  # type: ignore[arg-type]
    context.set_default_timeout(WAIT_MS)
    context.request.get(address)  # lets this profile in, and leaves the browser's cache empty
    page = context.new_page()
    page.add_init_script(WATCH_LOAD)
    page.goto(f"{re.sub(r'[?#].*', '', address)}#/run/{name}")
    return page


def wait_for(page: Page, condition: str) -> None:
    """Playwright's own way needs `eval`, which the page's policy forbids."""
    end = time.monotonic() + WAIT_MS / 1000
    while not page.evaluate(f"Boolean({condition})"):
        if time.monotonic() > end:
            raise SystemExit(f"The page did not come to: {condition}")
        page.wait_for_timeout(20)


def settled(page: Page) -> None:
    wait_for(page, "document.querySelector('.timebar .at.exact') && !document.querySelector('.panel[aria-busy]')")
    page.wait_for_timeout(200)


def load(times: int) -> bool:
    """Loads of a run's page until its first curve, and until its network, are drawn."""
    tell_machine()
    curves, network = [], []
    with tempfile.TemporaryDirectory() as folder:
        make_run(Path(folder))
        with served(Path(folder) / "runs") as (address, _), browsing() as browser:
            for turn in range(times + 1):  # the first one warms the server up
                page = opened(browser, address, "usual")
                wait_for(page, "'network' in window.seen && 'curves' in window.seen")
                seen = page.evaluate("window.seen")
                if turn:
                    curves.append(seen["curves"])
                    network.append(seen["network"])
                page.context.close()
    return all([tell("load to the first curve", curves, 500), tell("load to the network", network, 500)])


def zoom(times: int) -> bool:
    """A run of 100,000 steps and 20 metrics: its first curve, and zooms, repainted and then fetched in full."""
    tell_machine()
    first, repainted, full = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        make_long_run(Path(folder))
        with served(Path(folder) / "runs") as (address, _), browsing() as browser:
            for _ in range(times):
                page = opened(browser, address, "long")
                wait_for(page, "'curves' in window.seen")
                first.append(page.evaluate("window.seen.curves"))
                for _ in range(3):
                    page.wait_for_timeout(500)
                    one, both = page.evaluate(ZOOM)
                    repainted.append(one)
                    full.append(both)
                page.context.close()
    print(f"(the first, with nothing in the server's memory: {first[0]:.0f} ms)")
    return all(
        [
            tell("first paint at 100,000 steps", first[1:] or first, 1000),
            tell("zoom to the repaint", repainted, 100),
            tell("zoom to all points of the window (60 ms of it wait for the next key)", full, None),
        ]
    )


def slider(times: int) -> bool:
    """Moves of the time slider until the network is repainted, from the nearest snapshot."""
    tell_machine()
    with tempfile.TemporaryDirectory() as folder:
        make_run(Path(folder))
        with served(Path(folder) / "runs") as (address, _), browsing() as browser:
            page = opened(browser, address, "usual")
            settled(page)
            last = int(page.locator(".timebar input[type=range]").get_attribute("max") or 0)
            found = []
            for step in np.random.default_rng(0).integers(0, last, times + 5).tolist():
                found.append(page.evaluate(SLIDE, step))
                page.wait_for_timeout(60)
    return tell("slider to the repaint", found[5:], 50)
