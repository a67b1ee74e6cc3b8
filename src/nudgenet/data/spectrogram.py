"""Sounds as pictures: how loud each pitch is at each moment, in decibels (a log-mel spectrogram).

Pitches are spaced as ears hear them, after Stevens, Volkmann and Newman (1937) in the form of O'Shaughnessy's Speech
Communication (1987): mel = 2595 log10(1 + Hz / 700).
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

WINDOW_SECONDS = 0.025  # the stretch of sound behind one column of the picture
FAINTEST = 1e-10  # power of what counts as silence; -100 dB
AT_ONCE = 1 << 22  # samples of sounds that are transformed in one go
SHORTEST = 256  # points of a Fourier transform
LOWEST = 20.0  # Hz: below this, nothing is heard


def log_mel(samples: Tensor, rate: int, bands: int, hop: int) -> Tensor:
    """Decibels below full scale, float32 (sounds, bands, frames), of sounds float32 (sounds, n) from -1 to 1.

    Each frame is a Hann window of 25 ms; frame i begins at sample i * hop and lies fully inside:
    there are 1 + (n - window) // hop of them. A sine of full scale has about 0 dB in its band.
    """
    window = window_samples(rate)
    length = transform_length(rate)
    if not len(samples):  # which the library's Fourier transform refuses
        return samples.new_zeros(0, bands, max(0, 1 + (samples.shape[1] - window) // hop))
    shape = torch.hann_window(window, dtype=samples.dtype)
    weights = filterbank(rate, bands).to(samples.dtype)
    pictures = []
    for some in torch.split(samples, max(1, AT_ONCE // max(1, samples.shape[1]))):
        frames = some.unfold(1, window, hop) * shape
        power = torch.fft.rfft(frames, n=length).abs().square() / (shape.sum() / 2) ** 2
        pictures.append(10 * torch.log10((power @ weights).clamp_min(FAINTEST)).transpose(1, 2))
    return torch.cat(pictures)


def window_samples(rate: int) -> int:
    """Samples behind one frame."""
    return max(8, round(WINDOW_SECONDS * rate))


def transform_length(rate: int) -> int:
    """Points of the Fourier transform: at least twice the window, so that low bands have frequencies of their own."""
    return max(SHORTEST, 1 << math.ceil(math.log2(2 * window_samples(rate))))


@lru_cache(maxsize=16)
def filterbank(rate: int, bands: int) -> Tensor:
    """Triangles over frequencies, float64 (frequencies, bands): each rises from its lower neighbour's peak and falls to
    its upper neighbour's, and the peaks are evenly spaced in mel."""
    frequencies = torch.arange(transform_length(rate) // 2 + 1, dtype=torch.float64) * rate / transform_length(rate)
    edges = hertz(torch.linspace(mel(LOWEST), mel(rate / 2), bands + 2, dtype=torch.float64))
    below, peak, above = edges[:-2], edges[1:-1], edges[2:]
    rising = (frequencies.unsqueeze(1) - below) / (peak - below)
    falling = (above - frequencies.unsqueeze(1)) / (above - peak)
    return torch.minimum(rising, falling).clamp_min(0)


def mel(frequency: float) -> float:
    """Hz -> mel."""
    return 2595 * math.log10(1 + frequency / 700)


def hertz(mels: Tensor) -> Tensor:
    """mel -> Hz."""
    return 700 * (10 ** (mels / 2595) - 1)


def choose_bands(rate: int) -> int:
    """64 at 16,000 samples a second; fewer where there are fewer pitches, so that none is without a frequency."""
    return max(16, min(64, 8 * round(64 * mel(rate / 2) / mel(8_000) / 8)))
