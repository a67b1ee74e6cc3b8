"""The notebook face: curves that grow in a cell while a network trains, and `nudgenet.watch(run)` afterwards.

The chart is the page's own (`page/static/chart.js`), its modules put into one by `bundle`. Outside an IPython kernel
nothing here is used.
"""

from __future__ import annotations

import functools
import json
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nudgenet.bundle import STATIC, bundle
from nudgenet.errors import MissingExtra, counted
from nudgenet.records import Decision, Epoch
from nudgenet.runs.store import Store
from nudgenet.watching.curves import best_epoch, kept_when_thinned, overfit_since

if TYPE_CHECKING:
    from nudgenet.observer import Observer
    from nudgenet.run import Run

REDRAW_S = 0.2  # at most five times a second
SHARE = 0.05  # of the time, for drawing: of a hundred thousand epochs each picture takes long
POINTS = 800
LIBRARIES = ("anywidget", "traitlets")
ROOM = "\n:host { display: block; padding: 10px 16px; border-radius: 8px; }\n"  # around the chart: a cell has none
ADVICE = "pip install 'nudgenet[notebook]'"

Picture = dict[str, Any]


def watch(run: Run | str | Path, *, runs: str | Path = "runs") -> Any:
    """The curves of a run, for a notebook's cell: both losses, the best epoch, where overfitting began, the verdict.

    They grow as long as the run is trained elsewhere and the cell is shown.

    Args:
        run: a run, its folder, or its name under `runs`.

    Returns:
        An anywidget; as the last line of a cell it is shown.

    Raises:
        RunError: there is no such run.
        MissingExtra: anywidget is not installed.
    """
    store = Store.open(run if isinstance(run, str | Path) else run.path, runs)
    if missing := missing_libraries():
        raise MissingExtra("Curves in a notebook need a library that is not installed", got=missing, fix=ADVICE)
    widget = make_widget(picture_of_run(store))

    def look(_: Any, message: Mapping[str, Any], __: Any) -> None:
        if message.get("look"):
            widget.picture = picture_of_run(store)

    widget.on_msg(look)
    return widget


def observer_here() -> Observer | None:
    """Live curves inside an IPython kernel; None elsewhere, or (after a line about it) where anywidget is missing."""
    if not in_kernel():
        return None
    if missing_libraries():
        print(f"nudgenet: for live curves in this notebook, {ADVICE}", file=sys.stderr)
        return None
    return LiveCurves(_shown_below)


def in_kernel() -> bool:
    """Whether this is a notebook's process: IPython has a kernel, which a terminal's has not."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return getattr(shell, "kernel", None) is not None


def missing_libraries() -> str:
    """Their names; "" if all are there."""
    return ", ".join(name for name in LIBRARIES if find_spec(name) is None)


class LiveCurves:
    """What the work reports to inside a notebook (an `Observer`): curves below the cell.

    Args:
        show: shows a picture for the first time, and gives what takes the next ones.
    """

    def __init__(self, show: Callable[[Picture], Callable[[Picture], None]]) -> None:
        self._show = show
        self._update: Callable[[Picture], None] | None = None
        self._epochs: list[Epoch] = []
        self._best: Epoch | None = None
        self._num_epochs = self._steps_per_epoch = 0
        self._due = 0.0
        self._line = ""

    def stage(self, name: str) -> None:
        """A new stage begins; before the training nothing is shown, so that a mistake found until then stands alone."""

    def decision(self, decision: Decision) -> None:
        """An automatic choice was made: the run's card tells."""

    def warning(self, text: str) -> None:
        """Something about the data is odd: the run's card tells."""

    def start(
        self, num_epochs: int, num_steps_per_epoch: int, num_resting: int = 0, learning_epoch_s: float = 0.0
    ) -> None:
        """Training begins."""
        self._num_epochs, self._steps_per_epoch = num_epochs, num_steps_per_epoch
        self._line = f"at most {counted(num_epochs, 'epoch')}"
        self._update = self._show(self._picture())

    def on_step(self, epoch: int, step_in_epoch: int, loss: float) -> None:
        """One step was done."""
        if time.monotonic() >= self._due:
            self._line = f"epoch {epoch:,} of at most {self._num_epochs:,}, step {step_in_epoch:,}"
            self._redraw()

    def epoch(self, epoch: Epoch, best: Epoch | None) -> None:
        """One epoch was done."""
        self._epochs.append(epoch)
        self._best = best
        if time.monotonic() >= self._due:
            self._line = f"epoch {epoch.epoch:,} of at most {self._num_epochs:,}"
            self._redraw()

    def stop(self) -> None:
        """Training ended, for whatever reason: all of it is shown. Safe to call twice."""
        if self._update is None:
            return
        self._line = counted(len(self._epochs), "epoch")
        self._redraw()
        self._update = None

    def _redraw(self) -> None:
        began = time.monotonic()
        if self._update is not None:
            self._update(self._picture())
        now = time.monotonic()
        self._due = now + max(REDRAW_S, (now - began) / SHARE)

    def _picture(self) -> Picture:
        best = None if self._best is None else self._best.step
        return {"name": "Training", **picture_of(self._epochs, best, self._steps_per_epoch), "line": self._line}


# --- pictures -------------------------------------------------------------------------------------


def picture_of(epochs: Sequence[Epoch], best_step: int | None, steps_per_epoch: int) -> Picture:
    """What `page/static/notebook.js` draws. asks: whether it asks how the run goes on, because nobody tells it."""
    since = overfit_since(epochs)
    steps = np.array([epoch.step for epoch in epochs], np.int64)
    overfit = None if since is None else next(epoch.step for epoch in epochs if epoch.epoch == since)
    losses = {name: [getattr(epoch, name) for epoch in epochs] for name in ("train_loss", "validation_loss")}
    return {
        "series": {name: _thinned(steps, np.array(values)) for name, values in losses.items()},
        "steps_per_epoch": steps_per_epoch,
        "best_step": best_step,
        "overfit_from_step": overfit,
        "verdict": None,
        "result": None,
        "asks": False,
    }


def _thinned(steps: np.ndarray, values: np.ndarray) -> dict[str, Any]:
    kept = kept_when_thinned(values, POINTS)
    known = [value if math.isfinite(value) else None for value in values[kept].tolist()]
    return {"x": steps[kept].tolist(), "y": known, "total": len(values), "shown": len(kept)}


def picture_of_run(store: Store) -> Picture:
    """A run as it is by now."""
    epochs, summary = store.epochs(), store.result("summary") or {}
    best = best_epoch(epochs)
    per_epoch = epochs[0].step // epochs[0].epoch if epochs else 0
    live = not store.is_done and store.is_held
    line = counted(len(epochs), "epoch") + (", training" if live else "" if store.is_done else ", interrupted")
    verdict, metric = summary.get("verdict"), summary.get("metric")
    value = (summary.get("metrics") or {}).get("test", {}).get(metric)
    return {
        "name": store.path.name,
        **picture_of(epochs, None if best is None else best.step, per_epoch),
        "line": line,
        "verdict": None if verdict is None else {name: verdict[name] for name in ("state", "reason")},
        "result": None if value is None else {"metric": metric, "value": value},
        "asks": live,
    }


# --- the widget -----------------------------------------------------------------------------------


def make_widget(picture: Picture) -> Any:
    """An anywidget with the chart; give it another `picture` to redraw it."""
    return widget_class()(picture=picture)


@functools.cache
def widget_class() -> Any:
    """Made when it is first needed: the library is an extra."""
    import anywidget
    import traitlets

    content = {"__module__": __name__, "_esm": module(), "picture": traitlets.Dict().tag(sync=True)}
    return type("Curves", (anywidget.AnyWidget,), content)


def module() -> str:
    """The ES module that anywidget runs."""
    # In a shadow tree there is no root element and no body: its host stands for both.
    styles = (STATIC / "style.css").read_text("utf-8")
    styles = styles.replace(':root[data-theme="dark"]', ':host([data-theme="dark"])').replace(":root", ":host")
    styles = styles.replace("\nbody {", "\n:host {")
    styles += ROOM
    render = f'(context) => nudgenetLoad("notebook.js").render(context, {json.dumps(styles)})'
    return f"{bundle('notebook.js')}export default {{ render: {render} }};\n"


def _shown_below(picture: Picture) -> Callable[[Picture], None]:
    """Show a widget below the running cell, and give what changes it."""
    from IPython.display import display

    widget = make_widget(picture)
    display(widget)  # type: ignore[no-untyped-call]

    def update(changed: Picture) -> None:
        widget.picture = changed

    return update
