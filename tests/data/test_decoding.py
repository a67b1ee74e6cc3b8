"""Every kind of image file becomes pixels, and every kind of broken one a reason."""

from __future__ import annotations

import io
import struct
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nudgenet.data.decoding import decode, decode_all, is_image, resize
from nudgenet.data.media import Undecodable
from nudgenet.errors import MissingExtra

COLOURS = np.random.default_rng(0).integers(0, 256, (12, 20, 3)).astype(np.uint8)


def as_file(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_colour_pixels_come_back_as_they_are() -> None:
    assert np.array_equal(decode(as_file(Image.fromarray(COLOURS)), 128), COLOURS)


@pytest.mark.parametrize("mode", ["L", "1", "P", "LA", "RGBA", "CMYK", "YCbCr"])
def test_every_mode_becomes_one_or_three_channels(mode: str) -> None:
    kind = "TIFF" if mode in ("CMYK", "YCbCr") else "PNG"
    pixels = decode(as_file(Image.fromarray(COLOURS).convert(mode), kind), 128)
    assert pixels.dtype == np.uint8
    assert pixels.shape[:2] == (12, 20)
    assert pixels.shape[2] == (1 if mode in ("L", "1", "LA") else 3)


def test_a_grey_picture_in_colour_is_grey() -> None:
    grey = np.repeat(COLOURS[:, :, :1], 3, axis=2)
    assert np.array_equal(decode(as_file(Image.fromarray(grey)), 128), grey[:, :, :1])


def test_sixteen_bits_become_eight() -> None:
    values = np.array([[0, 257, 32_896, 65_535]], np.uint16)
    assert decode(as_file(Image.fromarray(values)), 128)[0, :, 0].tolist() == [0, 1, 128, 255]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 100, 500]], np.uint16), [0, 51, 255]),  # a dim picture of a camera with 12 bits
        (np.array([[0, 20_000]], np.uint16), [0, 78]),  # dark on the scale of 16 bits, and told by it
        (np.array([[-900, -740, -500]], np.int32), [0, 102, 255]),  # a scan, with air at -1,000
        (np.array([[-1.5, -0.9, 1.5]], np.float32), [0, 51, 255]),  # standardised
        (np.array([[0.0, 58.0, 290.0]], np.float32), [0, 51, 255]),
        (np.array([[0, 0]], np.uint16), [0, 0]),
    ],
)
def test_other_ranges_keep_their_greys(values: np.ndarray, expected: list[int]) -> None:
    pixels = decode(as_file(Image.fromarray(values), "TIFF"), 128)[0, :, 0].tolist()
    assert pixels == expected


def test_floats_from_zero_to_one_are_stretched() -> None:
    values = np.array([[0.0, 0.5, 1.0]], np.float32)
    assert decode(as_file(Image.fromarray(values), "TIFF"), 128)[0, :, 0].tolist() == [0, 128, 255]


def test_what_is_see_through_is_white() -> None:
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:2, :, 3] = 255
    assert decode(as_file(Image.fromarray(pixels)), 128)[:, 0, 0].tolist() == [0, 0, 255, 255]


def test_a_rotated_photograph_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    data = as_file(Image.fromarray(COLOURS), "PNG", exif=exif)
    assert np.array_equal(decode(data, 128), np.rot90(COLOURS, -1))


def test_large_pictures_are_shrunk_and_small_ones_kept() -> None:
    large = Image.fromarray(np.zeros((300, 600), np.uint8))
    assert decode(as_file(large, "JPEG"), 100).shape == (100, 200, 1)
    assert decode(as_file(Image.new("L", (2_000, 10))), 10).shape == (10, 40, 1)
    assert decode(as_file(Image.new("L", (3, 2))), 128).shape == (2, 3, 1)


def bomb() -> bytes:
    """A PNG whose header claims 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    content = chunk(b"IDAT", zlib.compress(bytes(1_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + content + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (bytes(100), "zero bytes"),
        (b"once upon a time", "a text"),
        (b"PK\x03\x04" + bytes(50), "a zip"),
        (b"%PDF-1.4" + bytes(50), "a PDF"),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", "a sound"),
        (b"<html><body></body></html>", "a web page"),
        (np.random.default_rng(1).bytes(500), "no image"),
        (as_file(Image.fromarray(COLOURS))[:200], "damaged"),
        (as_file(Image.fromarray(COLOURS.repeat(20, 0).repeat(20, 1)), "JPEG")[:3_000], "damaged"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "damaged"),
        (bomb(), "decompression bomb"),
    ],
)
def test_what_is_broken_has_a_reason(data: bytes, reason: str) -> None:
    (_, (picture,)), *_ = decode_all(1, lambda _: data, 128)
    assert picture.content is None
    assert picture.error is not None and reason in picture.error


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=40), st.integers(0, 400), st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]))
def test_no_bytes_whatever_crash(noise: bytes, place: int, kind: str) -> None:
    data = bytearray(as_file(Image.fromarray(COLOURS), kind))
    data[place : place + len(noise)] = noise
    for _, (picture,) in decode_all(1, lambda _: bytes(data), 128):
        assert (picture.content is None) == (picture.error is not None)


def test_files_that_cannot_be_read_are_named_and_the_order_is_kept() -> None:
    files = {0: as_file(Image.new("L", (2, 2), 9)), 2: as_file(Image.new("L", (2, 2), 7))}

    def load(number: int) -> bytes:
        if number not in files:
            raise FileNotFoundError(2, "No such file")
        return files[number]

    pictures = [picture for _, some in decode_all(3, load, 128) for picture in some]
    assert [None if p.content is None else int(p.content[0, 0, 0]) for p in pictures] == [9, None, 7]
    assert pictures[1].error == "cannot be read: No such file"
    assert pictures[0].digest != pictures[2].digest


def test_resizing_keeps_a_flat_picture_flat() -> None:
    assert (resize(np.full((9, 5, 3), 77, np.uint8), 4, 8) == 77).all()
    assert resize(np.full((9, 5, 1), 77, np.uint8), 4, 8).shape == (4, 8, 1)


def test_without_pillow_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingExtra, match=r"nudgenet\[images\]"):
        list(decode_all(1, lambda _: b"", 128))


def test_an_image_is_told_from_a_table() -> None:
    assert is_image(as_file(Image.new("L", (2, 2))))
    assert is_image(bomb())
    assert not is_image(b"a,b\n1,2\n")

    with pytest.raises(Undecodable, match="empty"):
        decode(b"", 128)
