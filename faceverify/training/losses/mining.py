"""Online triplet mining without listing the N^3 triplets of a batch.

For a fixed set of triplets, a triplet loss is linear in the distances: genuine pair (a, p) counts
once per triplet that it is in, impostor pair (a, n) minus once. So a mining rule returns an (N, N)
matrix of counts, and the loss is the sum of its product with the distances.

The negatives of each anchor are sorted once; a binary search per genuine pair finds its semi-hard
negative, or the number of negatives that violate its margin. Anchors are processed in blocks, so
that memory beyond the two matrices is bounded. Time is O(N^2 log N).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from faceverify.training.losses.distances import genuine_and_impostor

MINING = ("semi-hard", "batch-hard", "hard", "all")
WITHOUT_SEMI_HARD = ("skip", "farthest")

BLOCK = {"cpu": 2**20, "cuda": 2**26}  # distances in a block of anchors: fits a cache, fills a GPU
COLUMN_BITS = 28  # of the 29 bits that a float64 mantissa has beyond a float32's


class Mined(NamedTuple):
    """How often each pair is in a mined triplet.

    Attributes:
        counts: (N, N), dtype of the distances; positive for genuine pairs, negative for impostor.
        triplets: number of mined triplets, int64, ().
    """

    counts: Tensor
    triplets: Tensor


class Anchors(NamedTuple):
    """A block of B anchors.

    Attributes:
        rows: their rows in the batch.
        sorted: distances to the negatives, ascending, padded with infinity, (B, N).
        columns: columns of these distances, (B, N).
        negatives: number of negatives, (B, 1).
        positives: columns of the positives, padded, (B, K).
        genuine: mask of the columns that are not padding, (B, K).
        positive_distances: distances to the positives, (B, K).
    """

    rows: slice
    sorted: Tensor
    columns: Tensor
    negatives: Tensor
    positives: Tensor
    genuine: Tensor
    positive_distances: Tensor


def mine(
    distances: Tensor,
    labels: Tensor,
    mining: str,
    *,
    margin: float,
    without_semi_hard: str = "skip",
) -> Mined:
    """Mine the triplets with [d(a, p) - d(a, n) + margin]+ above 0.

    Args:
        distances: at least 0, detached, (N, N).
        labels: identities, (N,).
        mining: ``all`` triplets; ``hard``: d(a, n) < d(a, p); ``semi-hard``: for every genuine
            pair the nearest negative with d(a, n) > d(a, p); ``batch-hard``: for every anchor the
            farthest positive and the nearest negative.
        margin: in the unit of the distances.
        without_semi_hard: for a genuine pair that has no semi-hard negative: ``skip`` it, or take
            the ``farthest`` negative.
    """
    counts = torch.zeros_like(distances)
    triplets = torch.zeros((), dtype=torch.int64, device=distances.device)
    if mining == "batch-hard":
        triplets += _batch_hard(distances, labels, margin, counts)
        return Mined(counts, triplets)
    for anchors in _blocks(distances, labels):
        if mining == "semi-hard":
            triplets += _semi_hard(anchors, margin, without_semi_hard == "farthest", counts)
        else:
            triplets += _nearer(anchors, margin if mining == "all" else 0.0, counts)
    return Mined(counts, triplets)


def _semi_hard(anchors: Anchors, margin: float, farthest: bool, counts: Tensor) -> Tensor:
    """FaceNet, section 3.2: every genuine pair with its nearest semi-hard negative."""
    place = torch.searchsorted(anchors.sorted, anchors.positive_distances, right=True)  # (B, K)
    last = anchors.negatives - 1
    taken = anchors.genuine & (anchors.negatives > 0)
    taken &= (last >= place) | farthest
    place = place.minimum(last).clamp(min=0)
    taken &= anchors.positive_distances - anchors.sorted.gather(1, place) + margin > 0
    once = taken.to(counts.dtype)
    block = counts[anchors.rows]
    block.scatter_add_(1, anchors.positives, once)
    block.scatter_add_(1, anchors.columns.gather(1, place), -once)
    return taken.sum()


def _nearer(anchors: Anchors, margin: float, counts: Tensor) -> Tensor:
    """Every triplet with d(a, n) < d(a, p) + margin."""
    nearer = torch.searchsorted(anchors.sorted, anchors.positive_distances + margin)  # (B, K)
    nearer = nearer * anchors.genuine
    block = counts[anchors.rows]
    block.scatter_add_(1, anchors.positives, nearer.to(counts.dtype))
    # the j-th nearest negative is in a triplet with every positive that has more than j violating
    last = torch.zeros_like(anchors.sorted).scatter_add_(
        1, (nearer - 1).clamp(min=0), (nearer > 0).to(counts.dtype)
    )
    times = last.flip(1).cumsum(1).flip(1)
    block.scatter_add_(1, anchors.columns, -times)
    return nearer.sum()


def _batch_hard(distances: Tensor, labels: Tensor, margin: float, counts: Tensor) -> Tensor:
    """Hermans et al. 2017: for every anchor the farthest positive and the nearest negative."""
    genuine, impostor = genuine_and_impostor(labels)
    positive, farthest = distances.masked_fill(~genuine, -torch.inf).max(dim=1, keepdim=True)
    negative, nearest = distances.masked_fill(~impostor, torch.inf).min(dim=1, keepdim=True)
    taken = positive - negative + margin > 0
    once = taken.to(counts.dtype)
    counts.scatter_add_(1, farthest, once)
    counts.scatter_add_(1, nearest, -once)
    return taken.sum()


def _blocks(distances: Tensor, labels: Tensor) -> Iterator[Anchors]:
    """Split the anchors of the batch into blocks."""
    _, identity, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
    order = identity.argsort(stable=True)
    first = sizes.cumsum(0) - sizes
    place = torch.arange(int(sizes.max()), device=labels.device)
    size = len(labels)
    step = max(1, BLOCK.get(distances.device.type, 2**20) // size)
    for start in range(0, size, step):
        rows = slice(start, min(start + step, size))
        anchor_identity = identity[rows, None]  # (B, 1)
        positives = order[(first[anchor_identity] + place).clamp(max=size - 1)]  # (B, K)
        itself = torch.arange(rows.start, rows.stop, device=labels.device)[:, None]
        genuine = (place < sizes[anchor_identity]) & (positives != itself)
        block = distances[rows]
        values, columns = sorted_rows(block.masked_fill(anchor_identity == identity, torch.inf))
        yield Anchors(
            rows,
            values,
            columns,
            size - sizes[anchor_identity],
            positives,
            genuine,
            block.gather(1, positives),
        )


def sorted_rows(values: Tensor) -> tuple[Tensor, Tensor]:
    """Sort each row in ascending order; values and their columns, (B, N), (B, N).

    On a CPU, numpy sorts with vector instructions, ten times as fast as torch, but returns values
    only. So each non-negative float32 becomes a float64 with its column in the low mantissa bits,
    which sorts by value, then by column.
    """
    size = values.shape[1]
    if values.device.type != "cpu" or values.dtype != torch.float32 or size >> COLUMN_BITS:
        return torch.sort(values, dim=1)
    finite = values.clamp(max=torch.finfo(torch.float32).max)  # infinity with mantissa bits is NaN
    keyed = finite.double()
    bits = keyed.view(torch.int64)
    bits |= torch.arange(size)
    keyed.numpy().sort(axis=1)
    return keyed.float(), bits & (2**COLUMN_BITS - 1)
