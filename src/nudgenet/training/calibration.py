"""What this machine is fast at, measured once and kept in the user's cache.

Whether a second thread helps a small network, or convolutions, and whether coarse (bfloat16) matrix products
are faster, differs between processors by a factor of ten either way. So it is measured, but only once: a
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

from nudgenet.networks.convnet import Residual

ROWS, WIDTH = 2048, 128  # what one layer of an ensemble sees in a step: 256 rows, 8 members
REPEATS = 40
IMAGES, CHANNELS, SIDE = 128, 64, 14  # what a block of convolutions sees in a step
THREADS_MUST_GAIN = 1.5  # what a second thread must bring on a quiet machine, since on a busy one it costs
COARSE_MUST_GAIN = 1.3


@dataclass(frozen=True)
class Calibration:
    """Seconds of a typical layer's forward and backward pass, by precision and threads; and what follows."""

    threads: int
    threads_of_convolutions: int  # their passes are ten times longer: there waking a thread costs little
    precision: str
    seconds: dict[str, float]  # "float32 x 1" or "convolutions x 1" -> seconds


# Without a place to keep the figures, nothing may be measured: the next run would choose otherwise.
CAUTIOUS = Calibration(1, 1, "float32", {})


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
    """Time typical layers with one thread, half the processors and up to four; matrix products at both precisions."""
    before = torch.get_num_threads()
    candidates = sorted({1, max(1, processors() // 2), min(4, processors())})
    seconds = {}
    try:
        for threads in candidates:
            torch.set_num_threads(threads)
            for dtype in (torch.float32, torch.bfloat16):
                seconds[f"{str(dtype).removeprefix('torch.')} x {threads}"] = _time_a_layer(dtype)
        coarse_gain = seconds["float32 x 1"] / seconds["bfloat16 x 1"]
        precision = "bfloat16" if coarse_gain > COARSE_MUST_GAIN else "float32"
        for threads in candidates:
            torch.set_num_threads(threads)
            seconds[f"convolutions x {threads}"] = _time_convolutions(precision)
    finally:
        torch.set_num_threads(before)
    of_layers, of_convolutions = (_enough(seconds, work, candidates) for work in (precision, "convolutions"))
    return Calibration(of_layers, of_convolutions, precision, seconds)


def processors() -> int:
    """Processors that this process may use: two threads on one of them wait for each other all the time."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _enough(seconds: dict[str, float], work: str, candidates: list[int]) -> int:
    """The fastest number of threads, if it gains enough over one."""
    fastest = min(candidates, key=lambda threads: seconds[f"{work} x {threads}"])
    return fastest if seconds[f"{work} x 1"] / seconds[f"{work} x {fastest}"] > THREADS_MUST_GAIN else 1


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


def _time_convolutions(precision: str) -> float:
    """The quickest of some passes through a residual block, there and back."""
    best = float("inf")
    with torch.random.fork_rng(devices=[]):
        block = Residual(CHANNELS).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    maps = torch.ones(IMAGES, CHANNELS, SIDE, SIDE).contiguous(memory_format=torch.channels_last)
    for _ in range(max(1, REPEATS // 5)):
        began = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            torch.autograd.grad(block(maps).sum(), list(block.parameters()))
        best = min(best, time.perf_counter() - began)
    return best


def _machine() -> str:
    """A short name for this processor under this version of torch."""
    model = platform.processor() or platform.machine()
    with suppress(OSError):
        model = next(line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    told = f"{model}|{processors()}|{torch.__version__}|{torch.backends.cpu.get_cpu_capability()}"
    return hashlib.sha256(told.encode()).hexdigest()[:12]
