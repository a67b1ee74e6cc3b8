"""One neuron by hand: its weighted sum, the way back of a gradient, and the nudge of a weight, as a person can check them.

Pure arithmetic over numbers that PyTorch computed. Nothing is rounded, and what is folded away is the exact rest: terms +
others + bias is the sum. Also gives the same arithmetic as a few lines of Python.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nudgenet.errors import counted

STRONGEST = 8
Array = np.ndarray

KINKS: dict[str, tuple[Callable[[float], float], Callable[[float], float], str]] = {
    # name -> the kink, its slope, and the kink as Python of `z`
    "relu": (lambda z: max(0.0, z), lambda z: float(z > 0), "max(0.0, z)"),
    "gelu": (
        lambda z: z * _normal_share(z),
        lambda z: _normal_share(z) + z * math.exp(-z * z / 2) / math.sqrt(2 * math.pi),
        "z * 0.5 * (1 + math.erf(z / math.sqrt(2)))",
    ),
    "silu": (
        lambda z: z * _sigmoid(z),
        lambda z: _sigmoid(z) * (1 + z * (1 - _sigmoid(z))),
        "z / (1 + math.exp(-z))",
    ),
    "tanh": (math.tanh, lambda z: 1 - math.tanh(z) ** 2, "math.tanh(z)"),
    "sigmoid": (lambda z: _sigmoid(z), lambda z: _sigmoid(z) * (1 - _sigmoid(z)), "1 / (1 + math.exp(-z))"),
    "none": (lambda z: z, lambda z: 1.0, "z"),
}


def _normal_share(z: float) -> float:
    return 0.5 * (1 + math.erf(z / math.sqrt(2)))


def _sigmoid(z: float) -> float:
    return 0.5 * (1 + math.tanh(z / 2))  # does not overflow


def kink_slope(kink: str, z: float) -> float:
    """How much of a gradient the kink lets through at `z`."""
    return KINKS[kink][1](z)


@dataclass(frozen=True)
class OpenSum:
    """A weighted sum, its strongest terms apart.

    order: the places of the strongest terms, the strongest first.
    products: of all terms, float32, as PyTorch multiplies.
    num_others, others: how many terms are folded, and their exact sum: what is missing to the sum that PyTorch computed.
    """

    order: Array
    products: Array
    num_others: int
    others: float


def open_sum(inputs: Array, weights: Array, bias: float, total: float, beside: float = 0.0) -> OpenSum:
    """Take a sum of products apart.

    Args:
        inputs, weights: float32 (terms,).
        total: the sum that was computed.
        beside: what else is in it besides the products and the bias.
    """
    products = inputs.astype(np.float32) * weights.astype(np.float32)
    order = strongest(products)
    # In float64, where differences of float32 numbers of like size are exact.
    others = total - bias - beside - float(products[order].astype(np.float64).sum())
    return OpenSum(order, products, len(products) - len(order), others)


def strongest(values: Array, most: int = STRONGEST) -> Array:
    """The places of the largest absolute values, the largest first; of equal ones the first."""
    return np.argsort(-np.abs(values.astype(np.float64)), kind="stable")[:most]


@dataclass(frozen=True)
class Nudge:
    """What an optimizer did to one weight.

    gradient: as the optimizer got it, clipped.
    moments_before, moments: of Adam the running means of the gradient and of its square; of SGD the momentum first.
    """

    before: float
    gradient: float
    moments_before: tuple[float | None, float | None]
    moments: tuple[float | None, float | None]
    after: float

    @property
    def step(self) -> float:
        """The nudge itself."""
        return self.after - self.before


@dataclass(frozen=True)
class Rule:
    """How the optimizer turns a gradient into a nudge in this step.

    number: of the update that is done, 1 the first, as this weight counts them.
    """

    optimizer: str  # sgd, adam, adamw, muon
    learning_rate: float
    weight_decay: float
    number: int
    momentum: float = 0.9
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8


# --- as Python ------------------------------------------------------------------------------------


def python_of_neuron(
    title: str,
    terms: Sequence[tuple[str, float, float]],
    others: tuple[int, float],
    bias: float,
    kink: str,
    norm: Mapping[str, float] | None = None,
    added: tuple[float, bool] | None = None,
) -> str:
    """Lines of Python that compute a neuron's answer and print its sum and what it fires.

    Args:
        terms: (name, input, weight).
        others: how many products are folded, and their sum.
        norm: mean, deviation, scale and shift of a normalisation.
        added: what is added, and whether before the kink.
    """
    lines = ["import math", "", f"# {in_a_comment(title)}", "terms = [  # input, weight"]
    lines += [f"    ({number(taken)}, {number(weight)}),  # {in_a_comment(name)}" for name, taken, weight in terms]
    count, rest = others
    lines += [
        "]",
        f"others = {number(rest)}  # {counted(count, 'other product')}, added up",
        f"bias = {number(bias)}",
        "z = sum(x * w for x, w in terms) + others + bias",
        'print("sum", z)',
    ]
    if norm is not None:
        mean, deviation, scale, shift = (number(norm[name]) for name in ("mean", "deviation", "scale", "shift"))
        lines += [f"z = (z - {mean}) / {deviation} * {scale} + {shift}  # normalised", 'print("normalised", z)']
    if added is not None and added[1]:
        lines.append(f"z = z + {number(added[0])}  # what came into the block is added")
    lines.append(f"fired = {KINKS[kink][2]}  # {'no kink' if kink == 'none' else kink}")
    lines.append('print("fired", fired)')
    if added is not None and not added[1]:
        lines += [f"passed_on = fired + {number(added[0])}  # what came in is added", 'print("passed on", passed_on)']
    return "\n".join(lines) + "\n"


def python_of_update(title: str, name: str, rule: Rule, nudge: Nudge) -> str:
    """Lines of Python that compute one weight's nudge as the optimizer did, and print the new weight.

    Muon's is a line of its own: it comes from all weights of the layer together.
    Sources: Kingma & Ba, arXiv 1412.6980; Loshchilov & Hutter, arXiv 1711.05101.
    """
    first, second = (0.0 if moment is None else moment for moment in nudge.moments_before)
    lines = [
        "import math",
        "",
        f"# {in_a_comment(title)}: the weight of {in_a_comment(name)}",
        f"w = {number(nudge.before)}",
        f"g = {number(nudge.gradient)}  # its gradient, after clipping",
        f"learning_rate, weight_decay = {number(rule.learning_rate)}, {number(rule.weight_decay)}",
    ]
    if rule.optimizer == "sgd":
        velocity = "g" if nudge.moments_before[0] is None else f"{number(rule.momentum)} * {number(first)} + g"
        lines += ["g = g + weight_decay * w", f"v = {velocity}  # momentum", "w = w - learning_rate * v"]
    elif rule.optimizer == "muon":
        lines += [
            f"v = {rule.momentum} * {number(first)} + (1 - {rule.momentum}) * g  # running mean of the gradient",
            "# The layer's running means, as a matrix, are made orthogonal; this weight's share of that:",
            f"w = w + {number(nudge.step)}",
        ]
    else:
        beta1, beta2 = rule.betas
        decay = "w = w - learning_rate * weight_decay * w" if rule.optimizer == "adamw" else "g = g + weight_decay * w"
        lines += [
            decay,
            f"m = {beta1} * {number(first)} + (1 - {beta1}) * g  # running mean of the gradient",
            f"v = {beta2} * {number(second)} + (1 - {beta2}) * g**2  # running mean of its square",
            f"m_hat, v_hat = m / (1 - {beta1}**{rule.number}), v / (1 - {beta2}**{rule.number})",
            f"w = w - learning_rate * m_hat / (math.sqrt(v_hat) + {rule.eps})",
        ]
    lines.append(f'print("after", w)  # PyTorch, in single precision: {number(nudge.after)}')
    return "\n".join(lines) + "\n"


def number(value: float) -> str:
    """A number as Python takes it, in full."""
    return repr(float(value)) if math.isfinite(value) else f'float("{value}")'


def in_a_comment(text: str) -> str:
    """A name from a person's data on one line: nothing in it may end a comment."""
    return "".join(character if character.isprintable() else " " for character in " ".join(text.split()))
