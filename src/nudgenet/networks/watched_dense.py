"""Networks for tables and bags of words, opened: plain perceptrons, ensembles, and what wraps them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import accumulate

import torch
from torch import Tensor, nn

from nudgenet.networks.bag import BagNetwork
from nudgenet.networks.embeddings import CategoryEmbedding
from nudgenet.networks.ensemble import Ensemble
from nudgenet.networks.mlp import MLP
from nudgenet.networks.mlp import Layer as DenseLayer
from nudgenet.networks.neurons import KINKS, Neurons
from nudgenet.networks.pretrained import PretrainedNetwork
from nudgenet.networks.watched import Extra, Knobs, Layer, Origin, Signal, Watch, linear_layer, norm_of, row_of, signal


def watched_modules(network: nn.Module) -> list[nn.Module]:
    """The modules of a dense network to look at."""
    found: list[nn.Module] = [network]
    for module in network.modules():
        if isinstance(module, Neurons):
            found += [module, module.kink, module.norm]
        elif isinstance(module, Ensemble | MLP):
            found.append(module)
    if isinstance(network, PretrainedNetwork):
        found.append(network.direct)
    found += [module.output for module in network.modules() if isinstance(module, MLP)]
    return list(dict.fromkeys(found))


def kink_name(kink: nn.Module) -> str:
    """The name of a kink: a key of `KINKS`."""
    return next(name for name, kind in KINKS.items() if type(kink) is kind)


def ensemble_layers(network: Ensemble, watch: Watch, member: int, prefix: str = "") -> list[Layer]:
    """Every layer of one member (of copies x members): what all members share is named as theirs.

    A member's own ears, its adapter, are part of what the first layer's neurons see: prepared input x adapter. So their
    weights are the shared ones themselves.
    """
    copies, members = network.num_copies, network.num_members
    place, own = divmod(member, members)

    def pick(tensor: Tensor) -> Tensor:
        return tensor.reshape(copies, -1, members, network.width)[place, :, own]

    layers: list[Layer] = []
    below = "input"
    inputs = _ears(network, watch, place, own)
    for number, neurons in enumerate(network.neurons):
        assert isinstance(neurons, Neurons)
        name = f"layer{number + 1}"
        layers.append(
            _layer(
                name,
                neurons,
                watch,
                pick,
                inputs,
                below,
                weights=partial(_weights, f"{prefix}weights.{number}", place, inputs.shape[1]),
                bias=partial(_weights, f"{prefix}biases.{number}", place, None),
                residual=network.residual and number > 0,
                shared="members" if members > 1 else "",
            )
        )
        below, inputs = name, passed_on(layers[-1])
    outputs = signal(watch.given(network), lambda tensor: tensor[:, member])
    output = Layer(
        name="output",
        kink="none",
        sums=outputs,
        before_kink=outputs,
        fired=outputs,
        inputs=partial(row_of, inputs),
        below=below,
        weights=lambda neuron: Knobs(f"{prefix}output_weight", (place, own, slice(None), neuron)),
        bias=lambda neuron: Knobs(f"{prefix}output_bias", (place, own, neuron)),
    )
    return [*layers, output]


def _weights(parameter: str, place: int, num_inputs: int | None, neuron: int) -> Knobs:
    """One neuron's weights in a stack of copies; its last inputs may be blank. None: it is its bias."""
    return Knobs(parameter, (place, neuron) if num_inputs is None else (place, neuron, slice(0, num_inputs)))


def _ears(network: Ensemble, watch: Watch, place: int, own: int) -> Tensor:
    """What one member's first layer sees, (rows, inputs) without blanks: the encoded inputs times its adapter."""
    first = network.neurons[0]
    taken, weights = watch.taken(first), watch.taken(first, argument=1)
    taken = taken.detach()
    num_inputs = taken.shape[-1] - network.num_blank
    if weights is network.weights[0]:  # the inputs of every member were scaled
        return taken.reshape(network.num_copies, -1, network.num_members, taken.shape[-1])[place, :, own, :num_inputs]  # type: ignore[no-any-return]
    return (taken[place] * network.adapter.detach()[place, own])[:, :num_inputs]  # type: ignore[no-any-return]


def mlp_layers(network: MLP, watch: Watch, prefix: str = "") -> list[Layer]:
    """Every layer of a plain perceptron."""
    layers: list[Layer] = []
    below = "input"
    for number, layer in enumerate(network.layers):
        assert isinstance(layer, DenseLayer)
        name, parameter = f"layer{number + 1}", f"{prefix}layers.{number}.sum"
        layers.append(
            _layer(
                name,
                layer.neurons,
                watch,
                lambda tensor: tensor,
                watch.taken(layer.neurons).detach(),
                below,
                weights=partial(_row_of_linear, f"{parameter}.weight"),
                bias=partial(_row_of_linear, f"{parameter}.bias"),
                residual=layer.residual,
                shared="",
            )
        )
        below = name
    taken, given = watch.taken(network.output), watch.given(network.output)
    return [*layers, linear_layer("output", network.output, f"{prefix}output", taken, given, below)]


def _row_of_linear(parameter: str, neuron: int) -> Knobs:
    return Knobs(parameter, (neuron,))


def _layer(
    name: str,
    neurons: Neurons,
    watch: Watch,
    pick: Callable[[Tensor], Tensor],
    inputs: Tensor,
    below: str,
    *,
    weights: Callable[[int], Knobs],
    bias: Callable[[int], Knobs],
    residual: bool,
    shared: str,
) -> Layer:
    """One layer of `Neurons`, as it answered."""
    before_kink = signal(watch.taken(neurons.kink), pick)
    has_norm = not isinstance(neurons.norm, nn.Identity)
    sums = signal(watch.taken(neurons.norm), pick) if has_norm else before_kink
    return Layer(
        name=name,
        kink=kink_name(neurons.kink),
        sums=sums,
        before_kink=before_kink,
        fired=signal(watch.given(neurons.kink), pick),
        inputs=partial(row_of, inputs),
        below=below,
        weights=weights,
        bias=bias,
        shared="members" if shared else "",
        norm=partial(norm_of, neurons.norm, sums.value) if has_norm else None,
        added=Signal(inputs, lambda: None) if residual else None,
    )


def passed_on(layer: Layer) -> Tensor:
    """What the next layer takes in, (rows, neurons)."""
    return layer.fired.value if layer.added is None else layer.added.value + layer.fired.value


def table_layers(network: nn.Module, watch: Watch, member: int, prefix: str = "") -> list[Layer]:
    """The layers of a network for a table."""
    if isinstance(network, Ensemble):
        return ensemble_layers(network, watch, member, prefix)
    assert isinstance(network, MLP)
    return mlp_layers(network, watch, prefix)


def bag_layers(network: BagNetwork, watch: Watch, member: int) -> list[Layer]:
    """`words`: what the table's network reads of the texts; `straight`: what the texts say to the outputs directly."""
    inputs = watch.taken(network)
    tokens, token_weights = inputs["tokens"], inputs["token_weights"]
    there = tokens[0] > 0
    used, counts = tokens[0][there].long(), token_weights[0][there]
    numbers = watch.taken(network.rest)["numbers"]
    outputs = watch.given(network)
    with torch.no_grad():
        sums = network.sums(inputs)

    def of_words(name: str, first: int, found: Signal) -> Layer:
        return Layer(
            name=name,
            kink="none",
            sums=found,
            before_kink=found,
            fired=found,
            inputs=lambda neuron: counts,
            below="terms",
            weights=lambda neuron: Knobs("terms", (used, first + neuron)),
            bias=lambda neuron: None,
        )

    num_read, factor = network.num_read, network.factor
    read = [of_words("words", 0, signal(numbers, lambda tensor: tensor[:, -num_read:]))] if num_read else []
    rest = table_layers(network.rest, watch, member, "rest.")
    if not network.num_direct:
        return [*read, *rest]

    def of_straight() -> Tensor | None:
        gradient = outputs.grad if outputs.requires_grad else None
        return None if gradient is None else factor * (gradient.sum(dim=1) if gradient.ndim == 3 else gradient)

    straight = of_words("straight", num_read, Signal(sums[:, num_read:], of_straight))
    final = _with_direct(rest[-1], outputs, member, "straight", sums[0, num_read:], factor)
    return [*read, straight, *rest[:-1], final]


def _with_direct(output: Layer, outputs: Tensor, member: int, name: str, direct: Tensor, factor: float) -> Layer:
    """The outputs, to which something else speaks directly, too."""
    final = signal(outputs, lambda tensor: tensor[:, member] if tensor.ndim == 3 else tensor)

    def extras(neuron: int) -> list[Extra]:
        return [Extra(name, neuron, float(direct[neuron]), factor)]

    return Layer(
        name=output.name,
        kink="none",
        sums=final,
        before_kink=final,
        fired=final,
        inputs=output.inputs,
        below=output.below,
        weights=output.weights,
        bias=output.bias,
        extras=extras,
    )


def pretrained_layers(network: PretrainedNetwork, watch: Watch, member: int) -> list[Layer]:
    """The outputs over what the trunk says, and the small network beside them if there is one; not the trunk itself."""
    taken, given = watch.taken(network.direct), watch.given(network.direct)
    if network.rest is None:
        return [linear_layer("output", network.direct, "direct", taken, given, "features")]
    straight = linear_layer("straight", network.direct, "direct", taken, given, "features")
    rest = table_layers(network.rest, watch, member, "rest.")
    final = _with_direct(rest[-1], watch.given(network), member, "straight", given.detach()[0], 1.0)
    return [straight, *rest[:-1], final]


def origins(network: nn.Module, num_numbers: int) -> list[Origin]:
    """What each input of the first layer is made of.

    num_numbers: prepared numbers of the table; what a wrapping network adds to them stands behind.
    """
    if isinstance(network, BagNetwork | PretrainedNetwork):
        kind = "words" if isinstance(network, BagNetwork) else "features"
        if network.rest is None:
            return [Origin("features", index) for index in range(network.direct.in_features)]
        found = origins(network.rest, num_numbers)
        return [
            Origin(kind, origin.index - num_numbers)  # type: ignore[arg-type]
            if origin.kind == "number" and origin.index >= num_numbers
            else origin
            for origin in found
        ]
    assert isinstance(network, MLP | Ensemble)
    pieces = network.encoding.pieces if isinstance(network, Ensemble) else torch.zeros(0, 3)
    if isinstance(network, Ensemble):
        total = network.weights[0].shape[2] - network.num_blank
    else:
        first = network.layers[0] if len(network.layers) else None
        total = first.sum.in_features if isinstance(first, DenseLayer) else network.output.in_features
    embedded = network.embedding.num_features if network.embedding is not None else 0
    return table_origins(total - len(pieces) - embedded, pieces, network.embedding)


def table_origins(num_numbers: int, pieces: Tensor, embedding: CategoryEmbedding | None) -> list[Origin]:
    """What the inputs made from a table are: its numbers, their pieces, and numbers for its categories."""
    found = [*(Origin("number", index) for index in range(num_numbers)), *_pieces(pieces)]
    if embedding is not None:
        width = embedding.width
        found += [Origin("category", place // width, place % width, width) for place in range(embedding.num_features)]
    return found


def _pieces(pieces: Tensor) -> list[Origin]:
    columns = [int(column) for column in pieces[:, 0].tolist()]
    counts = {column: columns.count(column) for column in set(columns)}
    starts = dict(
        zip(sorted(counts), accumulate((counts[column] for column in sorted(counts)), initial=0), strict=False)
    )
    return [
        Origin("piece", column, place - starts[column], counts[column], low, high)
        for place, (column, (_, low, high)) in enumerate(zip(columns, pieces.tolist(), strict=True))
    ]
