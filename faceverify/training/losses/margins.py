"""Margins: how the target's cosine is changed before the softmax.

Each is a pure function of the cosine between an embedding and its own class centre, (N,), and never
makes it larger. Their gradients are exact: nothing is held fixed on the way. At the poles, where
the sine has no finite slope, the slope is that of the cosine alone.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

WIDEST = 1.5  # radians: an added angle stays below a right angle
STEEPEST = 1e-12  # least square of a sine whose root is taken


def cosine_of(products: Tensor, lengths: Tensor) -> Tensor:
    """Products of two vectors over the product of their lengths; 0 where one is 0, (N,)."""
    return products / lengths.masked_fill(lengths == 0, math.inf)


def sine_of(cosine: Tensor) -> Tensor:
    """The sine of angles in [0, pi], from their cosines."""
    return (1 - cosine.square()).clamp(min=STEEPEST).sqrt()


def add_angle(cosine: Tensor, angle: Tensor | float) -> Tensor:
    """cos(t) -> cos(t + angle): ArcFace, https://arxiv.org/abs/1801.07698, eq. 3.

    Where t + angle is past pi, and the cosine would rise again, it is cos(t) - angle sin(angle);
    where it is below 0, with a negative angle (AdaFace), it is 1.

    Args:
        cosine: (N,), in [-1, 1].
        angle: in radians, in (-pi/2, pi/2), one for all or one each.
    """
    angle = torch.as_tensor(angle, dtype=cosine.dtype, device=cosine.device)
    rotated = cosine * angle.cos() - sine_of(cosine) * angle.sin()
    within = torch.where(angle < 0, cosine < angle.cos(), cosine > -angle.cos())
    beyond = torch.where(angle < 0, 1.0, cosine - angle * angle.sin())
    return torch.where(within, rotated, beyond)


def subtract_from_cosine(cosine: Tensor, margin: float) -> Tensor:
    """cos(t) -> cos(t) - margin: CosFace, https://arxiv.org/abs/1801.09414, eq. 4."""
    return cosine - margin


def multiply_angle(cosine: Tensor, factor: int) -> Tensor:
    """cos(t) -> psi(t) = (-1)^k cos(factor t) - 2k for t in [k pi/factor, (k + 1) pi/factor].

    L-Softmax, https://arxiv.org/abs/1612.02295, eq. 6. The cosine of the multiple comes from
    Chebyshev's recurrence, cos(nt) = 2 cos(t) cos((n - 1)t) - cos((n - 2)t): smooth at the poles.

    Args:
        cosine: (N,), in [-1, 1].
        factor: a whole number, at least 1.
    """
    before, multiple = torch.ones_like(cosine), cosine
    for _ in range(factor - 1):
        before, multiple = multiple, 2 * cosine * multiple - before
    turns = (factor / math.pi * cosine.detach().clamp(-1, 1).acos()).floor()
    turns = turns.clamp(max=factor - 1)  # t = pi belongs to the last piece
    sign = 1 - 2 * turns.remainder(2)
    return sign * multiple - 2 * turns


def stretch_angle(cosine: Tensor, factor: float) -> Tensor:
    """cos(t) -> cos(min(factor t, pi)): SphereFace-R v1, https://arxiv.org/abs/2109.05565.

    Args:
        cosine: (N,), in [-1, 1].
        factor: at least 1.
    """
    edge = 1 - 4 * torch.finfo(cosine.dtype).eps  # acos has no finite slope at 1
    return (factor * cosine.clamp(-edge, edge).acos()).clamp(max=math.pi).cos()
