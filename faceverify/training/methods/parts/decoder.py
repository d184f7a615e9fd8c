"""Decoder: from the numbers of an embedding to a picture; and how much of a picture it paints.

Each stage doubles the picture by nearest neighbours and convolves it, which leaves no chequered
pattern: Odena et al. 2016, https://distill.pub/2016/deconv-checkerboard/.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor, nn

from faceverify.training.distributed.collectives import process_count, sum_over_processes
from faceverify.training.losses.loss import require
from faceverify.training.methods.method import mean_of_all

FIRST = 7  # side of the first map, at most
WIDEST = 8  # times the channels of the last map, at most


class Decoder(nn.Module):
    """Embeddings, (N, D), to pictures, (N, 3, height, width), of any size.

    Its norms are of each picture, so that a batch split over processes gives the same.

    Args:
        inputs: D.
        height, width: of a picture.
        channels: of the last map; those before it have more.
    """

    def __init__(self, inputs: int, *, height: int, width: int, channels: int) -> None:
        super().__init__()
        require(channels > 0, "method.channels", channels, "at least 1")
        self.sizes = map_sizes(height, width)
        depths = [channels * min(1 << at, WIDEST) for at in reversed(range(len(self.sizes)))]
        self.start = nn.Linear(inputs, depths[0] * self.sizes[0][0] * self.sizes[0][1])
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 3, padding=1),
                nn.GroupNorm(1, after),
                nn.ReLU(inplace=True),
            )
            for before, after in pairwise(depths)
        )
        self.paint = nn.Conv2d(channels, 3, 3, padding=1)

    def forward(self, rows: Tensor) -> Tensor:
        """(N, D) to (N, 3, height, width)."""
        first, *rest = self.sizes
        x = self.start(rows).view(len(rows), -1, *first).relu()
        for stage, size in zip(self.stages, rest, strict=True):
            x = stage(F.interpolate(x, size))
        painted: Tensor = self.paint(x)
        return painted


def map_sizes(height: int, width: int) -> list[tuple[int, int]]:
    """Heights and widths of the maps, each about half of the next, up to a picture's.

    >>> map_sizes(112, 96)
    [(7, 6), (14, 12), (28, 24), (56, 48), (112, 96)]
    """
    sizes = [(height, width)]
    while max(sizes[0]) > FIRST:
        sizes.insert(0, (-(-sizes[0][0] // 2), -(-sizes[0][1] // 2)))
    return sizes


class Painted(NamedTuple):
    """What a step painted of its images, without gradient.

    Args:
        pictures: (N, 3, H, W).
        targets: the photos they are of, (N, 3, H, W).
        where: 1 where they are to be alike, 0 elsewhere, (N, 1, H, W).
    """

    pictures: Tensor
    targets: Tensor
    where: Tensor

    def explained(self) -> float:
        """Share of the variance between the photos of the batch that is painted.

        0 for the mean photo, which is all that a constant embedding can paint; 1 for the photos
        themselves. Called in every process.
        """
        mean = sum_over_processes(self.targets.mean(dim=0)) / process_count()  # (3, H, W)
        error, variance = (
            mean_of_all((self.where * (self.targets - one).square()).mean(dim=(1, 2, 3)))
            for one in (self.pictures, mean)
        )
        return 1 - error / max(variance, 1e-12)
