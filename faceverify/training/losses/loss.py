"""Base class of the losses."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from faceverify.errors import TrainingError
from faceverify.training.config.fields import config_error
from faceverify.training.distributed.collectives import gather_batch


class Loss(nn.Module):
    """Loss of embeddings and labels, with what it learns itself. Subclasses write :meth:`loss`.

    Distributed training: each process calls the loss with its own embeddings, the same number in
    each. :meth:`forward` gathers them, so that every process returns the mean loss of the global
    batch, with gradients that are right under DistributedDataParallel (see ``collectives``).
    Parameters are replicated, except those that a module lists in ``sharded``: each process holds
    some of their rows, with the complete gradient, which must not be averaged.

    The ``state_dict`` holds everything that a resumed run needs.

    Attributes:
        batches: batches it needs: "shuffled", or "identities" (several images per identity).
        images_per_identity: images per identity in such a batch, where nothing else is said.
        of_values: whether its labels are values, such as ages, instead of identities.
    """

    batches: ClassVar[str] = "shuffled"
    images_per_identity: ClassVar[int] = 4
    of_values: ClassVar[bool] = False

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of the global batch, (), computed in float32 or float64 even under autocast.

        Args:
            embeddings: output of the backbone, not normalised, (N, D).
            labels: class indices, int64, (N,).
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            exact = torch.promote_types(embeddings.dtype, torch.float32)
            return self.loss(*gather_batch(embeddings.to(exact), labels))

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of the global batch, (); arguments as of :meth:`forward`."""
        raise NotImplementedError

    def begin_step(self, step: int, total: int) -> None:
        """Update what depends on the step, such as a margin that warms up.

        Args:
            step: optimiser step about to begin, from 0.
            total: optimiser steps of the run.
        """

    def finish_step(self) -> None:
        """Update what follows the optimiser step, such as centres without gradient."""


def require(good: bool, option: str, value: object, words: str) -> None:
    """Check the value of an option.

    Args:
        good: whether the value is in range.
        option: its key in the configuration.
        value: what was given.
        words: the values in range.

    Raises:
        TrainingError: it is out of range.
    """
    if not good:
        raise option_error(option, value, words)


def option_error(option: str, value: object, words: str) -> TrainingError:
    """Error for a value out of range."""
    return config_error(f"{option} is {value!r}, not {words}")
