"""Base class of the learning methods."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from faceverify.training.data.views import ONE_VIEW, Batch, Views
from faceverify.training.distributed.collectives import Shard, shards_of
from faceverify.training.optim.view_encoder import Embed


class Method(nn.Module):
    """Learning method: computes the loss of a batch from embeddings of its views.

    What a method learns itself (class centres, a projector, a teacher, a queue) are its parameters
    and buffers: stored in checkpoints as ``method.NAME``, never exported.

    Args:
        embedding_size: D of the backbone; one that needs labels takes ``loss`` in its place.

    Attributes:
        views: views (augmented crops) that the loader makes of each image.
        needs_labels: whether each image needs an identity label.
    """

    views: ClassVar[Views] = ONE_VIEW
    needs_labels: ClassVar[bool] = False

    def __init__(self, *, embedding_size: int = 0) -> None:
        super().__init__()

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """Mean loss of a batch, ().

        Args:
            embed: the backbone, from a list of views to a list of embeddings, (N, D) each. Call it
                once, on all views that need a gradient: it averages gradients over processes, and
                a gradient cache splits it.
            batch: images and labels of this process, or a part of them.
        """
        raise NotImplementedError

    def begin_step(self, step: int, total: int) -> None:
        """Update what depends on the step: a margin, a temperature, a momentum.

        Args:
            step: optimiser step about to begin, from 0.
            total: optimiser steps of the run.
        """

    def finish_step(self, backbone: nn.Module) -> None:
        """Update what follows the optimiser step: a teacher, a queue.

        Args:
            backbone: the backbone after the step.
        """

    def shards(self) -> dict[str, Shard]:
        """Entries of the state_dict that are sharded by rows over processes."""
        return shards_of(self)
