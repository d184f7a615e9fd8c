"""Convolutions of small maps as matrix products: what a CPU's convolutions are slow at.

oneDNN keeps a row of the map in registers while it goes over channels. A row of four leaves most of
them empty: at 4 x 4 it reaches half of the speed that it has at 7 x 7. In bfloat16 the nine shifted
maps are laid side by side and multiplied with the weights at once: the same sums in another order.
In float32, where multiplying is what takes the time, there are fewer of them (``winograd.py``).

Measured, 128 maps of 4 x 4 with 512 channels, one thread, forward and backward together: float32
405 and 230 ms (laid side by side 334), bfloat16 194 and 74 ms. From 7 x 7 on nothing is gained.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from faceverify.training.optim.winograd import WinogradConvolution

LARGEST = 5  # side of a map up to which products are the faster way


class SmallMapConv2d(nn.Conv2d):
    """A 3 x 3 convolution, stride 1, padding 1, that learns on small maps by matrix products.

    Outside of learning, and on larger maps, it is torch's.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, height, width) to (N, D, height, width)."""
        if max(x.shape[2:]) > LARGEST or not self.training or not x.is_cpu:
            return super().forward(x)
        weight = self.weight
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            x, weight = x.to(dtype), weight.to(dtype)
        way = (
            WinogradConvolution if x.dtype in (torch.float32, torch.float64) else MatrixConvolution
        )
        y: Tensor = way.apply(x, weight)
        return y


class MatrixConvolution(torch.autograd.Function):
    """y = columns(x) W, see :func:`columns`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        """(N, C, H, W) and (D, C, 3, 3) to (N, D, H, W)."""
        count, _, height, width = ctx.shape = x.shape
        laid = columns(x)  # (N H W, 9 C)
        matrix = weight.permute(0, 2, 3, 1).reshape(len(weight), -1)  # (D, 9 C)
        ctx.save_for_backward(laid, matrix)
        return (laid @ matrix.T).view(count, height, width, -1).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """(N, D, H, W) to the gradients of x and of the weights."""
        laid, matrix = ctx.saved_tensors
        count, channels, height, width = ctx.shape
        outputs = len(matrix)
        of_y = gradient.permute(0, 2, 3, 1).reshape(-1, outputs)  # (N H W, D)
        of_x = of_weight = None
        if ctx.needs_input_grad[1]:
            of_weight = (of_y.T @ laid).view(outputs, 3, 3, channels).permute(0, 3, 1, 2)
        if ctx.needs_input_grad[0]:
            shifted = (of_y @ matrix).view(count, height, width, 3, 3, channels)
            padded = shifted.new_zeros(count, height + 2, width + 2, channels)
            for row in range(3):
                for column in range(3):
                    padded[:, row : row + height, column : column + width] += shifted[
                        :, :, :, row, column
                    ]
            of_x = padded[:, 1:-1, 1:-1].permute(0, 3, 1, 2)
        return of_x, of_weight


def columns(x: Tensor) -> Tensor:
    """Lay the 3 x 3 surroundings of each place side by side, zeros beyond the edge.

    Args:
        x: maps, (N, C, H, W); quickest where channels are last in memory.

    Returns:
        (N H W, 9 C), a surrounding's rows one after the other.
    """
    count, channels, height, width = x.shape
    padded = functional.pad(x.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    of_map, of_row, of_place, of_channel = padded.stride()
    windows = padded.as_strided(
        (count, height, width, 3, 3, channels),
        (of_map, of_row, of_place, of_row, of_place, of_channel),
    )
    return windows.reshape(count * height * width, 9 * channels)


def use_for_small_maps(backbone: nn.Module) -> None:
    """Exchange the convolutions of a backbone that may meet small maps; weights and names stay.

    Args:
        backbone: is changed.
    """
    for module in backbone.modules():
        for name, part in module.named_children():
            if fits(part):
                module.add_module(name, exchanged(part))


def fits(module: nn.Module) -> bool:
    """Whether a module is a convolution that can be done so."""
    return (
        type(module) is nn.Conv2d
        and (module.kernel_size, module.stride, module.padding) == ((3, 3), (1, 1), (1, 1))
        and module.dilation == (1, 1)
        and module.groups == 1
        and module.bias is None
        and module.padding_mode == "zeros"
    )


def exchanged(convolution: nn.Module) -> SmallMapConv2d:
    """The same convolution, with the same parameters and hooks, of the other class."""
    other = SmallMapConv2d.__new__(SmallMapConv2d)
    other.__dict__ = convolution.__dict__
    return other
