"""The terminal face: what a person sees while a run is made, and when it is done.

Everything goes to stderr. On a real terminal the training has a live area (progress, time left, both losses, a
small curve); anywhere else there are plain lines without control characters, about ten for the whole training.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.status import Status
from rich.table import Table
from rich.text import Text

from nudgenet.errors import counted
from nudgenet.printing import Piece, Printer, make_console
from nudgenet.records import Decision, Epoch
from nudgenet.report.wording import (
    COMPARED,
    baselines_of,
    duration,
    flag,
    interval_in_words,
    loss_text,
    main_metric,
    metric,
    metrics_of,
    models_of,
    number,
    probabilities_in_words,
    score,
    score_in_words,
    shortened,
    verdict_words,
    worth_it,
)
from nudgenet.watching.curves import sparkline

REDRAW_S = 0.125  # at most eight times a second
LOOK_EVERY = 16  # steps between two looks at the clock, at most
PROGRESS_LINES = 10  # without a live area, over the whole training
CURVE_WIDTH = 34
LOG_WIDTH = 160  # of a decision's line where there is no terminal

_STYLES = {"good": "green", "warn": "yellow", "bad": "red", "unknown": "cyan"}


class Display:
    """What the work reports to while it goes on (an `Observer`), and the closing screen.

    Args:
        quiet: print nothing.
        console: where to print; by default stderr.
    """

    def __init__(self, *, quiet: bool = False, console: Console | None = None) -> None:
        self._out = Printer(console or make_console(), quiet=quiet)
        self._training = _Training(0, 0)
        self._live: Live | None = None
        self._status: Status | None = None
        self._held: list[tuple[Piece, ...]] | None = []  # lines before the training; None once they are out
        self._has_cut_names = False  # of files that were skipped, because a line has an end
        self._is_training = False
        self._countdown = self._pause = 1
        self._next_redraw = 0.0

    def stage(self, name: str) -> None:
        """A new stage begins."""
        self._say((shortened(name, 200), "bold"))
        if self._held is not None and self._out.is_live:
            if self._status is None:
                self._status = self._out.console.status("", spinner="dots" if self._out.can_draw else "line")
                self._status.start()
            self._status.update(Text(self._out.text(shortened(name, 60))))

    def decision(self, decision: Decision) -> None:
        """An automatic choice, on one line."""
        room = max(30, self._out.width - 4) if self._out.console.is_terminal else LOG_WIDTH
        said, typed = f"{decision.what}: {decision.chosen}", decision.override.split(", ") if decision.override else []
        while len(typed) > 1 and len(f"{said} ({', '.join(typed)})") > room:  # half a thing to type is of no use
            typed.pop()
        override = ", ".join(typed)
        whole, said = said, shortened(said, max(room // 2, room - len(override) - 3))
        self._has_cut_names = self._has_cut_names or ("skipped" in decision.what and said != whole)
        left = room - len(f"{said} (; {override})")  # what to type is worth more than the reason
        why = shortened(decision.why, left) if left > 20 or len(decision.why) <= left else ""
        told = "; ".join(piece for piece in (why, override) if piece)
        self._say("  ", (shortened(f"{said} ({told})" if told else said, room), "dim"))

    def warning(self, text: str) -> None:
        """Something is odd; said in full."""
        self._say("  ", ("Worth a look:", "yellow"), f" {' '.join(text.split())}")

    def start(
        self, num_epochs: int, num_steps_per_epoch: int, num_resting: int = 0, learning_epoch_s: float = 0.0
    ) -> None:
        """Training begins: the live area opens."""
        self.stop()
        self._let_out()
        self._training = _Training(num_epochs, num_steps_per_epoch, num_resting, learning_epoch_s)
        self._is_training = True
        self._countdown = self._pause = 1
        epochs, steps = counted(num_epochs, "epoch"), counted(num_steps_per_epoch, "step")
        self.stage(f"Training: up to {epochs} of {steps}{self._training.phases()}")
        if self._out.is_live:
            self._live = Live(
                console=self._out.console,
                auto_refresh=False,
                transient=True,
                redirect_stdout=sys.stdout.isatty(),  # what goes into a file or pipe is none of ours
            )
            self._live.start()
            self._redraw()

    def on_step(self, epoch: int, step_in_epoch: int, loss: float) -> None:
        """One step was done. Costs a subtraction, except once in `LOOK_EVERY` calls; `loss` is not looked at."""
        self._countdown -= 1
        if self._countdown > 0 or self._live is None:
            return
        if time.monotonic() >= self._next_redraw:
            self._training.epoch, self._training.step = epoch, step_in_epoch
            self._redraw()
            # Where steps are slow, look at the clock more often.
            self._pause = min(LOOK_EVERY, max(1, int(REDRAW_S * self._training.steps_per_second())))
        self._countdown = self._pause

    def epoch(self, epoch: Epoch, best: Epoch | None) -> None:
        """One epoch was done."""
        training = self._training
        training.add(epoch, best)
        if self._live is not None:
            if time.monotonic() >= self._next_redraw:
                self._redraw()
        elif training.is_time_for_a_line():
            self._out.line(f"  {training.line()}")
            training.has_news = False

    def stop(self) -> None:
        """Training ended: the live area closes; its last epoch and its curve stay. Safe to call twice."""
        if self._status is not None:
            self._status.stop()
            self._status = None
        if not self._is_training:
            return
        self._is_training = False
        if self._live is not None:
            self._live.stop()
            self._live = None
        if self._training.has_news:
            self._out.line(f"  {self._training.line()}")
        if self._out.is_live and len(self._training.validation_losses) > 1:
            self._out.line(f"  {_curve(self._training.validation_losses)}")

    def result(
        self,
        summary: Mapping[str, Any],
        *,
        report: str,
        next_steps: Sequence[str],
        comparisons: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """The closing screen: verdict, scores against the baselines, advice, the report, what to type next."""
        self.stop()
        self._let_out()
        _print_summary(self._out, summary, comparisons)
        if report:
            self._out.line()
            self._out.command(("Report", "bold"), f"  {report}")
            if self._has_cut_names:
                self._out.line(("        names the files that were skipped", "dim"))
        if next_steps:
            self._out.line()
            self._out.line(("Next", "bold"))
            for step in next_steps:
                self._out.command(f"  {step}")

    def _say(self, *pieces: Piece) -> None:
        """Print a line, but not before the training: a mistake that is found until then is the only line printed."""
        if self._held is None:
            self._out.line(*pieces)
        else:
            self._held.append(pieces)

    def _let_out(self) -> None:
        held, self._held = self._held or [], None
        for pieces in held:
            self._out.line(*pieces)

    def _redraw(self) -> None:
        self._next_redraw = time.monotonic() + REDRAW_S
        if self._live is not None:
            self._live.update(self._training.picture(self._out), refresh=True)


class _Training:
    """How far the training is, and what it looks like."""

    def __init__(self, num_epochs: int, num_steps: int, num_resting: int = 0, learning_epoch_s: float = 0.0) -> None:
        self.num_epochs, self.num_steps = num_epochs, num_steps
        self.num_resting, self.learning_epoch_s = num_resting, learning_epoch_s  # see `Observer.start`
        self.epoch, self.step = 1, 0
        self.last: Epoch | None = None
        self.best: Epoch | None = None
        self.validation_losses: list[float] = []
        self._began = self._first = time.monotonic()
        self._steps_before = 0  # of an earlier session, or of a trunk at rest: they say nothing about the speed now
        self._lines = 0
        self.has_news = False  # an epoch that no line was printed for

    def add(self, epoch: Epoch, best: Epoch | None) -> None:
        if self.last is None:
            self._steps_before = max(0, epoch.epoch - 1) * self.num_steps
        self.last, self.best, self.has_news = epoch, best, True
        self.epoch, self.step = epoch.epoch + 1, 0
        if epoch.epoch == self.num_resting:
            self._began, self._steps_before = time.monotonic(), self.steps_done
        self.validation_losses.append(epoch.validation_loss)

    @property
    def steps_done(self) -> int:
        return (self.epoch - 1) * self.num_steps + self.step

    def steps_per_second(self) -> float:
        seconds = time.monotonic() - self._began
        return max(0, self.steps_done - self._steps_before) / seconds if seconds > 0 else 0.0

    def seconds_left(self) -> float | None:
        """At most: early stopping may end it before. None until the speed is known."""
        speed = self.steps_per_second()
        if self.last is None:
            return None
        if self.epoch <= self.num_resting < self.num_epochs:
            later = (self.num_epochs - self.num_resting) * self.learning_epoch_s
            resting = self.num_resting * self.num_steps - self.steps_done
            return resting / speed + later if speed > 0 and later > 0 else None
        if self.steps_done == self._steps_before:  # the first step of the later epochs is under way
            return (self.num_epochs - self.epoch + 1) * self.learning_epoch_s or None
        return (self.num_epochs * self.num_steps - self.steps_done) / speed if speed > 0 else None

    def share_done(self) -> float:
        """Of the work, 0 to 1: where epochs are of two kinds, of the time."""
        left = self.seconds_left()
        if left is None or self.num_resting == 0:
            return min(1.0, self.steps_done / max(1, self.num_epochs * self.num_steps))
        spent = time.monotonic() - self._first
        return spent / max(spent + left, 1e-9)

    def phases(self) -> str:
        """What a start from a pretrained network does when, and about how long it takes."""
        learning = self.num_epochs - self.num_resting
        if not 0 < self.num_resting < self.num_epochs:
            return ""
        long = f", at most {duration(learning * self.learning_epoch_s)} or so" if self.learning_epoch_s else ""
        return f"; in the last {learning:,} the pretrained network learns, too{long}"

    def is_time_for_a_line(self) -> bool:
        """About ten times over the whole training, the first epoch among them; after slow ones, always."""
        if self.last is None:
            return False
        if 0 < self.num_resting < self.last.epoch and self.num_epochs - self.num_resting <= PROGRESS_LINES:
            return True  # these are the slow ones
        due = 1 + self.last.epoch * PROGRESS_LINES // max(1, self.num_epochs)
        is_due, self._lines = due > self._lines, max(due, self._lines)
        return is_due

    def line(self) -> str:
        """The last epoch in a line."""
        if self.last is None:
            return "first epoch"
        said = (
            f"epoch {self.last.epoch:,} of {self.num_epochs:,}   training loss {loss_text(self.last.train_loss)}   "
            f"validation loss {loss_text(self.last.validation_loss)}"
        )
        return said + (f"   best {loss_text(self.best.validation_loss)} ({self.best.epoch})" if self.best else "")

    def picture(self, out: Printer) -> RenderableType:
        """The live area: bar and time left, both losses, a small curve."""
        left, share = self.seconds_left(), self.share_done()
        row = Table.grid(padding=(0, 1))
        ahead = f"at most {duration(left)} left" if left is not None else "measuring the speed"
        bar: RenderableType = ProgressBar(total=1.0, completed=share, width=28)
        if not out.can_draw:
            bar = Text("[" + ("=" * round(26 * share)).ljust(26) + "]")
        row.add_row("  ", bar, Text(f"{100 * share:3.0f}%"), Text(ahead, style="dim"))
        parts: list[RenderableType] = [row, Text(out.text(f"  {self.line()}"), no_wrap=True, overflow="crop")]
        if len(self.validation_losses) > 1:
            parts.append(Text(out.text(f"  {_curve(self.validation_losses)}"), no_wrap=True, overflow="crop"))
        return Group(*parts)


def print_run(
    summary: Mapping[str, Any],
    epochs: Sequence[Epoch],
    console: Console,
    comparisons: Sequence[Mapping[str, Any]] = (),
) -> None:
    """What `nudge show RUN` prints: the verdict, the scores, the curve. Works on an unfinished run, too."""
    out = Printer(console)
    target = summary.get("target")
    if summary.get("run") or target is not None:
        what = f", predicting `{target}`" if target is not None else ""
        out.line((str(summary.get("run", "run")), "bold"), what)
    if summary.get("rows"):
        parts = ", ".join(f"{number(count)} {part}" for part, count in summary["rows"].items())
        knobs = f"; {number(summary['parameters'])} knobs" if summary.get("parameters") else ""
        out.line((f"rows: {parts}{knobs}", "dim"))
    if epochs:
        last = epochs[-1]
        out.line(
            f"epochs: {len(epochs):,}, training loss {loss_text(last.train_loss)}, "
            f"validation loss {loss_text(last.validation_loss)}"
        )
        if len(epochs) > 1:
            out.line(_curve([epoch.validation_loss for epoch in epochs]))
    _print_summary(out, summary, comparisons)


def print_runs(rows: Iterable[Mapping[str, Any]], console: Console) -> None:
    """What `nudge runs` prints: a line for each run.

    Args:
        rows: each {"name", "when" (ISO 8601), "state" (done | interrupted | live), "target", "summary"}; the summary is
            empty of a run that is not done.
    """
    out = Printer(console)
    listed = list(rows)
    if not listed:
        out.line("No runs yet. Start one: nudge train FILE --target COLUMN")
        return
    is_wide = out.width >= 100
    table = _plain_table()
    for heading in ("run", "target", "test score", "verdict", "when", *(["task", "rows"] if is_wide else [])):
        right = heading in ("test score", "rows")
        table.add_column(heading, justify="right" if right else "left", overflow="fold", no_wrap=heading == "run")
    for row in listed:
        summary: Mapping[str, Any] = row.get("summary") or {}
        sign, words, tone = verdict_words(summary)
        state = str(row.get("state") or "done")
        verdict = (
            Text(out.text(f"{sign} {words}"), style=_STYLES[tone]) if state == "done" else Text(state, style="cyan")
        )
        when = str(row.get("when", "")).replace("T", " ")
        cells = [
            str(row.get("name", "")),
            shortened(str(row.get("target") or summary.get("target", "")), 18 if is_wide else 12),
            _test_score(summary, with_interval=is_wide),
        ]
        told = [when[: 16 if is_wide else 10]]
        if is_wide:
            counts = summary.get("rows") or {}
            told += [str(summary.get("task", "")), number(sum(counts.values())) if counts else ""]
        table.add_row(*(Text(out.text(c)) for c in cells), verdict, *(Text(out.text(c)) for c in told))
    out.table(table)


def _test_score(summary: Mapping[str, Any], *, with_interval: bool) -> str:
    """The metric that counts on the test part, with its interval; a percentage needs no name."""
    name, tested = main_metric(summary), metrics_of(summary, "test")
    if name not in tested:
        return ""
    value, interval = score(name, tested[name]), interval_in_words(summary) if with_interval else ""
    value = f"{value} ({interval})" if interval else value
    return value if name == "accuracy" else f"{metric(name).label} {value}"


def _print_summary(out: Printer, summary: Mapping[str, Any], comparisons: Sequence[Mapping[str, Any]]) -> None:
    """Verdict, scores, advice."""
    found = summary.get("verdict") or {}
    sign, words, tone = verdict_words(summary)
    out.line()
    out.line((f"{sign} {words}", f"bold {_STYLES[tone]}"))
    if found.get("reason"):
        out.line(str(found["reason"]))
    _print_scores(out, summary, comparisons)
    if found.get("advice"):
        out.line()
        out.line(("What to try", "bold"))
        for advice in found["advice"]:
            typed = [("  " + flag(advice), "cyan")] if flag(advice) else []
            out.line(f"  {advice.get('text', '')}", *typed)


def _print_scores(out: Printer, summary: Mapping[str, Any], comparisons: Sequence[Mapping[str, Any]]) -> None:
    part = "test" if metrics_of(summary, "test") else "validation"
    ours, name = metrics_of(summary, part), main_metric(summary)
    if not name:
        return
    target = str(summary.get("target", ""))
    names = [name, *(other for other in ours if other != name)][:4]
    compared = {str(c["other"]): str(c.get("verdict", "")) for c in comparisons if c.get("metric") == name}
    table = _plain_table()
    table.add_column(f"on the {part} part", overflow="fold")
    for other in names:
        table.add_column(out.text(metric(other).label), justify="right", overflow="fold")
    table.add_column("the network is" if compared else "", overflow="fold")
    table.add_row(Text("this network", style="bold"), *(Text(score(n, ours.get(n)), style="bold") for n in names), "")
    models = models_of(summary)
    for model, values in baselines_of(summary, part).items():
        sign, words = COMPARED.get(compared.get(model, "").replace("_", " "), ("", ""))
        cells = [Text(out.text(score(n, values.get(n)))) for n in names]
        table.add_row(
            Text(out.text(models.get(model, model).removeprefix("always "))),
            *cells,
            Text(out.text(f"{sign} {words}".strip())),
        )
    out.line()
    out.table(table)
    rows = "rows that it never saw" if part == "test" else "the validation rows, which helped to choose it"
    said = f"On {rows}, the network {score_in_words(name, ours[name], target)}"
    interval = interval_in_words(summary) if part == "test" else ""
    said += f" ({metric(name).label} {interval}: 95% interval)." if interval else "."
    out.line()
    out.line(f"{said} {worth_it(comparisons, name, models)}".strip())
    about_probabilities = probabilities_in_words(summary, part)
    if about_probabilities:
        out.line(about_probabilities)


def _plain_table() -> Table:
    return Table(box=None, padding=(0, 2, 0, 0), header_style="dim", pad_edge=False)


def _curve(losses: Sequence[float]) -> str:
    """The small curve; on a log scale where the losses span a decade, else its end would be flat."""
    finite = [loss for loss in losses if math.isfinite(loss)]
    if finite and min(finite) > 0 and max(finite) > 10 * min(finite):
        logs = [math.log(loss) if math.isfinite(loss) else loss for loss in losses]
        return f"validation loss, log scale  {sparkline(logs, CURVE_WIDTH)}"
    return f"validation loss  {sparkline(losses, CURVE_WIDTH)}"
