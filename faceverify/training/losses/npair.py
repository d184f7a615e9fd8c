"""N-pair loss, Sohn 2016: papers.nips.cc/paper/6200-improved-deep-metric-learning, eq. 7 and 8.

Not pytorch-metric-learning's: that uses one pair per identity, and has no one-against-one form.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from faceverify.training.losses.distances import no_loss
from faceverify.training.losses.loss import Loss, require

FORMS = ("multi-class", "one-against-one")


def pairs_in_order(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Anchors and positives, (M,), (M,): images 1 and 2, 3 and 4, ... of each identity."""
    order = labels.argsort(stable=True)
    ordered = labels[order]
    place = torch.arange(len(labels), device=labels.device) - torch.searchsorted(ordered, ordered)
    (first,) = torch.where((place[:-1] % 2 == 0) & (ordered[:-1] == ordered[1:]))
    return order[first], order[first + 1]


class NPair(Loss):
    """log(1 + sum_j exp(x_i . x_j+ - x_i . x_i+)), the mean over anchors x_i with positives x_i+.

    j runs over the pairs of other identities. Embeddings are not normalised, as in the paper. Its
    batches hold two images per identity; four make two pairs, not negatives of each other.

    Args:
        form: ``multi-class``, or ``one-against-one``: sum_j log(1 + exp(...)).
        norm_weight: weight of the mean squared norm of the embeddings, the paper's regulariser.
    """

    batches: ClassVar[str] = "identities"
    images_per_identity: ClassVar[int] = 2

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        form: str = "multi-class",
        norm_weight: float = 0.0,
    ) -> None:
        super().__init__()
        require(form in FORMS, "loss.form", form, "one of " + ", ".join(FORMS))
        require(norm_weight >= 0, "loss.norm_weight", norm_weight, "at least 0")
        self.form, self.norm_weight = form, norm_weight

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Loss.forward`."""
        anchors, positives = pairs_in_order(labels)
        if not len(anchors):
            return no_loss(embeddings)
        products = embeddings[anchors] @ embeddings[positives].T  # (M, M)
        negative = labels[anchors, None] != labels[anchors]
        differences = (products - products.diagonal()[:, None]).masked_fill(~negative, -torch.inf)
        if self.form == "multi-class":
            losses = F.pad(differences, (1, 0)).logsumexp(dim=1)  # the 0 in front is log 1
        else:
            losses = F.softplus(differences).sum(dim=1)
        squared_norm = embeddings.square().sum(dim=1).mean()
        return losses.mean() + self.norm_weight * squared_norm
