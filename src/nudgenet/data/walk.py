"""Every file below a folder: links followed, what file managers leave behind set apart, names that can be written."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from nudgenet.errors import shorten
from nudgenet.records import Decision

NAMED = 1_000  # files that are named when they are left out
_Place = tuple[int, int]  # device and number of a folder: the same whatever links lead to it


@dataclass
class Found:
    """What lies below a folder, each list by name.

    files: files, and links to some that are gone: that these cannot be read is said when they are decoded.
    hidden: what file managers and archives leave behind. loops: links that lead back to where they are in.
    closed: folders that may not be looked into.
    """

    folder: Path
    files: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)
    loops: list[Path] = field(default_factory=list)
    closed: list[Path] = field(default_factory=list)

    def decisions(self) -> list[Decision]:
        """What was not looked at, counted and named."""
        said = {
            "hidden": (self.hidden, "file managers and archives leave them behind"),
            "links": (self.loops, "they lead back to a folder that they are in"),
            "closed folders": (self.closed, "there is no permission to look into them"),
        }
        return [
            Decision(f"skipped: {what}", f"{len(paths):,}: {shorten(map(self.name, paths), NAMED)}", why, "")
            for what, (paths, why) in said.items()
            if paths
        ]

    def name(self, path: Path) -> str:
        """What a file is called, from the folder on."""
        return writable(str(path.relative_to(self.folder)))


def walk(folder: Path) -> Found:
    """All that lies below a folder, in folders and in those that links lead to."""
    found = Found(folder)
    _walk(folder, (), found)
    found.files.sort()
    found.hidden.sort()
    return found


def _walk(folder: Path, above: tuple[_Place, ...], found: Found) -> None:
    status = folder.stat()
    place = (status.st_dev, status.st_ino)
    if place in above:
        found.loops.append(folder)
        return
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except PermissionError:
        found.closed.append(folder)
        return
    for entry in entries:
        path = folder / entry.name
        if is_hidden(entry.name):
            found.hidden.append(path)
        elif entry.is_dir():
            _walk(path, (*above, place), found)
        elif path.is_file() or (entry.is_symlink() and not path.exists()):
            found.files.append(path)


def is_hidden(name: str) -> bool:
    """Whether a file or folder is something that file managers and archives leave behind."""
    return name.startswith(".") or name == "__MACOSX"


def writable(name: str) -> str:
    r"""A file's name as text that can be written anywhere: bytes of it that are no UTF-8 as \xff."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
