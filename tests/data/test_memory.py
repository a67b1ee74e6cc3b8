"""Memory that was freed goes back to the system, where there is a way to say so, and nothing breaks where there is none."""

from __future__ import annotations

import sys

import pyarrow as pa
import pytest

from nudgenet.data import memory


@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_what_is_in_use_stays(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    opened = []
    monkeypatch.setattr(
        memory.ctypes, "CDLL", lambda name: opened.append(name) or object()
    )  # a library without trimming
    kept = pa.array(range(100_000))
    before = pa.total_allocated_bytes()
    memory.give_back()
    assert pa.total_allocated_bytes() == before and kept[99_999].as_py() == 99_999
    assert opened == ([None] if platform == "linux" else [])
