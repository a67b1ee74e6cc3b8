"""A pretrained start for images and sounds, end to end, and its way back into a folder that others load."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nudgenet
from conftest import train_in_two
from nudgenet.errors import SettingError
from nudgenet.exporting import export
from nudgenet.observer import Silent
from nudgenet.run import Run
from nudgenet.runs.checkpoint import load_checkpoint
from tiny_model import write_image_model, write_sound_model

pytest.importorskip("PIL")
pytest.importorskip("soundfile")
transformers = pytest.importorskip("transformers")

QUICK: dict[str, Any] = {
    "threads": 1,
    "precision": "float32",
    "baselines": False,
    "epochs": 14,
    "frozen_epochs": 10,
    "learning_rate": 0.02,
}
Nudge = Callable[..., tuple[int, str, str]]
WORDS = ["dull", "loud", "none"]


def write_pictures(folder: Path, count: int = 24) -> Path:
    """Three classes of pictures that differ in their main colour."""
    from PIL import Image

    random = np.random.default_rng(0)
    for number, name in enumerate(WORDS):
        (folder / name).mkdir(parents=True)
        for place in range(count):
            pixels = random.integers(0, 90, (40, 36 + place % 3, 3), dtype=np.uint8)
            pixels[:, :, number] += 120
            Image.fromarray(pixels).save(folder / name / f"{place}.png")
    return folder


def write_sounds(folder: Path, count: int = 24) -> Path:
    """Three classes of sounds that differ in pitch, 0.3 to 0.5 seconds long."""
    import soundfile

    random = np.random.default_rng(0)
    for number, name in enumerate(WORDS):
        (folder / name).mkdir(parents=True)
        for place in range(count):
            moments = np.arange(2_400 + 60 * place) / 8_000
            samples = 0.4 * np.sin(2 * np.pi * (300 + 700 * number) * moments) + 0.02 * random.normal(size=len(moments))
            soundfile.write(folder / name / f"{place}.wav", samples, 8_000)
    return folder


def train(source: Path, start_from: Path, runs: Path, name: str = "run", **settings: Any) -> Run:
    given = QUICK | {"unfreeze": True, "start_from": str(start_from)} | settings
    return nudgenet.train(source, runs=runs, name=name, observer=Silent(), **given)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("data") / "pictures")


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sounds(tmp_path_factory.mktemp("data") / "sounds")


def their_picture_answers(folder: Path, source: Path) -> tuple[np.ndarray, dict[int, str]]:
    from PIL import Image

    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    model = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
    images = [Image.open(path).convert("RGB") for path in sorted(source.rglob("*.png"))]
    with torch.no_grad():
        return model(**processor(images, return_tensors="pt")).logits.softmax(dim=1).numpy(), model.config.id2label


def their_sound_answers(folder: Path, source: Path, places: int) -> np.ndarray:
    import soundfile

    extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
    model = transformers.AutoModelForAudioClassification.from_pretrained(folder).eval()
    waves = [soundfile.read(path, dtype="float32")[0][:places] for path in sorted(source.rglob("*.wav"))]
    padding = (
        {} if type(extractor).__name__ == "ASTFeatureExtractor" else {"padding": "max_length", "max_length": places}
    )
    given = extractor(waves, sampling_rate=8_000, return_tensors="pt", **padding)
    with torch.no_grad():
        found: np.ndarray = model(**given).logits.softmax(dim=1).numpy()
    return found


def our_answers(run: Run, source: Path, suffix: str) -> np.ndarray:
    """In the order of the sorted paths."""
    from nudgenet.predictions import predict_table

    table = predict_table(run, source)[0]
    order = np.argsort([str(source / path) for path in table.column("path").to_pylist()])
    assert len(order) == len(list(source.rglob(f"*{suffix}")))
    return np.stack([table.column(f"probability_{name}").to_numpy() for name in WORDS], axis=1)[order]


@pytest.mark.parametrize("kind", ["vit", "dinov2", "convnext"])
def test_images(kind: str, pictures: Path, tmp_path: Path, nudge: Nudge) -> None:
    run = train(pictures, write_image_model(tmp_path / "model", kind), tmp_path)
    assert run.settings.network == "pretrained" and run.metrics["test"]["accuracy"] > 0.8
    said = {decision.what: decision.chosen for decision in run.decisions}
    assert "outputs first" in said["pretrained network"] and "32 x 32 pixels" in said["size of images"]
    before = our_answers(run, pictures, ".png")
    shutil.rmtree(tmp_path / "model")
    code, out, err = nudge("export", run.path, tmp_path / "out", "--format", "transformers")
    assert (code, out) == (0, "") and "config.json" in err
    theirs, labels = their_picture_answers(tmp_path / "out", pictures)
    assert [labels[place] for place in range(3)] == WORDS
    np.testing.assert_allclose(our_answers(nudgenet.load(run.path), pictures, ".png"), before)
    np.testing.assert_allclose(before, theirs, atol=1e-4)
    again = train(pictures, tmp_path / "out", tmp_path, "again", unfreeze=False)
    assert again.metrics["test"]["accuracy"] > 0.8


@pytest.mark.parametrize(
    "kind, changes",
    [
        ("wav2vec2", {}),
        ("wav2vec2", {"return_attention_mask": False}),
        ("hubert", {"do_normalize": False, "return_attention_mask": False}),
        ("audio-spectrogram-transformer", {}),
    ],
    ids=["wav2vec2", "without a mask", "hubert", "ast"],
)
def test_sounds(kind: str, changes: dict[str, Any], sounds: Path, tmp_path: Path) -> None:
    run = train(
        sounds, write_sound_model(tmp_path / "model", kind, **changes), tmp_path, learning_rate=0.02, patience=9
    )
    assert run.settings.sound_rate == 8_000 and run.metrics["test"]["accuracy"] > 0.6
    shape = run.preparation.shape(1).sound
    assert shape is not None
    before = our_answers(run, sounds, ".wav")
    shutil.rmtree(tmp_path / "model")
    export(run, tmp_path / "out", "transformers")
    theirs = their_sound_answers(tmp_path / "out", sounds, shape.samples)
    np.testing.assert_allclose(before, theirs, atol=1e-3)


def test_a_baseline_hears_the_same_sounds(sounds: Path, tmp_path: Path) -> None:
    run = train(sounds, write_sound_model(tmp_path / "model"), tmp_path, baselines=True, unfreeze=False)
    assert run.baselines["linear"]["test"]["accuracy"] > 0.9


@pytest.mark.parametrize("stop_at", [(2, 1), (11, 1)], ids=["while the trunk rests", "while it learns"])
def test_resumed_is_as_uninterrupted(stop_at: tuple[int, int], pictures: Path, tmp_path: Path) -> None:
    model = write_image_model(tmp_path / "model", "convnext")
    whole = train(pictures, model, tmp_path, "whole", patience=9)
    halved = train_in_two(
        stop_at, pictures, runs=tmp_path, start_from=str(model), unfreeze=True, patience=9, **QUICK
    )  # fmt: skip
    states = [load_checkpoint(run.path / "checkpoints/state.safetensors") for run in (whole, halved)]
    for name, tensor in states[0][0].items():
        assert np.array_equal(tensor.numpy(), states[1][0][name].numpy()), name


def test_a_model_for_something_else(pictures: Path, sounds: Path, tmp_path: Path) -> None:
    model = write_sound_model(tmp_path / "model")
    with pytest.raises(SettingError, match="for sounds, and the column `image` holds images"):
        train(pictures, model, tmp_path)
    with pytest.raises(SettingError, match="a rate of its own"):
        train(sounds, model, tmp_path, sound_rate=16_000)
    with pytest.raises(SettingError, match="a size of its own"):
        train(pictures, write_image_model(tmp_path / "vit"), tmp_path, image_size=64)
    with pytest.raises(SettingError, match="Images cannot be varied by `pitch`"):
        train(pictures, tmp_path / "vit", tmp_path, augment="pitch")
    path = tmp_path / "vit" / "preprocessor_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"do_resize": False}))
    with pytest.raises(SettingError, match="not resized"):
        train(pictures, tmp_path / "vit", tmp_path)
