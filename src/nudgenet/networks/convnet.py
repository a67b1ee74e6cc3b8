"""A small residual network of convolutions for images, alone or beside the other columns of a table.

A strided stem, then stages: each doubles the channels, halves the picture, and adds one residual block (He et al.,
arXiv 1512.03385). The last block of a stage starts as the identity, so that a fresh network is a shallow one
(Goyal et al., arXiv 1706.02677).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from nudgenet.networks.bag import TermSums
from nudgenet.networks.convolution import Convolution
from nudgenet.networks.embeddings import CategoryEmbedding
from nudgenet.records import ImageShape, Shape

LARGE = 48  # pixels: from here on the stem reduces to a quarter instead of a half
SMALLEST = 4  # pixels of the last stage's maps, at least
MOST_STAGES = 4
AT_ONCE = 2**19  # pixels of one pass without gradients: what it leaves behind stays in the processor's cache
BESIDE = 64  # neurons that numbers and categories get before they meet the picture


class Residual(nn.Module):
    """Two convolutions whose result is added to what came in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Convolution(channels, channels)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = Convolution(channels, channels)
        self.second_norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.second_norm.weight)

    def forward(self, maps: Tensor) -> Tensor:
        inner = self.first_norm(self.first(maps)).relu()
        summed: Tensor = maps + self.second_norm(self.second(inner))
        return summed.relu()


class Stage(nn.Sequential):
    """Double the channels, halve the picture, add a residual block: float (rows, channels, height, width)."""

    def __init__(self, channels: int, doubled: int) -> None:
        super().__init__(
            Convolution(channels, doubled),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(doubled),
            nn.ReLU(),
            Residual(doubled),
        )


class ConvNet(nn.Module):
    """Images uint8 (rows, channels, height, width), and numbers, categories and texts if there are any -> outputs.

    Of sounds, windows stand in place of further channels: each gets an output of its own, (rows, windows, outputs).

    Args:
        width: channels of the stem.
        num_stages: doublings and halvings after it.
        mirrored: when it answers, also look at the mirrored picture and give both outputs, (rows, 2, outputs); what
            they mean together is for the objective to say, as for an ensemble.
        precision: of the convolutions while training.
    """

    center: Tensor
    spread: Tensor

    def __init__(
        self,
        shape: Shape,
        *,
        width: int,
        num_stages: int,
        dropout: float = 0.0,
        mirrored: bool = False,
        precision: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if shape.image is None:
            raise ValueError("a ConvNet needs images")
        self.mirrored, self.precision = mirrored, precision
        image = shape.image
        self.register_buffer("center", 255 * torch.tensor(image.center).view(1, -1, 1, 1))
        self.register_buffer("spread", 255 * torch.tensor(image.spread).view(1, -1, 1, 1))
        stride = stem_stride(image)
        kernel = max(3, 2 * stride)
        self.stem = nn.Conv2d(image.channels, width, kernel, stride, padding=(kernel - stride + 1) // 2, bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        self.stages = nn.Sequential(*(Stage(width << stage, width << (stage + 1)) for stage in range(num_stages)))
        self.dropout = nn.Dropout(dropout)
        self.num_features = width << num_stages
        self.embedding = CategoryEmbedding(shape.cardinalities) if shape.cardinalities else None
        num_beside = shape.num_numbers + (self.embedding.num_features if self.embedding else 0)
        self.beside = nn.Linear(num_beside, BESIDE) if num_beside else None
        self.output = nn.Linear(self.num_features + (BESIDE if num_beside else 0), shape.num_outputs)
        self.texts = TermSums(shape.text.num_terms, shape.num_outputs) if shape.text else None
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        images = inputs["images"]
        if self.training:
            outputs = self._answers(inputs)
        else:
            at_once = max(16, AT_ONCE // images.shape[1:].numel())
            outputs = torch.cat(
                [
                    self._answers({name: tensor[begin : begin + at_once] for name, tensor in inputs.items()})
                    for begin in range(0, max(1, len(images)), at_once)
                ]
            )
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def _answers(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """The outputs for each view of a row, (rows, views, outputs): its windows, and these mirrored."""
        views = list(torch.split(inputs["images"], self.stem.in_channels, dim=1))
        if self.mirrored and not self.training:
            views += [view.flip(3) for view in views]
        outputs = torch.stack([self._answer(view, inputs) for view in views], dim=1)
        return outputs if self.texts is None else outputs + self.texts(inputs).unsqueeze(1)

    def _answer(self, images: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
        features = self.pooled(self.maps(images))
        if self.beside is not None:
            features = torch.cat([features, self.beside(self._table(inputs)).relu()], dim=1)
        outputs: Tensor = self.output(self.dropout(features))
        return outputs

    def maps(self, images: Tensor) -> Tensor:
        """The maps of the last stage, (rows, channels, height, width): what was seen, and where."""
        coarse = self.training and self.precision == torch.bfloat16
        with torch.autocast(images.device.type, torch.bfloat16) if coarse else nullcontext():
            pixels = images.to(self.center.dtype).sub_(self.center).div_(self.spread)
            pixels = pixels.contiguous(memory_format=torch.channels_last)
            maps: Tensor = self.stages(self.stem_norm(self.stem(pixels)).relu())
        return maps

    def pooled(self, maps: Tensor) -> Tensor:
        """One number per channel: how strongly it was seen anywhere."""
        return maps.to(self.center.dtype).mean(dim=(2, 3))

    def _table(self, inputs: Mapping[str, Tensor]) -> Tensor:
        numbers = inputs["numbers"]
        if self.embedding is None:
            return numbers
        return torch.cat([numbers, self.embedding(inputs["categories"])], dim=1)


def stem_stride(image: ImageShape) -> int:
    """How much the stem shrinks a picture: tiny ones keep their pixels."""
    side = min(image.height, image.width)
    return 4 if side >= LARGE else 2 if side >= 20 else 1


def choose_stages(image: ImageShape) -> int:
    """As many halvings as leave maps of at least `SMALLEST` pixels (3 from a picture of 28)."""
    side, stages = min(image.height, image.width) // stem_stride(image), 0
    while stages < MOST_STAGES and (side := side // 2) >= SMALLEST - 1:
        stages += 1
    return stages


def multiply_adds(image: ImageShape, width: int, num_stages: int) -> int:
    """Multiplications with addition in one picture's forward pass."""
    stride = stem_stride(image)
    height, width_of_maps = image.height // stride, image.width // stride
    total = height * width_of_maps * width * image.channels * max(3, 2 * stride) ** 2
    for stage in range(num_stages):
        channels = width << stage
        total += 9 * height * width_of_maps * channels * 2 * channels
        height, width_of_maps = height // 2, width_of_maps // 2
        total += 2 * 9 * height * width_of_maps * (2 * channels) ** 2
    return total
