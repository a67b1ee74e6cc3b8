"""What is measured once per machine is kept, and without a place to keep it nothing is measured."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from nudgenet.settings import Settings
from nudgenet.training import calibration as module
from nudgenet.training.calibration import CAUTIOUS, Calibration, calibration, measure
from nudgenet.training.place import SMALL_STEP, choose_place


def test_measured_once_then_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUDGENET_CACHE", str(tmp_path / "cache"))
    first = Calibration(3, 2, "bfloat16", {"float32 x 1": 1.0})
    monkeypatch.setattr(module, "measure", lambda: first)
    assert calibration() == first
    monkeypatch.setattr(module, "measure", lambda: CAUTIOUS)
    assert calibration() == first
    place, decisions = choose_place(Settings(), SMALL_STEP)
    assert (place.threads, place.precision) == (3, "bfloat16") and len(decisions) == 2
    assert choose_place(Settings(network="convnet"), SMALL_STEP)[0].threads == 2
    place, _ = choose_place(Settings(), SMALL_STEP - 1)
    assert place.threads == 1
    place, _ = choose_place(Settings(precision="float32", threads=2), SMALL_STEP)
    assert (place.threads, place.precision) == (2, "float32")
    place, _ = choose_place(Settings(network="mlp"), 10)
    assert place.precision == "float32"


def test_a_damaged_file_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUDGENET_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "measure", lambda: Calibration(2, 2, "float32", {}))
    calibration()
    (file,) = tmp_path.iterdir()
    file.write_text('{"threads": ')
    assert calibration().threads == 2


def test_nothing_depends_on_a_clock_that_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUDGENET_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(module, "measure", lambda: Calibration(2, 2, "bfloat16", {}))
    assert calibration() == CAUTIOUS


def test_measuring_gives_threads_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REPEATS", 1)
    before = torch.get_num_threads()
    measured = measure()
    assert torch.get_num_threads() == before
    assert measured.threads >= 1 and measured.threads_of_convolutions >= 1
    assert measured.precision in ("float32", "bfloat16")
    assert all(seconds > 0 for seconds in measured.seconds.values())


def test_figures_of_before_convolutions_were_measured_are_taken_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUDGENET_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "measure", lambda: Calibration(2, 2, "float32", {}))
    calibration()
    (file,) = tmp_path.iterdir()
    file.write_text('{"threads": 3, "precision": "bfloat16", "seconds": {}}')
    assert calibration().threads == 2


def test_a_process_bound_to_one_processor_has_figures_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUDGENET_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "REPEATS", 1)
    monkeypatch.setattr(module, "processors", lambda: 1)
    alone = calibration()
    assert {name.rsplit(" ", 1)[1] for name in alone.seconds} == {"1"}
    assert (alone.threads, alone.threads_of_convolutions) == (1, 1)
    monkeypatch.setattr(module, "processors", lambda: 2)
    calibration()
    assert len(list(tmp_path.iterdir())) == 2


def test_more_threads_must_gain_enough() -> None:
    seconds = {"float32 x 1": 1.0, "float32 x 2": 0.7, "convolutions x 1": 1.0, "convolutions x 2": 0.6}
    assert module._enough(seconds, "float32", [1, 2]) == 1
    assert module._enough(seconds, "convolutions", [1, 2]) == 2
