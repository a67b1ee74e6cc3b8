"""Why the answer is what it is: columns, neurons, the rows that excite them, and the whole part at a glance, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nudgenet.data.features import NumberFeature
from nudgenet.data.prepare import Preparation
from nudgenet.data.spans import input_positions
from nudgenet.data.starts import MediaFeature
from nudgenet.errors import ColumnError, RunError, did_you_mean
from nudgenet.networks.anatomy import attention_of, fired_in, first_filters, gradients, watch
from nudgenet.networks.pretrained import PretrainedNetwork
from nudgenet.networks.watched_trunks import read_text
from nudgenet.page.answers import answer_as_json, answers, ask, label_of, probabilities_of, told, truth_of
from nudgenet.page.context import BadRequest
from nudgenet.page.detail import typical_text
from nudgenet.page.listing import judge, looked_at
from nudgenet.page.naming import number_before, typical_inputs
from nudgenet.page.neurons import View, names_of, neuron_of, view
from nudgenet.page.opened import Moment, OpenedRun
from nudgenet.page.rows import Row, at_of, cells_of, part_of_run
from nudgenet.training.place import working_at
from nudgenet.watching.xray import strongest

MOST_EXCITING = 9
MOST_LOOKED_AT = 20_000  # training rows, evenly spaced
MOST_RESPONSIBLE = 12
MOST_PAIRS = 1_000
RESOLUTION = 60
FINEST = 200
MOST_POINTS = 500
MOST_FILTERS = 64
MOST_LOOKS = 400_000  # shares of attention of one answer


def what_if(opened: OpenedRun, moment: Moment, row: Row) -> dict[str, Any]:
    """The answer, and what it would be if one column were as usual; the columns that matter most first."""
    is_number = opened.run.task.kind == "regression"
    known = typical_values(opened)
    count = 1 + len(known)
    inputs = {name: tensor.repeat_interleave(count, dim=0) for name, tensor in row.inputs.items()}
    for place, changes in enumerate(known.values(), start=1):
        for name, position, value in changes:
            inputs[name][place, position] = value
    found = ask(opened, moment.network, inputs)
    answer = found[0]
    label = label_of(opened, answer)
    values = found if is_number else found[:, opened.run.classes.index(label)]
    usual = {feature.column: typical_text(feature) or "" for feature in opened.run.preparation.features}
    columns = [
        {
            "name": column,
            "text": row.cells.get(column, ""),
            "typical": usual[column],
            "answer_if_typical": float(values[place]),
            "change": float(values[0] - values[place]),  # what it is for the answer that the column is as it is
        }
        for place, column in enumerate(known, start=1)
    ]
    return {
        "at": at_of(moment.at),
        "answer": label,
        "number": float(answer) if is_number else None,
        "probabilities": float(answer) if is_number else probabilities_of(opened, answer),
        "unit": opened.run.task.target,
        "truth": truth_of(opened, row.target),
        "columns": sorted(columns, key=lambda column: -abs(column["change"])),
        "warnings": list(row.warnings),
    }


def typical_values(opened: OpenedRun) -> dict[str, list[tuple[str, int | slice, float]]]:
    """Column -> [(input, position, its prepared value where nothing is special)]; pictures and sounds have none."""
    found: dict[str, list[tuple[str, int | slice, float]]] = {}
    places = input_positions(opened.run.preparation)
    for feature in opened.run.preparation.features:
        if isinstance(feature, MediaFeature):
            continue
        values, own = typical_inputs(feature), places[feature.column]
        values = values * len(own) if len(values) < len(own) else values
        found[feature.column] = [(*place, value) for place, value in zip(own, values, strict=True)]
    return found


# --- neurons --------------------------------------------------------------------------------------


def responsible(opened: OpenedRun, moment: Moment, row: Row, member: int) -> dict[str, Any]:
    """The neurons that speak most for the wrong answer: fired x gradient of its lead over the true one.

    Where the answer is right, or nobody knows better, its lead over the next best; of a number, the number itself. To
    first order, the lead falls by so much when the neuron is silenced (Shrikumar et al., arXiv 1605.01713).
    """
    network = moment.network
    view(opened, moment, row, member)  # says it when the network cannot be opened
    were = [parameter.requires_grad for parameter in network.parameters()]
    network.requires_grad_(True)
    try:
        with working_at(opened.place), watch(network) as seen:
            outputs = network(row.inputs)
            united = opened.objective.unite(outputs)[0]
            gradients(lead(opened, united, row), seen)
            found = View.after(opened, network, seen, outputs, row, member)
    finally:
        for parameter, was in zip(network.parameters(), were, strict=True):
            parameter.requires_grad_(was)
    neurons = []
    for layer in found.layers[:-1]:
        slopes = layer.fired.gradient()
        if slopes is None:
            continue
        shares = (layer.fired.value[0] * slopes[0]).double().numpy()
        neurons += [(layer.name, index, float(shares[index])) for index in strongest(shares, MOST_RESPONSIBLE).tolist()]
    neurons.sort(key=lambda neuron: -abs(neuron[2]))
    return {
        "at": at_of(moment.at),
        "member": member,
        "neurons": [
            {"layer": layer, "index": index, "share": share}
            for layer, index, share in neurons[:MOST_RESPONSIBLE]
            if share
        ],
    }


def lead(opened: OpenedRun, outputs: Tensor, row: Row) -> Tensor:
    """How far the answer is ahead, in the network's own unit."""
    if opened.run.task.kind == "regression":
        return outputs[0]
    order = outputs.detach().argsort(descending=True)
    answered = int(order[0])
    truth = answered if row.target is None else int(row.target[0])
    return outputs[answered] - outputs[int(order[1]) if truth == answered else truth]


def exciting(opened: OpenedRun, moment: Moment, row: Row, member: int, layer: Any, neuron: Any) -> dict[str, Any]:
    """The training rows that make a neuron fire the most."""
    return exciting_each(opened, moment, row, member, [(layer, neuron)])[0]


def exciting_each(
    opened: OpenedRun, moment: Moment, row: Row, member: int, wanted: Sequence[tuple[Any, Any]]
) -> list[dict[str, Any]]:
    """The same for several neurons, while the network looks at the training rows once."""
    found = view(opened, moment, row, member)
    neurons = [(layer.name, number) for layer, number in (neuron_of(found, *one) for one in wanted)]
    key = ("exciting", moment.at.step, moment.at.why, member, *neurons)
    fired, places = opened.remembered(key, lambda: fired_by(opened, moment, member, neurons))
    targets = part_of_run(opened, "train").targets
    answers = []
    for column, (name, number) in enumerate(neurons):
        best = np.argsort(-fired[:, column], kind="stable")[:MOST_EXCITING]
        indices = places[best].tolist()
        items = [
            {
                "part": "train",
                "index": index,
                "fired": float(fired[place, column]),
                "cells": cells,
                "truth": truth_of(opened, targets[index : index + 1]),
            }
            for place, index, cells in zip(best.tolist(), indices, cells_of(opened, "train", indices), strict=True)
        ]
        answers.append({"at": at_of(moment.at), "layer": name, "neuron": number, "items": items})
    return answers


def fired_by(
    opened: OpenedRun, moment: Moment, member: int, neurons: Sequence[tuple[str, int]]
) -> tuple[np.ndarray, np.ndarray]:
    """What neurons answer to the training rows, (rows, neurons), and the rows' indices."""
    places, part = looked_at(opened, moment, "train", MOST_LOOKED_AT)
    with working_at(opened.place):
        rows = torch.arange(len(part))
        fired = fired_in(moment.network, part.inputs, rows, {name for name, _ in neurons}, member)
    return torch.stack([fired[name][:, neuron] for name, neuron in neurons], dim=1).numpy(), places


# --- all rows at once -----------------------------------------------------------------------------


def confusion(opened: OpenedRun, moment: Moment) -> dict[str, Any]:
    """What was answered for what, over the validation rows: rows of the matrix are the truth; of numbers, the pairs.

    in_part: so many rows the part has; if that is more than were looked at, those are evenly spaced ones.
    """
    part = part_of_run(opened, "validation")
    judged = opened.remembered(
        ("judged", "validation", moment.at.step, moment.at.why), lambda: judge(opened, moment, "validation")
    )
    targets = part.targets[torch.from_numpy(judged.places)]
    shared: dict[str, Any] = {
        "at": at_of(moment.at),
        "part": "validation",
        "in_part": len(part),
        "classes": opened.run.classes,
    }
    if opened.run.task.kind == "regression":
        truth = opened.run.preparation.restore(targets.double().numpy())
        some = np.linspace(0, len(truth) - 1, min(len(truth), MOST_PAIRS)).round().astype(np.int64)
        return {**shared, "pairs": np.stack([truth[some], judged.answers[some]], axis=1).tolist()}
    count = len(opened.run.classes)
    matrix = np.zeros((count, count), np.int64)
    np.add.at(matrix, (targets.numpy(), opened.run.rule.decide(judged.answers)), 1)
    return {**shared, "matrix": matrix.tolist()}


def boundary(opened: OpenedRun, moment: Moment, row: Row, x: Any, y: Any, resolution: Any) -> dict[str, Any]:
    """The answer over two number columns, all others as in the row; with training rows as points.

    grid: lines from the lowest y up; the probability of the second class, of each class if there are more, or a number.
    """
    axes = [number_axis(opened.run.preparation, name) for name in (x, y)]
    size = resolution if isinstance(resolution, int) else RESOLUTION
    size = max(2, min(size, FINEST))
    ticks = [np.linspace(low, high, size) for _, _, low, high in axes]
    across, up = np.meshgrid(*ticks)
    one = told(opened, moment.network, row.inputs)
    inputs = {name: tensor.repeat_interleave(size * size, dim=0) for name, tensor in one.items()}
    for (place, feature, _, _), values in zip(axes, (across, up), strict=True):
        for offset, encoded in enumerate(feature.encode(values.ravel())):
            inputs["numbers"][:, place + offset] = torch.from_numpy(encoded).to(torch.float32)
    found = ask(opened, moment.network, inputs)
    grid = found[:, 1] if opened.run.task.kind == "binary" else found
    return {
        "at": at_of(moment.at),
        "x": ticks[0].tolist(),
        "y": ticks[1].tolist(),
        "grid": grid.reshape(size, size, *grid.shape[1:]).tolist(),
        "classes": opened.run.classes,
        "points": points_of(opened, axes),
    }


def points_of(opened: OpenedRun, axes: Sequence[Axis]) -> list[dict[str, Any]]:
    """Training rows over two columns, evenly spaced; none if they are gone."""
    try:
        part = part_of_run(opened, "train")
    except RunError:
        return []
    some = np.linspace(0, len(part) - 1, min(len(part), MOST_POINTS)).round().astype(np.int64)
    cells = [prepared_back(part.inputs["numbers"][torch.from_numpy(some)], axis) for axis in axes]
    return [
        {"x": float(a), "y": float(b), "truth": truth_of(opened, part.targets[i : i + 1]), "part": "train"}
        for a, b, i in zip(*cells, some.tolist(), strict=True)
    ]


Axis = tuple[int, NumberFeature, float, float]


def number_axis(preparation: Preparation, name: Any) -> Axis:
    """(place among the numbers, feature, lowest, highest). Raises ColumnError if it is no number column."""
    features = {f.column: f for f in preparation.features if isinstance(f, NumberFeature)}
    if not isinstance(name, str) or name not in features:
        raise ColumnError("An axis is a column of numbers", got=str(name), fix=did_you_mean(str(name), features))
    place = input_positions(preparation)[name][0][1]
    assert isinstance(place, int)
    feature = features[name]
    room = 0.05 * (feature.high - feature.low) or 1.0
    return place, feature, feature.low - room, feature.high + room


def prepared_back(numbers: Tensor, axis: Axis) -> np.ndarray:
    """A prepared column in its own unit again."""
    place, feature, _, _ = axis
    return np.array([number_before(feature, value) for value in numbers[:, place].tolist()])


# --- pictures of weights --------------------------------------------------------------------------


def filters(opened: OpenedRun, moment: Moment) -> dict[str, Any]:
    """The weights of the first layer: as small pictures, or column by column."""
    network = moment.network
    if (seeing := first_filters(network, MOST_FILTERS)) is not None:
        order, weights = seeing
        pictures = weights.permute(0, 2, 3, 1).tolist()  # height, width, channels
        found = [
            {"index": index, "values": values, "columns": []} for index, values in zip(order, pictures, strict=True)
        ]
        layer = None if isinstance(network, PretrainedNetwork) else "stem"  # inside a trunk no neuron is opened
        return {"at": at_of(moment.at), "kind": "images", "layer": layer, "filters": found}
    names = names_of(opened, network)
    if not names.groups or isinstance(network, PretrainedNetwork):
        raise BadRequest("The first layer of this network has no weights that a person could read")
    shown = view(opened, moment, usual_row(opened), 0)
    first = next((layer for layer in shown.layers if layer.below == "input"), shown.layers[0])
    rows = np.stack([shown.weights(first, neuron) for neuron in range(first.num_neurons)])
    order = strongest(np.abs(rows).sum(axis=1), MOST_FILTERS).tolist()
    columns = list(names.groups)
    found = [
        {
            "index": index,
            "values": [rows[index, names.groups[name]].tolist() for name in columns],
            "columns": columns,
        }
        for index in order
    ]
    return {"at": at_of(moment.at), "kind": "columns", "layer": first.name, "filters": found}


def usual_row(opened: OpenedRun) -> Row:
    """A row in which nothing is special."""
    preparation = opened.run.preparation
    inputs = {name: torch.zeros_like(tensor) for name, tensor in preparation.space(1).items()}
    for changes in typical_values(opened).values():
        for name, position, value in changes:
            inputs[name][0, position] = value
    return Row(inputs, None, {})


def attention(opened: OpenedRun, moment: Moment, row: Row) -> dict[str, Any]:
    """Which word looked at which, in every head of every block; of a long text its beginning, as `note` then says."""
    network = moment.network
    with working_at(opened.place), torch.no_grad(), watch(network) as seen:
        outputs = network(row.inputs)
        maps = attention_of(network, seen)
    if not maps:
        fix = "Networks of the kind `transformer` have them, and most pretrained ones for texts."
        raise BadRequest("This network has no attention maps over words", got=opened.run.settings.network, fix=fix)
    words, note = words_looked_at(opened, network, row, len(maps[0][0]))
    most = int((MOST_LOOKS / sum(len(heads) for heads in maps)) ** 0.5)
    if len(words) > most:
        note = f"{note} The first {most:,} of {len(words):,} words are shown.".strip()
        words, maps = words[:most], [heads[:, :most, :most] for heads in maps]
    return {
        "at": at_of(moment.at),
        "words": words,
        "note": note,
        "layers": [{"heads": heads.tolist()} for heads in maps],
        "answer": answer_as_json(opened, answers(opened, outputs)[0]),
    }


def words_looked_at(opened: OpenedRun, network: nn.Module, row: Row, count: int) -> tuple[list[str], str]:
    """The words of the text that attention is shown for, `count` with those of the network's own; of several columns, which."""
    names = names_of(opened, network)
    if not isinstance(network, PretrainedNetwork):
        return names.words_of(row.inputs), ""
    place, tokens = read_text(network, row.inputs)
    words = [names.word(token) for token in tokens[0].tolist()]
    columns = list(opened.run.preparation.texts)
    return ["(start)"] * (count - len(words)) + words, f"The words of `{columns[place]}`." if len(columns) > 1 else ""
