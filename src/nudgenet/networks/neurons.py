"""What a layer's neurons do with weights that they are handed: weighted sum plus bias, kink, dropout."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from nudgenet.networks.dropout import Dropout
from nudgenet.networks.relu import INTEGERS, product, relu_layer

KINKS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "none": nn.Identity,  # without the kink any number of layers is one linear model
}
NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": nn.Identity,
    "layer": nn.LayerNorm,
    "batch": nn.BatchNorm1d,
}


class Neurons(nn.Module):
    """weighted sum + bias -> normalisation -> kink -> dropout, in the precision of the inputs.

    The weights belong to whoever calls: one layer, or a stack of layers that differ only in them and
    share everything that is in here.
    """

    def __init__(self, width: int, *, activation: str, dropout: float, normalisation: str) -> None:
        super().__init__()
        self.width = width
        self.norm = NORMS[normalisation](width)
        self.kink = KINKS[activation]()
        self.dropout = Dropout(dropout)

    def forward(self, inputs: Tensor, weights: Tensor, biases: Tensor) -> Tensor:
        """(..., rows, num_inputs), (..., width, num_inputs) and (..., width) -> (..., rows, width).

        The leading dimension, if there is one, counts independent layers. Weights may also hold several
        layers one below the other for the same inputs, (..., layers * width, num_inputs); then the answer
        is (..., rows * layers, width).
        """
        fired = self._fused(inputs, weights, biases)
        if fired is None:
            kind = inputs.dtype
            sums = product(inputs, weights.to(kind).transpose(-1, -2), 1.0, biases.to(kind).unsqueeze(-2))
            if not isinstance(self.norm, nn.Identity):
                sums = self.norm(sums.to(weights.dtype).view(-1, self.width)).view(sums.shape).to(kind)
            fired = self.dropout(self.kink(sums))
        return fired.view(*fired.shape[:-2], -1, self.width)

    def _fused(self, inputs: Tensor, weights: Tensor, biases: Tensor) -> Tensor | None:
        """The same in one function, where there is one: ReLU without normalisation, in training on a CPU."""
        is_plain = isinstance(self.kink, nn.ReLU) and isinstance(self.norm, nn.Identity)
        if not (self.training and is_plain and inputs.device.type == "cpu"):
            return None
        if not self.dropout.is_active:
            return relu_layer(inputs, weights, biases, None, 1.0)
        integer = INTEGERS[inputs.dtype]
        size = inputs.shape[:-1].numel() * weights.shape[-2]
        ceiling = self.dropout.mask(size, integer, torch.iinfo(integer).max)
        return None if ceiling is None else relu_layer(inputs, weights, biases, ceiling, self.dropout.scale)


def initialise(weights: Tensor, activation: str) -> None:
    """First weights (width, num_inputs) that keep the size of signals and gradients alike from layer to layer.

    Kinks that silence half of their inputs need twice the variance (He et al., arXiv 1502.01852);
    the others take Glorot & Bengio's (2010).
    """
    if activation in ("relu", "gelu", "silu"):
        nn.init.kaiming_normal_(weights, nonlinearity="relu")
    else:
        nn.init.xavier_normal_(weights, gain=5 / 3 if activation == "tanh" else 1.0)
