"""Every file below a folder: links followed, what file managers leave behind set apart, names that can be written."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from nudgenet.errors import shorten
from nudgenet.records import Decision

NAMED = 1_000  # files that are named when they are left out
_Place = tuple[int, int]  # device and number of a folder: the same whatever links lead to it


@dataclass
class Found:
    """What lies below a folder, each list by name.

    files: files, and links that lead nowhere: that these cannot be read is said when they are decoded.
    hidden: what file managers and archives leave behind. again: links to folders that are there already.
    closed: folders that may not be looked into. odd: pipes, sockets and devices, which would never end.
    """

    folder: Path
    files: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)
    again: list[Path] = field(default_factory=list)
    closed: list[Path] = field(default_factory=list)
    odd: list[Path] = field(default_factory=list)

    def decisions(self) -> list[Decision]:
        """What was not looked at, counted and named."""
        said = {
            "hidden": (self.hidden, "file managers and archives leave them behind"),
            "links": (self.again, "they lead to folders that are read already"),
            "closed folders": (self.closed, "there is no permission to look into them"),
            "no files": (self.odd, "they are pipes, sockets or devices"),
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
    """All that lies below a folder, each folder once: what lies in it first, then what links in it lead to."""
    found = Found(folder)
    seen: set[_Place] = set()
    links = deque([folder])
    while links:
        _walk(links.popleft(), seen, links, found)
    for paths in (found.files, found.hidden, found.again, found.closed, found.odd):
        paths.sort()
    return found


def _walk(folder: Path, seen: set[_Place], links: deque[Path], found: Found) -> None:
    try:
        status = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        found.closed.append(folder)
        return
    place = (status.st_dev, status.st_ino)
    if place in seen:
        found.again.append(folder)
        return
    seen.add(place)
    for entry in entries:
        path = folder / entry.name
        if is_hidden(entry.name):
            found.hidden.append(path)
        elif _is_folder(entry):
            if entry.is_symlink():
                links.append(path)
            else:
                _walk(path, seen, links, found)
        else:
            (found.files if _is_file(entry) else found.odd).append(path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _is_file(entry: os.DirEntry[str]) -> bool:
    """Also what cannot be looked at, such as a link that leads nowhere."""
    try:
        return entry.is_file() or (entry.is_symlink() and not Path(entry.path).exists())
    except OSError:
        return True


def is_hidden(name: str) -> bool:
    """Whether a file or folder is something that file managers and archives leave behind."""
    return name.startswith(".") or name == "__MACOSX"


def writable(name: str) -> str:
    r"""A file's name as text that can be written anywhere: bytes of it that are no UTF-8 as \xff."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
