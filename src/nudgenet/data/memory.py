"""Memory that is free inside this process, given back to the system.

Allocators keep what was freed, in case it is wanted again. Between the stages of preparing a large table that adds up:
each stage wants other sizes, so what one of them left behind is of little use to the next.
"""

from __future__ import annotations

import ctypes
import sys

import pyarrow as pa


def give_back() -> None:
    """Give back what Arrow and, on Linux with glibc, the C library hold in reserve; elsewhere Arrow's only."""
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
