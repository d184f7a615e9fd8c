"""Projectors and predictors: heads that a method learns beside the backbone and leaves behind."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn


def mlp(sizes: Sequence[int], *, norm: bool = True, last_norm: bool = False) -> nn.Sequential:
    """Multi-layer perceptron: linear layers with batch norm and ReLU between them.

    SimCLR, https://arxiv.org/abs/2002.05709, section 4.2; its three layers with a last norm are
    those of SimSiam, https://arxiv.org/abs/2011.10566, section 3.

    Args:
        sizes: of input, hidden layers and output.
        norm: whether a hidden layer has a batch norm.
        last_norm: whether the output has one, without gain and offset.
    """
    layers: list[nn.Module] = []
    last = len(sizes) - 2
    for index in range(last + 1):
        inputs, outputs = sizes[index], sizes[index + 1]
        normed = last_norm if index == last else norm
        layer = nn.Linear(inputs, outputs, bias=not normed)
        if layer.bias is not None:  # or all images would begin alike, where a method can stay
            nn.init.zeros_(layer.bias)
        layers.append(layer)
        if normed:
            layers.append(nn.BatchNorm1d(outputs, affine=index != last))
        if index != last:
            layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)
