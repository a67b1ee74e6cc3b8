"""The networks for texts: what they must not look at, what they must, and that they come back from their weights."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nudgenet.errors import RunError, SettingError
from nudgenet.networks import NETWORKS, rebuild, transformer
from nudgenet.networks.bag import READ, BagNetwork, TermSums
from nudgenet.networks.capacity import choose_capacity
from nudgenet.networks.transformer import Attention, Transformer, multiply_adds
from nudgenet.records import Shape, TextShape
from nudgenet.settings import Settings

KINDS = {"bag": "bag", "transformer": "sequence"}
PIECES = torch.tensor([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0]])


def shape_for(name: str, num_outputs: int = 3) -> Shape:
    return Shape(2, (3,), num_outputs, 500, text=TextShape(KINDS[name], 20, 6))  # type: ignore[arg-type]


def inputs_for(num_rows: int = 5, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(1, 20, (num_rows, 6), generator=generator, dtype=torch.int32)
    tokens[:, 4:] = 0
    return {
        "numbers": torch.randn(num_rows, 2, generator=generator),
        "categories": torch.randint(0, 3, (num_rows, 1), generator=generator),
        "tokens": tokens,
        "token_weights": torch.rand(num_rows, 6, generator=generator) * (tokens > 0),
    }


def built(name: str, num_outputs: int = 3, **settings: object) -> nn.Module:
    torch.manual_seed(0)
    chosen = Settings(network=name, **settings)  # type: ignore[arg-type]
    shape = shape_for(name, num_outputs)
    network = NETWORKS[name](shape, choose_capacity(shape, chosen), chosen, PIECES).eval()
    with torch.no_grad():
        for parameter in network.parameters():  # what begins at zero would prove nothing
            parameter.add_(0.1 * torch.randn(parameter.shape))
    return network


@pytest.mark.parametrize("name", KINDS)
def test_every_input_matters_and_nothing_that_is_not_there(name: str) -> None:
    network, inputs = built(name), inputs_for()
    with torch.inference_mode():
        before = network(inputs)
        for changed in ("numbers", "categories", "tokens"):
            other = {**inputs, changed: inputs_for(seed=1)[changed]}
            assert not torch.allclose(network(other), before), changed
        longer = {
            key: F.pad(value, (0, 3))[:, :6] if key.startswith("token") else value for key, value in inputs.items()
        }
        assert torch.allclose(network(longer), before, atol=1e-6)


@pytest.mark.parametrize("name", KINDS)
def test_rows_do_not_know_each_other(name: str) -> None:
    network, inputs = built(name), inputs_for()
    inputs["tokens"][2] = 0  # a text without a word
    inputs["token_weights"][2] = 0
    with torch.inference_mode():
        together = network(inputs)
        alone = torch.cat([network({key: value[[row]] for key, value in inputs.items()}) for row in range(5)])
    assert torch.isfinite(together).all() and torch.allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("name", KINDS)
def test_rebuilt_from_its_weights(name: str) -> None:
    network, inputs = built(name, width=32, layers=1), inputs_for()
    again = rebuild(shape_for(name), Settings(network=name, width=32, layers=1), network.state_dict())
    with torch.inference_mode():
        assert torch.equal(again(inputs), network(inputs))


def test_weights_of_another_network_are_one_line() -> None:
    weights = {**built("bag").state_dict(), "terms": torch.zeros(20, READ + 3)}
    with pytest.raises(RunError, match="made otherwise than this version") as caught:
        rebuild(shape_for("bag"), Settings(network="bag"), weights)
    assert "terms" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", KINDS)
def test_all_knobs_learn(name: str) -> None:
    network = built(name).train()
    network(inputs_for(64)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_a_bag_knows_no_order_and_a_transformer_does() -> None:
    inputs = inputs_for()
    order = torch.tensor([2, 0, 3, 1, 4, 5])
    mixed = {key: value[:, order] if key.startswith("token") else value for key, value in inputs.items()}
    with torch.inference_mode():
        for name, same in (("bag", True), ("transformer", False)):
            network = built(name)
            assert torch.allclose(network(mixed), network(inputs), atol=1e-5) == same


def test_a_bag_is_a_weighted_sum() -> None:
    network, inputs = built("bag"), inputs_for()
    assert isinstance(network, BagNetwork)
    rows = network.terms[inputs["tokens"].long()] * inputs["token_weights"].unsqueeze(2)
    assert torch.allclose(network.sums(inputs), rows.sum(dim=1), atol=1e-5)
    assert network.num_direct == 3 and network(inputs).shape == (5, 8, 3)


def test_beside_other_columns_words_speak_to_the_outputs_alone() -> None:
    """A text moves the outputs of all members by the same, and at first not at all."""
    network, inputs = built("bag"), inputs_for()
    assert isinstance(network, BagNetwork) and (network.num_read, network.by_gradient) == (0, ("terms",))
    other = {**inputs, "tokens": inputs["tokens"].flip(0)}
    with torch.no_grad():
        moved = network(other) - network(inputs)
        network.terms.zero_()
        assert torch.equal(network(other), network(inputs))
    assert moved.abs().max() > 0 and torch.allclose(moved, moved[:, :1].expand_as(moved), atol=1e-5)
    shape = replace(shape_for("bag"), num_numbers=0, cardinalities=())
    alone = NETWORKS["bag"](shape, choose_capacity(shape, Settings()), Settings(), torch.zeros(0, 3))
    assert isinstance(alone, BagNetwork) and (alone.num_read, alone.by_gradient) == (READ, ())
    assert not alone.terms[:, READ:].any() and alone.terms[1:, :READ].std() > 0.8


@pytest.mark.parametrize(("num_outputs", "size"), [(1, 0.2), (3, 0.5)])
def test_texts_beside_pictures_begin_at_nothing_and_are_sums(
    num_outputs: int, size: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = inputs_for()
    sums = TermSums(int(inputs["tokens"].max()) + 1, num_outputs)
    assert not sums(inputs).any()
    with torch.no_grad():
        sums.terms.normal_()
        expected = size * (sums.terms[inputs["tokens"].long()] * inputs["token_weights"].unsqueeze(2))
        expected[inputs["tokens"] == 0] = 0.0  # no term
    assert torch.allclose(sums(inputs), expected.sum(dim=1), atol=1e-5)
    monkeypatch.setattr("nudgenet.networks.bag.MOST_DIRECT", 1)
    shared = TermSums(len(sums.terms), num_outputs)
    assert shared.terms.shape == (len(sums.terms), READ) and not shared(inputs).any() and not shared.terms[0].any()
    assert shared.output is not None
    with torch.no_grad():
        shared.output.weight.fill_(1.0)
        assert shared(inputs).shape == (5, num_outputs) and shared(inputs).any()


def test_a_bag_without_layers_is_a_linear_model() -> None:
    """Twice the numbers and the weights of the terms: twice the distance from the answer to nothing."""
    network, inputs = built("bag", layers=0), inputs_for()
    nothing, twice = (
        {name: factor * value if value.is_floating_point() else value for name, value in inputs.items()}
        for factor in (0, 2)
    )
    with torch.inference_mode():
        zero, once, double = (network(rows) for rows in (nothing, inputs, twice))
    assert once.shape == (5, 3) and torch.allclose(double - zero, 2 * (once - zero), atol=1e-4)


def test_many_classes_have_no_direct_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nudgenet.networks.bag.MOST_DIRECT", 59)
    network = built("bag")
    assert isinstance(network, BagNetwork) and network.num_direct == 0 and network.terms.shape == (20, READ)
    assert torch.isfinite(network(inputs_for())).all()


def test_attention_is_torchs() -> None:
    """Against PyTorch's own multi-head attention with the same knobs."""
    torch.manual_seed(0)
    ours, peer = Attention(64, 0.0).eval(), nn.MultiheadAttention(64, 2, batch_first=True).eval()
    with torch.no_grad():
        peer.in_proj_weight.copy_(ours.asked.weight)
        peer.in_proj_bias.copy_(ours.asked.bias)
        peer.out_proj.load_state_dict(ours.told.state_dict())
    tokens, mask = torch.randn(3, 7, 64), torch.rand(3, 7) < 0.7
    mask[:, 0] = True
    theirs, _ = peer(tokens, tokens, tokens, key_padding_mask=~mask)
    assert torch.allclose(ours(tokens, mask), theirs, atol=1e-5)


def test_a_transformer_answers_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    network, inputs = built("transformer"), inputs_for(40)
    with torch.inference_mode():
        whole = network(inputs)
        monkeypatch.setattr(transformer, "AT_ONCE", 1)
        assert torch.allclose(network(inputs), whole, atol=1e-5)
        none = {key: value[:0] for key, value in inputs.items()}
        assert network(none).shape == (0, 3)


def test_multiply_adds() -> None:
    """The products of one block: questions, keys, values and what is told (4 w²), 8 w² of thought, scores and means."""
    width, tokens = 64, 10
    assert multiply_adds(width, 1, tokens) == tokens * (4 + 8) * width**2 + 2 * tokens * tokens * width


@pytest.mark.parametrize("name", KINDS)
def test_no_texts_no_such_network(name: str) -> None:
    shape, settings = replace(shape_for(name), text=None), Settings(network=name)
    with pytest.raises(SettingError, match="is for texts"):
        NETWORKS[name](shape, choose_capacity(shape, settings), settings, PIECES)


def test_a_transformer_alone_with_texts() -> None:
    network = Transformer(Shape(0, (), 1, 10, text=TextShape("sequence", 20, 6)), width=32, num_layers=1).eval()
    empty = {**inputs_for(), "numbers": torch.zeros(5, 0), "categories": torch.zeros(5, 0, dtype=torch.int64)}
    assert network(empty).shape == (5, 1)
