"""Distances between the embeddings of a batch, and which of its pairs are genuine."""

from __future__ import annotations

import torch
from torch import Tensor


def squared_distances(embeddings: Tensor) -> Tensor:
    """Squared Euclidean distance of every pair, (N, D) to (N, N), never below 0.

    Out of inner products, a hundred times as fast as one pair at a time; rounding makes about
    1e-7 |x|^2 of the distance of a point to its double.
    """
    norms = embeddings.square().sum(dim=1)
    sums = norms[:, None] + norms
    return torch.addmm(sums, embeddings, embeddings.T, alpha=-2).clamp(min=0)  # (N, N)


def euclidean_distances(embeddings: Tensor) -> Tensor:
    """Euclidean distance of every pair, (N, D) to (N, N); without a slope where it is 0.

    A square root rises without bound at 0, and infinity times 0 is NaN in a gradient: what rounding
    cannot tell from 0 counts as 0 (on unit embeddings in float32, distances below 0.001).
    """
    squared = squared_distances(embeddings)
    longest = embeddings.detach().square().sum(dim=1).amax()
    floor = 8 * torch.finfo(squared.dtype).eps * longest
    apart = ~(squared <= floor)  # NaN stays NaN
    return torch.where(apart, squared, 1).sqrt() * apart


def genuine_and_impostor(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Which pairs show one identity, and which show two: masks, (N,) to (N, N) and (N, N).

    No image is paired with itself.
    """
    same = labels[:, None] == labels
    impostor = ~same
    return same.fill_diagonal_(False), impostor


def no_loss(embeddings: Tensor) -> Tensor:
    """0, or NaN where an embedding is, for a batch that has nothing to say; still in the graph."""
    return embeddings.sum() * 0
