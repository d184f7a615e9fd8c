"""Necks: from a feature map to an embedding."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from faceverify.training.config.fields import config_error

NECKS = ("fc", "pool")


def make_neck(
    kind: str, *, channels: int, side: int, embedding_size: int, dropout: float
) -> nn.Sequential:
    """Make the last stage of a backbone.

    ``fc`` is option E of ArcFace (https://arxiv.org/abs/1801.07698, section 3.1): norm, dropout, a
    dense layer over all positions of the map, norm. As faces are aligned, positions carry
    information, which the dense layer keeps; see :class:`ToSide` for crops of other sizes. ``pool``
    averages over positions first: 1/49 of the weights at 7 x 7.

    The gain of the last norm is fixed to 1, as published.

    Args:
        kind: one of ``NECKS``.
        channels, side: of the feature map, (N, channels, side, side).
        embedding_size: numbers in an embedding.
        dropout: probability, in [0, 1).

    Raises:
        TrainingError: no such neck, or dropout out of range.
    """
    if kind not in NECKS:
        raise config_error(f"backbone.neck is {kind!r}, not one of {', '.join(NECKS)}")
    check_dropout(dropout)
    if kind == "pool":
        return nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                dropout=nn.Dropout(dropout),
                projection=nn.Linear(channels, embedding_size),
            )
        )
    output_norm = nn.BatchNorm1d(embedding_size)
    output_norm.weight.requires_grad = False
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(channels),
            side=ToSide(side),
            dropout=nn.Dropout(dropout),
            flatten=nn.Flatten(),
            projection=nn.Linear(channels * side * side, embedding_size),
            output_norm=output_norm,
        )
    )


class ToSide(nn.Module):
    """Maps of a crop of another size, with as many positions as those of the net's own crops.

    A layer with weights for each position takes no other number of them. So where a method embeds
    small views, tiles or patches, their maps are interpolated linearly, as if those crops had been
    enlarged; maps of the own size pass as they are, and exported models do not have this layer.

    Args:
        side: positions a side.
    """

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, maps: Tensor) -> Tensor:
        """(N, C, height, width) to (N, C, side, side)."""
        if maps.shape[2:] == (self.side, self.side):
            return maps
        rows, columns = (self.weights(maps, count) for count in maps.shape[2:])
        return torch.einsum("yh,nchw,xw->ncyx", rows, maps, columns)

    def weights(self, maps: Tensor, count: int) -> Tensor:
        """Share of each of ``count`` positions in each of the wanted ones, (side, count).

        A product by them has the same gradient in every run, which interpolation on a GPU has not.
        """
        own = torch.eye(count, dtype=maps.dtype, device=maps.device)
        return interpolate(own[None], self.side, mode="linear")[0].T


def check_dropout(dropout: float) -> None:
    """Check a dropout probability.

    Raises:
        TrainingError: it is not in [0, 1).
    """
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise config_error(f"backbone.dropout is {dropout!r}, not a share of 0 to below 1")
