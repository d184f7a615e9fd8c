"""Context encoder: a hidden block is painted: https://arxiv.org/abs/1604.07379, eq. 1.

Without the paper's adversarial loss (section 3.2), which makes the block sharp; the
features that the paper compares with others (section 5.2) were learned without it as well.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceverify.models.contract import Contract
from faceverify.training.data.loading.counter_rng import draws_of
from faceverify.training.data.views import Batch, Views
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact
from faceverify.training.methods.parts.decoder import Decoder, Painted
from faceverify.training.optim.view_encoder import Embed


class Inpaint(Method):
    """Mean squared error of a block that the backbone sees as the mean colour, at any place.

    Args:
        masked: share of the photo's area in the block.
        channels: of the decoder's last map.
    """

    views: ClassVar[Views] = Views(1)
    compares_images: ClassVar[bool] = False
    collapse: ClassVar[str] = ""  # alike embeddings paint one face for all

    def __init__(
        self, *, embedding_size: int, contract: Contract, masked: float = 0.25, channels: int = 8
    ) -> None:
        super().__init__()
        require(0 < masked < 1, "method.masked", masked, "above 0 and below 1")
        height, width = contract.height, contract.width
        self.block = (
            max(1, round(math.sqrt(masked) * height)),
            max(1, round(math.sqrt(masked) * width)),
        )
        self.decoder = Decoder(embedding_size, height=height, width=width, channels=channels)
        self._painted: Painted | None = None

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`; of the images of this process, as each is by itself."""
        (images,) = batch.views
        size = (images.shape[2], images.shape[3])
        block = torch.from_numpy(blocks_at(draws_of(batch.keys, 2), self.block, size))
        hidden = block[:, None].to(images)  # (N, 1, H, W)
        (rows,) = embed([images * (1 - hidden)])  # (N, D)
        with exact(rows):
            pictures = self.decoder(rows.float())
            self._painted = Painted(pictures.detach(), images, hidden)
            error = (hidden * (pictures - images)).square().sum()
            return error / (images.shape[1] * hidden.sum())

    def signs(self) -> dict[str, float]:
        """See :meth:`Method.signs`: the share of the blocks' variance that is painted."""
        return {"explained": self._painted.explained()} if self._painted else {}


def blocks_at(
    draws: NDArray[np.float64], block: tuple[int, int], size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Whether each pixel is in a block, (N, H, W).

    Args:
        draws: of the places of the blocks, in [0, 1), (N, 2).
        block: height and width of each, in pixels.
        size: of the images, (H, W).
    """
    inside = []
    for axis in range(2):
        first = np.floor(draws[:, axis] * (size[axis] - block[axis] + 1))[:, None]  # (N, 1)
        places = np.arange(size[axis])
        inside.append((places >= first) & (places < first + block[axis]))
    return inside[0][:, :, None] & inside[1][:, None, :]
