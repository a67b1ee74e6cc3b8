"""Pretrained networks as they lie on this machine: a folder with a config, safetensors and a tokenizer.

Only what is here is used: nothing is downloaded, no pickle is opened, and a config that names code to run is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nudgenet.errors import MissingExtra, SettingError, shorten

TEXT_MODELS = (
    "albert", "bert", "camembert", "deberta-v2", "distilbert", "electra", "modernbert", "mpnet", "roberta", "xlm-roberta",
)  # fmt: skip
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
NAMES_CODE = ("auto_map", "custom_pipelines", "trust_remote_code")
NO_MATTER_OF_WEIGHTS = (  # how it once was run, not what it is
    "torch_dtype", "dtype", "attn_implementation", "use_kernels", "reference_compile", "transformers_version", "architectures",
)  # fmt: skip


@dataclass(frozen=True)
class ModelFolder:
    """A pretrained network that was found.

    config: what `config.json` says of the network, without what says how it was run or named.
    """

    path: Path
    config: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """Its architecture, such as `bert`."""
        return str(self.config["model_type"])

    def read(self, name: str) -> str:
        """The text of one of its files. Raises SettingError if it is absent or cannot be read."""
        return _read(self.path / name)


def find_model(start_from: str) -> ModelFolder:
    """A folder, or a Hugging Face name whose files are in the local cache.

    Raises:
        SettingError: there is none, it lacks a file, or it is of a kind that cannot be a start.
        MissingExtra: the libraries for pretrained networks are not installed.
    """
    need_transformers()
    folder = Path(start_from)
    if not folder.is_dir():
        folder = _in_cache(start_from)
    config = _config(folder)
    if not any((folder / name).is_file() for name in WEIGHTS):
        found = sorted(
            path.name for path in folder.iterdir() if path.suffix in (".bin", ".pt", ".pth", ".h5", ".msgpack")
        )
        raise SettingError(
            "This model has no safetensors, and other files of weights are not opened: they can hold code",
            got=shorten(found) or str(folder),
            fix="Take a model that has model.safetensors.",
        )
    return ModelFolder(folder, config)


def need_transformers() -> None:
    """Raises MissingExtra unless `transformers` and `tokenizers` can be imported."""
    try:
        import tokenizers  # noqa: F401
        import transformers  # noqa: F401
    except ImportError:
        raise MissingExtra(
            "Pretrained networks need the library transformers, which is not installed",
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
        "There is no such model on this machine: no folder, and nothing in the local Hugging Face cache",
        got=repr(name),
        fix=f"Nothing is downloaded unasked: hf download {name}" if name.count("/") == 1 else "Give a model's folder.",
    )


def _config(folder: Path) -> dict[str, Any]:
    """The parts of config.json that say what the network is. Raises SettingError for what cannot be a start."""
    if (folder / "settings.json").is_file() and not (folder / "config.json").is_file():
        raise SettingError(
            "This folder is a run; a start is a model's folder with config.json", got=str(folder),
            fix="Give the model that the run started from.",
        )  # fmt: skip
    text = _read(folder / "config.json")
    try:
        config = json.loads(text)
        kind = config["model_type"]
    except (ValueError, KeyError, TypeError):
        raise SettingError("The model's config.json is damaged", got=str(folder), fix="Download it again.") from None
    if naming := [key for key in NAMES_CODE if config.get(key)]:
        raise SettingError(
            "This model comes with code of its own, which is not run", got=f"{shorten(naming)} in config.json",
            fix="Take a model whose architecture is part of transformers.",
        )  # fmt: skip
    if config.get("quantization_config"):
        raise SettingError("This model's weights are quantised", got=str(folder), fix="Take the full model.")
    if kind not in TEXT_MODELS or config.get("is_decoder"):
        raise SettingError(
            "A network of this kind cannot be a start yet", got=str(kind),
            fix=f"Known are encoders of texts: {', '.join(TEXT_MODELS)}.",
        )  # fmt: skip
    return {key: value for key, value in config.items() if key not in NO_MATTER_OF_WEIGHTS and not key.startswith("_")}


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingError("This is no model's folder: a file is absent", got=str(path)) from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingError("A file of the model cannot be read", got=f"{path}: {error}") from None
