"""Lifted structured loss, Song et al. 2016: https://arxiv.org/abs/1511.06452, eq. 2 and 4.

Written here and not adapted: pytorch-metric-learning's has no max form, and holds a number for
every genuine pair and every impostor pair of the batch at once.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from faceverify.training.losses.distances import euclidean_distances, genuine_and_impostor, no_loss
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.losses.loss import Head, require

FORMS = ("smooth", "max")


class Lifted(Head):
    """1 / (2 |P|) sum over genuine pairs of [J_ij]+^2, on unit embeddings.

    J_ij = D_ij + max(max_k margin - D_ik, max_l margin - D_jl) over the impostors k of i and l of
    j: the pair against all impostors of both ends. The smooth form, which the paper trains with,
    has log-sum-exp in place of the maxima.

    Options:
        margin: of Euclidean distances, in (0, 2].
        form: ``smooth`` or ``max``.
    """

    batches: ClassVar[str] = "identities"

    def __init__(
        self, *, embedding_size: int, classes: int, margin: float = 1.0, form: str = "smooth"
    ) -> None:
        super().__init__()
        require(0 < margin <= 2, "head.margin", margin, "in (0, 2]")
        require(form in FORMS, "head.form", form, "one of " + ", ".join(FORMS))
        self.margin, self.form = margin, form

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        distances = euclidean_distances(l2_normalize(embeddings))
        genuine, impostor = genuine_and_impostor(labels)
        if not genuine.any() or not impostor.any():
            return no_loss(embeddings)
        near = (self.margin - distances).masked_fill(~impostor, -torch.inf)
        first, second = genuine.nonzero(as_tuple=True)  # both orders: the mean is the same
        if self.form == "max":
            hardest = near.amax(dim=1)  # (N,)
            joint = torch.maximum(hardest[first], hardest[second])
        else:
            hardest = near.logsumexp(dim=1)
            joint = torch.logaddexp(hardest[first], hardest[second])
        return (joint + distances[first, second]).relu().square().mean() / 2
