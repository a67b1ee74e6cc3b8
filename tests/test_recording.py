"""What a run keeps for its page: it changes no weight, is complete after an interruption, and leads to every step."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nudgenet
from conftest import train_until
from nudgenet.errors import RunError
from nudgenet.pipeline import reopen
from nudgenet.runs.checkpoint import load_checkpoint
from nudgenet.runs.store import Store
from nudgenet.training import recorder
from nudgenet.training.loop import step
from nudgenet.training.place import Place, working_at
from nudgenet.training.replay import agrees, one_step, replay
from nudgenet.training.state import weights_of

pytestmark = pytest.mark.filterwarnings("ignore::nudgenet.errors.DataWarning")
SETTINGS: dict[str, Any] = {"epochs": 8, "batch_size": 8, "baselines": False, "patience": 99, "normalisation": "layer"}
PER_EPOCH = 21


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, make_houses: Callable[[Path], Path]) -> Path:
    return make_houses(tmp_path_factory.mktemp("recording") / "houses.csv")


@pytest.fixture(scope="module")
def run(table: Path) -> nudgenet.Run:
    """A run with several snapshots, however quick this machine is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recorder, "SNAPSHOT_EVERY_S", 0.02)
        patch.setattr(recorder, "SHARE", 0.5)
        return nudgenet.train(table, "price", runs=table.parent, name="recorded", **SETTINGS)


@pytest.fixture(scope="module")
def every_step(table: Path) -> list[dict[str, torch.Tensor]]:
    """The weights before the first step and after each, as a step function of the user's sees them."""
    seen: list[dict[str, torch.Tensor]] = []

    def watched(*arguments: Any) -> tuple[float, float]:
        if not seen:
            seen.append(weights_of(arguments[0]))
        found = step(*arguments)
        seen.append(weights_of(arguments[0]))
        return found

    nudgenet.train(table, "price", runs=table.parent, name="watched", step=watched, record=False, **SETTINGS)
    return seen


def states_of(run: nudgenet.Run) -> dict[str, torch.Tensor]:
    return load_checkpoint(run.path / "checkpoints" / "state.safetensors")[0]


def test_the_weights_are_the_same_without_it(run: nudgenet.Run, table: Path) -> None:
    other = nudgenet.train(table, "price", runs=table.parent, name="bare", record=False, **SETTINGS)
    one, two = states_of(run), states_of(other)
    assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    assert run.metrics == other.metrics
    store = Store(other.path)
    assert not (other.path / "snapshots").exists() and len(store.batches()["step"]) == 0 and store.health() == (0, {})


def test_what_is_recorded(run: nudgenet.Run) -> None:
    store, last = Store(run.path), 8 * PER_EPOCH
    batches = store.batches()
    assert batches["step"].tolist() == list(range(1, last + 1))
    assert batches["epoch"].tolist() == sorted([*range(1, 9)] * PER_EPOCH)
    for epoch in run.epochs:
        norms = batches["gradient_norm"][batches["epoch"] == epoch.epoch]
        assert epoch.gradient_norm == pytest.approx(norms.mean())
    steps = store.snapshots.steps()
    assert steps[0] == 0 and steps[-1] == last and len(steps) >= 3
    step, layers = store.health()
    assert step % PER_EPOCH == 0 and list(layers) == ["embedding", "layer1", "layer2", "output"]
    one, two = states_of(run), store.snapshots.load(last)[0]
    assert {name for name in one if not name.startswith("best.")} == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in two)


def test_every_step_is_computed_again_exactly(run: nudgenet.Run, every_step: list[dict[str, torch.Tensor]]) -> None:
    (opened, state), album = reopen(run), Store(run.path).snapshots
    steps = album.steps()
    assert len(every_step) == steps[-1] + 1
    with working_at(Place(run.settings.threads or 1)):
        for place in (0, 1, 17, PER_EPOCH, 100, 101, 160, steps[-1]):
            nearest = max(one for one in steps if one <= place)
            replay(state, opened.prepared, album.load(nearest), place)
            found = weights_of(state.network)
            assert all(torch.equal(found[name], tensor) for name, tensor in every_step[place].items()), place
        replay(state, opened.prepared, album.load(0), 50)
        loss, _ = one_step(state, opened.prepared)
        assert loss == Store(run.path).batches(since=50)["loss"][0]
        assert agrees(state, opened.prepared, album.load(0), album.load(steps[1]))


def test_a_fresh_state_is_the_first_step(run: nudgenet.Run) -> None:
    _, state = reopen(run)
    first = Store(run.path).snapshots.load(0)[0]
    assert all(torch.equal(tensor, first[f"network.{name}"]) for name, tensor in weights_of(state.network).items())


def test_after_an_interruption_nothing_is_missing(
    table: Path, run: nudgenet.Run, every_step: list[dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    train_until(50, table, "price", runs=tmp_path, name="r", **SETTINGS)
    store = Store(tmp_path / "r")
    assert store.snapshots.steps()[-1] == 50 and store.batches()["step"][-1] == 50
    # As after a power cut: the folder knows what the checkpoint does not.
    store.add_batches([(51, 3, 9.9, 9.9, 9.9), (999, 9, 9.9, 9.9, 9.9)])
    store.add_health(999, {"layer1": {}})
    store.snapshots.add(60, *store.snapshots.load(50))
    resumed = nudgenet.resume("r", runs=tmp_path)
    mine, wanted = store.batches(), Store(run.path).batches()
    assert all(np.array_equal(mine[name], wanted[name]) for name in wanted)
    assert {0, 50, 8 * PER_EPOCH} <= set(store.snapshots.steps()) and 60 not in store.snapshots.steps()
    opened, state = reopen(resumed)
    with working_at(Place(1)):
        for begin, place in ((0, 49), (0, 90), (50, 51), (50, 168)):
            replay(state, opened.prepared, store.snapshots.load(begin), place)
            found = weights_of(state.network)
            assert all(torch.equal(found[name], tensor) for name, tensor in every_step[place].items()), place


def test_rows_that_changed_or_are_gone_cannot_be_replayed(table: Path, tmp_path: Path) -> None:
    own = Path(shutil.copy(table, tmp_path / "own.csv"))
    run = nudgenet.train(own, "price", runs=tmp_path, name="r", **SETTINGS | {"epochs": 1})
    content = own.read_text()
    reopen(run)
    own.write_text(content + content.splitlines()[-1] + "\n")
    with pytest.raises(RunError, match="has changed"):
        reopen(run)
    own.unlink()
    with pytest.raises(RunError, match="cannot be read again"):
        reopen(run)


def test_functions_of_the_users_own_are_not_in_the_folder(table: Path, every_step: list[Any]) -> None:
    with pytest.raises(RunError, match="functions of your own"):
        reopen(nudgenet.load("watched", table.parent))


def test_rows_from_memory_are_replayed_from_their_copy(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    points = random.normal(size=(150, 3))
    run = nudgenet.train((points, points[:, 0] > 0), runs=tmp_path, epochs=2, baselines=False, network="mlp", name="r")
    opened, state = reopen(run)
    album = Store(run.path).snapshots
    last = album.steps()[-1]
    with working_at(Place(run.settings.threads or 1)):
        replay(state, opened.prepared, album.load(0), last)
    wanted = album.load(last)[0]
    assert all(torch.equal(tensor, wanted[f"network.{name}"]) for name, tensor in weights_of(state.network).items())


def test_a_run_of_an_older_version_goes_on_and_is_recorded_from_there(
    table: Path, run: nudgenet.Run, tmp_path: Path
) -> None:
    settings = SETTINGS | {"record": False}
    train_until(50, table, "price", runs=tmp_path, name="r", **settings)
    path = tmp_path / "r" / "settings.json"
    content = json.loads(path.read_text())
    del content["settings"]["record"]
    path.write_text(json.dumps(content))
    resumed = nudgenet.resume("r", runs=tmp_path)
    assert resumed.metrics == run.metrics
    assert Store(resumed.path).batches()["step"][0] == 51 and Store(resumed.path).snapshots.steps()[-1] == 168
