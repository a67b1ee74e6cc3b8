"""Whether images may be mirrored: told by rows that are each other's mirror image, and by rows that are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.gaussian_process.kernels import RBF
from sklearn.kernel_ridge import KernelRidge
from torch import Tensor

from nudgenet.records import ImageShape, Part, Prepared, Shape, Task
from nudgenet.training import mirrored
from nudgenet.training.mirrored import first_rows, may_be_mirrored, squared_errors


def rows(targets: Tensor, seed: int, *, side: int = 12) -> Part:
    """Noise with a bright bar: of class 0 on the left, of class 1 on the right, of class 2 at the top."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 80, (len(targets), 1, side, side), generator=generator)
    for image, kind in zip(images, targets.tolist(), strict=True):
        part = [(slice(None), slice(0, 4)), (slice(None), slice(-4, None)), (slice(0, 4), slice(None))][int(kind)]
        image[0][part] += 120
    return Part({"images": images.to(torch.uint8)}, targets, np.arange(len(targets)))


def data(train: Part, validation: Part, outputs: int = 3) -> Prepared:
    shape = Shape(0, (), outputs, len(train), ImageShape(1, 12, 12, (0.3,), (0.2,)))
    return Prepared(train, validation, validation, Task("y", "multiclass", tuple(range(outputs))), shape)


def classes(count: int, among: list[int], seed: int) -> Tensor:
    return torch.tensor(among)[torch.randint(len(among), (count,), generator=torch.Generator().manual_seed(seed))]


def test_classes_that_are_each_others_mirror_image_refuse_flips() -> None:
    harmless, why = may_be_mirrored(data(rows(classes(80, [0, 1], 0), 0), rows(classes(60, [0, 1], 1), 1)), 0)
    assert not harmless
    assert "do harm" in why


def test_classes_that_the_mirror_keeps_apart_bear_flips() -> None:
    harmless, why = may_be_mirrored(data(rows(classes(80, [0, 2], 0), 0), rows(classes(60, [0, 2], 1), 1)), 0)
    assert harmless
    assert "do no harm" in why and "±" in why


def test_numbers_to_predict_are_probed_as_well() -> None:
    train, validation = rows(classes(80, [0, 1], 0), 0), rows(classes(60, [0, 1], 1), 1)
    train, validation = (replace(part, targets=2.0 * part.targets - 1) for part in (train, validation))
    assert not may_be_mirrored(data(train, validation, 1), 0)[0]


def test_the_plain_model_is_the_kernel_regression_of_scikit_learn() -> None:
    train, validation = rows(classes(50, [0, 1, 2], 0), 0), rows(classes(30, [0, 1, 2], 1), 1)
    plain, _ = squared_errors(train, validation, 3)
    images, others = (part.inputs["images"].double().flatten(1).numpy() / 255 for part in (train, validation))
    distances = np.square(images[:, None] - images[None]).sum(2)
    kernel = RBF(np.sqrt(mirrored.REACH * np.median(distances) / 2))
    targets, answers = np.eye(3)[train.targets], np.eye(3)[validation.targets]
    model = KernelRidge(alpha=mirrored.RIDGE, kernel="precomputed")
    model.fit(kernel(images), targets - targets.mean(0))
    expected = np.square(answers - targets.mean(0) - model.predict(kernel(others, images))).sum(1)
    assert plain.numpy() == pytest.approx(expected, abs=0.02)


def test_seeing_mirror_images_too_is_what_the_second_model_amounts_to() -> None:
    """Its answer does not change where the image is mirrored."""
    train, validation = rows(classes(50, [0, 1, 2], 0), 0), rows(classes(30, [0, 1, 2], 1), 1)
    turned = replace(validation, inputs={"images": validation.inputs["images"].flip(3)})
    (plain, blind), (plain_turned, blind_turned) = (squared_errors(train, part, 3) for part in (validation, turned))
    assert torch.allclose(blind, blind_turned, atol=1e-3)
    assert not torch.allclose(plain, plain_turned, atol=0.1)


@pytest.mark.parametrize("count", [1, 2])
def test_hardly_any_rows_and_images_without_a_difference(count: int) -> None:
    few = rows(torch.zeros(count, dtype=torch.int64), 0)
    few = replace(few, inputs={"images": torch.zeros_like(few.inputs["images"])})
    assert may_be_mirrored(data(few, few), 0)[0]


def test_rows_are_drawn_by_seed() -> None:
    part = rows(classes(50, [0, 1, 2], 0), 0)
    first, again, other = (first_rows(part, 10, seed) for seed in (0, 0, 1))
    assert len(first) == 10 and first.rows.tolist() == again.rows.tolist() != other.rows.tolist()
    assert first_rows(part, 50, 0) is part
