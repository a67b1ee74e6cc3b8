"""How the layers of a network are while it learns: what never fires, how long their gradients are, how far they move.

Only looked at, never changed: no random number is drawn, and the network is left in the mode in which it was found.
What the numbers mean, and when a layer is ill, is for `watching.health` to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nudgenet.data.batches import subset
from nudgenet.networks.neurons import Neurons
from nudgenet.records import Part
from nudgenet.training.state import State

SAMPLE = 256  # training rows that are looked at for neurons that never fire
# Where a curve's slope has fallen below a twentieth of its steepest, hardly any gradient comes through.
FLAT_TANH = 0.95**0.5  # distance from 0; the slope is 1 - y^2
FLAT_SIGMOID = 0.5 * 0.95**0.5  # distance from 1/2; the slope is y (1 - y)
DYING_KINKS, FLAT_KINKS = (nn.ReLU, nn.GELU, nn.SiLU), (nn.Tanh, nn.Sigmoid)

# The first word of a parameter's name -> its layer; a number behind it counts from 1 ("blocks.0" is block1).
LAYERS = {
    "weights": "layer",
    "biases": "layer",
    "neurons": "layer",
    "layers": "layer",
    "adapter": "layer1",  # how each member of an ensemble listens to the inputs of its first layer
    "output_weight": "output",
    "output_bias": "output",
    "stem_norm": "stem",
    "stages": "stage",
    "blocks": "block",
}
FIRST, LAST = ("terms", "texts", "places", "embedding", "stem", "trunk"), ("norm", "beside", "direct", "output")


@dataclass(frozen=True)
class Vitals:
    """One layer after one step.

    neurons: how many with a kink were looked at; 0 if there are none.
    dead: share of them that fired for no row of the sample (in no member of an ensemble); None where kinks have no dead side.
    saturated: share of their answers that lie where tanh or sigmoid is flat; None for other kinks.
    gradient_norm: length of the gradient of its weights and biases, before clipping.
    update_ratio: length of the step over the length of the weights before it; None while they are all 0.
    """

    neurons: int
    dead: float | None
    saturated: float | None
    gradient_norm: float
    update_ratio: float | None


def layer_of(name: str) -> str:
    """The layer that a parameter or a module belongs to, by its name in the network: "rest.weights.0" is "layer1"."""
    words = name.removeprefix("rest.").split(".")
    layer = LAYERS.get(words[0], words[0])
    number = next((int(word) for word in words[1:] if word.isdigit()), None)
    return layer if number is None else f"{layer}{number + 1}"


def sample_of(train: Part) -> Part:
    """At most `SAMPLE` training rows, evenly spaced."""
    count = min(SAMPLE, len(train))
    return subset(train, torch.arange(count) * len(train) // count)


def copy_weights(network: nn.Module) -> list[Tensor]:
    """What `measure` needs of the weights before a step."""
    return [parameter.detach().clone() for parameter in network.parameters()]


def measure(state: State, before: Sequence[Tensor], norm: float, sample: Part) -> dict[str, Vitals]:
    """How each layer is, by its name and from the inputs to the outputs.

    Args:
        before: the weights before the last step, which must be the last thing that happened to them.
        norm: the length of that step's gradient before it was clipped.
    """
    moved = _moves(state.network, before)
    clip = state.plan.clip
    longer = (norm + 1e-6) / clip if clip is not None and norm > clip else 1.0  # as `clip_gradients` shortened it
    fired = _kinks(state.network, sample)
    found = {}
    for layer in sorted(moved, key=_order):
        gradient, step, weights = moved[layer]
        neurons, dead, saturated = fired.get(layer, (0, None, None))
        ratio = (step / weights) ** 0.5 if weights > 0 else None
        found[layer] = Vitals(neurons, dead, saturated, gradient**0.5 * longer, ratio)
    return found


def _moves(network: nn.Module, before: Sequence[Tensor]) -> dict[str, list[float]]:
    """Squared lengths of each layer's gradient, step and weights; layers without a gradient stay as they are: left out."""
    learning = [
        (layer_of(name), parameter, old)
        for (name, parameter), old in zip(network.named_parameters(), before, strict=True)
        if parameter.grad is not None
    ]
    if not learning:
        return {}
    with torch.no_grad():
        gradients = [parameter.grad for _, parameter, _ in learning if parameter.grad is not None]
        old = [old for _, _, old in learning]
        steps = torch._foreach_sub([parameter.detach() for _, parameter, _ in learning], old)
        lengths = [torch.stack(torch._foreach_norm(tensors)).double() for tensors in (gradients, steps, old)]
    squares = torch.stack(lengths, dim=1).square().tolist()
    layers: dict[str, list[float]] = {}
    for (layer, _, _), of_one in zip(learning, squares, strict=True):
        layers[layer] = [sum(pair) for pair in zip(layers.get(layer, [0.0] * 3), of_one, strict=True)]
    return layers


def _order(layer: str) -> tuple[int, int, str]:
    """From the inputs to the outputs: layer2 before layer10."""
    word = layer.rstrip("0123456789")
    place = -1 if word in FIRST else 1 if word in LAST else 0
    within = (FIRST if place < 0 else LAST).index(word) if place else 0
    return place, within * 1_000 + int(layer[len(word) :] or 0), word


# What fires


def _kinks(network: nn.Module, sample: Part) -> dict[str, tuple[int, float | None, float | None]]:
    """Layer -> (neurons, share that is dead, share of answers that is saturated), for a sample of rows."""
    notes: dict[str, list[Tensor]] = {}  # of each kink, each time it was asked: some rows at a time
    kinks = _all_kinks(network)
    if not kinks:
        return {}
    handles = [
        kink.register_forward_hook(partial(_note, width, notes.setdefault(name, [])))
        for name, (kink, width) in kinks.items()
    ]
    was_training = network.training
    network.eval()
    try:
        with torch.inference_mode():
            network(sample.inputs)
    finally:
        network.train(was_training)
        for handle in handles:
            handle.remove()
    layers: dict[str, list[tuple[bool, Tensor]]] = {}
    for name, several in notes.items():
        if several:
            flat = isinstance(kinks[name][0], FLAT_KINKS)
            of_neurons = torch.stack(several).mean(dim=0) if flat else torch.stack(several).amax(dim=0)
            layers.setdefault(layer_of(name), []).append((flat, of_neurons.flatten()))
    return {layer: _shares(found) for layer, found in layers.items()}


def _shares(found: list[tuple[bool, Tensor]]) -> tuple[int, float | None, float | None]:
    flat = [of_neurons for is_flat, of_neurons in found if is_flat]
    fired = [of_neurons for is_flat, of_neurons in found if not is_flat]
    return (
        sum(len(of_neurons) for _, of_neurons in found),
        1.0 - torch.cat(fired).mean().item() if fired else None,
        torch.cat(flat).mean().item() if flat else None,
    )


def _all_kinks(network: nn.Module) -> dict[str, tuple[nn.Module, int | None]]:
    """Kinks that are modules, by name, each with the width of its layer (None: the answer's last number is the neuron)."""
    widths = {module.kink: module.width for module in network.modules() if isinstance(module, Neurons)}
    return {
        name: (module, widths.get(module))
        for name, module in network.named_modules()
        if isinstance(module, DYING_KINKS + FLAT_KINKS)
    }


def _note(width: int | None, notes: list[Tensor], kink: nn.Module, inputs: Any, answers: Tensor) -> None:
    """Of each neuron: 1 if it fired at all, else 0; of tanh and sigmoid the share of its answers that is saturated.

    answers: (rows, neurons) or, of a stack of layers, (copies, rows, members x neurons), with a width; else
        (rows, channels, height, width), or (rows, places, neurons).
    """
    if width is not None:
        answers = answers.reshape(*answers.shape[:-2], -1, width)
    else:
        answers = (answers.movedim(1, 3) if answers.ndim == 4 else answers).flatten(0, -2)
    if isinstance(kink, nn.Tanh):
        notes.append((answers.abs() > FLAT_TANH).float().mean(dim=-2))
    elif isinstance(kink, nn.Sigmoid):
        notes.append(((answers - 0.5).abs() > FLAT_SIGMOID).float().mean(dim=-2))
    else:
        notes.append((answers > 0).any(dim=-2).float())
