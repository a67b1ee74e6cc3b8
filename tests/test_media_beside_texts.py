"""Images or sounds beside free text: both are read, by fresh networks and beside a pretrained one."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nudgenet
from conftest import FILLING, KIND, UNKIND, assert_same_weights, train_in_two, write_pictures
from nudgenet import outcome
from nudgenet.data.spans import input_positions
from nudgenet.networks.attribution import weighs_terms
from nudgenet.networks.convnet import ConvNet
from nudgenet.observer import Silent
from nudgenet.pipeline import reopen
from nudgenet.records import Verdict
from nudgenet.run import Run
from nudgenet.scoring.baselines import Baseline
from nudgenet.watching.verdict import verdict
from tiny_model import write_image_model

QUICK = {
    "epochs": 20,
    "width": 8,
    "threads": 1,
    "precision": "float32",
    "augment": "shift,words",
    "learning_rate": 0.01,
}


def write_albums(folder: Path) -> Path:
    """Whether a picture is kept hangs on what is written beneath it; its shape tells who took it."""
    write_pictures(folder / "shapes", 50)
    random = np.random.default_rng(0)
    with (folder / "album.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "caption", "kept"])
        for path in sorted((folder / "shapes").rglob("*.png")):
            kept = bool(random.integers(2))
            words = [*random.choice(FILLING, 9), *random.choice(KIND if kept else UNKIND, 2)]
            caption = " ".join(random.permutation(words))
            writer.writerow([path.relative_to(folder), caption, f"{path.parent.name} {'yes' if kept else 'no'}"])
    return folder / "album.csv"


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_albums(tmp_path_factory.mktemp("albums"))


@pytest.fixture(scope="module")
def run(album: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    runs = tmp_path_factory.mktemp("runs")
    return nudgenet.train(album, "kept", runs=runs, name="album", observer=Silent(), **QUICK)  # type: ignore[arg-type]


def test_both_are_needed_and_used(run: Run) -> None:
    """Six classes: pictures alone tell three of them, words alone two."""
    assert isinstance(run.network, ConvNet) and weighs_terms(run.network)
    assert set(input_positions(run.preparation)) == {"file", "caption"}
    assert run.metrics["test"]["accuracy"] > 0.75
    said = {decision.what: decision.chosen for decision in run.decisions}
    assert said["text `caption`"].startswith("a bag of")
    assert "linear" in run.baselines


def test_the_linear_model_sees_pixels_too_and_is_not_called_one_on_terms(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, state = reopen(run)
    probabilities = np.full((len(table.prepared.validation), 6), 1 / 6)
    linear = Baseline("linear", "", 0.0, probabilities, probabilities)
    judged: list[dict[str, float]] = []

    def heard(*given: Any, **named: Any) -> Verdict:
        judged.append(named["reference_skill"])
        return verdict(*given, **named)

    monkeypatch.setattr(outcome, "verdict", heard)
    targets = outcome.true_values(table, table.prepared.validation)
    outcome.judge(run.epochs, table, state, run.settings, [linear], targets)
    assert judged == [{"linear": pytest.approx(np.log(6))}]


def test_words_and_pictures_are_explained(run: Run, album: Path, tmp_path: Path) -> None:
    hasty = nudgenet.train(
        album,
        "kept",
        runs=tmp_path,
        observer=Silent(),
        **{**QUICK, "epochs": 3, "baselines": False},  # type: ignore[arg-type]
    )
    page = hasty.report.read_text()
    assert "Its worst mistakes" in page and "<mark" in page


def test_one_row_and_a_missing_text(run: Run, album: Path) -> None:
    row = {"file": str(album.parent / "shapes" / "disc" / "003.png"), "caption": "lovely splendid"}
    assert str(run.predict(row)[0]).endswith("yes")
    assert str(run.predict(row | {"caption": "awful tedious"})[0]).endswith("no")
    with pytest.warns(nudgenet.errors.DataWarning, match="absent"):
        assert run.predict({"file": row["file"]}).shape == (1,)


def test_an_interrupted_run_goes_on_bit_for_bit(run: Run, album: Path, tmp_path: Path) -> None:
    assert_same_weights(run, train_in_two(5, album, "kept", runs=tmp_path, **QUICK))


def test_beside_a_pretrained_network(album: Path, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    model = write_image_model(tmp_path / "model", "vit")
    settings = {"threads": 1, "precision": "float32", "epochs": 20, "learning_rate": 0.02, "baselines": False}
    run = nudgenet.train(
        album, "kept", runs=tmp_path, name="vit", observer=Silent(), start_from=str(model), unfreeze=False, **settings
    )  # type: ignore[arg-type]
    assert run.settings.network == "pretrained" and weighs_terms(run.network)
    assert run.metrics["test"]["accuracy"] > 0.5
    row = {"file": str(album.parent / "shapes" / "disc" / "003.png"), "caption": "lovely splendid"}
    assert str(run.predict(row)[0]).endswith("yes")
    assert str(run.predict(row | {"caption": "awful tedious"})[0]).endswith("no")
