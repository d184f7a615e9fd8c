"""BiGAN: encoder and generator deceive one discriminator: https://arxiv.org/abs/1605.09782.

The same as ALI, Dumoulin et al. 2017, https://arxiv.org/abs/1606.00704.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from faceverify.models.contract import Contract
from faceverify.training.data.loading.counter_rng import normal_draws
from faceverify.training.data.views import Batch, Views
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact, mean_of_all
from faceverify.training.methods.parts.decoder import Decoder, map_sizes
from faceverify.training.methods.parts.heads import mlp
from faceverify.training.optim.view_encoder import Embed


class BiGAN(Method):
    """A discriminator learns pairs (x, E(x)) from pairs (G(z), z); E and G learn to deceive it.

    Both in one step and one loss (section 3): its first half has the pairs without gradient, its
    second half the discriminator's weights without. In the second the labels are swapped instead
    of the sign of the loss, as the authors do: E and G learn while the discriminator is ahead.

    Args:
        channels: of the generator's last map, and of the discriminator's first.
        hidden: width of the discriminator of pairs.
    """

    views: ClassVar[Views] = Views(1)
    compares_images: ClassVar[bool] = False
    collapse: ClassVar[str] = (
        "usual causes: the discriminator is far ahead (told_apart near 1), and the encoder learns "
        "nothing; try a lower --learning-rate, --set method.hidden=64, a larger --batch-size"
    )

    def __init__(
        self, *, embedding_size: int, contract: Contract, channels: int = 8, hidden: int = 256
    ) -> None:
        super().__init__()
        require(hidden > 0, "method.hidden", hidden, "at least 1")
        height, width = contract.height, contract.width
        self.generator = Decoder(embedding_size, height=height, width=width, channels=channels)
        self.discriminator = Discriminator(
            embedding_size, height=height, width=width, channels=channels, hidden=hidden
        )
        self._logits = torch.zeros(2, 0)

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`; of the images of this process, as each is by itself."""
        (images,) = batch.views
        (rows,) = embed(batch.views)  # E(x), (N, D)
        with exact(rows):
            codes = rows.float()
            drawn = torch.from_numpy(normal_draws(batch.keys, codes.shape[1])).float()  # z
            drawn = drawn.to(codes.device)
            pictures = torch.cat([images, self.generator(drawn)])
            numbers = torch.cat([codes, drawn])  # (2 N, D)
            weights = dict(self.discriminator.named_parameters())
            still = {name: weight.detach() for name, weight in weights.items()}
            judged = self.judged(weights, pictures.detach(), numbers.detach())
            deceived = self.judged(still, pictures, numbers)
            self._logits = judged.detach()
            return told_apart(judged[0], judged[1]) + told_apart(deceived[1], deceived[0])

    def judged(self, weights: Mapping[str, Tensor], pictures: Tensor, numbers: Tensor) -> Tensor:
        """Logits of the pairs of photos and of pictures, (2, N), by a discriminator of weights."""
        logits: Tensor = functional_call(self.discriminator, dict(weights), (pictures, numbers))
        return logits.view(2, -1)

    def signs(self) -> dict[str, float]:
        """See :meth:`Method.signs`: the discriminator's loss, 2 log 2 where it can but guess.

        And its accuracy, a half where it can but guess.
        """
        real, made = self._logits
        losses = F.softplus(-real) + F.softplus(made)
        right = ((real > 0).float() + (made < 0).float()) / 2
        return {"discriminator_loss": mean_of_all(losses), "told_apart": mean_of_all(right)}


class Discriminator(nn.Module):
    """Pairs of an image, (N, 3, H, W), and its numbers, (N, D), to logits of being real, (N,).

    Args:
        inputs: D.
        height, width: of an image.
        channels: of the first map; each further one has twice as many.
        hidden: width of what sees both.
    """

    def __init__(self, inputs: int, *, height: int, width: int, channels: int, hidden: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before, sizes = 3, map_sizes(height, width)
        for at in range(len(sizes) - 1):
            after = channels * min(1 << at, 8)
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.LeakyReLU(0.2)]
            before = after
        last = sizes[0][0] * sizes[0][1]
        self.image = nn.Sequential(*layers, nn.Flatten(), nn.Linear(before * last, hidden))
        self.both = mlp((hidden + inputs, hidden, hidden, 1), norm=False)

    def forward(self, images: Tensor, numbers: Tensor) -> Tensor:
        """(N, 3, H, W) and (N, D) to (N,)."""
        seen = F.leaky_relu(self.image(images), 0.2)
        logits: Tensor = self.both(torch.cat([seen, numbers], dim=1))
        return logits.squeeze(1)


def told_apart(first: Tensor, second: Tensor) -> Tensor:
    """Loss of a discriminator that is to call the first pairs real and the second not, ().

    Args:
        first, second: logits, (N,) each.
    """
    return (F.softplus(-first) + F.softplus(second)).mean()
