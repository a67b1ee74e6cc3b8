"""Images as cells of a table: each was decoded once, into a small uint8 picture that the column itself holds.

So everything that treats rows (splitting, duplicates, copies of the data, predictions) treats images without knowing it.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
import torch.nn.functional as F
from torch import Tensor

from nudgenet.data.decoding import decode_all, resize
from nudgenet.data.media import Decoded, check_cells, contents, field, kept, light, room
from nudgenet.data.pixels import Pixels, read_pixels
from nudgenet.errors import SourceError, counted
from nudgenet.models import find_model
from nudgenet.records import Column, Decision, ImageShape
from nudgenet.settings import Settings

# A cell; see `media`. content: uint8 (height, width, channels).
IMAGE = pa.struct(
    [
        ("path", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("channels", pa.int32()),
        ("content", pa.large_binary()),
        ("digest", pa.string()),
        ("error", pa.string()),
    ]
)
DEFAULT_SIDE = 128  # pixels; a network from scratch rarely gains from more, and each costs
ALMOST_SQUARE = 1.25
AT_ONCE = 4_096  # images that are brought to size in one go
POOLED = 200  # patches


def cap_of(settings: Settings) -> int:
    """The pixels that an image's shorter side keeps when it is decoded; training and prediction must agree on it."""
    wanted = settings.image_size
    if (
        wanted is None
        and settings.start_from is not None
        and (model := find_model(settings.start_from)).medium == "image"
    ):
        wanted = read_pixels(model).cap
    return max(DEFAULT_SIDE, wanted or 0)


# --- cells ----------------------------------------------------------------------------------------


def read_images(paths: Sequence[str | None], load: Callable[[int], bytes], settings: Settings) -> pa.ChunkedArray:
    """Decode files into a column of images; one that cannot be decoded is a cell with an `error`.

    Args:
        paths: what each is called.
        load: its number -> its bytes.

    Raises:
        MissingExtra: Pillow is not installed.
    """
    chunks = (
        _cells(paths[begin : begin + len(pictures)], pictures)
        for begin, pictures in decode_all(len(paths), load, cap_of(settings))
    )
    return kept(chunks, IMAGE)


def array_images(pixels: np.ndarray) -> pa.ChunkedArray:
    """A uint8 array (rows, height, width), (rows, height, width, channels) or (rows, channels, height, width) as a column.

    Raises:
        SourceError: another type or shape.
    """
    if pixels.dtype != np.uint8:
        raise SourceError(
            "An array of images must hold bytes (uint8, 0 to 255)",
            got=f"{pixels.dtype} of shape {pixels.shape}",
            fix="Convert it, for example: (X * 255).astype('uint8').",
        )
    if pixels.ndim == 3:
        pixels = pixels[:, :, :, None]
    elif pixels.shape[3] not in (1, 3) and pixels.shape[1] in (1, 3):
        pixels = pixels.transpose(0, 2, 3, 1)
    if pixels.ndim != 4 or pixels.shape[3] not in (1, 3) or 0 in pixels.shape:
        raise SourceError(
            "Images are (rows, height, width) or (rows, height, width, channels), with 1 or 3 channels",
            got=f"shape {pixels.shape}",
        )

    def chunks() -> Iterator[pa.StructArray]:
        for begin in range(0, len(pixels), 1_024):
            rows = pixels[begin : begin + 1_024].copy(order="C")  # the caller may change its own
            digests = [hashlib.blake2b(row, digest_size=16).hexdigest() for row in rows]
            ends = np.arange(len(rows) + 1, dtype=np.int64) * rows[:1].size
            content = pa.Array.from_buffers(
                pa.large_binary(), len(rows), [None, pa.py_buffer(ends), pa.py_buffer(rows.reshape(-1))]
            )
            paths = pa.nulls(len(rows), pa.string())
            sides = (pa.array(np.full(len(rows), side, np.int32)) for side in rows.shape[1:])
            columns = [paths, *sides, content, pa.array(digests, pa.string()), paths]  # neither paths nor errors
            yield pa.StructArray.from_arrays(columns, fields=list(IMAGE))

    return kept(chunks(), IMAGE)


def _cells(paths: Sequence[str | None], pictures: Sequence[Decoded[np.ndarray]]) -> pa.StructArray:
    shapes = [(0, 0, 0) if picture.content is None else picture.content.shape for picture in pictures]
    columns = [
        pa.array(paths, pa.string()),
        *(pa.array([shape[axis] for shape in shapes], pa.int32()) for axis in range(3)),
        pa.array([None if p.content is None else p.content.tobytes() for p in pictures], pa.large_binary()),
        pa.array([picture.digest for picture in pictures], pa.string()),
        pa.array([picture.error for picture in pictures], pa.string()),
    ]
    return pa.StructArray.from_arrays(columns, fields=list(IMAGE))


# --- what was found -------------------------------------------------------------------------------


def look_at_images(name: str, cells: pa.ChunkedArray) -> Column:
    """What a column of images is, in words."""
    cells = light(cells)
    fine = field(cells, "error").is_null().to_numpy()
    sizes = Counter(
        zip(*(field(cells, side).filter(pa.array(fine)).to_pylist() for side in ("width", "height")), strict=True)
    )
    if not sizes:
        return Column(name, "empty", "no image could be decoded", num_missing=len(cells))
    (width, height), count = sizes.most_common(1)[0]
    what = counted(int(fine.sum()), "image")
    same = (
        f"all {width} x {height} pixels"
        if len(sizes) == 1
        else f"of {len(sizes):,} sizes, {width} x {height} in {count:,}"
    )
    num_unique = len(field(cells, "digest").filter(pa.array(fine)).unique())
    return Column(name, "image", f"{what}, {same}", num_unique=num_unique, num_missing=int((~fine).sum()))


# --- tensors --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ImageFeature:
    """A column of images, all brought to one size.

    center, spread: mean and standard deviation of each channel in the training images, from 0 to 1.
    pixels, model: how a pretrained network wants them, and its config as JSON; None and "" for a fresh one.
    """

    column: str
    height: int
    width: int
    channels: int
    center: tuple[float, ...]
    spread: tuple[float, ...]
    has_missing: bool = False
    kind: Literal["image"] = "image"
    input: Literal["images"] = "images"
    pixels: Pixels | None = None
    model: str = ""

    @property
    def shape(self) -> ImageShape:
        """What the network must take in."""
        return ImageShape(self.channels, self.height, self.width, self.center, self.spread, model=self.model)

    def encode(self, cells: pa.ChunkedArray, rows: np.ndarray) -> Tensor:
        """Pixels of the named rows, uint8 (rows, channels, height, width); what could not be decoded is black.

        Raises:
            ColumnError: the column holds no images here.
        """
        check_cells(cells, self.column, "image")
        images = self.space(len(rows))
        pixels = images.numpy()
        begin = 0
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
            for at in range(0, len(rows), AT_ONCE):
                for chunk in cells.take(pa.array(rows[at : at + AT_ONCE])).chunks:
                    if (block := self._block(chunk)) is not None:
                        pixels[begin : begin + len(chunk)] = block
                    else:
                        for row, picture in enumerate(pool.map(self._fitted, pictures_of(chunk)), start=begin):
                            if picture is not None:
                                pixels[row] = picture
                    begin += len(chunk)
        return images

    def _block(self, chunk: pa.StructArray) -> np.ndarray | None:
        """uint8 (rows, channels, height, width) at once, without copying, where every cell already is as it must be."""
        shape = (self.height, self.width, self.channels)
        sides = (chunk.field(name).to_numpy(zero_copy_only=False) for name in ("height", "width", "channels"))
        if self.pixels is not None or not all(
            (side == wanted).all() for side, wanted in zip(sides, shape, strict=True)
        ):
            return None
        content = chunk.field("content")
        ends = np.frombuffer(content.buffers()[1], np.int64)[content.offset : content.offset + len(content) + 1]
        if not len(content) or ends[-1] - ends[0] != len(content) * math.prod(shape):  # some are damaged
            return None
        block = np.frombuffer(content.buffers()[2], np.uint8, int(ends[-1] - ends[0]), int(ends[0]))
        return block.reshape(len(content), *shape).transpose(0, 3, 1, 2)

    def space(self, num_rows: int) -> Tensor:
        """Room for the pixels of so many rows, all of them black."""
        return torch.from_numpy(room((num_rows, self.channels, self.height, self.width)))

    def pooled(self, images: Tensor) -> np.ndarray:
        """What simple models are shown: about `POOLED` brightnesses of patches, float32 (rows, patches), standardised."""
        scale = min(1.0, (POOLED / self.channels / (self.height * self.width)) ** 0.5)
        size = max(1, round(self.height * scale)), max(1, round(self.width * scale))
        patches = [F.adaptive_avg_pool2d(some.float(), size) for some in torch.split(images, AT_ONCE)]
        pixels = torch.cat(patches) if patches else torch.zeros(0, self.channels, *size)
        center, spread = (255 * torch.tensor(values).view(1, -1, 1, 1) for values in (self.center, self.spread))
        return ((pixels - center) / spread).flatten(1).numpy()

    def _fitted(self, picture: np.ndarray | None) -> np.ndarray | None:
        """uint8 (channels, height, width)."""
        if picture is None:
            return None
        if self.pixels is not None:
            picture = self.pixels.fit(picture)
        elif picture.shape[:2] != (self.height, self.width):
            picture = resize(picture, self.height, self.width)
        if picture.shape[2] > self.channels:  # colour in a run that learned from grey images: its brightness
            picture = (picture @ np.array([0.299, 0.587, 0.114])).round().astype(np.uint8)[:, :, None]
        return np.broadcast_to(picture.transpose(2, 0, 1), (self.channels, self.height, self.width))


def pictures_of(chunk: pa.StructArray) -> Iterator[np.ndarray | None]:
    """The pixels of each cell, uint8 (height, width, channels), without copying them."""
    shapes = np.stack([chunk.field(name).to_numpy(zero_copy_only=False) for name in ("height", "width", "channels")], 1)
    for pixels, shape in zip(contents(chunk, np.uint8), shapes, strict=True):
        yield None if pixels is None else pixels.reshape(shape)


def learn_images(
    column: Column, cells: pa.ChunkedArray, rows: np.ndarray, settings: Settings
) -> tuple[ImageFeature, list[Decision]]:
    """The size and channels for a column, from its images in the training rows, and what they look like on average."""
    sizes = light(cells).take(pa.array(rows))
    fine = field(sizes, "error").is_null()
    height, width = (float(np.median(field(sizes, side).filter(fine).to_numpy())) for side in ("height", "width"))
    channels = int(pc.max(field(sizes, "channels").filter(fine)).as_py())
    varied = any(len(field(sizes, side).filter(fine).unique()) > 1 for side in ("height", "width"))
    high, wide = choose_size(height, width, settings.image_size, varied=varied)
    feature = ImageFeature(column.name, high, wide, channels, (0.0,) * channels, (1.0,) * channels)
    some = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), 2_000)).astype(np.int64))]
    pixels = feature.encode(cells, some)
    center = [float(pixels[:, channel].double().mean()) / 255 for channel in range(channels)]
    spread = [max(float(pixels[:, channel].double().std()) / 255, 0.01) for channel in range(channels)]
    feature = ImageFeature(column.name, high, wide, channels, tuple(center), tuple(spread))
    colours = "in colour" if channels == 3 else "grey"
    why = (
        "the size of most training images"
        if (high, wide) == (round(height), round(width))
        else (f"half of the training images are at least {width:.0f} x {height:.0f}")
    )
    chosen = f"{wide} x {high} pixels, {colours}"
    return feature, [Decision("size of images", chosen, why, f"--set image_size={2 * max(high, wide)}")]


def choose_size(height: float, width: float, wanted: int | None, *, varied: bool) -> tuple[int, int]:
    """(height, width) for images of this typical size: theirs, or as many pixels as a square of `wanted` has.

    Sizes differ: a multiple of 8, which halves well, and square unless most images are far from it.
    """
    side = (height * width) ** 0.5
    target = float(wanted or min(DEFAULT_SIDE, side))
    if not varied and wanted is None and side <= DEFAULT_SIDE:
        return round(height), round(width)
    aspect = width / height if not 1 / ALMOST_SQUARE < width / height < ALMOST_SQUARE else 1.0
    if wanted is not None and aspect == 1.0:
        return wanted, wanted
    return (max(8, 8 * round(target / aspect**0.5 / 8)), max(8, 8 * round(target * aspect**0.5 / 8)))
