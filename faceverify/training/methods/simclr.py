"""SimCLR: two views of an image among all other views: https://arxiv.org/abs/2002.05709, eq. 1."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from faceverify.training.data.views import Batch, Views
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact, gathered
from faceverify.training.methods.parts.heads import mlp
from faceverify.training.optim.view_encoder import Embed


class SimCLR(Method):
    """Cross-entropy of finding an image's other view among the views of the batch (NT-Xent).

    Args:
        temperature: tau, divides the cosines.
        projection: numbers in a projected embedding.
        hidden: width of the projector; 0 for that of the embedding.
    """

    views: ClassVar[Views] = Views(2)
    collapse: ClassVar[str] = (
        "usual causes: too high a learning rate, views too much alike; try a lower "
        "--learning-rate, --set augmentation.least_area=0.3"
    )

    def __init__(
        self,
        *,
        embedding_size: int,
        temperature: float = 0.2,
        projection: int = 128,
        hidden: int = 0,
    ) -> None:
        super().__init__()
        require(temperature > 0, "method.temperature", temperature, "above 0")
        require(projection > 0, "method.projection", projection, "at least 1")
        require(hidden >= 0, "method.hidden", hidden, "at least 0")
        self.temperature = temperature
        self.projector = mlp((embedding_size, hidden or embedding_size, projection))

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`."""
        rows = torch.cat(gathered(embed(batch.views)))  # (2 N, D): all first views, then the second
        with exact(rows):
            return nt_xent(self.projector(rows), self.temperature)


def nt_xent(rows: Tensor, temperature: float) -> Tensor:
    """Normalised temperature-scaled cross-entropy, ().

    Args:
        rows: the first views of N images, then the second ones, (2 N, D).
        temperature: tau.
    """
    unit = F.normalize(rows, dim=1)
    logits = unit @ unit.T / temperature  # (2 N, 2 N)
    logits = logits.masked_fill(
        torch.eye(len(rows), dtype=torch.bool, device=rows.device), -torch.inf
    )
    other = torch.arange(len(rows), device=rows.device).roll(len(rows) // 2)
    return F.cross_entropy(logits, other)
