"""The ensemble: its members are plain networks, and their mean is its answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.preprocessing import KBinsDiscretizer
from torch import nn

from conftest import make_prepared
from nudgenet.networks import NETWORKS, rebuild
from nudgenet.networks.capacity import choose_capacity
from nudgenet.networks.dropout import Dropout, pool
from nudgenet.networks.encoding import MAX_PIECES, PiecewiseLinear, learn_pieces
from nudgenet.networks.ensemble import WIDE_PRODUCT, Ensemble
from nudgenet.records import Batch, Prepared
from nudgenet.settings import Settings
from nudgenet.training.objectives import answer_function, make_objective


def ensemble_for(data: Prepared, **options: object) -> Ensemble:
    pieces = learn_pieces(data.train.inputs["numbers"])
    settings = {"num_members": 5, "num_layers": 2, "width": 16, "dropout": 0.2} | options
    torch.manual_seed(0)
    return Ensemble(data.shape, pieces, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"num_layers": 1},
        {"activation": "gelu"},
        {"normalisation": "layer", "residual": True},
        {"normalisation": "batch", "num_members": WIDE_PRODUCT + 1, "width": 4},
        {"num_copies": 3},
        {"num_copies": 2, "normalisation": "batch", "residual": True, "num_members": WIDE_PRODUCT + 1, "width": 4},
    ],
    ids=["default", "one-layer", "gelu", "layernorm-residual", "many-members", "copies", "copies-of-many-members"],
)
def test_the_answer_is_the_mean_of_plain_networks(kind: str, options: dict[str, object]) -> None:
    data = make_prepared(kind=kind, cardinalities=(3, 7))
    network = ensemble_for(data, **options)
    with torch.no_grad():  # move everything away from its first values
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
        network.train()
        network(data.train.inputs)  # running statistics of a batch normalisation
        network.eval()
        features = network.encode(data.test.inputs)
        members = [network.member(index) for index in range(network.num_copies * network.num_members)]
        assert all(isinstance(member[-1], nn.Linear) for member in members)
        outputs = torch.stack([member(features[i // network.num_members]) for i, member in enumerate(members)])
        ours = answer_function(data.task.kind, Settings())(network(data.test.inputs))
    expected = outputs.double().mean(0).squeeze(1) if kind == "regression" else outputs.double().softmax(2).mean(0)
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)


def test_many_rows_take_copies_of_the_weights_to_the_same_end() -> None:
    """While training too: a large batch's answers and slopes are those of its rows in small ones."""
    data = make_prepared(kind="regression", cardinalities=(3, 7))
    network = ensemble_for(data, dropout=0.0, width=16, num_copies=2).train()
    num_rows = 3 * 2 * network.width

    def answers_and_slopes(at_once: int) -> list[torch.Tensor]:
        network.zero_grad()
        parts = [{k: v[i : i + at_once] for k, v in data.train.inputs.items()} for i in range(0, num_rows, at_once)]
        outputs = torch.cat([network(part) for part in parts])
        outputs.square().sum().backward()
        return [
            outputs.detach(),
            *(parameter.grad.clone() for parameter in network.parameters() if parameter.grad is not None),
        ]

    for whole, few in zip(answers_and_slopes(num_rows), answers_and_slopes(2 * network.width), strict=True):
        torch.testing.assert_close(whole, few, rtol=1e-4, atol=1e-4 * float(few.abs().max()))


def test_a_member_is_plain_linear_kink_linear() -> None:
    data = make_prepared(kind="regression")
    network = ensemble_for(data).eval()
    member = network.member(2)
    (features,) = network.encode(data.test.inputs)
    first, second, last = member[0].sum, member[1].sum, member[2]
    by_hand = features @ first.weight.T + first.bias
    by_hand = F.relu(F.relu(by_hand) @ second.weight.T + second.bias) @ last.weight.T + last.bias
    torch.testing.assert_close(member(features), by_hand, rtol=1e-4, atol=1e-5)
    before = network(data.test.inputs)
    with torch.no_grad():
        first.weight.zero_()  # its weights are copies
    assert torch.equal(network(data.test.inputs), before)


def test_members_learn_from_their_own_losses() -> None:
    """The training loss is the mean of the members' losses, not the loss of their mean."""
    data = make_prepared(kind="multiclass")
    objective = make_objective("multiclass", data.train, 3, Settings())
    outputs = torch.randn(20, 4, 3)
    targets = data.train.targets[:20]
    weights = torch.rand(20)
    losses = torch.stack([F.cross_entropy(outputs[:, m], targets, reduction="none") for m in range(4)], dim=1)
    torch.testing.assert_close(objective(outputs, Batch({}, targets)), losses.mean())
    weighted = (losses.mean(1) * weights).sum() / weights.sum()
    torch.testing.assert_close(objective(outputs, Batch({}, targets, weights)), weighted)
    united = F.nll_loss(outputs.softmax(2).mean(1).log(), targets)
    torch.testing.assert_close(objective.row_losses(objective.unite(outputs), targets).mean(), united)


def test_copies_learn_alone() -> None:
    """What one copy answers depends on no knob of another."""
    data = make_prepared(kind="multiclass", cardinalities=(3, 7))
    network = ensemble_for(data, num_copies=3)
    outputs = network(data.train.inputs).view(len(data.train), 3, network.num_members, -1)
    outputs[:, 1].sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        slopes = parameter.grad.view(3, -1)  # an embedding holds the copies' tables one below the other
        assert slopes[1].abs().sum() > 0 and not slopes[[0, 2]].any(), name


def test_coarse_products_only_while_training() -> None:
    data = make_prepared(kind="regression")
    fine, coarse = ensemble_for(data, dropout=0.0), ensemble_for(data, dropout=0.0, precision=torch.bfloat16)
    coarse.load_state_dict(fine.state_dict())
    inputs = data.test.inputs
    exact = fine.eval()(inputs)
    assert torch.equal(exact, coarse.eval()(inputs))
    with torch.autocast("cpu", torch.bfloat16):  # unless whoever asks wants them coarse
        assert 0 < (exact - coarse(inputs)).abs().max() < 0.2
    fine.train(), coarse.train()
    difference = (fine(inputs) - coarse(inputs)).abs().max()
    assert 0 < difference < 0.2
    coarse(inputs).square().mean().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in coarse.parameters())


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"convnet", "bag", "transformer", "pretrained"}))
@pytest.mark.parametrize("layers", [0, 2])
def test_a_trained_network_is_rebuilt_from_its_weights(name: str, layers: int) -> None:
    data = make_prepared(cardinalities=(3, 4))
    settings = Settings(network=name, layers=layers, width=8)
    capacity = choose_capacity(data.shape, settings)
    network = NETWORKS[name](data.shape, capacity, settings, learn_pieces(data.train.inputs["numbers"])).eval()
    before = torch.get_rng_state()
    again = rebuild(data.shape, settings, network.state_dict())
    assert torch.equal(torch.get_rng_state(), before)
    assert not again.training
    assert torch.equal(again(data.test.inputs), network(data.test.inputs))


def test_pieces_are_cut_at_the_quantiles() -> None:
    numbers = torch.stack([torch.randn(800), torch.arange(800) % 2, torch.ones(800), torch.arange(800) % 5], dim=1)
    pieces = learn_pieces(numbers.float())
    counts = [int((pieces[:, 0] == column).sum()) for column in range(4)]
    assert counts == [MAX_PIECES, 0, 0, 4]  # two values tell everything by themselves
    edges = torch.cat([pieces[:MAX_PIECES, 1], pieces[MAX_PIECES - 1 : MAX_PIECES, 2]])
    reference = KBinsDiscretizer(MAX_PIECES, encode="ordinal", strategy="quantile", quantile_method="linear")
    reference.fit(numbers[:, :1].numpy())
    np.testing.assert_allclose(edges, reference.bin_edges_[0], atol=0.05)
    assert not learn_pieces(torch.randn(12, 3)).numel()  # too few rows to cut


def test_pieces_fill_up_one_after_the_other() -> None:
    encoding = PiecewiseLinear(torch.tensor([[0, -1.0, 0.0], [0, 0.0, 2.0], [1, 0.0, 1.0]]))
    numbers = torch.tensor([[-5.0, 0.25], [-0.5, 2.0], [1.0, -1.0], [9.0, 1.0]])
    expected = torch.tensor([[0, 0, 0.25], [0.5, 0, 1], [1, 0.5, 0], [1, 1, 1]])
    assert torch.equal(encoding(numbers), torch.cat([numbers, expected], dim=1))


def test_dropout_silences_the_right_share_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    dropout, sums = Dropout(0.3), torch.randn(500, 200)
    dropped = dropout(torch.ones(500, 200))
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.7])
    assert float((dropped == 0).float().mean()) == pytest.approx(0.3, abs=0.01)
    assert not torch.equal(dropped, dropout(torch.ones(500, 200)))
    torch.manual_seed(3)
    one = dropout(sums)
    torch.manual_seed(3)
    assert torch.equal(one, dropout(sums))  # the place in the pool is all that is random
    assert torch.equal(dropout.eval()(sums), sums)


def test_very_large_inputs_fall_back_to_pytorchs_dropout() -> None:
    dropout = Dropout(0.5)
    assert dropout.mask(2**26, torch.float32, 2.0) is None
    assert pool(0.5, torch.float32, 2.0, 2**20).unique().tolist() == [0.0, 2.0]
