from __future__ import annotations

import io
import re
import time
from itertools import pairwise
from typing import Any

import pytest
from rich.console import Console

from nudgenet.records import Decision, Epoch
from nudgenet.terminal import Display, print_run, print_runs

SUMMARY: dict[str, Any] = {
    "run": "runs/houses",
    "task": "binary",
    "target": "sold",
    "rows": {"train": 700, "validation": 150, "test": 150},
    "metrics": {
        "validation": {"accuracy": 0.83},
        "test": {"accuracy": 0.8121, "auc": 0.86, "f1": 0.7, "log_loss": 0.4},
    },
    "baselines": {
        "majority": {"test": {"accuracy": 0.62, "auc": 0.5, "f1": 0.0, "log_loss": 0.66}},
        "linear": {"test": {"accuracy": 0.8, "auc": 0.84, "f1": 0.7, "log_loss": 0.44}},
    },
    "verdict": {
        "state": "overfitting",
        "best_epoch": 4,
        "reason": "The gap of `sold` is 0.2.",
        "advice": [{"text": "Silence more neurons", "setting": "dropout", "value": 0.3}],
    },
    "parameters": 1731,
}
COMPARISONS = [
    {"metric": "accuracy", "other": "majority", "verdict": "better"},
    {"metric": "accuracy", "other": "linear", "verdict": "too close to call"},
]


class Bytes(io.TextIOWrapper):
    """A stream in memory with an encoding of its own, as strict as a real one."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, errors="strict", newline="")

    def text(self) -> str:
        self.flush()
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode(self.encoding)


def console(*, terminal: bool = False, encoding: str = "utf-8", width: int = 80) -> tuple[Console, Bytes]:
    stream = Bytes(encoding)
    kind = {"TERM": "xterm-256color"}
    return Console(file=stream, force_terminal=terminal, width=width, highlight=False, _environ=kind), stream


def epoch_at(number: int, train: float = 0.5, validation: float = 0.6) -> Epoch:
    return Epoch(number, number * 10, train, validation, 0.01, 0.01, 1e-3, 0.1, 0.1 * number)


def train(display: Display, num_epochs: int, run: int | None = None, first: int = 1) -> None:
    """Report `run` epochs of 10 steps, of at most `num_epochs`."""
    display.start(num_epochs, 10)
    for number in range(first, (run or num_epochs) + 1):
        for step in range(1, 11):
            display.on_step(number, step, 0.5)
        display.epoch(epoch_at(number, 1 / number, 1.1 / number), epoch_at(number))
    display.stop()


def training_display(target: Console, stream: Bytes) -> Display:
    """A display whose training has begun (until then it holds its lines back), with what it said so far cleared."""
    display = Display(console=target)
    display.start(1, 1)
    display.stop()
    stream.flush()
    stream.seek(0)
    stream.truncate()
    return display


def full(display: Display) -> None:
    display.stage("Reading houses.csv")
    display.decision(Decision("task", "binary", "`sold` is yes or no", "--set task=multiclass"))
    display.warning("`id` tells\n the target [bold]alone[/]")
    train(display, 50)
    display.result(
        SUMMARY,
        report="runs/houses/report.html",
        next_steps=["nudge predict runs/houses new.csv"],
        comparisons=COMPARISONS,
    )


def test_without_a_terminal_there_are_plain_lines() -> None:
    target, stream = console()
    full(Display(console=target))
    text = stream.text()
    assert not re.search("[\x00-\x09\x0b-\x1f]", text)
    lines = text.splitlines()
    assert lines[0] == "Reading houses.csv"
    assert lines[1] == "  task: binary (`sold` is yes or no; --set task=multiclass)"
    assert lines[2] == "  Worth a look: `id` tells the target [bold]alone[/]"  # names are no markup
    progress = [line for line in lines if line.startswith("  epoch ")]
    assert 8 <= len(progress) <= 12
    assert progress[0].startswith("  epoch 1 of 50") and progress[-1].startswith("  epoch 50 of 50")


@pytest.mark.parametrize(("num_epochs", "run"), [(1, 1), (3, 3), (10, 10), (1000, 1000), (1000, 7), (50, 23)])
def test_progress_takes_about_ten_lines_and_ends_with_the_last_epoch(num_epochs: int, run: int) -> None:
    target, stream = console()
    train(Display(console=target), num_epochs, run)
    progress = [line for line in stream.text().splitlines() if line.startswith("  epoch ")]
    assert len(progress) <= 12
    assert len(progress) == len(set(progress))
    assert f"epoch {run:,} of" in progress[-1]


def test_a_resumed_training_goes_on_counting() -> None:
    target, stream = console()
    train(Display(console=target), 50, first=40)
    progress = [line for line in stream.text().splitlines() if line.startswith("  epoch ")]
    assert progress[0].startswith("  epoch 40 of 50")


def test_the_closing_screen_says_everything_within_80_columns() -> None:
    target, stream = console(terminal=True)
    Display(console=target).result(
        SUMMARY,
        report="runs/houses/report.html",
        next_steps=["nudge predict runs/houses new.csv"],
        comparisons=COMPARISONS,
    )
    text = re.sub("\x1b\\[[0-9;]*m", "", stream.text())
    assert max(map(len, text.splitlines())) <= 80
    for expected in (
        *("▲ Overfitting", "The gap of `sold` is 0.2.", "81.2%", "≈ too close to call", "▲ better"),
        *(
            "the network gets 81 of 100 right.",
            "--set dropout=0.3",
            "runs/houses/report.html",
            "nudge predict runs/houses",
        ),
    ):
        assert expected in text


def test_names_of_skipped_files_that_were_cut_are_in_the_report() -> None:
    for count, is_cut in ((1, False), (60, True)):
        target, stream = console(terminal=True)
        display = Display(console=target)
        files = ", ".join(f"`photos/cat/{number}.png (damaged)`" for number in range(count))
        display.decision(Decision("skipped: damaged", f"{count} of 90 files: {files}", "there is no image in it", ""))
        display.result(SUMMARY, report="runs/houses/report.html", next_steps=[], comparisons=COMPARISONS)
        assert ("names the files that were skipped" in stream.text()) == is_cut


def test_on_a_terminal_the_area_is_live_and_closes() -> None:
    target, stream = console(terminal=True)
    display = Display(console=target)
    train(display, 5)
    display.stop()  # twice does no harm
    text = stream.text()
    assert "━" in text and "\x1b[?25l" in text
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")  # the cursor is back
    last = text[text.rfind("\x1b[?25h") :]
    assert "epoch 5 of 5" in last and "█" in last


def test_an_ascii_terminal_gets_ascii() -> None:
    for terminal in (True, False):
        target, stream = console(terminal=terminal, encoding="ascii")
        full(Display(console=target))
        print_run({**SUMMARY, "target": "prix_été"}, [epoch_at(1), epoch_at(2)], target)
        print_runs([{"name": "été", "when": "2025-01-02T10:15:00", "state": "done", "summary": SUMMARY}], target)
        assert "^ Overfitting" in stream.text()
        assert "~ too close to call" in stream.text()


def test_a_latin_terminal_keeps_its_letters() -> None:
    target, stream = console(encoding="latin-1")
    training_display(target, stream).stage("Reading été.csv")
    assert "Reading été.csv" in stream.text()


def test_nothing_is_said_before_the_training() -> None:
    """So that a user's mistake, found until then, is one line on its own."""
    target, stream = console()
    display = Display(console=target)
    display.stage("Reading houses.csv")
    display.warning("odd")
    display.stop()
    assert stream.text() == ""
    display.start(1, 1)
    assert stream.text().splitlines()[:2] == ["Reading houses.csv", "  Worth a look: odd"]


def test_quiet_prints_nothing() -> None:
    for terminal in (True, False):
        target, stream = console(terminal=terminal)
        full(Display(quiet=True, console=target))
        assert stream.text() == ""


def test_names_cannot_steer_the_terminal() -> None:
    target, stream = console()
    display = training_display(target, stream)
    display.warning("a\x1b[2Jb \x07\u202e\ud800 \\")
    display.decision(Decision("[red]", "x\\", "why\n\nnot", ""))
    assert stream.text() == "  Worth a look: a?[2Jb ??? \\\n  [red]: x\\ (why not)\n"


def test_a_long_decision_stays_on_one_line_and_keeps_what_to_type() -> None:
    for terminal, limit in ((True, 80), (False, 164)):
        target, stream = console(terminal=terminal)
        training_display(target, stream).decision(
            Decision("network", "2 layers of 32", "because " * 40, "--set width=16")
        )
        (line,) = re.sub("\x1b\\[[0-9;]*m", "", stream.text()).splitlines()
        assert len(line) <= limit
        assert line.endswith("--set width=16)")


def test_losses_that_are_no_numbers_are_shown() -> None:
    target, stream = console(terminal=True)
    display = Display(console=target)
    display.start(2, 10)
    display.epoch(epoch_at(1, float("nan"), float("inf")), None)
    display.stop()
    assert "training loss not a number" in stream.text()


def test_a_curve_over_more_than_a_decade_is_drawn_on_a_log_scale() -> None:
    target, stream = console()
    print_run({}, [epoch_at(i, 1, 0.5**i) for i in range(1, 9)], target)
    assert "validation loss, log scale  █▇▆▅▄▃▂▁" in stream.text()


def test_an_unfinished_run_can_be_shown() -> None:
    target, stream = console()
    print_run({}, [epoch_at(1), epoch_at(2, 0.4, 0.5)], target)
    print_run({}, [], target)
    assert "epochs: 2, training loss 0.400, validation loss 0.500" in stream.text()
    assert "No verdict yet" in stream.text()


def test_runs_are_listed_within_80_columns() -> None:
    target, stream = console()
    rows = [
        {"name": "customers-20250102-101500", "when": "2025-01-02T10:15:00", "state": "done", "summary": SUMMARY},
        {"name": "houses", "when": "2025-01-02T10:15:00", "state": "interrupted", "target": "price", "summary": None},
    ]
    print_runs(rows, target)
    header, first, second = stream.text().splitlines()
    assert header.split() == ["run", "target", "test", "score", "verdict", "when"]
    assert first.split() == ["customers-20250102-101500", "sold", "81.2%", "▲", "Overfitting", "2025-01-02"]
    assert second.split() == ["houses", "price", "interrupted", "2025-01-02"]
    assert max(map(len, (header, first, second))) <= 80


def test_a_wide_terminal_shows_more_of_each_run() -> None:
    target, stream = console(width=120)
    print_runs([{"name": "houses", "when": "2025-01-02T10:15:00", "state": "done", "summary": SUMMARY}], target)
    assert stream.text().splitlines()[1].split()[-4:] == ["2025-01-02", "10:15", "binary", "1,000"]


def test_no_runs_say_how_to_start_one() -> None:
    target, stream = console()
    print_runs([], target)
    assert "nudge train" in stream.text()


def test_a_step_costs_next_to_nothing() -> None:
    target, _ = console(terminal=True)
    display = Display(console=target)
    display.start(10, 100_000)
    num_steps, best = 20_000, float("inf")
    for _ in range(5):  # the best of five: other work on the machine is none of ours
        began = time.perf_counter()
        for step in range(num_steps):
            display.on_step(1, step, 0.5)
        best = min(best, time.perf_counter() - began)
    display.stop()
    assert best / num_steps < 4e-6


def test_redraws_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("nudgenet.terminal.time.monotonic", lambda: now[0])
    target, _ = console(terminal=True)
    display = Display(console=target)
    display.start(10, 1000)
    drawn: list[float] = []
    original = display._redraw
    monkeypatch.setattr(display, "_redraw", lambda: (drawn.append(now[0]), original()))
    for step in range(1, 1001):  # ten seconds of steps of 10 ms
        now[0] += 0.01
        display.on_step(1, step, 0.5)
    display.stop()
    assert 40 <= len(drawn) <= 81
    assert min(b - a for a, b in pairwise(drawn)) >= 0.124


def test_the_time_left_counts_the_epochs_in_which_a_trunk_learns(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    target, stream = console()
    display = Display(console=target)
    display.start(12, 10, 10, 60.0)
    training = display._training

    def work(number: int, seconds: float) -> None:
        for step in range(1, 11):
            now[0] += seconds / 10
            training.step = step
        display.epoch(epoch_at(number), epoch_at(number))

    assert training.seconds_left() is None and training.share_done() == 0.0
    for number in range(1, 11):
        work(number, 1.0)
        assert training.seconds_left() == pytest.approx(10 - number + 2 * 60.0)
    assert training.share_done() == pytest.approx(10 / 130)  # of the time: of the steps it would be five sixths
    work(11, 90.0)  # slower than was thought
    assert training.seconds_left() == pytest.approx(90.0)
    work(12, 90.0)
    assert training.seconds_left() == 0.0 and training.share_done() == 1.0
    display.stop()
    lines = stream.text().splitlines()
    assert lines[0].endswith("; in the last 2 the pretrained network learns, too, at most 2 min 00 s or so")
    assert lines[-2].startswith("  epoch 11 of 12")
