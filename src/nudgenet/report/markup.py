"""HTML as text that is safe by construction: what is not marked as `Html` is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence

# What no page should carry: control characters, halves of surrogate pairs (they cannot be written as UTF-8)
# and the marks that turn the direction of text around.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
_CODE = re.compile("`([^`]+)`")


class Html(str):
    """A piece of HTML that is already escaped."""

    __slots__ = ()


def escape(value: object) -> Html:
    """Any value as text that HTML shows as it is; `Html` passes unchanged."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(_UNPRINTABLE.sub("\ufffd", str(value)), quote=True))


def prose(value: object) -> Html:
    """A sentence of ours: escaped, with `backticks` shown as code."""
    return Html(_CODE.sub(r"<code>\1</code>", escape(value)))


def join(pieces: Iterable[Html]) -> Html:
    """Pieces of HTML, one per line, empty ones left out."""
    return Html("\n".join(piece for piece in pieces if piece))


def paragraph(value: object, *, kind: str = "") -> Html:
    """A paragraph; `kind` is its CSS class."""
    return Html(f"<p{_class(kind)}>{prose(value)}</p>") if value else Html("")


def section(identifier: str, title: str, body: Html) -> Html:
    """A titled part of the page; nothing if there is nothing to say."""
    if not body:
        return Html("")
    return Html(
        f'<section id="{identifier}" aria-labelledby="{identifier}-title">\n'
        f'<h2 id="{identifier}-title">{escape(title)}</h2>\n{body}\n</section>'
    )


def table(
    caption: str,
    header: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    kind: str = "",
    numeric: Iterable[int] = (),
) -> Html:
    """A table with a caption; the first cell of each row names the row.

    Args:
        kind: CSS class; "stack" shows each row as a block of its own on narrow screens.
        numeric: positions of the columns that are set flush right.
    """
    right = set(numeric)
    heads = "".join(f'<th scope="col"{_class("n" * (i in right))}>{prose(cell)}</th>' for i, cell in enumerate(header))
    lines = []
    for row in rows:
        cells = [f'<th scope="row"{_class("n" * (0 in right))}>{prose(row[0])}</th>']
        for i, cell in enumerate(row[1:], start=1):
            cells.append(f'<td data-label="{escape(header[i])}"{_class("n" * (i in right))}>{prose(cell)}</td>')
        lines.append(f"<tr>{''.join(cells)}</tr>")
    body = "\n".join(lines)
    # The frame scrolls sideways by itself on narrow screens, also from the keyboard (hence the tabindex).
    return Html(
        f'<div class="frame" tabindex="0" role="region" aria-label="{escape(caption)}">\n<table{_class(kind)}>\n'
        f"<caption>{prose(caption)}</caption>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def folded(title: str, body: Html) -> Html:
    """A part that opens on a click."""
    return Html(f"<details>\n<summary>{escape(title)}</summary>\n{body}\n</details>")


def _class(kind: str) -> str:
    return f' class="{kind}"' if kind else ""
