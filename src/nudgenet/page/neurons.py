"""The network over one row, one neuron of it, and the nudge that one update gives to its weights, as JSON.

Every number is PyTorch's: sums and gradients are noted while the network answers and learns, weights and the optimizer's
memory are the entries of the parameters themselves.
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
from nudgenet.page.rows import Row, answers, at_of, label_of, truth_of
from nudgenet.training.place import working_at
from nudgenet.watching.xray import OpenSum, open_sum, python_of_neuron, strongest

MOST_SHOWN = 12  # neurons of a layer, and columns, unless they are unfolded
MOST_UNFOLDED = 512
MOST_EDGES = 48  # from one layer to the next
MOST_OUTPUTS = 30

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
    answers = []
    for layer, number in (neuron_of(found, *one) for one in wanted):
        title = f"{layer.name} [{number}] at step {moment.at.step}"
        answers.append({"at": at_of(moment.at), **neuron_as_json(found, layer, number, title)})
    return answers


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


# --- the network ----------------------------------------------------------------------------------


def open_network(
    opened: OpenedRun,
    moment: Moment,
    row: Row,
    member: int,
    unfold: Sequence[str] = (),
    only: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, Any]:
    """The neurons that matter for one row, or those of `only`, and what runs between them; the whole ensemble's answer."""
    found = view(opened, moment, row, member)
    hidden, output = list(found.layers[:-1]), found.layers[-1]
    answer = answers(opened, found.outputs)[0]
    outputs = outputs_of(opened, output, answer, unfold)
    shown: dict[str, list[int]] = {"output": [one["index"] for one in outputs]}
    flows: dict[str, list[Flow]] = {}  # a layer -> what runs into its shown neurons
    for layer in reversed(found.layers):
        if layer is not output:
            known = None if only is None else only.get(layer.name, ())
            shown[layer.name] = (
                sorted(known) if known is not None else choose(found, layer, flows, shown, layer.name in unfold)
            )
        flows[layer.name] = [flow for neuron in shown[layer.name] for flow in flows_into(found, layer, neuron)]
    columns, folded = columns_of(found, flows, "input" in unfold)
    places = {column["name"]: column["index"] for column in columns}
    return {
        "at": at_of(moment.at),
        "members": num_members(found.outputs),
        "member": member,
        "kink": hidden[-1].kink if hidden else "none",
        "columns": columns,
        "folded_columns": folded,
        "layers": [
            {
                "name": layer.name,
                "kink": layer.kink,
                "neurons": layer.num_neurons,
                "shown": [
                    {
                        "index": neuron,
                        "sum": float(layer.sums.value[0, neuron]),
                        "fired": float(layer.fired.value[0, neuron]),
                    }
                    for neuron in shown[layer.name]
                ],
                "folded": layer.num_neurons - len(shown[layer.name]),
            }
            for layer in hidden
        ],
        "edges": [edge for layer in found.layers for edge in edges_of(flows[layer.name], shown, places)],
        "outputs": outputs,
        "folded_outputs": output.num_neurons - len(outputs),
        "answer": answer_as_json(opened, answer),
        "truth": truth_of(opened, row.target),
        "loss": loss_of(opened, found.outputs, row),
        "warnings": list(row.warnings),
    }


@dataclass(frozen=True)
class Flow:
    """What runs from one place into a neuron: of a column with several inputs, or of a channel, all of it together."""

    origin: tuple[str, Any]  # a layer and its neuron, or "input" and the name of a column
    target: tuple[str, int]
    weight: float | None
    product: float


def flows_into(found: View, layer: Layer, neuron: int) -> list[Flow]:
    """Everything that runs into a neuron."""
    inputs, weights = layer.inputs(neuron).numpy(), found.weights(layer, neuron)
    products, target = inputs * weights, (layer.name, neuron)
    flows = [Flow((extra.layer, extra.index), target, extra.weight, extra.input * extra.weight) for extra in layer.extras(neuron)]  # fmt: skip
    if layer.below == "input":
        for column, places in found.names.groups.items():
            weight = float(weights[places[0]]) if len(places) == 1 else None
            flows.append(Flow(("input", column), target, weight, float(products[places].sum(dtype=np.float64))))
        for place, origin in found.names.from_layers.items():
            flows.append(Flow(origin, target, float(weights[place]), float(products[place])))
        return flows
    if not any(other.name == layer.below for other in found.layers):
        if found.names.medium:  # words and pixels are too many to draw one by one
            flows.append(Flow(("input", found.names.medium), target, None, float(products.sum(dtype=np.float64))))
        return flows
    if layer.kernel:
        of_channels = products.reshape(layer.kernel[0], -1).sum(axis=1, dtype=np.float64)
        return [
            *flows,
            *(Flow((layer.below, place), target, None, float(one)) for place, one in enumerate(of_channels)),
        ]
    return [
        *flows,
        *(
            Flow((layer.below, place), target, float(weights[place]), float(one))
            for place, one in enumerate(products)
        ),
    ]  # fmt: skip


def choose(
    found: View, layer: Layer, flows: Mapping[str, Sequence[Flow]], shown: Mapping[str, Sequence[int]], is_open: bool
) -> list[int]:
    """The neurons of a layer that are shown: those whose answers weigh the most in the neurons shown above."""
    strength = np.zeros(layer.num_neurons)
    for flow in (flow for above in shown for flow in flows.get(above, ()) if flow.origin[0] == layer.name):
        strength[flow.origin[1]] += abs(flow.product)
    if not strength.any():
        strength = layer.fired.value[0].abs().double().numpy()
    most = MOST_UNFOLDED if is_open else MOST_SHOWN
    return sorted(strongest(strength, most).tolist())


def edges_of(
    flows: Sequence[Flow], shown: Mapping[str, Sequence[int]], columns: Mapping[str, int]
) -> list[dict[str, Any]]:
    """The strongest lines into a layer, between what is shown."""
    kept = [
        flow
        for flow in flows
        if (flow.origin[1] in columns if flow.origin[0] == "input" else flow.origin[1] in shown.get(flow.origin[0], ()))
    ]
    kept = [kept[place] for place in strongest(np.array([flow.product for flow in kept]), MOST_EDGES).tolist()]
    return [
        {
            "from": ["input", columns[flow.origin[1]]] if flow.origin[0] == "input" else list(flow.origin),
            "to": list(flow.target),
            "weight": flow.weight,
            "product": flow.product,
        }
        for flow in kept
        if flow.product
    ]


def columns_of(found: View, flows: Mapping[str, Sequence[Flow]], is_open: bool) -> tuple[list[dict[str, Any]], int]:
    """The columns of the row with their share in what the first layer is told, the strongest kept; how many are folded."""
    names = found.names.columns or list(found.row.cells)
    told = dict.fromkeys(names, 0.0)
    for layer in found.layers:
        for flow in flows[layer.name]:
            if flow.origin[0] == "input":
                told[flow.origin[1]] += abs(flow.product)
    total = sum(told.values()) or 1.0
    order = strongest(np.array(list(told.values())), MOST_UNFOLDED if is_open else MOST_SHOWN)
    columns = [
        {
            "index": place,
            "name": names[place],
            "text": found.row.cells.get(names[place], ""),
            "inputs": len(found.names.groups.get(names[place], ())),
            "share": told[names[place]] / total,
        }
        for place in sorted(order.tolist())
    ]
    return columns, len(names) - len(columns)


def outputs_of(opened: OpenedRun, output: Layer, answer: Array, unfold: Sequence[str]) -> list[dict[str, Any]]:
    """What this member says: each output, and for classes the probability that it gives."""
    task = opened.run.task
    values = output.fired.value[0]
    if task.kind == "regression":
        return [{"index": 0, "name": task.target, "output": float(values[0]), "probability": None}]
    probabilities = values.double().softmax(dim=0)
    count = len(values) if "output" in unfold else MOST_OUTPUTS
    chosen = sorted(strongest(answer, count).tolist())
    return [
        {
            "index": index,
            "name": str(task.classes[index]),
            "output": float(values[index]),
            "probability": float(probabilities[index]),
        }
        for index in chosen
    ]


def answer_as_json(opened: OpenedRun, answer: Array) -> dict[str, Any]:
    """One row's answer: the label with its probability, or the number."""
    label = label_of(opened, answer)
    if opened.run.task.kind == "regression":
        return {"value": label}
    classes = opened.run.classes
    probabilities = probabilities_of(opened, answer)
    return {"label": label, "probability": float(answer[classes.index(label)]), "probabilities": probabilities}


def probabilities_of(opened: OpenedRun, answer: Array) -> list[dict[str, Any]]:
    """The probability of each class."""
    return [{"class": label, "probability": float(p)} for label, p in zip(opened.run.classes, answer, strict=True)]


def loss_of(opened: OpenedRun, outputs: Tensor, row: Row) -> float | None:
    """The loss of the whole ensemble's answer, as the curves judge it; None if nobody knows the truth."""
    if row.target is None:
        return None
    objective = opened.objective
    with torch.inference_mode():
        return float(objective.row_losses(objective.unite(outputs), row.target)[0])
