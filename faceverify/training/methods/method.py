"""Base of all methods: what a training step makes of a batch."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from faceverify.training.data.views import ONE_VIEW, Batch, Views
from faceverify.training.distributed.collectives import Shard, shards_of
from faceverify.training.optim.view_encoder import Embed


class Method(nn.Module):
    """How a backbone learns: the loss of a batch, out of embeddings of its views.

    All that a method learns itself (class centres, a projector, a teacher, a queue) are parameters
    and buffers of it: they are stored with a run, as ``method.NAME``, and never exported.

    Attributes:
        views: what the loader makes of each image.
        needs_labels: whether the person on each image must be known.
    """

    views: ClassVar[Views] = ONE_VIEW
    needs_labels: ClassVar[bool] = False

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """The mean loss of a batch, (); to be written by each method.

        Args:
            embed: the backbone, to be called once, on all views that need a gradient: with several
                processes it averages the gradient, and a gradient cache runs it in parts.
            batch: of this process, or a part of it.
        """
        raise NotImplementedError

    def begin_step(self, step: int, total: int) -> None:
        """Prepare for an optimiser step: a margin, a temperature, a momentum are functions of it.

        Args:
            step: from 0.
            total: steps of the run.
        """

    def finish_step(self, backbone: nn.Module) -> None:
        """Follow the optimiser's step: move a teacher, fill a queue.

        Args:
            backbone: with its new weights.
        """

    def shards(self) -> dict[str, Shard]:
        """The entries of the state_dict that are cut by rows over processes."""
        return shards_of(self)
