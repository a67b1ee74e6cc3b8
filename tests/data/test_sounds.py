"""Sounds as cells and as pictures: folders and columns of paths become the same kind of column."""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import soundfile
import torch

from conftest import write_sounds
from nudgenet.data import media
from nudgenet.data.check import check
from nudgenet.data.columns import choose_task
from nudgenet.data.files import medium_in
from nudgenet.data.media import field, intact, light, media_columns, media_errors, media_paths, readable
from nudgenet.data.read import read
from nudgenet.data.sounds import (
    SOUND,
    SoundFeature,
    choose_frames,
    choose_length,
    learn_sounds,
    look_at_sounds,
    samples_of,
)
from nudgenet.data.split import split
from nudgenet.errors import ColumnError, SourceError
from nudgenet.records import Column, Raw
from nudgenet.settings import Settings

RATE = 8_000


def save(path: Path, samples: np.ndarray, rate: int = RATE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate)
    return path


def cells_of(folder: Path, sounds: list[np.ndarray], rates: list[int] | None = None) -> pa.ChunkedArray:
    """A column of sounds as a folder of two classes gives it."""
    for number, samples in enumerate(sounds):
        save(folder / "ab"[number % 2] / f"{number:03}.wav", samples, rates[number] if rates else RATE)
    cells = read(folder, Settings()).table["sound"]
    order = np.argsort([path[2:] for path in field(light(cells), "path").to_pylist()])
    return cells.take(pa.array(order))


def learned(cells: pa.ChunkedArray, **settings: object) -> SoundFeature:
    column = Column("sound", "sound", "")
    return learn_sounds(column, cells, np.arange(len(cells)), Settings(**settings))[0]  # type: ignore[arg-type]


def test_a_folder_per_class_is_a_table(tmp_path: Path) -> None:
    raw = read(write_sounds(tmp_path / "tones", 4), Settings())
    assert raw.table.column_names == ["sound", "label"] and raw.table["sound"].type == SOUND
    assert Counter(raw.table["label"].to_pylist()) == {"buzz": 4, "rise": 4, "tone": 4}
    first = next(samples_of(raw.table["sound"], RATE))
    expected, _ = soundfile.read(tmp_path / "tones" / "buzz" / "000.wav", dtype="float32")
    assert first is not None and np.array_equal(first, expected)
    assert readable(raw.table)["sound"][0].as_py() == "buzz/000.wav"


def test_parts_above_the_classes_are_honoured(tmp_path: Path) -> None:
    for part, num_each in (("train", 4), ("val", 2), ("test", 3)):
        write_sounds(tmp_path / "all" / part, num_each)
    raw = read(tmp_path / "all", Settings())
    assert (raw.table.num_rows, raw.given_validation, raw.given_test) == (27, 6, 9)


def test_what_is_no_sound_is_named_and_in_no_part(tmp_path: Path) -> None:
    folder = write_sounds(tmp_path / "tones", 8)
    whole = (folder / "tone" / "000.wav").read_bytes()
    broken = {
        "empty.wav": b"", "zeros.mp3": bytes(4_000), "half.wav": whole[: len(whole) // 2], "text.flac": b"hello\n" * 90,
        "picture.wav": b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "video.ogg": b"RIFF\0\1\0\0AVI " + bytes(range(256)),
        "head.wav": whole[:30], "book.wav": b"%PDF-1.4\n" + bytes(range(256)),
    }  # fmt: skip
    for name, data in broken.items():
        (folder / "tone" / name).write_bytes(data)
    (folder / "tone" / "really.txt").write_bytes(whole)  # content decides
    raw = read(folder, Settings())
    errors = {media_paths(raw.table)[row].as_py(): error for row, error in media_errors(raw.table).items()}
    assert set(errors) == {f"tone/{name}" for name in broken}
    assert errors["tone/picture.wav"] == "is an image, no sound" and errors["tone/empty.wav"] == "empty"
    said = " ".join(f"{d.what} {d.chosen}" for d in raw.decisions if d.what.startswith("skipped"))
    assert all(name in said for name in broken)
    assert "of 33 files" in said
    task, _, _ = choose_task(raw, Settings())
    parts, _, _ = split(raw, task, Settings(), num_given_test_rows=0)
    used = np.concatenate([parts.train, parts.validation, parts.test])
    assert sorted(used) == np.flatnonzero(intact(raw.table)).tolist() and len(used) == 25


def test_equal_files_are_named_and_stay_on_one_side(tmp_path: Path) -> None:
    folder = write_sounds(tmp_path / "tones", 10)
    for number in range(3):
        shutil.copy(folder / "tone" / "004.wav", folder / "rise" / f"again{number}.wav")
    raw = read(folder, Settings())
    task, _, _ = choose_task(raw, Settings())
    parts, _, _ = split(raw, task, Settings(), num_given_test_rows=0)
    digests = np.array(field(light(raw.table["sound"]), "digest").to_pylist())
    twins = set(np.flatnonzero(digests == digests[np.flatnonzero(intact(raw.table))[-6]]).tolist())
    sides = [twins & set(rows.tolist()) for rows in (parts.train, parts.validation, parts.test)]
    assert sum(map(bool, sides)) == 1
    column = look_at_sounds("sound", light(raw.table["sound"]))
    feature = learned(raw.table["sound"])
    from nudgenet.data.prepare import Preparation

    shape = Preparation(("sound", "label"), (column,), (feature,), task).shape(len(parts.train))
    warnings = " ".join(check(raw, parts, (column,), task, shape))
    assert "4 sounds of `sound` are the same file twice or more" in warnings and "tone/004.wav" in warnings
    assert "4 of 33 rows have the same features as another row but a different `label`" in warnings


def test_the_more_common_kind_is_what_a_folder_holds(tmp_path: Path) -> None:
    folder = write_sounds(tmp_path / "tones", 6)
    cover = b"\x89PNG\r\n\x1a\n" + bytes(200)
    (folder / "tone" / "cover.png").write_bytes(cover)
    assert media_columns(read(folder, Settings()).table) == {"sound": "sound"}
    for file in sorted(folder.rglob("*.wav")):
        for kind in ("txt", "json"):
            file.with_suffix(f".{kind}").write_text("what was said here")
    assert media_columns(read(folder, Settings()).table) == {"sound": "sound"}
    assert medium_in((folder / "tone" / "000.wav").read_bytes()) == "sound"
    assert medium_in(b"name,age\nAnn,3\n") == "text" and medium_in(bytes(range(256))) is None


def test_a_folder_of_sounds_needs_nothing_for_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_sounds(tmp_path / "tones", 2)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    assert media_columns(read(folder, Settings()).table) == {"sound": "sound"}


@pytest.mark.parametrize("content", [b"", b"%PDF-1.7" + bytes(range(256))])
def test_folders_of_neither_are_one_line(tmp_path: Path, content: bytes) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file.wav").write_bytes(content)
    with pytest.raises(SourceError, match="holds an image, a sound or a text"):
        read(tmp_path, Settings())


def test_a_column_of_paths_is_a_column_of_sounds(tmp_path: Path) -> None:
    write_sounds(tmp_path / "tones", 4)
    files = sorted((tmp_path / "tones").rglob("*.wav"))
    lines = [f"{file.relative_to(tmp_path)},{number}" for number, file in enumerate(files)]
    table = tmp_path / "rows.csv"
    table.write_text("\n".join(["clip,pitch", *lines, "gone.wav,3"]) + "\n")
    raw = read(table, Settings())
    assert media_columns(raw.table) == {"clip": "sound"}
    assert media_errors(raw.table) == {12: "there is no such file"}
    assert not media_columns(read(table, Settings(kinds={"clip": "identifier"})).table)
    with pytest.raises(ColumnError, match="No cell of `clip` leads to an image"):
        read(table, Settings(kinds={"clip": "image"}))


def test_large_columns_are_mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_sounds(tmp_path / "tones", 6)
    expected = read(folder, Settings()).table["sound"]
    monkeypatch.setattr(media, "IN_MEMORY", 20_000)
    monkeypatch.setattr(media, "DECODED_AT_ONCE", 4)
    assert read(folder, Settings()).table["sound"].equals(pa.chunked_array([expected.combine_chunks()]))


# ------------------------------------------------------------------ pictures


def test_the_length_is_what_most_sounds_need() -> None:
    assert choose_length(np.full(100, 0.5), None) == (0.5, 1)
    assert choose_length(np.linspace(0.4, 0.6, 100), None)[0] == pytest.approx(0.6, abs=0.01)
    assert choose_length(np.array([0.5] * 99 + [60.0]), None) == (0.5, 1)  # one long one decides nothing
    assert choose_length(np.full(10, 12.0), None) == (5.0, 3)
    assert choose_length(np.full(10, 300.0), None) == (5.0, 4)
    assert choose_length(np.full(10, 2.0), 0.5) == (0.5, 4)
    assert choose_length(np.full(10, 0.5), 2.0) == (2.0, 1)


@pytest.mark.parametrize("seconds", [0.02, 0.3, 1.0, 5.0, 30.0])
@pytest.mark.parametrize("rate", [1_000, 8_000, 16_000])
def test_frames_cover_the_window(seconds: float, rate: int) -> None:
    hop, frames = choose_frames(seconds, rate)
    assert frames % 8 == 0 and 32 <= frames <= 272
    assert (frames - 1) * hop + 0.025 * rate >= seconds * rate - 1


def test_short_sounds_are_put_into_silence_and_long_ones_cut_to_their_middle(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sounds = [random.uniform(-0.5, 0.5, size) for size in (2_000, 2_000, 8_000)]
    cells = cells_of(tmp_path, sounds)
    feature = SoundFeature("sound", RATE, 80, 16, 32, 1, -100.0, 0.0)
    assert feature.num_samples == 31 * 80 + 200
    cut = feature.cut(cells)[:, 0]
    assert (cut[0, :340] == 0).all() and (cut[0, 2_340:] == 0).all()
    np.testing.assert_allclose(cut[0, 340:2_340], sounds[0], atol=1e-4)
    np.testing.assert_allclose(cut[2], sounds[2][2_660:5_340], atol=1e-4)
    pictures = feature.encode(cells, np.array([2, 0]))
    assert pictures.shape == (2, 1, 16, 32) and pictures.dtype == torch.uint8
    assert (pictures[1, 0, :, 0] == 0).all() and (pictures[0] > 0).all()


def test_windows_are_spread_over_a_long_sound(tmp_path: Path) -> None:
    ramp = np.linspace(0.0, 0.9, 8_000)
    cells = cells_of(tmp_path, [ramp, ramp[:1_000]])
    cut = SoundFeature("sound", RATE, 80, 16, 32, 3, -100.0, 0.0).cut(cells)
    np.testing.assert_allclose(cut[0, 0], ramp[:2_680], atol=1e-4)
    np.testing.assert_allclose(cut[0, 1], ramp[2_660:5_340], atol=1e-4)
    np.testing.assert_allclose(cut[0, 2], ramp[-2_680:], atol=1e-4)
    assert np.array_equal(cut[1, 0], cut[1, 2])  # a short one has nothing else to show


def test_a_picture_says_the_decibels_of_the_formula(tmp_path: Path) -> None:
    from nudgenet.data.spectrogram import log_mel

    cells = cells_of(tmp_path, [0.3 * np.random.default_rng(i).normal(size=4_000).clip(-3, 3) for i in range(4)])
    feature = learned(cells)
    assert feature.rate == RATE and feature.high - feature.low == pytest.approx(85)
    expected = log_mel(torch.from_numpy(feature.cut(cells)[:, 0]), RATE, feature.bands, feature.hop)
    found = feature.low + feature.encode(cells, np.arange(4))[:, 0].float() * (85 / 255)
    inside = (expected > feature.low) & (expected < feature.high)
    assert float((found - expected)[inside].abs().max()) <= 85 / 255 / 2 + 1e-4


def test_what_is_learned_comes_from_the_training_rows_only(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    sounds = [random.uniform(-0.1, 0.1, size) for size in (2_000, 2_000, 2_400, 2_400, 16_000)]
    rates = [RATE] * 4 + [16_000]
    cells = cells_of(tmp_path, sounds, rates)
    column, rows = Column("sound", "sound", ""), np.arange(4)
    feature, decisions = learn_sounds(column, cells, rows, Settings())
    again, _ = learn_sounds(column, cells.slice(0, 4), rows, Settings())
    assert feature == again
    assert feature.rate == RATE and feature.num_samples / RATE == pytest.approx(0.3, abs=0.08)
    assert {decision.what for decision in decisions} == {"length of sounds", "sounds as pictures"}
    pictures = feature.encode(cells, rows).float() / 255
    assert float(pictures.mean()) == pytest.approx(feature.center, abs=1e-5)
    assert float(pictures.std()) == pytest.approx(feature.spread, abs=1e-3)


def test_the_rate_is_that_of_most_sounds_and_no_more_than_set(tmp_path: Path) -> None:
    tone = 0.5 * np.sin(np.arange(44_100) * 0.05)
    for number in range(4):
        save(tmp_path / "ab"[number % 2] / f"{number}.wav", tone, 44_100)
    cells = read(tmp_path, Settings()).table["sound"]
    assert learned(cells).rate == 16_000
    faster = read(tmp_path, Settings(sound_rate=32_000)).table["sound"]
    assert learned(faster, sound_rate=32_000).rate == 32_000


def test_simple_models_get_means_and_spreads_of_what_is_heard() -> None:
    feature = SoundFeature("sound", RATE, 80, 2, 32, 1, -85.0, 0.0, center=0.5, spread=0.25)
    pictures = torch.zeros(2, 1, 2, 32, dtype=torch.uint8)
    pictures[0, 0, 0, :4] = torch.tensor([51, 102, 51, 102], dtype=torch.uint8)
    pictures[0, 0, 1, :4] = 255
    pooled = feature.pooled(pictures)
    mean, spread = (0.3 - 0.5) / 0.25, 0.1 / 0.25
    np.testing.assert_allclose(pooled[0], [mean, 2.0, spread, 0.0], atol=1e-5)
    np.testing.assert_allclose(pooled[1], 0.0, atol=1e-6)  # silence is finite


def test_a_column_of_other_cells_is_refused() -> None:
    feature = SoundFeature("sound", RATE, 80, 16, 32, 1, -100.0, 0.0)
    with pytest.raises(ColumnError, match="held sounds in training"):
        feature.encode(pa.chunked_array([["a.wav"]]), np.arange(1))


def test_a_column_of_broken_files_is_empty(tmp_path: Path) -> None:
    raw: Raw = read(write_sounds(tmp_path / "tones", 2), Settings())
    cells = light(raw.table["sound"])
    assert look_at_sounds("sound", cells).why.startswith("6 sounds, 0.")
    broken = pa.chunked_array([pa.array([{"path": "a", "digest": "", "error": "empty"}], cells.type)])
    assert look_at_sounds("sound", broken).kind == "empty"
