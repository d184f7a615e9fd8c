"""Jigsaw: in which order nine tiles of a photo are: https://arxiv.org/abs/1603.09246, section 3."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from faceverify.models.contract import Contract
from faceverify.training.data.loading.counter_rng import draws_of
from faceverify.training.data.views import Batch, Views
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact, mean_of_all
from faceverify.training.methods.parts.heads import mlp
from faceverify.training.methods.parts.tiles import AROUND, CELLS, CENTRE, make_grid
from faceverify.training.optim.view_encoder import Embed

MOST_ORDERS = 1000  # as many as the paper has


class Jigsaw(Method):
    """Cross-entropy of the order that tiles were put into, out of some; each is embedded alone.

    Tiles are smaller than their cells and lie anywhere in them, so that edges do not run on from
    one to the next, and have one mean and spread (section 3).

    Args:
        permutations: orders to tell apart.
        tile: side of a tile over that of a cell, a third of the photo.
        hidden: width of the classifier of nine embeddings, which is left behind.
    """

    views: ClassVar[Views] = Views(1)
    compares_images: ClassVar[bool] = False
    collapse: ClassVar[str] = (
        "usual causes: which part of a face a tile is tells its place, and is the same for all "
        "people: the embedding of every nose is the same; stop earlier, or use another method"
    )

    orders: Tensor

    def __init__(
        self,
        *,
        embedding_size: int,
        backbone: nn.Module,
        contract: Contract,
        permutations: int = 64,
        tile: float = 0.85,
        hidden: int = 256,
    ) -> None:
        super().__init__()
        require(
            2 <= permutations <= MOST_ORDERS,
            "method.permutations",
            permutations,
            f"in 2 to {MOST_ORDERS}",
        )
        require(hidden > 0, "method.hidden", hidden, "at least 1")
        self.grid = make_grid("jigsaw", contract, backbone, tile=tile, jitter=None)
        orders = torch.from_numpy(distant_permutations(permutations).astype(np.int64))
        self.register_buffer("orders", orders, persistent=False)  # (P, 9), always the same
        self.classifier = mlp((CELLS * embedding_size, hidden, permutations), norm=False)
        self._right = torch.zeros(0)

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`; of the images of this process, as each is by itself."""
        (images,) = batch.views
        draws = draws_of(batch.keys, 1 + 2 * CELLS)
        cells = np.tile((CENTRE, *AROUND), (len(images), 1))  # first the one the log looks at
        tiles = self.grid.tiles(images, cells, draws[:, 1:].reshape(-1, CELLS, 2))
        rows = torch.stack(embed(tiles), dim=1)  # (N, 9, D)
        drawn = torch.from_numpy(np.floor(len(self.orders) * draws[:, 0]).astype(np.int64))
        order = drawn.to(rows.device)  # (N,)
        with exact(rows):
            shuffled = torch.take_along_dim(rows.float(), self.orders[order][:, :, None], dim=1)
            logits = self.classifier(shuffled.flatten(1))  # (N, P)
            self._right = logits.argmax(dim=1) == order
            return F.cross_entropy(logits, order)

    def signs(self) -> dict[str, float]:
        """See :meth:`Method.signs`: the share of orders that are told; by chance, one in P."""
        return {"pretext_accuracy": mean_of_all(self._right)}


def distant_permutations(count: int, items: int = CELLS) -> NDArray[np.uint8]:
    """Permutations that differ at many places, (count, items); the first is the order itself.

    Algorithm 1 of the paper takes one after the other: that of the largest mean Hamming distance
    from those taken. Many share it, so here the least distance decides first, then the mean, then
    the order of a dictionary: the set is always the same, and that of a smaller count begins it.

    Args:
        count: at most the factorial of items.
        items: to permute.
    """
    rows = all_permutations(items)
    found = [0]
    least = np.full(len(rows), items, np.int64)
    total = np.zeros(len(rows), np.int64)
    while len(found) < count:
        apart = (rows != rows[found[-1]]).sum(axis=1)
        np.minimum(least, apart, out=least)
        total += apart
        found.append(int((least * (items * count + 1) + total).argmax()))
    return rows[found]


def all_permutations(items: int) -> NDArray[np.uint8]:
    """All permutations of 0 to items - 1 in the order of a dictionary, (factorial, items)."""
    rows = np.zeros((1, 0), np.uint8)
    for size in range(1, items + 1):
        parts = [
            np.column_stack([np.full(len(rows), first, np.uint8), rows + (rows >= first)])
            for first in range(size)
        ]
        rows = np.concatenate(parts)
    return rows
