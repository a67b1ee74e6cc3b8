"""The page as one HTML file: modules, styles and icon inside it, and a policy that lets nothing else in."""

from __future__ import annotations

import base64
import hashlib
import html
import re

from nudgenet.bundle import STATIC, NotOurDialect, bundle

_STYLE = re.compile(r'<link rel="stylesheet" href="([\w.-]+)">\n?')
_SCRIPT = re.compile(r'<script type="module" src="([\w.-]+)"></script>\n?')
_ICON = re.compile(r'<link rel="icon" href="([\w.-]+)"[^>]*>')
_TITLE = re.compile(r"<title>.*?</title>")
_OUTSIDE = re.compile(r'\b(?:src|href)="(?!#|data:)[^"]*"')


def compose(name: str, content: bytes) -> str:
    """The file of a run with this name; `content` is the JSON that its scripts look up.

    Raises:
        NotOurDialect: a module or the page's HTML cannot be put into one file.
    """
    page = (STATIC / "index.html").read_text("utf-8")
    styles = "\n".join((STATIC / sheet).read_text("utf-8") for sheet in _STYLE.findall(page))
    entry = _only(_SCRIPT, page)
    icon = base64.b64encode((STATIC / _only(_ICON, page)).read_bytes()).decode()
    script = bundle(entry)
    if "</style" in styles.lower():
        raise NotOurDialect("a style sheet ends its own element")
    # A JSON text may hold whatever a column is called: without `<` it cannot end its element.
    data = content.decode().replace("<", "\\u003c")
    page = _STYLE.sub("", page)
    page = _SCRIPT.sub("", page)
    page = _ICON.sub(f'<link rel="icon" href="data:image/svg+xml;base64,{icon}">', page)
    if outside := _OUTSIDE.search(page):
        raise NotOurDialect(f"the page needs another file: {outside[0]}")
    head = (
        f'<meta http-equiv="Content-Security-Policy" content="{policy(script, styles)}">\n'
        f"<title>{html.escape(name)} · nudgenet</title>\n<style>{styles}</style>"
    )
    # A function as the replacement: nothing in it is a reference to a group.
    page = _TITLE.sub(lambda _: head, page, count=1)
    body = f'<script type="application/json" id="export">{data}</script>\n<script type="module">{script}</script>\n'
    before, ending, after = page.rpartition("</body>")
    return f"{before}{body}{ending}{after}"


def policy(script: str, styles: str) -> str:
    """The strictest Content-Security-Policy that an inlined file allows: this script, these styles, pictures inside the file."""
    return (
        f"default-src 'none'; script-src '{digest(script)}'; style-src '{digest(styles)}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def digest(text: str) -> str:
    """How a policy names one inline element (Content Security Policy Level 3, section 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _only(pattern: re.Pattern[str], page: str) -> str:
    found = pattern.findall(page)
    if len(found) != 1:
        raise NotOurDialect(f"the page's HTML is not as expected: {pattern.pattern}")
    return str(found[0])
