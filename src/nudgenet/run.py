"""Run: the Python face of a run's folder. Opening one reads only what is asked for."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter

from nudgenet.errors import DataWarning, RunError, counted, shorten
from nudgenet.records import Advice, Decision, Epoch, Label, Raw, Shape, Task, Verdict
from nudgenet.runs.store import Store, all_runs
from nudgenet.scoring.answers import HALF, AnswerRule
from nudgenet.settings import Settings

if TYPE_CHECKING:
    from torch import Tensor, nn

    from nudgenet.data.one_row import RowPreparation
    from nudgenet.data.prepare import Preparation

NAMED = 10  # files (or rows) without an answer that are named, for each reason


@dataclass
class Unanswered:
    """The rows whose image, sound or text could not be decoded, counted over all batches of a source.

    num_rows: of the source so far, with an answer or without.
    reasons: reason -> the files, or the rows of those that have no path.
    """

    num_rows: int = 0
    reasons: dict[str, list[str]] = field(default_factory=dict)

    def note(self, raw: Raw) -> dict[int, str]:
        """Note the next rows; gives which of them cannot be answered, and why not."""
        from nudgenet.data.media import media_errors, media_paths

        errors, paths = media_errors(raw.table), media_paths(raw.table)
        for row, error in errors.items():
            path = paths[row].as_py() if paths is not None else None
            reason = error.partition(":")[0]  # behind it stands what differs from file to file
            self.reasons.setdefault(reason, []).append(path or f"row {self.num_rows + row + 1}")
        self.num_rows += raw.table.num_rows
        return errors

    def __len__(self) -> int:
        return sum(map(len, self.reasons.values()))

    def by_reason(self) -> str:
        """damaged: 12 (`a.png`, `b.png` ...); empty: 1 (`c.png`): the most rows first."""
        most = sorted(self.reasons.items(), key=lambda item: -len(item[1]))
        return "; ".join(f"{reason}: {len(files):,} ({shorten(files, NAMED)})" for reason, files in most)

    def in_words(self) -> list[str]:
        """The warning about them, if there are any."""
        rows = counted(len(self), "row has", "rows have")
        return [f"{rows} no answer. {self.by_reason()}"] if self.reasons else []


class Run:
    """A trained network with everything that is known about it.

    Attributes are read from the folder when they are first used. A run that was interrupted has no
    test metrics and no verdict yet, but it predicts with its best weights so far.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self._store.path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @property
    def is_done(self) -> bool:
        """False while it trains, or if it was interrupted."""
        return self._store.is_done

    @property
    def report(self) -> Path:
        """The report, one HTML file that opens offline."""
        return self._store.report

    @property
    def epochs(self) -> list[Epoch]:
        """The curves: what was known after each epoch."""
        return self._store.epochs()

    @property
    def summary(self) -> dict[str, Any]:
        """What `nudge train --json` prints. Raises RunError if the run was interrupted before its end."""
        summary: dict[str, Any] | None = self._store.result("summary")
        if summary is None:
            raise RunError(
                "This run is not finished", got=str(self.path), fix=f"nudge resume {self.path} continues it."
            )
        return summary | {"run": str(self.path)}

    @property
    def metrics(self) -> dict[str, dict[str, float]]:
        """{"validation": {name: value}, "test": {name: value}}."""
        metrics: dict[str, dict[str, float]] = self.summary["metrics"]
        return metrics

    @property
    def baselines(self) -> dict[str, dict[str, dict[str, float]]]:
        """The simple models on the same split: {name: {"validation": ..., "test": ...}}."""
        baselines: dict[str, dict[str, dict[str, float]]] = self.summary["baselines"]
        return baselines

    @property
    def comparisons(self) -> list[dict[str, Any]]:
        """The paired bootstraps of the test score against each baseline."""
        comparisons: list[dict[str, Any]] = self._store.result("comparisons") or []
        return comparisons

    @property
    def verdict(self) -> Verdict:
        """How the training went, with its evidence."""
        content = self.summary["verdict"]
        advice = tuple(Advice(**item) for item in content["advice"])
        evidence = self._store.result("evidence") or {}
        return Verdict(content["state"], content["best_epoch"], content["reason"], advice, evidence)

    @property
    def decisions(self) -> list[Decision]:
        """Every automatic choice, why it was made, and what overrides it."""
        return [Decision(**item) for item in self._store.read_json("decisions.json")["decisions"]]

    @property
    def warnings(self) -> list[str]:
        """What was odd about the data, counted and named."""
        return list(self._store.read_json("decisions.json")["warnings"])

    @cached_property
    def settings(self) -> Settings:
        """Every setting, with the values that were chosen filled in."""
        content = self._store.read_json("settings.json")
        known: dict[str, Any] = content["settings"] | content["chosen"]
        return Settings(**{name: value for name, value in known.items() if name in Settings.model_fields})

    @cached_property
    def task(self) -> Task:
        """What is predicted."""
        return self.preparation.task

    @property
    def classes(self) -> list[Label]:
        """The classes in the order of `predict_proba`'s columns; empty for a regression."""
        return list(self.task.classes)

    @cached_property
    def preparation(self) -> Preparation:
        """What turns rows into tensors: learned from the training part."""
        from nudgenet.data.prepare import Preparation

        return Preparation.load(self.path)

    @cached_property
    def network(self) -> nn.Module:
        """The trained network, a plain `torch.nn.Module` from prepared inputs to outputs, in evaluation mode."""
        from nudgenet.networks import rebuild
        from nudgenet.runs.checkpoint import load_checkpoint
        from nudgenet.training.state import part_of

        shape = TypeAdapter(Shape).validate_python(self._data["shape"])
        tensors, _ = load_checkpoint(self._store.checkpoint)
        return rebuild(shape, self.settings, part_of(tensors, "best.") or part_of(tensors, "network."))

    def predict(self, data: Any) -> np.ndarray:
        """One answer per row: class labels, or numbers in the target's unit.

        Args:
            data: a dict for one row, a dataframe, an array with the feature columns in their order, or
                a path or query. Unknown values and absent columns are handled and warned about.

        Returns:
            (rows,) of the classes' type, or float64.
        """
        answers, found = self.answer(data)
        _warn(found)
        return self.labels(answers)

    def predict_proba(self, data: Any) -> np.ndarray:
        """Probabilities at the run's temperature, float64 (rows, classes); the columns follow `run.classes`."""
        if self.task.kind == "regression":
            raise RunError("A regression has no probabilities", got=self.name, fix="Use run.predict.")
        answers, found = self.answer(data)
        _warn(found)
        return answers

    @cached_property
    def rule(self) -> AnswerRule:
        """The temperature and the threshold of its answers; a run that was interrupted has not chosen them yet."""
        content = self._store.answer_rule()
        return AnswerRule(**content) if content else AnswerRule(threshold=self.settings.threshold or HALF)

    def labels(self, answers: np.ndarray) -> np.ndarray:
        """Probabilities -> the labels that are answered (the most probable, but for a threshold); numbers as they are."""
        if self.task.kind == "regression":
            return answers
        labels: np.ndarray = np.array(self.task.classes)[self.rule.decide(answers)]
        broken = np.isnan(answers[:, 0])
        return np.where(broken, None, labels.astype(object)) if broken.any() else labels  # type: ignore[call-overload]

    def answer(self, data: Any) -> tuple[np.ndarray, list[str]]:
        """Probabilities (rows, classes) or numbers (rows,), and the warnings about the rows in words."""
        if isinstance(data, Mapping) and self._row_preparation is not None:
            from nudgenet.data.one_row import prepare_row

            if inputs := prepare_row(data, self._row_preparation):
                return self._forward(inputs), []
        found: list[str] = []
        answers = list(self.answer_batches(data, found))
        return np.concatenate(answers), found

    def answer_batches(self, data: Any, found: list[str]) -> Iterator[np.ndarray]:
        """`answer`, some rows at a time; the warnings stand in `found` when all rows are done."""
        unanswered = Unanswered()
        for _, answers, _ in self.answer_rows(data, found, unanswered):
            yield answers
        found += unanswered.in_words()

    def answer_rows(
        self, data: Any, found: list[str], unanswered: Unanswered
    ) -> Iterator[tuple[Raw, np.ndarray, dict[int, str]]]:
        """`answer_batches` with the rows themselves, and which of them have NaN for an answer (and why): files that could
        not be decoded. They are counted in `unanswered`, and are no part of `found`.
        """
        from nudgenet.data.oddities import Oddities

        odd = Oddities()
        for raw in self._read_batches(data):
            inputs, about_columns = self.preparation.apply_batch(raw, odd)
            answers = self._forward(inputs)
            errors = unanswered.note(raw)
            answers[list(errors)] = np.nan
            yield raw, answers, errors
            found += [words for words in (*raw.warnings, *about_columns) if words not in found]
        found += odd.in_words()

    @cached_property
    def _row_preparation(self) -> RowPreparation | None:
        from nudgenet.data.one_row import RowPreparation

        return RowPreparation.of(self.preparation)

    @cached_property
    def _data(self) -> dict[str, Any]:
        """What is known about the source."""
        data: dict[str, Any] = self._store.read_json("data.json")
        return data

    def _forward(self, inputs: Mapping[str, Tensor]) -> np.ndarray:
        """Prepared inputs -> answers in the user's units."""
        import torch

        from nudgenet.training.objectives import answer_function
        from nudgenet.training.place import Place, rows_at_once, working_at

        to_answers = answer_function(self.task.kind, self.settings)
        num_rows = len(next(iter(inputs.values())))
        place, at_once = Place(self.settings.threads or 1), rows_at_once(len(self.classes) or 1)
        answers = []
        with working_at(place), torch.inference_mode():
            for begin in range(0, num_rows, at_once):
                chunk = {name: tensor[begin : begin + at_once] for name, tensor in inputs.items()}
                answers.append(to_answers(self.network(chunk)).numpy())
        joined = np.concatenate(answers)
        return self.preparation.restore(joined) if self.task.kind == "regression" else self.rule.scale(joined)

    def read(self, data: Any) -> Raw:
        """Rows to predict, with the column names of the training data."""
        from nudgenet.data.read import read

        return self._with_media(read(self._named(data), self._reading, columns=self._data["names"]))

    def _read_batches(self, data: Any) -> Iterator[Raw]:
        from nudgenet.data.read import read_batches

        batches = read_batches(self._named(data), self._reading, columns=self._data["names"])
        return (self._with_media(raw) for raw in batches)

    @property
    def _reading(self) -> Settings:
        header, media = None if self._data["has_header"] else self.settings.header, self.preparation.media
        found = self._data.get("encoding")  # of the training's rows: these may be too few to tell it from, or others
        encoding = self.settings.encoding or (f"{found}?" if found else None)
        files = self.preparation.column_of_files
        if media is None:
            return Settings(header=header, encoding=encoding, kinds={files: "text"} if files else {})
        return Settings(
            header=header,
            encoding=encoding,
            kinds={media.column: media.kind},
            image_size=self.settings.image_size,
            sound_rate=self.settings.sound_rate,
        )

    def _with_media(self, raw: Raw) -> Raw:
        """The one column of images or sounds under the name that it had in training: a folder's has a name of its own."""
        from nudgenet.data.media import media_columns

        wanted, found = self.preparation.column_of_files, list(media_columns(raw.table))
        if wanted is None or wanted in raw.table.column_names or len(found) != 1:
            return raw
        names = [wanted if column == found[0] else column for column in raw.table.column_names]
        return replace(raw, table=raw.table.rename_columns(names))

    def _named(self, data: Any) -> Any:
        """A dict of one row and an array of features as columns with names; all else as it is."""
        if isinstance(data, Mapping):
            # One row if its values are single ones, as a JSON object is.
            single = not any(
                hasattr(value, "__len__") and not isinstance(value, str | bytes) for value in data.values()
            )
            return {name: [value] for name, value in data.items()} if single else dict(data)
        if isinstance(data, np.ndarray) and (self.preparation.media is None or data.ndim < 3):
            return self._name_columns(data, [name for name in self._data["names"] if name != self.task.target])
        return data

    def _name_columns(self, array: np.ndarray, features: list[str]) -> dict[str, np.ndarray]:
        rows = array.reshape(1, -1) if array.ndim == 1 else array
        if rows.ndim != 2 or rows.shape[1] != len(features):
            raise RunError(
                f"An array to predict must have {len(features)} columns: the features in their order",
                got=f"shape {array.shape}",
                fix="Pass a dataframe to match columns by name.",
            )
        return {name: rows[:, position] for position, name in enumerate(features)}

    def __repr__(self) -> str:
        if not self.is_done:
            return f"<Run {self.name}: interrupted after {counted(len(self.epochs), 'epoch')}>"
        part = "test" if self.metrics["test"] else "validation"
        scores = ", ".join(f"{name} {value:.4g}" for name, value in self.metrics[part].items())
        return f"<Run {self.name}: {self.task.kind} on {self.task.target!r}, {part} {scores}, {self.verdict.state}>"

    def _repr_html_(self) -> str:
        from nudgenet.report.card import repr_html

        return repr_html(self.summary, self.epochs) if self.is_done else f"<pre>{repr(self)[1:-1]}</pre>"


def load(path: str | Path, runs: str | Path = "runs") -> Run:
    """Open a run by its folder, or by its name under `runs`. Raises RunError if there is none."""
    return Run(Store.open(path, runs))


def overview(runs: str | Path = "runs") -> list[dict[str, Any]]:
    """One line per run under a folder, the newest first: what `nudge runs` lists."""
    rows = []
    for store in all_runs(Path(runs)):
        state = "done" if store.is_done else "live" if store.is_held else "interrupted"
        content, summary = store.read_json("settings.json"), store.result("summary")
        target = content["chosen"].get("target")
        told = {"name": store.path.name, "when": content["created"], "state": state, "target": target}
        rows.append({**told, "summary": summary})
    return rows


def _warn(found: list[str]) -> None:
    for text in found:
        warnings.warn(text, DataWarning, stacklevel=3)
