"""Contrastive predictive coding: rows of patches below: https://arxiv.org/abs/1905.09272, eq. 1, 2.

InfoNCE: van den Oord et al. 2018, https://arxiv.org/abs/1807.03748, eq. 4, section 3.3.
"""

from __future__ import annotations

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from faceverify.training.data.loading.counter_rng import Words, draws_of
from faceverify.training.data.views import Batch, Views
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import Method, exact, gathered
from faceverify.training.optim.view_encoder import Embed, require_side


class CPC(Method):
    """Cross-entropy of finding a patch some rows below among all patches of the batch.

    The backbone embeds overlapping patches, each by itself; a convolutional net summarises a patch
    and all rows above it, and predicts from that the patches below. The exported model embeds a
    whole crop at once, as a convolutional backbone does.

    Args:
        patch: side of a patch, in pixels.
        stride: pixels from one patch to the next.
        first, last: rows below that are predicted; those above the first overlap.
        one_channel: share of the patches of which one colour channel is seen, in all three: so that
            the colour of a photo does not give its patches away.
        depth: residual blocks of the context net.
        width: channels inside of them.
        projection: numbers that predictions and patches are compared by.
        scale: of the predictions.
    """

    views: ClassVar[Views] = Views(1)
    collapse: ClassVar[str] = (
        "usual causes: too high a learning rate, patches that their colour gives away; try a lower "
        "--learning-rate, --set method.one_channel=0.8"
    )

    def __init__(
        self,
        *,
        embedding_size: int,
        backbone: nn.Module,
        input_size: int,
        patch: int = 32,
        stride: int = 16,
        first: int = 2,
        last: int = 3,
        one_channel: float = 0.5,
        depth: int = 5,
        width: int = 256,
        projection: int = 64,
        scale: float = 0.1,
    ) -> None:
        super().__init__()
        require(
            0 < patch <= input_size,
            "method.patch",
            patch,
            f"in 1 to the side of a crop, {input_size}",
        )
        require(stride > 0, "method.stride", stride, "at least 1")
        self.side = (input_size - patch) // stride + 1  # patches in a row, and rows
        require(first > 0, "method.first", first, "at least 1")
        require(
            first <= last < self.side,
            "method.last",
            last,
            f"in method.first, {first}, to below the {self.side} rows of patches",
        )
        require(0 <= one_channel <= 1, "method.one_channel", one_channel, "in 0 to 1")
        require(depth > 0, "method.depth", depth, "at least 1")
        require(width > 0, "method.width", width, "at least 1")
        require(projection > 0, "method.projection", projection, "at least 1")
        require(scale > 0, "method.scale", scale, "above 0")
        require_side(backbone, patch, "method cpc has patches")
        self.patch, self.stride, self.one_channel = patch, stride, one_channel
        self.rows_below, self.scale = range(first, last + 1), scale
        self.context = nn.Sequential(
            *(RowsAbove(embedding_size, width) for _ in range(depth)), nn.ReLU()
        )
        self.predictors = nn.ModuleList(
            nn.Linear(embedding_size, projection) for _ in self.rows_below
        )
        self.target = nn.Linear(embedding_size, projection)

    def forward(self, embed: Embed, batch: Batch) -> Tensor:
        """See :meth:`Method.forward`."""
        (images,) = batch.views
        patches = overlapping(images, self.patch, self.stride)  # (N, L, 3, patch, patch)
        seen = one_channelled(patches, batch.keys, self.one_channel)
        (rows,) = gathered(embed([seen]))  # (N, L, D)
        with exact(rows):
            grid = rows.view(len(rows), self.side, self.side, -1)  # (N, R, C, D)
            context = self.context(grid.movedim(3, 1)).movedim(1, 3)  # (N, R, C, D)
            targets = self.target(grid)  # (N, R, C, P)
            losses = [
                info_nce(self.scale * predict(context), targets, below)
                for below, predict in zip(self.rows_below, self.predictors, strict=True)
            ]
            return torch.stack(losses).mean()


class RowsAbove(nn.Module):
    """Residual block of a masked convolution: each place sees its row and the one above.

    That of the appendix of the paper, after PixelCNN, https://arxiv.org/abs/1606.05328.

    Args:
        channels: of the grid, (N, channels, R, C).
        width: channels inside.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(channels, width, 1)
        self.across = nn.Conv2d(width, width, (1, 3), padding=(0, 1))
        self.down = nn.Conv2d(width, width, (2, 1))
        self.leave = nn.Conv2d(width, channels, 1)

    def forward(self, grid: Tensor) -> Tensor:
        """(N, channels, R, C) to the same."""
        inner = self.across(self.enter(grid).relu())
        inner = self.down(F.pad(inner, (0, 0, 1, 0))).relu()  # a row of zeros above the first
        total: Tensor = grid + self.leave(inner)
        return total


def overlapping(images: Tensor, patch: int, stride: int) -> Tensor:
    """Overlapping patches of images, row by row: (N, 3, H, W) to (N, L, 3, patch, patch)."""
    grid = images.unfold(2, patch, stride).unfold(3, patch, stride)  # (N, 3, R, C, patch, patch)
    return grid.permute(0, 2, 3, 1, 4, 5).flatten(1, 2)


def one_channelled(patches: Tensor, keys: Words, share: float) -> Tensor:
    """Patches, some with one of their channels in place of all three.

    Args:
        patches: (N, L, 3, patch, patch).
        keys: of the random numbers of each image, (N,).
        share: of the patches; in [0, 1].
    """
    count = patches.shape[1]
    draws = torch.from_numpy(draws_of(keys, 2 * count)).to(patches.device, torch.float32)
    channel = (draws[:, count:] * 3).long().clamp(max=2)  # (N, L)
    all_three = torch.arange(3, device=patches.device).expand(*channel.shape, 3)
    shown = torch.where((draws[:, :count] < share)[:, :, None], channel[:, :, None], all_three)
    return patches.gather(2, shown[:, :, :, None, None].expand_as(patches))


def info_nce(predictions: Tensor, targets: Tensor, below: int) -> Tensor:
    """Cross-entropy of the patch some rows below a place among all patches of the batch, ().

    Args:
        predictions: of that patch, made at each place, (N, R, C, P).
        targets: of each patch, (N, R, C, P).
        below: rows.
    """
    logits = predictions[:, :-below].flatten(0, 2) @ targets.flatten(0, 2).T
    own = torch.arange(targets[..., 0].numel(), device=targets.device).view(targets.shape[:3])
    return F.cross_entropy(logits, own[:, below:].flatten())
