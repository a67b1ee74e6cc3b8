"""Trainings that are started from the page: processes of their own, `nudge train` as anybody would type it.

The page never trains: its process may end without harm, and a training that it starts writes its run's folder like
any other. When the page is closed, what it started is asked to stop, as Ctrl-C does, and saves first.
"""

from __future__ import annotations

import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from nudgenet.bookkeeping import check_name, given_settings, train_command, train_words
from nudgenet.data.read import find_file, is_query, name_of
from nudgenet.errors import RunError, did_you_mean
from nudgenet.page.beside import future_folder
from nudgenet.page.context import BadRequest, NoSuchRun, posting, reading
from nudgenet.page.sources import source_at
from nudgenet.records import Source
from nudgenet.runs.store import Store
from nudgenet.settings import Settings, make_settings

if TYPE_CHECKING:
    from nudgenet.page.context import Context

MOST_AT_ONCE = 4  # each wants all processors; a page that is clicked wildly should not bring the machine down
INTERRUPTED = (130, 143, -signal.SIGINT, -signal.SIGTERM)


@dataclass
class Job:
    """One training that was started here."""

    id: str
    folder: Path  # of its run
    process: subprocess.Popen[str]
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=20))  # the last ones of what it said
    is_asked_to_stop: bool = False

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    @property
    def state(self) -> str:
        """How far it is: "starting" until its run's folder is there."""
        code = self.process.poll()
        if code is None:
            return "training" if (self.folder / "settings.json").is_file() else "starting"
        return "done" if code == 0 else "stopped" if code in INTERRUPTED or self.is_asked_to_stop else "failed"

    def describe(self) -> dict[str, Any]:
        """For the page: its state, its run as soon as there is one, and the last line of what it said."""
        state = self.state
        is_there = (self.folder / "settings.json").is_file()
        line = self.lines[-1].removeprefix("nudge: ") if self.lines else ""
        return {"state": state, "run": self.folder.name if is_there else None, "name": self.folder.name, "line": line}

    def stop(self) -> None:
        """Ask it to stop, as Ctrl-C does: it saves first."""
        self.is_asked_to_stop = True
        if self.is_running:
            self.process.send_signal(signal.SIGINT)

    def listen(self) -> None:
        """Take what it says, so that it never waits for somebody to read."""
        if self.process.stderr is None:
            return
        with self.process.stderr as stream:
            for line in stream:
                if line.strip():
                    self.lines.append(line.strip())


class Jobs:
    """The trainings that this page has started. Used from several threads."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self._jobs: dict[str, Job] = {}
        self._lock = threading.Lock()

    def start(self, source: str, given: Mapping[str, Any], name: str | None) -> Job:
        """Train on a source (an absolute path, or a query) in a process of its own.

        Raises:
            BadRequest: too many of them train already.
            RunError: there is a run of this name, or no folder can be made.
        """
        with self._lock:
            if sum(job.is_running for job in self._jobs.values()) >= MOST_AT_ONCE:
                raise BadRequest(
                    f"{MOST_AT_ONCE} trainings that were started here still go on", fix="Stop one, or wait."
                )
            folder = self._free_folder(source, name)
            # -P: a file in the current folder that is called like a library must not be taken for it.
            command = [sys.executable, "-P", "-m", "nudgenet", "train", *train_words(source, given)]
            process = subprocess.Popen(
                [*command, "--runs", str(self.runs), "--name", folder.name, "--quiet"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,  # a Ctrl-C in the page's terminal is the page's; it passes it on in `close`
            )
            job = Job(secrets.token_hex(8), folder, process)
            self._jobs[job.id] = job
        threading.Thread(target=job.listen, daemon=True).start()
        return job

    def _free_folder(self, source: str, name: str | None) -> Path:
        """Where the run will be; a name that a training was given a moment ago is not free either."""
        folder = future_folder(source, self.runs, name)
        taken, stem, number = {job.folder for job in self._jobs.values() if job.is_running}, folder.name, 2
        while folder in taken and name is None:
            folder, number = self.runs / f"{stem}-{number}", number + 1
        if folder in taken:
            raise RunError("A run with this name is being started", got=folder.name, fix="Choose another name.")
        return folder

    def job(self, job: str) -> Job:
        """A training by its number. Raises NoSuchRun if this page started none such."""
        if job not in self._jobs:
            raise NoSuchRun("This page has started no such training", got=repr(job))
        return self._jobs[job]

    def started(self, name: str) -> bool:
        """Whether the run of this name was started here."""
        return any(job.folder.name == name for job in list(self._jobs.values()))

    def stop(self, name: str) -> Job:
        """Ask a training to stop. Raises RunError if it was not started here, or is over."""
        found = [job for job in list(self._jobs.values()) if job.folder.name == name and job.is_running]
        if not found:
            raise RunError(
                "Only a training that was started here and still goes on can be stopped here",
                got=name,
                fix="Press Ctrl-C where it was started.",
            )
        found[0].stop()
        return found[0]

    def close(self, say: Callable[[str], None]) -> None:
        """Ask all that still train to stop, and wait for them; Ctrl-C meanwhile ends them at once."""
        running = [job for job in self._jobs.values() if job.is_running]
        if not running:
            return
        count = f"{len(running)} trainings that were" if len(running) > 1 else "a training that was"
        say(f"Stopping {count} started here: saving first. Press Ctrl-C again to stop at once.")
        try:
            for job in running:
                job.stop()
            for job in running:
                job.process.wait()
        except KeyboardInterrupt:
            for job in running:
                job.process.kill()


def wished(body: Mapping[str, Any]) -> tuple[Source, dict[str, Any]]:
    """The source and the settings that a form holds; what was left empty is not set.

    Raises:
        UserError: there is no such file or setting, or a value cannot be that.
    """
    named, values = body.get("source"), body.get("settings") or {}
    if not isinstance(named, str) or not named.strip():
        raise BadRequest("A source is needed", fix="Choose a file or a folder, or write a query.")
    if not isinstance(values, Mapping):
        raise BadRequest("`settings` must be an object", got=type(values).__name__)
    given = {name: value for name, value in values.items() if value not in (None, "") or name == "clip"}
    if body.get("target") not in (None, ""):
        given["target"] = body["target"]
    settings = make_settings(**given)
    if is_query(named):
        return Source("query", "query", named.strip(), ""), given_settings(settings)
    path = source_at(named.strip())
    return Source("file", name_of(path), str(path), ""), given_settings(settings)


def fork_of(store: Store, setting: str, value: Any) -> tuple[str, dict[str, Any]]:
    """A run's source and what was set for it, with one setting changed; the test part stays unread.

    Raises:
        SettingError: there is no such setting, or it cannot have that value.
        RunError: its rows are gone, or it used functions of the person's own.
    """
    if setting not in Settings.model_fields:
        raise BadRequest(f"There is no setting `{setting}`", fix=did_you_mean(setting, Settings.model_fields))
    stored, data = store.read_json("settings.json"), store.read_json("data.json")
    if stored["own_functions"]:
        raise RunError(
            "This run was trained with functions of your own, which the page does not have",
            got=", ".join(stored["own_functions"]),
            fix="Train the fork in Python.",
        )
    given = {"target": stored["chosen"]["target"], **stored["settings"], setting: value, "score_test": False}
    settings = given_settings(make_settings(**given))
    copy = store.path / "data.parquet"
    if data["source"]["kind"] == "file":
        return str(find_file(data["source"]["location"])), settings
    if not copy.is_file() or data["num_given_test_rows"]:
        raise RunError("This run kept no copy of its rows that could be trained on again", got=store.path.name)
    return str(copy.absolute()), settings


def fork_name(name: str, setting: str, value: Any, is_taken: Callable[[str], bool]) -> str:
    """Such as `titanic-dropout-0.3`, with a number behind it where there is one already."""
    words = re.sub(r"[^\w.,+=-]+", "-", f"{setting}-{value}").strip("-.")[:60]
    stem, number = f"{name[:120]}-{words}", 2
    found = stem
    while is_taken(found):
        found, number = f"{stem}-{number}", number + 1
    check_name(found)
    return found


def routes(context: Context) -> list[BaseRoute]:
    """Start, stop and fork."""
    jobs = context.jobs

    def command(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        return {"command": command_line(context.runs, body)}

    def start(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        source, given = wished(body)
        job = jobs.start(str(source.location), given, str(body.get("name") or "").strip() or None)
        return {"job": job.id, "name": job.folder.name, "command": command_line(context.runs, body)}

    def job_of(request: Request) -> dict[str, Any]:
        return jobs.job(request.path_params["job"]).describe()

    def stop(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        return jobs.stop(request.path_params["name"]).describe()

    def fork(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        store = context.store(request.path_params["name"])
        setting, value = str(body.get("setting", "")), body.get("value")
        source, given = fork_of(store, setting, value)
        name = fork_name(
            store.path.name, setting, value, lambda name: (context.runs / name).exists() or jobs.started(name)
        )
        job = jobs.start(source, given, name)
        words = shlex.join(["nudge", "train", *train_words(source, given), *where(context.runs, name)])
        return {"job": job.id, "name": job.folder.name, "command": words}

    return [
        Route("/api/start", posting(start), methods=["POST"]),
        Route("/api/command", posting(command), methods=["POST"]),
        Route("/api/jobs/{job}", reading(job_of)),
        Route("/api/runs/{name}/stop", posting(stop), methods=["POST"]),
        Route("/api/runs/{name}/fork", posting(fork), methods=["POST"]),
    ]


def command_line(runs: Path, body: Mapping[str, Any]) -> str:
    """The command that does what a form asks for."""
    source, given = wished(body)
    words = train_command(source, Settings(**given))
    return f"{words} {shlex.join(where(runs, str(body.get('name') or '').strip()))}".strip()


def where(runs: Path, name: str) -> list[str]:
    """The options that put a run where the page would put it; what is so by default is left away."""
    folder = os.path.relpath(runs)
    words = [] if folder == "runs" else ["--runs", str(runs) if folder.startswith("..") else folder]
    return [*words, "--name", name] if name else words
