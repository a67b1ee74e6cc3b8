"""A column of images or sounds as the pretrained network that is started from wants it: its own preprocessing, followed."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa

from nudgenet.data.images import ImageFeature, learn_images
from nudgenet.data.media import field, light
from nudgenet.data.pixels import read_pixels
from nudgenet.data.sounds import USUAL, SoundFeature, learn_sounds
from nudgenet.data.waves import WaveFeature, choose_places
from nudgenet.errors import SettingError
from nudgenet.models import OWN, PREPROCESSOR, ModelFolder, find_model
from nudgenet.records import Column, Decision, Medium
from nudgenet.settings import Settings

MediaFeature = ImageFeature | SoundFeature | WaveFeature
MOST_SECONDS = 10.0  # of a sound that a network of unbounded length hears: its cost grows with the square
SPECTROGRAM = "audio-spectrogram-transformer"
WINDOW, HOP = 400, 160  # samples of its frames


def learn_media(
    column: Column, cells: pa.ChunkedArray, rows: np.ndarray, settings: Settings
) -> tuple[MediaFeature, list[Decision]]:
    """How a column of files becomes tensors: learned from its training rows, or as the pretrained start says.

    Raises:
        SettingError: the pretrained network is for cells of another kind, or its preprocessing is not known.
    """
    if settings.start_from is None:
        learned = learn_images if column.kind == "image" else learn_sounds
        return learned(column, cells, rows, settings)
    medium: Medium = "image" if column.kind == "image" else "sound"
    model = find_model(settings.start_from)
    check_medium(model, medium, column.name)
    if medium == "image":
        return as_pictures(column, model, settings)
    if model.kind == OWN:
        return as_heard_before(column, model)
    return as_waves(column, cells, rows, model, settings)


def check_medium(model: ModelFolder, medium: Medium, name: str) -> None:
    """Raises SettingError unless a model is for such cells."""
    if model.medium != medium:
        raise SettingError(
            f"The pretrained network is for {model.medium}s, and the column `{name}` holds {medium}s", got=str(model.path),
            fix=f"Give one for {medium}s, or leave --from away.",
        )  # fmt: skip


def as_pictures(column: Column, model: ModelFolder, settings: Settings) -> tuple[ImageFeature, list[Decision]]:
    """Pictures by the model's own preprocessor_config.json."""
    pixels = read_pixels(model)
    if settings.image_size not in (None, pixels.cap):
        raise SettingError(
            "A pretrained network has a size of its own for images", got=f"image_size={settings.image_size}",
            fix=f"Leave image_size away: it is {pixels.cap}.",
        )  # fmt: skip
    (height, width), channels = pixels.shape, len(pixels.center)
    feature = ImageFeature(
        column.name, height, width, channels, pixels.center, pixels.spread, pixels=pixels, model=model.packed_config
    )
    cut = f", cut out of the middle of {pixels.edge or 'x'.join(map(str, pixels.size))}" if pixels.crop else ""
    chosen = f"{width} x {height} pixels, {'grey' if channels == 1 else 'in colour'}{cut}"
    return feature, [Decision("size of images", chosen, f"the pretrained network's {PREPROCESSOR} says so", "")]


def as_heard_before(column: Column, model: ModelFolder) -> tuple[SoundFeature, list[Decision]]:
    """Pictures of sounds as the earlier run made them."""
    told = model.read_json(PREPROCESSOR)
    try:
        rate, hop, bands, frames, windows = (
            int(told[name]) for name in ("sampling_rate", "hop", "bands", "frames", "windows")
        )
        low, high, center, spread = (float(told[name]) for name in ("low", "high", "center", "spread"))
    except (KeyError, TypeError, ValueError):
        raise SettingError(f"The model's {PREPROCESSOR} is damaged", got=str(model.path)) from None
    feature = SoundFeature(
        column.name, rate, hop, bands, frames, windows, low, high, center, spread, model=model.packed_config
    )
    chosen = f"{feature.bands} pitches at {feature.frames} moments, {feature.rate:,} samples a second"
    return feature, [Decision("sounds as pictures", chosen, "as the earlier network was trained on", "")]


def as_waves(
    column: Column, cells: pa.ChunkedArray, rows: np.ndarray, model: ModelFolder, settings: Settings
) -> tuple[WaveFeature, list[Decision]]:
    """Samples at the rate that the model's own preprocessor_config.json says."""
    told = model.read_json(PREPROCESSOR)
    rate = model.sampling_rate
    if settings.sound_rate not in (None, rate):
        raise SettingError(
            "A pretrained network has a rate of its own for sounds", got=f"sound_rate={settings.sound_rate}",
            fix=f"Leave sound_rate away: it is {rate}.",
        )  # fmt: skip
    known = light(cells).take(pa.array(rows))
    seconds = field(known, "seconds").filter(field(known, "error").is_null()).to_numpy()
    most = round((settings.sound_seconds or MOST_SECONDS) * rate)
    if model.kind == SPECTROGRAM:
        most = min(most, WINDOW + (int(told.get("max_length") or 1_024) - 1) * HOP)
    places = choose_places(seconds, rate, most, USUAL)
    feature = WaveFeature(column.name, rate, places, model.packed_config, json.dumps(told, sort_keys=True))
    cut = float((seconds > places / rate + 0.001).mean())
    why = f"the pretrained network's {PREPROCESSOR} names the rate; {cut:.1%} of the training sounds are longer and cut"
    chosen = f"the first {places / rate:.3g} seconds, {rate:,} samples a second"
    return feature, [Decision("length of sounds", chosen, why, f"--set sound_seconds={2 * places / rate:.2g}")]
