"""Queue of embeddings: the last ones of the run, first in, first out.

He et al. 2020 (MoCo), https://arxiv.org/abs/1911.05722, section 3.2.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceverify.training.losses.loss import require


class Queue(nn.Module):
    """The last K embeddings; part of a method's state, so that a resumed run has them.

    Args:
        length: K.
        size: numbers in an embedding.
    """

    rows: Tensor
    pushed: Tensor

    def __init__(self, length: int, size: int) -> None:
        super().__init__()
        self.register_buffer("rows", F.normalize(torch.randn(length, size), dim=1))
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))

    @property
    def filled(self) -> Tensor:
        """The embeddings that were pushed, in any order, (at most K, size)."""
        return self.rows[: int(self.pushed)]

    @torch.no_grad()
    def push(self, rows: Tensor) -> None:
        """Put in embeddings of all processes, in place of the oldest ones."""
        length = len(self.rows)
        rows = rows[-length:]
        places = (int(self.pushed) + torch.arange(len(rows), device=rows.device)) % length
        self.rows[places] = rows.to(self.rows.dtype)
        self.pushed += len(rows)


def check_queue(queue: int, images: int) -> None:
    """Refuse a queue of keys that holds more than one of the same photo.

    Args:
        queue: K, the option ``method.queue``.
        images: of the training set.
    """
    require(
        0 < queue <= images,
        "method.queue",
        queue,
        f"in 1 to the number of photos, {images}: a longer one holds a photo's own key",
    )
