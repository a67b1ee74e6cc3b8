"""A run is a folder: this is the one place that knows what lies in it.

settings.json          what was set and what was chosen; the versions
decisions.json         every automatic choice, and the warnings
data.json              source, fingerprint, split, columns
data.parquet           a copy of the rows, if the source was not a file
preparation.*          what was learned from the training part to prepare rows
answers.json           the temperature and the threshold of its answers, chosen after training
metrics.sqlite         epochs, batches, the health of layers, and the results (scores, verdict ...)
checkpoints/           the whole state of the loop
snapshots/             the state at earlier steps (see snapshots.py)
test_predictions.parquet, report.html, DONE
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nudgenet.errors import RunError, did_you_mean
from nudgenet.records import Epoch
from nudgenet.runs.checkpoint import cannot_write, write_whole
from nudgenet.runs.snapshots import Snapshots

if sys.platform == "win32":
    fcntl = None  # no such locks there
else:
    import fcntl

FORMAT = 1
WAIT_S = 30.0  # for others who write the numbers
ATTEMPTS = 10
TABLES = """
create table if not exists epochs (epoch integer primary key, step integer not null, content text not null);
create table if not exists results (name text primary key, content text not null);
create table if not exists batches (
    step integer primary key, epoch integer not null, loss real, gradient_norm real, learning_rate real
);
create table if not exists health (
    step integer not null, layer text not null, content text not null, primary key (step, layer)
);
"""
BATCH_COLUMNS = ("step", "epoch", "loss", "gradient_norm", "learning_rate")


class Store:
    """The files of one run. Every write is whole or not at all; every failure is one line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: sqlite3.Connection | None = None  # see `writing`

    @classmethod
    def create(cls, path: Path) -> Store:
        """A new run's folder. Raises RunError if it exists already or cannot be made."""
        check_free(path)
        try:
            path.mkdir(parents=True)
            store = cls(path)
            with store._database() as database:
                database.execute("pragma journal_mode=wal")
                database.executescript(TABLES)
        except OSError as error:
            raise cannot_write(path, error) from None
        return store

    @classmethod
    def open(cls, run: str | Path, runs: str | Path = "runs") -> Store:
        """The run with this path, or with this name under `runs`. Raises RunError if there is none."""
        with suppress(OSError):  # a name that no file system takes
            for path in (Path(run), Path(runs) / run):
                if (path / "settings.json").is_file():
                    return cls(path)
        names = [store.path.name for store in all_runs(Path(runs))]
        fix = did_you_mean(str(run), names) if names else f"There are no runs in {runs}/ yet: nudge train makes one."
        raise RunError("There is no such run", got=str(run), fix=fix)

    # Files

    @property
    def checkpoint(self) -> Path:
        """The file that holds the loop's state."""
        return self.path / "checkpoints" / "state.safetensors"

    @property
    def snapshots(self) -> Snapshots:
        """The loop's state at earlier steps."""
        return Snapshots(self.path)

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def is_done(self) -> bool:
        """Whether everything was finished, the report too."""
        return (self.path / "DONE").exists()

    def write_json(self, name: str, content: Any) -> None:
        """Write `name` with a format version in it."""
        text = json.dumps({"format": FORMAT, **content}, indent=2, ensure_ascii=False, allow_nan=False, default=str)
        self.write(name, text.encode(errors="backslashreplace"))  # a path may hold bytes that are no UTF-8

    def read_json(self, name: str) -> dict[str, Any]:
        """Read `name` back. Raises RunError if it is absent, damaged or of a later format."""
        try:
            content: dict[str, Any] = json.loads((self.path / name).read_bytes())
            version = content.pop("format")
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise RunError(
                "This run's folder is damaged", got=f"{self.path / name}: {error}", fix="Train again."
            ) from None
        if version != FORMAT:
            raise RunError(
                "This run was written by a later version", got=f"{self.path / name}", fix="Upgrade nudgenet."
            )
        return content

    def write(self, name: str, content: bytes) -> None:
        """Write any file of the run."""
        write_whole(self.path / name, content)

    def save_answer_rule(self, rule: Mapping[str, float]) -> None:
        """Keep the temperature and the threshold that were chosen after training."""
        self.write_json("answers.json", dict(rule))

    def answer_rule(self) -> dict[str, float] | None:
        """What `save_answer_rule` kept; None before that. Raises RunError if it is damaged."""
        return self.read_json("answers.json") if (self.path / "answers.json").exists() else None

    # Numbers

    def add_epoch(self, epoch: Epoch) -> None:
        """Record an epoch (again, if it was there)."""
        row = (epoch.epoch, epoch.step, json.dumps(_finite(asdict(epoch))))
        with self._database() as database:
            database.execute("insert or replace into epochs values (?, ?, ?)", row)

    def epochs(self) -> list[Epoch]:
        """All recorded epochs in order; a loss that was not finite comes back as NaN."""
        names = {field.name for field in fields(Epoch)}
        epochs = []
        for text in self.epoch_contents():
            values: dict[str, Any] = {name: value for name, value in json.loads(text).items() if name in names}
            values |= {name: float("nan") for name, value in values.items() if value is None}
            epochs.append(Epoch(**values))
        return epochs

    def epoch_contents(self, since: int = 0, limit: int = -1) -> list[str]:
        """The JSON of each epoch after this one, in order: for whoever reads very many of them, or the new ones."""
        query = "select content from epochs where epoch > ? order by epoch limit ?"
        with self._database() as database:
            return [text for (text,) in database.execute(query, (since, limit))]

    def progress(self) -> tuple[int, int]:
        """The last epoch that was recorded, and the steps up to its end; zeros before the first."""
        with self._database() as database:
            last = database.execute("select epoch, step from epochs order by epoch desc limit 1").fetchone()
        return last or (0, 0)

    def best_epoch(self) -> int:
        """The epoch with the lowest validation loss, the first of ties; 0 before the first that has one."""
        loss = "json_extract(content, '$.validation_loss')"
        query = f"select epoch from epochs where {loss} is not null order by {loss}, epoch limit 1"
        with self._database() as database:
            found = database.execute(query).fetchone()
        return 0 if found is None else int(found[0])

    def add_batches(self, rows: Sequence[tuple[int, int, float, float, float]]) -> None:
        """Record steps: `BATCH_COLUMNS` of each. Not flushed to the disk by itself: the next epoch's row does that."""
        with self._database(lasting=False) as database:
            database.executemany("insert or replace into batches values (?, ?, ?, ?, ?)", rows)

    def batches(self, since: int = 0, columns: Sequence[str] = BATCH_COLUMNS) -> dict[str, np.ndarray]:
        """The recorded steps after step `since` in order, column by column (float64, counts int64).

        An interrupted run may have gaps, and a run that was not recorded has none at all.
        """
        names = ["step", *(name for name in BATCH_COLUMNS[1:] if name in columns)]
        rows = self._select("batches", f"select {', '.join(names)} from batches where step > ? order by step", since)
        found = np.array(rows, dtype=np.float64).reshape(len(rows), len(names)).T  # counts are far below 2^53
        kinds = {"step": np.int64, "epoch": np.int64}
        return {
            name: values.astype(kinds.get(name, np.float64)) for name, values in zip(names, found, strict=True)
            if name in columns
        }  # fmt: skip

    def last_batch(self) -> int:
        """The last step that was recorded; 0 if none was."""
        rows = self._select("batches", "select max(step) from batches")
        return (rows and rows[0][0]) or 0

    def rate_at(self, step: int) -> float | None:
        """The learning rate of a step, or of the next one that was recorded; None if none was."""
        rows = self._select("batches", "select learning_rate from batches where step >= ? order by step limit 1", step)
        return float(rows[0][0]) if rows else None

    def add_health(self, step: int, layers: Mapping[str, Mapping[str, Any]]) -> None:
        """Record how the layers were after a step, by their names and in their order."""
        rows = [(step, name, json.dumps(_finite(content))) for name, content in layers.items()]
        with self._database(lasting=False) as database:
            database.executemany("insert or replace into health values (?, ?, ?)", rows)

    def health_steps(self) -> list[int]:
        """The steps after which the layers were looked at."""
        return [step for (step,) in self._select("health", "select distinct step from health order by step")]

    def health(self, step: int | None = None) -> tuple[int, dict[str, dict[str, Any]]]:
        """The last look at the layers up to a step (None: of all): its step, and what `add_health` was given.

        (0, {}) if there was none.
        """
        newest = "select max(step) from health" + ("" if step is None else " where step <= ?")
        ((found,),) = self._select("health", newest, *([] if step is None else [step])) or [(None,)]
        if found is None:
            return 0, {}
        rows = self._select("health", "select layer, content from health where step = ? order by rowid", found)
        return found, {layer: json.loads(content) for layer, content in rows}

    def forget_after(self, epoch: int, step: int) -> None:
        """Delete what was recorded after the checkpoint that a run resumes from; tables that it lacks are made."""
        with self._database() as database:
            database.executescript(TABLES)
            database.execute("delete from epochs where epoch > ?", (epoch,))
            database.execute("delete from batches where step > ?", (step,))
            database.execute("delete from health where step > ?", (step,))
        self.snapshots.forget_after(step)

    def save_result(self, name: str, content: Any) -> None:
        """Keep a JSON-able result (scores, verdict, ...) under a name."""
        text = json.dumps(_finite(content), ensure_ascii=False, default=str)
        text = text.encode(errors="backslashreplace").decode()
        with self._database() as database:
            database.execute("insert or replace into results values (?, ?)", (name, text))

    def result(self, name: str) -> Any:
        """A result by name; None if it is not there yet."""
        with self._database() as database:
            row = database.execute("select content from results where name = ?", (name,)).fetchone()
        return None if row is None else json.loads(row[0])

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Everything is there: make the database one plain file and say so."""
        with self._database() as database:
            for _ in range(ATTEMPTS):
                try:
                    database.execute("pragma journal_mode=delete")
                    break
                except sqlite3.OperationalError:  # somebody reads: SQLite itself does not wait for that
                    time.sleep(0.05)  # whoever never ends gets a file that stays as it is, and is as good
        self.write("DONE", json.dumps(_finite(summary), ensure_ascii=False).encode(errors="backslashreplace"))

    # One process at a time

    @contextmanager
    def held(self, *, patience_s: float = 0.5) -> Iterator[None]:
        """Keep other processes from training this run. Raises RunError if one does already.

        patience_s: how long to try, because `is_held` in another process (a page that looks on) holds it for a moment, too.
        """
        if fcntl is None:
            yield
            return
        folder, tries_until = os.open(self.path, os.O_RDONLY), time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(
                    folder, fcntl.LOCK_EX | fcntl.LOCK_NB
                )  # the system takes it off when we end, also in a crash
                break
            except OSError:
                if time.monotonic() < tries_until:
                    time.sleep(0.02)
                    continue
                os.close(folder)
                raise RunError(
                    "This run is being trained by another process", got=str(self.path), fix="Wait for it, or stop it."
                ) from None
        try:
            yield
        finally:
            os.close(folder)

    @property
    def is_held(self) -> bool:
        """Whether a process is training this run now."""
        try:
            with self.held(patience_s=0):
                return False
        except RunError:
            return True
        except OSError:
            return False

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Keep one connection for everything that is written meanwhile.

        Whenever the last one closes, SQLite folds its log into the file and waits for the disk: several times a second
        that would cost more than the training.
        """
        with self._database() as database:
            self._open = database
            try:
                yield
            finally:
                self._open = None

    @contextmanager
    def _database(self, *, lasting: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction. lasting: wait until the disk has it."""
        path = self.path / "metrics.sqlite"
        try:
            database = self._open or sqlite3.connect(path, timeout=WAIT_S)
            try:
                database.execute(f"pragma synchronous={'full' if lasting else 'normal'}")
                with database:  # one transaction
                    yield database
            finally:
                if database is not self._open:
                    database.close()
        except sqlite3.Error as error:
            raise RunError(
                "The run's numbers cannot be read or written",
                got=f"{path}: {error}",
                fix="Free some space, or check the folder's permissions.",
            ) from None

    def _select(self, table: str, query: str, *values: Any) -> list[Any]:
        """All rows of a query; none if an older version wrote the run without this table."""
        with self._database() as database:
            known = "select 1 from sqlite_master where type = 'table' and name = ?"
            if database.execute(known, (table,)).fetchone() is None:
                return []
            return database.execute(query, values).fetchall()


def all_runs(runs: Path) -> list[Store]:
    """All runs under a folder, the newest first."""
    try:
        folders = [folder for folder in runs.iterdir() if (folder / "settings.json").is_file()]
        return [
            Store(folder)
            for folder in sorted(folders, key=lambda f: (f / "settings.json").stat().st_mtime, reverse=True)
        ]
    except OSError:
        return []


def check_free(path: Path, *, exists_ok: bool = False) -> None:
    """Raises RunError if a run's folder is there already or could not be made: before any work is done."""
    if path.exists() and not exists_ok:
        raise RunError("There is already a run with this name", got=str(path), fix="Choose another --name.")
    folders = [path.absolute(), *path.absolute().parents]
    parent = next(folder for folder in folders if folder.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise RunError(
            "The folder for runs cannot be written", got=str(parent), fix="Choose another folder with --runs."
        )


def as_parquet(table: pa.Table) -> bytes:
    """The bytes of a Parquet file."""
    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer)
    content: bytes = buffer.getvalue().to_pybytes()
    return content


def _finite(content: Any) -> Any:
    """Numbers that JSON does not know become null."""
    if isinstance(content, float):
        return content if content == content and abs(content) != float("inf") else None
    if isinstance(content, Mapping):
        return {str(name): _finite(value) for name, value in content.items()}
    if isinstance(content, Sequence) and not isinstance(content, str | bytes):
        return [_finite(value) for value in content]
    return content
