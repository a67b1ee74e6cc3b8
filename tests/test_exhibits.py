"""What the report of a run shows of sounds that a pretrained network heard, and of images that one saw."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import nudgenet
from conftest import write_pictures, write_sounds
from nudgenet.data.waves import NOTHING, WaveFeature
from nudgenet.observer import Silent
from tiny_model import write_image_model, write_sound_model

pytest.importorskip("transformers")

HASTY: dict[str, Any] = {
    "threads": 1, "precision": "float32", "baselines": False, "epochs": 1, "unfreeze": False, "learning_rate": 1e-6,
}  # fmt: skip


def gallery(page: str, title: str) -> str:
    """What stands between a heading and the next one."""
    found = re.search(rf"<h[23][^>]*>{title}</h[23]>(.*?)<h[23]", page + "<h2", re.DOTALL)
    assert found, title
    return found[1]


@pytest.mark.parametrize("kind", ["wav2vec2", "audio-spectrogram-transformer"])
def test_sounds_that_a_pretrained_network_heard(kind: str, tmp_path: Path) -> None:
    source = write_sounds(tmp_path / "tones", 20)
    model = write_sound_model(tmp_path / "model", kind)
    run = nudgenet.train(source, runs=tmp_path, name="run", observer=Silent(), start_from=str(model), **HASTY)
    page = run.report.read_text()
    told = pq.read_table(run.path / "test_predictions.parquet")
    wrong = sum(a != b for a, b in zip(told["actual"].to_pylist(), told["prediction"].to_pylist(), strict=True))
    assert wrong > 0
    worst = gallery(page, "Its worst mistakes")
    assert worst.count("<audio ") == wrong and worst.count("data:image/png;base64,") == 2 * wrong
    assert "Grad-CAM" in worst and "low pitches are at the bottom" in worst
    assert gallery(page, "As the network sees them").count("data:image/png;base64,") == 8
    assert gallery(page, "What excites its neurons").count("data:image/png;base64,") == 2 * 2 * 9
    assert ("What the first layer looks for" in page) == (kind != "wav2vec2")  # that one weighs samples, not pictures


def test_images_that_a_pretrained_network_saw(tmp_path: Path) -> None:
    source = write_pictures(tmp_path / "shapes", 20)
    model = write_image_model(tmp_path / "model", "vit")
    run = nudgenet.train(source, runs=tmp_path, name="run", observer=Silent(), start_from=str(model), **HASTY)
    page = run.report.read_text()
    assert gallery(page, "What excites its neurons").count("data:image/jpeg;base64,") == 2 * 2 * 9
    assert gallery(page, "What the first layer looks for").count("data:image/jpeg;base64,") > 8


def test_a_tone_is_a_bright_line_and_silence_dark() -> None:
    feature = WaveFeature("sound", 8_000, 4_000, "", "")
    tone = np.round(9_000 * np.sin(2 * np.pi * 1_000 * np.arange(4_000) / 8_000)).astype(np.int16)
    waves = torch.from_numpy(np.stack([tone, np.where(np.arange(4_000) < 2_000, tone, NOTHING), 0 * tone]))
    pictures = feature.pictures(waves)
    assert pictures.dtype == torch.uint8 and pictures.shape[:2] == (3, 1)
    loud = pictures[0, 0].float().mean(dim=1)
    assert int(loud.argmax()) == pytest.approx(0.466 * len(loud), abs=2)  # where 1,000 Hz lie on the mel scale to 4,000
    assert pictures[0].max() == 255 and pictures[1, 0, :, -1].max() == 0
    assert pictures[1, 0, :, 3].max() > 200 and pictures[2].max() == 0
