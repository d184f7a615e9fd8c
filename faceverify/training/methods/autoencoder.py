"""Autoencoder: a photo painted from its embedding: https://doi.org/10.1145/1390156.1390294.

Vincent et al. 2008, denoising autoencoders, sections 2.2 and 2.3: parts of the photo may be hidden
from the encoder, and are painted nevertheless.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from faceverify.models.contract import Contract
from faceverify.training.data.loading.counter_rng import draws_of
from faceverify.training.data.views import Batch, Views
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact
from faceverify.training.methods.parts.decoder import Decoder, Painted
from faceverify.training.optim.view_encoder import Embed


class Autoencoder(Method):
    """Mean squared error of the pixels that are painted from the embedding.

    Args:
        noise: share of the pixels that the backbone sees as the mean colour; 0 for none.
        channels: of the decoder's last map.
    """

    views: ClassVar[Views] = Views(1)
    compares_images: ClassVar[bool] = False
    collapse: ClassVar[str] = ""  # alike embeddings paint one face for all

    def __init__(
        self, *, embedding_size: int, contract: Contract, noise: float = 0.0, channels: int = 8
    ) -> None:
        super().__init__()
        require(0 <= noise < 1, "method.noise", noise, "in 0 to below 1")
        self.noise = noise
        self.decoder = Decoder(
            embedding_size, height=contract.height, width=contract.width, channels=channels
        )
        self._painted: Painted | None = None

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`; of the images of this process, as each is by itself."""
        (images,) = batch.views
        where = torch.ones_like(images[:, :1])
        seen = images
        if self.noise:
            count, _, height, width = images.shape
            shown = draws_of(batch.keys, height * width) >= self.noise
            seen = images * torch.from_numpy(shown.reshape(count, 1, height, width)).to(images)
        (rows,) = embed([seen])  # (N, D)
        with exact(rows):
            pictures = self.decoder(rows.float())
            self._painted = Painted(pictures.detach(), images, where)
            return (pictures - images).square().mean()

    def signs(self) -> dict[str, float]:
        """See :meth:`Method.signs`: the share of the variance between photos that is painted."""
        return {"explained": self._painted.explained()} if self._painted else {}
