"""Sound files to short arrays of samples, with libsndfile and soxr: the one place that knows about formats and rates.

Content decides, not the file's name. Whatever a file holds, the answer is either samples or one plain reason why not.
"""

from __future__ import annotations

import base64
import codecs
import io
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from nudgenet.data.media import Undecodable, what_it_is
from nudgenet.errors import MissingExtra, counted

if TYPE_CHECKING:
    from soundfile import SoundFile

MAX_SECONDS = 300  # of a longer sound, its beginning is used: five minutes hold more than a network looks at
MIN_SAMPLES = 32
RATES = (200, 1_000_000)  # samples a second that a sound can be meant to have
MAX_CHANNELS = 64
BLOCK = 1 << 20  # samples of all channels that are decoded at once, so that no file takes more memory than its samples
CANCELLED = 0.1  # of the loudest channel's amplitude: if the mean of all is fainter, they cancel one another out
ENDS_EARLY = 0.95  # of what the file claims to hold
# Those of libsndfile's formats that hold sounds and say so themselves (Matlab's, for one, hold anything).
FORMATS = (
    "WAV",
    "WAVEX",
    "RF64",
    "W64",
    "AIFF",
    "AU",
    "CAF",
    "FLAC",
    "OGG",
    "MP3",
    "NIST",
    "VOC",
    "SVX",
    "IRCAM",
    "AVR",
)


@dataclass(frozen=True)
class Clip:
    """What came out of one file.

    samples: int16 (n,), mono, at `rate` samples a second; 32,767 is full scale.
    seconds, channels: of the file, which may be longer than its samples (see `MAX_SECONDS`).
    """

    samples: np.ndarray
    rate: int
    seconds: float
    channels: int


def decode_sound(data: bytes, most: int) -> Clip:
    """One file's bytes as mono samples, at its own rate or at `most` a second if that is less.

    A function of the file alone, so no sound has a say in how another one sounds. Channels are averaged, unless they
    cancel one another out: then the loudest is taken. Floats beyond full scale are scaled down.

    Raises:
        Undecodable: empty, no sound, damaged, or of a rate that cannot be meant.
    """
    import soundfile

    if not data.strip(b"\0"):
        raise Undecodable("empty" if not data else "holds nothing but zero bytes")
    if (claimed := _claimed_bytes(data)) and len(data) < ENDS_EARLY * claimed:
        raise Undecodable(f"damaged: it ends after {len(data):,} of {counted(claimed, 'byte')}")
    try:
        with soundfile.SoundFile(_Bytes(data)) as file:
            if file.format not in FORMATS:
                raise Undecodable(f"is no sound ({file.format})")
            if not RATES[0] <= file.samplerate <= RATES[1] or file.channels > MAX_CHANNELS:
                raise Undecodable(f"claims {counted(file.channels, 'channel')} of {file.samplerate:,} samples a second")
            rate, channels, frames = file.samplerate, file.channels, file.frames
            mono = _mono(file)
    except soundfile.LibsndfileError as error:
        raise Undecodable(_why_not(data, str(error.error_string))) from None
    except (OSError, ValueError, RuntimeError, TypeError, MemoryError) as error:
        raise Undecodable(f"damaged: {' '.join(str(error).split())[:80] or type(error).__name__}") from None
    if len(mono) < ENDS_EARLY * min(frames, MAX_SECONDS * rate):
        raise Undecodable(f"damaged: it ends after {len(mono) / rate:.2f} of {frames / rate:.2f} seconds")
    if len(mono) < MIN_SAMPLES:
        raise Undecodable(f"too short: {counted(len(mono), 'sample')}")
    if not np.isfinite(mono).all():
        raise Undecodable("damaged: it holds samples that are no numbers")
    return Clip(_sixteen_bits(resample(mono, rate, min(rate, most))), min(rate, most), frames / rate, channels)


def resample(samples: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """float32 samples at another rate, band-limited (libsoxr, high quality)."""
    import soxr

    return samples if rate == wanted else np.asarray(soxr.resample(samples, rate, wanted), np.float32)


def is_sound(data: bytes) -> bool:
    """Whether bytes can be opened as a sound (its samples may still be damaged)."""
    import soundfile

    if data.startswith(codecs.BOM_UTF16_LE):  # a text: the library for MP3 would search it for frames, and say so aloud
        return False
    try:
        with soundfile.SoundFile(_Bytes(data)) as file:
            return file.format in FORMATS
    except (soundfile.LibsndfileError, OSError, ValueError, RuntimeError, TypeError):
        return False


def need_sounds() -> None:
    """Raises MissingExtra if soundfile or soxr are not installed."""
    try:
        import soundfile  # noqa: F401
        import soxr  # noqa: F401
    except (ImportError, OSError):  # OSError: soundfile without its library
        raise MissingExtra(
            "Sounds need the libraries soundfile and soxr, which are not installed",
            fix="pip install 'nudgenet[sounds]'",
        ) from None


def as_mp3(samples: np.ndarray, rate: int) -> str:
    """int16 samples (n,) as an MP3 inside a `data:` link: a second takes about 3 kB."""
    import soundfile

    buffer = io.BytesIO()
    playable = min((rate_ for rate_ in (8_000, 16_000) if rate_ >= rate), default=16_000)  # MP3 knows few rates
    sound = resample(samples.astype(np.float32) / 32_768, rate, playable)
    soundfile.write(buffer, sound, playable, format="MP3")
    return "data:audio/mpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


class _Bytes(io.BytesIO):
    """A damaged file can make a decoder seek to before its beginning: then it gets the beginning."""

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:
            return super().seek(0)


def _mono(file: SoundFile) -> np.ndarray:
    """float32 (n,): the mean of the channels, of at most `MAX_SECONDS`."""
    left = MAX_SECONDS * file.samplerate
    at_once = max(1, BLOCK // file.channels)
    blocks: list[np.ndarray] = []
    loudest: int | None = None  # the channel that is taken alone
    while left > 0:
        block = file.read(min(at_once, left), dtype="float32", always_2d=True)
        if not len(block):
            break
        mean = block.mean(axis=1)
        if not blocks and block.shape[1] > 1:
            strengths = np.abs(block).mean(axis=0)
            if np.abs(mean).mean() < CANCELLED * strengths.max():
                loudest = int(strengths.argmax())
        blocks.append(mean if loudest is None else block[:, loudest])
        left -= len(block)
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def _sixteen_bits(samples: np.ndarray) -> np.ndarray:
    """float32 -> int16; what goes beyond full scale is made quieter as a whole."""
    largest = float(np.abs(samples).max(initial=0.0))
    # Resampling overshoots by a few per cent where a sound is clipped: that is clipped again.
    scale = 32_767 / largest if largest > 1.25 else 32_768
    return np.clip(np.round(samples * scale), -32_768, 32_767).astype(np.int16)


def _claimed_bytes(data: bytes) -> int | None:
    """Where the samples of a WAV or AIFF file end by its own account; None for others, and for streams of open end."""
    if data[:4] in (b"RIFF", b"FORM") and data[8:12] in (b"WAVE", b"AIFF", b"AIFC"):
        order = "<" if data[:4] == b"RIFF" else ">"
        at = 12
        while at + 8 <= len(data):
            name, size = data[at : at + 4], struct.unpack(f"{order}I", data[at + 4 : at + 8])[0]
            if name in (b"data", b"SSND"):
                return at + 8 + size if 0 < size < 0x7FFF_0000 else None
            at += 8 + size + size % 2
    return None


def _why_not(data: bytes, said: str) -> str:
    """Why libsndfile could not open or read a file."""
    for start, at, known in (
        (b"ftyp", 4, "an M4A or MP4"), (b"0&\xb2u", 0, "a WMA"), (b"\x1aE\xdf\xa3", 0, "a WebM"), (b"#!AMR", 0, "an AMR"),
    ):  # fmt: skip
        if data[at : at + len(start)] == start:
            return f"is {known} file, which cannot be decoded here: WAV, FLAC, OGG and MP3 can"
    begins_well = data.startswith((b"RIFF", b"FORM", b"fLaC", b"OggS", b"ID3", b"caff", b".snd")) or (
        data[:1] == b"\xff" and data[1:2] in (b"\xfb", b"\xfa", b"\xf3", b"\xf2", b"\xe3")
    )
    if begins_well:
        return f"damaged: {said.rstrip('.')}"[:100]
    what = what_it_is(data)
    return f"is {what}, no sound" if what else "is no sound"
