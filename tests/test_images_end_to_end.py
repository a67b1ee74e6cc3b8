"""A folder of images goes the way of a table: trained, tested, explained, predicted, resumed; the same seed, the same network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

import nudgenet
from conftest import assert_same_weights, train_in_two, write_pictures
from nudgenet.errors import DataWarning, MissingExtra, SettingError, SourceError
from nudgenet.observer import Silent
from nudgenet.predictions import predict_table
from nudgenet.run import Run

QUICK = {"epochs": 8, "width": 8, "augment": "shift", "threads": 1, "precision": "float32", "learning_rate": 0.01}


def train(source: object, runs: Path, name: str, **settings: object) -> Run:
    return nudgenet.train(source, runs=runs, name=name, observer=Silent(), **(QUICK | settings))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_pictures(tmp_path_factory.mktemp("data") / "shapes", 40)
    (folder / "disc" / "notes.txt").write_text("one two")
    return folder


@pytest.fixture(scope="module")
def run(shapes: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train(shapes, tmp_path_factory.mktemp("runs"), "shapes")


def test_a_folder_is_learned_and_explained(run: Run) -> None:
    assert run.metrics["test"]["accuracy"] > 0.7
    assert run.classes == ["disc", "square", "stripes"]
    assert set(run.baselines) == {"majority", "linear"}
    chosen = {decision.what: decision.chosen for decision in run.decisions}
    assert chosen["size of images"] == "16 x 16 pixels, in colour"
    assert any("notes.txt" in text for text in chosen.values())
    assert run.settings.network == "convnet" and run.settings.augment == ("shift",)
    assert chosen["optimizer"] == "Muon for convolutions, AdamW for the rest"


def test_the_report_shows_pictures(run: Run) -> None:
    page = run.report.read_text()
    assert "img-src data:" in page
    assert page.count("data:image/jpeg;base64,") > 20
    assert "As the network sees them" in page and "What the first layer looks for" in page
    # Two neurons of each depth, with nine training images each.
    for depth in ("first layer", f"stage {run.settings.layers} of {run.settings.layers}"):
        rows = [figure for figure in page.split("<figure") if f"<figcaption>{depth}, neuron" in figure]
        assert len(rows) == 2 and all(row.count("<img ") == 9 for row in rows)


def test_test_predictions_name_their_files(run: Run) -> None:
    predictions = pq.read_table(run.path / "test_predictions.parquet")
    assert all(path.endswith(".png") for path in predictions["path"].to_pylist())


def test_a_folder_is_predicted_file_by_file(run: Run, shapes: Path, tmp_path: Path) -> None:
    for number, name in enumerate(("disc", "square", "stripes")):
        (tmp_path / f"{number}.png").write_bytes((shapes / name / "003.png").read_bytes())
    (tmp_path / "broken.png").write_bytes((shapes / "disc" / "003.png").read_bytes()[:100])
    table, warnings = predict_table(run, tmp_path)
    assert table.column_names[:2] == ["path", "prediction"] and table.column_names[-1] == "error"
    assert table["path"].to_pylist() == ["0.png", "1.png", "2.png", "broken.png"]
    assert table["prediction"].to_pylist()[3] is None and table["probability_disc"].to_pylist()[3] is None
    assert table["error"].to_pylist()[:3] == [None] * 3 and "damaged" in table["error"].to_pylist()[3]
    assert any("1 row has no answer" in warning for warning in warnings)


def test_a_single_file_is_predicted_as_in_its_folder(run: Run, shapes: Path, tmp_path: Path) -> None:
    of_folder, _ = predict_table(run, shapes / "disc")
    alone, _ = predict_table(run, shapes / "disc" / "003.png")
    assert alone["path"].to_pylist() == ["003.png"]
    row = of_folder["path"].to_pylist().index("003.png")
    assert alone["probability_disc"][0].as_py() == pytest.approx(of_folder["probability_disc"][row].as_py(), abs=1e-6)
    (tmp_path / "half.png").write_bytes((shapes / "disc" / "003.png").read_bytes()[:100])
    with pytest.raises(SourceError, match=r"`half.png` cannot be used .*damaged"):
        run.predict(tmp_path / "half.png")
    for name, data, reason in (
        ("empty.jpg", b"", "empty"),
        ("paper.jpg", b"%PDF-1.4 and more", "a PDF, no image"),
        ("blank", b" \n", "a text, no image"),
        ("page.png", b"<!DOCTYPE html><p>no such picture", "a web page, no image"),
        ("note.png", b"some words", "a text, no image"),
        ("zeros.gif", bytes(99), "holds nothing but zero bytes"),
        ("tone", b"RIFF\0\0\0\0WAVEfmt ", "a sound, no image"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(
            SourceError, match=rf"`{name}` cannot be used as an image \(got {reason}\)\. Give another image"
        ):
            run.predict(tmp_path / name)
    for name, data, reason in (
        ("none.csv", b"", "`none.csv` is empty. Give a file with a header"),
        ("x", b"words", "no rows"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SourceError, match=reason):
            run.predict(tmp_path / name)
    with pytest.raises(SourceError, match=r"no file in it holds an image \(got a.txt: is a text"):
        (tmp_path / "texts").mkdir()
        (tmp_path / "texts" / "a.txt").write_text("some words")
        run.predict(tmp_path / "texts")


def test_arrays_are_predicted_as_their_files_are(run: Run, shapes: Path) -> None:
    files = sorted((shapes / "stripes").iterdir())[:5]
    pixels = np.stack([np.asarray(Image.open(file)) for file in files])
    from_files = run.predict_proba([{"image": str(file)} for file in files])
    assert np.allclose(run.predict_proba(pixels), from_files, atol=1e-6)


def test_one_file_in_a_dict(run: Run, shapes: Path) -> None:
    assert run.predict({"image": str(shapes / "disc" / "001.png")}).shape == (1,)
    with pytest.warns(DataWarning, match="no such file"):
        assert run.predict({"image": "gone.png"}).tolist() == [None]


def test_the_same_seed_gives_the_same_network(run: Run, shapes: Path, tmp_path: Path) -> None:
    assert_same_weights(run, train(shapes, tmp_path, "again"))


def test_an_interrupted_run_goes_on_bit_for_bit(run: Run, shapes: Path, tmp_path: Path) -> None:
    resumed = train_in_two((3, 2), shapes, runs=tmp_path, **QUICK)
    assert_same_weights(run, resumed)
    assert resumed.metrics == run.metrics


def test_mixed_in_pairs_it_goes_on_bit_for_bit(shapes: Path, tmp_path: Path) -> None:
    given = QUICK | {"augment": "shift,mixup,cutmix", "epochs": 4}
    run = train(shapes, tmp_path, "mixed", **given)
    resumed = train_in_two((3, 1), shapes, runs=tmp_path, **given)
    assert_same_weights(run, resumed)
    assert resumed.metrics == run.metrics
    page = run.report.read_text()
    assert "then varied (shift), anew each time it is seen; some are mixed in pairs, too (mixup, cutmix)" in page


def test_pictures_beside_numbers_are_not_mixed(shapes: Path, tmp_path: Path) -> None:
    table = shapes.parent / "amounts.csv"
    lines = [
        f"shapes/{name}/{number:03}.png,{number / 7:.3f},{name}" for name in ("disc", "square") for number in range(30)
    ]
    table.write_text("\n".join(["file,amount,kind", *lines]) + "\n")
    with pytest.raises(
        SettingError, match=r"mixed only where they stand alone.*got augment=shift,mixup.*Leave `mixup`"
    ):
        train(table, tmp_path, "amounts", target="kind", augment="shift,mixup")


def test_pictures_beside_numbers_and_categories(shapes: Path, tmp_path: Path) -> None:
    """The target needs both: whether the picture is a disc, and a number."""
    random = np.random.default_rng(0)
    lines = ["file,amount,colour,price"]
    for name, worth in (("disc", 10.0), ("square", 0.0), ("stripes", -10.0)):
        for number in range(40):
            amount = random.normal()
            colour = random.choice(["red", "blue"])
            lines.append(f"shapes/{name}/{number:03}.png,{amount:.4f},{colour},{worth + 5 * amount:.4f}")
    table = shapes.parent / "prices.csv"
    table.write_text("\n".join(lines) + "\n")
    run = train(table, tmp_path, "prices", target="price", epochs=20)
    assert run.task.kind == "regression"
    assert run.metrics["test"]["r2"] > 0.6
    assert set(run.baselines) == {"mean", "linear", "boosting"}
    row = {"file": str(shapes / "disc" / "001.png"), "amount": 1.0, "colour": "red"}
    assert run.predict(row)[0] > run.predict(row | {"amount": -1.0})[0]


def test_flips_are_probed_and_the_figures_written_down(tmp_path: Path) -> None:
    """Two classes that are each other's mirror image."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 60, (120, 12, 12)).astype(np.uint8)
    answers = np.repeat(["left", "right"], 60)
    pixels[:60, 3:9, :5] += 150
    pixels[60:, 3:9, 7:] += 150
    run = train((pixels, answers), tmp_path, "mirrored", augment=None, epochs=1, baselines=False)
    decision = next(decision for decision in run.decisions if decision.what == "varied images")
    assert "flip" not in decision.chosen and "do harm" in decision.why
    assert run.settings.augment == ("shift",)


def test_flips_that_change_nothing_are_used(shapes: Path, tmp_path: Path) -> None:
    run = train(shapes, tmp_path, "flips", augment=None, epochs=1, baselines=False)
    assert run.settings.augment is not None and "flip" in run.settings.augment


def test_networks_for_tables_are_refused(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="takes no images"):
        train(shapes, tmp_path, "mlp", network="mlp")
    table = tmp_path / "rows.csv"
    table.write_text("a,y\n" + "".join(f"{row % 7},{row % 2}\n" for row in range(40)))
    with pytest.raises(SettingError, match="for images"):
        train(table, tmp_path, "rows", target="y", network="convnet", augment=None)


def test_without_pillow_a_folder_is_one_line(shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(MissingExtra, match=r"pip install 'nudgenet\[images\]'"):
        train(shapes, tmp_path, "none")
