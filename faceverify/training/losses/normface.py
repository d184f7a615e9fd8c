"""NormFace and COCO: a softmax of cosines.

https://arxiv.org/abs/1704.06369, https://arxiv.org/abs/1710.00870. Both normalise embeddings and
centres, and differ only in how they advise to choose the scale.
"""

from __future__ import annotations

from torch import Tensor

from faceverify.training.losses.engine.class_scores import softmax_loss
from faceverify.training.losses.engine.softmax_engine import SoftmaxEngine
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.losses.loss import Head, require


class NormFace(Head):
    """Logits s cos(t)."""

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        scale: float = 30.0,
        engine: str = "chunked",
        sample: float = 1.0,
    ) -> None:
        super().__init__()
        require(scale > 0, "head.scale", scale, "above 0")
        self.scale = scale
        self.softmax = SoftmaxEngine(
            embedding_size=embedding_size, classes=classes, engine=engine, sample=sample
        )

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        scores = self.softmax(self.scale * l2_normalize(embeddings), labels)
        return softmax_loss(scores.target_logit, scores.log_sum_exp)
