"""CurricularFace, which weighs hard negatives more as training goes on.

https://arxiv.org/abs/2004.00288, eq. 3 to 5 and algorithm 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from faceverify.training.losses.annealing import warm_up
from faceverify.training.losses.engine.class_scores import HardNegatives, softmax_loss
from faceverify.training.losses.engine.softmax_engine import SoftmaxEngine
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.losses.loss import Head, require
from faceverify.training.losses.margins import WIDEST, add_angle


class CurricularFace(Head):
    """Target logit s cos(t + m); others s cos(t), above the target's s cos(t) (w + cos(t)).

    w is the running mean of the targets' cosines, small at first. Neither w nor what counts as hard
    has a gradient.

    Args:
        margin: in radians.
        momentum: weight of a batch in the running mean.
        warm_up: share of the run over which the margin grows from 0.
    """

    weight: Tensor

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        margin: float = 0.5,
        scale: float = 64.0,
        momentum: float = 0.01,
        warm_up: float = 0.0,
        engine: str = "chunked",
        sample: float = 1.0,
    ) -> None:
        super().__init__()
        require(0 <= margin <= WIDEST, "head.margin", margin, f"in [0, {WIDEST}], in radians")
        require(scale > 0, "head.scale", scale, "above 0")
        require(0 < momentum <= 1, "head.momentum", momentum, "in (0, 1]")
        require(0 <= warm_up <= 1, "head.warm_up", warm_up, "in [0, 1]")
        self.margin, self.scale = margin, scale
        self.momentum, self.warm_up = momentum, warm_up
        self.margin_share = 1.0
        self.register_buffer("weight", torch.tensor(0.0))
        self.softmax = SoftmaxEngine(
            embedding_size=embedding_size, classes=classes, engine=engine, sample=sample
        )

    def begin_step(self, step: int, total: int) -> None:
        """Let the margin grow."""
        self.margin_share = warm_up(step, total, self.warm_up)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        rows, angle = self.scale * l2_normalize(embeddings), self.margin_share * self.margin
        with torch.no_grad():
            cosine = self.softmax.target_products(rows, labels) / self.scale
            if self.training:
                self.weight.lerp_(cosine.mean().to(self.weight.dtype), self.momentum)
            threshold = self.scale * add_angle(cosine, angle)
            hard = HardNegatives(threshold, self.weight.to(rows.dtype), self.scale)
        scores = self.softmax(rows, labels, hard)
        target_logit = self.scale * add_angle(scores.target_logit / self.scale, angle)
        return softmax_loss(target_logit, scores.log_sum_exp)
