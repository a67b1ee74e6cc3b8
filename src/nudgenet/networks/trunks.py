"""The part of a pretrained network that knows the world: its architecture from a config, its weights from safetensors.

Encoders come from `transformers`; those of earlier runs are ours: the same classes, without their outputs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from nudgenet.errors import MissingExtra, SettingError
from nudgenet.models import OWN, ModelFolder, need_transformers
from nudgenet.networks.bag import BagNetwork
from nudgenet.networks.convnet import ConvNet
from nudgenet.networks.transformer import Transformer
from nudgenet.records import ImageShape, Shape, TextShape

REPEATED = ("layer", "layers", "stages", "blocks", "albert_layers")  # what the many alike layers of a trunk are called
LORA_STRENGTH = 2  # times the rank: how strongly the added weights count


def build_trunk(packed_config: str) -> nn.Module:
    """The architecture that a config (JSON) describes, with random weights.

    Raises:
        SettingError: it describes none.
    """
    config = dict(json.loads(packed_config))
    if config["model_type"] == OWN:
        return _build_own(config)
    need_transformers()
    with quiet_transformers():
        from transformers import AutoConfig, AutoModel

        try:
            described = AutoConfig.for_model(config.pop("model_type"), **config)
            if described.model_type == "modernbert":
                described.reference_compile = False  # compiling takes minutes here, and differs between machines
            for name, off in (("apply_spec_augment", False), ("layerdrop", 0.0)):
                if hasattr(described, name):  # they draw random numbers that no seed of ours governs
                    setattr(described, name, off)
            trunk: Any = AutoModel.from_config(described, trust_remote_code=False)
        except Exception as error:  # whatever a strange config makes the library's constructors raise
            raise SettingError("The model's config.json does not describe a network", got=str(error)[:200]) from None
    if getattr(trunk, "pooler", None) is not None:
        trunk.pooler = None  # a layer for another purpose; features are taken before it
    built: nn.Module = trunk.float()
    return built


def load_weights(trunk: nn.Module, model: ModelFolder) -> None:
    """Give a trunk the weights that lie in a model's folder, in place.

    Raises:
        SettingError: the weights do not fit the config, or are damaged.
    """
    try:
        wanted = trunk.state_dict()
        if model.kind == OWN:
            weights: Mapping[str, Tensor] = load_file(model.path / "model.safetensors")
        else:
            weights = _pretrained_weights(model, trunk)
        trunk.load_state_dict({name: weights[name] for name in wanted})
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise SettingError("The model's weights cannot be read", got=f"{model.path}: {reason}") from None


def load_all_but_outputs(network: nn.Module, model: ModelFolder) -> None:
    """Give a network for tables the weights of an earlier one on the same columns, in place; its outputs stay fresh.

    Raises:
        SettingError: they are of other sizes, or damaged.
    """
    earlier = table_weights(model)
    own = network.state_dict()
    for name, tensor in own.items():
        if any(word.startswith("output") for word in name.split(".")):
            continue
        # Of a bag's terms what is read: behind it stands what speaks to the outputs.
        kept = slice(network.num_read) if isinstance(network, BagNetwork) and name == "terms" else slice(None)
        if name not in earlier or earlier[name][..., kept].shape != tensor[..., kept].shape:
            raise SettingError("The earlier network is made otherwise, so nothing can start from it", got=name)
        tensor[..., kept] = earlier[name][..., kept]


def table_weights(model: ModelFolder) -> Mapping[str, Tensor]:
    """The weights of an earlier network for tables by name. Raises SettingError if they are damaged."""
    try:
        weights: Mapping[str, Tensor] = load_file(model.path / "model.safetensors")
    except (OSError, ValueError, SafetensorError) as error:
        raise SettingError("The model's weights cannot be read", got=f"{model.path}: {error}") from None
    return weights


def _pretrained_weights(model: ModelFolder, trunk: Any) -> dict[str, Tensor]:
    with quiet_transformers(), torch.random.fork_rng(devices=[]):
        from transformers import AutoModel

        # With the trunk's config, not the folder's: what was left out of it (kernels to fetch, for one) stays out.
        loaded, found = AutoModel.from_pretrained(
            model.path, config=trunk.config, local_files_only=True, use_safetensors=True, trust_remote_code=False,
            dtype=torch.float32, output_loading_info=True,
        )  # fmt: skip
        absent = {name for name in found["missing_keys"] if name in trunk.state_dict()}
        if absent:
            raise ValueError(f"{len(absent)} of its weights are absent, such as {min(absent)}")
        weights: dict[str, Tensor] = loaded.state_dict()
    return weights


def _build_own(config: Mapping[str, Any]) -> nn.Module:
    """The network of an earlier run, without its outputs."""
    try:
        width, layers = int(config["width"]), int(config["layers"])
        if config["medium"] == "text":
            text = TypeAdapter(TextShape).validate_python(config["text"])
            trunk: Any = Transformer(Shape(0, (), 1, 0, text=text), width=width, num_layers=layers)
        else:
            image = TypeAdapter(ImageShape).validate_python(config["image"])
            trunk = ConvNet(Shape(0, (), 1, 0, image), width=width, num_stages=layers)
    except (KeyError, TypeError, ValueError, ValidationError, RuntimeError) as error:
        raise SettingError("The model's config.json does not describe a network", got=str(error)[:200]) from None
    trunk.output = None
    own: nn.Module = trunk
    return own


def add_lora(trunk: nn.Module, rank: int) -> None:
    """Beside every weighted sum of the trunk's layers, a product of two small ones that alone is trained, in place.

    Source: Hu et al., LoRA, arXiv 2106.09685.

    Raises:
        MissingExtra: the library peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise MissingExtra(
            "Training a trunk this large needs the library peft, which is not installed",
            fix="pip install 'nudgenet[lora]'",
        ) from None
    names = [name for name, part in trunk.named_modules() if isinstance(part, nn.Linear) and is_in_a_layer(name)]
    config = LoraConfig(r=rank, lora_alpha=LORA_STRENGTH * rank, lora_dropout=0.0, target_modules=names)
    inject_adapter_in_model(config, trunk)


def plain_weights(trunk: nn.Module) -> dict[str, Tensor]:
    """A trunk's weights under the names that they had when it was built: what was added beside them is added to them."""
    weights = trunk.state_dict()
    plain: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if ".lora_" in name:
            continue
        if ".base_layer." in name:
            stem = name.partition(".base_layer.")[0]
            if name.endswith(".weight"):
                below, above = (weights[f"{stem}.lora_{side}.default.weight"] for side in "AB")
                tensor = tensor + LORA_STRENGTH * (above @ below)  # alpha / rank
            name = name.replace(".base_layer.", ".")
        plain[name] = tensor
    return plain


def is_in_a_layer(name: str) -> bool:
    """Whether a parameter or module stands in one of the many alike layers of a trunk."""
    return block_of(name) is not None


def block_of(name: str) -> str | None:
    """`encoder.layer.3` of `encoder.layer.3.output.dense.weight`; None outside of all layers."""
    words = name.split(".")
    ends = [
        place + 1 for place in range(1, len(words))
        if words[place].isdigit() and words[place - 1] in REPEATED
    ]  # fmt: skip
    return ".".join(words[: ends[-1]]) if ends else None


def depths(names: list[str]) -> dict[str, int]:
    """How many layers of the trunk stand between each parameter and the outputs, from their names in order."""
    blocks = list(dict.fromkeys(block for name in names if (block := block_of(name))))
    place_of = {block: place for place, block in enumerate(blocks)}
    first = next((place for place, name in enumerate(names) if block_of(name)), len(names))
    found = {}
    for place, name in enumerate(names):
        block = block_of(name)
        found[name] = len(blocks) - 1 - place_of[block] if block else (len(blocks) if place < first else 0)
    return found


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No progress bars and no advice on standard error from the library, for a while."""
    from transformers.utils import logging

    before, had_bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if had_bar:
            logging.enable_progress_bar()
