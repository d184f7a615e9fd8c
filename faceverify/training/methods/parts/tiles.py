"""Tiles of the images of a batch: a square in a cell of a three by three grid, moved at random."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from faceverify.models.contract import Contract
from faceverify.training.losses.loss import require
from faceverify.training.optim.view_encoder import require_side

CELLS = 9
CENTRE = 4
AROUND = (0, 1, 2, 3, 5, 6, 7, 8)  # the other cells, row by row
LEAST_CONTRAST = 0.05  # of a tile, against that of its photo: a plain one is not made into noise


@dataclass(frozen=True)
class Grid:
    """Nine cells of an image, row by row, and a tile in each.

    Args:
        cell: side of a cell, in pixels.
        tile: side of a tile, in pixels.
        play: pixels that a tile may be moved by, about the middle of its cell.
    """

    cell: int
    tile: int
    play: int

    def tiles(
        self, images: Tensor, cells: NDArray[np.int64], draws: NDArray[np.float64]
    ) -> list[Tensor]:
        """Tiles of each image, T of (N, 3, tile, tile), with the mean and spread of the image.

        So their colour and contrast do not tell where they are from (Noroozi and Favaro
        2016, section 3, where all have mean 0 and spread 1).

        Args:
            images: (N, 3, H, W).
            cells: that the tiles are from, (N, T).
            draws: random numbers in [0, 1), (N, T, 2).
        """
        starts = np.stack(np.divmod(cells, 3), axis=2) * self.cell  # (N, T, 2)
        moves = np.floor(draws * (self.play + 1)).astype(np.int64)
        corners = starts + (self.cell - self.tile - self.play) // 2 + moves
        places = torch.from_numpy(corners[..., None] + np.arange(self.tile)).to(images.device)
        image = torch.arange(len(images), device=images.device)[:, None, None]
        return [
            levelled(images[image, :, down[:, :, None], across[:, None, :]].permute(0, 3, 1, 2),
                     images)
            for down, across in places.permute(1, 2, 0, 3)
        ]  # fmt: skip


def levelled(tiles: Tensor, images: Tensor) -> Tensor:
    """Tiles with the mean and standard deviation of each channel of their images, (N, 3, S, S)."""
    spread, mean = torch.std_mean(tiles, dim=(2, 3), keepdim=True, correction=0)
    wanted, middle = torch.std_mean(images, dim=(2, 3), keepdim=True, correction=0)
    scale = wanted / torch.maximum(spread, LEAST_CONTRAST * wanted).clamp(min=1e-6)
    return (tiles - mean) * scale + middle


def make_grid(
    method: str, contract: Contract, backbone: nn.Module, *, tile: float, jitter: float | None
) -> Grid:
    """The grid of a backbone's input, whose tiles that backbone embeds.

    Args:
        method: its name, for the message.
        contract: of the backbone.
        backbone: on its device.
        tile: side of a tile over that of a cell.
        jitter: how far a tile is moved, over the side of a cell; None for anywhere in its cell.

    Raises:
        TrainingError: a share out of range, or the backbone embeds one size of image alone.
    """
    require(0 < tile <= 1, "method.tile", tile, "above 0 and at most 1")
    cell = min(contract.height, contract.width) // 3
    side = max(1, round(tile * cell))
    play = cell - side
    if jitter is not None:
        most = (1 - tile) / 2
        require(0 <= jitter <= most, "method.jitter", jitter, f"in 0 to {most:.3g}, or tiles meet")
        play = min(play, 2 * round(jitter * cell))
    require_side(backbone, side, f"method {method} has tiles")
    return Grid(cell, side, play)
