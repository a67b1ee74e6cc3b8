"""From prepared tensors to batches: the order of rows is a function of (seed, epoch) and nothing else.

Because the order can be computed again at any time, a run resumes in the middle of an epoch by
remembering one number, the cursor: how many steps of this epoch are done.
"""

from __future__ import annotations

import torch
from torch import Tensor

from nudgenet.records import Batch, Part


def num_steps(num_rows: int, batch_size: int) -> int:
    """Steps in one epoch: as many as make the batches nearest to `batch_size` rows, at least one."""
    return max(1, round(num_rows / batch_size))


def shuffled(num_rows: int, seed: int, epoch: int) -> Tensor:
    """The order of the training rows in one epoch: a permutation, int64 (num_rows,)."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch) % 2**63)
    return torch.randperm(num_rows, generator=generator)


def take(part: Part, order: Tensor, cursor: int, steps: int) -> Batch:
    """Step `cursor` of `steps` in an epoch.

    The rows are cut into `steps` batches whose sizes differ by at most one, so that no epoch ends
    on a batch of a few rows, whose gradient would be mostly noise.
    """
    rows = len(order)
    index = order[cursor * rows // steps : (cursor + 1) * rows // steps]
    weights = None if part.weights is None else part.weights.index_select(0, index)
    inputs = {
        # A table without categories has an input without columns: nothing to pick, which a slice does faster.
        name: tensor.index_select(0, index) if tensor.numel() else tensor[: len(index)]
        for name, tensor in part.inputs.items()
    }
    return Batch(inputs, part.targets.index_select(0, index), weights)


def subset(part: Part, index: Tensor) -> Part:
    """The rows of a part that `index` (int64) names, in that order."""
    weights = None if part.weights is None else part.weights[index]
    inputs = {name: tensor[index] for name, tensor in part.inputs.items()}
    return Part(inputs, part.targets[index], part.rows[index.cpu().numpy()], weights)
