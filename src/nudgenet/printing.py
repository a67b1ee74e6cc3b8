"""Printing for people: nothing that the stream cannot encode, nothing that a name from a file could do to the terminal."""

from __future__ import annotations

import os
from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

# For streams whose encoding knows only ASCII, such as a terminal under LANG=C.
_PLAIN = str.maketrans(
    {"✓": "+", "▲": "^", "▼": "v", "✗": "x", "≈": "~", "…": ".", "–": "-", "−": "-", "→": ">", "·": "-", "“": '"'}
    | {"”": '"', "\xa0": " ", "’": "'", "×": "x", "²": "2", "━": "=", "╸": "=", "╺": " "}
    | dict(zip("▁▂▃▄▅▆▇█", "__..--^^", strict=True))
)
Piece = str | tuple[str, str]  # a text, or (text, style)


def make_console(*, stderr: bool = True) -> Console:
    """A console (on stderr, or on stdout) that does not colour what it thinks are numbers and paths."""
    return _Console(stderr=stderr, highlight=False, soft_wrap=False)


class _Console(Console):
    """A console whose readers may leave."""

    def on_broken_pipe(self) -> None:
        """Rich's hook for `nudge ... | head`: the work goes on without its audience; a mere listing ends."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())


class Printer:
    """A console that swaps what its stream cannot encode for plain letters, and can be silent."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self.console, self.quiet = console, quiet
        self.can_draw = _can_encode("✓▁█━…≈²", console.encoding)

    @property
    def width(self) -> int:
        return self.console.width

    @property
    def is_live(self) -> bool:
        return not self.quiet and self.console.is_terminal and not self.console.is_dumb_terminal

    def text(self, text: str) -> str:
        """What the stream can encode; a name in letters that it does not know gets question marks."""
        if not self.can_draw:
            text = text.translate(_PLAIN)
        encoding = self.console.encoding or "utf-8"
        return (
            "".join(letter if letter.isprintable() or letter == "\n" else "?" for letter in text)
            .encode(encoding, "replace")
            .decode(encoding, "replace")
        )

    def line(self, *pieces: Piece) -> None:
        """A line of pieces, each a text or (text, style). No markup: a name may hold brackets."""
        if not self.quiet:
            self.console.print(self._assembled(pieces), soft_wrap=not self.console.is_terminal)

    def command(self, *pieces: Piece) -> None:
        """A line that a person copies: never broken by us."""
        if not self.quiet:
            self.console.print(self._assembled(pieces), soft_wrap=True)

    def _assembled(self, pieces: Iterable[Piece]) -> Text:
        parts = [(piece, "") if isinstance(piece, str) else piece for piece in pieces]
        return Text.assemble(*((self.text(text), style) for text, style in parts))

    def table(self, table: Table) -> None:
        if not self.quiet:
            self.console.print(table)


def _can_encode(text: str, encoding: str | None) -> bool:
    try:
        text.encode(encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
