"""1 x 1 convolutions with a stride, on a processor: subsample first, then convolve with stride 1.

oneDNN 3.12 (torch 2.14) does the same inside, and writes beyond the end of its workspace where the
weights of such a convolution learn, maps lie channels-last and there are fewer input channels than
a register holds: https://github.com/uxlfoundation/oneDNN/issues/6035. ``docs/adr/0024`` has which
shapes do that, ``scripts/check_convolutions.py`` finds them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SAFE_CHANNELS = 16  # float32 numbers in the widest register, of AVX-512


class SubsampledConv2d(nn.Conv2d):
    """A 1 x 1 convolution whose stride is taken before it, on a processor, where gradients follow.

    Elsewhere it is the convolution that it was: a model file keeps its stride.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, height, width) to (N, D, height / stride, width / stride), rounded up."""
        if not x.is_cpu or not torch.is_grad_enabled():
            return super().forward(x)
        stride = self.stride
        self.stride = (1, 1)
        try:
            return super().forward(x[:, :, :: stride[0], :: stride[1]])
        finally:
            self.stride = stride


def subsample_first(backbone: nn.Module) -> None:
    """Exchange the convolutions of a backbone that are not safe; weights and names stay.

    Args:
        backbone: is changed.
    """
    for module in backbone.modules():
        if is_unsafe(module):
            kind = type(module)  # nn.Conv2d, or one that standardises its weights first, say
            module.__class__ = type(kind.__name__, (SubsampledConv2d, kind), {})


def is_unsafe(module: nn.Module) -> bool:
    """Whether a module is a convolution whose weight gradient oneDNN may write out of bounds."""
    return (
        isinstance(module, nn.Conv2d)
        and not isinstance(module, SubsampledConv2d)
        and module.kernel_size == (1, 1)
        and module.stride != (1, 1)
        and module.groups == 1
        and module.in_channels < SAFE_CHANNELS
    )
