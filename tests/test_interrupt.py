"""Interrupted at any moment: everything is saved, the run predicts, and it goes on as if nothing had happened."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nudgenet
from conftest import StopAt, train_until
from nudgenet.data.read import READERS
from nudgenet.errors import Interrupted
from nudgenet.runs.checkpoint import load_checkpoint
from nudgenet.training.stopping import StopSignal

pytestmark = pytest.mark.filterwarnings("ignore::nudgenet.errors.DataWarning")
SETTINGS: dict[str, Any] = {"epochs": 12, "batch_size": 8, "baselines": False, "patience": 99}
WAIT_S = 60


def assert_same(first: nudgenet.Run, second: nudgenet.Run) -> None:
    """Weights, optimizer, best weights, random state, every epoch's row and every score: exactly equal."""
    tensors, numbers = load_checkpoint(first.path / "checkpoints" / "state.safetensors")
    others, other_numbers = load_checkpoint(second.path / "checkpoints" / "state.safetensors")
    assert tensors.keys() == others.keys()
    assert not [name for name in tensors if not torch.equal(tensors[name], others[name])]
    assert {**numbers, "seconds": 0} == {**other_numbers, "seconds": 0}
    curves = [[replace(epoch, seconds=0.0) for epoch in run.epochs] for run in (first, second)]
    assert curves[0] == curves[1]
    assert first.metrics == second.metrics and first.verdict == second.verdict


# ------------------------------------------------------------------ in this process: at any step


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, make_houses: Callable[[Path], Path]) -> Path:
    return make_houses(tmp_path_factory.mktemp("interrupt") / "houses.csv")


@pytest.fixture(scope="module")
def whole(table: Path) -> nudgenet.Run:
    """The run that nobody interrupted."""
    return nudgenet.train(table, "price", runs=table.parent, name="whole", **SETTINGS)


@pytest.mark.parametrize("stops", [(1,), (20,), (21,), (22,), (3, 4, 50), (252,)])
def test_stopped_at_any_step_and_resumed(table: Path, whole: nudgenet.Run, tmp_path: Path, stops: tuple[int]) -> None:
    """In the middle of an epoch, at its end, at the first step, at the very last one, and several times."""
    ended = train_until(stops[0], table, "price", runs=tmp_path, name="r", **SETTINGS)
    assert ended.exit_code == 130 and "nudge resume" in str(ended)
    for step in stops[1:]:
        watcher = StopAt(step)
        with pytest.raises(Interrupted):
            nudgenet.resume("r", runs=tmp_path, observer=watcher, stop=watcher.signal)
    run = nudgenet.load("r", tmp_path)
    assert not run.is_done and "interrupted" in repr(run)
    assert len(run.epochs) == sum(stops) // 21
    answers = run.predict(table)
    assert answers.shape == (240,) and np.isfinite(answers).all()
    assert_same(nudgenet.resume("r", runs=tmp_path), whole)


def test_predictions_of_an_interrupted_run_use_its_best_weights(table: Path, tmp_path: Path) -> None:
    train_until(50, table, "price", runs=tmp_path, name="r", **SETTINGS)
    short = nudgenet.train(table, "price", runs=tmp_path, name="short", **SETTINGS | {"epochs": 12, "patience": 1})
    assert len(short.epochs) >= 2
    run = nudgenet.load("r", tmp_path)
    best = min(run.epochs, key=lambda epoch: epoch.validation_loss)
    assert [epoch.epoch for epoch in run.epochs] == [1, 2]
    tensors, numbers = load_checkpoint(run.path / "checkpoints" / "state.safetensors")
    differ = [
        name
        for name in tensors
        if name.startswith("best.") and not torch.equal(tensors[name], tensors["network." + name[5:]])
    ]
    assert differ, "some steps later the weights are others"
    assert numbers["stopping"]["best_epoch"] == best.epoch


def test_numbers_written_after_the_checkpoint_are_done_again(table: Path, whole: nudgenet.Run, tmp_path: Path) -> None:
    """As after a power cut: the database knows epochs that the checkpoint does not."""
    train_until(30, table, "price", runs=tmp_path, name="r", **SETTINGS)
    run = nudgenet.load("r", tmp_path)
    run._store.add_epoch(replace(run.epochs[0], epoch=2, validation_loss=-1.0))
    run._store.add_epoch(replace(run.epochs[0], epoch=7, validation_loss=-1.0))
    assert_same(nudgenet.resume("r", runs=tmp_path), whole)


def test_two_processes_cannot_train_one_run(table: Path, tmp_path: Path) -> None:
    train_until(5, table, "price", runs=tmp_path, name="r", **SETTINGS)
    with nudgenet.load("r", tmp_path)._store.held(), pytest.raises(nudgenet.UserError, match="another process"):
        nudgenet.resume("r", runs=tmp_path)


# ------------------------------------------------------------------ a real process and a real signal

LONG = ("--set", "epochs=100000", "--set", "patience=100000", "--set", "batch_size=8", "--no-baselines")


def start(table: Path, runs: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "nudgenet",
            "train",
            table,
            "--target",
            "price",
            "--runs",
            runs,
            "--name",
            "r",
            *options,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + WAIT_S
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.01)


def num_epochs(path: Path) -> int:
    return len(nudgenet.load(path).epochs) if (path / "settings.json").exists() else 0


def test_ctrl_c_in_the_middle_of_training(table: Path, tmp_path: Path) -> None:
    """The run that was killed, resumed, is the run that was not; a second interruption changes nothing."""
    options = ("--set", "epochs=60", "--set", "patience=1000", "--set", "batch_size=8", "--no-baselines")
    process = start(table, tmp_path, *options)
    wait_for(lambda: num_epochs(tmp_path / "r") >= 3, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1].startswith("nudge: Stopped by Ctrl-C after epoch") and "Traceback" not in err
    run = nudgenet.load("r", tmp_path)
    assert 3 <= len(run.epochs) < 60
    assert np.isfinite(run.predict(table)).all()
    resumed = nudgenet.resume("r", runs=tmp_path)
    settings: dict[str, Any] = {"epochs": 60, "patience": 1000, "batch_size": 8, "baselines": False}
    assert_same(resumed, nudgenet.train(table, "price", runs=tmp_path, name="whole", **settings))


def test_sigterm_is_143(table: Path, tmp_path: Path) -> None:
    process = start(table, tmp_path, *LONG, "--quiet")
    wait_for(lambda: num_epochs(tmp_path / "r") >= 1, process)
    process.terminate()
    out, err = process.communicate(timeout=WAIT_S)
    assert (process.returncode, out) == (143, "")
    assert len(err.splitlines()) == 1 and "everything is saved" in err
    assert np.isfinite(nudgenet.load("r", tmp_path).predict(table)).all()


@pytest.mark.parametrize("after_s", [0.1, 0.6, 1.5])
def test_ctrl_c_before_anything_began(table: Path, tmp_path: Path, after_s: float) -> None:
    """While the interpreter and torch are being loaded, or just after: exit 130, no traceback."""
    process = start(table, tmp_path, *LONG)
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=WAIT_S)
    # In the first moments Python itself, not yet we, gets the signal. A shell says 130 of both codes.
    assert process.returncode in (130, -signal.SIGINT), err
    assert "Traceback" not in err or "__main__.py" not in err
    if (tmp_path / "r" / "settings.json").exists():
        assert np.isfinite(nudgenet.load("r", tmp_path).predict(table)).all()


def test_ctrl_c_amid_a_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database, which looks for signals between two of its tasks, makes an error of its own of it."""

    def interrupted(*arguments: object) -> None:
        with suppress(Interrupted):
            signal.raise_signal(signal.SIGINT)
        raise RuntimeError("Query interrupted")

    monkeypatch.setitem(READERS, "query", interrupted)
    with pytest.raises(Interrupted, match="before the training") as ended:
        nudgenet.train("SELECT 1 AS a", "a", runs=tmp_path)
    assert ended.value.exit_code == 130


def test_asked_before_anything_is_read(tmp_path: Path) -> None:
    """As while torch is being imported: not even that there is no such file is found out."""
    stop = StopSignal()
    stop.request("Ctrl-C")
    with pytest.raises(Interrupted, match="before the training"):
        nudgenet.train(tmp_path / "none.csv", "a", runs=tmp_path, stop=stop)


def test_a_second_ctrl_c_stops_at_once(table: Path, tmp_path: Path) -> None:
    """Here the first one cannot be obeyed: the step never ends."""
    code = f"""
import time, nudgenet.pipeline, nudgenet.cli, sys
from nudgenet.training.loop import step
def endless(*arguments):
    print("stepping", flush=True)
    time.sleep({WAIT_S})
train = nudgenet.pipeline.train
nudgenet.pipeline.train = lambda *a, **k: train(*a, step=endless, **k)
sys.exit(nudgenet.cli.run_command(["train", {str(table)!r}, "--target", "price", "--runs", {str(tmp_path)!r}]))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == "stepping\n"
    process.send_signal(signal.SIGINT)
    while "again to stop at once" not in (line := process.stderr.readline()):
        assert line, "it says what a second Ctrl-C does"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130 and err == "nudge: Stopped at once; nothing more was saved.\n"


def test_ctrl_c_while_the_baselines_are_fitted(table: Path, tmp_path: Path) -> None:
    process = start(table, tmp_path, "--set", "epochs=2")
    assert process.stderr is not None
    while "Fitting the baselines" not in (line := process.stderr.readline()):
        assert line
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=WAIT_S)
    if process.returncode == 0:
        pytest.skip("this machine was quicker than the signal")
    assert process.returncode == 130 and "nudge resume" in err.splitlines()[-1]
    run = nudgenet.load("r", tmp_path)
    assert not run.is_done and np.isfinite(run.predict(table)).all()
    assert nudgenet.resume("r", runs=tmp_path).is_done


def test_the_reader_of_the_output_may_leave(table: Path, tmp_path: Path) -> None:
    """`nudge train ... 2>&1 | head -1` trains to its end, and `nudge runs | head -0` is no error."""
    process = start(table, tmp_path, "--set", "epochs=3", "--no-baselines")
    assert process.stdout is not None and process.stderr is not None and process.stderr.readline()
    process.stderr.close()
    process.stdout.close()
    assert process.wait(WAIT_S) == 0
    assert nudgenet.load("r", tmp_path).is_done
