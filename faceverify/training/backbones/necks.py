"""Necks: from a feature map to an embedding."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from faceverify.training.config.fields import config_error

NECKS = ("fc", "pool")


def make_neck(
    kind: str, *, channels: int, side: int, embedding_size: int, dropout: float
) -> nn.Sequential:
    """Make the last stage of a backbone.

    ``fc`` is option E of ArcFace (https://arxiv.org/abs/1801.07698, section 3.1): norm, dropout, a
    dense layer over all positions of the map, norm. As faces are aligned, positions carry
    information, which the dense layer keeps. ``pool`` averages over positions first: 1/49 of the
    weights at 7 x 7.

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
            dropout=nn.Dropout(dropout),
            flatten=nn.Flatten(),
            projection=nn.Linear(channels * side * side, embedding_size),
            output_norm=output_norm,
        )
    )


def check_dropout(dropout: float) -> None:
    """Check a dropout probability.

    Raises:
        TrainingError: it is not in [0, 1).
    """
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise config_error(f"backbone.dropout is {dropout!r}, not a share of 0 to below 1")
