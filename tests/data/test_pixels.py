"""Pictures as a pretrained network wants them are those of the library's own processors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nudgenet.data.pixels import Pixels, as_preprocessor, read_pixels
from nudgenet.errors import SettingError
from nudgenet.models import ModelFolder

pytest.importorskip("PIL")
transformers = pytest.importorskip("transformers")

SHAPES = [(40, 50, 3), (97, 33, 3), (20, 24, 3), (64, 64, 3), (33, 200, 3)]
FILES: dict[str, dict[str, Any]] = {
    "vit": {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 48}},
    "vit of old": {"feature_extractor_type": "ViTFeatureExtractor", "size": 32, "resample": 2, "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
    "dinov2": {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 38}, "crop_size": {"height": 32, "width": 32}},
    "larger crop": {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 20}, "crop_size": {"height": 33, "width": 29}},
    "convnext": {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 32}, "crop_pct": 0.875},
    "large convnext": {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}},
    "deit": {"image_processor_type": "DeiTImageProcessor", "size": {"height": 40, "width": 40}, "crop_size": 32, "do_center_crop": True},
    "another scale": {"image_processor_type": "ViTImageProcessor", "size": 32, "rescale_factor": 1 / 127.5, "image_mean": [1.0] * 3,
                      "image_std": [1.0] * 3},
    "no mean": {"image_processor_type": "ViTImageProcessor", "size": 32, "do_normalize": False},
}  # fmt: skip


def folder_with(tmp_path: Path, content: dict[str, Any], **config: Any) -> ModelFolder:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
    return ModelFolder(tmp_path, {"model_type": "dinov2", **config}, "image")


def picture(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def ours(pixels: Pixels, image: np.ndarray) -> np.ndarray:
    fitted = pixels.fit(image).astype(np.float64) / 255
    return ((fitted - np.array(pixels.center)) / np.array(pixels.spread)).transpose(2, 0, 1)


@pytest.mark.parametrize("name", FILES)
def test_they_are_what_the_library_makes(name: str, tmp_path: Path) -> None:
    model = folder_with(tmp_path, FILES[name])
    pixels = read_pixels(model)
    theirs = transformers.AutoImageProcessor.from_pretrained(tmp_path)
    for shape in SHAPES:
        image = picture(shape)
        found = ours(pixels, image)
        assert found.shape[1:] == pixels.shape
        np.testing.assert_allclose(found, theirs(image, return_tensors="np")["pixel_values"][0], atol=1e-5)


@pytest.mark.parametrize("name", FILES)
def test_what_is_written_says_the_same(name: str, tmp_path: Path) -> None:
    pixels = read_pixels(folder_with(tmp_path, FILES[name]))
    again = read_pixels(folder_with(tmp_path, as_preprocessor(pixels)))
    assert again == pixels
    theirs = transformers.AutoImageProcessor.from_pretrained(tmp_path)
    image = picture((40, 50, 3))
    np.testing.assert_allclose(ours(pixels, image), theirs(image, return_tensors="np")["pixel_values"][0], atol=1e-5)


def test_grey_networks_keep_one_channel(tmp_path: Path) -> None:
    grey = {"image_processor_type": "ViTImageProcessor", "size": 16, "image_mean": [0.3], "image_std": [0.2]}
    pixels = read_pixels(folder_with(tmp_path, grey, num_channels=1))
    assert (pixels.center, pixels.spread) == ((0.3,), (0.2,)) and pixels.fit(picture((20, 30, 1))).shape == (16, 16, 1)


@pytest.mark.parametrize(
    "content, expected",
    [
        ({"size": 32}, "cannot be followed"),
        ({"image_processor_type": "ViTImageProcessor", "do_resize": False}, "not resized"),
        ({"image_processor_type": "ViTImageProcessor", "size": {"longest_edge": 40}}, "a size by longest_edge"),
        ({"image_processor_type": "ViTImageProcessor", "size": 0}, "not positive"),
        ({"image_processor_type": "ViTImageProcessor", "image_mean": [0.5]}, "1 values for 3 channels"),
        ({"image_processor_type": "ViTImageProcessor", "auto_map": {"AutoImageProcessor": "x.Y"}}, "code of its own"),
        ([1], "damaged"),
    ],
)
def test_what_cannot_be_followed_is_one_line(content: Any, expected: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=expected):
        read_pixels(folder_with(tmp_path, content))


def test_a_network_that_takes_another_size(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(FILES["vit of old"]))
    with pytest.raises(SettingError, match="another size"):
        read_pixels(ModelFolder(tmp_path, {"model_type": "vit", "image_size": 64}, "image"))
