"""What every head is: a loss over embeddings and labels, and what it learns itself."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from faceverify.errors import TrainingError
from faceverify.training.config.fields import config_error
from faceverify.training.distributed.collectives import gather_batch


class Head(nn.Module):
    """Base of all heads. A head writes :meth:`loss`; the method of supervised learning calls it.

    With several processes each calls the head with its own embeddings, all equally many. Each gets
    the mean loss of the batch of all, and gradients that belong together with
    DistributedDataParallel around the backbone (see ``collectives``). After the step all hold the
    same parameters, but for those that ``sharded`` of a module names: of these each process has
    some rows, with their whole gradient, and nothing may average them.

    All that must be kept to go on later is in the ``state_dict``.

    Attributes:
        batches: what batches suit it: "shuffled", or "identities" (several images of each).
    """

    batches: ClassVar[str] = "shuffled"

    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of the batch.

        Computed in float32 at least, whatever autocast does around it.

        Args:
            embeddings: as the backbone gave them, not normalised, (N, D).
            labels: their classes, int64, (N,).
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            exact = torch.promote_types(embeddings.dtype, torch.float32)
            return self.loss(*gather_batch(embeddings.to(exact), labels))

    def loss(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        """The mean loss of the batch of all processes; to be written by each head."""
        raise NotImplementedError

    def begin_step(self, step: int, total: int) -> None:
        """Be told the step of the optimiser that begins, from 0, and how many the run has."""

    def finish_step(self) -> None:
        """Be told that the optimiser has moved."""


def require(good: bool, option: str, value: object, words: str) -> None:
    """Refuse an impossible value of a head's option.

    Raises:
        TrainingError: it is not good; ``words`` says what would be.
    """
    if not good:
        raise option_error(option, value, words)


def option_error(option: str, value: object, words: str) -> TrainingError:
    """The error of a value that an option cannot have."""
    return config_error(f"{option} is {value!r}, not {words}")
