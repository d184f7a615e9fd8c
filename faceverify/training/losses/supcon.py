"""Supervised contrastive loss, Khosla et al. 2020: https://arxiv.org/abs/2004.11362, eq. 2."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from faceverify.training.losses.loss import Loss, require


class SupCon(Loss):
    """Softmax over the batch, the mean over positives outside the logarithm.

    pytorch-metric-learning's; the mean is over the anchors that have a positive in the batch.

    Args:
        temperature: divides the cosines.
    """

    batches: ClassVar[str] = "identities"

    def __init__(self, *, embedding_size: int, classes: int, temperature: float = 0.1) -> None:
        from pytorch_metric_learning.losses import SupConLoss

        super().__init__()
        require(temperature > 0, "loss.temperature", temperature, "above 0")
        self.contrast = SupConLoss(temperature=temperature)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Loss.forward`."""
        loss: Tensor = self.contrast(embeddings, labels)
        return loss
