"""MagFace, magnitude-aware margin loss: https://arxiv.org/abs/2103.06627, eq. 3.

The norm of an embedding comes to measure its quality: the margin rises with the norm, and the
regulariser g favours large norms.
"""

from __future__ import annotations

import torch
from torch import Tensor

from faceverify.training.losses.annealing import warm_up
from faceverify.training.losses.engine.class_scores import softmax_loss
from faceverify.training.losses.engine.softmax_engine import SoftmaxEngine
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.losses.loss import Loss, require
from faceverify.training.losses.margins import WIDEST, add_angle


class MagFace(Loss):
    """Softmax with target logit s cos(t + m(a)), others s cos(t); plus the mean of weight g(a).

    a is the norm of the embedding, clamped to [shortest, longest]; m(a) is linear in a, from
    ``least_margin`` to ``most_margin``; g(a) = a / longest^2 + 1 / a.

    Args:
        least_margin, most_margin: radians.
        shortest, longest: norms of embeddings.
        weight: lambda_g of the paper.
        scale: s.
        warm_up: share of the run's steps over which the margin rises from 0.
        engine, sample: see :class:`SoftmaxEngine`.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        least_margin: float = 0.45,
        most_margin: float = 0.8,
        shortest: float = 10.0,
        longest: float = 110.0,
        weight: float = 35.0,
        scale: float = 64.0,
        warm_up: float = 0.0,
        engine: str = "chunked",
        sample: float = 1.0,
    ) -> None:
        super().__init__()
        require(least_margin >= 0, "loss.least_margin", least_margin, "at least 0")
        require(
            least_margin <= most_margin <= WIDEST,
            "loss.most_margin",
            most_margin,
            f"in [least_margin, {WIDEST}], in radians",
        )
        require(shortest > 0, "loss.shortest", shortest, "above 0")
        require(shortest < longest, "loss.longest", longest, "above shortest")
        require(weight >= 0, "loss.weight", weight, "at least 0")
        require(scale > 0, "loss.scale", scale, "above 0")
        require(0 <= warm_up <= 1, "loss.warm_up", warm_up, "in [0, 1]")
        self.least_margin, self.most_margin = least_margin, most_margin
        self.shortest, self.longest = shortest, longest
        self.weight, self.scale, self.warm_up = weight, scale, warm_up
        self.margin_share = 1.0
        self.softmax = SoftmaxEngine(
            embedding_size=embedding_size, classes=classes, engine=engine, sample=sample
        )

    def begin_step(self, step: int, total: int) -> None:
        """Raise the margin while it warms up."""
        self.margin_share = warm_up(step, total, self.warm_up)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Loss.forward`."""
        norms = torch.linalg.vector_norm(embeddings, dim=1).clamp(self.shortest, self.longest)
        along = (norms - self.shortest) / (self.longest - self.shortest)
        margin = self.least_margin + (self.most_margin - self.least_margin) * along
        scores = self.softmax(self.scale * l2_normalize(embeddings), labels)
        cosine = scores.target_logit / self.scale
        target_logit = self.scale * add_angle(cosine, self.margin_share * margin)
        regulariser = torch.mean(norms / self.longest**2 + 1 / norms)
        return softmax_loss(target_logit, scores.log_sum_exp) + self.weight * regulariser
