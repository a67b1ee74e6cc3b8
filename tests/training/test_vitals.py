"""How layers are: every number against one that is worked out by hand, and the network is left as it was."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from conftest import make_prepared
from nudgenet.networks import NETWORKS
from nudgenet.networks.capacity import Capacity
from nudgenet.networks.encoding import learn_pieces
from nudgenet.networks.ensemble import Ensemble
from nudgenet.networks.mlp import MLP
from nudgenet.networks.neurons import Neurons
from nudgenet.records import ImageShape, Part, Prepared, Shape, TextShape
from nudgenet.settings import Settings
from nudgenet.training.loop import fit
from nudgenet.training.objectives import make_objective
from nudgenet.training.place import Place, working_at
from nudgenet.training.plan import make_plan
from nudgenet.training.state import State, start
from nudgenet.training.vitals import Vitals, copy_weights, layer_of, measure, sample_of


def begin(data: Prepared, network: str, **settings: Any) -> State:
    """A state with a small network."""
    chosen = Settings(network=network, epochs=1, **settings)
    torch.manual_seed(0)
    capacity = Capacity(2, 16, 0.1, 3, 2)
    built = NETWORKS[network](data.shape, capacity, chosen, learn_pieces(data.train.inputs["numbers"]))
    objective = make_objective(data.task.kind, data.train, data.shape.num_outputs, chosen)
    return start(built, objective, make_plan(chosen, data.shape)[0])


def look_at_last_step(state: State, data: Prepared) -> tuple[dict[str, Vitals], list[torch.Tensor], float]:
    """What `measure` finds after the only epoch; the weights before its last step, and the norm of its gradient."""
    before, norms = copy_weights(state.network), [0.0]

    def on_step(epoch: int, cursor: int, loss: float, norm: float) -> None:
        norms.append(norm)
        if cursor + 1 == state.plan.steps_per_epoch:
            before[:] = copy_weights(state.network)

    list(fit(state, data, on_step=on_step))
    random = torch.get_rng_state()
    found = measure(state, before, norms[-1], sample_of(data.train))
    assert torch.equal(random, torch.get_rng_state()), "it draws no random number"
    return found, before, norms[-1]


@pytest.mark.parametrize("network", ["ensemble", "mlp"])
@pytest.mark.parametrize("clip", [None, 1e-3])
def test_gradients_and_steps_are_those_of_the_parameters(network: str, clip: float | None) -> None:
    data = make_prepared()
    with working_at(Place(1)):
        state = begin(data, network, clip=clip)
        found, before, norm = look_at_last_step(state, data)
    assert list(found) == ["embedding", "layer1", "layer2", "output"]
    assert math.hypot(*(vitals.gradient_norm for vitals in found.values())) == pytest.approx(norm, rel=1e-4)
    named = list(zip(state.network.named_parameters(), before, strict=True))
    for layer, vitals in found.items():
        own = [(parameter.detach(), old) for (name, parameter), old in named if layer_of(name) == layer]
        step = torch.cat([(parameter - old).flatten() for parameter, old in own]).norm()
        weights = torch.cat([old.flatten() for _, old in own]).norm()
        assert vitals.update_ratio == pytest.approx((step / weights).item(), rel=1e-4)
        assert 0 < vitals.gradient_norm < norm and 0 < vitals.update_ratio < 1


@pytest.mark.parametrize("normalisation", ["none", "layer"])
def test_dead_neurons_of_an_ensemble_fire_for_no_member(normalisation: str) -> None:
    data = make_prepared()
    with working_at(Place(1)):
        state = begin(data, "ensemble", normalisation=normalisation)
        network = state.network
        assert isinstance(network, Ensemble)
        if normalisation == "none":
            with torch.no_grad():
                network.biases[0][1, :5] = -1e3
        found, *_ = look_at_last_step(state, data)
        sums = torch.stack([network.member(index)[0](network.encode(sample_of(data.train).inputs)[index // 3])
                            for index in range(6)])  # fmt: skip
    fires = (sums > 0).any(dim=1).view(2, 3, 16).any(dim=1)
    layer = found["layer1"]
    assert layer.neurons == 32 and layer.saturated is None
    assert layer.dead == pytest.approx(1 - float(fires.float().mean()))
    assert layer.dead >= (5 / 32 if normalisation == "none" else 0)
    assert found["output"].neurons == 0 and found["output"].dead is None


@pytest.mark.parametrize(("activation", "edge"), [("tanh", 0.974679), ("sigmoid", 0.987340)])
def test_saturated_answers_lie_where_the_slope_is_a_twentieth(activation: str, edge: float) -> None:
    data = make_prepared()
    with working_at(Place(1)):
        state = begin(data, "mlp", activation=activation)
        network = state.network
        assert isinstance(network, MLP)
        with torch.no_grad():
            network.layers[0].sum.weight.mul_(5)  # type: ignore[union-attr]
        found, *_ = look_at_last_step(state, data)
        sample = sample_of(data.train).inputs
        assert network.embedding is not None
        features = torch.cat([sample["numbers"], network.embedding(sample["categories"])], dim=1)
        network.eval()
        answers = network.layers[0](features)
    lowest = -edge if activation == "tanh" else 1 - edge
    share = ((answers > edge) | (answers < lowest)).float().mean()
    layer = found["layer1"]
    assert layer.dead is None and layer.neurons == 16
    assert layer.saturated == pytest.approx(float(share), abs=1e-3) and 0.02 < float(share) < 0.98


def test_the_network_is_left_as_it_was() -> None:
    data = make_prepared()
    with working_at(Place(1)):
        state = begin(data, "mlp", normalisation="batch")
        look_at_last_step(state, data)
        state.network.train()
        before = {name: tensor.clone() for name, tensor in state.network.state_dict().items()}
        measure(state, copy_weights(state.network), 1.0, sample_of(data.train))
    assert state.network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in state.network.state_dict().items())
    kinks = [module.kink for module in state.network.modules() if isinstance(module, Neurons)]
    assert kinks and not any(kink._forward_hooks for kink in kinks)


def with_inputs(data: Prepared, shape: Shape, **inputs: torch.Tensor) -> Prepared:
    """The same rows with more inputs."""

    def part(rows: Part) -> Part:
        index = torch.from_numpy(rows.rows)
        return replace(rows, inputs={**rows.inputs, **{name: tensor[index] for name, tensor in inputs.items()}})

    return replace(data, train=part(data.train), validation=part(data.validation), test=part(data.test), shape=shape)


def test_layers_of_networks_for_images_and_texts() -> None:
    plain = make_prepared(80)
    image = ImageShape(1, 16, 16, (0.5,), (0.25,))
    pictures = torch.randint(0, 256, (80, 1, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    tokens = torch.randint(0, 20, (80, 6), dtype=torch.int32, generator=torch.Generator().manual_seed(0))
    bag, sequence = TextShape("bag", 20, 6), TextShape("sequence", 20, 6)
    images = with_inputs(plain, replace(plain.shape, image=image), images=pictures)
    bags = with_inputs(plain, replace(plain.shape, text=bag), tokens=tokens, token_weights=torch.ones(80, 6) / 6)
    sequences = with_inputs(plain, replace(plain.shape, text=sequence), tokens=tokens)
    expected = {
        "convnet": (images, ["embedding", "stem", "stage1", "stage2", "beside", "output"], "stage1"),
        "bag": (bags, ["terms", "embedding", "layer1", "layer2", "output"], "layer2"),
        "transformer": (
            sequences,
            ["terms", "places", "embedding", "block1", "block2", "norm", "beside", "output"],
            "",
        ),
    }
    for network, (data, layers, kinked) in expected.items():
        with working_at(Place(1)):
            found, *_ = look_at_last_step(begin(data, network), data)
        assert list(found) == layers, network
        assert all(vitals.gradient_norm > 0 for vitals in found.values())
        if kinked:
            assert found[kinked].neurons > 0 and 0 <= (found[kinked].dead or 0.0) < 1


def test_a_layer_that_gets_no_gradient_is_left_out() -> None:
    data = make_prepared()
    with working_at(Place(1)):
        state = begin(data, "mlp")
        before = copy_weights(state.network)
        assert measure(state, before, 0.0, sample_of(data.train)) == {}, "there was no step yet"
        frozen = state.network.get_submodule("layers.0")
        frozen.requires_grad_(False)
        found, *_ = look_at_last_step(state, data)
    assert "layer1" not in found and "layer2" in found


def test_names_of_layers() -> None:
    names = {
        "weights.0": "layer1", "rest.biases.9": "layer10", "layers.1.sum.weight": "layer2", "neurons.0.kink": "layer1",
        "adapter": "layer1", "output_weight": "output", "output.bias": "output", "stages.0.4.first.weight": "stage1",
        "stem_norm.weight": "stem", "blocks.2.attention.asked.bias": "block3", "embedding.table.weight": "embedding",
        "trunk.encoder.layer.3.output.dense.weight": "trunk4", "trunk.embeddings.LayerNorm.weight": "trunk",
    }  # fmt: skip
    assert {name: layer_of(name) for name in names} == names


def test_a_sample_is_spread_over_all_rows() -> None:
    data = make_prepared(2_000)
    assert len(sample_of(data.train)) == 256
    rows = sample_of(data.train).rows
    assert rows[0] == 0 and rows[-1] > 1_390 and set(rows[1:] - rows[:-1]) == {5, 6}
    few = make_prepared(100).train
    assert torch.equal(sample_of(few).targets, few.targets)
