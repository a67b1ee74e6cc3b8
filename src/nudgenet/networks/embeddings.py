"""Categories as numbers that are learned: each level of each column owns a short row of knobs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn


class CategoryEmbedding(nn.Module):
    """One table for all category columns: codes int64 (rows, columns) -> float32 (rows, columns * width).

    With `copies`, each of so many networks has knobs of its own: -> (copies, rows, columns * width).

    All columns share one table with an offset each, so that one lookup serves them all; a lookup per
    column costs more than the arithmetic of a small network. Source: Guo & Berkhahn, arXiv 1604.06737.
    """

    offsets: Tensor

    def __init__(self, cardinalities: Sequence[int], copies: int | None = None) -> None:
        super().__init__()
        self.width = embedding_width(max(cardinalities))
        self.num_features = len(cardinalities) * self.width
        starts = [sum(cardinalities[:column]) for column in range(len(cardinalities))]
        offsets = torch.tensor(starts)
        if copies is not None:
            offsets = torch.arange(copies).view(-1, 1, 1) * sum(cardinalities) + offsets
        self.register_buffer("offsets", offsets, persistent=False)
        self.table = nn.Embedding(sum(cardinalities) * (copies or 1), self.width)
        with torch.no_grad():
            # A column's numbers have together the spread of one standardised number.
            self.table.weight.normal_(0.0, 1.0 / math.sqrt(self.width))
            self.table.weight[self.offsets] = 0.0  # code 0: a level never seen in training says nothing

    def forward(self, codes: Tensor) -> Tensor:
        numbers: Tensor = self.table(codes + self.offsets)
        return numbers.flatten(-2)


def embedding_width(cardinality: int) -> int:
    """Numbers per level: grows slowly with the number of levels, between 2 and 16."""
    return min(16, max(2, math.ceil(1.3 * math.sqrt(cardinality))))
