"""The page stays light: all our modules and styles as they were written, also those for exported files and notebooks."""

from __future__ import annotations

from nudgenet.bundle import STATIC

MOST = 250_000  # bytes, for all of them together


def test_modules_and_styles_stay_small() -> None:
    sizes = {path.name: path.stat().st_size for path in STATIC.iterdir() if path.suffix in (".js", ".css")}
    assert sum(sizes.values()) < MOST, sizes
