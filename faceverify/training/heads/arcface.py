"""ArcFace, the additive angular margin: https://arxiv.org/abs/1801.07698, eq. 3.

With sub-centres a class has several, and the nearest counts, so that wrongly labelled images gather
around one that is not the main one: https://www.ecva.net/papers/eccv_2020/papers_ECCV/papers/123560715.pdf.
"""

from __future__ import annotations

from torch import Tensor

from faceverify.training.heads.class_scores import softmax_loss
from faceverify.training.heads.head import Head, wanted
from faceverify.training.heads.margins import add_angle
from faceverify.training.heads.softmax_engine import SoftmaxEngine
from faceverify.training.heads.unit_rows import unit_rows


class ArcFace(Head):
    """Target logit s cos(t + m), others s cos(t)."""

    def __init__(
        self,
        *,
        embedding_size: int,
        classes: int,
        margin: float = 0.5,
        scale: float = 64.0,
        sub_centres: int = 1,
        engine: str = "dense",
    ) -> None:
        super().__init__()
        wanted(0 <= margin < 1.57, "head.margin", margin, "in [0, 1.57), in radians")
        wanted(scale > 0, "head.scale", scale, "above 0")
        self.margin, self.scale = margin, scale
        self.softmax = SoftmaxEngine(
            embedding_size=embedding_size, classes=classes, engine=engine, sub_centres=sub_centres
        )

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """See :meth:`Head.forward`."""
        scores = self.softmax(self.scale * unit_rows(embeddings), labels)
        target = self.scale * add_angle(scores.own / self.scale, self.margin)
        return softmax_loss(target, scores.others)
