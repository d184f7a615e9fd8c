"""The neck: from a map of features to an embedding."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from faceverify.training.config.fields import config_error

NECKS = ("fc", "pool")


def make_neck(
    kind: str, *, channels: int, side: int, embedding_size: int, dropout: float
) -> nn.Sequential:
    """Make the last stage of a backbone.

    ``fc`` is option E of the ArcFace line of work: norm, dropout, a dense layer over every place of
    the map, norm. A face is aligned, so where in the map something is seen means something, and the
    dense layer keeps it. ``pool`` averages the map first: no place, 1/49 of the weights at 7 x 7.

    The gain of the last norm stays 1, as published: an embedding's directions weigh alike.

    Args:
        kind: one of ``NECKS``.
        channels, side: of the map that comes in, (N, channels, side, side).
        embedding_size: numbers in an embedding.
        dropout: share of features left out while learning, in [0, 1).

    Raises:
        TrainingError: no such neck, or no such share.
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
    """Refuse what is no share.

    Raises:
        TrainingError: it is not in [0, 1).
    """
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise config_error(f"backbone.dropout is {dropout!r}, not a share of 0 to below 1")
