"""What a run's folder remembers about its beginning, and the checks when it is opened to go on."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from nudgenet.data.encoding import encoding_of_earlier
from nudgenet.data.given_test import read_with_test
from nudgenet.data.read import find_file, is_query, read
from nudgenet.errors import Interrupted, RunError, SettingError, SourceError
from nudgenet.job import Job, Log, Table
from nudgenet.models import find_model, is_run
from nudgenet.networks.capacity import Capacity
from nudgenet.records import Decision, Parts, Raw, Source
from nudgenet.runs.checkpoint import load_checkpoint, save_checkpoint
from nudgenet.runs.store import Store, as_parquet, check_free
from nudgenet.settings import Settings
from nudgenet.training.place import Place
from nudgenet.training.plan import Plan
from nudgenet.training.recorder import Recorder
from nudgenet.training.state import State, pack, unpack

# What a time limit has a say in, besides the network's size. Threads were chosen for the size before it was cut.
DECIDED_BY_TIME = ("epochs", "patience", "batch_size", "frozen_epochs", "threads", "baseline_rows")
MOST_NAME_BYTES = 200  # file systems take 255, and files beside the folder may want a few


@dataclass(frozen=True)
class Wanted:
    """Where a new run is to be: `runs/name`, or `runs/<source>-<time>` without a name."""

    runs: Path
    name: str | None

    @classmethod
    def at(cls, runs: str | Path, name: str | None) -> Wanted:
        """Checked before any work is done. Raises RunError if the folder is there already or cannot be made."""
        if name is not None:
            check_name(name)
        check_free(Path(runs) / (name or "."), exists_ok=name is None)
        return cls(Path(runs), name)

    def folder(self, source_name: str) -> Path:
        """The folder; two runs that start in one second get a number behind the time."""
        if self.name is not None:
            return self.runs / self.name
        stem = f"{source_name}-{datetime.now():%Y%m%d-%H%M%S}"
        folder, number = self.runs / stem, 2
        while folder.exists():
            folder, number = self.runs / f"{stem}-{number}", number + 1
        return folder


def check_name(name: str) -> None:
    """A run's name is one folder's name: nothing that leads elsewhere or that a file system refuses."""
    is_plain = re.fullmatch(r"[^/\\:*?\"<>|\x00-\x1f]+", name) and not name.startswith(".") and name.strip() == name
    if not is_plain or len(name.encode(errors="replace")) > MOST_NAME_BYTES:
        raise RunError("A run's name must be a plain folder name", got=repr(name), fix="For example: --name houses-1")


def chosen_settings(settings: Settings, capacity: Capacity, plan: Plan, place: Place) -> dict[str, Any]:
    """The values behind every setting that was left open: with them a run starts the same way again."""
    names = ("network", "label_smoothing", "unfreeze", "lora", "image_size", "sound_rate")
    of_earlier = ("activation", "normalisation", "residual")  # an earlier run's, if it was started from
    values = {name: getattr(settings, name) for name in (*names, *of_earlier)}
    values |= asdict(plan) | asdict(capacity) | {"threads": place.threads, "precision": place.precision}
    return {name: values[name] for name in values if name in Settings.model_fields and name != "clip"}


def open_run(wanted: Wanted, table: Table, settings: Settings, chosen: Mapping[str, Any], log: Log, job: Job) -> Store:
    """Make a run's folder and write down everything that is known before the first step."""
    store = Store.create(wanted.folder(table.raw.source.name))
    try:
        _write_beginning(store, table, settings, chosen, log, job)
    except BaseException:
        shutil.rmtree(store.path, ignore_errors=True)  # a folder that is no run would only be in the way
        raise
    return store


def _write_beginning(
    store: Store, table: Table, settings: Settings, chosen: Mapping[str, Any], log: Log, job: Job
) -> None:
    data = {
        "source": asdict(table.raw.source),
        "names": table.raw.table.column_names,
        "has_header": table.raw.has_header,
        "encoding": encoding_of_earlier(table.raw.decisions),
        "task": asdict(table.task),
        "shape": asdict(table.prepared.shape),
        "columns": [asdict(column) for column in table.columns],
        "split": split_record(table.parts),
        "num_given_test_rows": table.num_given_test_rows,
    }
    if settings.start_from is not None:
        data["model_sha256"] = find_model(settings.start_from).fingerprint()
    if table.raw.source.kind != "file" and settings.keep_data:
        data["copy_sha256"] = copy_rows(store, table.raw)
    store.write_json("data.json", data)
    write_decisions(store, log)
    for name, content in table.preparation.pack().items():
        store.write(name, content)
    # Last, because a folder with settings.json in it is a run.
    store.write_json(
        "settings.json",
        {
            "created": datetime.now().astimezone().isoformat(timespec="seconds"),
            "versions": {name: version(name) for name in ("nudgenet", "torch", "numpy", "duckdb", "pyarrow")},
            "settings": _with_whole_paths(settings.model_dump(mode="json", exclude_unset=True)),
            "chosen": {"target": table.task.target, **chosen},
            "own_functions": job.own_functions,
            "command": train_command(table.raw.source, settings, chosen),
        },
    )


def write_decisions(store: Store, log: Log) -> None:
    """The decision log and the warnings as they are by now."""
    content = {"decisions": [asdict(item) for item in log.decisions], "warnings": log.warnings}
    store.write_json("decisions.json", content)


def _with_whole_paths(given: dict[str, Any]) -> dict[str, Any]:
    """A test file and a model's folder by their whole paths: a run may go on from another folder."""
    paths = {}
    for name in ("test", "start_from"):
        with suppress(SourceError):  # a query, or a name of Hugging Face
            paths[name] = str(find_file(given.get(name) or ""))
    return given | paths


def split_record(parts: Parts) -> dict[str, Any]:
    """Sizes of the three parts, and a digest that recognises the same split."""
    digest = hashlib.sha256()
    for rows in (parts.train, parts.validation, parts.test):
        digest.update(rows.astype("<i8").data)
    sizes = {"train": len(parts.train), "validation": len(parts.validation), "test": len(parts.test)}
    return sizes | {"sha256": digest.hexdigest()}


def copy_rows(store: Store, raw: Raw) -> str:
    """Keep rows that come from memory or from a query in the run: they may be gone tomorrow."""
    content = as_parquet(raw.table)
    store.write("data.parquet", content)
    return hashlib.sha256(content).hexdigest()


def train_command(source: Source, settings: Settings, chosen: Mapping[str, Any] | None = None) -> str:
    """The command, or the line of Python, that makes a run.

    chosen: what a run that was made decided by the clock: again, it is to come out the same whatever the clock says.
    """
    given = given_settings(settings)
    if chosen is not None and given.pop("time_limit", None) is not None:
        given |= {name: chosen[name] for name in DECIDED_BY_TIME if chosen.get(name)}
    if source.location is None:
        target = given.pop("target", None)
        rest = "".join(f", {name}={value!r}" for name, value in given.items())
        return f"nudgenet.train(data, {target!r}{rest})"
    return shlex.join(["nudge", "train", *train_words(_short(source.location, source.kind), given)])


def given_settings(settings: Settings) -> dict[str, Any]:
    """What was set, as JSON holds it."""
    dumped = settings.model_dump(mode="json", exclude_unset=True)
    return {name: value for name, value in dumped.items() if value is not None or name == "clip"}


def train_words(source: str, given: Mapping[str, Any]) -> list[str]:
    """What stands behind `nudge train` for a source (a path or a query) and what was set."""
    words = [source]
    for name, value in sorted(given.items(), key=lambda item: item[0] != "target"):  # the target first
        if name in ("target", "seed", "test"):
            words += [f"--{name}", str(value)]
        elif name == "start_from":
            words += ["--from", str(value)]
        elif name == "baselines":
            words += [] if value else ["--no-baselines"]
        elif name == "time_limit":
            words += ["--time-limit", f"{value:.15g}s"]
        else:
            words += ["--set", f"{name}={_as_typed(value)}"]
    return words


def _as_typed(value: Any) -> str:
    """A setting's value as the command line takes it."""
    if isinstance(value, Mapping):
        return ",".join(f"{name}:{kind}" for name, kind in value.items())
    return ",".join(value) if isinstance(value, list) else str(value)


def _short(location: str, kind: str) -> str:
    """A path below the working folder without the folders above it."""
    if kind != "file":
        return location
    relative = os.path.relpath(location)
    return location if relative.startswith("..") else relative


# Going on


def check_own_functions(store: Store, given: Sequence[str]) -> None:
    """A run that was trained with a function of the user's goes on only with it."""
    needed: list[str] = store.read_json("settings.json")["own_functions"]
    if sorted(needed) != sorted(given):
        missing = ", ".join(f"{name}=" for name in needed) or "none"
        raise RunError(
            "This run was trained with other functions of your own than were passed",
            got=", ".join(given) or "none",
            fix=f"It needs: {missing}. Use nudgenet.resume(run, ...) in Python.",
        )


def check_start(store: Store, settings: Settings) -> None:
    """The pretrained network that a run started from is where it was, unchanged: rows are prepared by its files again.

    Raises:
        RunError: it is gone, or another one lies in its place.
    """
    if settings.start_from is None:
        return
    try:
        found = find_model(settings.start_from).fingerprint()
    except SettingError as error:
        raise RunError(
            "The pretrained network that this run started from is gone or cannot be used any more, so it cannot go on",
            got=f"{settings.start_from}: {error.what}", fix="Put it back, or train again.",
        ) from None  # fmt: skip
    if found != store.read_json("data.json")["model_sha256"]:
        raise RunError(
            "The pretrained network has changed since this run started from it, so it cannot go on",
            got=settings.start_from, fix="Put the old one back, or train again.",
        )  # fmt: skip


def seen_before(table: Table, settings: Settings) -> list[str]:
    """A warning if the run that is started from may have learned from test rows: it split the same source otherwise."""
    if settings.start_from is None or not is_run(Path(settings.start_from)) or table.num_given_test_rows:
        return []  # given test rows were kept apart in both
    earlier = Store.open(settings.start_from)
    data, content = earlier.read_json("data.json"), earlier.read_json("settings.json")
    is_same_source = data["source"]["fingerprint"] == table.raw.source.fingerprint
    if not is_same_source or data["split"]["sha256"] == split_record(table.parts)["sha256"]:
        return []
    seed = content["settings"].get("seed", Settings.model_fields["seed"].default)
    return [
        "The run to start from split this source otherwise, so it learned from rows that are test rows here: the test score "
        f"may be too good. Use --seed {seed} with the same target and shares, or test rows of their own: --test"
    ]


def read_again(store: Store, settings: Settings) -> tuple[Raw, int]:
    """The rows that a run began with, and how many of them are given test rows: from the file, or the run's copy."""
    data = store.read_json("data.json")
    source = data["source"]
    if source["kind"] == "file":
        _check_there(source["location"], "source")
        if settings.test is not None and not is_query(settings.test):
            _check_there(settings.test, "source of test rows")
        return read_with_test(Path(source["location"]), settings)
    path = store.path / "data.parquet"
    if "copy_sha256" not in data or not path.is_file():
        raise RunError(
            "This run kept no copy of its rows, so it cannot go on",
            got=str(path),
            fix="Train again without keep_data=false.",
        )
    if hashlib.sha256(path.read_bytes()).hexdigest() != data["copy_sha256"]:
        raise RunError("The run's copy of its rows has changed", got=str(path), fix="Train again.")
    # The copy holds what was read, given test rows and all.
    raw = read(pq.read_table(path), settings.model_copy(update={"test": None}))
    return replace(raw, has_header=data["has_header"]), data["num_given_test_rows"]


def _check_there(path: str, what: str) -> None:
    """Raises SourceError if a file or folder that a run began with is gone."""
    try:
        find_file(path)
    except SourceError:
        raise SourceError(f"The {what} of this run is gone", got=path, fix="Put it back, or train again.") from None


def recall(store: Store, log: Log) -> None:
    """The decision log as it was written when the run began: now every choice would read "as set"."""
    content = store.read_json("decisions.json")
    log.decisions, log.warnings = [Decision(**item) for item in content["decisions"]], content["warnings"]


def check_unchanged(store: Store, table: Table) -> None:
    """The rows and their split are those that the run began with. Raises RunError otherwise."""
    data = store.read_json("data.json")
    source = data["source"]
    if source["kind"] == "file" and source["fingerprint"] != table.raw.source.fingerprint:
        raise RunError(
            "The source has changed since this run began, so it cannot go on",
            got=str(source["location"]),
            fix="Put the old file back, or train again.",
        )
    if data["split"] != split_record(table.parts):
        raise RunError(
            "This version of nudgenet or its libraries splits these rows differently, so the run cannot go on",
            got=str(store.path),
            fix="Resume with the versions in settings.json, or train again.",
        )


def catch_up(store: Store, table: Table, state: State) -> None:
    """Bring a freshly started state to where the run's last checkpoint left it (a new run has none).

    What was recorded after that checkpoint is deleted: those steps will be done again.
    """
    check_unchanged(store, table)
    if store.checkpoint.exists():
        unpack(state, *load_checkpoint(store.checkpoint))
    store.forget_after(state.epoch, state.step)


def save(store: Store, recorder: Recorder, state: State) -> None:
    """Checkpoint the whole state of the loop, and before it what was recorded on the way there."""
    recorder.flush()
    save_checkpoint(store.checkpoint, *pack(state))


@contextmanager
def nothing_to_save_in(job: Job, store: Store, state: State) -> Iterator[None]:
    """Around minutes of work that a resumed run does again: a signal ends it at once, and the run can go on.

    Raises:
        Interrupted: somebody asked to stop; a new run has its first checkpoint then.
    """
    job.stop.has_work = False
    try:
        job.stop.leave_early()
        yield
    except Exception:
        if job.stop.reason and not store.checkpoint.exists():
            save_checkpoint(store.checkpoint, *pack(state))
        leave_if_stopped(job, store, state)
        raise
    finally:
        job.stop.has_work = True


def warn_of_the_clock(state: State, log: Log) -> None:
    """A training that the clock ended is the one thing that the command for the same run cannot repeat."""
    if state.out_of_time:
        done = f"in epoch {min(state.epoch + 1, state.plan.epochs)} of {state.plan.epochs}"
        log.warn(
            [f"The time limit ended the training {done}; the command that makes this run again trains all of them"]
        )


def leave_if_stopped(job: Job, store: Store, state: State) -> None:
    """Raises Interrupted if somebody asked to stop; the state is saved by then."""
    if not job.stop.reason:
        return
    done = f"epoch {state.epoch} of {state.plan.epochs}"
    raise Interrupted(
        f"Stopped by {job.stop.reason} after {done}; everything is saved. "
        f"Go on: nudge resume {shlex.quote(str(store.path))}",
        exit_code=job.stop.exit_code,
    )
