"""Pictures of sounds for a page: loudness as colour, low pitches at the bottom, as PNG (ISO/IEC 15948) written by hand."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

# From silence to the loudest: black, violet, orange, pale yellow.
_STOPS = ((0, (0, 0, 8)), (90, (88, 24, 118)), (180, (236, 112, 66)), (255, (252, 244, 190)))
PALETTE = (
    np.stack(
        [np.interp(np.arange(256), [at for at, _ in _STOPS], [colour[i] for _, colour in _STOPS]) for i in range(3)],
        axis=1,
    )
    .round()
    .astype(np.uint8)
)  # (256, 3)
DIMMED = 0.25  # how bright a moment stays that nothing is said about


def spectrogram_uri(loudness: np.ndarray, heat: np.ndarray | None = None) -> str:
    """Loudness uint8 (pitches, moments) as a picture inside a link.

    heat: from 0 to 1, of the same shape: what has none is dimmed.
    """
    colours = PALETTE[loudness]
    if heat is not None:
        colours = (colours * (DIMMED + (1 - DIMMED) * heat[:, :, None])).round().astype(np.uint8)
    return png_uri(colours[::-1])


def png_uri(pixels: np.ndarray) -> str:
    """uint8 (height, width, 3) as a picture inside a link."""
    return "data:image/png;base64," + base64.b64encode(as_png(pixels)).decode()


def as_png(pixels: np.ndarray) -> bytes:
    """uint8 (height, width, 3) as a PNG file."""
    height, width, _ = pixels.shape
    lines = np.concatenate(
        [np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1
    )  # filter 0: as they are
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        for name, content in chunks
    )
