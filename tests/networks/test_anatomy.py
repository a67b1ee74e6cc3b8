"""A network opened: its sums can be added up by hand, and its gradients are those of autograd on a plain network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from conftest import make_prepared
from nudgenet.networks import NETWORKS
from nudgenet.networks.anatomy import (
    attention_of,
    beside_origins,
    gradients,
    layers_of,
    named_knobs,
    num_members,
    origins_of,
    watch,
    why_closed,
)
from nudgenet.networks.bag import BagNetwork
from nudgenet.networks.capacity import choose_capacity
from nudgenet.networks.convnet import ConvNet
from nudgenet.networks.encoding import learn_pieces
from nudgenet.networks.ensemble import Ensemble
from nudgenet.networks.mlp import MLP
from nudgenet.networks.neurons import KINKS
from nudgenet.networks.transformer import Transformer
from nudgenet.networks.watched import Layer, Watch
from nudgenet.records import ImageShape, Shape, TextShape
from nudgenet.settings import Settings

Inputs = dict[str, Tensor]
CARDINALITIES = (3, 5)


def table(num_rows: int = 1) -> Inputs:
    data = make_prepared(num_rows=60, cardinalities=CARDINALITIES)
    return {name: tensor[:num_rows] for name, tensor in data.train.inputs.items()}


def texts(num_rows: int = 1) -> Inputs:
    random = torch.Generator().manual_seed(3)
    tokens = torch.randint(1, 20, (num_rows, 6), generator=random, dtype=torch.int32)
    tokens[:, 4:] = 0
    return table(num_rows) | {"tokens": tokens, "token_weights": torch.rand(num_rows, 6, generator=random)}


def pictures(num_rows: int = 1) -> Inputs:
    random = torch.Generator().manual_seed(4)
    images = torch.randint(0, 256, (num_rows, 3, 20, 20), generator=random).to(torch.uint8)
    return table(num_rows) | {"images": images}


def moved(network: nn.Module, inputs: Inputs) -> nn.Module:
    """Away from its first values, with running statistics, in evaluation mode."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        network.train()
        network(inputs)
    return network.eval()


def tables(name: str, **options: object) -> tuple[nn.Module, Inputs]:
    data = make_prepared(kind="multiclass", cardinalities=CARDINALITIES)
    settings = Settings(network=name, width=options.pop("width", 8), layers=options.pop("layers", 2), **options)  # type: ignore[arg-type]
    torch.manual_seed(0)
    pieces = learn_pieces(data.train.inputs["numbers"])
    network = NETWORKS[name](data.shape, choose_capacity(data.shape, settings), settings, pieces)
    return moved(network, data.train.inputs), table()


def bag(layers: int = 1, beside: bool = True) -> tuple[nn.Module, Inputs]:
    shape = Shape(4 if beside else 0, CARDINALITIES if beside else (), 3, 100, text=TextShape("bag", 20, 6))
    settings = Settings(width=8, layers=layers, members=3 if layers else None)
    torch.manual_seed(0)
    network = NETWORKS["bag"](shape, choose_capacity(replace(shape, text=None), settings), settings, torch.zeros(0, 3))
    given = texts(8), texts()
    if not beside:
        given = tuple(
            {**one, "numbers": one["numbers"][:, :0], "categories": one["categories"][:, :0]} for one in given
        )  # type: ignore[assignment]
    return moved(network, given[0]), given[1]


def transformer(beside: bool = True) -> tuple[nn.Module, Inputs]:
    shape = Shape(4 if beside else 0, CARDINALITIES if beside else (), 3, 100, text=TextShape("sequence", 20, 6))
    torch.manual_seed(0)
    return moved(Transformer(shape, width=64, num_layers=2), texts(8)), texts()


def convnet(mirrored: bool = True) -> tuple[nn.Module, Inputs]:
    image = ImageShape(3, 20, 20, (0.5, 0.4, 0.5), (0.2, 0.2, 0.3))
    torch.manual_seed(0)
    shape = Shape(4, CARDINALITIES, 3, 100, image=image)
    return moved(ConvNet(shape, width=4, num_stages=1, mirrored=mirrored), pictures(8)), pictures()


CASES: dict[str, Callable[[], tuple[nn.Module, Inputs]]] = {
    "ensemble": lambda: tables("ensemble", members=3, copies=2),
    "ensemble-of-one": lambda: tables("ensemble", members=1),
    "ensemble-of-one-neuron": lambda: tables("ensemble", members=2, width=1),  # takes the way for many rows
    "ensemble-layernorm-residual": lambda: tables("ensemble", normalisation="layer", residual=True, members=2),
    "ensemble-batchnorm": lambda: tables("ensemble", normalisation="batch", members=2, activation="tanh"),
    "mlp": lambda: tables("mlp", activation="gelu"),
    "mlp-residual": lambda: tables("mlp", residual=True, normalisation="batch", layers=3),
    "linear": lambda: tables("mlp", layers=0),
    "bag": bag,
    "bag-linear": lambda: bag(0),
    "bag-alone": lambda: bag(beside=False),
    "transformer": transformer,
    "transformer-alone": lambda: transformer(False),
    "convnet": convnet,
}


def opened(network: nn.Module, inputs: Inputs) -> tuple[Watch, Tensor]:
    with watch(network) as seen:
        return seen, network(inputs)


def by_hand(network: nn.Module, layer: Layer, neuron: int) -> float:
    """Products and bias, added up in double precision."""
    knobs = named_knobs(network)
    weights, bias = layer.weights(neuron), layer.bias(neuron)
    products = layer.inputs(neuron).double() * weights.of(knobs[weights.parameter]).double()
    beside = sum(extra.input * extra.weight for extra in layer.extras(neuron))
    return float(products.sum()) + beside + (0.0 if bias is None else float(bias.of(knobs[bias.parameter])[0]))


@pytest.mark.parametrize("case", CASES)
def test_every_sum_and_kink_can_be_done_by_hand(case: str) -> None:
    network, inputs = CASES[case]()
    with torch.no_grad():
        seen, outputs = opened(network, inputs)
        for member in range(num_members(outputs)):
            layers = layers_of(network, seen, member)
            assert layers[-1].name == "output"
            answers = outputs[:, member] if outputs.ndim == 3 else outputs
            assert torch.equal(layers[-1].fired.value, answers)
            for layer in layers:
                for neuron in range(layer.num_neurons):
                    z = float(layer.sums.value[0, neuron])
                    assert by_hand(network, layer, neuron) == pytest.approx(z, rel=1e-4, abs=1e-5)
                    if layer.norm is not None:
                        norm = layer.norm(neuron)
                        z = (z - norm.mean) / norm.deviation * norm.scale + norm.shift
                    if layer.added is not None and layer.added_first:
                        z += float(layer.added.value[0, neuron])
                    assert z == pytest.approx(float(layer.before_kink.value[0, neuron]), rel=1e-4, abs=1e-4)
                fired = KINKS[layer.kink]()(layer.before_kink.value)
                torch.testing.assert_close(layer.fired.value, fired, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("case", ["ensemble", "mlp", "bag"])
def test_a_layer_takes_in_what_the_one_below_passes_on(case: str) -> None:
    network, inputs = CASES[case]()
    with torch.no_grad():
        seen, outputs = opened(network, inputs)
        for member in range(num_members(outputs)):
            layers = {layer.name: layer for layer in layers_of(network, seen, member)}
            above = [layer for layer in layers.values() if layer.below in layers]
            assert above, "the output stands on a layer"
            for layer in above:
                assert torch.equal(layer.inputs(0), layers[layer.below].fired.value[0])


def test_members_are_the_plain_networks_that_the_ensemble_names() -> None:
    network, inputs = CASES["ensemble"]()
    assert isinstance(network, Ensemble)
    with torch.no_grad():
        seen, _ = opened(network, inputs)
        encoded = network.encode(inputs)
        for member in range(6):
            plain = network.member(member)
            signal = encoded[member // 3]
            for layer, module in zip(layers_of(network, seen, member), plain, strict=True):
                signal = module(signal)
                torch.testing.assert_close(layer.fired.value, signal, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_autograd(case: str) -> None:
    """dL/dsum times what a neuron weighs is the gradient of its weights; where they are shared, all shares add up to it."""
    network, inputs = CASES[case]()
    knobs = named_knobs(network)

    def loss(outputs: Tensor) -> Tensor:
        return (outputs * torch.arange(outputs.numel()).view(outputs.shape)).sum()

    seen, outputs = opened(network, inputs)
    gradients(loss(outputs), seen)
    found = torch.autograd.grad(loss(network(inputs)), list(knobs.values()), allow_unused=True)
    of_knobs = dict(zip(knobs, found, strict=True))
    shares: dict[str, list[Tensor]] = {}
    totals: dict[str, Tensor] = {}
    for member in range(num_members(outputs)):
        for layer in layers_of(network, seen, member):
            slopes = layer.sums.gradient()
            assert slopes is not None and slopes.shape == layer.sums.value.shape
            # Of a neuron at many places only one is looked at; words are read once for all members.
            if layer.shared == "places" or (layer.below == "terms" and member > 0):
                continue
            for neuron in range(layer.num_neurons):
                weights = layer.weights(neuron)
                key = f"{weights.parameter}{weights.index}"
                shares.setdefault(key, []).append(slopes[0, neuron] * layer.inputs(neuron))
                gradient = of_knobs[weights.parameter]
                assert gradient is not None
                totals[key] = weights.of(gradient)
    for key, parts in shares.items():
        torch.testing.assert_close(torch.stack(parts).sum(0), totals[key], rtol=1e-4, atol=1e-4)


def test_a_channel_is_shown_where_it_fires_the_most() -> None:
    network, inputs = convnet(mirrored=False)
    assert isinstance(network, ConvNet)
    with torch.no_grad():
        seen, _ = opened(network, inputs)
        layers = {layer.name: layer for layer in layers_of(network, seen)}
        pixels = (inputs["images"].float() - network.center) / network.spread
        maps = network.stem_norm(network.stem(pixels)).relu()
    stem = layers["stem"]
    torch.testing.assert_close(stem.fired.value, maps.amax(dim=(2, 3)), rtol=1e-5, atol=1e-5)
    assert stem.place is not None
    for channel in range(4):
        row, column = stem.place(channel)
        torch.testing.assert_close(maps[0, channel, row, column], stem.fired.value[0, channel], rtol=1e-5, atol=1e-5)
    assert stem.kernel == (3, *network.stem.weight.shape[2:])
    assert len(stem.inputs(0)) == network.stem.weight[0].numel()


def test_attention_maps_are_shares() -> None:
    network, inputs = transformer()
    with torch.no_grad():
        seen, _ = opened(network, inputs)
        maps = attention_of(network, seen)
    assert [tuple(heads.shape) for heads in maps] == [(2, 5, 5)] * 2
    for heads in maps:
        torch.testing.assert_close(heads.sum(dim=2), torch.ones(2, 5))
    assert attention_of(*_mlp_seen()) == []


def _mlp_seen() -> tuple[nn.Module, Watch]:
    network, inputs = CASES["mlp"]()
    return network, opened(network, inputs)[0]


def test_inputs_know_what_they_are_made_of() -> None:
    network, inputs = CASES["ensemble"]()
    assert isinstance(network, Ensemble)
    found = origins_of(network, 4)
    encoded = network.encode(inputs)[0].detach()
    assert len(found) == encoded.shape[1] - network.num_blank
    for place, origin in enumerate(found):
        if origin.kind == "number":
            assert encoded[0, place] == inputs["numbers"][0, origin.index]
        if origin.kind == "piece":
            share = (inputs["numbers"][0, origin.index] - origin.low) / (origin.high - origin.low)
            assert float(encoded[0, place]) == pytest.approx(float(share.clamp(0, 1)), abs=1e-5)
    pieces = [origin for origin in found if origin.kind == "piece"]
    assert pieces and all(0 <= origin.part < origin.parts for origin in pieces)
    for case, count in (("bag-alone", 32), ("bag", 0)):  # beside other columns words speak to the outputs alone
        found = origins_of(CASES[case]()[0], 0 if count else 4)
        assert [origin.index for origin in found if origin.kind == "words"] == list(range(count))
    assert origins_of(CASES["convnet"]()[0], 4) == []
    assert [origin.kind for origin in beside_origins(CASES["convnet"]()[0], 4)][:5] == ["number"] * 4 + ["category"]


def test_watching_leaves_nothing_behind() -> None:
    network, inputs = CASES["ensemble"]()
    seen, before = opened(network, inputs)
    assert not any(module._forward_hooks for module in network.modules())
    assert torch.equal(before, network(inputs))
    assert seen.num_calls(network) == 1  # what came after it was not watched


def test_what_cannot_be_opened_says_so() -> None:
    assert why_closed(CASES["mlp"]()[0]) == ""
    assert "Linear" in why_closed(nn.Linear(2, 2))
    with pytest.raises(ValueError, match="Linear"):
        layers_of(nn.Linear(2, 2), Watch([]))
    assert isinstance(CASES["bag"]()[0], BagNetwork) and isinstance(CASES["linear"]()[0], MLP)
