"""A network that was started from a pretrained one, folded into the classifier that its architecture has in `transformers`.

Ours answers with one weighted sum of the features. Classifiers of images and sounds do, too. Those of BERT's family look
at the first token alone, through a kink: there a last layer is added, whose attention takes the mean over all tokens and
is made to outweigh what it is added to, and the kink is used where it is straight. Both are exact to about one part in
a hundred thousand, less than what single precision leaves uncertain in twelve layers.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from nudgenet.errors import RunError
from nudgenet.models import KINDS
from nudgenet.networks.pretrained import PretrainedNetwork
from nudgenet.networks.trunks import plain_weights, quiet_transformers

OUTWEIGH = 1e6  # times the mean, beside what it is added to
STRAIGHT = 1e-4  # tanh of so small numbers is the number
SHIFT = 64.0  # beyond it ReLU and GELU are straight; features have length sqrt(width), so none is larger
CLASSIFIERS = {
    "text": "AutoModelForSequenceClassification", "image": "AutoModelForImageClassification",
    "sound": "AutoModelForAudioClassification",
}  # fmt: skip


@dataclass(frozen=True)
class Head:
    """Outputs as weight @ features + bias: logits of the labels, or (no labels) one number."""

    weight: Tensor
    bias: Tensor
    labels: tuple[str, ...]


def classifier_of(network: PretrainedNetwork, head: Head) -> dict[str, bytes]:
    """config.json and model.safetensors of the architecture's classifier that answers as this network does.

    Raises:
        RunError: this architecture's classifier cannot.
    """
    import transformers

    config = dict(json.loads(network.shape.model))
    kind = config.pop("model_type")
    if kind not in FOLD:
        raise RunError(
            "This network cannot be written as a classifier of transformers", got=kind,
            fix="Its classifier looks at the first token, and the mean over all tokens, from which ours answers, cannot be "
            "folded into it.",
        )  # fmt: skip
    labels = {str(place): label for place, label in enumerate(head.labels)}
    config |= {"id2label": {int(place): label for place, label in labels.items()} or {0: "LABEL_0"}}
    config |= {"label2id": {label: place for place, label in config["id2label"].items()}}
    config |= {"problem_type": "single_label_classification" if labels else "regression"}
    prepare, fold = FOLD[kind]
    with quiet_transformers(), torch.random.fork_rng(devices=[]), torch.no_grad():
        described = transformers.AutoConfig.for_model(kind, **(config | prepare(config)))
        model: Any = getattr(transformers, CLASSIFIERS[KINDS[kind]]).from_config(described)
        model.base_model.load_state_dict(plain_weights(network.trunk), strict=False)
        fold(model, head)
        described.architectures = [type(model).__name__]
        tensors = {name: tensor.clone().contiguous() for name, tensor in model.state_dict().items()}
    return {
        "config.json": described.to_json_string().encode(),
        "model.safetensors": save(tensors, metadata={"format": "pt"}),
    }


def _as_it_is(config: dict[str, Any]) -> dict[str, Any]:
    return {}


def _linear(model: Any, head: Head) -> None:
    """Images: the classifier is one weighted sum."""
    fill(model.classifier, head.weight, head.bias)


def _normed(model: Any, head: Head) -> None:
    """AST: normalised, then one weighted sum."""
    plain_norm(model.classifier.layernorm)
    fill(model.classifier.dense, head.weight, head.bias)


def _unprojected(config: dict[str, Any]) -> dict[str, Any]:
    return {"classifier_proj_size": config.get("hidden_size", 768), "use_weighted_layer_sum": False}


def _projected(model: Any, head: Head) -> None:
    """Wav2Vec2: projected, averaged, then one weighted sum."""
    fill(model.projector, torch.eye(model.projector.weight.shape[0]))
    fill(model.classifier, head.weight, head.bias)


def _straight_mean(config: dict[str, Any]) -> dict[str, Any]:
    return {"classifier_pooling": "mean", "classifier_activation": "linear", "classifier_bias": False}


def _modern(model: Any, head: Head) -> None:
    """ModernBERT: the mean over the tokens, a weighted sum, normalised, then another one."""
    # Made large, so that what keeps the normalisation from dividing by zero does not count.
    fill(model.head.dense, OUTWEIGH * torch.eye(model.head.dense.weight.shape[0]))
    plain_norm(model.head.norm)
    fill(model.classifier, head.weight, head.bias)


def _one_more(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def prepare(config: dict[str, Any]) -> dict[str, Any]:
        return {name: config.get(name, config.get("num_hidden_layers", 12)) + 1}

    return prepare


def _average(layer: Any) -> None:
    """Make a layer of BERT's family give the mean of all tokens that are there, at length 1, in the place of each."""
    own = layer.attention
    width = own.output.dense.weight.shape[0]
    for part in (own.self.query, own.self.key, layer.output.dense):
        fill(part, torch.zeros_like(part.weight))
    fill(own.self.value, torch.eye(width))
    fill(own.output.dense, OUTWEIGH * torch.eye(width))
    plain_norm(own.output.LayerNorm)
    plain_norm(layer.output.LayerNorm)


def _bert(model: Any, head: Head) -> None:
    _average(model.base_model.encoder.layer[-1])
    through_tanh(model.base_model.pooler.dense, model.classifier, head)


def _roberta(model: Any, head: Head) -> None:
    _average(model.base_model.encoder.layer[-1])
    through_tanh(model.classifier.dense, model.classifier.out_proj, head)


def _electra(model: Any, head: Head) -> None:
    _average(model.base_model.encoder.layer[-1])
    above_the_kink(model.classifier.dense, model.classifier.out_proj, head)


def _distilbert(model: Any, head: Head) -> None:
    layer = model.base_model.transformer.layer[-1]
    own = layer.attention
    for part in (own.q_lin, own.k_lin, layer.ffn.lin2):
        fill(part, torch.zeros_like(part.weight))
    fill(own.v_lin, torch.eye(own.v_lin.weight.shape[0]))
    fill(own.out_lin, OUTWEIGH * torch.eye(own.out_lin.weight.shape[0]))
    plain_norm(layer.sa_layer_norm)
    plain_norm(layer.output_layer_norm)
    above_the_kink(model.pre_classifier, model.classifier, head)


def through_tanh(below: nn.Linear, above: nn.Linear, head: Head) -> None:
    """Two sums with tanh between them that are one: what meets the kink is small, and made large again."""
    fill(below, STRAIGHT * torch.eye(below.weight.shape[0]))
    fill(above, head.weight / STRAIGHT, head.bias)


def above_the_kink(below: nn.Linear, above: nn.Linear, head: Head) -> None:
    """The same with ReLU or GELU: what meets the kink is shifted above it, and back."""
    fill(below, torch.eye(below.weight.shape[0]), torch.full_like(below.bias, SHIFT))
    fill(above, head.weight, head.bias - SHIFT * head.weight.sum(dim=1))


def fill(part: nn.Linear, weight: Tensor, bias: Tensor | None = None) -> None:
    """Give a weighted sum its knobs, in place; without a bias it has none, or zeros."""
    part.weight.copy_(weight)
    if part.bias is not None:
        part.bias.copy_(torch.zeros_like(part.bias) if bias is None else bias)


def plain_norm(norm: nn.LayerNorm) -> None:
    """A normalisation that only normalises."""
    norm.weight.fill_(1.0)
    if norm.bias is not None:
        norm.bias.zero_()


Prepare = Callable[[dict[str, Any]], dict[str, Any]]
Fold = Callable[[Any, Head], None]
FOLD: dict[str, tuple[Prepare, Fold]] = {
    **dict.fromkeys(("vit", "deit", "dinov2", "convnext", "convnextv2"), (_as_it_is, _linear)),
    "audio-spectrogram-transformer": (_as_it_is, _normed),
    **dict.fromkeys(("wav2vec2", "hubert", "wavlm"), (_unprojected, _projected)),
    "modernbert": (_straight_mean, _modern),
    "bert": (_one_more("num_hidden_layers"), _bert),
    **dict.fromkeys(("roberta", "xlm-roberta", "camembert"), (_one_more("num_hidden_layers"), _roberta)),
    "electra": (_one_more("num_hidden_layers"), _electra),
    "distilbert": (_one_more("n_layers"), _distilbert),
}
