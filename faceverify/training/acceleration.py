"""What makes a step fast on a processor, and safe; see ``docs/adr/0016`` and ``0023``."""

from __future__ import annotations

import ctypes
import sys

import torch
from torch import nn

from faceverify.training.small_maps import use_for_small_maps
from faceverify.training.strided_pointwise import subsample_first

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # of glibc's malloc.h


def prepare(backbone: nn.Module, device: torch.device) -> None:
    """Make a backbone's steps safe, and as fast as its device can; what it computes stays.

    On a GPU there is nothing to do here: its allocator keeps memory, and its convolutions have no
    weak spot. The memory layout, precision and compilation are the caller's.

    Args:
        backbone: is changed; the names of its weights stay.
        device: that it runs on.
    """
    if device.type != "cpu":
        return
    subsample_first(backbone)
    use_for_small_maps(backbone)
    torch.set_flush_denormal(True)
    keep_memory()


def keep_memory() -> bool:
    """Have the process keep memory that it frees, for the next step.

    By default glibc maps every large block anew and gives it back when freed: the system then
    clears, page by page, a gigabyte that the step before has just used, a tenth of the time of a
    step of ResNet-18. What a process holds no longer falls below the most it ever needed.

    Returns:
        Whether it could be asked for: on Linux with glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    wanted = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 64 << 20))
    return all(mallopt(option, value) == 1 for option, value in wanted)


def plain_module(module: nn.Module) -> nn.Module:
    """Take off what compiling and running on several processes wrapped around a backbone."""
    while True:
        inner = getattr(module, "_orig_mod", None) or getattr(module, "module", None)
        if not isinstance(inner, nn.Module):
            return module
        module = inner
