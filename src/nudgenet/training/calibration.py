"""What this machine is fast at, measured once and kept in the user's cache.

Whether a second thread helps a small network, and whether coarse (bfloat16) matrix products are
faster, differs between processors by a factor of ten either way. So it is measured, but only once: a
choice that depended on the clock of each run would give other networks from the same seed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

ROWS, WIDTH = 2048, 128  # what one layer of an ensemble sees in a step: 256 rows, 8 members
REPEATS = 40
THREADS_MUST_GAIN = 1.5  # what a second thread must bring on a quiet machine, since on a busy one it costs
COARSE_MUST_GAIN = 1.3


@dataclass(frozen=True)
class Calibration:
    """Seconds of a typical layer's forward and backward pass, by precision and threads; and what follows."""

    threads: int
    precision: str
    seconds: dict[str, float]  # "float32 x 1" -> seconds


# Without a place to keep the figures, nothing may be measured: the next run would choose otherwise.
CAUTIOUS = Calibration(1, "float32", {})


def calibration() -> Calibration:
    """This machine's figures: from the cache, or measured now (about half a second) and stored there."""
    path = cache_folder() / f"calibration-{_machine()}.json"
    with suppress(OSError, ValueError, TypeError):
        return Calibration(**json.loads(path.read_text()))
    measured = measure()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(json.dumps(asdict(measured)))
        temporary.replace(path)
    except OSError:
        return CAUTIOUS
    return measured


def cache_folder() -> Path:
    """Where what is measured once is kept: `NUDGENET_CACHE`, else the user's cache folder."""
    if folder := os.environ.get("NUDGENET_CACHE"):
        return Path(folder)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nudgenet"


def measure() -> Calibration:
    """Time a layer's products and passes at both precisions, with one thread and with half the processors."""
    before = torch.get_num_threads()
    candidates = sorted({1, max(1, (os.cpu_count() or 1) // 2), min(4, os.cpu_count() or 1)})
    seconds = {}
    try:
        for dtype in (torch.float32, torch.bfloat16):
            for threads in candidates:
                torch.set_num_threads(threads)
                seconds[f"{str(dtype).removeprefix('torch.')} x {threads}"] = _time_a_layer(dtype)
    finally:
        torch.set_num_threads(before)
    coarse_gain = seconds["float32 x 1"] / seconds["bfloat16 x 1"]
    precision = "bfloat16" if coarse_gain > COARSE_MUST_GAIN else "float32"
    fastest = min(candidates, key=lambda threads: seconds[f"{precision} x {threads}"])
    gain = seconds[f"{precision} x 1"] / seconds[f"{precision} x {fastest}"]
    return Calibration(fastest if gain > THREADS_MUST_GAIN else 1, precision, seconds)


def _time_a_layer(dtype: torch.dtype) -> float:
    """The quickest of many passes, so that what else the machine does counts little."""
    inputs, weights = torch.ones(ROWS, WIDTH, dtype=dtype), torch.ones(WIDTH, WIDTH, dtype=dtype)
    best = float("inf")
    for _ in range(REPEATS):
        began = time.perf_counter()
        fired = (inputs @ weights).relu_().mul_(inputs)
        _ = fired @ weights, fired.T @ inputs
        best = min(best, time.perf_counter() - began)
    return best


def _machine() -> str:
    """A short name for this processor under this version of torch."""
    model = platform.processor() or platform.machine()
    with suppress(OSError):
        model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    told = f"{model}|{os.cpu_count()}|{torch.__version__}|{torch.backends.cpu.get_cpu_capability()}"
    return hashlib.sha256(told.encode()).hexdigest()[:12]
