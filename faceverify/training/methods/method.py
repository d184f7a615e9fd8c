"""Base class of the learning methods."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from faceverify.runtime.progress import ShowProgress
from faceverify.training.data.loading.source import Stills
from faceverify.training.data.views import ONE_VIEW, Batch, Views
from faceverify.training.distributed.collectives import Shard, gather_rows, shards_of
from faceverify.training.methods.parts.viewmaker import Viewmaker
from faceverify.training.optim.view_encoder import Embed


class Method(nn.Module):
    """Learning method: computes the loss of a batch from embeddings of its views.

    What a method learns itself (class centres, a projector, a teacher, a queue) are its parameters
    and buffers: stored in checkpoints as ``method.NAME``, never exported.

    Its constructor names what it needs of the run, and takes its own options beside: see
    :func:`~faceverify.training.methods.build_method`.

    Args:
        embedding_size: D of the backbone.

    Attributes:
        views: views (augmented crops) that the loader makes of each image.
        needs_labels: whether each image needs an identity label.
        separates_nobody: whether its embeddings only begin to tell people apart, so that training
            goes on from them at full rates.
        least_batch: images that a batch needs, over all processes.
        compares_images: whether the loss of an image depends on the rest of the batch, so that
            gradient accumulation would change it.
        learns_by_loss: whether it learns people by the loss of ``[loss]``.
        looks_at_people: whether it looks at people's images before the first step, which a stream
            does not have at hand.
        embeds_images: whether what :meth:`forward` embeds are images, so that a loss of people can
            be joined with it; not some of their patches.
        embeds_one_view: whether the first view alone goes through the backbone that learns.
        embeds_whole_views: whether :meth:`forward` embeds images of one size, to a row of each, as
            gradient caching needs it.
        remembers_images: whether it keeps something of each image, by its position in the set; a
            stream has none.
        needs_colour: whether it learns nothing of grey photos.
        watched: whether the log tells how its embeddings spread.
        viewmaker: learns what to add to the views that it gets; None: nothing is.
        collapse: what usually makes them collapse, and what to change; one line. Empty for a
            method that cannot: then the run is not stopped.
    """

    views: ClassVar[Views] = ONE_VIEW
    needs_labels: ClassVar[bool] = False
    separates_nobody: ClassVar[bool] = True
    least_batch: ClassVar[int] = 2
    compares_images: ClassVar[bool] = True
    learns_by_loss: ClassVar[bool] = False
    looks_at_people: ClassVar[bool] = False
    embeds_images: ClassVar[bool] = True
    embeds_one_view: ClassVar[bool] = False
    embeds_whole_views: ClassVar[bool] = True
    remembers_images: ClassVar[bool] = False
    needs_colour: ClassVar[bool] = False
    watched: ClassVar[bool] = True
    collapse: ClassVar[str] = "try a lower --learning-rate, a longer schedule.warm_up"

    def __init__(self, *, embedding_size: int = 0) -> None:
        super().__init__()
        self.viewmaker: Viewmaker | None = None

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """Mean loss of a batch, ().

        With several processes each is called with its own images and returns the loss of the whole
        batch: :func:`gathered` collects the embeddings, and from there every process computes the
        same, heads and their batch statistics included.

        Args:
            embed: the backbone, from a list of views to a list of embeddings, (N, D) each. Call it
                once, on all views that need a gradient: it averages gradients over processes, and
                a gradient cache splits it.
            batch: images and labels of this process, or a part of them.
        """
        raise NotImplementedError

    def prepare(self, stills: Stills | None, cache: Path, show_progress: ShowProgress) -> None:
        """Slow preparation, once, before the first step; in every process.

        Args:
            stills: the images without augmentation; None for a stream.
            cache: folder for what another run may use again.
            show_progress: wraps what takes long.
        """

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

    def signs(self) -> dict[str, float]:
        """What else tells how the last step went, by name; called in every process."""
        return {}

    def shards(self) -> dict[str, Shard]:
        """Entries of the state_dict that are sharded by rows over processes."""
        return shards_of(self)


def gathered(views: Sequence[Tensor]) -> list[Tensor]:
    """Embeddings of each view, of the batch of all processes, in float32 or float64, (N, D)."""
    return [gather_rows(rows.to(torch.promote_types(rows.dtype, torch.float32))) for rows in views]


def mean_of_all(values: Tensor) -> float:
    """Mean of a value of each image, (N,), over the batch of all processes."""
    return float(gather_rows(values.detach().float()).cpu().double().mean())


def exact(rows: Tensor) -> torch.autocast:
    """Inside, heads and losses are computed in the precision of the embeddings, not autocast's."""
    return torch.autocast(rows.device.type, enabled=False)
