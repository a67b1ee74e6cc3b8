"""The multilayer perceptron: layers of neurons, each a weighted sum plus a bias with a kink."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nudgenet.networks.embeddings import CategoryEmbedding
from nudgenet.networks.neurons import Neurons, initialise
from nudgenet.records import Shape


class Layer(nn.Module):
    """One layer of neurons: (rows, num_inputs) -> (rows, width).

    weighted sum + bias -> normalisation -> kink -> dropout, plus the layer's own input if `residual`
    (only where the sizes agree).
    """

    def __init__(self, linear: nn.Linear, neurons: Neurons, *, residual: bool) -> None:
        super().__init__()
        self.sum, self.neurons = linear, neurons
        self.residual = residual and linear.in_features == linear.out_features

    def forward(self, inputs: Tensor) -> Tensor:
        fired: Tensor = self.neurons(inputs, self.sum.weight, self.sum.bias)
        return inputs + fired if self.residual else fired


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
        layers = []
        for size in sizes[:-1]:
            neurons = Neurons(width, activation=activation, dropout=dropout, normalisation=normalisation)
            layers.append(Layer(linear(size, width, activation), neurons, residual=residual))
        self.layers = nn.Sequential(*layers)
        self.output = linear(sizes[-1], shape.num_outputs, "none")

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        features = inputs["numbers"]
        if self.embedding is not None:
            features = torch.cat([features, self.embedding(inputs["categories"])], dim=1)
        outputs: Tensor = self.output(self.layers(features))
        return outputs


def linear(num_inputs: int, width: int, activation: str) -> nn.Linear:
    """Weighted sums that stand before a kink, with first weights that suit it and biases of 0."""
    sums = nn.Linear(num_inputs, width)
    initialise(sums.weight, activation)
    nn.init.zeros_(sums.bias)
    return sums


def num_parameters(network: nn.Module) -> int:
    """How many knobs the network has."""
    return sum(parameter.numel() for parameter in network.parameters())
