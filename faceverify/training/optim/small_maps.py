"""Convolutions of small maps as matrix products, faster on a CPU than oneDNN's convolutions.

oneDNN keeps a row of the map in registers while it iterates over channels. A row of four leaves
most of them empty: at 4 x 4 it reaches half of the speed that it has at 7 x 7. In bfloat16 the nine
shifted maps are concatenated and multiplied with the weights at once (im2col): the same sums in
another order. In float32, where multiplications dominate, Winograd's algorithm needs fewer of them.

Measured, 128 maps of 4 x 4 with 512 channels, one thread, forward and backward together: float32
405 and 230 ms (im2col 334), bfloat16 194 and 74 ms. From 7 x 7 on there is no gain. Where matrix
products have half of the speed of convolutions, see :func:`products_at_half_speed`, float32 gains
only up to 2 x 2.
"""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from faceverify.training.optim.winograd import WinogradConvolution

LARGEST = 5  # largest side of a map for which matrix products are faster
LARGEST_AT_HALF_SPEED = 2  # the same in float32, where they have half of the speed
CPU_INFO = Path("/proc/cpuinfo")


class SmallMapConv2d(nn.Conv2d):
    """A 3 x 3 convolution, stride 1, padding 1, by matrix products on small maps in train mode.

    In eval mode, and on larger maps, it is torch's.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, height, width) to (N, D, height, width)."""
        if max(x.shape[2:]) > LARGEST or not self.training or not x.is_cpu:
            return super().forward(x)
        weight = self.weight
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            x, weight = x.to(dtype), weight.to(dtype)
        is_large = x.dtype == torch.float32 and max(x.shape[2:]) > LARGEST_AT_HALF_SPEED
        if is_large and products_at_half_speed():
            return super().forward(x)
        way = (
            WinogradConvolution if x.dtype in (torch.float32, torch.float64) else MatrixConvolution
        )
        y: Tensor = way.apply(x, weight)
        return y


@cache
def products_at_half_speed() -> bool:
    """Whether float32 matrix products have half of the speed of convolutions.

    torch has the former from MKL, which uses AVX-512 on Intel's processors alone, the latter from
    oneDNN, which uses it on all: 195 and 485 GFLOP/s of two cores of an AMD EPYC (torch 2.14). So
    256 maps of 4 x 4 with 512 channels take 122 ms by torch's convolution there, 170 by Winograd's
    algorithm; as a processor with AVX2 alone 218 and 175.
    """
    if not torch.backends.cpu.get_cpu_capability().startswith("AVX512"):
        return False
    maker = CPU_INFO.read_text() if CPU_INFO.exists() else platform.processor()
    return "AuthenticAMD" in maker


class MatrixConvolution(torch.autograd.Function):
    """Convolution by im2col: y = columns(x) W, see :func:`columns`."""

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
    """im2col: the 3 x 3 neighbourhood of each position as a row, with zero padding.

    Args:
        x: maps, (N, C, H, W); fastest in channels-last memory.

    Returns:
        (N H W, 9 C), each neighbourhood row by row.
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
    """Replace the 3 x 3 convolutions of a backbone; weights and names stay.

    Args:
        backbone: changed in place.
    """
    for module in backbone.modules():
        for name, part in module.named_children():
            if fits(part):
                module.add_module(name, exchanged(part))


def fits(module: nn.Module) -> bool:
    """Whether a module is a convolution that :class:`SmallMapConv2d` can replace."""
    return (
        type(module) is nn.Conv2d
        and (module.kernel_size, module.stride, module.padding) == ((3, 3), (1, 1), (1, 1))
        and module.dilation == (1, 1)
        and module.groups == 1
        and module.bias is None
        and module.padding_mode == "zeros"
    )


def exchanged(convolution: nn.Module) -> SmallMapConv2d:
    """The convolution as a :class:`SmallMapConv2d`, with the same parameters and hooks."""
    other = SmallMapConv2d.__new__(SmallMapConv2d)
    other.__dict__ = convolution.__dict__
    return other
