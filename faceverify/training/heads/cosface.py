"""CosFace, the additive cosine margin: https://arxiv.org/abs/1801.09414, eq. 4."""

from __future__ import annotations

from torch import Tensor

from faceverify.training.heads.annealing import grown
from faceverify.training.heads.class_scores import softmax_loss
from faceverify.training.heads.head import Head, wanted
from faceverify.training.heads.margins import subtract_from_cosine
from faceverify.training.heads.softmax_engine import SoftmaxEngine
from faceverify.training.heads.unit_rows import unit_rows


class CosFace(Head):
    """Target logit s (cos(t) - m), others s cos(t).

    Args:
        warm_up: share of the run over which the margin grows from 0.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        margin: float = 0.35,
        scale: float = 64.0,
        warm_up: float = 0.0,
        engine: str = "chunked",
        sample: float = 1.0,
    ) -> None:
        super().__init__()
        wanted(0 <= margin <= 2, "head.margin", margin, "in [0, 2]")
        wanted(scale > 0, "head.scale", scale, "above 0")
        wanted(0 <= warm_up <= 1, "head.warm_up", warm_up, "in [0, 1]")
        self.margin, self.scale, self.warm_up = margin, scale, warm_up
        self.grown = 1.0
        self.softmax = SoftmaxEngine(
            embedding_size=embedding_size, classes=classes, engine=engine, sample=sample
        )

    def begin_step(self, step: int, total: int) -> None:
        """Let the margin grow."""
        self.grown = grown(step, total, self.warm_up)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        scores = self.softmax(self.scale * unit_rows(embeddings), labels)
        cosine = scores.own / self.scale
        target = self.scale * subtract_from_cosine(cosine, self.grown * self.margin)
        return softmax_loss(target, scores.others)
