"""Where a network looked: held against what the last maps add to an output, and against a network that looks at one place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nudgenet.models import find_model
from nudgenet.networks import NETWORKS
from nudgenet.networks.attribution import fired_in_trunk, heat_maps, neurons_of, word_shares, word_vectors
from nudgenet.networks.capacity import choose_capacity
from nudgenet.networks.convnet import ConvNet
from nudgenet.networks.mlp import MLP
from nudgenet.networks.pretrained import PretrainedNetwork
from nudgenet.records import ImageShape, Shape, SoundShape, TextShape
from nudgenet.settings import make_settings
from tiny_model import write_image_model, write_model, write_sound_model

SHAPE = Shape(0, (), 3, 100, ImageShape(3, 32, 32, (0.5,) * 3, (0.25,) * 3))
CHOSEN = torch.tensor([0, 2, 1, 1])


def pictures(num_rows: int = 4, channels: int = 3, side: int = 32) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (num_rows, channels, side, side), generator=random).to(torch.uint8)
    return {"images": images, "numbers": torch.zeros(num_rows, 0), "categories": torch.zeros(num_rows, 0).long()}


def added_by(network: ConvNet, images: Tensor, chosen: Tensor) -> Tensor:
    """What each place of the last maps adds to an output, which is their weighed mean (arXiv 1512.04150), from 0 to 1."""
    with torch.no_grad():
        maps = network.maps(images)
        heat = torch.einsum("rchw,rc->rhw", maps, network.output.weight[chosen]).clamp_min(0)
        heat = heat / heat.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)
        return torch.nn.functional.interpolate(heat.unsqueeze(1), images.shape[2:], mode="bilinear")[:, 0]


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("num_rows", [4, 20])  # 20: in several passes
def test_a_convnet_looks_where_its_maps_add_to_the_output(mirrored: bool, num_rows: int) -> None:
    torch.manual_seed(0)
    network = ConvNet(SHAPE, width=8, num_stages=2, mirrored=mirrored).eval()
    inputs, chosen = pictures(num_rows), CHOSEN.repeat(num_rows // 4)
    heat = heat_maps(network, inputs, chosen)
    assert heat is not None and heat.shape == (num_rows, 32, 32) and heat.min() >= 0 and heat.max() <= 1
    torch.testing.assert_close(heat, added_by(network, inputs["images"], chosen), atol=1e-4, rtol=1e-3)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_of_several_windows_the_middle_one_is_looked_at() -> None:
    torch.manual_seed(0)
    sound = Shape(0, (), 3, 100, ImageShape(1, 32, 32, (0.5,), (0.25,), windows=3, medium="sound"))
    network, inputs = ConvNet(sound, width=8, num_stages=2).eval(), pictures(channels=3)
    heat = heat_maps(network, inputs, CHOSEN)
    assert heat is not None
    torch.testing.assert_close(heat, added_by(network, inputs["images"][:, 1:2], CHOSEN), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", ["vit", "dinov2", "convnext"])
def test_a_pretrained_network_looks_at_what_differs(kind: str, tmp_path: Path) -> None:
    """Frozen features: what spoke for an output changes with the output, and lies within the picture."""
    pytest.importorskip("transformers")
    model = find_model(str(write_image_model(tmp_path / kind, kind)))
    image = ImageShape(3, 32, 32, (0.5,) * 3, (0.5,) * 3, model=model.packed_config)
    torch.manual_seed(0)
    network = (
        PretrainedNetwork(Shape(0, (), 3, 100, image), lambda shape: torch.nn.Identity()).eval().requires_grad_(False)
    )
    torch.nn.init.normal_(network.direct.weight)
    heats = [heat_maps(network, pictures(), torch.full((4,), output)) for output in range(3)]
    for heat in heats:
        assert heat is not None and heat.shape == (4, 32, 32) and heat.min() >= 0 and heat.max() <= 1
    if kind != "convnext":  # its maps are a single place here
        assert not torch.allclose(torch.stack(heats)[0], torch.stack(heats)[1])


def listening(kind: str, folder: Path, samples: int = 4_800) -> tuple[PretrainedNetwork, dict[str, Tensor]]:
    """A network for sounds with random weights, and four sounds: a tone in the first half, then in the second, and noise."""
    model = find_model(str(write_sound_model(folder / kind, kind)))
    extractor = json.dumps(model.read_json("preprocessor_config.json"))
    sound = SoundShape(samples, 8_000, model.packed_config, extractor)
    torch.manual_seed(0)
    network = PretrainedNetwork(Shape(0, (), 3, 100, sound=sound), lambda shape: torch.nn.Identity()).eval()
    torch.nn.init.normal_(network.direct.weight)
    tone = 12_000 * torch.sin(torch.arange(samples) * 0.7)
    half = torch.arange(samples) < samples // 2
    waves = torch.stack([tone * half, tone * ~half, 3_000 * torch.randn(samples), tone]).round().to(torch.int16)
    return network, {"waves": waves, "numbers": torch.zeros(4, 0), "categories": torch.zeros(4, 0).long()}


@pytest.mark.parametrize(
    ("kind", "samples", "places"),
    [("wav2vec2", 4_800, (1, 59)), ("audio-spectrogram-transformer", 4_800, (4, 4)),
     ("audio-spectrogram-transformer", 9_840, (4, 7))],
)  # fmt: skip
def test_a_pretrained_network_listens_to_places_of_a_sound(
    kind: str, samples: int, places: tuple[int, int], tmp_path: Path
) -> None:
    pytest.importorskip("transformers")
    network, inputs = listening(kind, tmp_path, samples)
    heats = [heat_maps(network, inputs, torch.full((4,), output)) for output in range(3)]
    for heat in heats:
        assert heat is not None and heat.shape == (4, *places)
        assert heat.min() >= 0 and heat.max() <= 1
    assert not torch.allclose(torch.stack(heats)[0], torch.stack(heats)[1])  # type: ignore[arg-type]
    assert all(parameter.grad is None for parameter in network.parameters()) and torch.is_grad_enabled()


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "audio-spectrogram-transformer"])
def test_neurons_of_a_network_for_sounds_fire_where_they_fire_the_most(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    network, inputs = listening(kind, tmp_path)
    layers = neurons_of(network)
    assert list(layers) == ["layer 1 of 2", "layer 2 of 2"]
    seen: list[Tensor] = []
    handle = layers["layer 2 of 2"].register_forward_hook(lambda module, given, told: seen.append(told))
    fired = fired_in_trunk(network, inputs)
    handle.remove()
    assert {name: tuple(values.shape) for name, values in fired.items()} == dict.fromkeys(layers, (4, 64))
    torch.testing.assert_close(fired["layer 2 of 2"], seen[0].amax(dim=1))


@pytest.mark.parametrize("kind", ["vit", "dinov2", "convnext"])
def test_neurons_of_a_network_for_images(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    model = find_model(str(write_image_model(tmp_path / kind, kind)))
    image = ImageShape(3, 32, 32, (0.5,) * 3, (0.5,) * 3, model=model.packed_config)
    network = PretrainedNetwork(Shape(0, (), 3, 100, image), lambda shape: torch.nn.Identity()).eval()
    inputs = pictures(20)
    fired = fired_in_trunk(network, inputs)
    assert len(fired) >= 2 and all(len(values) == 20 for values in fired.values())
    some = fired_in_trunk(network, {"images": inputs["images"][3:4]})
    for name, values in some.items():
        torch.testing.assert_close(values[0], fired[name][3], atol=1e-4, rtol=1e-4)


def test_a_network_for_tables_has_no_place_to_look_at() -> None:
    assert (
        heat_maps(MLP(Shape(2, (), 3, 10), num_layers=1, width=4), {"numbers": torch.zeros(1, 2)}, torch.tensor([0]))
        is None
    )


# --- texts ----------------------------------------------------------------------------------------


def reading(kind: str, folder: Path) -> tuple[torch.nn.Module, dict[str, Tensor]]:
    """A network for texts with random weights, and a row of nine tokens."""
    tokens = torch.zeros(1, 16, dtype=torch.int32)
    tokens[0, :9] = torch.tensor([3, 7, 12, 5, 9, 3, 20, 14, 4])
    inputs = {"tokens": tokens, "token_weights": (tokens > 0).float() / 3}
    inputs |= {"numbers": torch.ones(1, 2), "categories": torch.zeros(1, 0).long()}
    torch.manual_seed(0)
    if kind in ("bag", "transformer"):
        shape = Shape(2, (), 3, 100, text=TextShape("bag" if kind == "bag" else "sequence", 30, 16))
        several = {"members": 2} if kind == "bag" else {}
        settings = make_settings(network=kind, width=32, layers=1, **several)
        network = NETWORKS[kind](shape, choose_capacity(shape, settings), settings, torch.zeros(0, 3))
    else:
        model = find_model(str(write_model(folder / kind, kind)))
        text = TextShape("pretrained", 30, 16, (16,), model.packed_config)
        network = PretrainedNetwork(Shape(0, (), 3, 100, text=text), lambda shape: torch.nn.Identity())
    for parameter in network.parameters():
        if parameter.ndim == 2:
            torch.nn.init.normal_(parameter, 0.0, 0.3)
    return network.eval(), inputs


@pytest.mark.parametrize("kind", ["bag", "transformer", "bert", "distilbert", "roberta"])
def test_shares_of_words_add_up_to_the_difference(kind: str, tmp_path: Path) -> None:
    """Completeness: from a text whose terms count for nothing to the whole one."""
    if kind not in ("bag", "transformer"):
        pytest.importorskip("transformers")
    network, inputs = reading(kind, tmp_path)

    def answer(outputs: Tensor) -> Tensor:
        united = outputs.mean(dim=1) if outputs.ndim == 3 else outputs
        return united.double().softmax(dim=1)[:, 1]

    shares = word_shares(network, inputs, answer)
    assert shares is not None and shares.shape == (16,) and not shares[9:].any()
    with torch.no_grad():
        whole = answer(network(inputs))
        if kind == "bag":
            nothing = answer(network(inputs | {"token_weights": torch.zeros(1, 16)}))
        else:
            table = word_vectors(network)
            assert table is not None
            handle = table.register_forward_hook(lambda module, given, told: torch.zeros_like(told))
            nothing = answer(network(inputs))
            handle.remove()
    difference = float(whole - nothing)
    assert abs(difference) > 1e-3
    assert float(shares.sum()) == pytest.approx(difference, abs=0.02 * abs(difference) + 2e-4)


def test_networks_without_words_have_no_shares() -> None:
    network = ConvNet(SHAPE, width=8, num_stages=1).eval()
    given = pictures(1) | {"tokens": torch.zeros(1, 4, dtype=torch.int32)}
    assert word_shares(network, given, lambda outputs: outputs[:, 0]) is None
