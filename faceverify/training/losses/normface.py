"""NormFace, https://arxiv.org/abs/1704.06369, and COCO, https://arxiv.org/abs/1710.00870.

The two are the same loss and differ only in their advice for the scale.
"""

from __future__ import annotations

from torch import Tensor

from faceverify.training.losses.engine.class_scores import softmax_loss
from faceverify.training.losses.engine.softmax_engine import SoftmaxEngine
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.losses.loss import Loss, require


class NormFace(Loss):
    """Softmax with logits s cos(t), t the angle between an embedding and a class centre.

    Args:
        scale: s.
        engine, sample: see :class:`SoftmaxEngine`.
    """

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
        require(scale > 0, "loss.scale", scale, "above 0")
        self.scale = scale
        self.softmax = SoftmaxEngine(
            embedding_size=embedding_size, classes=classes, engine=engine, sample=sample
        )

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Loss.forward`."""
        scores = self.softmax(self.scale * l2_normalize(embeddings), labels)
        return softmax_loss(scores.target_logit, scores.log_sum_exp)
