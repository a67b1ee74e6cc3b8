"""Sounds as a pretrained network hears them: samples at its own rate, as many as most sounds have.

What it makes of them (a spectrogram, samples of mean 0) is its own business; see `networks.hearing`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from nudgenet.data.media import check_cells, room
from nudgenet.data.sounds import AT_ONCE, samples_of
from nudgenet.data.spectrogram import FAINTEST, choose_bands, log_mel, window_samples
from nudgenet.records import SoundShape

NOTHING = -32_768  # where a sound has ended
HOP_SECONDS = 0.010
LOUDNESS, RANGE = -50.0, 25.0  # decibels: about the middle and the spread of most sounds
SHOWN = 85.0  # decibels below a sound's loudest moment that are drawn
MOST_MOMENTS = 256  # of a picture


@dataclass(frozen=True)
class WaveFeature:
    """A column of sounds for a pretrained network: of a longer one its beginning, as the model's own extractor cuts.

    model, extractor: its config and its preprocessor's settings, as JSON.
    """

    column: str
    rate: int
    places: int
    model: str
    extractor: str
    has_missing: bool = False
    kind: Literal["sound"] = "sound"
    input: Literal["waves"] = "waves"

    @property
    def shape(self) -> SoundShape:
        """What the network must take in."""
        return SoundShape(self.places, self.rate, self.model, self.extractor)

    def encode(self, cells: pa.ChunkedArray, rows: np.ndarray) -> Tensor:
        """Samples of the named rows, int16 (rows, places); what could not be decoded holds nothing.

        Raises:
            ColumnError: the column holds no sounds here.
        """
        check_cells(cells, self.column, "sound")
        waves = self.space(len(rows))
        filled = waves.numpy()
        for row, samples in enumerate(samples_of(cells.take(pa.array(rows)), self.rate)):
            if samples is not None:
                some = np.clip(np.round(samples[: self.places] * 32_768), NOTHING + 1, 32_767)
                filled[row, : len(some)] = some.astype(np.int16)
        return waves

    def space(self, num_rows: int) -> Tensor:
        """Room for the samples of so many rows, none of which has any."""
        waves = room((num_rows, 2 * self.places)).view(np.int16)
        waves[:] = NOTHING
        return torch.from_numpy(waves)

    def pictures(self, waves: Tensor) -> Tensor:
        """How loud each pitch is over time, for people: uint8 (rows, 1, bands, moments), below the loudest of each sound."""
        bands, hop = choose_bands(self.rate), max(1, round(max(HOP_SECONDS * self.rate, self.places / MOST_MOMENTS)))
        there = waves != NOTHING
        loud = log_mel(torch.where(there, waves.float() / 32_768, 0.0), self.rate, bands, hop)
        below = (loud - loud.amax(dim=(1, 2), keepdim=True)) / SHOWN
        is_silent = loud <= 10 * math.log10(FAINTEST) + 0.01
        return (255 * (1 + below)).masked_fill(is_silent, 0).round_().clamp_(0, 255).to(torch.uint8).unsqueeze(1)

    def pooled(self, waves: Tensor) -> np.ndarray:
        """What simple models are shown: the mean and the spread of each pitch over time, float32 (rows, 2 * bands)."""
        bands, hop = choose_bands(self.rate), max(1, round(HOP_SECONDS * self.rate))
        parts = [self._summed_up(some, bands, hop) for some in torch.split(waves, max(1, AT_ONCE // self.places))]
        return torch.cat(parts).numpy() if parts else np.zeros((0, 2 * bands), np.float32)

    def _summed_up(self, waves: Tensor, bands: int, hop: int) -> Tensor:
        window = window_samples(self.rate)
        there = waves != NOTHING
        samples = torch.where(there, waves.float() / 32_768, 0.0)
        loud = (log_mel(samples, self.rate, bands, hop) - LOUDNESS) / RANGE  # (rows, bands, frames)
        starts = torch.arange(loud.shape[2]) * hop + window
        heard = (starts <= there.sum(dim=1, keepdim=True)).float().unsqueeze(1)
        count = heard.sum(dim=2).clamp_min(1)
        mean = (loud * heard).sum(dim=2) / count
        variance = ((loud - mean.unsqueeze(2)).square() * heard).sum(dim=2) / count
        return torch.cat([mean, variance.sqrt()], dim=1)


def choose_places(seconds: np.ndarray, rate: int, most: int, usual: float) -> int:
    """Samples that the longest training sound has, or nearly all (`usual`) have, and `most` at most."""
    longest, common = float(seconds.max()), float(np.quantile(seconds, usual))
    wanted = longest if longest <= 1.25 * common else common
    return max(window_samples(rate), min(most, math.ceil(wanted * rate)))
