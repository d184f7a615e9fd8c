"""AdaFace, a margin that follows the embedding's length: https://arxiv.org/abs/2204.00964, eq. 14.

A long embedding is taken for a good image. Its margin is like CosFace's and more, a short one's
like ArcFace's.
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

SHORTEST, LONGEST = 1e-3, 100.0  # lengths are taken into this range
FIRST_MEAN, FIRST_DEVIATION = 20.0, 100.0  # of lengths, until some were seen


class AdaFace(Head):
    """Target logit s (cos(t - m z) - m - m z), others s cos(t).

    z in [-1, 1] is ``concentration`` times how many standard deviations the embedding's length lies
    above the running mean of lengths. Nothing is learned through it.

    Args:
        concentration: h of the paper; 1/3 keeps z of most lengths within [-1, 1].
        momentum: weight of a batch in the running mean and deviation.
        warm_up: share of the run over which the margin grows from 0.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        margin: float = 0.4,
        scale: float = 64.0,
        concentration: float = 0.333,
        momentum: float = 0.01,
        warm_up: float = 0.0,
        engine: str = "chunked",
        sample: float = 1.0,
    ) -> None:
        super().__init__()
        require(0 <= margin <= WIDEST, "head.margin", margin, f"in [0, {WIDEST}]")
        require(scale > 0, "head.scale", scale, "above 0")
        require(concentration > 0, "head.concentration", concentration, "above 0")
        require(0 < momentum <= 1, "head.momentum", momentum, "in (0, 1]")
        require(0 <= warm_up <= 1, "head.warm_up", warm_up, "in [0, 1]")
        self.margin, self.scale, self.concentration = margin, scale, concentration
        self.momentum, self.warm_up = momentum, warm_up
        self.margin_share = 1.0
        self.register_buffer("mean", torch.tensor(FIRST_MEAN))
        self.register_buffer("deviation", torch.tensor(FIRST_DEVIATION))
        self.softmax = SoftmaxEngine(
            embedding_size=embedding_size, classes=classes, engine=engine, sample=sample
        )

    def begin_step(self, step: int, total: int) -> None:
        """Let the margin grow."""
        self.margin_share = warm_up(step, total, self.warm_up)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        quality = self._quality(embeddings.detach())
        scores = self.softmax(self.scale * l2_normalize(embeddings), labels)
        margin = self.margin_share * self.margin
        turned = add_angle(scores.target_logit / self.scale, -margin * quality)
        target_logit = self.scale * (turned - margin - margin * quality)
        return softmax_loss(target_logit, scores.log_sum_exp)

    def _quality(self, embeddings: Tensor) -> Tensor:
        """z, (N,); in training, what is usual is learned first."""
        lengths = torch.linalg.vector_norm(embeddings, dim=1).clamp(SHORTEST, LONGEST)
        if self.training:
            self.mean.lerp_(lengths.mean().to(self.mean.dtype), self.momentum)
            if len(lengths) > 1:
                self.deviation.lerp_(lengths.std().to(self.mean.dtype), self.momentum)
        usual: Tensor = (lengths - self.mean) / (self.deviation + SHORTEST)
        return torch.clamp(self.concentration * usual, -1, 1)
