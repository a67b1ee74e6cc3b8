"""The multilayer perceptron: layers of neurons, each a weighted sum plus a bias with a kink."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nudgenet.networks.dropout import Dropout
from nudgenet.networks.embeddings import CategoryEmbedding
from nudgenet.records import Shape

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


class Layer(nn.Module):
    """One layer of neurons: (rows, num_inputs) -> (rows, width).

    weighted sum + bias -> normalisation -> kink -> dropout, plus the layer's own input if `residual`
    (only where the sizes agree). Computes in the precision of its inputs.
    """

    def __init__(
        self, num_inputs: int, width: int, *, activation: str, dropout: float, normalisation: str, residual: bool
    ) -> None:
        super().__init__()
        self.sum = nn.Linear(num_inputs, width)
        self.norm = NORMS[normalisation](width)
        self.kink = KINKS[activation]()
        self.dropout = Dropout(dropout)
        self.residual = residual and num_inputs == width
        initialise(self.sum, activation)

    def forward(self, inputs: Tensor) -> Tensor:
        kind = inputs.dtype
        fired = self.after_sum(F.linear(inputs, self.sum.weight.to(kind), self.sum.bias.to(kind)))
        return inputs + fired if self.residual else fired

    def after_sum(self, sums: Tensor) -> Tensor:
        """What becomes of the weighted sums: normalisation, kink, dropout."""
        if not isinstance(self.norm, nn.Identity):
            sums = self.norm(sums.to(self.sum.weight.dtype)).to(sums.dtype)
        if isinstance(self.kink, nn.ReLU):
            return self.dropout.after_relu(sums)
        fired: Tensor = self.dropout(self.kink(sums))
        return fired

    def with_sum(self, linear: nn.Linear) -> Layer:
        """A copy of this layer with other weights."""
        layer = copy.deepcopy(self)
        layer.sum = linear
        return layer


class MLP(nn.Module):
    """Numbers and embedded categories through hidden layers to the outputs.

    Takes the prepared inputs of a table, {"numbers": float32 (rows, num_numbers), "categories":
    int64 (rows, num_categories)}, and gives float32 (rows, num_outputs): logits for classes, a
    standardised number for a regression. With `num_layers=0` it is a linear model.
    """

    def __init__(
        self,
        shape: Shape,
        *,
        num_layers: int,
        width: int,
        activation: str = "relu",
        dropout: float = 0.0,
        normalisation: str = "none",
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.embedding = CategoryEmbedding(shape.cardinalities) if shape.cardinalities else None
        num_inputs = shape.num_numbers + (self.embedding.num_features if self.embedding else 0)
        sizes = [num_inputs] + [width] * num_layers
        self.layers = nn.Sequential(
            *(
                Layer(
                    size,
                    width,
                    activation=activation,
                    dropout=dropout,
                    normalisation=normalisation,
                    residual=residual,
                )
                for size in sizes[:-1]
            )
        )
        self.output = nn.Linear(sizes[-1], shape.num_outputs)
        initialise(self.output, "none")

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        features = inputs["numbers"]
        if self.embedding is not None:
            features = torch.cat([features, self.embedding(inputs["categories"])], dim=1)
        outputs: Tensor = self.output(self.layers(features))
        return outputs


def initialise(linear: nn.Linear, activation: str) -> None:
    """Weights that keep the size of signals and gradients alike from layer to layer.

    Kinks that silence half of their inputs need twice the variance (He et al., arXiv 1502.01852);
    the others take Glorot & Bengio's (2010). Biases start at 0.
    """
    if activation in ("relu", "gelu", "silu"):
        nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
    else:
        nn.init.xavier_normal_(linear.weight, gain=5 / 3 if activation == "tanh" else 1.0)
    nn.init.zeros_(linear.bias)


def num_parameters(network: nn.Module) -> int:
    """How many knobs the network has."""
    return sum(parameter.numel() for parameter in network.parameters())
