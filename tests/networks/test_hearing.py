"""What a pretrained network hears is what the library's own feature extractors make of a sound."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from nudgenet.networks.hearing import NOTHING, fbank, spectrogram, standardised

transformers = pytest.importorskip("transformers")


def sound(count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    moments = np.arange(count) / 8_000
    return (0.3 * np.sin(2 * np.pi * 700 * moments) + 0.05 * random.normal(size=count) + 0.02).astype(np.float32)


def test_the_spectrogram_is_the_librarys() -> None:
    told: dict[str, Any] = {"num_mel_bins": 40, "max_length": 50, "mean": -4.0, "std": 3.0}
    theirs = transformers.ASTFeatureExtractor(sampling_rate=16_000, **told)
    for count in (12_000, 3_000, 400, 399 + 160):
        samples = sound(count)
        padded = torch.zeros(1, 12_000)
        padded[0, :count] = torch.from_numpy(samples)
        found = spectrogram(padded, torch.tensor([count]), told, 16_000)
        expected = theirs(samples, sampling_rate=16_000, return_tensors="pt")["input_values"]
        torch.testing.assert_close(found, expected, atol=2e-4, rtol=2e-4)


def test_a_spectrogram_that_is_not_normalised() -> None:
    told: dict[str, Any] = {"num_mel_bins": 32, "max_length": 20, "do_normalize": False}
    theirs = transformers.ASTFeatureExtractor(sampling_rate=8_000, **told)
    samples = sound(2_000)
    found = spectrogram(torch.from_numpy(samples)[None], torch.tensor([2_000]), told, 8_000)
    expected = theirs(samples, sampling_rate=8_000, return_tensors="pt")["input_values"]
    torch.testing.assert_close(found, expected, atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("masked", [True, False])
def test_samples_are_standardised_as_the_library_does(masked: bool) -> None:
    theirs = transformers.Wav2Vec2FeatureExtractor(sampling_rate=8_000, return_attention_mask=masked, do_normalize=True)
    sounds = [sound(900), sound(1_500, seed=1)]
    told = theirs(sounds, sampling_rate=8_000, padding="max_length", max_length=2_000, return_tensors="pt")
    padded, there = torch.zeros(2, 2_000), torch.zeros(2, 2_000, dtype=torch.bool)
    for row, samples in enumerate(sounds):
        padded[row, : len(samples)], there[row, : len(samples)] = torch.from_numpy(samples), True
    found = standardised(padded, there if masked else torch.ones_like(there))
    torch.testing.assert_close(found, told["input_values"], atol=1e-5, rtol=1e-5)


def test_silence_is_finite() -> None:
    assert torch.isfinite(fbank(torch.zeros(1, 800), 16_000, 64)).all()
    assert torch.isfinite(standardised(torch.zeros(1, 800), torch.zeros(1, 800, dtype=torch.bool))).all()
    assert torch.iinfo(torch.int16).min == NOTHING


def test_no_sounds_have_no_spectrogram() -> None:
    assert fbank(torch.zeros(0, 8_000), 16_000, 64).shape == (0, 48, 64)
    assert fbank(torch.zeros(1, 8_000), 16_000, 64).shape == (1, 48, 64)
