"""When to stop: early, because nothing gets better; or at once, because somebody asked."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from nudgenet.errors import Interrupted


@dataclass
class Stopping:
    """Early stopping on the validation loss. Its four numbers are part of the loop's state.

    An epoch is better if its validation loss is finite and strictly lower than the best so far.
    """

    patience: int
    best_loss: float = float("inf")
    best_epoch: int = 0  # 0: none yet
    waited: int = 0  # epochs since the best
    cuts: int = 0  # plateaus of the learning rate so far

    def update(self, epoch: int, validation_loss: float) -> bool:
        """Take note of an epoch; True if it is the best so far (NaN never is)."""
        if validation_loss < self.best_loss:
            self.best_loss, self.best_epoch, self.waited = validation_loss, epoch, 0
            return True
        self.waited += 1
        if self.waited % max(1, self.patience // 3) == 0:
            self.cuts += 1  # only the plateau schedule looks at it
        return False

    def begin_again(self, patience: int) -> None:
        """Something new is tried from here on; the best so far stays to be beaten."""
        self.patience, self.waited = patience, 0

    @property
    def is_over(self) -> bool:
        """Whether patience has run out."""
        return self.waited >= self.patience


@dataclass
class StopSignal:
    """Asks the work to stop at the next step boundary. Set by a signal handler, a page, or a test.

    `reason` is empty while the work may go on; `exit_code` is what a command then ends with. `began` is when the
    work was asked for (`time.perf_counter`): a time limit counts from there, and importing torch takes seconds.
    `has_work`: there is something to save, or will be at the next step; before, a signal ends the work at once.
    """

    reason: str = ""
    exit_code: int = 130
    has_work: bool = True
    began: float = field(default_factory=time.perf_counter, compare=False)

    def request(self, reason: str, exit_code: int = 130) -> None:
        """Ask once; later requests change nothing."""
        if not self.reason:
            self.reason, self.exit_code = reason, exit_code

    def leave_early(self) -> None:
        """While there is nothing to save: raises Interrupted if somebody has asked to stop."""
        if self.reason and not self.has_work:
            what = f"Stopped by {self.reason} before the training; nothing is lost"
            raise Interrupted(what, exit_code=self.exit_code) from None


@contextmanager
def stop_on_signals(stop: StopSignal, on_request: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Turn the first Ctrl-C (or SIGTERM) into a request to stop, which saves first; the second stops at once.

    Signal handlers belong to the main thread; elsewhere this does nothing.

    Raises:
        Interrupted: from wherever the work is, while there is nothing to save: thousands of files may be being read.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.reason:
            raise KeyboardInterrupt
        stop.request("Ctrl-C" if number == signal.SIGINT else "a request to terminate", exit_code=128 + number)
        stop.leave_early()
        on_request()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except Interrupted:
        raise
    except Exception:
        stop.leave_early()  # libraries make errors of their own of what a signal handler raises amid their work
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
