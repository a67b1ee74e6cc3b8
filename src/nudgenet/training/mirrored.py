"""How images are varied, and whether they may be mirrored: a letter in the mirror is another one, a shirt stays a shirt.

A network that sees each image and its mirror image comes near to one that cannot tell the two apart. Whether that costs
anything a much simpler model shows, in half a second and without chance: a kernel regression on small images, once as
it is and once with a kernel that is the same for an image and its mirror image (Haasdonk & Burkhardt, 2007, "Invariant kernel
functions for pattern analysis and machine learning").
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nudgenet.data.batches import shuffled, subset
from nudgenet.records import Decision, Part, Prepared
from nudgenet.settings import Settings
from nudgenet.training.place import Place, working_at

ROWS = 2_000  # of either part, at most
SIDE = 16  # pixels: a mirrored letter shows in a small image, too
RIDGE = 0.05  # on the kernel's diagonal: 1 as it is, and between a half and 1 where mirror images are alike
REACH = 0.5  # of the median squared distance of two images: where the kernel has fallen to 1/e
# Clothes 0.98, flowers 0.96; letters 1.11, digits 1.24, classes that are each other's mirror image 40 (benchmarks/LOG.md).
MOST_WORSE = 0.05
BEYOND_CHANCE = 2.0  # standard errors


def choose_augmentation(settings: Settings, data: Prepared) -> tuple[Settings, Decision]:
    """Shifts for all images, cut-outs and colour for photographs, flips where a probe shows no harm."""
    image = data.shape.image
    assert image is not None
    ways = ["shift"]
    if min(image.height, image.width) >= 24:
        ways.append("cutout")
    if image.channels == 3:
        ways.append("colour")
    harmless, why = may_be_mirrored(data, settings.seed)
    ways = ["flip", *ways] if harmless else ways
    fewer = "shift" if ways == ["flip", "shift"] else "flip,shift"
    decision = Decision("varied images", ", ".join(ways), why, f"--set augment=none, --set augment={fewer}")
    return settings.model_copy(update={"augment": tuple(ways)}), decision


def may_be_mirrored(data: Prepared, seed: int) -> tuple[bool, str]:
    """Whether mirrored images do no harm, and the figures: the squared errors of both models on validation rows."""
    with working_at(Place(threads=1)):  # the same sums, and so the same answer, wherever it runs
        train, validation = (first_rows(part, ROWS, seed) for part in (data.train, data.validation))
        errors = squared_errors(train, validation, data.shape.num_outputs)
    harmless, (plain, mirrored), chance = does_no_harm(errors[0], errors[1], MOST_WORSE)
    figures = (
        f"a simple model that cannot tell an image from its mirror image errs by {mirrored:.3f}, else by {plain:.3f}"
    )
    return (
        harmless,
        f"{figures} (their difference is known to ± {chance:.3f}), so flips {'do no harm' if harmless else 'do harm'}",
    )


def does_no_harm(plain: Tensor, varied: Tensor, most_worse: float) -> tuple[bool, tuple[float, float], float]:
    """Whether the errors of rows are hardly larger when varied: by that share, or by no more than chance explains.

    Args:
        plain, varied: of the same rows, (rows,).

    Returns:
        The answer, both means, and the standard error of their difference.
    """
    difference = (varied - plain).double()
    chance = float(difference.std()) / len(difference) ** 0.5 if len(difference) > 1 else 0.0
    means = float(plain.mean()), float(varied.mean())
    return means[1] - means[0] <= max(most_worse * means[0], BEYOND_CHANCE * chance), means, chance


def squared_errors(train: Part, validation: Part, num_outputs: int) -> tuple[Tensor, Tensor]:
    """The squared error of each validation row, float32 (rows,), of the plain model and of the one blind to mirroring."""
    images, others = (_small(part) for part in (train, validation))
    center, spread = images.mean(), images.std().clamp_min(1e-3)
    images, others = (images - center) / spread, (others - center) / spread
    targets, answers = (_as_numbers(part.targets, num_outputs) for part in (train, validation))
    base = targets.mean(dim=0)
    reach = REACH * _squared_distances(images, images).median().clamp_min(1e-6)
    kernels = (torch.zeros(()), torch.zeros(()))
    found: list[Tensor] = []
    for view in (images, images.flip(3)):
        new = (torch.exp(-_squared_distances(rows, view) / reach) for rows in (images, others))
        kernels = tuple(kernel + more for kernel, more in zip(kernels, new, strict=True))  # type: ignore[assignment]
        own, across = (kernel / (len(found) + 1) for kernel in kernels)
        own.diagonal().add_(RIDGE)
        weights = torch.cholesky_solve(targets - base, torch.linalg.cholesky(own))
        found.append((answers - base - across @ weights).square().sum(dim=1))
    return found[0], found[1]


def first_rows(part: Part, count: int, seed: int) -> Part:
    """At most `count` rows, drawn by seed."""
    if len(part) <= count:
        return part
    return subset(part, shuffled(len(part), seed, 0)[:count].sort().values)


def _small(part: Part) -> Tensor:
    """float32 (rows, channels, height, width), of at most `SIDE` pixels a side."""
    images = part.inputs["images"]
    height, width = (min(SIDE, side) for side in images.shape[2:])
    return F.adaptive_avg_pool2d(images.float(), (height, width))


def _as_numbers(targets: Tensor, num_outputs: int) -> Tensor:
    """Classes as one column each, a number as one column: float32 (rows, columns)."""
    if targets.is_floating_point():
        return targets.unsqueeze(1)
    return F.one_hot(targets, num_outputs).float()


def _squared_distances(rows: Tensor, others: Tensor) -> Tensor:
    """float32 (rows, others)."""
    return torch.cdist(rows.flatten(1), others.flatten(1)).square_()
