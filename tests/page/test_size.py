"""The page stays light: what a browser can load of it, our modules and styles as they were written.

`MOST` is a ceiling over what a browser can ask for, in KiB. The target in benchmarks/LOG.md is another: 250,000 bytes for
all modules and styles, with the two that no browser asks for.
"""

from __future__ import annotations

from nudgenet.bundle import STATIC

MOST = 250 * 1024  # bytes
ELSEWHERE = {
    "exported.js",
    "notebook.js",
}  # in an exported file, and in a notebook: no browser asks the server for them


def test_modules_and_styles_stay_small() -> None:
    sizes = {path.name: path.stat().st_size for path in STATIC.iterdir() if path.suffix in (".js", ".css")}
    assert sum(size for name, size in sizes.items() if name not in ELSEWHERE) < MOST, sizes
