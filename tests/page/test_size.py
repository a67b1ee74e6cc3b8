"""The page stays light: what a browser can load of it, our modules and styles as they were written."""

from __future__ import annotations

from nudgenet.page.server import STATIC

MOST = 250 * 1024  # bytes
ELSEWHERE = {
    "exported.js",
    "notebook.js",
}  # in an exported file, and in a notebook: no browser asks the server for them


def test_modules_and_styles_stay_small() -> None:
    sizes = {path.name: path.stat().st_size for path in STATIC.iterdir() if path.suffix in (".js", ".css")}
    assert sum(size for name, size in sizes.items() if name not in ELSEWHERE) < MOST, sizes
