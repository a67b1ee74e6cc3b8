"""The playground: two columns, a small network, the real loop, and the boundary between its answers as it moves.

A training is prepared as `nudge train` does, and runs in a thread of its own that takes turns with the page's other
arithmetic. It stands still at a step boundary while somebody has paused it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from torch import Tensor, nn

from nudgenet import bookkeeping
from nudgenet.data.features import NumberFeature
from nudgenet.data.given_test import read_with_test
from nudgenet.data.read import read
from nudgenet.errors import ColumnError, UserError
from nudgenet.job import Log, Table
from nudgenet.networks.capacity import choose_capacity
from nudgenet.networks.ensemble import Ensemble
from nudgenet.networks.mlp import MLP, Layer
from nudgenet.observer import Silent
from nudgenet.page.context import BadRequest, as_json, parse_object
from nudgenet.page.insights import Axis, number_axis, prepared_back
from nudgenet.page.opened import Workshop, give_way
from nudgenet.page.sources import source_at
from nudgenet.page.toys import toy
from nudgenet.pipeline import begin, prepare_table
from nudgenet.records import Label, Part, Raw
from nudgenet.run import Run
from nudgenet.settings import Settings, make_settings
from nudgenet.training.loop import evaluate, fit, training_sample, weighted_mean
from nudgenet.training.place import Place, working_at
from nudgenet.training.plan import make_plan
from nudgenet.training.state import State
from nudgenet.training.stopping import StopSignal

if TYPE_CHECKING:
    from nudgenet.page.context import Context

EPOCHS = 2_000
FRAME_S = 0.1  # between two frames, at least
STEPS_PER_S = 400  # so that an eye can follow
THREAD = "nudgenet-playground"
RESOLUTION = 60
MOST_POINTS = 600
MOST_LAYERS, MOST_NEURONS = 12, 256
OF_THE_RUN = ("header", "kinds", "task", "group", "time", "test")  # settings that say how its rows are read
CHOICES = ("layers", "activation", "learning_rate", "optimizer", "weight_decay", "dropout", "seed", "batch_size")


# --- what is trained ------------------------------------------------------------------------------


def settings_of(wanted: Mapping[str, Any], more: Mapping[str, Any]) -> Settings:
    """The settings that the controls stand for. Raises SettingError if one cannot be that.

    The learning rate stays as it is set, and nothing stops early: a person wants to see what that does.
    """
    values = {name: wanted[name] for name in CHOICES if wanted.get(name) is not None}
    if wanted.get("neurons") is not None:
        values["width"] = wanted["neurons"]
    network = wanted.get("network") or "mlp"
    if network not in ("mlp", "ensemble"):
        raise BadRequest("The playground has the networks `mlp` and `ensemble`", got=str(network)[:50])
    sizes = [(values.get(name), most) for name, most in (("layers", MOST_LAYERS), ("width", MOST_NEURONS))]
    if any(isinstance(size, int) and size > most for size, most in sizes):
        fix = f"At most {MOST_LAYERS} layers of {MOST_NEURONS} neurons."
        raise BadRequest("The playground draws every weight, ten times a second", fix=fix)
    steady = {"schedule": "constant", "warmup": 0.0, "epochs": EPOCHS, "patience": EPOCHS, "precision": "float32"}
    return make_settings(**{**more, **values, "network": network, **steady})


def rows_of(wanted: Mapping[str, Any], context: Context) -> tuple[Callable[[], tuple[Raw, int]], Settings, str]:
    """(the rows, how they are trained on, a line that does the same), of made-up data or of a person's own."""
    data = wanted.get("data", "spirals")
    if isinstance(data, str):
        rows, noise, seed = wanted.get("rows", 400), wanted.get("noise", 0.1), wanted.get("seed", 0)
        if not all(isinstance(value, int | float) and not isinstance(value, bool) for value in (rows, noise, seed)):
            raise BadRequest("Rows, noise and seed are numbers", got=f"{rows}, {noise}, {seed}")
        table = toy(data, int(rows), float(noise), int(seed))
        settings = settings_of(wanted, {"target": "kind"})
        given = settings.model_dump(mode="json", exclude_unset=True, exclude={"target"})
        source = f"toy({data!r}, {int(rows)}, {float(noise):g}, {int(seed)})"
        words = ", ".join(f"{name}={value!r}" for name, value in given.items())
        line = f'from nudgenet.page.toys import toy; import nudgenet; nudgenet.train({source}, "kind", {words})'
        return lambda: (read(table, settings), 0), settings, line
    if not isinstance(data, Mapping) or not all(isinstance(data.get(axis), str) for axis in ("x", "y")):
        raise BadRequest("The data is a name, or a run or a file with two columns", got=str(data)[:100])
    more: dict[str, Any] = {}
    if "run" in data:
        store = context.store(str(data["run"]))
        given = store.read_json("settings.json")["settings"]
        run = Run(store)
        more = {name: given[name] for name in OF_THE_RUN if name in given} | {"target": run.task.target}
        names = run.preparation.names
        reading: Callable[[Settings], tuple[Raw, int]] = lambda settings: bookkeeping.read_again(store, settings)  # noqa: E731
    else:
        path = source_at(str(data.get("path", "")))
        names = tuple(read(path, Settings()).table.column_names)
        reading = partial(read_with_test, path)
    more["target"] = data.get("target") or more.get("target")
    unknown = [name for name in (data["x"], data["y"], more["target"]) if name not in names]
    if unknown:
        raise ColumnError("There is no such column", got=str(unknown[0]))
    used = {data["x"], data["y"], more["target"], more.get("group"), more.get("time")}
    settings = settings_of(wanted, {**more, "ignore": tuple(name for name in names if name not in used)})
    raw, num_test = reading(settings)
    return lambda: (raw, num_test), settings, bookkeeping.train_command(raw.source, settings, {})


@dataclass
class Game:
    """A training in the playground, ready for its first step."""

    state: State
    table: Table
    place: Place
    command: str
    grid: Mapping[str, Tensor]
    axes: tuple[Axis, Axis]
    sample: Part  # the training rows that are judged
    random: Tensor  # the random state behind the first weights, with which the training goes on

    @classmethod
    def ready(cls, wanted: Mapping[str, Any], context: Context) -> Game:
        """Read, split and prepare as `nudge train` does. Raises UserError for whatever does not fit."""
        rows, settings, command = rows_of(wanted, context)
        table = prepare_table(rows, settings, Log(Silent()))
        data, place = table.prepared, Place(1)
        features = [feature for feature in table.preparation.features if isinstance(feature, NumberFeature)]
        own = wanted.get("data", "spirals")
        names = (own["x"], own["y"]) if isinstance(own, Mapping) else ("x", "y")
        axes = tuple(number_axis(table.preparation, name) for name in names)
        if len(features) != len(table.preparation.features) or len({axis[0] for axis in axes}) != 2:
            raise ColumnError("The playground takes two different columns of numbers", got=", ".join(map(str, names)))
        with working_at(place):
            plan, _ = make_plan(settings, data.shape)
            state = begin(data, choose_capacity(data.shape, settings), plan, place, settings)
            random = torch.get_rng_state()
        grid = grid_inputs(data.shape.num_numbers, axes[0], axes[1])
        return cls(state, table, place, command, grid, (axes[0], axes[1]), training_sample(data, settings.seed), random)

    @property
    def classes(self) -> list[Label]:
        return list(self.table.task.classes)

    def beginning(self) -> dict[str, Any]:
        """What the first frame says once and for all."""
        points = []
        for name in ("train", "validation"):
            part: Part = getattr(self.table.prepared, name)
            some = np.linspace(0, len(part) - 1, min(len(part), MOST_POINTS)).round().astype(np.int64)
            across, up = (prepared_back(part.inputs["numbers"][torch.from_numpy(some)], axis) for axis in self.axes)
            truths = [self.truth(part, int(row)) for row in some]
            points += [
                {"x": float(x), "y": float(y), "truth": truth, "part": name}
                for x, y, truth in zip(across, up, truths, strict=True)
            ]
        ranges = {f"{name}_range": list(axis[2:]) for name, axis in zip("xy", self.axes, strict=True)}
        return {"points": points, **ranges, "classes": self.classes, "command": self.command}

    def truth(self, part: Part, row: int) -> Label | float:
        """A row's target as a person knows it."""
        value = part.targets[row]
        if self.classes:
            return self.classes[int(value)]
        return float(self.table.preparation.restore(np.array(float(value))))

    def frame(self) -> dict[str, Any]:
        """How things stand now. Draws no random numbers, and leaves the network as it was."""
        state, data = self.state, self.table.prepared
        network = state.kept
        was_training = network.training
        losses = [
            weighted_mean(evaluate(network, part, state.objective)[0], part) for part in (self.sample, data.validation)
        ]
        network.eval()
        with torch.inference_mode():
            answers = state.objective.predict(state.objective.unite(network(self.grid))).numpy()
            layers = layers_of(network)
        network.train(was_training)
        return {
            "epoch": state.epoch,
            "step": state.step,
            "train_loss": losses[0],
            "validation_loss": losses[1],
            "grid": self.rounded(answers),
            "network": {"layers": layers},
            "done": False,
        }

    def rounded(self, answers: np.ndarray) -> Any:
        """The grid, lines from the lowest up, to as many digits as an eye can tell."""
        if not self.classes:
            restored = self.table.preparation.restore(answers)
            spread = float(np.ptp(restored)) or 1.0
            digits = max(0, 3 - int(np.floor(np.log10(spread))))
            return restored.round(digits).reshape(RESOLUTION, RESOLUTION).tolist()
        found = answers[:, 1] if len(self.classes) == 2 else answers
        return found.round(3).reshape(RESOLUTION, RESOLUTION, *found.shape[1:]).tolist()


def grid_inputs(num_numbers: int, x: Axis, y: Axis) -> dict[str, Tensor]:
    """Prepared inputs for a net of points over both columns."""
    across, up = np.meshgrid(*(np.linspace(low, high, RESOLUTION) for _, _, low, high in (x, y)))
    numbers = torch.zeros(RESOLUTION**2, num_numbers)
    for (place, feature, _, _), values in zip((x, y), (across, up), strict=True):
        for offset, encoded in enumerate(feature.encode(values.ravel())):
            numbers[:, place + offset] = torch.from_numpy(encoded)
    return {"numbers": numbers, "categories": torch.zeros(RESOLUTION**2, 0, dtype=torch.int64)}


def layers_of(network: nn.Module) -> list[dict[str, Any]]:
    """The weights and biases of each layer; of an ensemble, those of its first member."""
    if isinstance(network, Ensemble):
        parts = list(network.member(0))
    else:
        assert isinstance(network, MLP)
        parts = [*network.layers, network.output]
    sums = [part.sum if isinstance(part, Layer) else part for part in parts]
    return [{"weights": one.weight.tolist(), "biases": one.bias.tolist()} for one in sums if isinstance(one, nn.Linear)]


# --- how it runs ----------------------------------------------------------------------------------


class Session:
    """One playground: a training at a time, and the frames that it sends.

    Args:
        send: takes a frame; called from the training's thread.
    """

    def __init__(self, context: Context, workshop: Workshop, send: Callable[[dict[str, Any]], None]) -> None:
        self._context, self._workshop, self._send = context, workshop, send
        self._thread: threading.Thread | None = None
        self._stop = StopSignal()
        self._changed = threading.Condition()
        self._may_run, self._steps = True, 0  # running, or so many single steps
        self._is_over = False

    def do(self, message: Mapping[str, Any]) -> None:
        """Start (again), pause, go, step or stop. Raises BadRequest for anything else."""
        what = message.get("do")
        if what == "start":
            self._finish()
            with self._changed:
                if self._is_over:  # whoever asked has left while the training before this one came to its end
                    return
                self._stop, self._may_run, self._steps = StopSignal(), True, 0
                wish = (dict(message), self._stop)
                self._thread = threading.Thread(target=self._run, args=wish, name=THREAD, daemon=True)
                self._thread.start()
        elif what == "stop":
            self._finish()
        elif what in ("pause", "go", "step"):
            with self._changed:
                self._may_run = what == "go"
                self._steps = self._steps + 1 if what == "step" else 0
                self._changed.notify_all()
        else:
            raise BadRequest("The playground knows start, pause, go, step and stop", got=str(what)[:50])

    def _finish(self) -> None:
        """End the training that is under way, if there is one; another may begin."""
        if self._thread is None:
            return
        self._ask_to_stop()
        self._thread.join()
        self._thread = None

    def end(self) -> None:
        """Once and for all, without waiting: the training ends before its next step, and none begins any more."""
        with self._changed:
            self._is_over = True
        self._ask_to_stop()

    def _ask_to_stop(self) -> None:
        with self._changed:
            self._stop.request("the playground was closed")
            self._changed.notify_all()

    def _run(self, wanted: dict[str, Any], stop: StopSignal) -> None:
        give_way()
        try:
            with self._workshop.torch:
                game = Game.ready(wanted, self._context)
                with working_at(game.place):
                    self._train(game, stop)
        except UserError as error:
            if not stop.reason:  # else the page shows another one by now
                self._send({"error": str(error)})
        except Exception as error:  # a mistake of ours: the page must not wait for frames that never come
            self._send({"error": bug(error)})
            raise

    def _train(self, game: Game, stop: StopSignal) -> None:
        if stop.reason:
            return
        self._send({**game.frame(), **game.beginning()})
        shown = next_step = time.monotonic()
        is_single = False

        def on_step(*_: Any) -> None:
            nonlocal shown, next_step, is_single
            now = time.monotonic()
            if is_single or now - shown > FRAME_S or not self._may_run:
                shown = now
                self._send(game.frame())
            is_single = False
            next_step = max(next_step + 1 / STEPS_PER_S, now - FRAME_S)
            with self._workshop.let_others(), self._changed:
                if (ahead := next_step - time.monotonic()) > 0 and not stop.reason:
                    self._changed.wait(ahead)
                while not (self._may_run or self._steps or stop.reason):
                    self._changed.wait()
                if self._steps:
                    self._steps, is_single = self._steps - 1, True

        torch.set_rng_state(game.random)
        for _ in fit(game.state, game.table.prepared, on_step=on_step, stop=stop):
            pass
        if not stop.reason:
            failure = {"error": game.state.failure} if game.state.failure else {}
            self._send({**game.frame(), "done": True, **failure})


def bug(error: Exception) -> str:
    """One line about what should not have happened."""
    said = " ".join(str(error).split())[:200]
    return f"This is a bug in nudgenet ({type(error).__name__}: {said}): the lines where `nudge page` was started say more."


class Outbox:
    """The frames that are to be sent: of those that nobody has taken yet, only what is newest is kept."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._lock = loop, threading.Lock()
        self._waiting: dict[str, Any] | None = None
        self._is_there = asyncio.Event()

    def put(self, frame: dict[str, Any]) -> None:
        """From any thread. What the first frame says once stays in it."""
        with self._lock:
            if frame.get("command"):
                self._waiting = frame
            else:
                self._waiting = {**(self._waiting or {}), **frame}
        with suppress(RuntimeError):  # the page is closed
            self._loop.call_soon_threadsafe(self._is_there.set)

    async def take(self) -> dict[str, Any]:
        """The next frame."""
        while True:
            await self._is_there.wait()
            self._is_there.clear()
            with self._lock:
                frame, self._waiting = self._waiting, None
            if frame is not None:
                return frame


def route(context: Context, workshop: Workshop) -> WebSocketRoute:
    """The playground's socket; `Session.do` says what it takes, `Game.frame` what it sends."""

    async def play(socket: WebSocket) -> None:
        await socket.accept()
        outbox = Outbox(asyncio.get_running_loop())
        session = Session(context, workshop, outbox.put)

        async def send() -> None:
            while True:
                await socket.send_text(as_json(await outbox.take()).decode())

        sending = asyncio.create_task(send())
        try:
            while True:
                try:
                    await asyncio.to_thread(session.do, parse_object(await socket.receive_text()))
                except UserError as error:
                    outbox.put({"error": str(error)})
        except WebSocketDisconnect:
            pass
        finally:
            sending.cancel()
            session.end()  # here and now: in a thread it would be cancelled with the socket, perhaps before it began

    return WebSocketRoute("/api/playground", play)
