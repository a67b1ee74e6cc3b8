"""Folders in which some files are broken in ten ways: the others are learned from, and every broken one is named."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nudgenet
from conftest import write_pictures, write_sounds
from nudgenet.observer import Silent
from nudgenet.predictions import predict_table

QUICK: dict[str, Any] = {
    "epochs": 3, "width": 8, "augment": "none", "threads": 1, "precision": "float32", "learning_rate": 0.01,
    "baselines": False,
}  # fmt: skip
EACH = 5  # broken files of each kind


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def broken_pictures(whole: bytes) -> dict[str, bytes]:
    """A file's name -> bytes, from those of a whole PNG."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )
    middle = len(whole) // 2
    return {
        "empty.png": b"", "zeros.jpg": bytes(4_000), "half.png": whole[:middle], "head.png": whole[:20],
        "flipped.png": whole[:middle] + bytes(byte ^ 255 for byte in whole[middle : middle + 40]) + whole[middle + 40 :],
        "text.jpg": b"once upon a time\n" * 40, "page.gif": b"<html><body>not found</body></html>",
        "book.png": b"%PDF-1.7\n" + bytes(range(256)), "noise.bmp": np.random.default_rng(5).bytes(3_000), "bomb.png": bomb,
    }  # fmt: skip


def broken_sounds(whole: bytes) -> dict[str, bytes]:
    """A file's name -> bytes, from those of a whole WAV."""
    at = whole.index(b"data") + 8
    not_finite = np.full(2_000, np.nan, "<f4").tobytes()
    floats = struct.pack("<HHIIHH", 3, 1, 8_000, 32_000, 4, 32)
    nan = b"WAVEfmt " + struct.pack("<I", 16) + floats + b"data" + struct.pack("<I", len(not_finite)) + not_finite
    return {
        "empty.wav": b"", "zeros.mp3": bytes(4_000), "half.wav": whole[: len(whole) // 2], "head.wav": whole[:30],
        "short.wav": whole[: at - 4] + struct.pack("<I", 20) + whole[at : at + 20], "text.wav": b"hello there\n" * 90,
        "picture.flac": b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "film.ogg": b"RIFF\0\1\0\0AVI " + bytes(range(256)),
        "noise.aiff": np.random.default_rng(5).bytes(3_000), "nan.wav": b"RIFF" + struct.pack("<I", len(nan)) + nan,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("write", "break_up", "first"),
    [(write_pictures, broken_pictures, "disc/000.png"), (write_sounds, broken_sounds, "tone/000.wav")],
    ids=["images", "sounds"],
)
def test_fifty_broken_files_of_ten_kinds_are_named_and_left_out(
    write: Callable[..., Path], break_up: Callable[[bytes], dict[str, bytes]], first: str, tmp_path: Path
) -> None:
    folder = write(tmp_path / "files", 30)
    broken = break_up((folder / first).read_bytes())
    assert len(broken) == 10
    classes = sorted(path.name for path in folder.iterdir())
    names = []
    for number in range(EACH):
        for name, data in broken.items():
            names.append(f"{classes[number % 3]}/{number} {name}")
            (folder / names[-1]).write_bytes(data)
    run = nudgenet.train(folder, runs=tmp_path, name="run", observer=Silent(), **QUICK)
    assert sum(run.summary["rows"].values()) == 90
    skipped = [decision for decision in run.decisions if decision.what.startswith("skipped")]
    assert all(" of 140 files: " in decision.chosen for decision in skipped)
    said = " ".join(decision.chosen for decision in skipped)
    assert [name for name in names if f"{name} (" not in said] == []
    assert said.count("(") == len(names)
    report = (run.path / "report.html").read_text()
    assert [name for name in names if escape(name) not in report] == []
    answers, warnings = predict_table(run, folder)
    errors = dict(zip(answers["path"].to_pylist(), answers["error"].to_pylist(), strict=True))
    assert {path for path, error in errors.items() if error} == set(names)
    assert any("50 rows have no answer" in warning for warning in warnings)
