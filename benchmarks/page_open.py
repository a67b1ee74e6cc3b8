"""What an open page costs the training that it shows: `page.py --open-page`.

A training of at least `LEAST_S` in a process of its own, several times over:

- `alone`: nobody looks.
- `open`: a browser shows its page, which was drawn before the clock starts.
- `middle`: the same, but the page opens a third of the way through, so that its loading is in the figure.
- `server`: the page's server alone, with somebody at its socket who only listens.

The training is stopped (SIGSTOP) after its first epoch while the page loads, and goes on when the clock starts: what
is compared is the time from the end of the next epoch to that of the last, per epoch. `alone` and `open` alternate in pairs; beside the clock on the wall stands
the training's processor time, which other work on the machine disturbs less, and how much of a processor the page
took itself. Linux: the times of processes are read from /proc.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import HTTPCookieProcessor, build_opener

from playwright.sync_api import Browser
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from nudgenet.errors import RunError
from nudgenet.runs.store import Store
from page_speed import browsing, opened, served, tell_machine, wait_for, write_table

LEAST_S, CALIBRATION_EPOCHS, NUM_ROWS = 20.0, 30, 20_000
REST_S = 1.0  # between the drawn page and the clock
TARGET = 1.03


@dataclass(frozen=True)
class Took:
    """Of one training: seconds of an epoch on the wall and of processor time, and what share of one processor the
    page's server and the browser took meanwhile."""

    wall: float
    processor: float
    server: float
    browser: float


def open_page(num_pairs: int) -> bool:
    """Whether a training is slowed by less than 3 % by its open page."""
    tell_machine()
    found: dict[str, list[Took]] = {"alone": [], "open": [], "middle": [], "server": []}
    with tempfile.TemporaryDirectory() as name, browsing() as browser:
        folder = Path(name)
        write_table(folder / "table.csv", NUM_ROWS)
        warm = measure("alone", browser, folder, "warm", CALIBRATION_EPOCHS)
        epochs = 1 + round(1.1 * LEAST_S / warm.wall)
        print(f"{NUM_ROWS:,} rows, {epochs} epochs, about {epochs * warm.wall:.0f} s", flush=True)
        kinds = [kind for pair in range(num_pairs) for kind in (("alone", "open"), ("open", "alone"))[pair % 2]]
        kinds += ["middle", "server"] * max(1, num_pairs // 2)
        for turn, kind in enumerate(kinds):
            took = measure(kind, browser, folder, f"{turn}-{kind}", epochs)
            found[kind].append(took)
            print(
                f"{kind}: {1000 * took.wall:.1f} ms an epoch, {1000 * took.processor:.1f} ms of processor; "
                f"of one processor the server took {took.server:.1%}, the browser {took.browser:.1%}",
                flush=True,
            )
    return told(found)


def told(found: dict[str, list[Took]]) -> bool:
    """Prints the ratios; whether the target holds."""
    pairs = [shown.wall / alone.wall for shown, alone in zip(found["open"], found["alone"], strict=True)]
    middle = statistics.median(pairs)
    verdict = "within" if middle < TARGET else "above"
    print(
        f"open / alone: median {middle:.3f} ({min(pairs):.3f} to {max(pairs):.3f}) of {len(pairs)} pairs, {verdict} {TARGET}"
    )
    alone = {part: statistics.median(getattr(took, part) for took in found["alone"]) for part in ("wall", "processor")}
    for kind in ("open", "middle", "server"):
        ratios = {part: statistics.median(getattr(took, part) for took in found[kind]) / alone[part] for part in alone}
        print(
            f"{kind} / alone, medians of {len(found[kind])}: wall {ratios['wall']:.3f}, processor {ratios['processor']:.3f}"
        )
    return middle < TARGET


def measure(kind: str, browser: Browser, folder: Path, name: str, epochs: int) -> Took:
    """One training, watched in this way."""
    with ExitStack() as stack:
        process, store = stack.enter_context(stopped_training(folder, name, epochs))
        address, server = stack.enter_context(served(folder / "runs", tied=True)) if kind != "alone" else ("", None)
        if kind == "server":
            stack.enter_context(listening(address, name))
        if kind == "open":
            page = stack.enter_context(opened(browser, address, name, moves=True).context).pages[0]
            wait_for(page, "'network' in window.seen && 'curves' in window.seen")
        time.sleep(REST_S)
        before, first = spent(), store.progress()[0]
        began = time.perf_counter()
        process.send_signal(signal.SIGCONT)
        if kind == "middle":
            time.sleep(LEAST_S / 3)
            stack.enter_context(opened(browser, address, name, moves=True).context)
        _, _, usage = os.wait4(process.pid, 0)
        wall, after = time.perf_counter() - began, spent()
        process.returncode = 0  # it was waited for behind its back
    ends = [json.loads(content)["seconds"] for content in store.epoch_contents(since=first)]
    processor = usage.ru_utime + usage.ru_stime - before[process.pid].seconds
    of_server = under(after, server.pid) - under(before, server.pid) if server else 0.0
    others = under(after, os.getpid()) - under(before, os.getpid(), without=process.pid) - of_server
    return Took((ends[-1] - ends[0]) / (len(ends) - 1), processor / len(ends), of_server / wall, others / wall)


@contextmanager
def stopped_training(folder: Path, name: str, epochs: int) -> Iterator[tuple[subprocess.Popen[bytes], Store]]:
    """A training in a process of its own, stopped after its first epoch."""
    command = [sys.executable, "-m", "nudgenet", "train", str(folder / "table.csv"), "--target", "answer", "--quiet"]
    command += ["--no-baselines", "--runs", str(folder / "runs"), "--name", name]
    command += [f"--set=epochs={epochs}", f"--set=patience={epochs}"]
    store = Store(folder / "runs" / name)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not has_begun(store):
            if process.poll() is not None:
                raise SystemExit("The training ended before its first epoch.")
            time.sleep(0.02)
        process.send_signal(signal.SIGSTOP)
        yield process, store
    finally:
        if process.returncode is None:
            process.kill()
            process.wait()


def has_begun(store: Store) -> bool:
    """Whether it has recorded an epoch."""
    with suppress(RunError):  # its database is just being made
        return (store.path / "metrics.sqlite").exists() and store.progress()[0] > 0
    return False


@contextmanager
def listening(address: str, name: str) -> Iterator[None]:
    """Somebody who follows the run at the page's socket, and draws nothing."""
    origin = "{0.scheme}://{0.netloc}".format(urlsplit(address))
    cookies = CookieJar()
    build_opener(HTTPCookieProcessor(cookies)).open(address).close()
    headers = {"Cookie": "; ".join(f"{cookie.name}={cookie.value}" for cookie in cookies)}
    with connect(origin.replace("http", "ws", 1) + "/api/live", origin=origin, additional_headers=headers) as socket:  # type: ignore[arg-type]
        socket.send(f'{{"watch": "{name}", "epoch": 0, "step": 0}}')

        def hear() -> None:
            with suppress(ConnectionClosed):
                for _ in socket:
                    pass

        threading.Thread(target=hear, daemon=True).start()
        yield


@dataclass(frozen=True)
class Usage:
    """Of a process: who started it, and its processor time."""

    parent: int
    seconds: float


def spent() -> dict[int, Usage]:
    """What every process of this machine has used so far."""
    found = {}
    for place in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            numbers = (place / "stat").read_text().rpartition(")")[2].split()
            ticks = int(numbers[11]) + int(numbers[12])  # user and system time: fields 14 and 15 of proc(5)
            found[int(place.name)] = Usage(int(numbers[1]), ticks / os.sysconf("SC_CLK_TCK"))
    return found


def under(processes: dict[int, Usage], root: int, without: int | None = None) -> float:
    """Seconds of the processes that this one started, and of those that they started; its own if it is not this one."""
    own = processes[root].seconds if root in processes and root != os.getpid() else 0.0
    children = [pid for pid, usage in processes.items() if usage.parent == root and pid != without]
    return own + sum(under(processes, pid) for pid in children)
