"""What pretrained networks hear of a sound: samples of mean 0 and variance 1, or how loud each pitch is over time.

Both follow the model's own feature extractor. The spectrogram is that of Kaldi's `fbank`: Hann windows of 400 samples,
one every 160, pre-emphasised, their power in triangles on O'Shaughnessy's mel scale, and the logarithm of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nudgenet.records import SoundShape

NOTHING = -32_768  # where a sound has ended; see `records.Part`
WINDOW, HOP, LENGTH = 400, 160, 512  # samples of a frame, from one to the next, and of its Fourier transform
PREEMPHASIS = 0.97
FAINTEST = 1.192092955078125e-07  # power that counts as silence
LOWEST = 20.0  # Hz
EPSILON = 1e-12  # keeps a normalisation from dividing by zero, and counts for nothing else


def hear(trunk: nn.Module, sound: SoundShape, waves: Tensor) -> Tensor:
    """What a pretrained trunk knows of sounds int16 (rows, samples), as its own head would be told: float32 (rows, features)."""
    told = json.loads(sound.extractor)
    own: Any = trunk
    there = waves != NOTHING
    samples = torch.where(there, waves.float() / 32_768, 0.0)
    if json.loads(sound.model)["model_type"] == "audio-spectrogram-transformer":
        pooled: Tensor = own(input_values=spectrogram(samples, there.sum(dim=1), told, sound.rate)).pooler_output
        return F.layer_norm(pooled, pooled.shape[1:], eps=EPSILON)
    masked = bool(told.get("return_attention_mask"))
    if told.get("do_normalize", True):
        samples = standardised(samples, there if masked else torch.ones_like(there))
    given = {"attention_mask": there.long()} if masked else {}
    vectors: Tensor = own(input_values=samples, **given).last_hidden_state
    if not masked:
        return vectors.mean(dim=1)
    kept = own._get_feature_vector_attention_mask(vectors.shape[1], there.long()).unsqueeze(2)
    mean: Tensor = (vectors * kept).sum(dim=1) / kept.sum(dim=1).clamp_min(1)
    return mean


def standardised(samples: Tensor, there: Tensor) -> Tensor:
    """float32 (rows, samples) with mean 0 and variance 1 over those that are there; the others are 0."""
    count = there.sum(dim=1, keepdim=True).clamp_min(1)
    mean = (samples * there).sum(dim=1, keepdim=True) / count
    variance = ((samples - mean).square() * there).sum(dim=1, keepdim=True) / count
    return (samples - mean) / (variance + 1e-7).sqrt() * there


def spectrogram(samples: Tensor, lengths: Tensor, told: Mapping[str, Any], rate: int) -> Tensor:
    """float32 (rows, max_length, num_mel_bins), normalised as the extractor says; before that, zeros where a sound has ended."""
    bins, most = int(told.get("num_mel_bins", 128)), int(told.get("max_length", 1_024))
    loud = fbank(samples, rate, bins)[:, :most]
    frames = 1 + (lengths - WINDOW).div(HOP, rounding_mode="floor")
    ended = torch.arange(loud.shape[1]) >= frames.unsqueeze(1)
    loud = F.pad(loud.masked_fill(ended.unsqueeze(2), 0.0), (0, 0, 0, most - loud.shape[1]))
    if not told.get("do_normalize", True):
        return loud
    return (loud - float(told.get("mean", -4.2677393))) / (2 * float(told.get("std", 4.5689974)))


def fbank(samples: Tensor, rate: int, bins: int) -> Tensor:
    """The log power of each pitch in each frame, float32 (rows, frames, bins), of samples float32 (rows, n), n >= 400."""
    frames = samples.double().unfold(1, WINDOW, HOP)
    if not len(frames):  # which the library's Fourier transform refuses
        return samples.new_zeros(0, frames.shape[1], bins)
    frames = frames - frames.mean(dim=2, keepdim=True)
    before = torch.cat([frames[:, :, :1], frames[:, :, :-1]], dim=2)
    frames = (frames - PREEMPHASIS * before) * torch.hann_window(WINDOW, periodic=False, dtype=frames.dtype)
    power = torch.fft.rfft(frames, n=LENGTH).abs().square()
    loud: Tensor = (power @ filters(rate, bins)).clamp_min(FAINTEST).log()
    return loud.float()


@lru_cache(maxsize=8)
def filters(rate: int, bins: int) -> Tensor:
    """Triangles over frequencies, float64 (frequencies, bins), straight on the mel scale."""
    heights = mel(torch.arange(LENGTH // 2 + 1, dtype=torch.float64) * rate / LENGTH).unsqueeze(1)
    low, high = mel(torch.tensor([LOWEST, rate // 2], dtype=torch.float64)).tolist()
    edges = torch.linspace(low, high, bins + 2, dtype=torch.float64)
    below, peak, above = edges[:-2], edges[1:-1], edges[2:]
    triangles: Tensor = torch.minimum((heights - below) / (peak - below), (above - heights) / (above - peak))
    return triangles.clamp_min(0)


def mel(hertz: Tensor) -> Tensor:
    """Hz -> mel, as Kaldi counts."""
    return 1127 * torch.log1p(hertz / 700)
