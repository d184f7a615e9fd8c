"""VAE: a sample near the embedding paints the photo: https://arxiv.org/abs/1312.6114, eq. 10.

The weight of the divergence: Higgins et al. 2017, beta-VAE.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from faceverify.models.contract import Contract
from faceverify.training.data.loading.counter_rng import normal_draws
from faceverify.training.data.views import Batch, Views
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact, mean_of_all
from faceverify.training.methods.parts.decoder import Decoder, Painted
from faceverify.training.optim.view_encoder import Embed


class VAE(Method):
    """Half the squared error of a picture painted from a sample, and beta times the divergence.

    The backbone gives the mean of the sample, which is the exported embedding; a layer that is left
    behind makes the logarithm of its variance from that. Both terms are over the number of pixels,
    so that a learning rate suits any size; each pixel has a variance of 1, in units of the
    backbone's input.

    Args:
        beta: weight of the divergence from a standard normal distribution; 1 is the paper's.
        channels: of the decoder's last map.
    """

    views: ClassVar[Views] = Views(1)
    compares_images: ClassVar[bool] = False
    collapse: ClassVar[str] = (
        "usual causes: the divergence outweighs the picture, so that the embedding tells nothing "
        "of the photo; try --set method.beta=0.1, a lower --learning-rate"
    )

    def __init__(
        self, *, embedding_size: int, contract: Contract, beta: float = 1.0, channels: int = 8
    ) -> None:
        super().__init__()
        require(beta >= 0, "method.beta", beta, "at least 0")
        self.beta = beta
        self.log_variance = nn.Linear(embedding_size, embedding_size)
        nn.init.zeros_(self.log_variance.bias)
        self.decoder = Decoder(
            embedding_size, height=contract.height, width=contract.width, channels=channels
        )
        self._divergence = torch.zeros(0)
        self._painted: Painted | None = None

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`; of the images of this process, as each is by itself."""
        (images,) = batch.views
        (rows,) = embed(batch.views)
        with exact(rows):
            mean = rows.float()  # (N, D)
            log_variance = self.log_variance(mean)
            noise = torch.from_numpy(normal_draws(batch.keys, mean.shape[1])).float()
            pictures = self.decoder(mean + (log_variance / 2).exp() * noise.to(mean.device))
            divergence = divergence_from_standard(mean, log_variance)  # (N,)
            self._divergence = divergence.detach()
            self._painted = Painted(pictures.detach(), images, torch.ones_like(images[:, :1]))
            error = (pictures - images).square().mean() / 2
            return error + self.beta * divergence.mean() / images[0].numel()

    def signs(self) -> dict[str, float]:
        """See :meth:`Method.signs`: what an embedding may tell, in nats; and what is painted."""
        if self._painted is None:
            return {}
        return {
            "divergence": mean_of_all(self._divergence),
            "explained": self._painted.explained(),
        }


def divergence_from_standard(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of normal distributions from the standard one, in nats, (N,).

    Args:
        mean, log_variance: of each number, (N, D).
    """
    return (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1) / 2
