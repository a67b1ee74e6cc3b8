"""The page's ES modules as one script, for what opens without a server: an exported file, a notebook's widget.

They are written by hand in a plain dialect: named imports from a module beside them, named exports of functions, classes
and constants, and `import("./other.js")` for what is loaded later. Each becomes a function with a scope of its own, called
when somebody first needs what it exports. What is not of this dialect is refused, never guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

STATIC = Path(__file__).parent / "page" / "static"

_FROM = r'"\./([\w-]+\.js)"'
_IMPORT = re.compile(rf"^import\s*\{{([^}}]*)\}}\s*from\s*{_FROM};$", re.MULTILINE)
_LATER = re.compile(rf"\bimport\({_FROM}\)")
_EXPORT = re.compile(r"^export ((?:async function|function|class|const) ([\w$]+))", re.MULTILINE)
_REST = re.compile(r"^\s*(?:import|export)\b.*$|\bimport\s*\(.*$", re.MULTILINE)
_COMMENT = re.compile(r"^\s*(?://|/?\*).*$", re.MULTILINE)
_BREAKS_OUT = re.compile(r"</script|<!--", re.IGNORECASE)

PROLOGUE = """"use strict";
const nudgenetLoaded = new Map();
function nudgenetLoad(name) {
  if (!nudgenetLoaded.has(name)) nudgenetLoaded.set(name, nudgenetModules[name]());
  return nudgenetLoaded.get(name);
}
const nudgenetLater = async (name) => nudgenetLoad(name);
"""


class NotOurDialect(ValueError):
    """A module uses something that cannot be put into one script."""


def bundle(entry: str, folder: Path = STATIC) -> str:
    """One script that holds the modules which `entry` reaches; the last line runs `entry`.

    Raises:
        NotOurDialect: a module imports or exports in another way than ours, or modules need each other in a circle.
    """
    modules = [f"{json.dumps(name)}: () => {{\n{as_function(source)}\n}}," for name, source in reached(entry, folder)]
    body = "\n".join(modules)
    return f"{PROLOGUE}const nudgenetModules = {{\n{body}\n}};\nnudgenetLoad({json.dumps(entry)});\n"


def reached(entry: str, folder: Path = STATIC) -> Iterator[tuple[str, str]]:
    """(name, source) of the modules that `entry` needs, itself last, each once; then those that are loaded later."""
    done: set[str] = set()
    later = [entry]

    def visit(name: str, above: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        if name in above:
            raise NotOurDialect(f"modules in a circle: {' -> '.join([*above, name])}")
        if name in done:
            return
        source = (folder / name).read_text("utf-8")
        for _, other in _IMPORT.findall(source):
            yield from visit(other, (*above, name))
        later.extend(_LATER.findall(source))
        done.add(name)
        yield name, source

    while later:
        yield from visit(later.pop(0), ())


def as_function(source: str) -> str:
    """A module's source as the body of a function that gives its exports."""
    exports = [name for _, name in _EXPORT.findall(source)]
    body = _IMPORT.sub(lambda found: f'const {{{_renamed(found[1])}}} = nudgenetLoad("{found[2]}");', source)
    body = _LATER.sub(r'nudgenetLater("\1")', body)
    body = _EXPORT.sub(r"\1", body)
    for odd in (_REST.search(_COMMENT.sub("", body)), _BREAKS_OUT.search(body)):
        if odd is not None:
            raise NotOurDialect(f"cannot be put into one script: {odd[0].strip()[:100]}")
    return f"{body}\nreturn {{ {', '.join(exports)} }};"


def _renamed(names: str) -> str:
    """`a, b as c` -> `a, b: c`."""
    return re.sub(r"([\w$]+)\s+as\s+([\w$]+)", r"\1: \2", names)
