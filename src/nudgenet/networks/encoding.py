"""Numbers in pieces: where in its range a value lies, told by many inputs instead of one.

A neuron can only tilt one number up or down. Cut into pieces, the same number lets the first layer
draw any broken line over it, which is how trees see numbers, and what plain networks lack on tables.
Source: Gorishniy et al., On Embeddings for Numerical Features, arXiv 2203.05556 (piecewise-linear encoding).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

MAX_INPUTS = 512  # pieces of all columns together
MAX_PIECES = 48  # of one column
MIN_ROWS_IN_PIECE = 8
QUANTILE_ROWS = 50_000  # evenly spaced rows tell quantiles well enough


def learn_pieces(numbers: Tensor, max_inputs: int = MAX_INPUTS) -> Tensor:
    """Cut every column at the quantiles of the training rows.

    Args:
        numbers: float32 (rows, columns), standardised.

    Returns:
        float32 (pieces, 3): column, lower edge, upper edge. Columns with two values have none: one
        number tells everything about them.
    """
    num_rows, num_columns = numbers.shape
    wanted = min(MAX_PIECES, max_inputs // max(1, num_columns), num_rows // MIN_ROWS_IN_PIECE)
    if wanted < 2:
        return torch.zeros(0, 3)
    numbers = numbers[:: max(1, num_rows // QUANTILE_ROWS)]
    num_rows = len(numbers)
    places = torch.linspace(0, 1, wanted + 1)
    pieces = []
    for column in range(num_columns):
        ascending = numbers[:, column].sort().values
        edges = torch.unique_consecutive(ascending[(places * (num_rows - 1)).round().long()])
        if len(edges) <= wanted:
            # Many rows share a few values (most gains are 0): the other values get the pieces that are left.
            distinct = torch.unique_consecutive(ascending)
            spread = torch.linspace(0, 1, min(wanted + 2 - len(edges), len(distinct)))
            others = distinct[(spread * (len(distinct) - 1)).round().long()]
            edges = torch.cat([edges, others]).sort().values
            edges = torch.unique_consecutive(edges)
        if len(edges) > 2:
            lower, upper = edges[:-1], edges[1:]
            pieces.append(torch.stack([torch.full_like(lower, column), lower, upper], dim=1))
    return torch.cat(pieces) if pieces else torch.zeros(0, 3)


class PiecewiseLinear(nn.Module):
    """float32 (rows, columns) -> (rows, columns + pieces): the numbers themselves, and how much of each piece they fill.

    A piece gives 0 below its lower edge, 1 above its upper edge, and the share in between.
    """

    pieces: Tensor
    columns: Tensor
    lower: Tensor
    per_width: Tensor

    def __init__(self, pieces: Tensor) -> None:
        super().__init__()
        self.register_buffer("pieces", pieces)  # saved with the weights: they were learned from the training part
        self.register_buffer("columns", pieces[:, 0].long(), persistent=False)
        self.register_buffer("lower", pieces[:, 1].clone(), persistent=False)
        self.register_buffer("per_width", 1.0 / (pieces[:, 2] - pieces[:, 1]), persistent=False)

    @property
    def num_pieces(self) -> int:
        return len(self.pieces)

    def forward(self, numbers: Tensor) -> Tensor:
        if not self.num_pieces:
            return numbers
        # `index_select` is several times faster here than the brackets.
        filled = numbers.index_select(1, self.columns).sub_(self.lower).mul_(self.per_width).clamp_(0.0, 1.0)
        return torch.cat([numbers, filled], dim=1)
