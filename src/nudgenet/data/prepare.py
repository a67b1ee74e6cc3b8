"""From rows to tensors: learned on the training part only, applied to any rows, saved as JSON and tensors.

`learn` looks at training rows and nothing else; the `Preparation` that it returns does the same thing to
every row ever after, in the run and at prediction.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from nudgenet.data.cells import parse_dates, parse_numbers
from nudgenet.data.columns import encode_target
from nudgenet.data.earlier import as_prepared_before
from nudgenet.data.features import (
    SKEWED,
    CategoryFeature,
    DateFeature,
    Feature,
    NumberFeature,
    learn_category,
    learn_date,
    learn_number,
)
from nudgenet.data.folders import LABEL
from nudgenet.data.media import light, light_table
from nudgenet.data.memory import give_back
from nudgenet.data.oddities import Oddities
from nudgenet.data.starts import MediaFeature, learn_media
from nudgenet.data.texts import TextFeature, encode_texts, learn_text, text_shape
from nudgenet.data.typed import BATCH_ROWS
from nudgenet.errors import ColumnError, RunError, counted, shorten
from nudgenet.models import find_model
from nudgenet.records import Column, Decision, ImageShape, Part, Parts, Prepared, Raw, Shape, SoundShape, Task
from nudgenet.settings import Settings

FORMAT_VERSION = 1
TINIEST = 1e-200  # a smaller unit for targets would make ordinary ones infinite
LARGEST_TARGET = 1e100  # errors are squared and summed, also by the baselines and the scores
FARTHEST = 1e15  # standardised targets beyond this are cut off: their squares must stay finite in float32
LONG_LIST = 100  # lists longer than this are kept beside the JSON, which people may want to read
PACKED = ("levels", "rare", "terms", "rarity", "tokenizer")  # the lists of features that may be long


@dataclass(frozen=True)
class Preparation:
    """What was learned from the training part; enough to prepare any rows and to read the network's answers.

    names: every column of the training table, in its order: target, group and ignored ones too.
    columns: what each column is that could be a feature, used or not.
    features: one per used column.
    target_center, target_scale: a regression's standardised output * scale + center is in the user's unit.
    """

    names: tuple[str, ...]
    columns: tuple[Column, ...]
    features: tuple[Feature, ...]
    task: Task
    target_center: float = 0.0
    target_scale: float = 1.0

    @property
    def number_names(self) -> tuple[str, ...]:
        """The name of every float input, such as "age", "age:missing", "sold:year", "sold:weekday_sin"."""
        return tuple(
            name
            for feature in self.features
            if not isinstance(feature, CategoryFeature | MediaFeature | TextFeature)
            for name in feature.names
        )

    @property
    def category_names(self) -> tuple[str, ...]:
        """The name of every category input."""
        return tuple(feature.column for feature in self.features if isinstance(feature, CategoryFeature))

    @property
    def media(self) -> MediaFeature | None:
        """The column of images or sounds, if there is one."""
        return next((feature for feature in self.features if isinstance(feature, MediaFeature)), None)

    @property
    def texts(self) -> dict[str, slice]:
        """Each column of free text, and its places among the tokens."""
        ends = np.cumsum([0, *(feature.places for feature in self._text_features)]).tolist()
        return {
            feature.column: slice(begin, end)
            for feature, begin, end in zip(self._text_features, ends[:-1], ends[1:], strict=True)
        }

    @property
    def column_of_files(self) -> str | None:
        """The one column that files may stand for."""
        texts = list(self.texts)
        return self.media.column if self.media else texts[0] if len(texts) == 1 else None

    @property
    def example_source(self) -> tuple[str, str]:
        """What `nudge predict` might be given, and in words what else it can be ("" for a plain table)."""
        column, media, table = self.column_of_files, self.media, "NEW_ROWS.csv"
        if column is None:
            return table, ""
        kind = "text" if media is None else media.kind
        if len(self.features) > 1:
            return table, f"a table with the {kind}s, or paths to them, in `{column}`" if media is not None else ""
        if media is None and self.names != ("text", LABEL):  # texts in a table, not in a folder
            return table, "a table, or a folder of texts"
        return f"NEW_{kind.upper()}S/", f"a folder of {kind}s, one {kind}, or a table with them in `{column}`"

    @property
    def _text_features(self) -> list[TextFeature]:
        return [feature for feature in self.features if isinstance(feature, TextFeature)]

    @property
    def cardinalities(self) -> tuple[int, ...]:
        """The number of codes of every category input, the unknown code 0 included."""
        return tuple(feature.cardinality for feature in self.features if isinstance(feature, CategoryFeature))

    def shape(self, num_rows: int) -> Shape:
        """What a network for `num_rows` training rows must take in and give out."""
        seen = self.media.shape if self.media else None
        image = seen if isinstance(seen, ImageShape) else None
        sound = seen if isinstance(seen, SoundShape) else None
        text = text_shape(self._text_features)
        outputs = len(self.task.classes) or 1
        return Shape(len(self.number_names), self.cardinalities, outputs, num_rows, image, text, sound)

    def apply(self, raw: Raw) -> tuple[dict[str, torch.Tensor], list[str]]:
        """Inputs for every row, in order (see `records.Part.inputs`), and warnings that count and name.

        Raises:
            ColumnError: no feature column is there, or more than 5 % of a column's cells are not numbers (dates).
        """
        found = Oddities()
        inputs, warnings = self.apply_batch(raw, found)
        return inputs, [*warnings, *found.in_words()]

    def apply_batch(self, raw: Raw, found: Oddities) -> tuple[dict[str, torch.Tensor], list[str]]:
        """`apply` for some of many rows: what is odd about cells is collected in `found`; warnings about columns."""
        table, warnings = self._match_columns(raw)
        inputs = self.encode(table, found)
        found.num_rows += table.num_rows
        return inputs, warnings

    def encode(self, table: pa.Table, found: Oddities | None = None) -> dict[str, torch.Tensor]:
        """Inputs for every row of a table that has all the feature columns.

        found: rows from elsewhere are checked, and what is odd about them is noted here.
        """
        inputs = self.space(table.num_rows)
        numbers, categories = inputs["numbers"].numpy(), inputs["categories"].numpy()
        next_number = next_category = 0
        for feature in self.features:
            cells = table.column(feature.column)
            if isinstance(feature, MediaFeature):
                inputs[feature.input] = feature.encode(cells, np.arange(len(cells)))
                continue
            if isinstance(feature, TextFeature):
                continue
            if isinstance(feature, CategoryFeature):
                categories[:, next_category], num_new = feature.encode(cells)
                next_category += 1
                if found is not None:
                    found.note_levels(feature, num_new)
                continue
            values, bad = feature.parse(cells)
            if found is not None:
                found.note_cells(feature, cells, values, bad)
            for encoded in feature.encode(values):
                numbers[:, next_number] = encoded
                next_number += 1
        return inputs | self.encode_texts(table)

    def encode_texts(self, table: pa.Table) -> dict[str, torch.Tensor]:
        """The inputs that come from texts, for every row of a table that has their columns; {} without any."""
        return encode_texts(self._text_features, table)

    def space(self, num_rows: int) -> dict[str, torch.Tensor]:
        """Room for the inputs of so many rows, not filled yet (see `records.Part.inputs`)."""
        tables = {
            "numbers": torch.empty(num_rows, len(self.number_names)),
            "categories": torch.empty(num_rows, len(self.category_names), dtype=torch.int64),
        }
        if self.media is not None:
            tables[self.media.input] = self.media.space(num_rows)
        if text := text_shape(self._text_features):
            tables["tokens"] = torch.zeros(num_rows, text.places, dtype=torch.int32)
            tables["token_weights"] = torch.zeros(num_rows, text.places)
        return tables

    def restore(self, outputs: np.ndarray) -> np.ndarray:
        """Standardised outputs of a regression -> float64 in the user's unit."""
        return np.asarray(outputs, np.float64) * self.target_scale + self.target_center

    def standardise_targets(self, values: np.ndarray) -> np.ndarray:
        """Targets of a regression in the user's unit -> float64 with mean 0 and standard deviation 1 in training.

        For the Poisson objective: with mean 1 and never below 0.
        """
        with np.errstate(over="ignore"):
            return (np.asarray(values, np.float64) - self.target_center) / self.target_scale

    def pack(self) -> dict[str, bytes]:
        """The files that `load` reads: `preparation.json` and `preparation.safetensors`."""
        stored: dict[str, Any] = {"format_version": FORMAT_VERSION, **asdict(self)}
        tensors: dict[str, np.ndarray] = {}
        for i, feature in enumerate(stored["features"]):
            for key in PACKED:
                if len(feature.get(key, ())) > LONG_LIST:
                    tensors |= _pack(f"{i}.{key}", feature[key])
                    feature[key] = f"{i}.{key}"
        text = json.dumps(stored, indent=2, ensure_ascii=False, allow_nan=False)
        return {"preparation.safetensors": save(tensors), "preparation.json": text.encode()}

    @classmethod
    def load(cls, folder: Path) -> Preparation:
        """Read what `pack` packed.

        Raises:
            RunError: a file is absent, damaged, or of a version that this one cannot read.
        """
        path = folder / "preparation.json"
        fix = "Restore the run's folder from a copy, or train again."
        try:
            stored = json.loads(path.read_text(encoding="utf-8"))
            version = stored.pop("format_version")
            if version != FORMAT_VERSION:
                raise RunError(
                    f"`{path}` has a format that this version of nudgenet cannot read",
                    got=f"format {version!r}, known is {FORMAT_VERSION}",
                    fix="Use the version of nudgenet that wrote it, or train again.",
                )
            tensors = load_file(folder / "preparation.safetensors")
            for feature in stored["features"]:
                for key in PACKED:
                    if isinstance(feature.get(key), str):
                        feature[key] = _unpack(feature[key], tensors)
            return TypeAdapter(cls).validate_python(stored)
        except RunError:
            raise
        except FileNotFoundError as error:
            raise RunError(f"`{error.filename or path}` is not there", fix=fix) from None
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"]))
            raise RunError(f"`{path}` is damaged", got=f"{where}: {problem['msg']}", fix=fix) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, SafetensorError) as error:
            raise RunError(f"`{path}` is damaged", got=f"{type(error).__name__}: {error}", fix=fix) from None

    def _match_columns(self, raw: Raw) -> tuple[pa.Table, list[str]]:
        """A table with exactly the feature columns; absent ones hold nothing."""
        table = raw.table
        numbered = tuple(f"column_{i + 1}" for i in range(len(self.names)))
        if not raw.has_header and self.names == numbered and table.num_columns == len(numbered) - 1:
            # Neither file names its columns and this one has no target: what stands after it has moved up by one.
            table = table.rename_columns([name for name in numbered if name != self.task.target])
        wanted = [feature.column for feature in self.features]
        absent = [name for name in wanted if name not in table.column_names]
        if wanted and len(absent) == len(wanted):
            raise ColumnError(
                "None of the columns that the network learned from is there",
                got=shorten(table.column_names) or "no columns",
                fix=f"Needed are: {shorten(wanted)}.",
            )
        warnings = []
        if absent:
            what = counted(len(absent), "column is", "columns are")
            warnings.append(f"{what} absent, taken as missing values: {shorten(absent)}")
        if extra := [name for name in table.column_names if name not in self.names]:
            what = counted(len(extra), "column was", "columns were")
            warnings.append(f"{what} not in training: {shorten(extra)} left out")
        columns = {
            name: pa.chunked_array([pa.nulls(table.num_rows, pa.string())]) if name in absent else table.column(name)
            for name in wanted
        }
        return pa.table(columns) if columns else table.select([]), warnings


def learn(
    raw: Raw, parts: Parts, columns: Sequence[Column], task: Task, settings: Settings
) -> tuple[Preparation, list[Decision]]:
    """Everything that preparing needs, from the training rows alone, and the decisions that it took."""
    features, decisions = _features(raw, parts, columns, task, settings)
    preparation = Preparation(tuple(raw.table.column_names), tuple(columns), tuple(features), task)
    if task.kind == "regression":
        targets = encode_target(raw.table.column(task.target).take(parts.train), task)[0]
        if (largest := float(np.abs(targets).max())) > LARGEST_TARGET:
            raise ColumnError(
                f"The target `{task.target}` holds numbers too large to square",
                got=f"{largest:g}",
                fix="Divide it, or take its logarithm.",
            )
        center, scale = _target_scale(targets, is_count=settings.objective == "poisson")
        preparation = replace(preparation, target_center=center, target_scale=scale)
    return preparation, decisions


def _features(
    raw: Raw, parts: Parts, columns: Sequence[Column], task: Task, settings: Settings
) -> tuple[Sequence[Feature], list[Decision]]:
    """How each used column is prepared: learned from the training rows, or as an earlier run did that is started from."""
    if settings.start_from is not None and (model := find_model(settings.start_from)).medium == "table":
        earlier = Preparation.load(model.path).features
        return earlier, as_prepared_before(earlier, raw, columns, task, settings)
    features: list[Feature] = []
    decisions: list[Decision] = []
    beside_files = any(column.kind in ("image", "sound") for column in columns)
    for column in columns:
        if not column.used:
            continue
        cells = light(raw.table.column(column.name)).take(parts.train)
        if column.kind == "number":
            features.append(learn_number(column, parse_numbers(cells, column.format)[0]))
        elif column.kind in ("image", "sound"):
            feature, more = learn_media(column, raw.table.column(column.name), parts.train, settings)
            features.append(feature)
            decisions += more
        elif column.kind == "text":
            num_texts = sum(column.kind == "text" for column in columns)
            text, more = learn_text(column, cells, settings, num_texts, beside_files=beside_files)
            features.append(text)
            decisions += more
        elif column.kind == "date":
            features.append(learn_date(column, parse_dates(cells, column.format)[0].astype("datetime64[us]")))
        else:
            features.append(learn_category(column, cells))
    return features, [*_decisions(features), *decisions]


def _target_scale(targets: np.ndarray, *, is_count: bool) -> tuple[float, float]:
    """(center, scale): mean and standard deviation; counts are only scaled, to mean 1, because they must stay >= 0."""
    magnitude = float(np.abs(targets).max()) or 1.0  # divided by first, so that no square overflows
    mean, deviation = float((targets / magnitude).mean()) * magnitude, float((targets / magnitude).std()) * magnitude
    if is_count:
        return 0.0, mean if mean > TINIEST else 1.0
    return mean, deviation if deviation > TINIEST else 1.0


def prepare(raw: Raw, parts: Parts, preparation: Preparation) -> Prepared:
    """The tensors of all three parts. Each cell is parsed once."""
    targets, _ = encode_target(raw.table.column(preparation.task.target), preparation.task)
    return prepare_batches(raw.table.to_batches(max_chunksize=BATCH_ROWS), targets, parts, preparation)[0]


def prepare_batches(
    batches: list[pa.RecordBatch], targets: np.ndarray, parts: Parts, preparation: Preparation
) -> tuple[Prepared, pa.Table]:
    """`prepare`, one batch of rows after the other; also gives the cells of the test rows, for people to look at.

    Args:
        batches: all rows, in order. The list is emptied on the way: where nobody else holds the cells, the tensors
            grow while the cells go, and at no time are both there in full.
        targets: of all rows, as `encode_target` gives them.
    """
    task = preparation.task
    if task.kind == "regression":
        standardised = np.clip(preparation.standardise_targets(targets), -FARTHEST, FARTHEST).astype(np.float32)
    else:
        standardised = targets.astype(np.int64)
    all_rows = (parts.train, parts.validation, parts.test)
    spaces = [preparation.space(len(rows)) for rows in all_rows]
    first, test_cells = 0, list[pa.Table]()
    batches.reverse()
    while batches:
        table = pa.Table.from_batches([batches.pop()])
        inputs = preparation.encode(table)
        for rows, space in zip(all_rows, spaces, strict=True):
            begin, end = np.searchsorted(rows, [first, first + table.num_rows])
            chosen = torch.from_numpy(rows[begin:end] - first)
            for name, tensor in inputs.items():
                torch.index_select(tensor, 0, chosen, out=space[name][begin:end])
        begin, end = np.searchsorted(parts.test, [first, first + table.num_rows])
        test_cells.append(light_table(table).take(parts.test[begin:end] - first))
        first += table.num_rows
        del table, inputs
        give_back()  # else the memory of cells that are gone stays reserved
    ready = [
        Part(space, torch.from_numpy(standardised[rows]), rows) for rows, space in zip(all_rows, spaces, strict=True)
    ]
    shape = preparation.shape(len(parts.train))
    train, validation, test = ready
    center, scale = preparation.target_center, preparation.target_scale
    prepared = Prepared(train, validation, test, task, shape, center, scale)
    return prepared, pa.concat_tables(test_cells)


def _decisions(features: Sequence[Feature]) -> list[Decision]:
    """What was chosen for the columns, in words."""
    numbers = [feature for feature in features if isinstance(feature, NumberFeature)]
    dates = [feature for feature in features if isinstance(feature, DateFeature)]
    categories = [feature for feature in features if isinstance(feature, CategoryFeature)]
    decisions = []
    if numbers:
        why = "networks learn best from inputs of like size; outliers are pulled in so that they decide nothing"
        decisions.append(
            Decision("scaling", f"{counted(len(numbers), 'number')} to mean 0, standard deviation 1", why, "")
        )
    if logs := [feature.column for feature in numbers if feature.unit]:
        why = f"their training values are heavily skewed (skewness above {SKEWED:g})"
        decisions.append(Decision("logarithm", shorten(logs), why, ""))
    if missing := [feature.column for feature in features if feature.has_missing]:
        why = "a number becomes the average, and an extra input says that it was missing; a category gets its own level"
        decisions.append(Decision("missing values", shorten(missing), why, ""))
    if dates:
        chosen = ", ".join(f"`{feature.column}` as {_date_words(feature)}" for feature in dates)
        decisions.append(Decision("dates", chosen, "the parts that vary in training", ""))
    if rare := [feature for feature in categories if feature.rare]:
        counts = [f"{len(f.rare):,} of {len(f.rare) + len(f.levels):,} of `{f.column}`" for f in rare]
        why = f"too few training rows to learn from, such as {shorten([feature.rare[0] for feature in rare], 3)}"
        decisions.append(Decision("rare levels count as unknown", ", ".join(counts), why, ""))
    return decisions


def _date_words(feature: DateFeature) -> str:
    return ", ".join(part.name for part in feature.parts) or "nothing"


# --- files ----------------------------------------------------------------------------------------


def _pack(name: str, texts: Sequence[str] | Sequence[float]) -> dict[str, np.ndarray]:
    """A list of numbers as a tensor, one of texts as two: UTF-8 bytes, and the end of each text in them."""
    if not isinstance(texts[0], str):
        return {f"{name}.numbers": np.array(texts, np.float64)}
    encoded = [str(text).encode("utf-8", "surrogatepass") for text in texts]
    ends = np.cumsum([len(text) for text in encoded], dtype=np.int64)
    return {f"{name}.bytes": np.frombuffer(b"".join(encoded), np.uint8).copy(), f"{name}.ends": ends}


def _unpack(name: str, tensors: Mapping[str, np.ndarray]) -> list[str] | list[float]:
    """What `_pack` packed."""
    if f"{name}.numbers" in tensors:
        numbers: list[float] = tensors[f"{name}.numbers"].tolist()
        return numbers
    content = tensors[f"{name}.bytes"].tobytes()
    ends = tensors[f"{name}.ends"].tolist()
    return [
        content[start:end].decode("utf-8", "surrogatepass") for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]
