"""Sounds as cells of a table, and as what a network takes in: pictures of how loud each pitch is over time.

Each file was decoded once, into samples that the column itself holds; see `media`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from nudgenet.data.audio import MAX_SECONDS, Clip, decode_sound, need_sounds, resample
from nudgenet.data.media import Decoded, check_cells, contents, decode_files, field, kept, light, room
from nudgenet.data.spectrogram import FAINTEST, choose_bands, log_mel, window_samples
from nudgenet.errors import counted
from nudgenet.models import find_model
from nudgenet.records import Column, Decision, ImageShape
from nudgenet.settings import Settings

# A cell; see `media`. content: int16, mono, `rate` samples a second. seconds: of the whole file.
SOUND = pa.struct(
    [
        ("path", pa.string()),
        ("seconds", pa.float64()),
        ("rate", pa.int32()),
        ("channels", pa.int32()),
        ("content", pa.large_binary()),
        ("digest", pa.string()),
        ("error", pa.string()),
    ]
)
DEFAULT_RATE = 16_000  # samples a second: all of speech and most of what tells sounds apart
LONGEST_WINDOW = 5.0  # seconds that are looked at in one go
MOST_WINDOWS = 4
MOST_FRAMES, FEWEST_FRAMES = 256, 32
HOP_SECONDS = 0.010  # from one frame to the next; more for long windows, less for very short ones
USUAL = 0.95  # of the training sounds are no longer than what is looked at
ALL = 1.25  # if the longest is only this much longer, nothing is cut
RANGE = 85.0  # decibels below the loudest that still tell something
SAMPLE = 500  # training sounds that loudness is learned from
AT_ONCE = 1 << 23  # samples that are made into pictures in one go


def cap_of(settings: Settings) -> int:
    """The samples a second that a sound keeps when it is decoded; training and prediction must agree on it."""
    if settings.sound_rate is None and settings.start_from is not None:
        model = find_model(settings.start_from)
        return model.sampling_rate if model.medium == "sound" else DEFAULT_RATE
    return settings.sound_rate or DEFAULT_RATE


def read_sounds(paths: Sequence[str | None], load: Callable[[int], bytes], settings: Settings) -> pa.ChunkedArray:
    """Decode files into a column of sounds; one that cannot be decoded is a cell with an `error`.

    Args:
        paths: what each is called.
        load: its number -> its bytes.

    Raises:
        MissingExtra: soundfile or soxr is not installed.
    """
    need_sounds()
    rate = cap_of(settings)
    chunks = (
        _cells(paths[begin : begin + len(clips)], clips)
        for begin, clips in decode_files(len(paths), load, lambda data: decode_sound(data, rate))
    )
    return kept(chunks, SOUND)


def _cells(paths: Sequence[str | None], clips: Sequence[Decoded[Clip]]) -> pa.StructArray:
    found = [clip.content for clip in clips]
    columns = [
        pa.array(paths, pa.string()),
        pa.array([clip and clip.seconds for clip in found], pa.float64()),
        pa.array([clip and clip.rate for clip in found], pa.int32()),
        pa.array([clip and clip.channels for clip in found], pa.int32()),
        pa.array([clip and clip.samples.tobytes() for clip in found], pa.large_binary()),
        pa.array([clip.digest for clip in clips], pa.string()),
        pa.array([clip.error for clip in clips], pa.string()),
    ]
    return pa.StructArray.from_arrays(columns, fields=list(SOUND))


def look_at_sounds(name: str, cells: pa.ChunkedArray) -> Column:
    """What a column of sounds is, in words."""
    cells = light(cells)
    fine = pa.array(field(cells, "error").is_null().to_numpy())
    seconds = field(cells, "seconds").filter(fine).to_numpy()
    if not len(seconds):
        return Column(name, "empty", "no sound could be decoded", num_missing=len(cells))
    num_unique = len(field(cells, "digest").filter(fine).unique())
    lasting = f"{seconds.min():.3g} to {seconds.max():.3g} seconds long, half of them {np.median(seconds):.3g} or more"
    why = f"{counted(len(seconds), 'sound')}, {lasting}"
    return Column(name, "sound", why, num_unique=num_unique, num_missing=len(cells) - len(seconds))


# --- tensors --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SoundFeature:
    """A column of sounds, each made into pictures of `bands` pitches at `frames` moments.

    A sound longer than one picture becomes `windows` of them, spread evenly over it (one: its middle); silence is
    put around a shorter one, and all its windows are alike.

    rate: samples a second that all are brought to. hop: samples from one frame to the next.
    low, high: decibels that become 0 and 255, from the training sounds.
    center, spread: mean and standard deviation of the training pictures, from 0 to 1.
    model: the config, as JSON, of the earlier network of ours that is started from; "" for a fresh one.
    """

    column: str
    rate: int
    hop: int
    bands: int
    frames: int
    windows: int
    low: float
    high: float
    center: float = 0.0
    spread: float = 1.0
    has_missing: bool = False
    kind: Literal["sound"] = "sound"
    input: Literal["images"] = "images"
    model: str = ""

    @property
    def shape(self) -> ImageShape:
        """What the network must take in."""
        return ImageShape(1, self.bands, self.frames, (self.center,), (self.spread,), self.windows, "sound", self.model)

    @property
    def num_samples(self) -> int:
        """Samples behind one picture."""
        return (self.frames - 1) * self.hop + window_samples(self.rate)

    def encode(self, cells: pa.ChunkedArray, rows: np.ndarray) -> Tensor:
        """Pictures of the named rows, uint8 (rows, windows, bands, frames); what could not be decoded is silent.

        Raises:
            ColumnError: the column holds no sounds here.
        """
        check_cells(cells, self.column, "sound")
        pictures = self.space(len(rows))
        at_once = max(1, AT_ONCE // (self.windows * self.num_samples))
        for begin in range(0, len(rows), at_once):
            some = self.cut(cells.take(pa.array(rows[begin : begin + at_once])))
            loud = log_mel(torch.from_numpy(some).flatten(0, 1), self.rate, self.bands, self.hop)
            scaled = (loud - self.low) * (255 / (self.high - self.low))
            pictures[begin : begin + len(some)] = (
                scaled.round_().clamp_(0, 255).to(torch.uint8).view(len(some), self.windows, self.bands, self.frames)
            )
        return pictures

    def space(self, num_rows: int) -> Tensor:
        """Room for the pictures of so many rows, all of them silent."""
        return torch.from_numpy(room((num_rows, self.windows, self.bands, self.frames)))

    def cut(self, cells: pa.ChunkedArray) -> np.ndarray:
        """The windows of each sound, float32 (rows, windows, samples) from -1 to 1."""
        size = self.num_samples
        windows = np.zeros((len(cells), self.windows, size), np.float32)
        for row, samples in enumerate(samples_of(cells, self.rate)):
            if samples is None:
                continue
            spare = len(samples) - size
            if spare <= 0:
                begin = -spare // 2
                windows[row, :, begin : begin + len(samples)] = samples
            else:
                begins = np.linspace(0, spare, self.windows) if self.windows > 1 else [spare / 2]
                for place, begin in enumerate(begins):
                    windows[row, place] = samples[round(begin) : round(begin) + size]
        return windows

    def pooled(self, pictures: Tensor) -> np.ndarray:
        """What simple models are shown: the mean and the spread of each pitch over the moments that are not silent,
        float32 (rows, 2 * bands), standardised."""
        parts = [self._summed_up(some) for some in torch.split(pictures, 1_024)]
        return torch.cat(parts).numpy() if parts else np.zeros((0, 2 * self.bands), np.float32)

    def _summed_up(self, pictures: Tensor) -> Tensor:
        values = pictures.float().div_(255).sub_(self.center).div_(self.spread).transpose(1, 2).flatten(2)
        heard = (pictures != 0).any(dim=2).flatten(1).float().unsqueeze(1)  # (rows, 1, windows * frames)
        count = heard.sum(dim=2).clamp_min(1)
        mean = (values * heard).sum(dim=2) / count
        variance = ((values - mean.unsqueeze(2)).square() * heard).sum(dim=2) / count
        return torch.cat([mean, variance.sqrt()], dim=1)


def samples_of(cells: pa.ChunkedArray, rate: int) -> Iterator[np.ndarray | None]:
    """The samples of each sound at one rate, float32 from -1 to 1; None for what could not be decoded."""
    for chunk in cells.chunks:
        rates = chunk.field("rate").to_pylist()
        for samples, own in zip(contents(chunk, np.int16), rates, strict=True):
            yield None if samples is None else resample(samples.astype(np.float32) / 32_768, own, rate)


def learn_sounds(
    column: Column, cells: pa.ChunkedArray, rows: np.ndarray, settings: Settings
) -> tuple[SoundFeature, list[Decision]]:
    """Rate, length and loudness for a column, from its sounds in the training rows."""
    known = light(cells).take(pa.array(rows))
    known = known.filter(field(known, "error").is_null())
    rates = field(known, "rate").to_numpy()
    rate = int(np.sort(rates)[(len(rates) - 1) // 2])  # no sound's upper half is lost to the fainter half of them
    seconds = np.minimum(field(known, "seconds").to_numpy(), MAX_SECONDS)
    window, num_windows = choose_length(seconds, settings.sound_seconds)
    hop, frames = choose_frames(window, rate)
    feature = SoundFeature(
        column.name, rate, hop, choose_bands(rate), frames, num_windows, 10 * math.log10(FAINTEST), 0.0
    )
    some = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), SAMPLE)).astype(np.int64))]
    feature = learn_loudness(feature, cells, some)
    return feature, _decisions(feature, seconds, rates, cap_of(settings))


def choose_length(seconds: np.ndarray, wanted: float | None) -> tuple[float, int]:
    """(seconds of one window, windows of a sound): what most of the training sounds need, and no more than `wanted`."""
    longest, usual = float(seconds.max()), float(np.quantile(seconds, USUAL))
    usual = longest if longest <= ALL * usual else usual
    window = wanted or min(LONGEST_WINDOW, usual)
    return window, min(MOST_WINDOWS, max(1, math.ceil(usual / window - 0.1)))


def choose_frames(seconds: float, rate: int) -> tuple[int, int]:
    """(samples from frame to frame, frames, a multiple of 8) for windows of this length."""
    hop = min(max(HOP_SECONDS, seconds / MOST_FRAMES), seconds / FEWEST_FRAMES)
    samples = max(1, round(hop * rate))
    frames = math.ceil(max(0, seconds * rate - window_samples(rate)) / samples) + 1
    return samples, max(FEWEST_FRAMES, 8 * math.ceil(frames / 8))


def learn_loudness(feature: SoundFeature, cells: pa.ChunkedArray, rows: np.ndarray) -> SoundFeature:
    """The feature with its decibels, mean and spread from these rows."""
    peaks = []
    at_once = max(1, AT_ONCE // (feature.windows * feature.num_samples))
    for begin in range(0, len(rows), at_once):
        windows = feature.cut(cells.take(pa.array(rows[begin : begin + at_once])))
        loud = log_mel(torch.from_numpy(windows).flatten(0, 1), feature.rate, feature.bands, feature.hop)
        peaks.append(loud.amax(dim=(1, 2)))
    high = float(np.quantile(torch.cat(peaks).numpy(), USUAL))  # the loudest of most sounds: one bang decides nothing
    feature = replace(feature, low=high - RANGE, high=high)
    pictures = feature.encode(cells, rows).double() / 255
    return replace(feature, center=float(pictures.mean()), spread=max(float(pictures.std()), 0.01))


def _decisions(feature: SoundFeature, seconds: np.ndarray, rates: np.ndarray, cap: int) -> list[Decision]:
    window = feature.num_samples / feature.rate
    cut = float((seconds > window + 0.001).mean())
    if feature.windows > 1:
        chosen = f"{feature.windows} windows of {window:.2g} seconds, spread evenly over each sound"
        then = "its answer is the mean of theirs"
    else:
        chosen = f"{window:.2g} seconds"
        then = f"{cut:.1%} of the training sounds are longer and cut to their middle" if cut else "none is cut"
    silent = float(np.maximum(0, 1 - seconds / window).mean())
    why = f"{USUAL:.0%} of the training sounds are at most {np.quantile(seconds, USUAL):.2g} seconds long; {then}; "
    why += f"silence is put around shorter ones, {silent:.0%} of all there is to hear"
    own = (
        "as most of the training sounds have" if (rates == feature.rate).mean() > 0.5 else "as half of the sounds have"
    )
    decisions = [
        Decision("length of sounds", chosen, why, f"--set sound_seconds={2 * window:.2g}"),
        Decision(
            "sounds as pictures", f"{feature.bands} pitches at {feature.frames} moments, mono, {feature.rate:,} samples a second",
            f"{own}; loudness from {feature.low:.0f} to {feature.high:.0f} decibels, in mel bands",
            f"--set sound_rate={2 * cap}" if feature.rate == cap else "",
        ),
    ]  # fmt: skip
    if long := int((seconds >= MAX_SECONDS).sum()):
        why = "the rest of a longer sound is not decoded"
        decisions.append(
            Decision("long sounds", f"the first {MAX_SECONDS:g} seconds of {counted(long, 'sound')}", why, "")
        )
    return decisions
