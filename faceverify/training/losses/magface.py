"""MagFace, a margin that grows with the length: https://arxiv.org/abs/2103.06627, eq. 3.

The length of an embedding becomes a measure of quality: a larger one means a larger margin to keep,
and costs less in g.
"""

from __future__ import annotations

import torch
from torch import Tensor

from faceverify.training.losses.annealing import warm_up
from faceverify.training.losses.engine.class_scores import softmax_loss
from faceverify.training.losses.engine.softmax_engine import SoftmaxEngine
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.losses.loss import Head, require
from faceverify.training.losses.margins import WIDEST, add_angle


class MagFace(Head):
    """Target logit s cos(t + m(a)), others s cos(t); plus weight g(a) = a / longest^2 + 1 / a.

    a is the embedding's length, taken into [shortest, longest]; m(a) rises in a straight line from
    ``least_margin`` to ``most_margin`` over that range.

    Args:
        least_margin, most_margin: in radians.
        shortest, longest: lengths of embeddings.
        weight: lambda_g of the paper.
        warm_up: share of the run over which the margin grows from 0.
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
        require(least_margin >= 0, "head.least_margin", least_margin, "at least 0")
        require(
            least_margin <= most_margin <= WIDEST,
            "head.most_margin",
            most_margin,
            f"in [least_margin, {WIDEST}], in radians",
        )
        require(shortest > 0, "head.shortest", shortest, "above 0")
        require(shortest < longest, "head.longest", longest, "above shortest")
        require(weight >= 0, "head.weight", weight, "at least 0")
        require(scale > 0, "head.scale", scale, "above 0")
        require(0 <= warm_up <= 1, "head.warm_up", warm_up, "in [0, 1]")
        self.least_margin, self.most_margin = least_margin, most_margin
        self.shortest, self.longest = shortest, longest
        self.weight, self.scale, self.warm_up = weight, scale, warm_up
        self.margin_share = 1.0
        self.softmax = SoftmaxEngine(
            embedding_size=embedding_size, classes=classes, engine=engine, sample=sample
        )

    def begin_step(self, step: int, total: int) -> None:
        """Let the margin grow."""
        self.margin_share = warm_up(step, total, self.warm_up)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        lengths = torch.linalg.vector_norm(embeddings, dim=1).clamp(self.shortest, self.longest)
        along = (lengths - self.shortest) / (self.longest - self.shortest)
        margin = self.least_margin + (self.most_margin - self.least_margin) * along
        scores = self.softmax(self.scale * l2_normalize(embeddings), labels)
        cosine = scores.target_logit / self.scale
        target_logit = self.scale * add_angle(cosine, self.margin_share * margin)
        pull = torch.mean(lengths / self.longest**2 + 1 / lengths)
        return softmax_loss(target_logit, scores.log_sum_exp) + self.weight * pull
