"""Ctrl-C: a request to save and stop, or, before there is anything to save, the end."""

from __future__ import annotations

import signal

import pytest

from nudgenet.errors import Interrupted
from nudgenet.training.stopping import StopSignal, stop_on_signals


def test_the_first_asks_and_the_second_ends() -> None:
    stop = StopSignal()
    with stop_on_signals(stop):
        signal.raise_signal(signal.SIGINT)
        assert (stop.reason, stop.exit_code) == ("Ctrl-C", 130)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_before_there_is_anything_to_save_one_is_enough(number: int, exit_code: int) -> None:
    before = signal.getsignal(number)
    stop = StopSignal(has_work=False)
    with pytest.raises(Interrupted, match="before the training; nothing is lost") as ended, stop_on_signals(stop):
        signal.raise_signal(number)
    assert ended.value.exit_code == exit_code
    assert signal.getsignal(number) == before


def test_what_a_library_makes_of_the_signal_is_the_signal() -> None:
    with pytest.raises(Interrupted, match="before the training"), stop_on_signals(StopSignal(has_work=False)):
        try:
            signal.raise_signal(signal.SIGINT)
        except Interrupted as error:
            raise RuntimeError("Query interrupted") from error
    with pytest.raises(RuntimeError, match="a bug"), stop_on_signals(StopSignal(has_work=False)):
        raise RuntimeError("a bug")
    stop = StopSignal()  # there is work, which will be saved: an error on the way there is an error
    with pytest.raises(RuntimeError, match="a bug"), stop_on_signals(stop):
        signal.raise_signal(signal.SIGINT)
        raise RuntimeError("a bug")
