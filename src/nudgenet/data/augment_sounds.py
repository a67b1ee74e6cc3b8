"""Training sounds varied as pictures: uint8 (rows, windows, pitches, moments), 0 silent and 255 as loud as any.

Batched tensor operations, called by `augment.vary`; each takes and gives pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

DELAY = 1 / 6  # of the moments: how far a sound is moved, at most
GAIN = 0.1  # of the loudness range (about 8 decibels): how much louder or quieter it gets, at most
NOISE = 0.5  # of the range: the loudest noise, a good 40 decibels below the loudest sound, in half of the pictures
SPECKLE = 0.05  # of the range: how uneven that noise is
MASKS = 2  # bands of pitches, and of moments, that are painted over
PITCHES_MASKED, MOMENTS_MASKED = 1 / 6, 1 / 8  # of all: the widest band
PITCH = 1 / 24  # of the pitches: how much higher or lower a sound gets, at most
TEMPO = 0.12  # how much faster or slower, at most


def crop(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """One of a long sound's windows."""
    count, windows = pictures.shape[:2]
    chosen = torch.randint(windows, (count,), generator=generator)
    return pictures[torch.arange(count), chosen].unsqueeze(1)


def delay(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Earlier or later; silence where nothing was."""
    moments = pictures.shape[3]
    most = max(1, round(DELAY * moments))
    places = torch.arange(moments) + torch.randint(-most, most + 1, (len(pictures), 1), generator=generator)
    return _moments_at(pictures, places)


def tempo(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Faster or slower about the middle."""
    moments = pictures.shape[3]
    middle = (moments - 1) / 2
    places = (torch.arange(moments) - middle) * (1 + TEMPO * _between(pictures, generator)) + middle
    return _moments_at(pictures, places.round().long())


def pitch(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Higher or lower: the lowest and the highest band fill what comes free."""
    bands = pictures.shape[2]
    most = max(1, round(PITCH * bands))
    places = torch.arange(bands) + torch.randint(-most, most + 1, (len(pictures), 1), generator=generator)
    index = places.clamp(0, bands - 1).view(len(pictures), 1, bands, 1).expand_as(pictures)
    return pictures.gather(2, index)


def gain(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Louder or quieter; silence stays silent."""
    change = (255 * GAIN * _between(pictures, generator)).round().to(torch.int16).view(-1, 1, 1, 1)
    return torch.where(pictures > 0, (pictures.to(torch.int16) + change).clamp_(0, 255), 0).to(torch.uint8)


def noise(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Half of them in a noise of some loudness, which covers what is fainter: so do powers that are added, almost."""
    loudness = 255 * NOISE * torch.rand(len(pictures), 1, 1, 1, generator=generator)
    loudness = torch.where(torch.rand(len(pictures), 1, 1, 1, generator=generator) < 0.5, loudness, -255.0)
    speckled = loudness + 255 * SPECKLE * torch.randn(pictures.shape, generator=generator)
    return torch.maximum(pictures, speckled.clamp_(0, 255).to(torch.uint8))


def mask(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Some bands of pitches and stretches of time take the mean loudness (SpecAugment, Park et al., arXiv 1904.08779)."""
    count, _, bands, moments = pictures.shape
    hidden = torch.zeros(count, bands, moments, dtype=torch.bool)
    for _ in range(MASKS):
        hidden |= _stretch(count, bands, PITCHES_MASKED, generator).unsqueeze(2)
        hidden |= _stretch(count, moments, MOMENTS_MASKED, generator).unsqueeze(1)
    mean = pictures.float().mean(dim=(2, 3), keepdim=True).to(torch.uint8)
    return torch.where(hidden.unsqueeze(1), mean, pictures)


SOUND_WAYS: Mapping[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "crop": crop, "delay": delay, "tempo": tempo, "pitch": pitch, "gain": gain, "noise": noise, "mask": mask,
}  # fmt: skip  # in the order in which they are done


def _moments_at(pictures: Tensor, places: Tensor) -> Tensor:
    """What stood at these places, int64 (rows, moments); silence outside."""
    count, windows, bands, moments = pictures.shape
    inside = ((places >= 0) & (places < moments)).view(count, 1, 1, moments)
    index = places.clamp(0, moments - 1).view(count, 1, 1, moments).expand(count, windows, bands, moments)
    return torch.where(inside, pictures.gather(3, index), 0)


def _stretch(count: int, length: int, share: float, generator: torch.Generator) -> Tensor:
    """bool (count, length): a run of random place and length, at most a share of all."""
    width = torch.rand(count, 1, generator=generator) * share * length
    begin = torch.rand(count, 1, generator=generator) * (length - width)
    places = torch.arange(length)
    return (places >= begin) & (places < begin + width)


def _between(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """float32 (rows, 1), evenly from -1 to 1."""
    return 2 * torch.rand(len(pictures), 1, generator=generator) - 1
