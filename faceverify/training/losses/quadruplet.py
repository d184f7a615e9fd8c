"""Quadruplet loss, Chen et al. 2017: https://arxiv.org/abs/1704.01719, eq. 6."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from faceverify.training.losses.distances import genuine_and_impostor, squared_distances
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.losses.loss import Head, require
from faceverify.training.losses.mining import Mined, mine
from faceverify.training.losses.triplet import mean_of_triplets


def count_quadruplets(squared: Tensor, labels: Tensor, margin: float) -> Mined:
    """How often each pair takes part in a quadruplet: d(x, p) - d(n2, n1) + margin > 0.

    Every genuine pair is held against every impostor pair that does not show its identity, as
    triplets are in ``mining``: counted in sorted distances, N^2 log N, and never listed.
    """
    _, identity = torch.unique(labels, return_inverse=True)
    genuine, impostor = genuine_and_impostor(labels)
    span = float(squared.max()) + margin + 1  # from one identity's distances to the next one's
    pulled, pushed = squared[genuine].double(), squared[impostor].double()
    own = identity[genuine.nonzero()[:, 0]]
    one, other = (identity[ends] for ends in impostor.nonzero().unbind(1))

    all_pushed, own_pushed = pushed.sort().values, (one * span + pushed).sort().values
    limit = pulled + margin
    nearer = torch.searchsorted(all_pushed, limit)
    nearer -= 2 * _between(own_pushed, own * span, own * span + limit)  # each pair: two directions

    all_pulled, own_pulled = pulled.sort().values, (own * span + pulled).sort().values
    limit = (pushed - margin).clamp(min=-0.5)
    farther = len(pulled) - torch.searchsorted(all_pulled, limit, right=True)
    for end in (one, other):
        start = end * span
        farther -= _between(own_pulled, start + limit, start + span - 0.5, right=True)
    counts = torch.zeros_like(squared)
    counts[genuine] = nearer.to(counts.dtype)
    counts[impostor] = -farther.to(counts.dtype)
    return Mined(counts, nearer.sum())


def _between(ordered: Tensor, low: Tensor, high: Tensor, *, right: bool = False) -> Tensor:
    """How many of ``ordered`` lie in [low, high), or in (low, high]."""
    found = torch.searchsorted(ordered, high, right=right)
    return found - torch.searchsorted(ordered, low, right=right)


class Quadruplet(Head):
    """[d(x, p) - d(x, n1) + margin]+ + [d(x, p) - d(n2, n1) + second_margin]+, d squared distances.

    On unit embeddings; all triplets and all quadruplets of the batch, each term's mean over those
    above 0. In the second no identity of the impostor pair is that of the genuine pair.

    Options:
        margin: of the first term, in (0, 4).
        second_margin: of the second, in [0, margin]: the paper wants it the weaker one.
    """

    batches: ClassVar[str] = "identities"

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        margin: float = 0.2,
        second_margin: float = 0.1,
    ) -> None:
        super().__init__()
        require(0 < margin < 4, "head.margin", margin, "in (0, 4)")
        require(0 <= second_margin <= margin, "head.second_margin", second_margin, "in [0, margin]")
        self.margin, self.second_margin = margin, second_margin

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        squared = squared_distances(l2_normalize(embeddings))
        fixed = squared.detach()
        triplets = mine(fixed, labels, "all", margin=self.margin)
        quadruplets = count_quadruplets(fixed, labels, self.second_margin)
        return mean_of_triplets(squared, triplets, self.margin) + mean_of_triplets(
            squared, quadruplets, self.second_margin
        )
