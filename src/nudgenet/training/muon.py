"""Muon: a convolution's nudge with all its directions made equally long (Jordan et al., 2024, "Muon: an optimizer for
hidden layers in neural networks").

The gradient of a layer is mostly a few directions, in which step after step goes the same way; what the layer could
learn in the others is lost beside them. So the averaged gradient, as a matrix of outputs x inputs, is replaced by the
nearest one whose singular values are all about 1. It is then made as large as AdamW's nudges usually are (Liu et al.,
arXiv 2502.16982), so that one learning rate and one decay do for both.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

MOMENTUM = 0.9
BETAS, EPS = (0.9, 0.999), 1e-8  # of AdamW, for what is no convolution
ADAM_SIZE = 0.2  # of an entry of AdamW's nudge, for a learning rate of 1
# An odd polynomial, five times: singular values above a hundredth of the matrix's norm end between 0.68 and 1.14.
ROUNDS, CUBIC = 5, (3.4445, -4.7750, 2.0315)


class Muon(Optimizer):
    """Convolutions by orthogonal nudges; biases, normalisation, outputs and what stands beside images by AdamW."""

    def __init__(self, groups: list[dict[str, Any]], lr: float) -> None:
        apart = [
            {**group, "params": chosen, "orthogonal": is_convolution}
            for group in groups
            for is_convolution in (True, False)
            if (chosen := [p for p in group["params"] if (p.ndim == 4) == is_convolution])
        ]
        super().__init__(apart, {"lr": lr, "weight_decay": 0.0, "momentum": MOMENTUM, "betas": BETAS, "eps": EPS})

    def step(self) -> None:  # type: ignore[override]  # no closure: the loop has its own step
        """Nudge every parameter that has a gradient, in place."""
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            if moved:
                (self._orthogonal if group["orthogonal"] else self._by_adamw)(group, moved)

    def _orthogonal(self, group: dict[str, Any], moved: list[Tensor]) -> None:
        gradients: list[Tensor] = [p.grad for p in moved]  # type: ignore[misc]
        for parameter in moved:
            if not self.state[parameter]:
                self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        memories = [self.state[parameter]["momentum_buffer"] for parameter in moved]
        torch._foreach_lerp_(memories, gradients, 1 - group["momentum"])
        ahead = torch._foreach_lerp(gradients, memories, group["momentum"])  # Nesterov's: where it is going to be
        if group["weight_decay"]:
            torch._foreach_mul_(moved, 1 - group["lr"] * group["weight_decay"])
        for parameter, direction in zip(moved, ahead, strict=True):
            matrix = direction.permute(0, 2, 3, 1).flatten(1)  # as it lies in memory: channels last
            turned = orthogonalised(matrix).view(direction.permute(0, 2, 3, 1).shape).permute(0, 3, 1, 2)
            parameter.sub_(turned, alpha=group["lr"] * ADAM_SIZE * max(matrix.shape) ** 0.5)

    def _by_adamw(self, group: dict[str, Any], moved: list[Tensor]) -> None:
        for parameter in moved:
            if not self.state[parameter]:
                self.state[parameter].update(
                    step=torch.zeros(()), exp_avg=torch.zeros_like(parameter), exp_avg_sq=torch.zeros_like(parameter)
                )
        gradients: list[Tensor] = [p.grad for p in moved]  # type: ignore[misc]
        averages, squares, steps = (
            [self.state[parameter][name] for parameter in moved] for name in ("exp_avg", "exp_avg_sq", "step")
        )
        torch._foreach_add_(steps, 1)
        beta1, beta2 = group["betas"]
        torch._fused_adamw_(
            moved, gradients, averages, squares, [], steps, amsgrad=False, lr=group["lr"], beta1=beta1,
            beta2=beta2, weight_decay=group["weight_decay"], eps=group["eps"], maximize=False,
        )  # fmt: skip


def orthogonalised(matrix: Tensor) -> Tensor:
    """The matrix with its singular values made about 1: float (rows, columns), by Newton and Schulz's iteration.

    All rounds are polynomials in the same small square matrix (of the shorter side), so they are multiplied together
    there, and the long one is touched twice only.
    """
    is_high = matrix.shape[0] > matrix.shape[1]
    wide = matrix.T if is_high else matrix
    wide = wide / (torch.linalg.vector_norm(wide) + 1e-7)
    squares = wide @ wide.T
    linear, cubic, quintic = CUBIC
    product: Tensor | None = None
    for turn in range(ROUNDS):
        factor = torch.addmm(squares, squares, squares, beta=cubic, alpha=quintic)
        factor.diagonal().add_(linear)
        product = factor if product is None else factor @ product
        if turn + 1 < ROUNDS:
            squares = factor @ squares @ factor
    assert product is not None
    turned: Tensor = product @ wide
    return turned.T if is_high else turned
