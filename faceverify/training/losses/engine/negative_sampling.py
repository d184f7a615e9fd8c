"""Partial FC: at each step only some of the classes compete: https://arxiv.org/abs/2203.15565.

The classes of the batch always take part, the rest of the share is drawn anew each time. What is
drawn follows from a counter by arithmetic alone, so that it is the same on any device, needs no
generator whose state would have to be kept, and nothing waits for the device.
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
    """Draw the classes of a step, in rising order, (S,).

    S is the share of the classes, or one more than there are images if that is larger.

    Args:
        target: the images' classes, all of which are drawn, (N,); -1 is none.
        classes: how many there are.
        share: of them, in (0, 1].
        draw: what decides the rest, an int64 scalar; another one, another sample.
    """
    count = min(max(math.ceil(share * classes), len(target) + 1), classes)
    keys = scrambled(torch.arange(classes, device=target.device) + draw * GOLDEN)
    first = torch.where(target >= 0, FOREMOST, -FOREMOST)
    keys.scatter_reduce_(0, target.clamp(min=0), first, "amax")
    drawn: Tensor = keys.topk(count, sorted=False).indices.sort().values
    return drawn


def scrambled(numbers: Tensor) -> Tensor:
    """SplitMix64's finaliser: an even scatter of int64 over int64, https://prng.di.unimi.it/."""
    numbers = (numbers ^ (numbers >> 30)) * FIRST
    numbers = (numbers ^ (numbers >> 27)) * SECOND
    return numbers ^ (numbers >> 31)


def position_in(drawn: Tensor, target: Tensor) -> Tensor:
    """Where classes lie among the drawn ones, (N,); -1 stays."""
    return torch.where(target >= 0, torch.searchsorted(drawn, target), -1)


def pick_rows(matrix: Tensor, drawn: Tensor) -> Tensor:
    """The drawn rows of a matrix; the gradient of all others is 0."""
    rows: Tensor = _PickRows.apply(matrix, drawn)
    return rows


class _PickRows(torch.autograd.Function):
    """Rows are drawn once each: their gradients are copied, not added up one by one."""

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
