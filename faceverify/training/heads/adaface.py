"""AdaFace, a margin that follows the embedding's length: https://arxiv.org/abs/2204.00964, eq. 14.

A long embedding is taken for a good image. Its margin is like CosFace's and more, a short one's
like ArcFace's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from faceverify.training.heads.annealing import grown
from faceverify.training.heads.class_scores import softmax_loss
from faceverify.training.heads.head import Head, wanted
from faceverify.training.heads.margins import WIDEST, add_angle
from faceverify.training.heads.softmax_engine import SoftmaxEngine
from faceverify.training.heads.unit_rows import unit_rows

SHORTEST, LONGEST = 1e-3, 100.0  # lengths are taken into this range
FIRST_MEAN, FIRST_DEVIATION = 20.0, 100.0  # of lengths, until some were seen


class AdaFace(Head):
    """Target logit s (cos(t - m z) - m - m z), others s cos(t).

    z in [-1, 1] is the embedding's length in standard deviations over ``spread``, from the running
    mean of lengths. Nothing is learned through it.

    Args:
        spread: h of the paper: the concentration of z; 1/3 keeps most lengths within [-1, 1].
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
        spread: float = 0.333,
        momentum: float = 0.01,
        warm_up: float = 0.0,
        engine: str = "chunked",
        sample: float = 1.0,
    ) -> None:
        super().__init__()
        wanted(0 <= margin <= WIDEST, "head.margin", margin, f"in [0, {WIDEST}]")
        wanted(scale > 0, "head.scale", scale, "above 0")
        wanted(spread > 0, "head.spread", spread, "above 0")
        wanted(0 < momentum <= 1, "head.momentum", momentum, "in (0, 1]")
        wanted(0 <= warm_up <= 1, "head.warm_up", warm_up, "in [0, 1]")
        self.margin, self.scale, self.spread = margin, scale, spread
        self.momentum, self.warm_up = momentum, warm_up
        self.grown = 1.0
        self.register_buffer("mean", torch.tensor(FIRST_MEAN))
        self.register_buffer("deviation", torch.tensor(FIRST_DEVIATION))
        self.softmax = SoftmaxEngine(
            embedding_size=embedding_size, classes=classes, engine=engine, sample=sample
        )

    def begin_step(self, step: int, total: int) -> None:
        """Let the margin grow."""
        self.grown = grown(step, total, self.warm_up)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        quality = self._quality(embeddings.detach())
        scores = self.softmax(self.scale * unit_rows(embeddings), labels)
        margin = self.grown * self.margin
        turned = add_angle(scores.own / self.scale, -margin * quality)
        target = self.scale * (turned - margin - margin * quality)
        return softmax_loss(target, scores.others)

    def _quality(self, embeddings: Tensor) -> Tensor:
        """z, (N,); in training, what is usual is learned first."""
        lengths = torch.linalg.vector_norm(embeddings, dim=1).clamp(SHORTEST, LONGEST)
        if self.training:
            self.mean.lerp_(lengths.mean().to(self.mean.dtype), self.momentum)
            if len(lengths) > 1:
                self.deviation.lerp_(lengths.std().to(self.mean.dtype), self.momentum)
        usual: Tensor = (lengths - self.mean) / (self.deviation + SHORTEST)
        return torch.clamp(self.spread * usual, -1, 1)
