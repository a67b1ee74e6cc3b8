"""The small frozen dataclasses that travel between the parts of the house.

Only data lives here: no reading, no torch code, no decisions. Each record is named for what it
is in the field, and the order below is the order in which a run meets them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from torch import Tensor

TaskKind = Literal["binary", "multiclass", "regression"]
Medium = Literal["image", "sound", "text"]
ColumnKind = Literal[
    "number", "yes_no", "category", "date", "text", "image", "sound", "identifier", "constant", "empty"
]
USED_KINDS: tuple[ColumnKind, ...] = ("number", "yes_no", "category", "date", "text", "image", "sound")
Label = str | int | float | bool


@dataclass(frozen=True)
class Decision:
    """One automatic choice, written down: what was chosen, why, and how to choose otherwise."""

    what: str
    chosen: str
    why: str
    override: str  # what to type to choose otherwise, e.g. "--set task=regression"; "" if nothing can


@dataclass(frozen=True)
class Source:
    """Where rows came from, and the means to recognise them again."""

    kind: Literal["file", "query", "frame", "arrays"]
    name: str  # a short word for the run's folder, e.g. "houses"
    location: str | None  # an absolute path, or the query's text; None for objects in memory
    fingerprint: str  # SHA-256 over the content, hex


@dataclass(frozen=True)
class Raw:
    """Rows as they were read: nothing learned from them, nothing dropped.

    A column of a text file is a string column with the cells as they stood in the file (stripped of
    outer blanks; a cell that held nothing is null). Columns of typed sources keep their types.
    """

    source: Source
    table: pa.Table
    decisions: tuple[Decision, ...] = ()  # delimiter, encoding, header, preamble lines ...
    warnings: tuple[str, ...] = ()
    has_header: bool = True  # False: the names are column_1, column_2 ...
    given_validation: int = 0  # the source names its validation rows: they stand below all others but the test rows
    given_test: int = 0  # the source names its test rows: they stand at the end


@dataclass(frozen=True)
class CellFormat:
    """How the cells of a text column become numbers or dates."""

    decimal: str = "."
    thousands: str = ""
    percent: bool = False  # "12 %" is read as 12
    currency: str = ""  # the sign or code that is taken off
    date: str = ""  # strptime pattern of a date column; "" for ISO and typed dates
    missing: tuple[str, ...] = ()  # the markers (lower case) that stand for a missing cell
    sentinels: tuple[float, ...] = ()  # numbers that look like missing markers: warned about, kept


@dataclass(frozen=True)
class Task:
    """What is to be predicted."""

    target: str
    kind: TaskKind
    classes: tuple[Label, ...] = ()  # sorted; empty for a regression; the second is "positive" if binary
    format: CellFormat = CellFormat()
    why: str = ""


@dataclass(frozen=True)
class Parts:
    """Row numbers (int64, ascending, into `Raw.table`) of the three parts; rows in none were left out."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Column:
    """What a column is, learned from the training part."""

    name: str
    kind: ColumnKind
    why: str
    format: CellFormat = CellFormat()
    num_unique: int = 0
    num_missing: int = 0

    @property
    def used(self) -> bool:
        """Whether the network sees it."""
        return self.kind in USED_KINDS


@dataclass(frozen=True)
class ImageShape:
    """The images that a network takes in, or the pictures of sounds (pitches x moments).

    center, spread: of each channel in training, on a scale from 0 to 1.
    windows: pictures of one row, which stand in place of further channels; its answer is the mean of theirs.
    model: the config, as JSON, of the pretrained network that looks at them; "" for a fresh one.
    """

    channels: int
    height: int
    width: int
    center: tuple[float, ...]
    spread: tuple[float, ...]
    windows: int = 1
    medium: Medium = "image"
    model: str = ""


@dataclass(frozen=True)
class SoundShape:
    """The sounds that a pretrained network hears: `samples` of each, `rate` a second.

    model: its config as JSON. extractor: its preprocessor's settings, as JSON.
    """

    samples: int
    rate: int
    model: str
    extractor: str


@dataclass(frozen=True)
class TextShape:
    """The texts that a network takes in: numbers below `num_terms` (0: nothing), in `places` places of a row.

    columns, model: for a pretrained network, the places of each column of texts, and the network's config as JSON.
    """

    kind: Literal["bag", "sequence", "pretrained"]
    num_terms: int
    places: int
    columns: tuple[int, ...] = ()
    model: str = ""


@dataclass(frozen=True)
class Shape:
    """What a network must take in and give out."""

    num_numbers: int  # float inputs
    cardinalities: tuple[int, ...]  # per category input: number of codes, the unknown code 0 included
    num_outputs: int
    num_rows: int  # training rows
    image: ImageShape | None = None
    text: TextShape | None = None
    sound: SoundShape | None = None

    @property
    def medium(self) -> Medium | None:
        """What it takes in besides the cells of a table."""
        if self.image is not None:
            return self.image.medium
        return "sound" if self.sound is not None else "text" if self.text is not None else None

    @property
    def model(self) -> str:
        """The config, as JSON, of the pretrained network that is started from; "" without one."""
        return next((part.model for part in (self.text, self.image, self.sound) if part and part.model), "")


@dataclass(frozen=True)
class Part:
    """The prepared tensors of one part; the first dimension of every tensor is the row.

    inputs: name -> tensor. Tables: "numbers" float32 (rows, num_numbers) and "categories" int64
        (rows, num_categories); either may have zero columns. With images also "images" uint8 (rows,
        channels, height, width); with sounds uint8 (rows, windows, pitches, moments), or "waves" int16
        (rows, samples), where -32,768 stands for nothing (a sound has ended), for a pretrained network.
        With texts also "tokens" int32 and "token_weights" float32, both (rows, places), and while a pretrained
        network stays as it is "features" float32, what it says of them.
    targets: int64 (rows,) class index, or float32 (rows,) standardised.
    weights: float32 (rows,) or None.
    rows: int64 numpy, the row numbers in `Raw.table`.
    """

    inputs: Mapping[str, Tensor]
    targets: Tensor
    rows: np.ndarray
    weights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True)
class Prepared:
    """Everything the loop needs to know about the data."""

    train: Part
    validation: Part
    test: Part
    task: Task
    shape: Shape
    target_center: float = 0.0  # regression: prediction in the user's unit = output * scale + center
    target_scale: float = 1.0


@dataclass(frozen=True)
class Batch:
    """The rows of one step.

    others, share: where a second row was mixed into each: its target, and how much of the row is its own, float32 (rows,).
    """

    inputs: Mapping[str, Tensor]
    targets: Tensor
    weights: Tensor | None = None
    others: Tensor | None = None
    share: Tensor | None = None


@dataclass(frozen=True)
class Epoch:
    """What is known after one pass over the training rows.

    Both losses are measured alike, in evaluation mode with the weights that would be kept: the
    validation loss on the whole validation part, the training loss on a fixed sample of the training part.
    """

    epoch: int  # 1 is the first
    step: int  # updates so far
    train_loss: float
    validation_loss: float
    train_loss_se: float  # standard error of the mean over rows
    validation_loss_se: float
    learning_rate: float
    gradient_norm: float  # mean over the epoch's steps, before clipping
    seconds: float  # since training began, over all sessions
    train_metrics: Mapping[str, float] = field(default_factory=dict)
    validation_metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Advice:
    """One thing to try, tied to the setting that does it."""

    text: str
    setting: str
    value: Any


@dataclass(frozen=True)
class Verdict:
    """How the training went, with its evidence."""

    state: Literal["good_fit", "overfitting", "underfitting", "not_learning", "diverged", "too_noisy"]
    best_epoch: int  # 0: there was none
    reason: str  # plain English with the numbers in it
    advice: tuple[Advice, ...] = ()
    evidence: Mapping[str, float] = field(default_factory=dict)  # the figures that the rule looked at
