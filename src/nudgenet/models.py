"""Pretrained networks as they lie on this machine: a folder with a config, safetensors, and a tokenizer or preprocessor.

Only what is here is used: nothing is downloaded, no pickle is opened, and a config that names code to run is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nudgenet.errors import MissingExtra, SettingError, shorten
from nudgenet.records import Medium

TEXT_MODELS = (
    "albert", "bert", "camembert", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "roberta", "xlm-roberta",
)  # fmt: skip
IMAGE_MODELS = ("convnext", "convnextv2", "deit", "dinov2", "vit")
SOUND_MODELS = ("audio-spectrogram-transformer", "hubert", "wav2vec2", "wavlm")
OWN = "nudgenet"  # the model type of a network of ours
KINDS: dict[str, Medium] = {
    **dict.fromkeys(TEXT_MODELS, "text"), **dict.fromkeys(IMAGE_MODELS, "image"), **dict.fromkeys(SOUND_MODELS, "sound"),
}  # fmt: skip
RUN_AS_MODEL = "model"  # the folder inside a run's that holds its trunk as a model; see `exporting.trunk_of`
PREPROCESSOR = "preprocessor_config.json"
TERMS = "terms.json"  # the words that a network of ours for texts knows
PREPARATION = "preparation.json"  # how a network of ours for tables wants its rows
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
THAT_MATTER = ("config.json", PREPROCESSOR, TERMS, PREPARATION, "tokenizer.json", WEIGHTS[1])
NAMES_CODE = ("auto_map", "custom_pipelines", "trust_remote_code")
NO_MATTER_OF_WEIGHTS = (  # how it once was run or what it once was asked, not what it is
    "torch_dtype", "dtype", "attn_implementation", "use_kernels", "reference_compile", "transformers_version", "architectures",
    "id2label", "label2id", "num_labels", "problem_type", "finetuning_task", "task_specific_params",
)  # fmt: skip


@dataclass(frozen=True)
class ModelFolder:
    """A pretrained network that was found.

    config: what `config.json` says of the network, without what says how it was run or named.
    medium: what it takes in.
    """

    path: Path
    config: Mapping[str, Any]
    medium: Medium | Literal["table"]

    @property
    def kind(self) -> str:
        """Its architecture, such as `bert`."""
        return str(self.config["model_type"])

    @property
    def packed_config(self) -> str:
        """The config as JSON, the same for the same network."""
        return json.dumps(dict(self.config), sort_keys=True)

    def read(self, name: str) -> str:
        """The text of one of its files. Raises SettingError if it is absent or cannot be read."""
        return _read(self.path / name)

    def read_json(self, name: str) -> dict[str, Any]:
        """One of its JSON files. Raises SettingError if it is absent, damaged, or names code."""
        return _read_json(self.path / name)

    @property
    def sampling_rate(self) -> int:
        """Samples a second that a network for sounds wants. Raises SettingError if its preprocessor does not say."""
        rate = self.read_json(PREPROCESSOR).get("sampling_rate")
        if not isinstance(rate, int) or not 1_000 <= rate <= 192_000:
            raise SettingError(f"The model's {PREPROCESSOR} does not say its sampling rate", got=repr(rate))
        return rate

    def fingerprint(self) -> str:
        """SHA-256 over all of its files that matter, hex: the same model has the same one, wherever it lies."""
        digest = hashlib.sha256()
        for path in sorted(self.path.iterdir()):
            if path.suffix == ".safetensors" or path.name in THAT_MATTER:
                digest.update(f"{path.name}|{path.stat().st_size}|".encode())
                with path.open("rb") as file:
                    while block := file.read(1 << 22):
                        digest.update(block)
        return digest.hexdigest()


def find_model(start_from: str) -> ModelFolder:
    """A folder, a run's folder whose trunk was written out, or a Hugging Face name whose files are in the local cache.

    Raises:
        SettingError: there is none, it lacks a file, or it is of a kind that cannot be a start.
        MissingExtra: the libraries for pretrained networks are not installed.
    """
    folder = Path(start_from)
    if is_run(folder):
        folder = folder / RUN_AS_MODEL
        if not folder.is_dir():
            raise SettingError(
                "This folder is a run, and no network is in it yet that another could start from", got=start_from
            )
    elif not os.path.lexists(folder):
        need_transformers(f"There is no such folder or run as {start_from}, and names of Hugging Face")
        folder = _in_cache(start_from)
    elif not any(_has(folder, name) for name in ("config.json", "adapter_config.json")):
        raise _no_model(folder)
    config = _config(folder)
    if config["model_type"] != OWN:
        need_transformers()
    if not any((folder / name).is_file() for name in WEIGHTS):
        found = sorted(
            path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth", ".h5", ".msgpack")
        )
        raise SettingError(
            "This model has no safetensors, and other files of weights are not opened: they can hold code",
            got=shorten(found) or str(folder),
            fix="Take a model that has model.safetensors.",
        )
    return ModelFolder(folder, config, config["medium"] if config["model_type"] == OWN else KINDS[config["model_type"]])


def is_run(folder: Path) -> bool:
    """Whether a folder is a run's, not a model's."""
    return _has(folder, "settings.json") and not _has(folder, "config.json")


def find_start(start_from: str, runs: str | Path) -> str:
    """What `--from` names: a model or a run at that path, else the run of that name under `runs`, else as it is."""
    here, named = Path(start_from), Path(runs) / start_from
    is_here = _has(here, "settings.json") or _has(here, "config.json")
    return str(named) if not is_here and is_run(named) else start_from


def _has(folder: Path, name: str) -> bool:
    try:
        return (folder / name).is_file()
    except (OSError, ValueError):  # what was typed for a folder is a name that none can have
        return False


def cached_models(medium: Medium) -> list[str]:
    """The names of the models in the local Hugging Face cache that could be a start for such cells, the smallest first."""
    sizes: dict[str, int] = {}
    for name in _cached_names():
        try:
            if (model := find_model(name)).medium == medium:
                sizes[name] = sum(path.stat().st_size for path in model.path.glob("*.safetensors"))
        except (SettingError, MissingExtra, OSError):
            continue
    return sorted(sizes, key=lambda name: (sizes[name], name))


def _cached_names() -> Iterator[str]:
    try:
        from huggingface_hub import constants
    except ImportError:
        return
    folder = Path(constants.HF_HUB_CACHE)
    if not folder.is_dir():
        return
    for path in folder.glob("models--*"):
        yield path.name.removeprefix("models--").replace("--", "/", 1)


def need_transformers(what: str = "Pretrained networks") -> None:
    """Raises MissingExtra, which begins with what needs them, unless `transformers` and `tokenizers` can be imported."""
    try:
        import tokenizers  # noqa: F401
        import transformers  # noqa: F401
    except ImportError:
        raise MissingExtra(
            f"{what} need the library transformers, which is not installed",
            fix="pip install 'nudgenet[pretrained]'",
        ) from None


def _in_cache(name: str) -> Path:
    """The folder of a Hugging Face model's files, if they were downloaded before."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, "config.json")
    except HFValidationError:
        found = None
    if isinstance(found, str):
        return Path(found).parent
    raise SettingError(
        "There is no such model on this machine: no folder, no run, and nothing in the local Hugging Face cache",
        got=repr(name[:200]),
        fix=f"Nothing is downloaded unasked: hf download {name}"
        if name.count("/") == 1
        else "Give the folder of a model or of a run, or the name of a run (`nudge runs` lists them).",
    )


def _no_model(path: Path) -> SettingError:
    """Something is there, and nothing can start from it: what it is, and what is needed."""
    wanted = "Give the folder of a model (config.json, model.safetensors) or of a run."
    if not path.is_dir():
        fix = f"Give its folder: {path.parent}" if path.suffix == ".safetensors" else wanted
        return SettingError("A start is a folder, and this is a file", got=str(path), fix=fix)
    try:
        names = sorted(entry.name for entry in path.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        return SettingError("A folder to start from cannot be read", got=f"{path}: {error.strerror}", fix=wanted)
    if runs := [str(path / name) for name in names if is_run(path / name)]:
        wanted = f"Give a run that is in it: {shorten(runs, 5)}."
    return SettingError(
        "This folder is neither a model nor a run", fix=wanted,
        got=f"{path}, which {f'holds {shorten(names, 5)}' if names else 'is empty'}",
    )  # fmt: skip


def _config(folder: Path) -> dict[str, Any]:
    """The parts of config.json that say what the network is. Raises SettingError for what cannot be a start."""
    if (folder / "adapter_config.json").is_file():
        raise SettingError(
            "This folder holds an adapter for another model, not a whole one", got=str(folder),
            fix="Merge it into its model, save that, and give its folder.",
        )  # fmt: skip
    config = _read_json(folder / "config.json")
    kind = config.get("model_type")
    if not isinstance(kind, str) or (kind == OWN and config.get("medium") not in ("image", "sound", "text", "table")):
        raise SettingError("The model's config.json is damaged", got=str(folder), fix="Download it again.")
    if config.get("quantization_config"):
        raise SettingError("This model's weights are quantised", got=str(folder), fix="Take the full model.")
    if (kind not in KINDS and kind != OWN) or config.get("is_decoder"):
        raise SettingError(
            "A network of this kind cannot be a start yet", got=kind,
            fix=f"Known are encoders: {', '.join(sorted(KINDS))}.",
        )  # fmt: skip
    return {key: value for key, value in config.items() if key not in NO_MATTER_OF_WEIGHTS and not key.startswith("_")}


def _read_json(path: Path) -> dict[str, Any]:
    """A JSON object. Raises SettingError if it is absent, damaged, or names code."""
    text = _read(path)
    try:
        content: dict[str, Any] = json.loads(text)
        naming = sorted(_naming_code(content))
    except (ValueError, RecursionError):
        raise SettingError(f"The model's {path.name} is damaged", got=str(path), fix="Download it again.") from None
    if not isinstance(content, dict):
        raise SettingError(f"The model's {path.name} is damaged", got=str(path), fix="Download it again.")
    if naming:
        raise SettingError(
            "This model comes with code of its own, which is not run", got=f"{shorten(naming)} in {path.name}",
            fix="Take a model whose architecture is part of transformers.",
        )  # fmt: skip
    return content


def _naming_code(content: Any) -> set[str]:
    """The keys, however deep, that name code to run."""
    if isinstance(content, Mapping):
        own = {key for key in NAMES_CODE if content.get(key)}
        return own.union(*(_naming_code(value) for value in content.values()))
    if isinstance(content, list):
        return set[str]().union(*(_naming_code(value) for value in content))
    return set()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingError("This is no model's folder: a file is absent", got=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError("A file of the model cannot be read", got=f"{path}: {error}") from None
