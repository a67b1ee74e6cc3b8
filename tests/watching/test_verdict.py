"""The verdict on synthetic curves of each kind, and on anything at all."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nudgenet.records import Advice, Epoch, Verdict
from nudgenet.settings import make_settings
from nudgenet.watching.verdict import verdict

STATES = {"good_fit", "overfitting", "underfitting", "not_learning", "diverged", "too_noisy"}
CHOSEN = {"learning_rate": 1e-3, "dropout": 0.1, "width": 64, "layers": 2, "epochs": 50, "weight_decay": 0.01}


def make_epochs(train: Any, validation: Any, se: float = 0.01, train_se: float | None = None) -> list[Epoch]:
    return [
        Epoch(i + 1, 10 * (i + 1), float(t), float(v), se if train_se is None else train_se, se, 1e-3, 1.0, float(i))
        for i, (t, v) in enumerate(zip(train, validation, strict=True))
    ]


def judge(epochs: list[Epoch], **changes: Any) -> Verdict:
    values: dict[str, Any] = {
        "baseline_loss": 0.69,
        "kind": "binary",
        "num_train": 700,
        "num_parameters": 1731,
        "stopped_early": False,
        "settings": make_settings(),
        "chosen": CHOSEN,
    }
    return verdict(epochs, **(values | changes))


def decay(num_epochs: int, start: float, end: float, time: float) -> np.ndarray:
    return end + (start - end) * np.exp(-np.arange(num_epochs) / time)


def advised(found: Verdict) -> dict[str, Any]:
    return {advice.setting: advice.value for advice in found.advice}


def test_good_fit_when_both_curves_levelled_off() -> None:
    curve = decay(60, 0.69, 0.35, 5)
    found = judge(make_epochs(curve, curve + 0.02))
    assert found.state == "good_fit"
    assert found.best_epoch == 60
    assert "epoch 60, the last" in found.reason
    assert "stopped in time" not in found.reason
    assert found.advice == ()


def test_stopped_in_time_is_a_good_fit() -> None:
    train = decay(50, 0.69, 0.30, 12)
    validation = np.where(np.arange(50) <= 33, decay(50, 0.69, 0.385, 12), 0.41 + 0.004 * (np.arange(50) - 33))
    found = judge(make_epochs(train, validation), stopped_early=True)
    assert found.state == "good_fit"
    assert found.best_epoch == int(np.argmin(validation)) + 1 == 34
    assert found.reason.startswith("Good fit, stopped in time: ")
    assert "epoch 34 of 50" in found.reason
    assert "the weights of epoch 34 were kept" in found.reason
    assert found.evidence["overfit_since"] > 34
    assert f"From epoch {found.evidence['overfit_since']:.0f} on" in found.reason


def test_stopped_early_without_a_clear_rise_does_not_claim_one() -> None:
    train = decay(40, 0.69, 0.38, 5)
    validation = decay(40, 0.69, 0.40, 5)
    validation[30:] = validation[29] + 0.001
    found = judge(make_epochs(train, validation), stopped_early=True)
    assert found.state == "good_fit"
    assert "From epoch" not in found.reason
    assert "After that it got no lower" in found.reason


def test_nothing_was_stopped_where_training_ran_to_its_planned_end() -> None:
    train = decay(50, 0.69, 0.30, 12)
    validation = np.where(np.arange(50) <= 33, decay(50, 0.69, 0.385, 12), 0.41 + 0.004 * (np.arange(50) - 33))
    found = judge(make_epochs(train, validation), stopped_early=False)
    assert found.state == "good_fit"
    assert found.reason.startswith("Good fit, put back to its best epoch: ")
    assert "stopped" not in found.reason and "the weights of epoch 34 were kept" in found.reason


def with_metrics(epochs: list[Epoch], **metrics: float) -> list[Epoch]:
    return [replace(epoch, validation_metrics=metrics) for epoch in epochs]


SHARES = {"constant_loss": 0.8, "constant_accuracy": 0.5, "chance_auc_error": 0.05, "num_validation": 100}


def test_chance_is_no_good_fit_where_validation_holds_a_class_that_training_lacks() -> None:
    flat = np.full(20, 0.69)
    chance = make_epochs(flat, flat + 0.4)  # 0.4 for the rows of the unknown class
    inflated = {"baseline_loss": 1.9, "stopped_early": True, "num_unseen": 6, **SHARES}
    found = judge(with_metrics(chance, accuracy=0.5, auc=0.52), **inflated)
    assert found.state == "not_learning"
    assert "one answer for all of its rows could reach 0.8; 50% of its rows are right" in found.reason
    assert "The 1.9 for always answering the class frequencies is no yardstick" in found.reason
    assert "6 validation rows are of classes that no training row has" in found.reason
    assert "1 validation row is of" in judge(chance, **inflated | {"num_unseen": 1}).reason


@pytest.mark.parametrize("metrics", [{"accuracy": 0.7}, {"accuracy": 0.5, "auc": 0.8}])
def test_who_tells_classes_apart_has_learned_something_whatever_their_shares(metrics: dict[str, float]) -> None:
    epochs = with_metrics(make_epochs(decay(20, 0.69, 0.6, 3), decay(20, 1.1, 0.9, 3)), **metrics)
    assert judge(epochs, baseline_loss=1.9, stopped_early=True, **SHARES).state == "good_fit"


def test_validation_rows_of_one_class_tell_nothing() -> None:
    losses = list(np.linspace(0.4, 0.01, 12))
    found = judge(make_epochs(losses, losses), constant_loss=0.0, constant_accuracy=1.0, num_validation=34)
    assert found.state == "too_noisy" and "all 34 validation rows are of one class" in found.reason


def test_an_epoch_or_two_of_few_rows_are_too_soon_to_tell() -> None:
    for losses in ([0.70], [0.70, 0.695]):
        found = judge(make_epochs(losses, losses), chosen=CHOSEN | {"epochs": len(losses)})
        assert found.state == "underfitting" and "too soon to tell" in found.reason and "epochs" in advised(found)
        assert judge(make_epochs(losses, losses), num_train=100_000).state != "underfitting"
    assert "too soon" not in judge(make_epochs([0.70] * 3, [0.70] * 3)).reason
    assert "too soon" not in judge(make_epochs([0.70, 0.71], [0.70, 0.71]), stopped_early=True).reason


def test_nothing_is_missing_where_every_row_is_right() -> None:
    """The loss falls on while probabilities get surer, but no row is left to be gained."""
    curve = np.linspace(0.6, 0.05, 12)
    found = judge(with_metrics(make_epochs(curve, curve), accuracy=1.0), constant_accuracy=0.5, num_validation=100)
    assert found.state == "good_fit" and found.advice == ()
    assert "Both losses were still falling, but all of the validation rows are right" in found.reason
    for accuracy, state in ((0.99, "good_fit"), (0.97, "underfitting")):
        found = judge(with_metrics(make_epochs(curve, curve), accuracy=accuracy), constant_accuracy=0.5)
        assert found.state == state
    lopsided = with_metrics(make_epochs(curve, curve), accuracy=0.992)
    assert judge(lopsided, constant_accuracy=0.99).state == "underfitting"  # hardly a rare row is found


def test_all_right_is_a_good_fit_however_small_its_loss_could_be() -> None:
    slow = with_metrics(make_epochs(decay(12, 0.69, 0.66, 20), decay(12, 0.69, 0.66, 20), se=0.02), accuracy=1.0)
    assert judge(slow, constant_accuracy=0.5).state == "good_fit"
    assert judge(slow, constant_accuracy=0.5, reference_skill={"linear": 0.1}).state == "good_fit"


def test_a_rival_that_saw_less_is_called_so() -> None:
    epochs = make_epochs(decay(40, 0.69, 0.3, 3), decay(40, 0.69, 0.42, 3))
    notes = {"boosting": "without the texts", "linear": ""}
    found = judge(epochs, reference_skill={"boosting": 0.3, "linear": 0.5}, reference_notes=notes)
    assert "gradient boosting (many small decision trees; without the texts) does better" in found.reason
    found = judge(epochs, reference_skill={"terms": 0.42}, reference_notes={"terms": "stopped after 50 iterations"})
    assert "is far cheaper" in found.reason


def test_overfitting_is_a_large_clear_gap_at_the_restored_epoch() -> None:
    train = decay(20, 0.6, 0.02, 3)
    validation = 0.55 + 0.01 * np.abs(np.arange(20) - 11)
    found = judge(make_epochs(train, validation), stopped_early=True)
    assert found.state == "overfitting"
    assert found.best_epoch == 12
    assert advised(found) == {"dropout": 0.3, "weight_decay": 0.1, "width": 32, "layers": 1, "": None}
    assert "1,731 knobs for 700 rows" in found.reason


def test_the_same_gap_within_noise_is_not_overfitting() -> None:
    train = decay(20, 0.6, 0.02, 3)
    validation = 0.55 + 0.01 * np.abs(np.arange(20) - 11)
    assert judge(make_epochs(train, validation, se=0.3), stopped_early=True).state == "too_noisy"


def test_an_ordinary_gap_of_a_network_that_generalises_is_not_overfitting() -> None:
    train = decay(40, 0.69, 0.01, 5)
    found = judge(make_epochs(train, train + 0.1), stopped_early=True)  # gap 10 se, but 0.57 of 0.69 was learned
    assert found.state == "good_fit"


def test_memorising_without_learning_anything_is_overfitting() -> None:
    train = decay(20, 0.69, 0.2, 3)
    validation = 0.69 + 0.005 * np.abs(np.arange(20) - 9)
    found = judge(make_epochs(train, validation), stopped_early=True)
    assert found.state == "overfitting"
    assert "not even clearly below" in found.reason


@pytest.mark.parametrize("num_epochs", [1, 2, 10])
def test_underfitting_when_the_epochs_ran_out(num_epochs: int) -> None:
    curve = 0.69 - 0.02 * (1 + np.arange(num_epochs))
    found = judge(make_epochs(curve, curve + 0.005, se=0.002), chosen=CHOSEN | {"epochs": num_epochs})
    assert found.state == "underfitting"
    assert advised(found) == {"epochs": 2 * num_epochs, "learning_rate": 0.003}


def test_underfitting_when_the_time_ran_out_advises_time() -> None:
    curve = 0.69 - 0.02 * np.arange(10)
    found = judge(make_epochs(curve, curve), settings=make_settings(time_limit=60), stop_reason="time limit reached")
    assert found.state == "underfitting"
    assert advised(found)["time_limit"] == 120


def test_underfitting_when_a_simple_model_does_better() -> None:
    curve = decay(60, 0.69, 0.55, 5)
    epochs = make_epochs(curve, curve + 0.01)
    skill = {"linear": 0.57, "boosting": 0.30, "broken": math.nan}
    found = judge(epochs, reference_skill=skill, chosen=CHOSEN | {"layers": 0})
    assert found.state == "underfitting"
    assert "gradient boosting" in found.reason
    assert advised(found)["layers"] == 1
    assert "epochs" in advised(found)
    assert "epochs" not in advised(judge(epochs, reference_skill=skill, stopped_early=True))  # they would not be used
    assert judge(epochs, reference_skill={"linear": 0.555}).state == "good_fit"  # within noise


def test_a_network_for_texts_that_does_not_beat_tf_idf_says_so() -> None:
    curve = decay(60, 0.69, 0.55, 5)
    epochs = make_epochs(curve, curve + 0.01)
    said = judge(epochs, reference_skill={"terms": 0.558}).reason
    assert said.endswith(
        "But TF-IDF with a linear model (a weighted sum of the terms) has no higher loss on the same rows (0.558), "
        "and is far cheaper."
    )
    for lower_here in ({"terms": 0.562}, {"terms": 0.65}, {"linear": 0.558}):  # a lead that may be chance is still one
        assert "cheaper" not in judge(epochs, reference_skill=lower_here).reason


def test_a_better_simple_model_is_mentioned_even_if_the_network_follows_its_rows() -> None:
    train = decay(60, 0.69, 0.28, 5)
    found = judge(make_epochs(train, train + 0.12), reference_skill={"boosting": 0.30})
    assert found.state == "good_fit"
    assert "Still, gradient boosting" in found.reason


def test_not_learning_when_nothing_moves() -> None:
    wobble = 0.69 + 0.002 * np.sin(np.arange(30))
    found = judge(make_epochs(wobble, wobble + 0.001), stopped_early=True, reference_skill={"linear": 0.4})
    assert found.state == "not_learning"
    assert "There is something to learn" in found.reason
    assert advised(found)["learning_rate"] == 0.003
    assert "epochs" not in advised(found)


def test_jumping_without_learning_asks_for_smaller_steps() -> None:
    wild = 0.7 + 2 * np.abs(np.sin(np.arange(30)))
    found = judge(make_epochs(wild, wild + 0.001), stopped_early=True)
    assert found.state == "not_learning"
    assert advised(found)["learning_rate"] == 0.00033


def test_a_far_too_small_learning_rate_goes_back_to_the_textbook_value() -> None:
    flat = np.full(10, 0.69)
    assert advised(judge(make_epochs(flat, flat), chosen={"learning_rate": 1e-7}))["learning_rate"] == 0.001


def test_a_large_gap_that_may_be_chance_is_said_to_be() -> None:
    curve = decay(60, 0.69, 0.34, 5)
    found = judge(make_epochs(curve, curve + 0.15, se=0.05))
    assert found.state == "good_fit"
    assert "gap of 0.15 between the two may be chance" in found.reason


def test_a_flat_curve_is_not_learning_however_noisy_the_validation_part() -> None:
    flat = np.full(10, 0.69)
    assert judge(make_epochs(flat, flat, se=0.3), stopped_early=True).state == "not_learning"


def test_not_learning_when_training_rows_say_nothing_about_others() -> None:
    train = np.r_[0.685, 0.68, decay(18, 0.67, 0.3, 4)]
    validation = 0.688 + 0.004 * np.abs(np.arange(20) - 1)
    found = judge(make_epochs(train, validation, se=0.004), stopped_early=True)
    assert found.state == "not_learning"
    assert "carries over" in found.reason


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_diverged_when_a_loss_is_not_finite(bad: float) -> None:
    found = judge(make_epochs([0.6, 0.5, bad], [0.6, 0.55, bad]))
    assert found.state == "diverged"
    assert found.best_epoch == 2
    assert "epoch 3" in found.reason
    assert advised(found)["learning_rate"] == 0.00033
    assert judge(make_epochs([bad], [bad])).best_epoch == 0


@pytest.mark.parametrize("reason", ["non-finite gradient at step 12", "The loss is NaN", "loss was not finite"])
def test_diverged_when_the_loop_says_so(reason: str) -> None:
    assert judge(make_epochs([0.6], [0.6]), stop_reason=reason).state == "diverged"
    assert judge([], stop_reason=reason).state == "diverged"
    assert judge([], stop_reason="no information about infants").state == "not_learning"


def test_diverged_when_the_loss_explodes() -> None:
    train = [0.6, 0.5, 0.6, 9.0, 80.0]
    found = judge(make_epochs(train, train), settings=make_settings(clip=None, warmup=0.0))
    assert found.state == "diverged"
    assert found.best_epoch == 2
    assert advised(found) == {"learning_rate": 0.00033, "clip": 1.0, "warmup": 0.1}


def test_a_passing_spike_is_not_divergence() -> None:
    curve = decay(60, 0.69, 0.35, 5)
    curve[20] = 30.0
    assert judge(make_epochs(curve, curve)).state == "good_fit"


def test_exploding_validation_loss_after_the_best_epoch_is_not_divergence() -> None:
    train = decay(50, 0.69, 0.2, 5)
    validation = np.r_[decay(20, 0.69, 0.3, 4), 0.3 + 0.2 * np.arange(30)]
    assert judge(make_epochs(train, validation), stopped_early=True).state == "good_fit"


def test_too_noisy_when_the_noise_covers_what_was_gained() -> None:
    train, validation = decay(20, 0.69, 0.55, 4), decay(20, 0.69, 0.60, 4)
    found = judge(make_epochs(train, validation, se=0.08), stopped_early=True)
    assert found.state == "too_noisy"
    assert advised(found) == {"validation_share": 0.3, "": None}


def test_too_noisy_with_very_few_validation_rows() -> None:
    curve = decay(60, 0.69, 0.35, 5)
    found = judge(make_epochs(curve, curve), num_validation=7)
    assert found.state == "too_noisy"
    assert "only 7 rows" in found.reason
    assert judge(make_epochs(curve, curve), num_validation=100).state == "good_fit"


def test_no_epochs_and_unknown_baseline() -> None:
    assert judge([]).best_epoch == 0
    curve = decay(60, 0.69, 0.35, 5)
    assert judge(make_epochs(curve, curve), baseline_loss=math.nan).state == "good_fit"


def test_words_fit_the_task() -> None:
    curve = decay(60, 1.0, 0.35, 5)
    assert "always answering the mean" in judge(make_epochs(curve, curve), baseline_loss=1.0, kind="regression").reason


def test_advice_keeps_silent_where_it_would_change_nothing() -> None:
    train, validation = decay(20, 0.6, 0.02, 3), 0.55 + 0.01 * np.abs(np.arange(20) - 11)
    smallest = {"dropout": 0.5, "weight_decay": 1.0, "width": 4, "layers": 1}
    found = judge(make_epochs(train, validation), chosen=smallest)
    assert found.advice == (Advice(found.advice[0].text, "", None),)


def test_advised_values_are_accepted_by_the_settings() -> None:
    curves = {
        "overfit": make_epochs(decay(20, 0.6, 0.02, 3), 0.55 + 0.01 * np.abs(np.arange(20) - 11)),
        "budget": make_epochs(0.69 - 0.02 * np.arange(10), 0.69 - 0.02 * np.arange(10)),
        "stuck": make_epochs(np.full(9, 0.69), np.full(9, 0.69)),
        "nan": make_epochs([math.nan], [math.nan]),
        "noisy": make_epochs(decay(20, 0.69, 0.55, 4), decay(20, 0.69, 0.60, 4), se=0.08),
    }
    seen = set()
    for epochs in curves.values():
        for advice in judge(epochs).advice:
            if advice.setting:
                make_settings(**{advice.setting: advice.value})
                seen.add(advice.setting)
    assert {"dropout", "weight_decay", "width", "layers", "epochs", "learning_rate", "validation_share"} <= seen


any_float = st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 2)
losses = st.lists(st.tuples(any_float, any_float, any_float, any_float), max_size=12)


@settings(max_examples=300, deadline=None)
@given(
    losses, any_float, st.booleans(), st.sampled_from(["", "time limit", "nan"]), st.dictionaries(st.text(), any_float)
)
def test_any_run_gets_a_verdict_that_can_be_stored(
    rows: list[tuple[float, ...]], baseline: float, stopped: bool, why: str, skill: dict[str, float]
) -> None:
    epochs = [Epoch(i + 1, i, t, v, a, b, 1e-3, 1.0, 0.0) for i, (t, v, a, b) in enumerate(rows)]
    found = judge(epochs, baseline_loss=baseline, stopped_early=stopped, stop_reason=why, reference_skill=skill)
    assert found.state in STATES
    json.dumps(asdict(found), allow_nan=False)
    assert found.reason == found.reason.strip()
    assert found.reason
    finite = [e.validation_loss for e in epochs if math.isfinite(e.validation_loss)]
    assert (found.best_epoch == 0) == (not finite)
    if finite:
        assert epochs[found.best_epoch - 1].validation_loss == min(finite)


@settings(max_examples=100, deadline=None)
@given(st.floats(0.0, 0.35), st.floats(0.001, 0.05))
def test_a_wider_gap_never_turns_overfitting_into_a_good_fit(gap: float, se: float) -> None:
    validation = decay(30, 0.69, 0.4, 5)
    narrow = judge(make_epochs(validation - gap, validation, se=se))
    wide = judge(make_epochs(validation - gap - 0.05, validation, se=se))
    assert not (narrow.state == "overfitting" and wide.state != "overfitting")
