"""A transformer encoder for texts, beside the numbers and categories of a table.

Tokens become vectors; in each block every token looks at all others (attention) and then thinks for itself (feed-
forward), and what it found is added to what it was (residual). The mean over the tokens is what is known of the text.
Sources: Vaswani et al., Attention Is All You Need, arXiv 1706.03762; norms before the layers: Xiong et al., arXiv
2002.04745.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nudgenet.networks.embeddings import CategoryEmbedding
from nudgenet.records import Shape

HEAD = 32  # numbers of a token that one head compares
BESIDE = 64  # neurons that numbers and categories get before they meet the text
AT_ONCE = 2**16  # tokens of one pass without gradients


class Attention(nn.Module):
    """Every token asks a question, offers an answer to those of others, and takes a mean of what fits.

    (rows, tokens, width) -> the same; `mask` bool (rows, tokens): which tokens are there to be looked at.
    """

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.num_heads, self.dropout = max(1, width // HEAD), dropout
        self.asked = nn.Linear(width, 3 * width)  # questions, keys and values
        self.told = nn.Linear(width, width)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        rows, count, width = tokens.shape
        shape = (rows, count, 3, self.num_heads, width // self.num_heads)
        questions, keys, values = self.asked(tokens).view(shape).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        heads = F.scaled_dot_product_attention(
            questions, keys, values, attn_mask=mask[:, None, None, :], dropout_p=dropout
        )
        told: Tensor = self.told(heads.transpose(1, 2).reshape(rows, count, width))
        return told


class Block(nn.Module):
    """Attention, then two layers for each token by itself; both are added to what came in."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm, self.thought_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, dropout)
        self.thought, self.thought_out = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        tokens = tokens + self.dropout(self.attention(self.attention_norm(tokens), mask))
        thought = F.gelu(self.thought(self.thought_norm(tokens)))
        thoughtful: Tensor = tokens + self.dropout(self.thought_out(thought))
        return thoughtful


class Transformer(nn.Module):
    """{"tokens", "numbers", "categories"} -> float32 (rows, num_outputs).

    Args:
        width: numbers of a token.
        num_layers: blocks.
    """

    def __init__(self, shape: Shape, *, width: int, num_layers: int, dropout: float = 0.0) -> None:
        super().__init__()
        if shape.text is None:
            raise ValueError("a Transformer needs texts")
        self.terms = nn.Embedding(shape.text.num_terms, width)
        self.places = nn.Parameter(torch.empty(1 + shape.text.places, width))
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(width, dropout) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)
        self.embedding = CategoryEmbedding(shape.cardinalities) if shape.cardinalities else None
        num_beside = shape.num_numbers + (self.embedding.num_features if self.embedding else 0)
        self.beside = nn.Linear(num_beside, BESIDE) if num_beside else None
        self.output = nn.Linear(width + (BESIDE if num_beside else 0), shape.num_outputs)
        with torch.no_grad():
            self.terms.weight.normal_(0.0, 0.02)
            self.places.normal_(0.0, 0.02)
            for block in self.blocks:  # each adds little at first, so that deep stacks start as calmly as shallow ones
                assert isinstance(block, Block)
                for linear in (block.attention.told, block.thought_out):
                    nn.init.normal_(linear.weight, 0.0, 0.02 / (2 * num_layers) ** 0.5)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        tokens = inputs["tokens"]
        if self.training:
            return self._answer(inputs, self._longest(tokens))
        answers, at_once = [], max(16, AT_ONCE // tokens.shape[1])
        for begin in range(0, max(1, len(tokens)), at_once):
            some = {name: tensor[begin : begin + at_once] for name, tensor in inputs.items()}
            answers.append(self._answer(some, self._longest(some["tokens"])))
        return torch.cat(answers)

    def _answer(self, inputs: Mapping[str, Tensor], places: Tensor) -> Tensor:
        features = self._mean(inputs["tokens"][:, places], places)
        if self.beside is not None:
            features = torch.cat([features, self.beside(self._table(inputs)).relu()], dim=1)
        outputs: Tensor = self.output(self.dropout(features))
        return outputs

    def read(self, tokens: Tensor) -> Tensor:
        """What is known of texts int32 (rows, places), float32 (rows, width)."""
        places = self._longest(tokens)
        return self._mean(tokens[:, places], places)

    def _mean(self, tokens: Tensor, places: Tensor) -> Tensor:
        """The mean of what the tokens of each text became, float32 (rows, width).

        A first token of its own is always there: an empty text has something to look at, too.
        """
        first = tokens.new_ones(len(tokens), 1, dtype=torch.bool)
        mask = torch.cat([first, tokens > 0], dim=1)
        vectors = torch.cat(
            [self.places[:1].expand(len(tokens), 1, -1), self.terms(tokens) + self.places[1 + places]], dim=1
        )
        vectors = self.dropout(vectors)
        for block in self.blocks:
            vectors = block(vectors, mask)
        kept = mask.unsqueeze(2).to(vectors.dtype)
        mean: Tensor = (self.norm(vectors) * kept).sum(dim=1) / kept.sum(dim=1)
        return mean

    @staticmethod
    def _longest(tokens: Tensor) -> Tensor:
        """The places that any of these texts fills: the others are not computed."""
        return (tokens > 0).any(dim=0).nonzero().flatten()

    def _table(self, inputs: Mapping[str, Tensor]) -> Tensor:
        numbers = inputs["numbers"]
        if self.embedding is None:
            return numbers
        return torch.cat([numbers, self.embedding(inputs["categories"])], dim=1)


def multiply_adds(width: int, num_layers: int, num_tokens: int) -> int:
    """Multiplications with addition for one text."""
    return num_layers * num_tokens * (12 * width * width + 2 * width * num_tokens)
