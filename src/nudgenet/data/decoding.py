"""Image files to small pixel arrays, with Pillow: the one place that knows about formats, colours and broken files.

Content decides, not the file's name. Whatever a file holds, the answer is either pixels or one plain reason why not.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from nudgenet.data.media import Decoded, Undecodable, decode_files, what_it_is
from nudgenet.errors import MissingExtra

if TYPE_CHECKING:
    from PIL.Image import Image

LONGEST = 4  # an elongated image keeps at most this many times the pixels of its shorter side
MAX_PIXELS = 90_000_000  # more than any camera's photo: a file that claims more is a decompression bomb
MAX_BYTES = 500_000_000
DARK = 0.25  # of white: an image whose brightest pixel is darker is made brighter
# Formats that Pillow decodes by itself; others (EPS, for one) would start programs or hold no photos.
FORMATS = ("JPEG", "MPO", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM", "JPEG2000", "AVIF", "ICO", "TGA", "PCX", "SGI")
_PHONES = (b"heic", b"heix", b"hevc", b"mif1", b"msf1")  # the format of iPhones: Pillow has no decoder for it
DAMAGED = (
    OSError, ValueError, SyntaxError, TypeError, KeyError, IndexError, EOFError, struct.error, zlib.error,
    ArithmeticError, NotImplementedError, AttributeError, MemoryError, RuntimeError,
)  # fmt: skip  # all of them were seen to come out of Pillow on broken files


def decode_all(count: int, load: Callable[[int], bytes], cap: int) -> Iterator[tuple[int, list[Decoded[np.ndarray]]]]:
    """The pixels of files 0 ... count - 1, many at a time: see `decode_files`, and `decode` for what `cap` is.

    Raises:
        MissingExtra: Pillow is not installed.
    """
    need_pillow()
    with _quiet_pillow():
        yield from decode_files(count, load, lambda data: decode(data, cap))


def decode(data: bytes, cap: int) -> np.ndarray:
    """One file's bytes as pixels: upright, without transparency, grey (1 channel) where all its colours are.

    An image whose shorter side has more than `cap` pixels is shrunk to that: a function of the file alone, so no
    image has a say in how another one looks.

    Returns:
        uint8 (height, width, 1 or 3).

    Raises:
        Undecodable: empty, no image, damaged, or too large to be meant.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not data.strip(b"\0"):
        raise Undecodable("empty" if not data else "holds nothing but zero bytes")
    try:
        with Image.open(io.BytesIO(data), formats=_formats()) as image:
            if image.width * image.height > MAX_PIXELS:
                raise Undecodable(f"claims {image.width:,} x {image.height:,} pixels: a decompression bomb")
            size = _shrunk(image.width, image.height, cap)
            image.draft(None, size)  # a large JPEG is decoded at a fraction of its size at once
            upright = ImageOps.exif_transpose(image)
            return _pixels(upright, _shrunk(upright.width, upright.height, cap))
    except UnidentifiedImageError:
        raise Undecodable(_what_it_is(data)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Undecodable("claims far too many pixels: a decompression bomb") from None
    except DAMAGED as error:
        raise Undecodable(f"damaged: {' '.join(str(error).split())[:80] or type(error).__name__}") from None


def resize(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Pixels uint8 (h, w, channels) brought to another size."""
    from PIL import Image

    flat = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    resized = np.asarray(Image.fromarray(flat).resize((width, height), Image.Resampling.BICUBIC))
    return resized.reshape(height, width, pixels.shape[2])


def need_pillow() -> None:
    """Raises MissingExtra if Pillow is not installed."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError:
        raise MissingExtra(
            "Images need the library Pillow, which is not installed", fix="pip install 'nudgenet[images]'"
        ) from None


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    """Those of `FORMATS` that this Pillow was built with."""
    from PIL import Image

    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def is_image(data: bytes) -> bool:
    """Whether bytes can be opened as an image (its pixels may still be damaged)."""
    from PIL import Image

    try:
        with _quiet_pillow(), Image.open(io.BytesIO(data), formats=_formats()):
            return True
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return True
    except DAMAGED:
        return False


def _shrunk(width: int, height: int, cap: int) -> tuple[int, int]:
    """(width, height) with the shorter side at `cap` and the longer one at `LONGEST` times that, at most."""
    scale = min(1.0, cap / max(1, min(width, height)))
    most = LONGEST * cap
    return min(most, max(1, round(width * scale))), min(most, max(1, round(height * scale)))


def _pixels(image: Image, size: tuple[int, int]) -> np.ndarray:
    """Any of Pillow's modes as uint8 (height, width, 1 or 3)."""
    from PIL import Image as pillow

    image = _eight_bits(image)
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        # What is see-through is shown on white, as a page would.
        image = image.convert("RGBA")
        white = pillow.new("RGBA", image.size, "white")
        image = pillow.alpha_composite(white, image)
    if image.mode not in ("L", "RGB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if image.size != size:
        image = image.resize(size, pillow.Resampling.BICUBIC, reducing_gap=2.0)
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        return pixels[:, :, None]
    is_grey = (pixels[:, :, 0] == pixels[:, :, 1]).all() and (pixels[:, :, 0] == pixels[:, :, 2]).all()
    return pixels[:, :, :1] if is_grey else pixels


def _eight_bits(image: Image) -> Image:
    """16-bit, 32-bit and float grey images on the scale from 0 to 255; others unchanged.

    White is the largest number of the format (or 1, or 255), but the picture's own largest where that would leave it
    darker than a quarter: cameras of 10 or 12 bits write 16. Below zero, as in scans, its smallest is black.
    """
    from PIL import Image as pillow

    if not image.mode.startswith(("I", "F")):
        return image
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0.0, neginf=0.0)
    values = values - min(0.0, float(values.min(initial=0.0)))
    largest = float(values.max(initial=0.0))
    white = 1.0 if image.mode == "F" and largest <= 1.0 else 255.0 if largest <= 255.0 else 65_535.0
    if image.mode.startswith("I;16"):
        white = 65_535.0
    if largest > white or 0.0 < largest < DARK * white:
        white = largest
    return pillow.fromarray(np.clip(values * (255.0 / white), 0, 255).round().astype(np.uint8))


def _what_it_is(data: bytes) -> str:
    """What a file that is no image holds instead."""
    if data[4:8] == b"ftyp" and data[8:12] in _PHONES:
        return "is an HEIC photo, which cannot be read: save it as JPEG"
    what = what_it_is(data)
    if what == "an image":
        return "damaged: it begins like an image, and cannot be read as one"
    return f"is {what}, no image" if what else "is no image"


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """What Pillow warns about is not for users, except a bomb, which becomes an error of the file."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def as_jpeg(pixels: np.ndarray, scale: int = 1) -> bytes:
    """Pixels uint8 (height, width, channels) as a JPEG file, each pixel drawn `scale` times as large."""
    from PIL import Image

    flat = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    image: Any = Image.fromarray(flat)
    if scale > 1:
        image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()
