"""AdaFace, quality adaptive margin loss: https://arxiv.org/abs/2204.00964, eq. 14.

The norm of the embedding stands for the quality of the image: a large norm gives a margin like
CosFace's, a small one a margin like ArcFace's.
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

SHORTEST, LONGEST = 1e-3, 100.0  # norms are clamped to this range
FIRST_MEAN, FIRST_DEVIATION = 20.0, 100.0  # initial running statistics of the norms


class AdaFace(Loss):
    """Softmax with target logit s (cos(t - m z) - m - m z) and other logits s cos(t).

    t is the angle between an embedding and a class centre; z is the norm of the embedding,
    standardised by a running mean and deviation, times h, clamped to [-1, 1]. z has no gradient.

    Args:
        margin: m, radians.
        scale: s.
        concentration: h; 1/3 keeps most z within [-1, 1] before clamping.
        momentum: weight of a batch in the running mean and deviation.
        warm_up: share of the run's steps over which the margin rises from 0.
        engine, sample: see :class:`SoftmaxEngine`.
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
        require(0 <= margin <= WIDEST, "loss.margin", margin, f"in [0, {WIDEST}]")
        require(scale > 0, "loss.scale", scale, "above 0")
        require(concentration > 0, "loss.concentration", concentration, "above 0")
        require(0 < momentum <= 1, "loss.momentum", momentum, "in (0, 1]")
        require(0 <= warm_up <= 1, "loss.warm_up", warm_up, "in [0, 1]")
        self.margin, self.scale, self.concentration = margin, scale, concentration
        self.momentum, self.warm_up = momentum, warm_up
        self.margin_share = 1.0
        self.register_buffer("mean", torch.tensor(FIRST_MEAN))
        self.register_buffer("deviation", torch.tensor(FIRST_DEVIATION))
        self.softmax = SoftmaxEngine(
            embedding_size=embedding_size, classes=classes, engine=engine, sample=sample
        )

    def begin_step(self, step: int, total: int) -> None:
        """Raise the margin while it warms up."""
        self.margin_share = warm_up(step, total, self.warm_up)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Loss.forward`."""
        quality = self._quality(embeddings.detach())
        scores = self.softmax(self.scale * l2_normalize(embeddings), labels)
        margin = self.margin_share * self.margin
        rotated = add_angle(scores.target_logit / self.scale, -margin * quality)
        target_logit = self.scale * (rotated - margin - margin * quality)
        return softmax_loss(target_logit, scores.log_sum_exp)

    def _quality(self, embeddings: Tensor) -> Tensor:
        """z, (N,); while training, the running statistics are updated first."""
        norms = torch.linalg.vector_norm(embeddings, dim=1).clamp(SHORTEST, LONGEST)
        if self.training:
            self.mean.lerp_(norms.mean().to(self.mean.dtype), self.momentum)
            if len(norms) > 1:
                self.deviation.lerp_(norms.std().to(self.mean.dtype), self.momentum)
        standardised: Tensor = (norms - self.mean) / (self.deviation + SHORTEST)
        return torch.clamp(self.concentration * standardised, -1, 1)
