"""Every loss against PyTorch's or scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import mean_poisson_deviance

from conftest import make_prepared
from nudgenet.errors import SettingError
from nudgenet.records import Batch, Part
from nudgenet.settings import Settings, make_settings
from nudgenet.training.objectives import OBJECTIVES, make_objective

OUTPUTS = torch.linspace(-2, 3, 30)


def part_with(targets: torch.Tensor) -> Part:
    return Part({"numbers": torch.zeros(len(targets), 1)}, targets, np.arange(len(targets)))


def test_cross_entropy_with_smoothing_and_class_weights() -> None:
    targets = torch.tensor([0] * 6 + [1] * 3 + [2])
    settings = Settings(label_smoothing=0.1, class_weights="balanced")
    objective = make_objective("multiclass", part_with(targets), 3, settings)
    outputs = OUTPUTS.reshape(10, 3)
    weights = torch.tensor([10 / 18, 10 / 9, 10 / 3])
    expected = F.cross_entropy(outputs, targets, weights, reduction="none", label_smoothing=0.1).mean()
    torch.testing.assert_close(objective(outputs, Batch({}, targets)), expected)
    torch.testing.assert_close(
        objective.row_losses(outputs, targets), F.cross_entropy(outputs, targets, reduction="none")
    )
    torch.testing.assert_close(objective.predict(outputs), outputs.double().softmax(1))
    frequencies = objective.no_skill(targets).exp()
    torch.testing.assert_close(frequencies, torch.tensor([0.6, 0.3, 0.1]), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("name", "reference"), [("mse", F.mse_loss), ("huber", F.huber_loss), ("mae", F.l1_loss)])
def test_regression_losses(name: str, reference) -> None:  # type: ignore[no-untyped-def]
    targets = torch.linspace(1, -1, 30)
    objective = make_objective("regression", part_with(targets), 1, Settings(objective=name))
    torch.testing.assert_close(objective(OUTPUTS[:, None], Batch({}, targets)), reference(OUTPUTS, targets))


def test_poisson_is_half_the_deviance() -> None:
    targets = torch.tensor([0.0, 1, 2, 5, 3] * 6)
    objective = make_objective("regression", part_with(targets), 1, Settings(objective="poisson"))
    loss = objective.row_losses(OUTPUTS[:, None], targets).double().mean()
    rates = objective.predict(OUTPUTS[:, None])
    assert 2 * float(loss) == pytest.approx(mean_poisson_deviance(targets.numpy(), rates.numpy()), rel=1e-5)
    best = objective.no_skill(targets).exp()
    assert float(best) == pytest.approx(float(targets.mean()))
    with pytest.raises(SettingError, match="no target may be negative"):
        make_objective("regression", part_with(-targets), 1, Settings(objective="poisson"))


def test_row_weights_weigh() -> None:
    targets = torch.linspace(1, -1, 30)
    objective = make_objective("regression", part_with(targets), 1, Settings())
    weights = torch.tensor([2.0, 1.0, 0.0] * 10)
    expected = np.average((OUTPUTS - targets).square().numpy(), weights=weights.numpy())
    assert float(objective(OUTPUTS[:, None], Batch({}, targets, weights))) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", sorted(set(OBJECTIVES) - {"cross_entropy"}))
def test_no_skill_is_the_best_constant(name: str) -> None:
    targets = torch.tensor([0.0, 0.1, 0.2, 1.0, 4.0])
    objective = make_objective("regression", part_with(targets), 1, Settings(objective=name))
    constant = objective.no_skill(targets)
    at_best = objective.row_losses(constant.expand(5, 1), targets).mean()
    for shift in (-0.4, 0.4):
        slack = 0.15 if name == "huber" else 1e-6  # the median is the best constant for Huber only far out
        assert objective.row_losses((constant + shift).expand(5, 1), targets).mean() >= at_best - slack


def test_a_wrong_name_or_a_misfit_is_one_clear_line() -> None:
    data = make_prepared()
    with pytest.raises(SettingError, match="Did you mean `huber`"):
        make_objective("regression", data.train, 1, Settings(objective="hubber"))
    with pytest.raises(SettingError, match="does not fit a binary task"):
        make_objective("binary", data.train, 2, Settings(objective="mse"))


@pytest.mark.parametrize(("metric", "objective"), [(None, "mse"), ("rmse", "mse"), ("r2", "mse"), ("mae", "huber")])
def test_the_metric_that_counts_chooses_the_loss(metric: str | None, objective: str) -> None:
    train = part_with(torch.zeros(4))
    assert make_objective("regression", train, 1, make_settings(metric=metric)).name == objective
    assert make_objective("regression", train, 1, make_settings(metric=metric, objective="poisson")).name == "poisson"


@pytest.mark.parametrize("num_members", [0, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_two_rows_in_one_count_by_their_shares(num_members: int, weighted: bool) -> None:
    random = torch.Generator().manual_seed(0)
    targets, others = torch.tensor([0, 1, 2, 1]), torch.tensor([1, 1, 0, 2])
    share, weights = torch.tensor([1.0, 0.5, 0.8, 0.25]), torch.tensor([2.0, 1.0, 0.0, 3.0])
    outputs = torch.randn(4, max(1, num_members), 3, generator=random)
    objective = make_objective("multiclass", part_with(targets), 3, Settings(label_smoothing=0.1))
    expected = 0.0
    weight = weights if weighted else torch.ones(4)
    for member in outputs.unbind(1):
        both = [F.cross_entropy(member, truth, reduction="none", label_smoothing=0.1) for truth in (targets, others)]
        losses = share * both[0] + (1 - share) * both[1]
        expected += float((losses * weight).sum() / weight.sum()) / outputs.shape[1]
    batch = Batch({}, targets, weights if weighted else None, others, share)
    given = outputs if num_members else outputs[:, 0]
    assert float(objective(given, batch)) == pytest.approx(expected, rel=1e-5)
