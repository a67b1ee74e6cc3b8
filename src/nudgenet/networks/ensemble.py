"""An ensemble of small networks that share most of their weights: the default for tables.

Every member is a plain multilayer perceptron. All members share the layers' weights; each has its own
way to listen to the inputs (an adapter: one factor per input) and its own output neurons. They cost
little more than one network, because they pass through the same matrix products, and they disagree
enough for their average to be better than any of them.
Source: Gorishniy et al., TabM (TabM-mini), arXiv 2410.24210; Wen et al., BatchEnsemble, arXiv 2002.06715.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nudgenet.networks.embeddings import CategoryEmbedding
from nudgenet.networks.encoding import PiecewiseLinear
from nudgenet.networks.mlp import Layer
from nudgenet.records import Shape

WIDE_PRODUCT = 256  # members x outputs


class Ensemble(nn.Module):
    """k members at once: the prepared inputs of a table -> float32 (rows, members, num_outputs).

    See `records.Part.inputs` for the inputs. The outputs of each member mean what an `MLP`'s do; their
    mean (of probabilities, or of numbers) is the ensemble's answer.
    """

    def __init__(
        self,
        shape: Shape,
        pieces: Tensor,
        *,
        num_members: int,
        num_layers: int,
        width: int,
        activation: str = "relu",
        dropout: float = 0.0,
        normalisation: str = "none",
        residual: bool = False,
        precision: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.num_members, self.width, self.precision = num_members, width, precision
        self.encoding = PiecewiseLinear(pieces)
        self.embedding = CategoryEmbedding(shape.cardinalities) if shape.cardinalities else None
        embedded = self.embedding.num_features if self.embedding else 0
        num_inputs = shape.num_numbers + self.encoding.num_pieces + embedded
        layer = partial(Layer, activation=activation, dropout=dropout, normalisation=normalisation, residual=residual)
        self.adapter = nn.Parameter(torch.empty(num_members, num_inputs))
        self.first = layer(num_inputs, width)
        self.layers = nn.Sequential(*(layer(width, width) for _ in range(num_layers - 1)))
        self.output_weight = nn.Parameter(torch.empty(num_members, width, shape.num_outputs))
        self.output_bias = nn.Parameter(torch.zeros(num_members, shape.num_outputs))
        with torch.no_grad():
            self.adapter.copy_(self._first_adapters(shape))
            self.output_weight.normal_(0.0, 1.0 / math.sqrt(width))

    def _first_adapters(self, shape: Shape) -> Tensor:
        """One random factor per member and column: all inputs made from one column begin alike."""
        columns = torch.cat([torch.arange(shape.num_numbers), self.encoding.columns])
        factors = torch.randn(self.num_members, shape.num_numbers)[:, columns]
        if self.embedding is not None:
            of_categories = torch.randn(self.num_members, len(shape.cardinalities))
            factors = torch.cat([factors, of_categories.repeat_interleave(self.embedding.width, dim=1)], dim=1)
        return factors

    def encode(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """What every member's first layer sees: float32 (rows, num_inputs)."""
        features: Tensor = self.encoding(inputs["numbers"])
        if self.embedding is not None:
            features = torch.cat([features, self.embedding(inputs["categories"])], dim=1)
        return features

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        # Matrix products may be rounded while training, where the next step corrects them, but never in an answer.
        features = self.encode(inputs)
        if self.training:
            features = features.to(self.precision)
        fired = self.layers(self._first_layers(features))  # (rows * members, width)
        return self._outputs(fired).to(self.output_bias.dtype) + self.output_bias

    def _first_layers(self, features: Tensor) -> Tensor:
        """The first layers of all members in one matrix product.

        Scaling the inputs by a member's adapter is the same as scaling its copy of the weights, and
        there are fewer weights than inputs.
        """
        linear = self.first.sum
        weights = (self.adapter.unsqueeze(1) * linear.weight).flatten(0, 1)  # (members * width, num_inputs)
        biases = linear.bias.repeat(self.num_members)
        sums = F.linear(features, weights.to(features.dtype), biases.to(features.dtype))
        return self.first.after_sum(sums.view(-1, self.width))

    def _outputs(self, fired: Tensor) -> Tensor:
        """Each member's fired neurons times its own output weights: (rows * members, width) -> (rows, members, outputs)."""
        num_members, _, num_outputs = self.output_weight.shape
        weights = self.output_weight.to(fired.dtype)
        if num_members * num_outputs <= WIDE_PRODUCT:
            # Every member times every member's weights, of which the diagonal is kept: for few outputs one
            # wide product is faster than many narrow ones.
            products = fired @ weights.transpose(0, 1).flatten(1)
            crossed = products.view(-1, num_members, num_members, num_outputs)
            return crossed.diagonal(dim1=1, dim2=2).transpose(1, 2)
        return torch.einsum("rmw,mwo->rmo", fired.view(-1, num_members, self.width), weights)

    def member(self, index: int) -> nn.Sequential:
        """Member `index` as a plain network from encoded inputs (see `encode`) to its outputs, in evaluation mode.

        Linear, kink, Linear, kink ... Linear: its weights are copies, ready to be opened.
        """
        first = nn.Linear(self.first.sum.in_features, self.width)
        last = nn.Linear(self.width, self.output_bias.shape[1])
        with torch.no_grad():
            first.weight.copy_(self.first.sum.weight * self.adapter[index])
            first.bias.copy_(self.first.sum.bias)
            last.weight.copy_(self.output_weight[index].T)
            last.bias.copy_(self.output_bias[index])
        modules: list[nn.Module] = [self.first.with_sum(first)]
        modules += [copy.deepcopy(layer) for layer in self.layers]
        return nn.Sequential(*modules, last).eval()
