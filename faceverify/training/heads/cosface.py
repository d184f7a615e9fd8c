"""CosFace, the additive cosine margin: https://arxiv.org/abs/1801.09414, eq. 4."""

from __future__ import annotations

from torch import Tensor

from faceverify.training.heads.class_scores import softmax_loss
from faceverify.training.heads.head import Head, wanted
from faceverify.training.heads.margins import subtract_from_cosine
from faceverify.training.heads.softmax_engine import SoftmaxEngine
from faceverify.training.heads.unit_rows import unit_rows


class CosFace(Head):
    """Target logit s (cos(t) - m), others s cos(t)."""

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        margin: float = 0.35,
        scale: float = 64.0,
        engine: str = "dense",
    ) -> None:
        super().__init__()
        wanted(0 <= margin <= 2, "head.margin", margin, "in [0, 2]")
        wanted(scale > 0, "head.scale", scale, "above 0")
        self.margin, self.scale = margin, scale
        self.softmax = SoftmaxEngine(embedding_size=embedding_size, classes=classes, engine=engine)

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        scores = self.softmax(self.scale * unit_rows(embeddings), labels)
        target = self.scale * subtract_from_cosine(scores.own / self.scale, self.margin)
        return softmax_loss(target, scores.others)
