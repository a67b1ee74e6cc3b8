"""A folder of sounds goes the way of a table: trained, tested, explained, predicted, resumed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile

import nudgenet
from conftest import assert_same_weights, train_in_two, write_sounds
from nudgenet.errors import DataWarning, MissingExtra, SettingError
from nudgenet.observer import Silent
from nudgenet.predictions import predict_table
from nudgenet.run import Run

QUICK = {"epochs": 8, "width": 8, "augment": "delay,gain", "threads": 1, "precision": "float32", "learning_rate": 0.01}


def train(source: object, runs: Path, name: str, **settings: object) -> Run:
    return nudgenet.train(source, runs=runs, name=name, observer=Silent(), **(QUICK | settings))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def tones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_sounds(tmp_path_factory.mktemp("data") / "tones", 40)
    (folder / "tone" / "notes.wav").write_text("one two")
    return folder


@pytest.fixture(scope="module")
def run(tones: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(tones, tmp_path_factory.mktemp("runs"), "tones")


def test_a_folder_is_learned_and_explained(run: Run) -> None:
    assert run.metrics["test"]["accuracy"] > 0.7
    assert run.classes == ["buzz", "rise", "tone"]
    assert set(run.baselines) == {"majority", "linear", "boosting"}
    chosen = {decision.what: decision.chosen for decision in run.decisions}
    assert "8,000 samples a second" in chosen["sounds as pictures"] and "seconds" in chosen["length of sounds"]
    assert any("notes.wav" in text for text in chosen.values())
    assert run.settings.network == "convnet" and run.settings.augment == ("delay", "gain")


def test_test_predictions_name_their_files(run: Run) -> None:
    predictions = pq.read_table(run.path / "test_predictions.parquet")
    assert all(path.endswith(".wav") for path in predictions["path"].to_pylist())


def test_a_folder_is_predicted_file_by_file(run: Run, tones: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("buzz", "rise", "tone")):
        (tmp_path / f"{number}.wav").write_bytes((tones / name / "003.wav").read_bytes())
    samples, rate = soundfile.read(tones / "buzz" / "003.wav")
    soundfile.write(tmp_path / "3.flac", np.stack([samples, samples], axis=1), rate)
    (tmp_path / "broken.wav").write_bytes((tones / "buzz" / "003.wav").read_bytes()[:300])
    table, warnings = predict_table(run, tmp_path)
    assert table["path"].to_pylist() == ["0.wav", "1.wav", "2.wav", "3.flac", "broken.wav"]
    assert table["prediction"].to_pylist()[4] is None and "damaged" in table["error"].to_pylist()[4]
    assert table["probability_buzz"][3].as_py() == pytest.approx(table["probability_buzz"][0].as_py(), abs=1e-3)
    assert any("1 row has no answer" in warning for warning in warnings)


def test_one_file_in_a_dict(run: Run, tones: Path) -> None:
    assert run.predict({"sound": str(tones / "buzz" / "001.wav")}).shape == (1,)
    with pytest.warns(DataWarning, match="no such file"):
        assert run.predict({"sound": "gone.wav"}).tolist() == [None]


def test_an_interrupted_run_goes_on_bit_for_bit(run: Run, tones: Path, tmp_path: Path) -> None:
    resumed = train_in_two((3, 2), tones, runs=tmp_path, **QUICK)
    assert_same_weights(run, resumed)
    assert resumed.metrics == run.metrics


def test_the_report_shows_and_plays_what_was_wrong(
    tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that had no time makes mistakes; its sounds are long for it, so that it hears several windows."""
    monkeypatch.setattr("nudgenet.training.images.PROBE_STEPS", 2)
    run = train(
        tones, tmp_path, "hasty", epochs=1, sound_seconds=0.1, augment=None, learning_rate=1e-4, baselines=False
    )
    page = run.report.read_text()
    predictions = pq.read_table(run.path / "test_predictions.parquet")
    wrong = sum(
        a != b for a, b in zip(predictions["actual"].to_pylist(), predictions["prediction"].to_pylist(), strict=True)
    )
    assert wrong > 0
    assert page.count('<audio controls preload="metadata" src="data:audio/mpeg;base64,') == wrong
    assert "media-src data:" in page and page.count("data:image/png;base64,") > 2 * wrong + 8
    assert "low pitches are at the bottom" in page
    chosen = {decision.what: decision.chosen for decision in run.decisions}
    assert chosen["varied sounds"].startswith("crop, delay") and "4 windows" in chosen["length of sounds"]
    with pytest.warns(DataWarning, match="1 row has no answer"):
        assert run.predict(str(tones)).shape == (121,)


def test_sounds_beside_numbers_with_a_group(tones: Path, tmp_path: Path) -> None:
    """The target needs both: whether the sound is a buzz, and a number."""
    random = np.random.default_rng(0)
    lines = ["file,amount,machine,price"]
    for name, worth in (("buzz", 10.0), ("rise", 0.0), ("tone", -10.0)):
        for number in range(40):
            amount = random.normal()
            lines.append(f"tones/{name}/{number:03}.wav,{amount:.4f},m{number % 13},{worth + 5 * amount:.4f}")
    table = tones.parent / "prices.csv"
    table.write_text("\n".join(lines) + "\n")
    run = train(table, tmp_path, "prices", target="price", group="machine", epochs=20)
    assert run.task.kind == "regression"
    assert run.metrics["test"]["r2"] > 0.6
    assert set(run.baselines) == {"mean", "linear", "boosting"}
    row = {"file": str(tones / "buzz" / "001.wav"), "amount": 1.0}
    assert run.predict(row)[0] > run.predict(row | {"amount": -1.0})[0]
    assert run.preparation.example_source == ("NEW_ROWS.csv", "a table with the sounds, or paths to them, in `file`")


def test_the_pitch_of_notes_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two notes that nothing but their pitch tells apart."""
    random = np.random.default_rng(0)
    for name, pitch in (("low", 440.0), ("high", 480.0)):
        (tmp_path / "notes" / name).mkdir(parents=True)
        for number in range(40):
            wave = np.sin(2 * np.pi * pitch * np.arange(2_000) / 8_000 + random.uniform(0, 6))
            samples = random.uniform(0.1, 0.5) * wave + random.normal(0, 0.01, 2_000)
            soundfile.write(tmp_path / "notes" / name / f"{number:03}.wav", samples, 8_000)
    monkeypatch.setattr("nudgenet.training.images.PROBE_STEPS", 40)
    run = train(tmp_path / "notes", tmp_path, "run", augment=None, epochs=1, baselines=False)
    decision = next(decision for decision in run.decisions if decision.what == "varied sounds")
    assert "pitch" not in decision.chosen and "do harm" in decision.why
    assert run.settings.augment == ("delay", "tempo", "gain", "noise", "mask")


def test_ways_for_images_are_refused(tones: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="Sounds cannot be varied by `flip`"):
        train(tones, tmp_path, "flip", augment="delay,flip")
    with pytest.raises(SettingError, match="takes no sounds"):
        train(tones, tmp_path, "mlp", network="mlp")


def test_without_soundfile_a_folder_is_one_line(tones: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(MissingExtra, match=r"pip install 'nudgenet\[sounds\]'"):
        train(tones, tmp_path, "none")
