"""The list of runs: what stands in it, a person's notes and stars, deleting with an undo.

A folder may hold hundreds of runs and is looked at again and again, so a row is kept until a file of its run changes.
A deleted run is moved to a hidden folder beside the others; what lies there for `TRASH_DAYS` is deleted for good when
a page is opened.
"""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from nudgenet.errors import NudgeError, RunError
from nudgenet.page.context import BadRequest, NoSuchRun, posting, reading
from nudgenet.report.wording import main_metric
from nudgenet.runs.store import Store

if TYPE_CHECKING:
    from nudgenet.page.context import Context

NOTES = "page.json"  # in a run's folder: what a person wrote on the page
TRASH = ".trash"  # in the folder of runs: <time of deletion in ns>/<name>
TRASH_DAYS = 7
LONGEST_NOTE = 10_000  # characters
LOOK_AGAIN_S = 1.0  # how often the whole folder is looked at for those who watch it
Stamp = tuple[int, ...]


class Shelf:
    """The runs of a folder as rows of a table, kept until their files change. Used from several threads."""

    def __init__(self, runs: Path) -> None:
        self.runs = runs
        self._kept: dict[str, tuple[Stamp, dict[str, Any]]] = {}
        self._lock = threading.Lock()
        self._looked, self._marks = float("-inf"), 0

    def rows(self, started_here: Callable[[str], bool]) -> list[dict[str, Any]]:
        """All runs, the newest first. A damaged one is there, too, with what is wrong with it as its `problem`."""
        with self._lock:
            kept = {}
            for folder in self._folders():
                stamp = stamp_of(folder)
                before = self._kept.get(folder.name)
                kept[folder.name] = before if before and before[0] == stamp else (stamp, row_of(Store(folder)))
            self._kept = kept
            rows = [dict(row) for _, row in kept.values()]
        for row in rows:
            row["started_here"] = started_here(row["name"])
            if row["state"] == "interrupted" and Store(self.runs / row["name"]).is_held:
                row["state"] = "live"
        return sorted(rows, key=lambda row: (row["created"], row["name"]), reverse=True)

    def mark(self) -> int:
        """A number that changes when the list does; the folder is looked at once in `LOOK_AGAIN_S`, whoever asks."""
        with self._lock:
            if time.monotonic() - self._looked > LOOK_AGAIN_S:
                self._looked = time.monotonic()
                states = []
                for folder in self._folders():
                    done = (folder / "DONE").exists()
                    noted = _changed(folder / NOTES)
                    states.append((folder.name, done or Store(folder).is_held, done, noted))
                self._marks = hash(tuple(sorted(states)))
            return self._marks

    def _folders(self) -> Iterator[Path]:
        """The folders of runs; links are left out, they may lead anywhere."""
        with suppress(OSError):
            for entry in self.runs.iterdir():
                if not entry.name.startswith(".") and not entry.is_symlink() and (entry / "settings.json").is_file():
                    yield entry


def stamp_of(folder: Path) -> Stamp:
    """When each file that a row is made of was changed last."""
    names = ("settings.json", "DONE", NOTES)
    done = (folder / "DONE").exists()
    return tuple(
        _changed(folder / name) for name in (names if done else (*names, "metrics.sqlite", "metrics.sqlite-wal"))
    )


def state_of(store: Store) -> str:
    """ "done", "live" while a process trains it, else "interrupted"."""
    return "done" if store.is_done else "live" if store.is_held else "interrupted"


def _changed(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def row_of(store: Store) -> dict[str, Any]:
    """What the list shows of a run; of one that is not done, what is known so far ("live" is for the caller to see)."""
    row: dict[str, Any] = dict.fromkeys(
        ("created", "target", "task", "source", "metric", "verdict", "epochs", "best_epoch", "parameters", "seconds")
    )
    row |= {
        "name": store.path.name,
        "state": "done" if store.is_done else "interrupted",
        "created": "",
        "problem": None,
    }
    try:
        row |= notes_of(store)
        row["created"] = store.read_json("settings.json")["created"]
        data = store.read_json("data.json")
        row |= {"target": data["task"]["target"], "task": data["task"]["kind"], "source": data["source"]["name"]}
        row |= _of_summary(json.loads((store.path / "DONE").read_bytes())) if store.is_done else _so_far(store)
    except (NudgeError, OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        row["problem"] = " ".join(str(error).split()) or type(error).__name__
    return row


def _of_summary(summary: dict[str, Any]) -> dict[str, Any]:
    name, scores = main_metric(summary), summary["metrics"]
    low, high = summary.get("interval") or (None, None)
    found = {part: scores.get(part, {}).get(name) for part in ("validation", "test")}
    return {
        "metric": {"name": name, **found, "low": low, "high": high},
        "verdict": summary["verdict"]["state"],
        "best_epoch": summary["verdict"]["best_epoch"],
        "epochs": summary["epochs"],
        "parameters": summary["parameters"],
        "seconds": summary["seconds"]["total"],
    }


def _so_far(store: Store) -> dict[str, Any]:
    epochs, _ = store.progress()
    last = store.epoch_contents(since=epochs - 1)
    return {"epochs": epochs, "seconds": json.loads(last[-1])["seconds"] if last else 0.0}


def notes_of(store: Store) -> dict[str, Any]:
    """A person's star and note."""
    notes = store.read_json(NOTES) if (store.path / NOTES).exists() else {}
    return {"star": bool(notes.get("star")), "note": str(notes.get("note", ""))}


def delete(context: Context, store: Store) -> None:
    """Move a run to the trash. Raises RunError if it is being trained."""
    with store.held():
        place = context.runs / TRASH / str(time.time_ns())
        place.mkdir(parents=True)
        store.path.rename(place / store.path.name)


def restore(context: Context, name: str) -> Store:
    """Bring the run of this name that was deleted last back from the trash.

    Raises:
        NoSuchRun: none of this name lies there.
        RunError: there is another run of this name by now.
    """
    context.check(name)
    places = [place for place in deleted(context.runs) if (place / name / "settings.json").is_file()]
    if not places:
        raise NoSuchRun("There is no deleted run with this name", got=repr(name))
    place = max(places, key=lambda place: int(place.name))
    path = context.runs / name
    if path.exists():
        raise RunError("There is another run with this name by now", got=name, fix="Rename its folder first.")
    (place / name).rename(path)
    place.rmdir()
    return Store(path)


def deleted(runs: Path) -> list[Path]:
    """The folders in the trash, one for each deleted run."""
    try:
        return [place for place in (runs / TRASH).iterdir() if place.name.isdecimal() and not place.is_symlink()]
    except OSError:
        return []


def empty_trash(runs: Path) -> None:
    """Delete for good what has been in the trash for `TRASH_DAYS`."""
    too_old = time.time_ns() - TRASH_DAYS * 86_400 * 10**9
    for place in deleted(runs):
        if int(place.name) < too_old:
            shutil.rmtree(place, ignore_errors=True)


def routes(context: Context) -> list[BaseRoute]:
    """The list, and what can be done with one of its rows."""
    writing = threading.Lock()

    def all_rows(request: Request) -> dict[str, Any]:
        return {"folder": str(context.runs), "runs": context.shelf.rows(context.jobs.started)}

    def write_note(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        store = context.store(request.path_params["name"])
        if "text" not in body and "star" not in body:
            raise BadRequest("`text` or `star` is needed", got=", ".join(body) or "nothing")
        with writing:  # a star and a note that come together are two requests
            notes = notes_of(store)
            if "star" in body:
                notes["star"] = bool(body["star"])
            if "text" in body:
                notes["note"] = str(body["text"])[:LONGEST_NOTE]
            store.write_json(NOTES, notes)
        return notes

    def delete_run(request: Request) -> dict[str, Any]:
        store = context.store(request.path_params["name"])
        delete(context, store)
        return {"deleted": store.path.name}

    def restore_run(request: Request, body: dict[str, Any]) -> dict[str, Any]:
        return {"restored": restore(context, request.path_params["name"]).path.name}

    return [
        Route("/api/runs", reading(all_rows)),
        Route("/api/runs/{name}/note", posting(write_note), methods=["POST"]),
        Route("/api/runs/{name}/star", posting(write_note), methods=["POST"]),
        Route("/api/runs/{name}/restore", posting(restore_run), methods=["POST"]),
        Route("/api/runs/{name}", reading(delete_run), methods=["DELETE"]),
    ]
