"""Small made-up tables of two numbers and a kind, for the playground: the same seed gives the same rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nudgenet.errors import SettingError, did_you_mean

Array = np.ndarray
FEWEST, MOST = 20, 5_000  # rows
CENTRES = ((-2.0, -2.0), (2.0, -2.0), (0.0, 2.0))


def toy(name: str, rows: int = 400, noise: float = 0.1, seed: int = 0) -> dict[str, list[float] | list[str]]:
    """Columns `x`, `y` and `kind`: a source for `nudgenet.train`.

    Args:
        name: spirals, circles, moons or blobs.
        noise: how far points are thrown off their place, as a share of the picture's half.

    Raises:
        SettingError: no such data, or so many rows or so much noise that there is nothing to see.
    """
    if name not in TOYS:
        raise SettingError(f"There is no data `{name}`", fix=did_you_mean(name, TOYS))
    if not FEWEST <= rows <= MOST:
        raise SettingError(f"The playground takes {FEWEST} to {MOST:,} rows", got=f"{rows:,}")
    if not 0 <= noise <= 1:
        raise SettingError("Noise lies between 0 and 1", got=f"{noise:g}")
    random = np.random.default_rng(seed)
    places, kinds = TOYS[name](rows, random)
    places = places + random.normal(0.0, noise * np.abs(places).max() / 2, places.shape)
    order = random.permutation(rows)
    names = np.array(["blue", "orange", "green"])
    x, y = places[order].T.round(4).tolist()
    return {"x": x, "y": y, "kind": names[kinds[order]].tolist()}


def spirals(rows: int, random: np.random.Generator) -> tuple[Array, Array]:
    """Two arms that wind around each other."""
    kinds = np.arange(rows) % 2
    along = np.sqrt(random.uniform(0.02, 1.0, rows))
    angle = 3.5 * np.pi * along + np.pi * kinds
    return 5 * along[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1), kinds


def circles(rows: int, random: np.random.Generator) -> tuple[Array, Array]:
    """A disc, and a ring around it."""
    kinds = np.arange(rows) % 2
    radius = np.where(kinds == 0, random.uniform(0, 2, rows), random.uniform(3.2, 5, rows))
    angle = random.uniform(0, 2 * np.pi, rows)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), kinds


def moons(rows: int, random: np.random.Generator) -> tuple[Array, Array]:
    """Two half circles that reach into each other."""
    kinds = np.arange(rows) % 2
    angle = random.uniform(0, np.pi, rows)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    return 3 * (np.where(kinds[:, None] == 0, upper, lower) - [0.5, 0.25]), kinds


def blobs(rows: int, random: np.random.Generator) -> tuple[Array, Array]:
    """Three clouds: a straight line parts any two of them."""
    kinds = np.arange(rows) % len(CENTRES)
    return np.array(CENTRES)[kinds] + random.normal(0, 0.6, (rows, 2)), kinds


TOYS: dict[str, Callable[[int, np.random.Generator], tuple[Array, Array]]] = {
    "spirals": spirals,
    "circles": circles,
    "moons": moons,
    "blobs": blobs,
}
