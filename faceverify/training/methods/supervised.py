"""Supervised learning: a loss of embeddings and identity labels."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from faceverify.training.data.views import Batch
from faceverify.training.losses.loss import Loss
from faceverify.training.methods.method import Method
from faceverify.training.optim.view_encoder import Embed


class Supervised(Method):
    """Supervised learning from one view of each image and its label.

    Args:
        loss: a loss of ``faceverify.training.losses``.
    """

    needs_labels: ClassVar[bool] = True
    separates_nobody: ClassVar[bool] = False
    learns_by_loss: ClassVar[bool] = True
    compares_images: ClassVar[bool] = False  # where a loss does, the sampler tells
    watched: ClassVar[bool] = False
    collapse: ClassVar[str] = ""

    def __init__(self, loss: Loss) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`."""
        value: Tensor = self.loss(embed(batch.views)[0], batch.labels)
        return value

    def begin_step(self, step: int, total: int) -> None:
        """See :meth:`Method.begin_step`."""
        self.loss.begin_step(step, total)

    def finish_step(self, backbone: nn.Module) -> None:
        """See :meth:`Method.finish_step`."""
        self.loss.finish_step()
