"""CurricularFace, adaptive curriculum learning loss: hard negatives weigh more as training goes on.

https://arxiv.org/abs/2004.00288, eq. 3 to 5 and algorithm 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

from faceverify.training.losses.annealing import warm_up
from faceverify.training.losses.engine.class_scores import HardNegatives, softmax_loss
from faceverify.training.losses.engine.softmax_engine import SoftmaxEngine
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.losses.loss import Loss, require
from faceverify.training.losses.margins import WIDEST, add_angle


class CurricularFace(Loss):
    """Softmax, target logit s cos(t_y + m), negatives s cos(t), hard ones s cos(t) (w + cos(t)).

    A negative is hard where cos(t) > cos(t_y + m). w is the running mean of cos(t_y), small at
    first. Neither w nor that threshold has a gradient.

    Args:
        margin: m, radians.
        scale: s.
        momentum: weight of a batch in the running mean.
        warm_up: share of the run's steps over which the margin rises from 0.
        engine, sample: see :class:`SoftmaxEngine`.
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
        require(0 <= margin <= WIDEST, "loss.margin", margin, f"in [0, {WIDEST}], in radians")
        require(scale > 0, "loss.scale", scale, "above 0")
        require(0 < momentum <= 1, "loss.momentum", momentum, "in (0, 1]")
        require(0 <= warm_up <= 1, "loss.warm_up", warm_up, "in [0, 1]")
        self.margin, self.scale = margin, scale
        self.momentum, self.warm_up = momentum, warm_up
        self.margin_share = 1.0
        self.register_buffer("weight", torch.tensor(0.0))
        self.softmax = SoftmaxEngine(
            embedding_size=embedding_size, classes=classes, engine=engine, sample=sample
        )

    def begin_step(self, step: int, total: int) -> None:
        """Raise the margin while it warms up."""
        self.margin_share = warm_up(step, total, self.warm_up)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Loss.forward`."""
        scaled = self.scale * l2_normalize(embeddings)
        margin = self.margin_share * self.margin
        with torch.no_grad():
            cosine = self.softmax.target_products(scaled, labels) / self.scale  # cos(t_y)
            if self.training:
                self.weight.lerp_(cosine.mean().to(self.weight.dtype), self.momentum)
            threshold = self.scale * add_angle(cosine, margin)  # (N,)
            hard = HardNegatives(threshold, self.weight.to(scaled.dtype), self.scale)
        scores = self.softmax(scaled, labels, hard)
        target_logit = self.scale * add_angle(scores.target_logit / self.scale, margin)
        return softmax_loss(target_logit, scores.log_sum_exp)
