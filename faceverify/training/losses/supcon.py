"""Supervised contrastive loss, Khosla et al. 2020: https://arxiv.org/abs/2004.11362, eq. 2."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from faceverify.training.losses.loss import Head, require


class SupCon(Head):
    """Softmax over the batch, the mean over partners outside the logarithm.

    It is pytorch-metric-learning's; the mean is over the anchors that have a partner in the batch.

    Options:
        temperature: by which cosines are divided.
    """

    batches: ClassVar[str] = "identities"

    def __init__(self, *, embedding_size: int, classes: int, temperature: float = 0.1) -> None:
        from pytorch_metric_learning.losses import SupConLoss

        super().__init__()
        require(temperature > 0, "head.temperature", temperature, "above 0")
        self.contrast = SupConLoss(temperature=temperature)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        loss: Tensor = self.contrast(embeddings, labels)
        return loss
