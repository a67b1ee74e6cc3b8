"""A bag of terms beside the numbers and categories of a table: the default for texts.

Every term of a text owns a row of knobs; the weighted sum of the rows is what the network knows of the text. One part of
a row speaks to the outputs directly, as a linear model does, the other is read by a small ensemble, which may find what no
sum of terms says. Beside other columns the first part alone speaks, and learns as plain descent does: the ensemble reads
those columns.
Sources: Joulin et al., Bag of Tricks for Efficient Text Classification, arXiv 1607.01759; Cheng et al., Wide & Deep
Learning, arXiv 1606.07792.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nudgenet.records import Shape

# At length 1 a text's weights are small. Logits must grow large all the same, and so they get there in larger steps; a
# standardised number need not.
DIRECT = 3.0
READ = 32  # numbers of a term that the ensemble reads
MOST_DIRECT = 2**24  # knobs from terms to outputs; with more (thousands of classes) only the ensemble speaks
# Beside pictures, texts speak in smaller steps: one that hardly resembles another is learned by heart within a few passes,
# and then nothing is left for the rest of a network to learn (benchmarks/LOG.md, Texts beside other columns).
BESIDE_PICTURES = {"logits": 0.5, "number": 0.2}  # of the usual size


class TermSums(nn.Module):
    """{"tokens", "token_weights"} -> outputs (rows, num_outputs), to be added to those of pictures: at first nothing.

    Every term of a text owns a knob per output, as in a linear model; with very many outputs all terms share a few.
    """

    def __init__(self, num_terms: int, num_outputs: int) -> None:
        super().__init__()
        is_shared = num_terms * num_outputs > MOST_DIRECT
        self.terms = nn.Parameter(torch.zeros(num_terms, READ if is_shared else num_outputs))
        self.output = nn.Linear(READ, num_outputs, bias=False) if is_shared else None
        if self.output is not None:
            with torch.no_grad():
                self.terms[1:].normal_()
            nn.init.zeros_(self.output.weight)
        self.size = BESIDE_PICTURES["logits" if num_outputs > 1 else "number"]

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        sums = weighted_sums(self.terms, inputs)
        return sums * self.size if self.output is None else self.output(sums)


class BagNetwork(nn.Module):
    """{"tokens", "token_weights", "numbers", "categories"} -> what `build_rest` gives for a table.

    Args:
        build_rest: a network for a table of this shape: the other columns, and `READ` numbers about the texts where
            there are no others.
        is_gentle: where there are, terms learn as plain descent does, in proportion to their gradients. Adam moves each
            about as far, however few texts hold it: what only one of them says is learned by heart within a few passes,
            and then nothing is left for the other columns to explain.
    """

    def __init__(self, shape: Shape, build_rest: Callable[[Shape], nn.Module], *, is_gentle: bool = True) -> None:
        super().__init__()
        if shape.text is None:
            raise ValueError("a BagNetwork needs texts")
        num_terms = shape.text.num_terms
        is_alone = not (shape.num_numbers or shape.cardinalities)
        self.num_direct = shape.num_outputs if num_terms * shape.num_outputs <= MOST_DIRECT else 0
        self.num_read = READ if is_alone or not self.num_direct else 0
        self.factor = DIRECT if self.num_direct > 1 else 1.0
        self.by_gradient = ("terms",) if is_gentle and not self.num_read else ()  # see `training.optimizers`
        self.terms = nn.Parameter(torch.zeros(num_terms, self.num_read + self.num_direct))
        with torch.no_grad():
            self.terms[1:, : self.num_read].normal_()
        self.rest = build_rest(replace(shape, num_numbers=shape.num_numbers + self.num_read, text=None))

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        sums = self.sums(inputs)
        numbers = torch.cat([inputs["numbers"], sums[:, : self.num_read]], dim=1)
        outputs: Tensor = self.rest({"numbers": numbers, "categories": inputs["categories"]})
        if not self.num_direct:
            return outputs
        direct = sums[:, self.num_read :] * self.factor
        return outputs + (direct.unsqueeze(1) if outputs.ndim == 3 else direct)

    def sums(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The weighted sum of the rows of each text's terms: (rows, num_read + num_direct)."""
        return weighted_sums(self.terms, inputs)


def weighted_sums(terms: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
    """The rows of each text's terms, added up by their weights: (rows, columns of `terms`)."""
    weights = inputs["token_weights"].to(terms.dtype)
    return F.embedding_bag(inputs["tokens"], terms, mode="sum", per_sample_weights=weights, padding_idx=0)
