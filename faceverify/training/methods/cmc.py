"""CMC: luminance and chrominance of a photo: https://arxiv.org/abs/1906.05849, eq. 1 to 3."""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceverify.training.backbones.lab import Lab
from faceverify.training.config.fields import config_error
from faceverify.training.data.views import Batch, Views
from faceverify.training.distributed.wrappers import plain_module
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact, gathered
from faceverify.training.methods.parts.heads import mlp
from faceverify.training.optim.view_encoder import Embed


class CMC(Method):
    """Cross-entropy of finding the chrominance of a luminance in the batch, and the reverse.

    The backbone is both encoders (``lab:NAME``), the embedding what both say; so the exported model
    sees colour photos as any other does. The negatives are those of the batch of all processes; the
    paper has them from a memory bank.

    Args:
        temperature: tau, divides the cosines.
        projection: numbers in a projected half.
        hidden: width of both projectors; 0 for that of the embedding.
    """

    views: ClassVar[Views] = Views(1)
    needs_colour: ClassVar[bool] = True
    collapse: ClassVar[str] = (
        "usual causes: too high a learning rate, photos that are grey; try a lower --learning-rate"
    )

    def __init__(
        self,
        *,
        embedding_size: int,
        backbone: nn.Module,
        temperature: float = 0.07,
        projection: int = 128,
        hidden: int = 0,
    ) -> None:
        super().__init__()
        if not isinstance(plain_module(backbone), Lab):
            raise config_error(
                "method cmc wants an encoder of luminance and one of chrominance",
                "use --backbone lab:resnet18, or lab: before another",
            )
        require(temperature > 0, "method.temperature", temperature, "above 0")
        require(projection > 0, "method.projection", projection, "at least 1")
        require(hidden >= 0, "method.hidden", hidden, "at least 0")
        self.temperature = temperature
        sizes = (embedding_size // 2, hidden or embedding_size, projection)
        self.luminance, self.chrominance = mlp(sizes), mlp(sizes)

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`."""
        (rows,) = gathered(embed(batch.views))  # (N, D)
        with exact(rows):
            light, colour = rows.chunk(2, dim=1)  # (N, D / 2) each
            return both_ways(self.luminance(light), self.chrominance(colour), self.temperature)


def both_ways(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of the other view of each image among those of all, plus the reverse, ().

    Args:
        first, second: two views of N images, (N, P) each.
        temperature: tau.
    """
    logits = F.normalize(first, dim=1) @ F.normalize(second, dim=1).T / temperature  # (N, N)
    own = torch.arange(len(logits), device=logits.device)
    return F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)
