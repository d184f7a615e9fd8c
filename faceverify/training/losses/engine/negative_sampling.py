"""Partial FC, sampling of negative classes: https://arxiv.org/abs/2203.15565.

The classes of the batch are always in the sample, the others are drawn at each step. The draw is a
function of a counter (counter-based random numbers): the same on any device, without generator
state to store, and without synchronisation with the device.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

GOLDEN, FIRST, SECOND = -7046029254386353131, -4658895280553007687, -7723592293110705685
FOREMOST = torch.iinfo(torch.int64).max


def sample_classes(target: Tensor, classes: int, share: float, draw: Tensor) -> Tensor:
    """Sample the classes of a step: indices in ascending order, (S,).

    S = max(share * classes, N + 1), at most classes.

    Args:
        target: classes of the batch, always sampled, (N,); -1 is ignored.
        classes: C, number of classes.
        share: share of the classes, in (0, 1].
        draw: counter of the draw, int64, ().
    """
    count = min(max(math.ceil(share * classes), len(target) + 1), classes)
    keys = scrambled(torch.arange(classes, device=target.device) + draw * GOLDEN)
    first = torch.where(target >= 0, FOREMOST, -FOREMOST)
    keys.scatter_reduce_(0, target.clamp(min=0), first, "amax")
    drawn: Tensor = keys.topk(count, sorted=False).indices.sort().values
    return drawn


def scrambled(numbers: Tensor) -> Tensor:
    """SplitMix64 finaliser, a hash of int64 to int64: https://prng.di.unimi.it/."""
    numbers = (numbers ^ (numbers >> 30)) * FIRST
    numbers = (numbers ^ (numbers >> 27)) * SECOND
    return numbers ^ (numbers >> 31)


def position_in(drawn: Tensor, target: Tensor) -> Tensor:
    """Positions of classes in the sample, (N,); -1 stays -1."""
    return torch.where(target >= 0, torch.searchsorted(drawn, target), -1)


def pick_rows(matrix: Tensor, drawn: Tensor) -> Tensor:
    """Select the sampled rows of a matrix, (C, ...) to (S, ...); other rows get gradient 0."""
    rows: Tensor = _PickRows.apply(matrix, drawn)
    return rows


class _PickRows(torch.autograd.Function):
    """Indices are unique, so that backward can copy where index_select would add."""

    @staticmethod
    def forward(ctx: Any, matrix: Tensor, drawn: Tensor) -> Tensor:
        ctx.save_for_backward(drawn)
        ctx.shape = matrix.shape
        return matrix.index_select(0, drawn)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (drawn,) = ctx.saved_tensors
        return gradient.new_zeros(ctx.shape).index_copy_(0, drawn, gradient), None
