"""SupCon over two views, with names: https://arxiv.org/abs/2004.11362, eq. 2."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from faceverify.training.data.views import Batch, Views
from faceverify.training.distributed.collectives import gather_rows
from faceverify.training.losses.loss import require
from faceverify.training.losses.supcon import SupCon
from faceverify.training.methods.method import Method, exact, gathered
from faceverify.training.methods.parts.heads import mlp
from faceverify.training.optim.view_encoder import Embed


class SupConViews(Method):
    """Supervised contrastive loss of projected views: the others of an image, and of its person.

    Args:
        temperature: divides the cosines.
        projection: numbers in a projected embedding.
        hidden: width of the projector; 0 for that of the embedding.
    """

    views: ClassVar[Views] = Views(2)
    needs_labels: ClassVar[bool] = True
    separates_nobody: ClassVar[bool] = False
    collapse: ClassVar[str] = "usual cause: too high a learning rate; try a lower --learning-rate"

    def __init__(
        self,
        *,
        embedding_size: int,
        temperature: float = 0.1,
        projection: int = 128,
        hidden: int = 0,
    ) -> None:
        super().__init__()
        require(temperature > 0, "method.temperature", temperature, "above 0")
        require(projection > 0, "method.projection", projection, "at least 1")
        require(hidden >= 0, "method.hidden", hidden, "at least 0")
        self.projector = mlp((embedding_size, hidden or embedding_size, projection))
        self.contrast = SupCon(embedding_size=projection, classes=2, temperature=temperature)

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`."""
        rows = torch.cat(gathered(embed(batch.views)))  # (2 N, D)
        labels = gather_rows(batch.labels).repeat(len(batch.views))  # (2 N,)
        with exact(rows):
            return self.contrast.loss(self.projector(rows), labels)
