"""N-pair loss, Sohn 2016: papers.nips.cc/paper/6200-improved-deep-metric-learning, eq. 7 and 8.

Written here and not adapted: pytorch-metric-learning's takes one pair of each identity, wherever
there are more, and has no one-against-one form.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from faceverify.training.losses.distances import no_loss
from faceverify.training.losses.loss import Head, require

FORMS = ("multi-class", "one-against-one")


def pairs_in_order(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Pair each identity's first image with its second, third with fourth, ...: (M,), (M,)."""
    order = labels.argsort(stable=True)
    ordered = labels[order]
    place = torch.arange(len(labels), device=labels.device) - torch.searchsorted(ordered, ordered)
    (first,) = torch.where((place[:-1] % 2 == 0) & (ordered[:-1] == ordered[1:]))
    return order[first], order[first + 1]


class NPair(Head):
    """log(1 + sum_j exp(x_i . x_j+ - x_i . x_i+)), the mean over anchors x_i, with partners x_j+.

    Embeddings keep their lengths, as in the paper. Its batches hold two images of each identity;
    of four they make two pairs, which are not each other's rivals.

    Options:
        form: ``one-against-one`` sums log(1 + exp(...)) over the rivals j instead.
        norm_weight: of the mean squared length, which the paper keeps small with it; 0 for none.
    """

    batches: ClassVar[str] = "identities"

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        form: str = "multi-class",
        norm_weight: float = 0.0,
    ) -> None:
        super().__init__()
        require(form in FORMS, "head.form", form, "one of " + ", ".join(FORMS))
        require(norm_weight >= 0, "head.norm_weight", norm_weight, "at least 0")
        self.form, self.norm_weight = form, norm_weight

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        anchors, partners = pairs_in_order(labels)
        if not len(anchors):
            return no_loss(embeddings)
        products = embeddings[anchors] @ embeddings[partners].T  # (M, M)
        rival = labels[anchors, None] != labels[anchors]
        rises = (products - products.diagonal()[:, None]).masked_fill(~rival, -torch.inf)
        if self.form == "multi-class":
            losses = F.pad(rises, (1, 0)).logsumexp(dim=1)  # the 0 in front is log 1
        else:
            losses = F.softplus(rises).sum(dim=1)
        lengths = embeddings.square().sum(dim=1).mean()
        return losses.mean() + self.norm_weight * lengths
