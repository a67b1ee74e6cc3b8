"""One neuron by hand: what is folded away is the exact rest, and the Python that is given computes what PyTorch did."""

from __future__ import annotations

import contextlib
import io
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nudgenet.watching.xray import (
    KINKS,
    STRONGEST,
    Nudge,
    Rule,
    kink_slope,
    open_sum,
    python_of_neuron,
    python_of_update,
    strongest,
)

FLOATS = st.floats(-100, 100, width=32)
KIND_OF = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "none": lambda z: z,
}


def printed(python: str) -> dict[str, float]:
    """Run the lines and read what they print: "name value"."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(python, "<copied>", "exec"), {})
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in said.getvalue().splitlines()}


@given(arrays(np.float32, (2, 30), elements=FLOATS), FLOATS, st.integers(1, 30))
def test_terms_and_others_and_bias_are_the_sum(values: np.ndarray, bias: float, count: int) -> None:
    inputs, weights = values[:, :count]
    total = float(torch.from_numpy(inputs) @ torch.from_numpy(weights) + torch.tensor(bias))
    found = open_sum(inputs, weights, bias, total)
    assert found.num_others == max(0, count - STRONGEST) and len(found.order) == min(count, STRONGEST)
    shown = found.products[found.order].astype(np.float64)
    assert shown.sum() + found.others + bias == pytest.approx(total, rel=1e-12, abs=1e-9)
    rest = np.delete(found.products.astype(np.float64), found.order)
    assert found.others == pytest.approx(rest.sum(), abs=1e-5 * (1 + float(np.abs(found.products).sum())))
    if len(rest):
        assert np.abs(rest).max() <= np.abs(shown).min()


@given(arrays(np.float32, st.integers(0, 40), elements=FLOATS))
def test_the_strongest_come_first(values: np.ndarray) -> None:
    order = strongest(values)
    sizes = np.abs(values[order])
    assert (np.diff(sizes) <= 0).all() and len(set(order.tolist())) == len(order)


@pytest.mark.parametrize("kink", KINKS)
@given(z=st.floats(-30, 30))
def test_kinks_and_slopes_are_torchs(kink: str, z: float) -> None:
    value = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    answer = KIND_OF[kink](value)
    (slope,) = torch.autograd.grad(answer, value)
    assert KINKS[kink][0](z) == pytest.approx(float(answer.detach()), rel=1e-9, abs=1e-9)
    assert kink_slope(kink, z) == pytest.approx(float(slope), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("kink", KINKS)
def test_the_lines_of_a_neuron_print_its_numbers(kink: str) -> None:
    norm = {"mean": 0.5, "deviation": 2.0, "scale": 1.5, "shift": -0.25}
    python = python_of_neuron("a", [("age", 2.0, 0.5), ("city", -1.0, 1.5)], (3, 0.125), 0.25, kink, norm, (0.5, True))
    found = printed(python)
    z = (2.0 * 0.5 - 1.5 + 0.125 + 0.25 - 0.5) / 2.0 * 1.5 - 0.25
    assert found["sum"] == -0.125 and found["normalised"] == z
    assert found["fired"] == pytest.approx(float(KIND_OF[kink](torch.tensor(z + 0.5, dtype=torch.float64))))
    behind = printed(python_of_neuron("a", [], (0, 0.0), 1.0, kink, None, (2.0, False)))
    assert behind["passed on"] == pytest.approx(behind["fired"] + 2.0)


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_name_can_end_a_comment(title: str, name: str) -> None:
    rule, nudge = Rule("sgd", 0.1, 0.0, 1), Nudge(1.0, 0.5, (None, None), (0.5, None), 0.95)
    assert printed(python_of_neuron(title, [(name, 1.0, 2.0)], (0, 0.0), 0.0, "relu")) == {"sum": 2.0, "fired": 2.0}
    assert printed(python_of_update(title, name, rule, nudge)) == {"after": 0.95}


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_a_nudge_is_the_optimizers(name: str, weight_decay: float) -> None:
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    more = {"momentum": 0.9} if name == "sgd" else {}
    weights = torch.nn.Parameter(torch.tensor([0.5, -1.0, 2.0]))
    optimizer = kind([weights], lr=0.05, weight_decay=weight_decay, **more)
    keys = ("momentum_buffer",) if name == "sgd" else ("exp_avg", "exp_avg_sq")
    random = torch.Generator().manual_seed(0)
    for number in range(1, 6):
        weights.grad = torch.randn(3, generator=random)
        memory = optimizer.state.get(weights, {})
        before = weights.detach().clone()
        moments = [[float(memory[key][i]) if key in memory else None for key in keys] for i in range(3)]
        optimizer.step()
        rule = Rule(name, 0.05, weight_decay, number)
        for i in range(3):
            first, second = (*moments[i], None)[:2]
            after = float(weights[i].detach())
            nudge = Nudge(float(before[i]), float(weights.grad[i]), (first, second), (None, None), after)
            found = printed(python_of_update("layer1 [0]", "age", rule, nudge))
            assert found["after"] == pytest.approx(after, rel=1e-5, abs=1e-7)
            assert nudge.step == after - float(before[i]) != 0


def test_muons_nudge_is_said_as_it_was() -> None:
    """It comes from all weights of a layer together, so no formula for a single one can be checked by hand."""
    rule = Rule("muon", 0.05, 0.1, 3, momentum=0.9)
    text = python_of_update("stage 1 [0]", "pixel", rule, Nudge(0.5, 0.2, (0.1, None), (0.11, None), 0.48))
    assert printed(text) == {"after": pytest.approx(0.48)}
    assert "made orthogonal" in text


def test_numbers_that_are_none_stay_readable() -> None:
    found = printed(python_of_neuron("a", [("b", math.inf, 1.0)], (0, 0.0), 0.0, "none"))
    assert found["fired"] == math.inf
