"""Convolutions of small maps with four ninths of the multiplications.

Winograd's minimal filtering F(2 x 2, 3 x 3), Lavin and Gray, https://arxiv.org/abs/1509.09308,
section 4.1: an output tile of 2 x 2 comes from an input tile of 4 x 4 by 16 multiplications instead
of 36, y = A' ((G w G') * (B' d B)) A. Over channels these are 16 matrix products; what carries maps
into them and back only adds. In float32 the result is the convolution's to the last digits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

G = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))
TURNED = [4 * row + place for row in (3, 1, 2, 0) for place in (3, 1, 2, 0)]
# a filter turned half round has the first and last rows and columns of its transform exchanged


class WinogradConvolution(torch.autograd.Function):
    """A 3 x 3 convolution, stride 1, padding 1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        """(N, C, H, W) and (D, C, 3, 3) to (N, D, H, W)."""
        # not the tiles, four times as large, nor the filters, twice: both are quickly made
        ctx.save_for_backward(x, weight)
        products = torch.bmm(input_tiles(x), filters_of(weight).transpose(1, 2))
        return maps_of(products, x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """(N, D, H, W) to the gradients of x and of the weights."""
        x, weight = ctx.saved_tensors
        of_x = of_weight = None
        if ctx.needs_input_grad[0]:  # a convolution again, by the filters turned half round
            products = torch.bmm(input_tiles(gradient), filters_of(weight)[TURNED])
            of_x = maps_of(products, gradient.shape)
        if ctx.needs_input_grad[1]:
            products = torch.bmm(
                gradient_tiles(gradient).transpose(1, 2), input_tiles(x)
            )  # (16, D, C)
            of_filters = kronecker(weight).T @ products.view(16, -1)  # (9, D C)
            of_weight = of_filters.view(3, 3, *weight.shape[:2]).permute(2, 3, 0, 1)
        return of_x, of_weight


def filters_of(weight: Tensor) -> Tensor:
    """G w G' of every filter, (D, C, 3, 3) to (16, D, C)."""
    filters = kronecker(weight) @ weight.permute(2, 3, 0, 1).reshape(9, -1)
    return filters.view(16, *weight.shape[:2])


def maps_of(products: Tensor, shape: torch.Size) -> Tensor:
    """A' m A of every tile, as maps: (N, D, H, W).

    Args:
        products: of input tiles with filters, (16, N T, D).
        shape: of the convolution's input, (N, C, H, W).
    """
    height, width = shape[2:]
    outputs = products.shape[2]
    rows, columns = -(-height // 2), -(-width // 2)
    m = products.view(4, 4, -1, rows, columns, outputs)
    maps = m.new_empty(m.shape[2], 2 * rows, 2 * columns, outputs)
    upper, lower = m[0] + m[1] + m[2], m[1] - m[2] - m[3]  # (4, N, rows, columns, D)
    for row, half in enumerate((upper, lower)):
        torch.add(half[0] + half[1], half[2], out=maps[:, row::2, 0::2])
        torch.sub(half[1] - half[2], half[3], out=maps[:, row::2, 1::2])
    return maps[:, :height, :width].permute(0, 3, 1, 2)


def input_tiles(x: Tensor) -> Tensor:
    """B' d B of every tile of 4 x 4, of which neighbours share two rows or columns.

    Args:
        x: maps, (N, C, H, W); quickest where channels are last in memory.

    Returns:
        One matrix for each place in a tile, (16, N T, C), T tiles a map.
    """
    count, channels, height, width = x.shape
    rows, columns = -(-height // 2), -(-width // 2)
    beyond = (0, 0, 1, 2 * columns + 1 - width, 1, 2 * rows + 1 - height)
    padded = functional.pad(x.permute(0, 2, 3, 1), beyond)
    tiles = x.new_empty(4, 4, count, rows, columns, channels)
    d = [padded[:, place : place + 2 * rows - 1 : 2] for place in range(4)]
    for row, strip in enumerate((d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3])):
        e = [strip[:, :, place : place + 2 * columns - 1 : 2] for place in range(4)]
        torch.sub(e[0], e[2], out=tiles[row, 0])
        torch.add(e[1], e[2], out=tiles[row, 1])
        torch.sub(e[2], e[1], out=tiles[row, 2])
        torch.sub(e[1], e[3], out=tiles[row, 3])
    return tiles.view(16, -1, channels)


def gradient_tiles(gradient: Tensor) -> Tensor:
    """A g A' of every tile of 2 x 2 of a gradient, (N, D, H, W) to (16, N T, D)."""
    count, outputs, height, width = gradient.shape
    rows, columns = -(-height // 2), -(-width // 2)
    whole = gradient.permute(0, 2, 3, 1)
    if height % 2 or width % 2:
        whole = functional.pad(whole, (0, 0, 0, width % 2, 0, height % 2))
    tiles = gradient.new_empty(4, 4, count, rows, columns, outputs)
    upper, lower = whole[:, 0::2], whole[:, 1::2]
    for row, strip in enumerate((upper, upper + lower, upper - lower, -lower)):
        left, right = strip[:, :, 0::2], strip[:, :, 1::2]
        tiles[row, 0] = left
        torch.add(left, right, out=tiles[row, 1])
        torch.sub(left, right, out=tiles[row, 2])
        torch.neg(right, out=tiles[row, 3])
    return tiles.view(16, -1, outputs)


def kronecker(like: Tensor) -> Tensor:
    """What carries the nine weights of a filter into its sixteen, (16, 9)."""
    filters = like.new_tensor(G)
    return torch.kron(filters, filters)
