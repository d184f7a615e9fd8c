"""MAE: masked patches are painted from the others: https://arxiv.org/abs/2111.06377, section 3."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from faceverify.training.backbones.vit import ViT, blocks, patches_of, positions
from faceverify.training.config.fields import config_error
from faceverify.training.data.loading.counter_rng import draws_of
from faceverify.training.data.views import Batch, Views
from faceverify.training.distributed.wrappers import plain_module
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact
from faceverify.training.optim.view_encoder import Embed


class MAE(Method):
    """Mean squared error of the masked patches, each normalised; the encoder never sees them.

    Args:
        masked: share of the patches that is masked.
        decoder_width: numbers in a token of the decoder.
        decoder_depth: its blocks.
        decoder_heads: heads of its attention.
    """

    views: ClassVar[Views] = Views(1)
    least_batch: ClassVar[int] = 1
    compares_images: ClassVar[bool] = False
    embeds_images: ClassVar[bool] = False
    embeds_whole_views: ClassVar[bool] = False
    collapse: ClassVar[str] = ""  # alike embeddings paint no patch

    def __init__(
        self,
        *,
        embedding_size: int,
        backbone: nn.Module,
        input_size: int,
        masked: float = 0.75,
        decoder_width: int = 128,
        decoder_depth: int = 2,
        decoder_heads: int = 4,
    ) -> None:
        super().__init__()
        net = plain_module(backbone)
        if not isinstance(net, ViT):
            raise config_error(
                "method mae masks patches, and this backbone has none", "use --backbone vit"
            )
        require(0 < masked < 1, "method.masked", masked, "above 0 and below 1")
        require(decoder_width >= 4, "method.decoder_width", decoder_width, "at least 4")
        require(decoder_width % 4 == 0, "method.decoder_width", decoder_width, "a multiple of 4")
        require(decoder_depth > 0, "method.decoder_depth", decoder_depth, "at least 1")
        require(
            decoder_heads > 0 and decoder_width % max(decoder_heads, 1) == 0,
            "method.decoder_heads",
            decoder_heads,
            f"at least 1 and a divisor of method.decoder_width, {decoder_width}",
        )
        self.patch, self.side = net.patch, input_size // net.patch
        self.kept = max(1, round((1 - masked) * self.side**2))
        require(self.kept < self.side**2, "method.masked", masked, f"a patch of the {self.side**2}")
        self.enter = nn.Linear(embedding_size, decoder_width)
        self.mask = nn.Parameter(0.02 * torch.randn(decoder_width))
        self.decoder = blocks(decoder_depth, width=decoder_width, heads=decoder_heads)
        self.paint = nn.Sequential(
            nn.LayerNorm(decoder_width), nn.Linear(decoder_width, 3 * net.patch**2)
        )

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`; of the images of this process, as each is by itself."""
        (images,) = batch.views
        draws = torch.from_numpy(draws_of(batch.keys, self.side**2))  # (N, L)
        order = draws.argsort(dim=1).to(images.device)
        keep, gone = order[:, : self.kept], order[:, self.kept :]
        (tokens,) = embed([images], keep=keep)  # (N, L kept, D)
        with exact(images):
            painted = self.painted(tokens.float(), order)  # (N, L, 3 patch^2)
            target = normalised(patches_of(images.float(), self.patch))
            return (picked(painted, gone) - picked(target, gone)).square().mean()

    def painted(self, tokens: Tensor, order: Tensor) -> Tensor:
        """Pixels of all patches, in their order in the image, (N, L, 3 patch^2).

        Args:
            tokens: of the kept patches, (N, L kept, D).
            order: of the patches, those kept first, (N, L).
        """
        known = self.enter(tokens)
        count, total = order.shape
        masks = self.mask.expand(count, total - known.shape[1], -1)
        mixed = torch.cat([known, masks], dim=1)  # in the order drawn
        place = order.argsort(dim=1)
        decoded: Tensor = self.decoder(
            picked(mixed, place) + positions(self.side, self.side, mixed.shape[2]).to(mixed)
        )
        return self.paint(decoded)


def picked(rows: Tensor, at: Tensor) -> Tensor:
    """Rows at some places of each image: (N, L, D) and (N, M) to (N, M, D)."""
    return rows.gather(1, at[:, :, None].expand(-1, -1, rows.shape[2]))


def normalised(patches: Tensor) -> Tensor:
    """Patches with mean 0 and variance 1 of their pixels, (N, L, P)."""
    mean, variance = patches.mean(dim=2, keepdim=True), patches.var(dim=2, keepdim=True)
    return (patches - mean) / (variance + 1e-6).sqrt()
