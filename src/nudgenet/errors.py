"""Everything a user can do wrong, in one tree.

    NudgeError
    ├── UserError            what is wrong, what was got, how to fix it      exit code 2
    │   ├── SourceError      a source that cannot be found, read or used
    │   ├── ColumnError      a column that is absent, or not what it must be
    │   ├── SettingError     a setting that does not exist or cannot have that value
    │   ├── RunError         a run's folder that cannot be written, opened or resumed
    │   └── MissingExtra     an optional library that is not installed
    └── Interrupted          a signal stopped the work, after saving         exit code 130 or 143

A `UserError` is always one line and never shows a traceback. Anything that is not in this tree
and still reaches the top is a bug of ours (exit code 1).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NudgeError(Exception):
    """The root: every error that nudgenet raises on purpose."""

    exit_code = 1


class DataWarning(UserWarning):
    """Something about the data that was handled, counted and named (a Python warning, not an error)."""


class UserError(NudgeError, ValueError):
    """What is wrong, what was got, and the fix; printed as one line.

    Args:
        what: what is wrong, without a full stop at its end.
        got: the file, row, column or value that was found; "" if `what` says it all.
        fix: what to do about it; "" only if nothing can be done.
    """

    exit_code = 2

    def __init__(self, what: str, *, got: str = "", fix: str = "") -> None:
        self.what, self.got, self.fix = what, got, fix
        super().__init__(str(self))

    def __str__(self) -> str:
        line = f"{self.what} (got {self.got})" if self.got else self.what
        line = f"{line}. {self.fix}" if self.fix else line
        return " ".join(line.split())  # names from files may hold line breaks; the message is one line


class SourceError(UserError):
    """A source that cannot be found, read or used."""


class ColumnError(UserError):
    """A column that is absent, or not what it must be."""


class SettingError(UserError):
    """A setting that does not exist or cannot have that value."""


class RunError(UserError):
    """A run's folder that cannot be written, opened or resumed."""


class MissingExtra(UserError):
    """An optional library that is not installed."""


class Interrupted(NudgeError):
    """A signal stopped the work after everything worth keeping was saved."""

    def __init__(self, message: str, *, exit_code: int = 130) -> None:
        super().__init__(message)
        self.exit_code = exit_code


MOST_OPTIONS = 20  # that are all named: all but the encodings are fewer


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The fix for a wrong name: the nearest known one if there is one, else the whole list."""
    names = sorted(map(str, known))
    by_lower = {known_name.lower(): known_name for known_name in names}
    near = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    if near:
        return f"Did you mean `{by_lower[near[0]]}`?"
    return f"There are: {shorten(names, MOST_OPTIONS)}."


def counted(count: int, noun: str, plural: str = "") -> str:
    """1 row, 2 rows: `plural` where it takes more than an s, as with a verb ("row has", "rows have")."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def shorten(names: Iterable[str], limit: int = 12) -> str:
    """`a`, `b`, `c` and 5 more."""
    all_names = [f"`{name}`" for name in names]
    if len(all_names) <= limit:
        return ", ".join(all_names)
    return ", ".join(all_names[:limit]) + f" and {len(all_names) - limit} more"
