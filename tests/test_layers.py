"""Imports point one way, and the loop is found in a minute."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import nudgenet

ROOT = Path(nudgenet.__file__).parent
# From left to right: a module imports only from what stands left of it (or from its own package).
LAYERS: list[set[str]] = [
    {"errors", "records"},
    {"models", "settings"},
    {"data", "networks", "watching", "scoring"},
    {"training"},
    {"runs"},
    {"report", "printing", "bundle"},
    {"terminal", "observer", "notebook"},
    {"job"},
    {"bookkeeping", "outcome", "exhibits", "explanations"},
    {"run"},
    {"exporting"},
    {"pipeline", "predictions", "demo"},
    {"in_memory"},
    {"page"},
    {"cli", "estimators"},
    {"__main__", "__init__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
# Within one layer: who may import whom besides itself.
SIBLINGS = {("outcome", "bookkeeping"), ("outcome", "exhibits"), ("outcome", "explanations"), ("records", "errors")}


def imports_of(path: Path) -> set[str]:
    """The top-level parts of nudgenet that a module imports, function-level imports included, typing-only ones not."""
    tree = ast.parse(path.read_text())
    typing_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in node.body
        for inner in ast.walk(child)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} uses a relative import"
            names = [
                f"{node.module}.{alias.name}" if node.module == "nudgenet" else str(node.module) for alias in node.names
            ]
        for name in names:
            parts = name.split(".")
            if parts[0] == "nudgenet":
                found.add(parts[1] if len(parts) > 1 and parts[1] in LEVEL else "__init__")
    return found


@pytest.mark.parametrize("path", sorted(ROOT.rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    own = path.relative_to(ROOT).parts[0].removesuffix(".py")
    assert own in LEVEL, f"{own} has no layer yet: give it one"
    for other in imports_of(path) - {own}:
        if other == "__init__":  # the version
            assert own in ("outcome", "cli", "__main__"), f"{own} imports the package itself"
            continue
        fine = LEVEL[other] < LEVEL[own] or (own, other) in SIBLINGS
        assert fine, f"{own} imports {other}, which does not stand left of it"


def test_the_loop_is_three_calls_from_train() -> None:
    """train -> work -> fit -> step, which calls backward itself."""
    from nudgenet import pipeline
    from nudgenet.training import loop

    assert "return work(" in inspect.getsource(pipeline.train)
    assert "in fit(" in inspect.getsource(pipeline.work)
    assert "step(state.network" in inspect.getsource(loop.fit)
    assert "loss.backward()" in inspect.getsource(loop.step)


def test_there_is_one_loop() -> None:
    places = [path for path in ROOT.rglob("*.py") if ".backward()" in path.read_text()]
    assert places == [ROOT / "training" / "loop.py"]


def test_fit_is_on_one_screen() -> None:
    from nudgenet.training import loop

    assert len(inspect.getsource(loop.fit).splitlines()) <= 60


def test_no_pickle() -> None:
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert not {alias.name for alias in node.names} & {"pickle", "joblib", "dill", "cloudpickle"}, path
            if isinstance(node, ast.keyword) and node.arg in ("allow_pickle", "weights_only"):
                assert getattr(node.value, "value", None) is (node.arg == "weights_only"), path
