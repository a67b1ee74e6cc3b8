"""PNG files by hand, read back by a library."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest

from nudgenet.report.spectrograms import PALETTE, as_png, spectrogram_uri


def test_pixels_come_back_as_they_are() -> None:
    image = pytest.importorskip("PIL.Image")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    assert np.array_equal(np.asarray(image.open(io.BytesIO(as_png(pixels)))), pixels)


def test_low_pitches_are_at_the_bottom_and_what_has_no_heat_is_dimmed() -> None:
    image = pytest.importorskip("PIL.Image")
    loudness = np.array([[255, 255], [0, 0]], np.uint8)

    def pixels_of(uri: str) -> np.ndarray:
        head, _, content = uri.partition(",")
        assert head == "data:image/png;base64"
        return np.asarray(image.open(io.BytesIO(base64.b64decode(content))))

    plain = pixels_of(spectrogram_uri(loudness))
    assert plain[1].tolist() == [PALETTE[255].tolist()] * 2 and plain[0].tolist() == [PALETTE[0].tolist()] * 2
    heated = pixels_of(spectrogram_uri(loudness, np.array([[1.0, 0.0], [1.0, 0.0]])))
    assert heated[1, 0].tolist() == PALETTE[255].tolist()
    assert heated[1, 1].max() < 0.3 * 255


def test_louder_is_brighter() -> None:
    brightness = PALETTE.astype(float) @ [0.299, 0.587, 0.114]
    assert (np.diff(brightness) > -1).all() and brightness[-1] - brightness[0] > 200
