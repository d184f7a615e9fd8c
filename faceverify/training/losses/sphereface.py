"""SphereFace, the multiplicative angular margin on unit centres: https://arxiv.org/abs/1704.08063."""

from __future__ import annotations

import torch
from torch import Tensor

from faceverify.training.losses.annealing import anneal
from faceverify.training.losses.engine.class_scores import softmax_loss
from faceverify.training.losses.engine.softmax_engine import SoftmaxEngine
from faceverify.training.losses.loss import Head, require
from faceverify.training.losses.margins import cosine_of, multiply_angle


class SphereFace(Head):
    """Target logit ||x|| (lambda cos(t) + psi(t)) / (1 + lambda), others ||x|| cos(t).

    Args:
        margin: m of psi, which is cos(m t) made to fall all the way.
        anneal_from, anneal_to: lambda at the first step, and from ``annealing`` on.
        annealing: share of the run over which it falls.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        margin: int = 4,
        anneal_from: float = 1000.0,
        anneal_to: float = 5.0,
        annealing: float = 0.06,
        engine: str = "chunked",
        sample: float = 1.0,
    ) -> None:
        super().__init__()
        require(1 <= margin <= 8, "head.margin", margin, "in 1 to 8")
        require(anneal_to >= 0, "head.anneal_to", anneal_to, "at least 0")
        require(anneal_to <= anneal_from, "head.anneal_from", anneal_from, "at least anneal_to")
        require(0 <= annealing <= 1, "head.annealing", annealing, "in [0, 1]")
        self.margin, self.annealing = margin, annealing
        self.anneal_from, self.anneal_to = anneal_from, anneal_to
        self.easing = anneal_to
        self.softmax = SoftmaxEngine(
            embedding_size=embedding_size, classes=classes, engine=engine, sample=sample
        )

    def begin_step(self, step: int, total: int) -> None:
        """Let lambda fall."""
        self.easing = anneal(
            step, total, self.annealing, first=self.anneal_from, last=self.anneal_to
        )

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        scores = self.softmax(embeddings, labels)
        lengths = torch.linalg.vector_norm(embeddings, dim=1)
        cosine = cosine_of(scores.target_logit, lengths)
        eased = (self.easing * cosine + multiply_angle(cosine, self.margin)) / (1 + self.easing)
        return softmax_loss(lengths * eased, scores.log_sum_exp)
