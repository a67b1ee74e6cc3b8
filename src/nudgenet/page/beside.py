"""The page beside a training, for `nudge train --open`: a process of its own, so that neither disturbs the other.

It lives as long as the command that started it: its standard input is a pipe from that command, and when the pipe
ends, for whatever reason, so does the page.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from nudgenet.bookkeeping import Wanted
from nudgenet.data.read import find_file, is_query, name_of
from nudgenet.errors import RunError

LOOK_EVERY_S = 0.1
CLOSING_S = 10.0  # how long a page may take to end what it does


@dataclass
class Beside:
    """A page that was opened beside a training.

    address: where it is, with the token.
    over: set when the command is done with the page.
    """

    process: subprocess.Popen[str]
    address: str
    folder: Path  # of the run that it is to show
    over: threading.Event = field(default_factory=threading.Event)

    def show(self) -> None:
        """Wait for the run's folder, and open the browser at that run."""
        while not (self.folder / "settings.json").is_file():
            if self.over.wait(LOOK_EVERY_S):
                return
        webbrowser.open(self.run_address)

    @property
    def run_address(self) -> str:
        """Where the page shows this run."""
        return f"{self.address}#/run/{quote(self.folder.name, safe='')}"

    def wait(self) -> None:
        """Until the page ends by itself, or Ctrl-C."""
        while self.process.poll() is None:
            time.sleep(LOOK_EVERY_S)

    def close(self) -> None:
        """End the page."""
        self.over.set()
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.process.wait(CLOSING_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def page_beside(folder: Path) -> Iterator[Beside]:
    """Open the page on the folder of a run that is about to be made; it is closed at the end.

    Raises:
        RunError: it does not start; it has said why on stderr.
    """
    # A session of its own: a Ctrl-C in the terminal is for the training, which saves first.
    command = [sys.executable, "-P", "-m", "nudgenet", "page", "--runs", str(folder.parent), "--no-open", "--tied"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    page = Beside(process, "", folder)
    try:
        page.address = process.stdout.readline().strip() if process.stdout else ""
        if not page.address:
            raise RunError("The page could not be opened", fix="Train without --open, or see what `nudge page` says.")
        shower = threading.Thread(target=page.show, daemon=True)
        shower.start()
        yield page
    finally:
        page.close()


def future_folder(source: str, runs: Path, name: str | None) -> Path:
    """Where a run will be, known before it is made. Raises UserError as training on that source would."""
    wanted = Wanted.at(runs, name)
    return wanted.folder("query" if is_query(source) else name_of(find_file(source)))
