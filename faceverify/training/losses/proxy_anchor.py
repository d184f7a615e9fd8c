"""Proxy-anchor loss, Kim et al. 2020: https://arxiv.org/abs/2003.13911, eq. 4."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from faceverify.training.losses.loss import Head, require


class ProxyAnchor(Head):
    """Each identity's proxy is an anchor, compared with the whole batch; pytorch-metric-learning's.

    Options:
        margin: delta of the paper, of cosines.
        scale: alpha of the paper.
    """

    batches: ClassVar[str] = "shuffled"

    def __init__(
        self, *, embedding_size: int, classes: int, margin: float = 0.1, scale: float = 32.0
    ) -> None:
        from pytorch_metric_learning.losses import ProxyAnchorLoss

        super().__init__()
        require(0 <= margin < 1, "head.margin", margin, "in [0, 1)")
        require(scale > 0, "head.scale", scale, "above 0")
        self.proxies = ProxyAnchorLoss(classes, embedding_size, margin=margin, alpha=scale)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        loss: Tensor = self.proxies(embeddings, labels)
        return loss
