"""How a pretrained network wants its pictures: the model's own preprocessor_config.json, followed with Pillow.

Resized to a size or by the shorter side, cut out of the middle, and put on a scale: what the image processors of
`transformers` do, one after the other, without torchvision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np

from nudgenet.errors import SettingError
from nudgenet.models import PREPROCESSOR, ModelFolder

HALF = (0.5, 0.5, 0.5)
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
BILINEAR, BICUBIC = 2, 3  # Pillow's numbers, which the files use, too
# What a file that is silent means, by the beginning of the processor's name.
SILENT: dict[str, dict[str, Any]] = {
    "ViT": {"size": 224, "resample": BILINEAR, "image_mean": HALF, "image_std": HALF, "do_center_crop": False},
    "DeiT": {"size": 256, "resample": BICUBIC, "crop_size": 224, "image_mean": HALF, "image_std": HALF},
    "Bit": {"size": {"shortest_edge": 224}, "resample": BICUBIC, "crop_size": 224, "image_mean": CLIP[0], "image_std": CLIP[1]},
    "ConvNext": {"size": {"shortest_edge": 384}, "resample": BICUBIC, "image_mean": HALF, "image_std": HALF,
                 "crop_pct": 224 / 256, "do_center_crop": False},
}  # fmt: skip
BY_EDGE = ("Bit", "ConvNext")  # processors to whom a plain number is the shorter side
WHOLE = 384  # pixels from which on a ConvNeXt sees the whole picture, squashed into a square


@dataclass(frozen=True)
class Pixels:
    """A way from pixels to what a network takes in.

    edge: the shorter side after resizing; 0: to `size` (height, width), whatever the shape was.
    crop: (height, width) that is cut out of the middle; None: nothing is.
    center, spread: of each channel, on a scale from 0 to 1.
    """

    edge: int
    size: tuple[int, int]
    crop: tuple[int, int] | None
    resample: int
    center: tuple[float, ...]
    spread: tuple[float, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of every picture in the end."""
        return self.crop or self.size

    @property
    def cap(self) -> int:
        """Pixels of the shorter side that are of any use to it."""
        return self.edge or max(self.size)

    def fit(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 (height, width, channels) -> the same with the size of `shape`."""
        from PIL import Image

        height, width, channels = pixels.shape
        size = self.size
        if self.edge:
            short, long = min(height, width), max(height, width)
            longer = max(1, int(self.edge * long / short))
            size = (longer, self.edge) if width <= height else (self.edge, longer)
        if size != (height, width):
            flat = pixels[:, :, 0] if channels == 1 else pixels
            resized = Image.fromarray(flat).resize((size[1], size[0]), Image.Resampling(self.resample))
            pixels = np.asarray(resized).reshape(*size, channels)
        return pixels if self.crop is None else _cut_out(pixels, *self.crop)


def _cut_out(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle of a picture; black around a smaller one."""
    missing = max(0, height - pixels.shape[0]), max(0, width - pixels.shape[1])
    if any(missing):
        above, left = (ceil(count / 2) for count in missing)
        pixels = np.pad(pixels, ((above, missing[0] - above), (left, missing[1] - left), (0, 0)))
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]


def read_pixels(model: ModelFolder) -> Pixels:
    """What preprocessor_config.json says.

    Raises:
        SettingError: it is absent, damaged, says something that is not known here, or does not fit the network.
    """
    given = model.read_json(PREPROCESSOR)
    name = str(given.get("image_processor_type") or given.get("feature_extractor_type") or "")
    family = next((family for family in SILENT if name.startswith(family)), "")
    told = SILENT.get(family, {}) | {key: value for key, value in given.items() if value is not None}
    try:
        pixels = _follow(told, family, int(model.config.get("num_channels") or 3))
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise SettingError(
            f"The model's {PREPROCESSOR} cannot be followed", got=f"{type(error).__name__}: {error}",
            fix="Take a model whose pictures are resized, cropped, rescaled and normalised, and nothing else.",
        ) from None  # fmt: skip
    wanted = model.config.get("image_size")
    if model.kind in ("vit", "deit") and wanted and pixels.shape != _pair(wanted):
        raise SettingError(
            f"The model's {PREPROCESSOR} makes pictures of another size than its network takes",
            got=f"{pixels.shape} and {wanted}",
        )
    return pixels


def _follow(told: Mapping[str, Any], family: str, channels: int) -> Pixels:
    """Raises KeyError, TypeError or ValueError for what is absent or not known."""
    if not told.get("do_resize", True) or told.get("do_pad") or told.get("do_reduce_labels"):
        raise ValueError("pictures that are not resized, or padded")
    size = told["size"]
    by_edge = family in BY_EDGE
    edge, square, crop = 0, (0, 0), None
    if isinstance(size, Mapping) and not {"height", "width", "shortest_edge"} & set(size):
        raise ValueError(f"a size by {', '.join(size)}")
    if isinstance(size, Mapping) and "shortest_edge" in size:
        edge = int(size["shortest_edge"])
    elif isinstance(size, int) and by_edge:
        edge = size
    else:
        square = _pair(size)
    if told.get("do_center_crop", "crop_size" in told):
        crop = _pair(told["crop_size"])
    if "crop_pct" in told and edge >= WHOLE:
        edge, square = 0, (edge, edge)
    elif "crop_pct" in told and edge:
        edge, crop = int(edge / float(told["crop_pct"])), crop or (edge, edge)
    if edge and crop is None:
        crop = (edge, edge)  # batches need pictures of one shape
    factor = float(told.get("rescale_factor", 1 / 255)) if told.get("do_rescale", True) else 1.0
    center, spread = (0.0,) * channels, (1.0,) * channels
    if told.get("do_normalize", True):
        center, spread = (_each(told[name], channels) for name in ("image_mean", "image_std"))
    per_unit = 255 * factor  # pictures from 0 to 1 are brought to the scale that the means are on
    center, spread = (tuple(round(value / per_unit, 9) for value in values) for values in (center, spread))
    if min(spread) <= 0 or min(*(crop or square), edge or 1) < 1:
        raise ValueError("a size or a spread that is not positive")
    return Pixels(edge, square, crop, int(told["resample"]), center, spread)


def _pair(size: Any) -> tuple[int, int]:
    """(height, width) from any of the ways to write them."""
    if isinstance(size, Mapping):
        return int(size["height"]), int(size["width"])
    height, width = size if isinstance(size, list | tuple) else (size, size)
    return int(height), int(width)


def _each(values: Any, channels: int) -> tuple[float, ...]:
    """One number per channel."""
    listed = list(values) if isinstance(values, list | tuple) else [values] * channels
    if len(listed) != channels:
        raise ValueError(f"{len(listed)} values for {channels} channels")
    return tuple(float(value) for value in listed)


def as_preprocessor(pixels: Pixels) -> dict[str, Any]:
    """The preprocessor_config.json that says the same, for a processor of `transformers` that does just this."""
    size = dict(zip(("height", "width"), pixels.size, strict=True))
    crop = None if pixels.crop is None else dict(zip(("height", "width"), pixels.crop, strict=True))
    return {
        "image_processor_type": "BitImageProcessor" if pixels.edge or crop else "ViTImageProcessor",
        "do_convert_rgb": len(pixels.center) == 3, "do_resize": True, "resample": pixels.resample,
        "size": {"shortest_edge": pixels.edge} if pixels.edge else size,
        "do_center_crop": crop is not None, "crop_size": crop,
        "do_rescale": True, "rescale_factor": 1 / 255,
        "do_normalize": True, "image_mean": list(pixels.center), "image_std": list(pixels.spread),
    }  # fmt: skip
