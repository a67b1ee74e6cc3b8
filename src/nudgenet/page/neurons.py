"""One neuron of the network over one row, as JSON.

Every number is PyTorch's: sums are noted while the network answers, weights are the entries of the parameters themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nudgenet.errors import RunError
from nudgenet.networks.anatomy import (
    beside_origins,
    layers_of,
    named_knobs,
    num_members,
    origins_of,
    watch,
    why_closed,
)
from nudgenet.networks.watched import Knobs, Layer, Watch
from nudgenet.page.context import BadRequest
from nudgenet.page.naming import InputNames
from nudgenet.page.opened import Moment, OpenedRun
from nudgenet.page.rows import Row, at_of
from nudgenet.training.place import working_at
from nudgenet.watching.xray import OpenSum, open_sum, python_of_neuron

Array = np.ndarray


@dataclass(frozen=True)
class View:
    """One member of a network while it answered for one row."""

    outputs: Tensor
    layers: tuple[Layer, ...]
    knobs: Mapping[str, nn.Parameter]
    names: InputNames
    row: Row
    member: int

    @classmethod
    def after(cls, opened: OpenedRun, network: nn.Module, seen: Watch, outputs: Tensor, row: Row, member: int) -> View:
        """What was watched, named. Raises BadRequest if there is no such member."""
        if not 0 <= member < num_members(outputs):
            raise BadRequest("There is no such network in the ensemble", got=str(member))
        layers = tuple(layers_of(network, seen, member))
        return cls(outputs, layers, named_knobs(network), names_of(opened, network), row, member)

    def layer(self, name: str) -> Layer:
        """The layer with this name. Raises BadRequest if there is none."""
        found = next((layer for layer in self.layers if layer.name == name), None)
        if found is None:
            known = ", ".join(layer.name for layer in self.layers)
            raise BadRequest("There is no such layer", got=str(name), fix=f"There are: {known}.")
        return found

    def weights(self, layer: Layer, neuron: int) -> Array:
        """What a neuron's inputs are multiplied by, float32 (inputs,)."""
        return self.entries(layer.weights(neuron))

    def bias(self, layer: Layer, neuron: int) -> float:
        """0 where there is none."""
        knobs = layer.bias(neuron)
        return 0.0 if knobs is None else float(self.entries(knobs)[0])

    def entries(self, knobs: Knobs) -> Array:
        """Entries of a parameter."""
        found: Array = knobs.of(self.knobs[knobs.parameter]).numpy()
        return found

    def sum_of(self, layer: Layer, neuron: int) -> OpenSum:
        """A neuron's sum, taken apart."""
        beside = sum(extra.input * extra.weight for extra in layer.extras(neuron))
        inputs, total = layer.inputs(neuron).numpy(), float(layer.sums.value[0, neuron])
        return open_sum(inputs, self.weights(layer, neuron), self.bias(layer, neuron), total, beside)

    def source(self, layer: Layer, neuron: int, place: int) -> list[Any]:
        """Where an input comes from: a layer and the neuron in it, or "input" and the number of its column."""
        if layer.kernel:
            place //= layer.kernel[1] * layer.kernel[2]
        if layer.below == "input" and place in self.names.from_layers:
            return list(self.names.from_layers[place])
        if any(other.name == layer.below for other in self.layers):
            return [layer.below, place]
        column = self.names.column_at[place] if layer.below == "input" else self.names.medium
        return ["input", self.names.columns.index(column)]


def names_of(opened: OpenedRun, network: nn.Module) -> InputNames:
    """The names of a network's inputs; the same at every step."""
    preparation = opened.run.preparation
    count = len(preparation.number_names)

    def build() -> InputNames:
        return InputNames(preparation, origins_of(network, count), beside_origins(network, count))

    return opened.remembered("names", build)


def view(opened: OpenedRun, moment: Moment, row: Row, member: int) -> View:
    """The network answers for a row, and is watched. Raises RunError if it cannot be opened."""
    network = moment.network
    if reason := why_closed(network):
        raise RunError("This network cannot be opened", got=reason)
    with working_at(opened.place), torch.no_grad(), watch(network) as seen:
        outputs = network(row.inputs)
    return View.after(opened, network, seen, outputs, row, member)


def neuron_of(found: View, layer: Any, neuron: Any) -> tuple[Layer, int]:
    """The neuron that a request means. Raises BadRequest if there is none."""
    chosen = found.layer(layer)
    if not isinstance(neuron, int) or isinstance(neuron, bool) or not 0 <= neuron < chosen.num_neurons:
        raise BadRequest(f"There is no such neuron in {layer}", got=str(neuron), fix=f"It has {chosen.num_neurons}.")
    return chosen, neuron


# --- one neuron -----------------------------------------------------------------------------------


def open_neuron(opened: OpenedRun, moment: Moment, row: Row, member: int, layer: Any, neuron: Any) -> dict[str, Any]:
    """A neuron's weighted sum, term by term, its kink and what it fires."""
    return open_neurons(opened, moment, row, member, [(layer, neuron)])[0]


def open_neurons(
    opened: OpenedRun, moment: Moment, row: Row, member: int, wanted: Sequence[tuple[Any, Any]]
) -> list[dict[str, Any]]:
    """Several neurons, each by its layer and number, while the network answers once."""
    found = view(opened, moment, row, member)
    neurons = []
    for layer, number in (neuron_of(found, *one) for one in wanted):
        title = f"{layer.name} [{number}] at step {moment.at.step}"
        neurons.append({"at": at_of(moment.at), **neuron_as_json(found, layer, number, title)})
    return neurons


def neuron_as_json(found: View, layer: Layer, neuron: int, title: str) -> dict[str, Any]:
    """See `open_neuron`."""
    opened_sum, bias = found.sum_of(layer, neuron), found.bias(layer, neuron)
    terms = terms_of(found, layer, neuron, opened_sum)
    others = {"count": opened_sum.num_others, "sum": opened_sum.others}
    norm = None if layer.norm is None else layer.norm(neuron)
    before_kink = float(layer.before_kink.value[0, neuron])
    added = None if layer.added is None else float(layer.added.value[0, neuron])
    python = python_of_neuron(
        title,
        [(term["name"], term["input"], term["weight"]) for term in terms],
        (opened_sum.num_others, opened_sum.others),
        bias,
        layer.kink,
        None if norm is None else vars(norm),
        None if added is None else (added, layer.added_first),
    )
    return {
        "layer": layer.name,
        "neuron": neuron,
        "kink": layer.kink,
        "terms": terms,
        "others": others,
        "bias": bias,
        "sum": float(layer.sums.value[0, neuron]),
        "normalisation": None if norm is None else {**vars(norm), "normalised": normalised(layer, neuron)},
        "added": None if added is None else {"value": added, "before_kink": layer.added_first},
        "before_kink": before_kink,
        "fired": float(layer.fired.value[0, neuron]),
        "place": None if layer.place is None else list(layer.place(neuron)),
        "python": python,
    }


def normalised(layer: Layer, neuron: int) -> float:
    """The sum after its normalisation, before anything is added."""
    value = float(layer.before_kink.value[0, neuron])
    return value - float(layer.added.value[0, neuron]) if layer.added is not None and layer.added_first else value


def terms_of(found: View, layer: Layer, neuron: int, opened_sum: OpenSum) -> list[dict[str, Any]]:
    """The strongest terms of a sum, and behind them what speaks to it beside its own weights."""
    names = found.names.of_layer(layer, neuron, found.row.inputs)
    inputs, weights = layer.inputs(neuron).numpy(), found.weights(layer, neuron)
    terms = [
        {
            "name": names[place],
            "from": found.source(layer, neuron, place),
            "input": float(inputs[place]),
            "weight": float(weights[place]),
            "product": float(opened_sum.products[place]),
        }
        for place in opened_sum.order.tolist()
    ]
    for extra in layer.extras(neuron):
        name, product = f"{extra.layer} [{extra.index}]", extra.input * extra.weight
        terms.append(
            {"name": name, "from": [extra.layer, extra.index], "input": extra.input, "weight": extra.weight, "product": product}
        )  # fmt: skip
    return terms
