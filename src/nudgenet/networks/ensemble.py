"""An ensemble of small networks that share most of their weights: the default for tables.

Every member is a plain multilayer perceptron. All members share the layers' weights; each has its own
way to listen to the inputs (an adapter: one factor per column) and its own output neurons. They cost
little more than one network, because they pass through the same matrix products, and they disagree
enough for their average to be better than any of them.
Source: Gorishniy et al., TabM (TabM-mini), arXiv 2410.24210; Wen et al., BatchEnsemble, arXiv 2002.06715.

`num_copies` such ensembles with weights of their own can be stacked and trained as one: their matrices
are stacked, so the calls are as many as for one, and only the arithmetic grows.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nudgenet.networks.embeddings import CategoryEmbedding
from nudgenet.networks.encoding import PiecewiseLinear
from nudgenet.networks.mlp import Layer
from nudgenet.networks.neurons import Neurons, initialise
from nudgenet.records import Shape

WIDE_PRODUCT = 256  # members x outputs
TILE = 32  # matrix products are up to a third faster when there are so many inputs, or a multiple of it


class Ensemble(nn.Module):
    """k members in each of c copies: the prepared inputs of a table -> float32 (rows, c * k, num_outputs).

    See `records.Part.inputs` for the inputs. The outputs of each member mean what an `MLP`'s do; their
    mean (of probabilities, or of numbers) is the ensemble's answer. Copies share no knobs except those of a
    normalisation.
    """

    def __init__(
        self,
        shape: Shape,
        pieces: Tensor,
        *,
        num_members: int,
        num_layers: int,
        width: int,
        num_copies: int = 1,
        activation: str = "relu",
        dropout: float = 0.0,
        normalisation: str = "none",
        residual: bool = False,
        precision: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.num_copies, self.num_members, self.width = num_copies, num_members, width
        self.residual, self.precision = residual, precision
        self.encoding = PiecewiseLinear(pieces)
        self.embedding = CategoryEmbedding(shape.cardinalities, num_copies) if shape.cardinalities else None
        embedded = self.embedding.num_features if self.embedding else 0
        num_inputs = shape.num_numbers + self.encoding.num_pieces + embedded
        self.num_blank = -num_inputs % TILE if num_inputs > TILE else 0
        sizes = [num_inputs + self.num_blank] + [width] * num_layers
        self.weights = nn.ParameterList(torch.empty(num_copies, width, size) for size in sizes[:-1])
        self.biases = nn.ParameterList(torch.zeros(num_copies, width) for _ in sizes[:-1])
        self.neurons = nn.ModuleList(
            Neurons(width, activation=activation, dropout=dropout, normalisation=normalisation) for _ in sizes[:-1]
        )
        self.output_weight = nn.Parameter(torch.empty(num_copies, num_members, width, shape.num_outputs))
        self.output_bias = nn.Parameter(torch.zeros(num_copies, num_members, shape.num_outputs))
        self.adapter = nn.Parameter(self._first_adapters(shape))
        with torch.no_grad():
            for weights in self.weights:
                for of_one_copy in weights:
                    initialise(of_one_copy, activation)
            self.output_weight.normal_(0.0, 1.0 / math.sqrt(width))

    def _first_adapters(self, shape: Shape) -> Tensor:
        """(copies, members, num_inputs): one random factor per member and column, so all inputs made from it are scaled alike."""
        members = (self.num_copies, self.num_members)
        columns = torch.cat([torch.arange(shape.num_numbers), self.encoding.columns])
        factors = torch.randn(*members, shape.num_numbers)[..., columns]
        if self.embedding is not None:
            of_categories = torch.randn(*members, len(shape.cardinalities))
            factors = torch.cat([factors, of_categories.repeat_interleave(self.embedding.width, dim=-1)], dim=-1)
        return F.pad(factors, (0, self.num_blank))

    def encode(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """What the first layers see: float32 (copies, rows, num_inputs), the same for all members of a copy.

        The last `num_blank` inputs are always 0.
        """
        parts: list[Tensor] = [self.encoding(inputs["numbers"]).expand(self.num_copies, -1, -1)]
        if self.embedding is not None:
            parts.append(self.embedding(inputs["categories"]))
        if self.num_blank:
            parts.append(parts[0].new_zeros(()).expand(*parts[0].shape[:2], self.num_blank))
        return torch.cat(parts, dim=2)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        # Matrix products may be rounded while training, where the next step corrects them, but not in an answer,
        # unless whoever asks says so (torch.autocast): the curves do.
        features = self.encode(inputs)
        if self.training:
            features = features.to(self.precision)
        elif torch.is_autocast_enabled("cpu"):
            features = features.to(torch.get_autocast_dtype("cpu"))
        fired = self._first_layers(features)
        for neurons, weights, biases in zip(self.neurons[1:], self.weights[1:], self.biases[1:], strict=True):
            above = neurons(fired, weights, biases)
            fired = fired + above if self.residual else above  # (copies, rows * members, width)
        return self._outputs(fired).transpose(0, 1).flatten(1, 2)

    def _first_layers(self, features: Tensor) -> Tensor:
        """What the first layers of all members answer: (copies, rows * members, width).

        Scaling a member's inputs by its adapter is the same as scaling its copy of the weights. For many rows there
        are fewer weights than inputs, but while training the slopes of all these copies have to be gathered, too.
        """
        weights, biases = self.weights[0], self.biases[0]
        if features.shape[1] <= (2 * self.width if self.training else self.width // 2):
            inputs = (features.unsqueeze(2) * self.adapter.to(features.dtype).unsqueeze(1)).flatten(1, 2)
            return self.neurons[0](inputs, weights, biases)  # type: ignore[no-any-return]
        scaled = (self.adapter.unsqueeze(2) * weights.unsqueeze(1)).flatten(1, 2)
        return self.neurons[0](features, scaled, biases.repeat(1, self.num_members))  # type: ignore[no-any-return]

    def _outputs(self, fired: Tensor) -> Tensor:
        """Each member's fired neurons times its own output weights: float32 (copies, rows, members, num_outputs)."""
        copies, members, _, num_outputs = self.output_weight.shape
        weights = self.output_weight.to(fired.dtype)
        if members * num_outputs <= WIDE_PRODUCT:
            # Every member times every member's weights, of which the diagonal is kept: for few outputs one
            # wide product is faster than many narrow ones.
            products = fired @ weights.transpose(1, 2).flatten(2)
            crossed = products.view(copies, -1, members, members, num_outputs)
            outputs = crossed.diagonal(dim1=2, dim2=3).transpose(2, 3)
        else:
            outputs = torch.einsum("crmw,cmwo->crmo", fired.view(copies, -1, members, self.width), weights)
        return outputs.to(self.output_bias.dtype) + self.output_bias.unsqueeze(1)

    def member(self, index: int) -> nn.Sequential:
        """Member `index` (of copies x members) as a plain network, in evaluation mode: from its copy's encoded
        inputs, `encode(inputs)[index // num_members]`, to its outputs.

        Linear, kink, Linear, kink ... Linear: its weights are copies, ready to be opened.
        """
        place, member = divmod(index, self.num_members)
        layers: list[nn.Module] = []
        for neurons, weights, biases in zip(self.neurons, self.weights, self.biases, strict=True):
            assert isinstance(neurons, Neurons)
            own = weights[place] if layers else weights[place] * self.adapter[place, member]
            linear = as_linear(own, biases[place])
            layers.append(Layer(linear, copy.deepcopy(neurons), residual=self.residual and bool(layers)))
        output = as_linear(self.output_weight[place, member].T, self.output_bias[place, member])
        return nn.Sequential(*layers, output).eval()


def as_linear(weights: Tensor, biases: Tensor) -> nn.Linear:
    """Weighted sums with copies of these weights (width, num_inputs) and biases (width,)."""
    linear = nn.Linear(weights.shape[1], weights.shape[0])
    with torch.no_grad():
        linear.weight.copy_(weights)
        linear.bias.copy_(biases)
    return linear
