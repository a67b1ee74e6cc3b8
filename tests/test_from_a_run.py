"""An earlier run as a start: its trunk stands in the new network, and in a folder that can be a start by itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nudgenet
from conftest import assert_same_weights, train_in_two, train_until
from nudgenet.errors import SettingError
from nudgenet.exporting import export
from nudgenet.networks.bag import READ
from nudgenet.observer import Silent
from nudgenet.run import Run
from nudgenet.training import plan
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


def test_with_many_images_its_trunk_learns_as_a_fresh_network_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_pictures(tmp_path / "data")
    first = train(source, tmp_path, "first", epochs=3, width=8, augment="none")
    given = {"start_from": str(first.path), "frozen_epochs": 1, "epochs": 2, "unfreeze": True}
    few = train(source, tmp_path, "few", **given)
    monkeypatch.setattr(plan, "MANY_FOR_OWN", 10)
    many = train(source, tmp_path, "many", **given)
    assert (few.settings.optimizer, few.settings.label_smoothing) == ("adamw", 0.0)
    assert (many.settings.optimizer, many.settings.label_smoothing) == ("muon", 0.1)
    reasons = {decision.what: decision.why for decision in many.decisions}
    assert "as a fresh network does" in reasons["optimizer"] and "mirror image" in reasons["varied images"]
    set_by_hand = train(source, tmp_path, "by-hand", optimizer="adamw", label_smoothing=0.0, augment="shift", **given)
    assert set_by_hand.settings.optimizer == "adamw" and set_by_hand.settings.augment == ("shift",)


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


def test_a_run_of_another_medium(tmp_path: Path) -> None:
    first = train(write_pictures(tmp_path / "pictures"), tmp_path, "first", epochs=1, width=8, augment="none")
    with pytest.raises(SettingError, match="is for images, and the column `sound` holds sounds"):
        train(write_sounds(tmp_path / "sounds"), tmp_path, "second", start_from=str(first.path))


def all_but_outputs(run: Run) -> dict[str, np.ndarray]:
    """Of a bag's terms, what the ensemble reads."""
    weights = {name: tensor for name, tensor in weights_of(run).items() if "output" not in name}
    return {name: tensor[:, :READ] if name == "terms" else tensor for name, tensor in weights.items()}


@pytest.mark.parametrize("network", ["ensemble", "mlp"])
def test_a_table(network: str, houses: Path, tmp_path: Path) -> None:
    """The same columns, another question: all but the outputs is there before the first step."""
    given = {"network": network, "activation": "gelu", "normalisation": "layer"}
    first = train(houses, tmp_path, "first", target="dear", ignore="price", epochs=4, width=16, layers=1, **given)
    fewer = tmp_path / "fewer.csv"
    fewer.write_text("\n".join(houses.read_text().splitlines()[:91]) + "\n")
    # Steps this small change no weight: what it has then is what it began with.
    second = train(
        fewer, tmp_path, "second", target="price", ignore="dear", start_from=str(first.path), epochs=1,
        learning_rate=1e-30, weight_decay=0.0, ema=0.0,
    )  # fmt: skip
    assert (second.settings.network, second.settings.width, second.settings.activation) == (network, 16, "gelu")
    old, new = all_but_outputs(first), all_but_outputs(second)
    assert old.keys() == new.keys() and all(np.array_equal(old[name], new[name]) for name in old)
    assert second.preparation.features == first.preparation.features
    again = train(fewer, tmp_path, "third", target="price", ignore="dear", start_from=str(first.path), epochs=20)
    assert again.metrics["test"]["r2"] > 0
    said = {decision.what: decision for decision in again.decisions}
    assert "30% of the usual" in said["learning rate"].why
    assert str(first.path) in said["preparation of the columns"].chosen and "scaling" not in said
    shutil.rmtree(first.path)
    assert np.isfinite(
        nudgenet.load(again.path).predict({"area": 100, "age": 10, "city": "Bern", "sold": "2015-03-04"})
    ).all()


def test_a_run_by_its_name(houses: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is kept as a path that leads there from anywhere, and can be interrupted and go on elsewhere."""
    given = {"target": "price", "epochs": 2, "width": 8, "start_from": "first"}
    monkeypatch.chdir(tmp_path)
    first = train(houses, Path("mine"), "first", target="price", epochs=1, width=8)
    whole = train(houses, Path("mine"), "second", **given)
    stored = json.loads((whole.path / "settings.json").read_text())
    assert stored["settings"]["start_from"] == str(tmp_path / first.path)
    assert f"--from {first.path}" in stored["command"]
    monkeypatch.undo()
    train_until(2, houses, runs=tmp_path / "mine", name="third", **(QUICK | given))
    resumed = nudgenet.resume("third", runs=tmp_path / "mine", observer=Silent())
    assert_same_weights(nudgenet.load(tmp_path / whole.path), resumed)


def test_a_model_that_was_left_half_written_is_written_anew(houses: Path, tmp_path: Path) -> None:
    given = {"target": "price", "epochs": 1, "width": 8}
    first = train(houses, tmp_path, "first", **given)
    (first.path / "model").mkdir()
    (first.path / "model" / "model.safetensors").write_bytes(b"half")
    assert train(houses, tmp_path, "second", start_from=str(first.path), **given).is_done


def test_a_bag_of_words(tmp_path: Path) -> None:
    reviews = write_reviews(tmp_path / "reviews.csv", 200)
    given = {"ignore": "again,minutes", "kinds": {"review": "text"}}
    first = train(
        reviews, tmp_path, "first", target="stars", epochs=4, ignore="again,minutes,liked", kinds=given["kinds"]
    )
    second = train(
        reviews, tmp_path, "second", target="liked", ignore="again,minutes,stars", kinds=given["kinds"],
        start_from=str(first.path), epochs=15,
    )  # fmt: skip
    assert second.settings.network == "bag" and second.settings.augment == ("words",)
    assert second.metrics["test"]["accuracy"] > 0.9
    said = {decision.what: decision for decision in second.decisions}
    assert "the weights of" in said["start"].chosen


def test_a_table_with_other_columns_or_sizes(houses: Path, tmp_path: Path) -> None:
    first = train(houses, tmp_path, "first", target="dear", ignore="price", epochs=1, width=16)
    start = {"start_from": str(first.path), "epochs": 1}
    with pytest.raises(SettingError, match=r"learned from other columns \(got new: `price`") as caught:
        train(houses, tmp_path, "second", target="dear", **start)
    assert "--set ignore=price" in str(caught.value)
    with pytest.raises(SettingError, match="not here: `city`"):
        train(houses, tmp_path, "second", target="city", ignore="price", **start)
    with pytest.raises(SettingError, match="another `width`"):
        train(houses, tmp_path, "second", target="dear", ignore="price", width=64, **start)
    with pytest.raises(SettingError, match="learned from other columns"):
        train(write_pictures(tmp_path / "pictures"), tmp_path, "second", **start)


@pytest.mark.parametrize("setting", [{"ignore": "price,city"}, {"ignore": "price", "group": "city"}])
def test_a_column_that_the_network_must_not_see_any_more(setting: dict[str, Any], houses: Path, tmp_path: Path) -> None:
    first = train(houses, tmp_path, "first", target="dear", ignore="price", epochs=1)
    with pytest.raises(SettingError, match=r"keeps from the network now \(got (ignore|group)=city\)"):
        train(houses, tmp_path, "second", target="dear", start_from=str(first.path), epochs=1, **setting)


def test_a_column_that_has_become_another(houses: Path, tmp_path: Path) -> None:
    """Numbers that are letters now would all be missing, levels that are others now all unknown."""
    first = train(houses, tmp_path, "first", target="dear", ignore="price", epochs=1)
    given: dict[str, Any] = {"target": "dear", "ignore": "price", "start_from": str(first.path), "epochs": 1}
    header, *lines = houses.read_text().splitlines()
    place = header.split(",").index("area")

    def with_areas(name: str, areas: list[str]) -> Path:
        rows = [line.split(",") for line in lines]
        for row, area in zip(rows, areas, strict=True):
            row[place] = area
        path = tmp_path / f"{name}.csv"
        path.write_text("\n".join([header, *(",".join(row) for row in rows)]) + "\n")
        return path

    letters = with_areas("letters", ["SML"[number % 3] for number in range(len(lines))])
    with pytest.raises(SettingError, match=r"another kind of column \(got number there, category here\)") as caught:
        train(letters, tmp_path, "letters", **given)
    assert "--set kinds=area:number" in str(caught.value)
    farther = with_areas("farther", [f"{10_000 + number}" for number in range(len(lines))])
    run = train(farther, tmp_path, "farther", **given)
    assert any("Compared with the run to start from" in warning and "`area`" in warning for warning in run.warnings)
    with pytest.raises(SettingError, match="rows of a table cannot be varied by `words`"):
        train(houses, tmp_path, "varied", augment="words", **given)


def test_test_rows_that_the_start_has_seen(houses: Path, tmp_path: Path) -> None:
    first = train(houses, tmp_path, "first", target="dear", ignore="price", epochs=1, seed=3)
    given: dict[str, Any] = {"target": "dear", "ignore": "price", "start_from": str(first.path), "epochs": 1}

    def leaks(run: Run) -> list[str]:
        return [warning for warning in run.warnings if "test score may be too good" in warning]

    (warning,) = leaks(train(houses, tmp_path, "second", **given))
    assert "--seed 3" in warning
    assert not leaks(train(houses, tmp_path, "third", seed=3, **given))


def test_a_damaged_description_of_a_table_is_one_line(houses: Path, tmp_path: Path) -> None:
    first = train(houses, tmp_path, "first", target="dear", ignore="price", epochs=1)
    export(first, tmp_path / "out", "transformers")
    path = tmp_path / "out" / "config.json"
    for width, found in ((["wide"], "width"), (None, "no 'width'")):
        config = json.loads(path.read_text())
        del config["width"]
        path.write_text(json.dumps(config if width is None else config | {"width": width}))
        with pytest.raises(SettingError, match="does not describe a network") as caught:
            train(houses, tmp_path, "second", target="dear", ignore="price", start_from=str(tmp_path / "out"))
        assert found in str(caught.value)


def test_a_start_from_a_table_goes_on_bit_for_bit(houses: Path, tmp_path: Path) -> None:
    first = train(houses, tmp_path, "first", target="dear", ignore="price", epochs=2)
    given = QUICK | {"ignore": "dear", "start_from": str(first.path), "epochs": 4}
    whole = train(houses, tmp_path, "whole", target="price", **given)
    assert_same_weights(whole, train_in_two(9, houses, "price", runs=tmp_path, **given))
