"""The plain softmax over classes: cross-entropy of W_j . x + b_j."""

from __future__ import annotations

from torch import Tensor

from faceverify.training.losses.engine.class_scores import softmax_loss
from faceverify.training.losses.engine.softmax_engine import SoftmaxEngine
from faceverify.training.losses.loss import Head


class Softmax(Head):
    """Logits W_j . x + b_j."""

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        engine: str = "chunked",
        sample: float = 1.0,
    ) -> None:
        super().__init__()
        self.softmax = SoftmaxEngine(
            embedding_size=embedding_size,
            classes=classes,
            engine=engine,
            sample=sample,
            unit=False,
            bias=True,
        )

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        scores = self.softmax(embeddings, labels)
        return softmax_loss(scores.target_logit, scores.log_sum_exp)
