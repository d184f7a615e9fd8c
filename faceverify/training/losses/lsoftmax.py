"""L-Softmax, large-margin softmax loss: https://arxiv.org/abs/1612.02295, eq. 4 to 6."""

from __future__ import annotations

import torch
from torch import Tensor

from faceverify.training.losses.annealing import anneal
from faceverify.training.losses.engine.class_scores import softmax_loss
from faceverify.training.losses.engine.softmax_engine import SoftmaxEngine
from faceverify.training.losses.loss import Loss, require
from faceverify.training.losses.margins import cosine_of, multiply_angle


class LSoftmax(Loss):
    """Softmax, target logit ||W|| ||x|| (lambda cos(t) + psi(t)) / (1 + lambda), others W_j . x.

    psi(t), the multiplicative angular margin, is cos(m t) continued to decrease over [0, pi].

    Args:
        margin: m, a whole number.
        anneal_from, anneal_to: lambda at the first step, and at the end of the annealing.
        annealing: share of the run's steps over which lambda falls.
        engine, sample: see :class:`SoftmaxEngine`.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        margin: int = 2,
        anneal_from: float = 1000.0,
        anneal_to: float = 0.0,
        annealing: float = 0.3,
        engine: str = "chunked",
        sample: float = 1.0,
    ) -> None:
        super().__init__()
        require(1 <= margin <= 8, "loss.margin", margin, "in 1 to 8")
        require(anneal_to >= 0, "loss.anneal_to", anneal_to, "at least 0")
        require(anneal_to <= anneal_from, "loss.anneal_from", anneal_from, "at least anneal_to")
        require(0 <= annealing <= 1, "loss.annealing", annealing, "in [0, 1]")
        self.margin, self.annealing = margin, annealing
        self.anneal_from, self.anneal_to = anneal_from, anneal_to
        self.easing = anneal_to
        self.softmax = SoftmaxEngine(
            embedding_size=embedding_size,
            classes=classes,
            engine=engine,
            sample=sample,
            unit=False,
        )

    def begin_step(self, step: int, total: int) -> None:
        """Anneal lambda."""
        self.easing = anneal(
            step, total, self.annealing, first=self.anneal_from, last=self.anneal_to
        )

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Loss.forward`."""
        scores = self.softmax(embeddings, labels)
        lengths = torch.linalg.vector_norm(embeddings, dim=1) * scores.target_centre_norm
        cosine = cosine_of(scores.target_logit, lengths)
        eased = (self.easing * cosine + multiply_angle(cosine, self.margin)) / (1 + self.easing)
        return softmax_loss(lengths * eased, scores.log_sum_exp)
