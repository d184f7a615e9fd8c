"""SphereFace-R, version 1, with embeddings of one length: https://arxiv.org/abs/2109.05565."""

from __future__ import annotations

from torch import Tensor

from faceverify.training.losses.annealing import warm_up
from faceverify.training.losses.engine.class_scores import softmax_loss
from faceverify.training.losses.engine.softmax_engine import SoftmaxEngine
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.losses.loss import Head, require
from faceverify.training.losses.margins import stretch_angle


class SphereFaceR(Head):
    """Target logit s cos(min(m t, pi)), others s cos(t).

    Args:
        warm_up: share of the run over which the margin grows from 1.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        margin: float = 1.5,
        scale: float = 30.0,
        warm_up: float = 0.0,
        engine: str = "chunked",
        sample: float = 1.0,
    ) -> None:
        super().__init__()
        require(1 <= margin <= 8, "head.margin", margin, "in [1, 8]")
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
        factor = 1 + self.margin_share * (self.margin - 1)
        target_logit = self.scale * stretch_angle(scores.target_logit / self.scale, factor)
        return softmax_loss(target_logit, scores.log_sum_exp)
