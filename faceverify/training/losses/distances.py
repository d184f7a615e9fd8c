"""Pairwise distances of a batch, and masks of its genuine and impostor pairs."""

from __future__ import annotations

import torch
from torch import Tensor


def squared_distances(embeddings: Tensor) -> Tensor:
    """Squared Euclidean distances of all pairs, (N, D) to (N, N), never below 0.

    From inner products, a hundred times as fast as one pair at a time; in float32, rounding leaves
    about 1e-7 |x|^2 where the distance is 0.
    """
    norms = embeddings.square().sum(dim=1)
    sums = norms[:, None] + norms
    return torch.addmm(sums, embeddings, embeddings.T, alpha=-2).clamp(min=0)  # (N, N)


def euclidean_distances(embeddings: Tensor) -> Tensor:
    """Euclidean distances of all pairs, (N, D) to (N, N), with gradient 0 where they are 0.

    The square root has an infinite slope at 0, which would make the gradient NaN. So distances
    within rounding of 0 are set to 0 (unit embeddings in float32: below 0.001).
    """
    squared = squared_distances(embeddings)
    longest = embeddings.detach().square().sum(dim=1).amax()
    floor = 8 * torch.finfo(squared.dtype).eps * longest
    apart = ~(squared <= floor)  # NaN stays NaN
    return torch.where(apart, squared, 1).sqrt() * apart


def genuine_and_impostor(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Masks of the genuine pairs (same label) and the impostor pairs, (N,) to (N, N) and (N, N).

    The diagonal is in neither.
    """
    same = labels[:, None] == labels
    impostor = ~same
    return same.fill_diagonal_(False), impostor


def no_loss(embeddings: Tensor) -> Tensor:
    """A loss of 0 for a batch without pairs, still in the graph; NaN where an embedding is NaN."""
    return embeddings.sum() * 0
