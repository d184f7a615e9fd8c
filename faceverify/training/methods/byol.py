"""BYOL: a view predicts a slow teacher's other view: https://arxiv.org/abs/2006.07733, eq. 2."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from faceverify.training.data.views import LESS_BLURRED, Batch, Views
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact, gathered
from faceverify.training.methods.parts.heads import mlp
from faceverify.training.methods.parts.teacher import Teacher, rising
from faceverify.training.optim.view_encoder import Embed


class BYOL(Method):
    """Squared distance of a prediction from one view and the teacher's projection of the other.

    Args:
        momentum: of the teacher at the first step; it rises to 1 (section 3.2).
        projection: numbers in a projected embedding.
        hidden: width of projector and predictor.
    """

    views: ClassVar[Views] = Views(2, second=LESS_BLURRED)
    collapse: ClassVar[str] = (
        "usual causes: too high a learning rate, a teacher that follows too fast, too small a "
        "batch for its norms; try a lower --learning-rate, --set method.momentum=0.99, a larger "
        "--batch-size"
    )

    def __init__(
        self,
        *,
        embedding_size: int,
        backbone: nn.Module,
        momentum: float = 0.99,
        projection: int = 256,
        hidden: int = 1024,
    ) -> None:
        super().__init__()
        require(0 <= momentum <= 1, "method.momentum", momentum, "in 0 to 1")
        require(projection > 0, "method.projection", projection, "at least 1")
        require(hidden > 0, "method.hidden", hidden, "at least 1")
        self.first_momentum = self.momentum = momentum
        self.projector = mlp((embedding_size, hidden, projection))
        self.predictor = mlp((projection, hidden, projection))
        self.teacher = Teacher(backbone, self.projector)

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`."""
        seen = gathered(self.teacher.embed(batch.views))  # of each view (N, D)
        rows = gathered(embed(batch.views))
        with exact(rows[0]):
            first, second = (self.predictor(self.projector(view)) for view in rows)
            targets = [self.teacher.heads(view).detach() for view in seen]
            return apart(first, targets[1]) + apart(second, targets[0])

    def begin_step(self, step: int, total: int) -> None:
        """See :meth:`Method.begin_step`."""
        self.momentum = rising(self.first_momentum, step, total)

    def finish_step(self, backbone: nn.Module) -> None:
        """See :meth:`Method.finish_step`."""
        self.teacher.follow(backbone, self.projector, self.momentum)


def apart(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean squared distance of unit rows, 2 - 2 cos, ()."""
    return (2 - 2 * F.cosine_similarity(predictions, targets, dim=1)).mean()
