"""An earlier run as a start: its trunk stands in the new network, and in a folder that can be a start by itself."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nudgenet
from nudgenet.errors import RunError, SettingError
from nudgenet.exporting import export
from nudgenet.observer import Silent
from nudgenet.run import Run
from test_exporting import write_reviews
from test_pretrained_media import our_answers, write_pictures, write_sounds

pytest.importorskip("PIL")
pytest.importorskip("soundfile")

QUICK: dict[str, Any] = {"threads": 1, "precision": "float32", "baselines": False}


def train(source: Path, runs: Path, name: str, **settings: Any) -> Run:
    return nudgenet.train(source, runs=runs, name=name, observer=Silent(), **{**QUICK, **settings})


def weights_of(run: Run) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in run.network.state_dict().items()}


@pytest.mark.parametrize("medium", ["image", "sound"])
def test_a_convnet(medium: str, tmp_path: Path) -> None:
    write, suffix = (write_pictures, ".png") if medium == "image" else (write_sounds, ".wav")
    source = write(tmp_path / "data")
    first = train(source, tmp_path, "first", epochs=3, width=8, augment="none")
    second = train(
        source, tmp_path, "second", start_from=str(first.path), unfreeze=False, epochs=20, learning_rate=0.02
    )
    assert second.settings.network == "pretrained" and second.metrics["test"]["accuracy"] > 0.9
    old, new = weights_of(first), weights_of(second)
    shared = [name for name in old if f"trunk.{name}" in new]
    assert len(shared) == len(old) - 2 and all(np.array_equal(old[name], new[f"trunk.{name}"]) for name in shared)
    exported = export(first, tmp_path / "out", "transformers")
    assert {path.name for path in exported} == {"config.json", "model.safetensors", "preprocessor_config.json"}
    shutil.rmtree(first.path)
    third = train(
        source, tmp_path, "third", start_from=str(tmp_path / "out"), unfreeze=False, epochs=20, learning_rate=0.02
    )
    for name, values in weights_of(third).items():
        assert np.array_equal(values, new[name]), name
    before = our_answers(second, source, suffix)
    shutil.rmtree(tmp_path / "out")
    np.testing.assert_array_equal(our_answers(nudgenet.load(third.path), source, suffix), before)


def test_its_trunk_learns_and_its_averages_rest(tmp_path: Path) -> None:
    source = write_pictures(tmp_path / "data")
    first = train(source, tmp_path, "first", epochs=3, width=8, augment="none")
    given = {"start_from": str(first.path), "unfreeze": True, "frozen_epochs": 2, "epochs": 3, "learning_rate": 0.05}
    from nudgenet.runs.checkpoint import load_checkpoint

    second = train(source, tmp_path, "second", **given)
    last, _ = load_checkpoint(second.path / "checkpoints" / "state.safetensors")
    old = weights_of(first)
    assert not np.array_equal(last["network.trunk.stem.weight"].numpy(), old["stem.weight"])
    assert np.array_equal(last["network.trunk.stem_norm.running_mean"].numpy(), old["stem_norm.running_mean"])
    third = train(source, tmp_path, "third", start_from=str(second.path), unfreeze=False, epochs=20, learning_rate=0.02)
    assert third.metrics["test"]["accuracy"] > 0.9
    assert np.array_equal(weights_of(third)["trunk.stem.weight"], weights_of(second)["trunk.stem.weight"])


def test_a_transformer(tmp_path: Path) -> None:
    reviews = write_reviews(tmp_path / "reviews.csv", 200)
    given = {"target": "liked", "ignore": "again,minutes,stars", "kinds": {"review": "text"}}
    first = train(reviews, tmp_path, "first", network="transformer", width=32, layers=2, epochs=3, **given)
    second = train(reviews, tmp_path, "second", start_from=str(first.path), epochs=20, unfreeze=False, **given)
    assert second.metrics["test"]["accuracy"] > 0.9
    assert second.predict({"review": "a splendid film"}).shape == (1,)
    old, new = weights_of(first), weights_of(second)
    assert np.array_equal(old["terms.weight"], new["trunk.terms.weight"])
    said = {decision.what: decision for decision in second.decisions}
    assert said["text `review`"].why == "the words that the earlier network was trained on"


def test_a_run_of_another_medium_or_without_a_trunk(tmp_path: Path) -> None:
    first = train(write_pictures(tmp_path / "pictures"), tmp_path, "first", epochs=1, width=8, augment="none")
    with pytest.raises(SettingError, match="is for images, and the column `sound` holds sounds"):
        train(write_sounds(tmp_path / "sounds"), tmp_path, "second", start_from=str(first.path))
    reviews = write_reviews(tmp_path / "reviews.csv")
    given = {"target": "liked", "ignore": "again,minutes,stars", "kinds": {"review": "text"}}
    bag = train(reviews, tmp_path, "bag", epochs=1, **given)
    with pytest.raises((SettingError, RunError), match="no trunk for another one"):
        train(reviews, tmp_path, "third", start_from=str(bag.path), **given)
