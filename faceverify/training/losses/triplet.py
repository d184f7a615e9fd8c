"""Triplet loss with online mining, FaceNet: https://arxiv.org/abs/1503.03832, eq. 2, section 3.2.

Batch-hard mining is from https://arxiv.org/abs/1703.07737.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from faceverify.training.losses.distances import squared_distances
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.losses.loss import Head, require
from faceverify.training.losses.mining import MINING, WITHOUT_SEMI_HARD, Mined, mine


def mean_of_triplets(squared: Tensor, mined: Mined, margin: float) -> Tensor:
    """Mean of d(a, p) - d(a, n) + margin over the triplets mined; 0 where there are none.

    Args:
        squared: distances, (N, N).
        mined: how often each of them takes part.
    """
    some = (mined.triplets > 0).to(squared.dtype)
    return (mined.counts * squared).sum() / mined.triplets.clamp(min=1) + margin * some


class Triplet(Head):
    """[ |a - p|^2 - |a - n|^2 + margin ]+ on unit embeddings, the mean over those above 0.

    FaceNet sums; the mean does not change with the batch, nor fade as triplets are learned.

    Options:
        margin: of squared distances, in (0, 4).
        mining, without_semi_hard: which triplets, see :func:`~.mining.mine`.
    """

    batches: ClassVar[str] = "identities"

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        margin: float = 0.2,
        mining: str = "semi-hard",
        without_semi_hard: str = "skip",
    ) -> None:
        super().__init__()
        require(0 < margin < 4, "head.margin", margin, "in (0, 4)")
        require(mining in MINING, "head.mining", mining, "one of " + ", ".join(MINING))
        choices = "one of " + ", ".join(WITHOUT_SEMI_HARD)
        known = without_semi_hard in WITHOUT_SEMI_HARD
        require(known, "head.without_semi_hard", without_semi_hard, choices)
        self.margin, self.mining, self.without_semi_hard = margin, mining, without_semi_hard

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        squared = squared_distances(l2_normalize(embeddings))
        mined = mine(
            squared.detach(),
            labels,
            self.mining,
            margin=self.margin,
            without_semi_hard=self.without_semi_hard,
        )
        return mean_of_triplets(squared, mined, self.margin)
