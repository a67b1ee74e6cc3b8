"""A pretrained start, end to end: outputs first, then the trunk; interrupted, resumed, and used when the model is gone."""

from __future__ import annotations

import csv
import shutil
import signal
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import nudgenet
from conftest import FILLING, KIND, UNKIND, train_in_two
from nudgenet.errors import Interrupted, RunError, SettingError
from nudgenet.observer import Silent
from nudgenet.pipeline import reopen
from nudgenet.run import Run
from nudgenet.runs.checkpoint import load_checkpoint
from nudgenet.runs.store import Store
from nudgenet.training import budget, recorder
from nudgenet.training.place import Place, working_at
from nudgenet.training.replay import agrees
from tiny_model import write_model

pytest.importorskip("transformers")


QUICK = {"epochs": 6, "frozen_epochs": 3, "threads": 1, "precision": "float32"}
FEW_WORDS = FILLING[:15]
Nudge = Callable[..., tuple[int, str, str]]


def write_reviews(path: Path, num_rows: int = 240) -> Path:
    """`liked` needs the text; `stars` the text, a number and a category."""
    random = np.random.default_rng(0)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["review", "minutes", "seat", "liked", "stars"])
        for row in range(num_rows):
            is_kind, minutes, seat = bool(random.integers(2)), random.normal(), random.choice(["front", "back"])
            words = [*random.choice(FEW_WORDS, 8), *random.choice(KIND if is_kind else UNKIND, 2)]
            text = "" if row == 7 else " ".join(random.permutation(words).tolist())
            stars = 10 * is_kind + 3 * minutes + 5 * (seat == "back")
            writer.writerow([text, f"{minutes:.3f}", seat, "yes" if is_kind else "no", f"{stars:.2f}"])
    return path


def train(folder: Path, name: str, target: str = "liked", **settings: object) -> Run:
    if not (folder / "model").exists():
        write_model(folder / "model")
        write_reviews(folder / "reviews.csv")
    given = QUICK | {"start_from": str(folder / "model"), "unfreeze": True, "ignore": "minutes,seat,stars"} | settings
    return nudgenet.train(
        folder / "reviews.csv", target, runs=folder / "runs", name=name, observer=Silent(), **given  # type: ignore[arg-type]
    )  # fmt: skip


def weights_of(run: Run) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in run.network.state_dict().items()}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model and a table, for tests that leave both as they are."""
    folder = tmp_path_factory.mktemp("shared")
    write_model(folder / "model")
    write_reviews(folder / "reviews.csv")
    return folder


@pytest.fixture(scope="module")
def whole(shared: Path) -> Run:
    """A run in both phases; between its first and its last step only their boundary is recorded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder, "SNAPSHOT_EVERY_S", 1e9)
        return train(shared, "whole", baselines=False, patience=9)


def test_outputs_first_then_the_trunk_and_the_model_may_go(tmp_path: Path) -> None:
    run = train(tmp_path, "a", learning_rate=0.1, patience=9)
    assert run.settings.network == "pretrained" and len(run.epochs) == 6
    assert run.metrics["test"]["accuracy"] > 0.7
    said = {decision.what: decision for decision in run.decisions}
    assert "outputs first" in said["pretrained network"].chosen and "tokens of" in said["text `review`"].chosen
    rows = pd.read_csv(tmp_path / "reviews.csv")
    before = run.predict_proba(rows)
    shutil.rmtree(tmp_path / "model")
    shutil.copytree(run.path, tmp_path / "elsewhere")
    assert np.array_equal(nudgenet.load(tmp_path / "elsewhere").predict_proba(rows), before)
    assert nudgenet.load(tmp_path / "elsewhere").predict({"review": "a splendid film"}).shape == (1,)


def test_the_trunk_stays_until_its_turn(shared: Path, whole: Run) -> None:
    frozen = weights_of(train(shared, "frozen", unfreeze=False, frozen_epochs=None, baselines=False))
    tuned, _ = load_checkpoint(whole.path / "checkpoints/state.safetensors")
    from transformers import AutoModel

    original = AutoModel.from_pretrained(shared / "model").state_dict()
    names = [name for name in frozen if name.startswith("trunk.")]
    assert names and all(np.array_equal(frozen[name], original[name.removeprefix("trunk.")].numpy()) for name in names)
    moved = [name for name in names if not np.array_equal(frozen[name], tuned[f"network.{name}"].numpy())]
    assert len(moved) > len(names) / 2


def test_a_time_limit_lets_the_outputs_learn_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "probe_resting", lambda *arguments: 1e-3)
    monkeypatch.setattr(budget, "probe", lambda *arguments: (1e3, 1e-3))  # a step of the trunk takes far too long
    run = train(tmp_path, "short", epochs=None, frozen_epochs=None, baselines=False, time_limit=60)
    assert run.settings.frozen_epochs == run.settings.epochs > 10
    said = {decision.what: decision.chosen for decision in run.decisions}
    assert "in none of which the pretrained network learns, too" in said["time limit"]
    again = train(tmp_path, "again", unfreeze=False, epochs=run.settings.epochs, frozen_epochs=None, baselines=False)
    losses = [[epoch.validation_loss for epoch in one.epochs] for one in (run, again)]
    assert losses[0] == losses[1]
    monkeypatch.undo()
    timed = train(
        tmp_path, "timed", epochs=40, frozen_epochs=20, baselines=False, time_limit=300
    )  # measured, not made up
    assert len(timed.epochs) > 20


def test_few_rows_leave_the_trunk_as_it_is(shared: Path) -> None:
    run = train(shared, "few", unfreeze=None, baselines=False)
    assert run.settings.unfreeze is False
    assert "too few to change" in {decision.what: decision.why for decision in run.decisions}["pretrained network"]


def test_texts_beside_numbers_and_categories(shared: Path) -> None:
    run = train(shared, "mixed", "stars", ignore="liked", learning_rate=0.01, epochs=32, frozen_epochs=30)
    assert run.metrics["test"]["r2"] > 0.3
    rows = pd.read_csv(shared / "reviews.csv").head(40)
    assert not np.allclose(run.predict(rows), run.predict(rows.assign(minutes=0.0)))
    assert not np.allclose(run.predict(rows), run.predict(rows.assign(review="dreadful")))


@pytest.mark.parametrize("stop_at", [(2, 3), (4, 2)], ids=["while the trunk rests", "while it learns"])
def test_resumed_is_as_uninterrupted(shared: Path, whole: Run, tmp_path: Path, stop_at: tuple[int, int]) -> None:
    halved = train_in_two(
        stop_at, shared / "reviews.csv", "liked", runs=tmp_path, start_from=str(shared / "model"),
        unfreeze=True, ignore="minutes,seat,stars", baselines=False, patience=9, **QUICK,
    )  # fmt: skip
    assert_same(whole, halved)


class AskedWhileReading(Silent):
    """Ctrl-C while the trunk reads all rows, which takes minutes."""

    def stage(self, name: str) -> None:
        if "with the pretrained network" in name:
            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_while_the_trunk_reads_ends_at_once(shared: Path, whole: Run, tmp_path: Path) -> None:
    with pytest.raises(Interrupted, match=r"after epoch 0 of 6.*nudge resume"):
        nudgenet.train(
            shared / "reviews.csv", "liked", runs=tmp_path, name="cut", start_from=str(shared / "model"), unfreeze=True,
            ignore="minutes,seat,stars", baselines=False, patience=9, observer=AskedWhileReading(), **QUICK,
        )  # fmt: skip
    assert nudgenet.load("cut", tmp_path).predict({"review": "a splendid film"}).shape == (1,)
    with pytest.raises(Interrupted, match=r"after epoch 0 of 6.*nudge resume"):
        nudgenet.resume("cut", runs=tmp_path, observer=AskedWhileReading())
    assert_same(whole, nudgenet.resume("cut", runs=tmp_path, observer=Silent()))


def assert_same(whole: Run, halved: Run) -> None:
    """Bit for bit."""
    states = [load_checkpoint(run.path / "checkpoints/state.safetensors") for run in (whole, halved)]
    for name, tensor in states[0][0].items():
        assert np.array_equal(tensor.numpy(), states[1][0][name].numpy()), name
    assert [epoch.validation_loss for epoch in whole.epochs] == [epoch.validation_loss for epoch in halved.epochs]


def test_steps_of_both_phases_are_computed_again_exactly(whole: Run) -> None:
    (table, state), album = reopen(whole), Store(whole.path).snapshots
    per_epoch = state.plan.steps_per_epoch
    assert album.steps() == [0, 3 * per_epoch, 6 * per_epoch], "the first, that at which the trunk wakes, and the last"
    with working_at(Place(1)):
        assert all(agrees(state, table.prepared, album.load(a), album.load(b)) for a, b in pairwise(album.steps()))


def test_a_model_that_has_changed_or_gone_is_said_so(tmp_path: Path) -> None:
    train(tmp_path, "begun", baselines=False)
    run = tmp_path / "runs" / "begun"
    (run / "DONE").unlink()
    config = tmp_path / "model" / "config.json"
    before = config.read_text()
    config.write_text(before + " ")
    with pytest.raises(RunError, match="has changed since this run started from it"):
        nudgenet.resume(run, observer=Silent())
    shutil.rmtree(tmp_path / "model")
    with pytest.raises(RunError, match="is gone or cannot be used any more"):
        nudgenet.resume(run, observer=Silent())


def test_the_command(nudge: Nudge, tmp_path: Path) -> None:
    model, table = write_model(tmp_path / "model"), write_reviews(tmp_path / "reviews.csv")
    few = ("--set", "epochs=2", "--no-baselines", "--quiet")
    code, _, err = nudge("train", table, "--target", "liked", "--from", model, "--runs", tmp_path, "--name", "r", *few)
    assert (code, err) == (0, "")
    run = nudgenet.load(tmp_path / "r")
    assert run.settings.start_from == str(model) and f"--from {model}" in run.report.read_text()
    code, _, err = nudge("train", table, "--target", "liked", "--from", tmp_path / "none", "--runs", tmp_path, *few)
    assert code == 2 and err.startswith("nudge: There is no such model on this machine") and err.count("\n") == 1


def test_a_table_without_texts_has_nothing_to_read(shared: Path) -> None:
    with pytest.raises(SettingError, match="there is no column of free text"):
        train(shared, "no", "stars", ignore="review,liked")
