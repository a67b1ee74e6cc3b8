"""Nothing heavy is imported that a command does not need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_training_loads_what_it_needs(houses: Path, tmp_path: Path) -> None:
    """torch's compiler and scikit-learn take a second each to be imported; without baselines nothing needs them."""
    arguments = ["train", str(houses), "--target", "dear", "--runs", str(tmp_path), "--no-baselines", "--quiet"]
    code = "import sys; from nudgenet.cli import run_command; assert run_command(sys.argv[1:]) == 0; print([m for m in "
    code += "('torch._dynamo', 'sympy', 'sklearn', 'scipy.stats') if m in sys.modules])"
    settings = ["--set", "epochs=1", "--set", "ignore=price,area"]  # they nearly are the target, so a tree looks closer
    command = [sys.executable, "-c", code, *arguments, *settings]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (0, "[]\n"), result.stderr
