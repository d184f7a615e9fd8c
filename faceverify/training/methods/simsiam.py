"""SimSiam: one view predicts the other, which gets no gradient: https://arxiv.org/abs/2011.10566."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from faceverify.training.data.views import Batch, Views
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact, gathered
from faceverify.training.methods.parts.heads import mlp
from faceverify.training.optim.view_encoder import Embed


class SimSiam(Method):
    """Negative cosine of a prediction from one view and the projection of the other (eq. 2).

    Args:
        projection: numbers in a projected embedding.
        hidden: width of the predictor, a bottleneck (section 4.1); 0 for a quarter of projection.
    """

    views: ClassVar[Views] = Views(2)
    collapse: ClassVar[str] = (
        "usual causes: too high a learning rate, too small a batch for its norms, views too hard "
        "to predict; try a lower --learning-rate, a larger --batch-size, or --method byol"
    )

    def __init__(self, *, embedding_size: int, projection: int = 512, hidden: int = 0) -> None:
        super().__init__()
        require(projection > 0, "method.projection", projection, "at least 1")
        require(hidden >= 0, "method.hidden", hidden, "at least 0")
        self.projector = mlp((embedding_size, projection, projection, projection), last_norm=True)
        self.predictor = mlp((projection, hidden or max(1, projection // 4), projection))

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`."""
        rows = gathered(embed(batch.views))  # of each view (N, D)
        with exact(rows[0]):
            first, second = (self.projector(view) for view in rows)
            forth = alike(self.predictor(first), second.detach())
            back = alike(self.predictor(second), first.detach())
            return -(forth + back) / 2


def alike(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean cosine, ()."""
    return F.cosine_similarity(predictions, targets, dim=1).mean()
