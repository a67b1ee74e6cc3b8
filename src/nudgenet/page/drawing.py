"""The network over one row, as it is drawn: the neurons that matter, what runs between them, and the answer, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nudgenet.networks.anatomy import num_members
from nudgenet.networks.convnet import ConvNet
from nudgenet.networks.watched import Layer
from nudgenet.networks.watched_trunks import closed_part
from nudgenet.page.answers import answer_as_json, answers, loss_of, truth_of
from nudgenet.page.neurons import View, view
from nudgenet.page.opened import Moment, OpenedRun
from nudgenet.page.rows import Row, at_of
from nudgenet.watching.xray import strongest

MOST_SHOWN = 12  # neurons of a layer, and columns, unless they are unfolded
MOST_UNFOLDED = 512
MOST_EDGES = 48  # from one layer to the next
MOST_OUTPUTS = 30

Array = np.ndarray


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
        "members_are": members_are(opened, moment),
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
        "closed": closed_part(moment.network),
        "warnings": list(row.warnings),
    }


@dataclass(frozen=True)
class Flow:
    """What runs from one place into a neuron: of a column with several inputs, or of a channel, all of it together."""

    origin: tuple[str, Any]  # a layer and its neuron, or "input" and the name of a column
    target: tuple[str, int]
    weight: float | None
    product: float


def members_are(opened: OpenedRun, moment: Moment) -> str:
    """What answers together, if several do: networks; or one network, of several views of a picture or windows of a sound."""
    image = opened.shape.image
    if image is None or not isinstance(moment.network, ConvNet):
        return "networks"
    return "views" if image.medium == "image" else "windows"


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
