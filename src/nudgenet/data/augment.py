"""Training images and sounds varied a little each time they are seen, so that what stays the same is what is learned.

Batched tensor operations on uint8 pixels. What is done to a batch is a function of (seed, step): a resumed run does
the same, and no random state but its own is touched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from nudgenet.data.augment_sounds import SOUND_WAYS, crop
from nudgenet.records import Batch

SHIFT = 1 / 12  # of the side: how far a picture is moved, at most
ZOOM = 0.2  # how much larger or smaller it is made, at most; only from `FINE` pixels on, where it blurs nothing
FINE = 48
CUTOUT = 0.35  # of the side: the square that is painted over, in half of the pictures
COLOUR = 0.25  # how much brightness, contrast and each colour change, at most
MIXED = 0.5  # of the pictures: into so many another one is mixed
MIXUP_BETA, CUTMIX_BETA = 0.2, 1.0  # how much of each: nearly all or nothing, or anything
LEFT_OUT = 0.3  # of the terms of a text
WAYS = ("flip", "shift", "colour", "cutout", *SOUND_WAYS)  # what `vary` does with each picture by itself
STREAM = 0xA09  # keeps these random numbers apart from those of the rows' order


def augmented(batch: Batch, ways: Sequence[str], seed: int, step: int, share: float = 1.0) -> Batch:
    """The batch of training step `step` with its images varied; without images or ways, the batch itself.

    What a pretrained network said of rows as they are ("features") is not what it would say of varied ones.

    Args:
        ways: of "flip", "shift", "cutout", "colour", "mixup" and "cutmix", or of `SOUND_WAYS`; "words" for texts.
        share: of the images or sounds that are varied, drawn at random; the others stay as they are.
    """
    images, tokens = batch.inputs.get("images"), batch.inputs.get("tokens")
    if (images is None and tokens is None) or not ways or "features" in batch.inputs:
        return batch
    generator = torch.Generator().manual_seed((seed * 1_000_003 + step * 4_099 + STREAM) % 2**63)
    if images is None:
        words = {"tokens": leave_out(batch.inputs["tokens"], generator)} if "words" in ways else {}
        return replace(batch, inputs={**batch.inputs, **words})
    if "crop" in ways:  # not a variation that may be left out: what is asked for is one window instead of all
        images, ways = crop(images, generator), [way for way in ways if way != "crop"]
    if share <= 0:
        return replace(batch, inputs={**batch.inputs, "images": images})
    varied = vary(images, ways, generator)
    if share < 1:
        chosen = torch.rand(len(images), 1, 1, 1, generator=generator) < share
        varied = torch.where(chosen, varied, images)
    inputs = {**batch.inputs, "images": varied}
    if "words" in ways and tokens is not None:
        inputs["tokens"] = leave_out(tokens, generator)
    batch = replace(batch, inputs=inputs)
    kinds = [way for way in MIXES if way in ways]
    return mixed(batch, kinds, generator, share) if kinds else batch


def leave_out(tokens: Tensor, generator: torch.Generator) -> Tensor:
    """Texts int32 (rows, places), in which other terms are nothing each time."""
    return tokens * (torch.rand(tokens.shape, generator=generator) >= LEFT_OUT)


def vary(images: Tensor, ways: Sequence[str], generator: torch.Generator) -> Tensor:
    """Images uint8 (rows, channels, height, width), or pictures of sounds, each varied in its own way."""
    if "flip" in ways or "shift" in ways:
        images = move(images, generator, flip="flip" in ways, shift="shift" in ways)
    if "colour" in ways:
        images = recolour(images, generator)
    if "cutout" in ways:
        images = cut_out(images, generator)
    for way, change in SOUND_WAYS.items():
        if way in ways:
            images = change(images, generator)
    return images


def move(images: Tensor, generator: torch.Generator, *, flip: bool, shift: bool) -> Tensor:
    """Mirror half of the pictures left to right; shift and zoom each, what lies outside being mirrored in.

    Which pixel goes where is worked out for rows and columns apart, and then all pictures are picked in one go.
    """
    count, channels, height, width = images.shape
    down, right = _places(count, height, generator, shift), _places(count, width, generator, shift)
    if shift and min(height, width) >= FINE:
        zoom = 1 + ZOOM * _between(count, generator)
        down, right = _about(down, height) * zoom + (height - 1) / 2, _about(right, width) * zoom + (width - 1) / 2
    if flip:
        mirrored = torch.rand(count, 1, generator=generator) < 0.5
        right = torch.where(mirrored, width - 1 - right, right)
    down, right = _reflected(down.round().long(), height), _reflected(right.round().long(), width)
    places = (down.unsqueeze(2) * width + right.unsqueeze(1)).view(count, 1, -1)
    return images.flatten(2).gather(2, places.expand(-1, channels, -1)).view(images.shape)


def recolour(images: Tensor, generator: torch.Generator) -> Tensor:
    """Brightness, contrast and, of pictures in colour, each channel a little stronger or weaker."""
    count, channels = images.shape[:2]
    contrast = 1 + COLOUR * _between(count, generator).view(-1, 1, 1, 1)
    strength = 1 + COLOUR / 2 * (2 * torch.rand(count, channels, 1, 1, generator=generator) - 1)
    brightness = 255 * COLOUR / 2 * _between(count, generator).view(-1, 1, 1, 1)
    middle = _mean_colour(images).mean(dim=1, keepdim=True)
    # ((pixels - middle) * contrast + middle) * strength + brightness, in as few passes as there can be.
    offset = middle * (1 - contrast) * strength + brightness + 0.5
    return images.float().mul_(contrast * strength).add_(offset).clamp_(0, 255).to(torch.uint8)


def cut_out(images: Tensor, generator: torch.Generator) -> Tensor:
    """A square of half of the pictures becomes their mean colour (DeVries & Taylor, arXiv 1708.04552)."""
    count, _, height, width = images.shape
    half = CUTOUT * min(height, width) / 2
    centres = torch.rand(count, 2, generator=generator) * torch.tensor([height, width])
    begins, ends = ((centres + side).round().long().clamp_min(0).tolist() for side in (-half, half))
    colours = _mean_colour(images).to(torch.uint8)
    painted = images.clone()
    for row in (torch.rand(count, generator=generator) < 0.5).nonzero().flatten().tolist():
        painted[row, :, begins[row][0] : ends[row][0], begins[row][1] : ends[row][1]] = colours[row]
    return painted


def mixed(batch: Batch, kinds: Sequence[str], generator: torch.Generator, share: float = 1.0) -> Batch:
    """The batch with the previous row's picture mixed into some of its pictures, and the targets likewise.

    Args:
        kinds: of `MIXES`; of several, each batch gets one.
        share: times `MIXED`, the share of the rows.
    """
    images, count = batch.inputs["images"], len(batch.targets)
    kind = kinds[int(torch.randint(len(kinds), (1,), generator=generator))]
    beta = MIXUP_BETA if kind == "mixup" else CUTMIX_BETA
    drawn = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator))).beta(beta, beta, count)
    own = torch.from_numpy(np.maximum(drawn, 1 - drawn)).float()  # the other way round is the partner's own row
    own[torch.rand(count, generator=generator) >= share * MIXED] = 1.0
    pictures, own = MIXES[kind](images, images.roll(1, 0), own, generator)
    return replace(batch, inputs={**batch.inputs, "images": pictures}, others=batch.targets.roll(1, 0), share=own)


def mix_up(images: Tensor, others: Tensor, own: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each picture with another shining through it (Zhang et al., arXiv 1710.09412); and how much is its own.

    Args:
        images, others: uint8 (rows, channels, height, width).
        own: float32 (rows,), 0 to 1.
    """
    weight = own.view(-1, 1, 1, 1)
    return torch.lerp(others.float(), images.float(), weight).round_().to(torch.uint8), own


def cut_mix(images: Tensor, others: Tensor, own: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Each picture with a rectangle of another in it (Yun et al., arXiv 1905.04899); and how much is its own.

    Args:
        own: float32 (rows,), how much is to be its own at least: at the edge a rectangle is cut off.
    """
    count, _, height, width = images.shape
    centres = torch.rand(count, 2, generator=generator)
    half = (1 - own).clamp_min(0).sqrt() / 2
    inside = [
        ((torch.arange(side) + 0.5) / side - centres[:, axis : axis + 1]).abs() < half.unsqueeze(1)
        for axis, side in enumerate((height, width))
    ]
    foreign = inside[0].unsqueeze(2) & inside[1].unsqueeze(1)
    return torch.where(foreign.unsqueeze(1), others, images), 1 - foreign.float().mean(dim=(1, 2))


MIXES = {"mixup": mix_up, "cutmix": cut_mix}  # what is done with pairs of pictures


def _mean_colour(images: Tensor) -> Tensor:
    """float32 (rows, channels, 1, 1), from some of the pixels of large pictures."""
    step = max(1, min(images.shape[2:]) // 16)
    return images[:, :, ::step, ::step].float().mean(dim=(2, 3), keepdim=True)


def _places(count: int, side: int, generator: torch.Generator, shift: bool) -> Tensor:
    """float32 (count, side): where each pixel of a row (or column) is taken from."""
    most = max(1, round(SHIFT * side)) if shift else 0
    offset = torch.randint(-most, most + 1, (count, 1), generator=generator)
    return torch.arange(side).float() + offset


def _about(places: Tensor, side: int) -> Tensor:
    return places - (side - 1) / 2


def _between(count: int, generator: torch.Generator) -> Tensor:
    """float32 (count, 1), evenly from -1 to 1."""
    return 2 * torch.rand(count, 1, generator=generator) - 1


def _reflected(places: Tensor, side: int) -> Tensor:
    """Places outside of 0 ... side - 1 mirrored back into it."""
    if side == 1:
        return torch.zeros_like(places)
    places = places.abs() % (2 * side - 2)
    return torch.where(places >= side, 2 * side - 2 - places, places)
