"""Settings: every choice, its default and its reason; one schema for command line, Python and page.

`None` means "chosen from the data, and the decision log says how".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from encodings.aliases import aliases
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from nudgenet.errors import SettingError, did_you_mean
from nudgenet.records import ColumnKind, Medium

AUGMENTATIONS: dict[Medium, tuple[str, ...]] = {
    "image": ("flip", "shift", "cutout", "colour", "mixup", "cutmix"),
    "sound": ("crop", "delay", "tempo", "pitch", "gain", "noise", "mask"),
    "text": ("words",),
}


def _is_encoding(name: str) -> bool:
    """Whether Python knows it as an encoding of text, and not as some other way to write bytes."""
    try:
        return isinstance(b"a\xff".decode(name, errors="replace"), str)
    except (LookupError, ValueError):  # the latter: a name that no encoding can have, or no damage allowed
        return False


class Settings(BaseModel):
    """Every choice of a run. Frozen: a run's settings never change under it."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    # The question
    target: str | int | None = Field(
        None, description="the column to predict: a name, or a 1-based position (-1 is the last)"
    )
    task: Literal["binary", "multiclass", "regression"] | None = Field(
        None, description="what kind of answer: classes or a number"
    )

    # The data
    test: str | None = Field(None, description="a source of test rows; without it a part is held out")
    validation_share: float = Field(0.15, gt=0, lt=0.5, description="the part that tunes the training")
    test_share: float = Field(0.15, gt=0, lt=0.5, description="the part that is read once, at the end")
    group: str | None = Field(
        None, description="a column whose equal values must stay in one part (a patient, a house)"
    )
    time: str | None = Field(None, description="a column to split by: train on the past, test on the future")
    ignore: tuple[str, ...] = Field((), description="columns that the network must not see")
    kinds: dict[str, ColumnKind] = Field({}, description="what columns are, such as zip:category,year:date")
    header: bool | None = Field(None, description="whether the first line of a text file names the columns")
    encoding: str | None = Field(
        None,
        description="how text is encoded that is not UTF-8 and has no mark, such as cp1252 or koi8-r; koi8-r? where its letters may overrule it",
    )
    keep_data: bool = Field(
        True, description="copy dataframe and query sources into the run, so that it can be resumed"
    )
    seed: int = Field(0, ge=0, lt=2**63, description="drives every random choice")

    # The network
    effort: Literal["quick", "default", "best"] = Field(
        "default", description="how long the training may take for a better network"
    )
    network: str = Field("ensemble", description="which network (see networks.NETWORKS)")
    members: int | None = Field(
        None, ge=1, le=256, description="small networks in the ensemble; their answers are averaged"
    )
    copies: int | None = Field(
        None, ge=1, le=64, description="ensembles with knobs of their own, trained as one; averaged, too"
    )
    layers: int | None = Field(None, ge=0, le=64, description="hidden layers; 0 is a linear model")
    width: int | None = Field(None, ge=1, le=16384, description="neurons in each hidden layer")
    activation: Literal["relu", "gelu", "silu", "tanh", "sigmoid", "none"] = Field(
        "relu", description="the kink after each weighted sum"
    )
    dropout: float | None = Field(
        None, ge=0, lt=1, description="share of neurons silenced at random in each training step"
    )
    normalisation: Literal["none", "layer", "batch"] = Field(
        "none", description="re-standardise the sums inside each layer"
    )
    residual: bool = Field(False, description="add each layer's input to its output")

    # A pretrained start
    start_from: str | None = Field(
        None,
        description="a pretrained network to start from (--from): the folder of a model or of a run, a run's name, "
        "or a Hugging Face name that is in the cache",
    )
    unfreeze: bool | None = Field(
        None, description="train the pretrained network's own knobs, too, after the outputs; else it stays as it is"
    )
    lora: int | None = Field(
        None,
        ge=0,
        le=256,
        description="rank of the small products trained beside a pretrained network's knobs, in their place; 0: these themselves",
    )
    frozen_epochs: int | None = Field(
        None,
        ge=0,  # what is recorded of a run without a pretrained trunk
        description="the first epochs, in which a pretrained network stays as it is and only the outputs learn",
    )

    # Images and sounds
    image_size: int | None = Field(None, ge=8, le=1024, description="side in pixels of the squares that images become")
    sound_seconds: float | None = Field(None, gt=0, le=300, description="how much of a sound is looked at in one go")
    sound_rate: int | None = Field(None, ge=0_000, le=192_000, description="samples a second that sounds keep, at most")
    augment: tuple[str, ...] | None = Field(
        None, description="how training images (flip, shift, cutout, colour, mixup, cutmix), sounds (crop, delay, tempo, pitch, gain, "
        "noise, mask) or texts (words) are varied; none: not at all"
    )  # fmt: skip

    # The objective
    objective: str | None = Field(None, description="the loss (see training.OBJECTIVES)")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="how much certainty is taken from the true class")
    class_weights: Literal["none", "balanced"] = Field(
        "none",
        description="balanced: rare classes count as much as common ones; it distorts probabilities, threshold does not",
    )

    # The answers
    metric: str | None = Field(
        None, description="the score that counts: accuracy, auc, f1 or log_loss; rmse, mae or r2 for a number"
    )
    calibrate: bool = Field(
        True, description="scale probabilities by a temperature from the validation part, where that makes them truer"
    )
    threshold: float | None = Field(
        None, gt=0, lt=1, description="yes/no: the probability above which the second class is answered"
    )

    # The loop
    optimizer: str = Field(
        "adamw", description="how a gradient becomes a nudge (see training.OPTIMIZERS); images learn by muon"
    )
    learning_rate: float | None = Field(None, gt=0, description="the size of the nudge")
    momentum: float = Field(0.9, ge=0, lt=1, description="SGD: how much of the last nudge is kept")
    weight_decay: float | None = Field(None, ge=0, description="how strongly weights are pulled to zero")
    schedule: str = Field("cosine", description="the learning rate over time (see training.SCHEDULES)")
    warmup: float = Field(
        0.05, ge=0, le=1, description="share of the training in which the learning rate rises; 0.01 for images, 0.02 for sounds"
    )  # fmt: skip
    clip: float | None = Field(1.0, gt=0, description="longest gradient that is let through; none: no limit")
    epochs: int | None = Field(None, ge=1, description="passes over the training rows, at most")
    batch_size: int | None = Field(None, ge=1, description="rows in one step")
    patience: int | None = Field(
        None, ge=1, description="epochs without a better validation loss before stopping early"
    )
    ema: float | None = Field(None, ge=0, lt=1, description="average the weights over steps with this memory; 0: off")
    time_limit: float | None = Field(None, gt=0, description="seconds for the whole work, at most")

    # The place
    precision: Literal["float32", "bfloat16"] | None = Field(
        None, description="how finely matrix products are computed while training; answers are always float32"
    )
    threads: int | None = Field(None, ge=1, le=1024, description="processor threads for the arithmetic")

    # Honesty
    baselines: bool = Field(True, description="also fit the simple models that a network must beat")
    baseline_rows: int | None = Field(
        None, ge=1, description="training rows that the simple models learn from, at most"
    )
    score_test: bool = Field(True, description="read the test part at the end; false: it stays unread, as in a trial")

    # What is kept for the page
    record: bool = Field(True, description="keep what the page shows beside the curves: steps, health, snapshots")

    @field_validator("clip", "learning_rate", "weight_decay", mode="before")
    @classmethod
    def _none_by_name(cls, value: Any) -> Any:
        return None if isinstance(value, str) and value.lower() in ("none", "off", "auto") else value

    @field_validator("encoding", mode="before")
    @classmethod
    def _known_encoding(cls, value: Any) -> Any:
        value = cls._none_by_name(value)
        if isinstance(value, str) and not _is_encoding(value.removesuffix("?")):
            known = {name.replace("_", "-") for name in (*aliases, *aliases.values()) if not name.isdigit()}
            fix = did_you_mean(value, filter(_is_encoding, known))
            raise SettingError("There is no such encoding", got=repr(value), fix=fix)
        return value

    @field_validator("time_limit", mode="before")
    @classmethod
    def _seconds(cls, value: Any) -> Any:
        value = cls._none_by_name(value)
        return parse_seconds(value) if isinstance(value, str) else value

    @field_validator("kinds", mode="before")
    @classmethod
    def _kinds_by_name(cls, value: Any) -> Any:
        return parse_kinds(value) if isinstance(value, str | Mapping) else value

    @field_validator("augment", mode="before")
    @classmethod
    def _ways(cls, value: Any) -> Any:
        value = cls._comma_list(value)
        if value is None:
            return None
        ways = () if value == ("none",) else tuple(value)
        for way in ways:
            known = [name for names in AUGMENTATIONS.values() for name in names]
            if way not in known:
                raise SettingError(
                    f"There is no way `{way}` to vary images, sounds or texts", fix=did_you_mean(way, known)
                )
        return ways

    @field_validator("ignore", mode="before")
    @classmethod
    def _comma_list(cls, value: Any) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def make_settings(**values: Any) -> Settings:
    """Settings from keywords; a wrong name or value is one clear line.

    Raises:
        SettingError: an unknown name ("did you mean"), or a value that the setting cannot have.
    """
    for name in values:
        if name not in Settings.model_fields:
            raise SettingError(f"There is no setting `{name}`", fix=did_you_mean(name, Settings.model_fields))
    try:
        return Settings(**values)
    except ValidationError as error:
        problem = error.errors()[0]
        cause = problem.get("ctx", {}).get("error")
        if isinstance(cause, SettingError):  # it says everything itself
            raise cause from None
        name = str(problem["loc"][0]) if problem["loc"] else "settings"
        described = Settings.model_fields[name].description if name in Settings.model_fields else ""
        message = problem["msg"].removeprefix("Value error, ").replace("Input should be", "it should be")
        message = message[0].lower() + message[1:]
        raise SettingError(
            f"The setting `{name}` ({described}) cannot be that: {message}", got=repr(problem["input"])
        ) from None


def more_or_less(name: str, value: int, *, most: float = math.inf) -> int:
    """Another value of a setting to try: twice as much, or half where that is more than it takes, or than `most`."""
    limits = [getattr(rule, "le", math.inf) for rule in Settings.model_fields[name].metadata]
    return 2 * value if 2 * value <= min([most, *limits]) else max(1, value // 2)


def parse_assignments(assignments: list[str]) -> dict[str, str]:
    """`["dropout=0.2", ...]` from the command line -> `{"dropout": "0.2", ...}`."""
    values: dict[str, str] = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals or not name.strip():
            raise SettingError("`--set` takes name=value", got=repr(assignment), fix="For example: --set dropout=0.2")
        values[name.strip().replace("-", "_")] = value.strip()
    for name in values:
        if name not in Settings.model_fields:
            raise SettingError(f"There is no setting `{name}`", fix=did_you_mean(name, Settings.model_fields))
    return values


def parse_kinds(value: str | Mapping[str, str]) -> dict[str, str]:
    """`zip:category,year:date` -> `{"zip": "category", "year": "date"}`; names may hold commas and colons."""
    pairs: dict[str, str] = {}
    if isinstance(value, str):
        begun = ""
        for piece in value.split(","):
            name, colon, kind = (begun + piece).rpartition(":")
            if colon:
                pairs[name.strip()] = kind.strip()
            begun = "" if colon else f"{begun}{piece},"
        if begun.strip(" ,"):
            raise SettingError(
                "`kinds` takes column:kind",
                got=repr(begun.strip(" ,")),
                fix="For example: --set kinds=zip:category,year:date",
            )
    else:
        pairs = {str(name): str(kind) for name, kind in value.items()}
    pairs = {name: {"yes/no": "yes_no"}.get(kind, kind) for name, kind in pairs.items()}
    for name, kind in pairs.items():
        if kind not in get_args(ColumnKind):
            raise SettingError(
                f"There is no kind `{kind}` for the column `{name}`", fix=did_you_mean(kind, get_args(ColumnKind))
            )
    return pairs


def parse_seconds(text: str) -> float:
    """`90`, `90s`, `1.5m` or `2h` -> seconds."""
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)\s*([smh]?)", text.strip().lower())
    if found is None:
        raise SettingError("A time limit is a number with s, m or h", got=repr(text), fix="For example: 60s or 5m")
    return float(found[1]) * {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}[found[2]]
