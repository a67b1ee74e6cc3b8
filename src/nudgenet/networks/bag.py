"""A bag of terms beside the numbers and categories of a table: the default for texts.

Every term of a text owns a row of knobs; the weighted sum of the rows is what the network knows of the text. One part of
a row speaks to the outputs directly, as a linear model does, the other is read by a small ensemble together with the
table's other columns, which may find what no sum of terms says.
Sources: Joulin et al., Bag of Tricks for Efficient Text Classification, arXiv 1607.01759; Cheng et al., Wide & Deep
Learning, arXiv 1606.07792.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nudgenet.networks.ensemble import Ensemble
from nudgenet.records import Shape

READ = 32  # numbers of a term that the ensemble reads
MOST_DIRECT = 2**24  # knobs from terms to outputs; with more (thousands of classes) only the ensemble speaks


class BagNetwork(nn.Module):
    """{"tokens", "token_weights", "numbers", "categories"} -> float32 (rows, members, num_outputs); see `Ensemble`.

    Args:
        pieces, ensemble: what `Ensemble` takes.
    """

    def __init__(self, shape: Shape, pieces: Tensor, **ensemble: Any) -> None:
        super().__init__()
        if shape.text is None:
            raise ValueError("a BagNetwork needs texts")
        num_terms = shape.text.num_terms
        self.num_direct = shape.num_outputs if num_terms * shape.num_outputs <= MOST_DIRECT else 0
        self.terms = nn.Parameter(torch.zeros(num_terms, READ + self.num_direct))
        with torch.no_grad():
            self.terms[1:, :READ].normal_()
        self.ensemble = Ensemble(replace(shape, num_numbers=shape.num_numbers + READ), pieces, **ensemble)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        sums = self.sums(inputs)
        numbers = torch.cat([inputs["numbers"], sums[:, :READ]], dim=1)
        outputs: Tensor = self.ensemble({"numbers": numbers, "categories": inputs["categories"]})
        return outputs + sums[:, READ:].unsqueeze(1) if self.num_direct else outputs

    def sums(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of the rows of each text's terms: (rows, READ + num_direct)."""
        weights = inputs["token_weights"].to(self.terms.dtype)
        return F.embedding_bag(inputs["tokens"], self.terms, mode="sum", per_sample_weights=weights, padding_idx=0)
