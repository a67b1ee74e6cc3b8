"""Spectrograms against the definition, worked out by hand in NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from nudgenet.data.spectrogram import (
    choose_bands,
    filterbank,
    hertz,
    log_mel,
    mel,
    transform_length,
    window_samples,
)


def by_hand(samples: np.ndarray, rate: int, bands: int, hop: int) -> np.ndarray:
    """The formula with loops: a discrete Fourier transform, triangles on a mel axis, decibels."""
    size, length = round(0.025 * rate), transform_length(rate)
    hann = np.array([0.5 - 0.5 * math.cos(2 * math.pi * n / size) for n in range(size)])
    mels = np.linspace(2595 * math.log10(1 + 20 / 700), 2595 * math.log10(1 + rate / 2 / 700), bands + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    frequencies = np.arange(length // 2 + 1) * rate / length
    turns = np.exp(-2j * np.pi * np.outer(np.arange(length // 2 + 1), np.arange(size)) / length)
    columns = []
    for begin in range(0, len(samples) - size + 1, hop):
        power = np.abs(turns @ (samples[begin : begin + size] * hann)) ** 2 / (hann.sum() / 2) ** 2
        values = []
        for low, peak, high in zip(edges, edges[1:], edges[2:], strict=False):
            weights = [max(0.0, min((f - low) / (peak - low), (high - f) / (high - peak))) for f in frequencies]
            values.append(10 * math.log10(max(float(power @ weights), 1e-10)))
        columns.append(values)
    return np.array(columns).T


@pytest.mark.parametrize(("rate", "hop"), [(8_000, 80), (2_000, 33)])
def test_it_is_what_the_formula_says(rate: int, hop: int) -> None:
    samples = np.random.default_rng(0).normal(size=rate // 8) * 0.1
    expected = by_hand(samples, rate, 20, hop)
    both = torch.from_numpy(np.stack([samples, 2 * samples])).float()
    found = log_mel(both, rate, 20, hop).numpy()
    assert found.shape == (2, *expected.shape)
    np.testing.assert_allclose(found[0], expected, atol=1e-3)
    np.testing.assert_allclose(found[1] - found[0], 20 * math.log10(2), atol=1e-3)  # twice the amplitude


@pytest.mark.parametrize("frequency", [200.0, 440.0, 1_000.0, 3_000.0])
def test_a_tone_is_loudest_in_its_band(frequency: float) -> None:
    rate, bands = 8_000, 48
    tone = torch.sin(2 * math.pi * frequency * torch.arange(rate) / rate).unsqueeze(0)
    picture = log_mel(tone, rate, bands, 80)[0]
    peaks = hertz(torch.linspace(mel(20.0), mel(4_000), bands + 2, dtype=torch.float64))[1:-1]
    assert abs(int(picture.mean(dim=1).argmax()) - int((peaks - frequency).abs().argmin())) <= 1
    assert -3 < float(picture.max()) < 7
    assert float(log_mel(0 * tone, rate, bands, 80).max()) == -100


@pytest.mark.parametrize("rate", [200, 1_000, 4_000, 8_000, 11_025, 16_000, 22_050, 44_100, 192_000])
def test_no_band_is_without_a_frequency(rate: int) -> None:
    weights = filterbank(rate, choose_bands(rate))
    assert (weights.sum(dim=0) > 0).all() and float(weights.max()) <= 1
    inside = weights[:, 1:-1].sum(dim=1)
    assert float(inside.max()) <= 1 + 1e-9  # neighbours share a frequency between them
    assert transform_length(rate) >= 2 * window_samples(rate)


def test_no_sounds_are_no_pictures() -> None:
    assert log_mel(torch.zeros(0, 8_000), 16_000, 64, 160).shape == (0, 64, 48)
    assert log_mel(torch.zeros(1, 8_000), 16_000, 64, 160).shape == (1, 64, 48)
