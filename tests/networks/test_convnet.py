"""The convolutional network: shapes, views, and where it looked, against plain references."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from nudgenet.networks import NETWORKS, convnet, rebuild
from nudgenet.networks.capacity import choose_capacity
from nudgenet.networks.convnet import ConvNet, choose_stages, multiply_adds
from nudgenet.records import ImageShape, Shape
from nudgenet.settings import Settings


def image(side: int, channels: int = 1) -> ImageShape:
    return ImageShape(channels, side, side, (0.4,) * channels, (0.2,) * channels)


def network(
    side: int = 16, *, channels: int = 1, mirrored: bool = False, numbers: int = 0, cards: tuple[int, ...] = ()
) -> ConvNet:
    torch.manual_seed(0)
    shape = Shape(numbers, cards, 3, 100, image(side, channels))
    return ConvNet(shape, width=8, num_stages=choose_stages(image(side)), mirrored=mirrored)


def inputs(rows: int, side: int, channels: int = 1) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randint(0, 256, (rows, channels, side, side), dtype=torch.uint8, generator=generator)
    return {"images": pixels, "numbers": torch.zeros(rows, 0), "categories": torch.zeros(rows, 0, dtype=torch.int64)}


@pytest.mark.parametrize(("side", "channels"), [(4, 1), (8, 1), (28, 1), (32, 3), (50, 3), (128, 3)])
def test_any_size_gives_an_answer_per_row(side: int, channels: int) -> None:
    assert network(side, channels=channels)(inputs(5, side, channels)).shape == (5, 3)


def test_numbers_and_categories_count_beside_the_picture() -> None:
    net = network(numbers=2, cards=(4,)).eval()
    rows = inputs(2, 16) | {
        "numbers": torch.tensor([[0.0, 0.0], [9.0, 0.0]]),
        "categories": torch.ones(2, 1, dtype=torch.int64),
    }
    rows["images"] = rows["images"][:1].expand(2, -1, -1, -1)
    outputs = net(rows)
    assert not torch.allclose(outputs[0], outputs[1])


def test_a_mirrored_network_sees_both_views_when_it_answers() -> None:
    net, rows = network(mirrored=True), inputs(4, 16)
    assert net(rows).shape == (4, 3)  # training
    outputs = net.eval()(rows)
    swapped = net(rows | {"images": rows["images"].flip(3)})
    assert outputs.shape == (4, 2, 3)
    assert torch.allclose(outputs, swapped.flip(1), atol=1e-5)


def test_rows_in_pieces_are_answered_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    net, rows = network().eval(), inputs(50, 16)
    whole = net(rows)
    monkeypatch.setattr(convnet, "AT_ONCE", 1)
    assert torch.allclose(net(rows), whole, atol=1e-5)
    assert net({name: tensor[:0] for name, tensor in rows.items()}).shape == (0, 3)


def test_the_multiply_adds_are_those_of_its_convolutions() -> None:
    for side in (16, 28, 64):
        net, counted = network(side).eval(), 0

        def count(module: nn.Module, given: tuple[torch.Tensor, ...], result: torch.Tensor) -> None:
            nonlocal counted
            assert isinstance(module, nn.Conv2d)
            counted += module.weight.numel() * result.shape[2] * result.shape[3]

        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(count)
        net(inputs(1, side))
        stages = choose_stages(image(side))
        assert multiply_adds(image(side), 8, stages) == pytest.approx(counted, rel=1e-9)


def test_a_fresh_block_changes_nothing_that_is_positive() -> None:
    block = convnet.Residual(4).eval()
    maps = torch.rand(2, 4, 5, 5)
    assert torch.allclose(block(maps), maps)


def test_pixels_are_standardised_by_the_training_images() -> None:
    net = network().eval()
    seen: list[torch.Tensor] = []
    net.stem.register_forward_hook(lambda module, given, result: seen.append(given[0]))
    net(inputs(3, 16))
    expected = (inputs(3, 16)["images"].double() / 255 - 0.4) / 0.2
    assert torch.allclose(seen[0].double(), expected, atol=1e-5)
    assert inputs(3, 16)["images"].dtype == torch.uint8


def test_no_images_is_a_bug_of_the_caller() -> None:
    with pytest.raises(ValueError, match="needs images"):
        ConvNet(Shape(1, (), 2, 10), width=8, num_stages=1)


@pytest.mark.parametrize("augment", [(), ("flip",)])
def test_a_trained_network_is_rebuilt_from_its_weights(augment: tuple[str, ...]) -> None:
    settings = Settings(network="convnet", width=8, augment=augment)
    shape = Shape(0, (), 3, 100, image(16))
    built = NETWORKS["convnet"](shape, choose_capacity(shape, settings), settings, torch.zeros(0, 3)).eval()
    again = rebuild(shape, settings, built.state_dict())
    assert not again.training
    assert torch.equal(again(inputs(4, 16)), built(inputs(4, 16)))


def test_windows_of_a_sound_are_answered_for_one_by_one() -> None:
    torch.manual_seed(0)
    windows = replace(image(24), windows=3, medium="sound")
    network = ConvNet(Shape(0, (), 4, 100, windows), width=4, num_stages=1)
    pictures = torch.randint(0, 256, (5, 3, 24, 24), dtype=torch.uint8)
    network.train()
    assert network({"images": pictures}).shape == (5, 3, 4)
    assert network({"images": pictures[:, :1]}).shape == (5, 4)  # one was picked at random
    network.eval()
    together = network({"images": pictures})
    for place in range(3):
        torch.testing.assert_close(together[:, place], network({"images": pictures[:, place : place + 1]}))


def test_the_width_grows_with_the_effort_where_many_images_pay_for_it() -> None:
    few, many = (Shape(0, (), 10, rows, image(28)) for rows in (3_000, 50_000))
    widths = [choose_capacity(shape, Settings(effort=e)).width for shape in (few, many) for e in ("default", "best")]
    assert widths == [32, 32, 32, 64]
    assert choose_capacity(many, Settings(width=48)).width == 48
