"""Which triplets of a batch train: N^3 of them, counted without ever being listed.

Once it is known which triplets take part, a triplet loss is linear in the distances: genuine pair
(a, p) counts as often as it takes part, impostor pair (a, n) as often, with a minus. So a rule of
mining returns an (N, N) matrix of these counts, and the loss is its product with the distances.

Each anchor's impostors are sorted once; then one binary search per genuine pair finds its
semi-hard impostor, or how many impostors violate its margin. Anchors are worked on a block at a
time, so that memory beyond the two matrices does not grow: O(N^2 log N) time, no N^3 anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from faceverify.training.losses.distances import genuine_and_impostor

MINING = ("semi-hard", "batch-hard", "hard", "all")
WITHOUT_SEMI_HARD = ("skip", "farthest")

BLOCK = {"cpu": 2**20, "cuda": 2**26}  # distances worked on at once: a cache, a GPU's fill
COLUMN_BITS = 28  # of the 29 bits by which a float64 is finer than a float32


class Mined(NamedTuple):
    """How often each pair takes part in a triplet.

    Attributes:
        counts: (N, N), of the distances' type; genuine pairs above 0, impostor pairs below.
        triplets: how many take part, one number on the distances' device.
    """

    counts: Tensor
    triplets: Tensor


class Anchors(NamedTuple):
    """A block of B anchors.

    Attributes:
        rows: where they are in the batch.
        sorted: distances to impostors, rising, then infinity; (B, N).
        columns: whose distances these are, (B, N).
        impostors: how many each anchor has, (B, 1).
        partners: other images of the anchor's identity, filled up, (B, K).
        genuine: which of them are no filling, (B, K).
        pulled: distances to the partners, (B, K).
    """

    rows: slice
    sorted: Tensor
    columns: Tensor
    impostors: Tensor
    partners: Tensor
    genuine: Tensor
    pulled: Tensor


def mine(
    distances: Tensor,
    labels: Tensor,
    mining: str,
    *,
    margin: float,
    without_semi_hard: str = "skip",
) -> Mined:
    """Find the triplets whose loss [d(a, p) - d(a, n) + margin]+ is above 0.

    Args:
        distances: of every pair, at least 0, (N, N); not differentiated.
        labels: identities, (N,).
        mining: ``all`` triplets; the ``hard`` ones, d(a, n) < d(a, p); ``semi-hard``: for every
            genuine pair the nearest impostor with d(a, n) > d(a, p); ``batch-hard``: for every
            anchor its farthest partner and its nearest impostor.
        without_semi_hard: what becomes of a genuine pair with every impostor nearer than the
            partner: ``skip`` it, or take the ``farthest`` impostor.
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
    """FaceNet's rule: every genuine pair of the batch, with its hardest semi-hard impostor."""
    place = torch.searchsorted(anchors.sorted, anchors.pulled, right=True)  # (B, K)
    last = anchors.impostors - 1
    taken = anchors.genuine & (anchors.impostors > 0)
    taken &= (last >= place) | farthest
    place = place.minimum(last).clamp(min=0)
    taken &= anchors.pulled - anchors.sorted.gather(1, place) + margin > 0
    once = taken.to(counts.dtype)
    block = counts[anchors.rows]
    block.scatter_add_(1, anchors.partners, once)
    block.scatter_add_(1, anchors.columns.gather(1, place), -once)
    return taken.sum()


def _nearer(anchors: Anchors, margin: float, counts: Tensor) -> Tensor:
    """Every triplet with d(a, n) < d(a, p) + margin."""
    nearer = torch.searchsorted(anchors.sorted, anchors.pulled + margin)  # (B, K)
    nearer = nearer * anchors.genuine
    block = counts[anchors.rows]
    block.scatter_add_(1, anchors.partners, nearer.to(counts.dtype))
    # impostor number j of a row is in as many triplets as pairs have more than j impostors nearer
    reach = torch.zeros_like(anchors.sorted).scatter_add_(
        1, (nearer - 1).clamp(min=0), (nearer > 0).to(counts.dtype)
    )
    pushed = reach.flip(1).cumsum(1).flip(1)
    block.scatter_add_(1, anchors.columns, -pushed)
    return nearer.sum()


def _batch_hard(distances: Tensor, labels: Tensor, margin: float, counts: Tensor) -> Tensor:
    """Hermans et al. 2017: for every anchor the farthest partner and the nearest impostor."""
    genuine, impostor = genuine_and_impostor(labels)
    pulled, partner = distances.masked_fill(~genuine, -torch.inf).max(dim=1, keepdim=True)
    pushed, nearest = distances.masked_fill(~impostor, torch.inf).min(dim=1, keepdim=True)
    taken = pulled - pushed + margin > 0
    once = taken.to(counts.dtype)
    counts.scatter_add_(1, partner, once)
    counts.scatter_add_(1, nearest, -once)
    return taken.sum()


def _blocks(distances: Tensor, labels: Tensor) -> Iterator[Anchors]:
    """The batch in blocks of anchors."""
    _, identity, sizes = torch.unique(labels, return_inverse=True, return_counts=True)
    order = identity.argsort(stable=True)
    first = sizes.cumsum(0) - sizes
    place = torch.arange(int(sizes.max()), device=labels.device)
    size = len(labels)
    step = max(1, BLOCK.get(distances.device.type, 2**20) // size)
    for start in range(0, size, step):
        rows = slice(start, min(start + step, size))
        own = identity[rows, None]  # (B, 1)
        partners = order[(first[own] + place).clamp(max=size - 1)]  # (B, K)
        itself = torch.arange(rows.start, rows.stop, device=labels.device)[:, None]
        genuine = (place < sizes[own]) & (partners != itself)
        block = distances[rows]
        values, columns = sorted_rows(block.masked_fill(own == identity, torch.inf))
        yield Anchors(
            rows, values, columns, size - sizes[own], partners, genuine, block.gather(1, partners)
        )


def sorted_rows(values: Tensor) -> tuple[Tensor, Tensor]:
    """Each row in rising order, and the columns it came from: (B, N), (B, N).

    On a CPU numpy sorts numbers with vector instructions, ten times as fast as torch sorts numbers
    with their columns. So the column of a float32, at least 0, is written into the bits that a
    float64 has below it: one number that sorts by value, then by column.
    """
    size = values.shape[1]
    if values.device.type != "cpu" or values.dtype != torch.float32 or size >> COLUMN_BITS:
        return torch.sort(values, dim=1)
    finite = values.clamp(max=torch.finfo(torch.float32).max)  # infinity has no bits to spare
    keyed = finite.double()
    bits = keyed.view(torch.int64)
    bits |= torch.arange(size)
    keyed.numpy().sort(axis=1)
    return keyed.float(), bits & (2**COLUMN_BITS - 1)
