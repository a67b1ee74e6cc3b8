"""nudgenet: your data in, a trained neural network out, with the evidence.

The public names are imported when they are first used: `import nudgenet` alone loads no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nudgenet.errors import DataWarning, Interrupted, NudgeError, UserError
    from nudgenet.estimators import NetworkClassifier, NetworkRegressor
    from nudgenet.notebook import watch
    from nudgenet.pipeline import resume, train
    from nudgenet.run import Run, load
    from nudgenet.settings import Settings

__version__ = "0.1.0"

__all__ = [
    "DataWarning",
    "Interrupted",
    "NetworkClassifier",
    "NetworkRegressor",
    "NudgeError",
    "Run",
    "Settings",
    "UserError",
    "load",
    "resume",
    "train",
    "watch",
]

_HOMES = {
    "DataWarning": "nudgenet.errors",
    "Interrupted": "nudgenet.errors",
    "NetworkClassifier": "nudgenet.estimators",
    "NetworkRegressor": "nudgenet.estimators",
    "NudgeError": "nudgenet.errors",
    "Run": "nudgenet.run",
    "Settings": "nudgenet.settings",
    "UserError": "nudgenet.errors",
    "load": "nudgenet.run",
    "resume": "nudgenet.pipeline",
    "train": "nudgenet.pipeline",
    "watch": "nudgenet.notebook",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nudgenet' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
