"""Sound files of every make, whole and broken."""

from __future__ import annotations

import base64
import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from nudgenet.data import audio
from nudgenet.data.audio import Clip, as_mp3, decode_sound, is_sound, need_sounds, resample
from nudgenet.data.media import Undecodable
from nudgenet.errors import MissingExtra

RATE = 8_000


def tone(frequency: float = 440.0, seconds: float = 0.5, rate: int = RATE, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)


def as_file(samples: np.ndarray, rate: int = RATE, kind: str = "WAV", subtype: str | None = None) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


def frequency_of(clip: Clip) -> float:
    spectrum = np.abs(np.fft.rfft(clip.samples * np.hanning(len(clip.samples))))
    return float(spectrum.argmax() * clip.rate / len(clip.samples))


def test_sixteen_bits_come_back_as_they_are() -> None:
    samples = np.random.default_rng(0).integers(-32_768, 32_768, 1_000).astype(np.int16)
    clip = decode_sound(as_file(samples), 16_000)
    assert np.array_equal(clip.samples, samples)
    assert (clip.rate, clip.channels, clip.seconds) == (RATE, 1, 0.125)


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [("WAV", "PCM_U8"), ("WAV", "PCM_24"), ("WAV", "FLOAT"), ("WAV", "DOUBLE"), ("WAV", "ULAW"), ("WAV", "IMA_ADPCM"),
     ("FLAC", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None), ("AIFF", None), ("AU", None), ("CAF", None)],
)  # fmt: skip
def test_every_format_holds_the_same_tone(kind: str, subtype: str | None) -> None:
    clip = decode_sound(as_file(tone(1_000), RATE, kind, subtype), 16_000)
    assert clip.samples.dtype == np.int16 and clip.rate == RATE
    assert abs(frequency_of(clip) - 1_000) < 5
    assert 0.45 < np.abs(clip.samples).max() / 32_767 < 0.65


@pytest.mark.parametrize("rate", [4_000, 11_025, 22_050, 44_100, 96_000])
def test_fast_sounds_are_brought_down_and_slow_ones_kept(rate: int) -> None:
    clip = decode_sound(as_file(tone(1_000, rate=rate), rate), 16_000)
    assert clip.rate == min(rate, 16_000)
    assert len(clip.samples) == pytest.approx(0.5 * clip.rate, abs=2)
    assert abs(frequency_of(clip) - 1_000) < 5
    above = decode_sound(as_file(tone(9_500, rate=44_100), 44_100), 16_000)
    assert np.abs(above.samples[500:-500]).max() < 60  # nothing is folded down


def test_channels_are_averaged_unless_they_cancel() -> None:
    left, right = tone(500), tone(1_500)
    both = decode_sound(as_file(np.stack([left, right], axis=1)), RATE)
    np.testing.assert_allclose(both.samples, 32_767 * (left + right) / 2, atol=3)
    opposed = decode_sound(as_file(np.stack([left, -0.99 * left], axis=1)), RATE)
    np.testing.assert_allclose(opposed.samples, 32_767 * left, atol=3)
    assert opposed.channels == 2


def test_floats_beyond_full_scale_are_made_quieter() -> None:
    clip = decode_sound(as_file(tone(amplitude=20_000.0), subtype="FLOAT"), RATE)
    assert np.abs(clip.samples).max() == 32_767
    assert abs(frequency_of(clip) - 440) < 5


def test_only_the_beginning_of_a_very_long_sound_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "MAX_SECONDS", 1)
    monkeypatch.setattr(audio, "BLOCK", 3_000)
    clip = decode_sound(as_file(tone(seconds=2.5)), RATE)
    assert (len(clip.samples), clip.seconds) == (RATE, 2.5)
    np.testing.assert_allclose(clip.samples, 32_767 * tone(seconds=1), atol=2)


WAV, FLAC, MP3 = as_file(tone()), as_file(tone(), kind="FLAC"), as_file(tone(), kind="MP3")
AIFF, OGG = as_file(tone(), kind="AIFF"), as_file(tone(), kind="OGG")
STRANGE_RATE = WAV[:24] + struct.pack("<I", 3) + WAV[28:]
NOT_A_NUMBER = as_file(np.where(np.arange(4_000) == 7, np.nan, tone()), subtype="FLOAT")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (bytes(3_000), "holds nothing but zero bytes"),
        (WAV[: len(WAV) // 2], "damaged: it ends after 4,022 of 8,044 bytes"),
        (WAV[:40], "damaged"),
        (AIFF[: len(AIFF) // 2], "damaged: it ends after"),
        (FLAC[: len(FLAC) // 2], "damaged"),
        (OGG[: len(OGG) // 2], "damaged"),
        (MP3[: len(MP3) // 2], "damaged"),
        (STRANGE_RATE, "claims 1 channel of 3 samples a second"),
        (NOT_A_NUMBER, "damaged: it holds samples that are no numbers"),
        (as_file(np.zeros(0)), "too short: 0 samples"),
        (as_file(tone(seconds=0.002)), "too short: 16 samples"),
        (b"\x89PNG\r\n\x1a\n" + bytes(range(200)), "is an image, no sound"),
        (b"\xff\xd8\xff\xe0" + bytes(range(200)), "is an image, no sound"),
        (b"%PDF-1.7 " + bytes(range(200)), "is a PDF, no sound"),
        (b"The cat sat on the mat.\n" * 20, "is a text, no sound"),
        (b"\0\0\0\x1cftypM4A " + bytes(range(200)), "is an M4A or MP4 file, which cannot be decoded here"),
        (bytes(range(1, 256)) * 4, "is no sound"),
    ],
)
def test_what_is_broken_has_a_reason(data: bytes, reason: str) -> None:
    with pytest.raises(Undecodable) as problem:
        decode_sound(data, 16_000)
    assert str(problem.value).startswith(reason)


def test_a_stream_of_open_end_is_read_to_its_end() -> None:
    at = WAV.index(b"data") + 4
    endless = WAV[:4] + b"\xff\xff\xff\xff" + WAV[8:at] + b"\xff\xff\xff\xff" + WAV[at + 4 :]
    assert np.array_equal(decode_sound(endless, RATE).samples, decode_sound(WAV, RATE).samples)


@settings(max_examples=60, deadline=None)
@given(
    noise=st.binary(min_size=1, max_size=60),
    place=st.floats(0, 1),
    kind=st.sampled_from(["WAV", "FLAC", "OGG", "AIFF"]),
)
def test_no_bytes_whatever_crash(noise: bytes, place: float, kind: str) -> None:
    data = {"WAV": WAV, "FLAC": FLAC, "OGG": OGG, "AIFF": AIFF}[kind]
    at = int(place * len(data))
    data = data[:at] + noise + data[at + len(noise) :]
    try:
        clip = decode_sound(data, 16_000)
    except Undecodable as problem:
        assert str(problem)
    else:
        assert clip.samples.dtype == np.int16 and len(clip.samples) >= audio.MIN_SAMPLES


def test_a_sound_is_told_from_other_files() -> None:
    assert all(is_sound(data) for data in (WAV, FLAC, OGG, AIFF, MP3))
    assert not any(is_sound(data) for data in (b"", b"a,b\n1,2\n" * 50, b"\x89PNG\r\n\x1a\n" + bytes(100)))


def test_a_text_of_windows_is_no_mp3_and_nobody_grumbles(capfd: pytest.CaptureFixture[str]) -> None:
    assert not is_sound(("\ufeff" + "a text as an editor of Windows saves it " * 50).encode("utf-16-le"))
    assert capfd.readouterr().err == ""


def test_resampling_there_and_back_keeps_a_tone() -> None:
    samples = tone(800).astype(np.float32)
    there = resample(samples, RATE, 12_000)
    assert len(there) == len(samples) * 3 // 2
    np.testing.assert_allclose(resample(there, 12_000, RATE)[200:-200], samples[200:-200], atol=1e-3)


@pytest.mark.parametrize("rate", [4_000, RATE, 11_025, 16_000, 32_000])
def test_a_player_gets_the_sound(rate: int) -> None:
    samples = (32_767 * tone(1_000, rate=rate)).astype(np.int16)
    link = as_mp3(samples, rate)
    head, _, content = link.partition(",")
    assert head == "data:audio/mpeg;base64"
    clip = decode_sound(base64.b64decode(content), 48_000)
    assert abs(frequency_of(clip) - 1_000) < 5 and abs(clip.seconds - 0.5) < 0.1


def test_without_the_libraries_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "soxr", None)
    with pytest.raises(MissingExtra, match=r"pip install 'nudgenet\[sounds\]'"):
        need_sounds()
