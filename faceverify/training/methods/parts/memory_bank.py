"""Memory bank: the last embedding of each image of the training set.

Wu et al. 2018, https://arxiv.org/abs/1805.01978, section 3.1.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class MemoryBank(nn.Module):
    """One unit row for each image; random before the image is first seen.

    It is part of a method's state, so that a resumed run has it; each process has all of it.

    Args:
        images: n.
        size: numbers in an embedding.
    """

    rows: Tensor

    def __init__(self, images: int, size: int) -> None:
        super().__init__()
        self.register_buffer("rows", F.normalize(torch.randn(images, size), dim=1))

    @torch.no_grad()
    def update(self, indices: Tensor, rows: Tensor, *, momentum: float) -> None:
        """Move the rows of some images towards their new embeddings, on the sphere.

        Args:
            indices: positions of the images in the set, (N,), of all processes.
            rows: their new embeddings, of unit length, (N, size).
            momentum: share of the old row that stays, in [0, 1); 0 replaces it.
        """
        first = (indices[:, None] == indices).int().argmax(dim=1)  # of an image that is in it twice
        moved = torch.lerp(rows[first].to(self.rows.dtype), self.rows[indices], momentum)
        self.rows[indices] = F.normalize(moved, dim=1)
