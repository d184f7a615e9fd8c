"""Contrastive loss, Chopra et al. 2005: https://ieeexplore.ieee.org/document/1467314."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from faceverify.training.losses.distances import euclidean_distances, genuine_and_impostor, no_loss
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.losses.loss import Head, require


class Contrastive(Head):
    """Genuine pairs 1/2 d^2, impostor pairs 1/2 [margin - d]+^2, on unit embeddings.

    The mean over genuine pairs plus the mean over the impostor pairs inside the margin: a batch has
    hundreds of impostor pairs to a genuine one, and one mean of all would hardly pull at all.
    (pytorch-metric-learning's loss of this name is linear in the distance, another equation.)

    Options:
        margin: Euclidean distance at which impostors are far enough, in (0, 2].
    """

    batches: ClassVar[str] = "identities"

    def __init__(self, *, embedding_size: int, classes: int, margin: float = 1.0) -> None:
        super().__init__()
        require(0 < margin <= 2, "head.margin", margin, "in (0, 2]")
        self.margin = margin

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        distances = euclidean_distances(l2_normalize(embeddings))
        genuine, impostor = genuine_and_impostor(labels)
        short = (self.margin - distances)[impostor]
        total = no_loss(embeddings)
        for lengths in (distances[genuine], short[short > 0]):
            if len(lengths):
                total = total + 0.5 * lengths.square().mean()
        return total
