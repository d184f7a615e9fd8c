"""Proxy-NCA, a softmax over the other classes only: https://arxiv.org/abs/1703.07464, eq. 4."""

from __future__ import annotations

import torch
from torch import Tensor

from faceverify.training.losses.engine.softmax_engine import SoftmaxEngine
from faceverify.training.losses.l2_normalize import l2_normalize
from faceverify.training.losses.loss import Head, require


class ProxyNca(Head):
    """Minus the logarithm of exp(s cos(t_y)) / sum over other classes of exp(s cos(t_j)).

    Distances of unit vectors, ||x - p||^2 = 2 - 2 cos(t), give the same with s = 2.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        scale: float = 16.0,
        engine: str = "chunked",
        sample: float = 1.0,
    ) -> None:
        super().__init__()
        require(scale > 0, "head.scale", scale, "above 0")
        self.scale = scale
        self.softmax = SoftmaxEngine(
            embedding_size=embedding_size, classes=classes, engine=engine, sample=sample
        )

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        scores = self.softmax(self.scale * l2_normalize(embeddings), labels)
        return torch.mean(scores.log_sum_exp - scores.target_logit)
