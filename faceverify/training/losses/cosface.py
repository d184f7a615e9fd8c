"""CosFace, the additive cosine margin: https://arxiv.org/abs/1801.09414, eq. 4."""

from __future__ import annotations

from torch import Tensor

from faceverify.training.losses.annealing import warm_up
from faceverify.training.losses.engine.class_scores import softmax_loss
from faceverify.training.losses.engine.softmax_engine import SoftmaxEngine
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.losses.loss import Head, require
from faceverify.training.losses.margins import subtract_from_cosine


class CosFace(Head):
    """Target logit s (cos(t) - m), others s cos(t).

    Args:
        warm_up: share of the run over which the margin grows from 0.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        margin: float = 0.35,
        scale: float = 64.0,
        warm_up: float = 0.0,
        engine: str = "chunked",
        sample: float = 1.0,
    ) -> None:
        super().__init__()
        require(0 <= margin <= 2, "head.margin", margin, "in [0, 2]")
        require(scale > 0, "head.scale", scale, "above 0")
        require(0 <= warm_up <= 1, "head.warm_up", warm_up, "in [0, 1]")
        self.margin, self.scale, self.warm_up = margin, scale, warm_up
        self.margin_share = 1.0
        self.softmax = SoftmaxEngine(
            embedding_size=embedding_size, classes=classes, engine=engine, sample=sample
        )

    def begin_step(self, step: int, total: int) -> None:
        """Let the margin grow."""
        self.margin_share = warm_up(step, total, self.warm_up)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        scores = self.softmax(self.scale * l2_normalize(embeddings), labels)
        cosine = scores.target_logit / self.scale
        target_logit = self.scale * subtract_from_cosine(cosine, self.margin_share * self.margin)
        return softmax_loss(target_logit, scores.log_sum_exp)
