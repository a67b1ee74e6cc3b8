"""`nudge export`: a run written in a form that others read; and a run's trunk, for a later run to start from.

The form of `transformers` is a folder: config.json, model.safetensors, and a tokenizer or preprocessor. A network that
was started from a pretrained one is folded into its architecture's own classifier (see `networks.folding`); a network
of ours stands in it under a model type of its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from nudgenet.data.images import ImageFeature
from nudgenet.data.pixels import BICUBIC, Pixels, as_preprocessor
from nudgenet.data.sounds import SoundFeature
from nudgenet.data.texts import SequenceFeature, TextFeature
from nudgenet.data.tokens import TokenFeature
from nudgenet.data.waves import WaveFeature
from nudgenet.errors import RunError, SettingError, UserError, did_you_mean
from nudgenet.models import OWN, PREPROCESSOR, RUN_AS_MODEL, TERMS, find_model, is_run
from nudgenet.networks.bag import BagNetwork
from nudgenet.networks.convnet import ConvNet
from nudgenet.networks.ensemble import Ensemble
from nudgenet.networks.folding import Head, classifier_of
from nudgenet.networks.mlp import MLP
from nudgenet.networks.pretrained import PretrainedNetwork
from nudgenet.networks.transformer import Transformer
from nudgenet.networks.trunks import plain_weights
from nudgenet.run import Run, load
from nudgenet.runs.checkpoint import write_whole
from nudgenet.settings import Settings
from nudgenet.training.pretrained import OF_TABLES

Files = dict[str, bytes]


def export(run: Run, path: str | Path, format: str) -> list[Path]:
    """Write a run in a format of `FORMATS` and give the files that were written.

    Raises:
        UserError: there is no such format, the run cannot be written in it, or nothing can be written there.
    """
    if format not in FORMATS:
        raise UserError(f"There is no format `{format}`", fix=did_you_mean(format, FORMATS))
    folder = Path(path)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError("There is something at this place already", got=str(folder), fix="Choose a new folder.")
    return _write(folder, FORMATS[format](run))


def ready_to_start(settings: Settings) -> None:
    """If a start is an earlier run, have its trunk lie in that run's folder as a model. No row is read before there is one.

    Raises:
        SettingError: there is no such model, it cannot be a start, or a run's network has no trunk to stand on.
        MissingExtra: the libraries for pretrained networks are not installed.
    """
    if settings.start_from is None:
        return
    if is_run(Path(settings.start_from)):
        folder = Path(settings.start_from) / RUN_AS_MODEL
        if not (folder / "config.json").is_file():  # it is written last: without it the folder is the half of one
            _write(folder, as_trunk(load(settings.start_from)))
    find_model(settings.start_from)


def as_transformers(run: Run) -> Files:
    """The files of a standard folder: what `from_pretrained` loads, or, of our own networks, `nudge train --from`."""
    network = run.network
    if not isinstance(network, PretrainedNetwork) or json.loads(network.shape.model)["model_type"] == OWN:
        return as_trunk(run)
    if network.rest is not None or (network.shape.text is not None and len(network.shape.text.columns) > 1):
        raise RunError(
            "This network also reads other columns of the table, which no classifier of transformers does", got=run.name,
            fix="Train on the one column alone: --set ignore=OTHERS.",
        )  # fmt: skip
    files = classifier_of(network, _head(run, network))
    return files | _preprocessor(run)


def as_trunk(run: Run) -> Files:
    """A run's network as a model to start from: without its outputs, but for those of a network of ours.

    Raises:
        SettingError: the network has no trunk of its own.
    """
    network = run.network
    names = [str(label) for label in run.classes]
    labels = {
        "id2label": {str(place): name for place, name in enumerate(names)},
        "label2id": {name: place for place, name in enumerate(names)},
    }
    settings = run.settings
    if isinstance(network, PretrainedNetwork):
        weights = plain_weights(network.trunk)
        config = json.loads(network.shape.model)
    elif isinstance(network, ConvNet) and (media := run.preparation.media) is not None:
        weights = network.state_dict()
        config = {
            "model_type": OWN, "architectures": ["NudgenetConvNet"], "network": "convnet", "medium": media.kind,
            "width": settings.width, "layers": settings.layers, "image": asdict(media.shape),
        }  # fmt: skip
        if isinstance(media, ImageFeature):
            config["num_channels"] = media.channels
    elif isinstance(network, Transformer) and len(run.preparation.texts) == 1:
        weights = network.state_dict()
        text = run.preparation.shape(0).text
        assert text is not None
        config = {
            "model_type": OWN, "architectures": ["NudgenetTransformer"], "network": "transformer", "medium": "text",
            "width": settings.width, "layers": settings.layers, "text": asdict(text),
        }  # fmt: skip
    elif isinstance(network, Ensemble | MLP | BagNetwork):
        weights = network.state_dict()
        sizes = {name: getattr(settings, name) for name in OF_TABLES}
        config = {"model_type": OWN, "architectures": ["NudgenetTable"], "medium": "table", **sizes}
    else:
        raise SettingError(
            "This run's network has no trunk for another one to stand on", got=f"{run.name}: {settings.network}",
            fix="Take a run on plain columns, on images, sounds, or one column of texts.",
        )  # fmt: skip
    return {
        "config.json": as_json(config | labels),
        "model.safetensors": as_weights(weights),
    } | (run.preparation.pack() if config.get("medium") == "table" else _preprocessor(run))


def _head(run: Run, network: PretrainedNetwork) -> Head:
    """The outputs as one weighted sum of the features, at the run's temperature or in the target's unit."""
    with torch.no_grad():
        weight = network.direct.weight / network.spread
        bias = network.direct.bias - weight @ network.center
    if run.task.kind == "regression":
        scale, center = run.preparation.target_scale, run.preparation.target_center
        return Head(weight * scale, bias * scale + center, ())
    return Head(weight / run.rule.temperature, bias / run.rule.temperature, tuple(map(str, run.classes)))


def _preprocessor(run: Run) -> Files:
    """The files that say how rows become what the network takes in."""
    feature = run.preparation.media
    if isinstance(feature, ImageFeature):
        size = (feature.height, feature.width)
        pixels = feature.pixels or Pixels(0, size, None, BICUBIC, feature.center, feature.spread)
        return {PREPROCESSOR: as_json(as_preprocessor(pixels))}
    if isinstance(feature, WaveFeature):
        return {PREPROCESSOR: feature.extractor.encode()}
    if isinstance(feature, SoundFeature):
        told = {field.name: getattr(feature, field.name) for field in fields(feature)}
        kept = {name: told[name] for name in ("hop", "bands", "frames", "windows", "low", "high", "center", "spread")}
        kind = {"feature_extractor_type": "NudgenetSpectrogram", "sampling_rate": feature.rate}
        return {PREPROCESSOR: as_json(kind | kept)}
    text = next(feature for feature in run.preparation.features if isinstance(feature, TextFeature))
    if isinstance(text, SequenceFeature):
        return {TERMS: as_json({"terms": list(text.terms), "places": text.places})}
    assert isinstance(text, TokenFeature)
    return {"tokenizer.json": "\n".join(text.tokenizer).encode(), "tokenizer_config.json": _tokenizer_config(text)}


def _tokenizer_config(text: TokenFeature) -> bytes:
    """What `AutoTokenizer` needs besides tokenizer.json: how long a text may be, and what fills up shorter ones."""
    tokenizer = json.loads("\n".join(text.tokenizer))
    padding = int(json.loads(text.model).get("pad_token_id") or 0)
    known = {token["id"]: token["content"] for token in tokenizer.get("added_tokens", [])}
    vocabulary = tokenizer["model"]["vocab"]
    if isinstance(vocabulary, Mapping):
        known |= {number: token for token, number in vocabulary.items() if number == padding}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": text.places}
    return as_json(config | ({"pad_token": known[padding]} if padding in known else {}))


def as_json(content: Mapping[str, Any]) -> bytes:
    """The bytes of a JSON file that people may read, too."""
    return json.dumps(content, indent=2, ensure_ascii=False).encode()


def as_weights(weights: Mapping[str, Tensor]) -> bytes:
    """The bytes of a safetensors file."""
    content: bytes = save({name: tensor.contiguous() for name, tensor in weights.items()}, metadata={"format": "pt"})
    return content


def _write(folder: Path, files: Files) -> list[Path]:
    written = []
    for name in sorted(files, key=lambda name: name == "config.json"):  # last, because a folder with it is a model
        write_whole(folder / name, files[name])
        written.append(folder / name)
    return written


FORMATS: dict[str, Callable[[Run], Files]] = {"transformers": as_transformers}
