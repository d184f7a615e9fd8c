"""Barlow Twins: two views correlated number by number: https://arxiv.org/abs/2103.03230, eq. 1."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from faceverify.training.data.views import LESS_BLURRED, Batch, Views
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact, gathered
from faceverify.training.methods.parts.heads import mlp
from faceverify.training.optim.view_encoder import Embed


class BarlowTwins(Method):
    """Each projected number like itself in the other view, and unlike all others.

    Args:
        weight: lambda, of the redundancy term.
        projection: numbers in a projected embedding.
        scale: factor of the loss, which is a sum over the numbers (the authors' code has 0.024).
    """

    views: ClassVar[Views] = Views(2, second=LESS_BLURRED)
    least_batch: ClassVar[int] = 4
    collapse: ClassVar[str] = (
        "usual causes: too high a learning rate, too small a batch to correlate over; try a lower "
        "--learning-rate, a larger --batch-size"
    )

    def __init__(
        self,
        *,
        embedding_size: int,
        weight: float = 0.005,
        projection: int = 512,
        scale: float = 0.05,
    ) -> None:
        super().__init__()
        require(weight >= 0, "method.weight", weight, "at least 0")
        require(projection > 1, "method.projection", projection, "at least 2")
        require(scale > 0, "method.scale", scale, "above 0")
        self.weight, self.scale = weight, scale
        self.projector = mlp((embedding_size, projection, projection, projection))

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`."""
        rows = gathered(embed(batch.views))  # of each view (N, D)
        with exact(rows[0]):
            first, second = (self.projector(view) for view in rows)
            return self.scale * redundancy(first, second, self.weight)


def redundancy(first: Tensor, second: Tensor, weight: float) -> Tensor:
    """Sum of (1 - C_ii)^2 and weight times the sum of C_ij^2, (); C is the cross-correlation.

    Args:
        first, second: projected views, (N, P).
        weight: lambda.
    """
    correlation = standardised(first).T @ standardised(second) / len(first)  # (P, P)
    own = torch.diagonal(correlation)
    others = correlation.square().sum() - own.square().sum()
    return (1 - own).square().sum() + weight * others


def standardised(rows: Tensor) -> Tensor:
    """Rows with mean 0 and variance 1 of each number over the batch."""
    centred = rows - rows.mean(dim=0)
    return centred / (centred.square().mean(dim=0) + 1e-5).sqrt()
