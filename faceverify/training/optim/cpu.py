"""CPU settings for fast and safe training steps; see ``docs/adr/0016`` and ``0024``."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from faceverify.training.optim.small_maps import use_for_small_maps
from faceverify.training.optim.strided_pointwise import subsample_first

# glibc's malloc.h: number of each parameter, its value during a run, its default
MEMORY = {
    "mmap_max": (-4, 0, 65_536),
    "trim_threshold": (-1, 2**31 - 1, 128 << 10),
    "top_pad": (-2, 64 << 20, 128 << 10),
}


def use_cpu_convolutions(backbone: nn.Module, device: torch.device) -> None:
    """Replace convolutions that are slow or unsafe on a CPU by equivalent ones.

    GPUs need none of it. Memory layout, precision and compilation are up to the caller.

    Args:
        backbone: changed in place; names and values of its weights stay.
        device: that it runs on.
    """
    if device.type == "cpu":
        subsample_first(backbone)
        use_for_small_maps(backbone)


@contextmanager
def tuned_process(device: torch.device) -> Iterator[None]:
    """Process-wide settings for training on a CPU, restored afterwards.

    Denormal numbers are flushed to zero: arithmetic with them is many times slower. Freed memory is
    kept for the next step (see :func:`keep_memory`).

    Args:
        device: of the training; nothing is set for other devices than a CPU.
    """
    if device.type != "cpu":
        yield
        return
    flushed = sys.float_info.min / 2 == 0
    torch.set_flush_denormal(True)
    kept = keep_memory()
    try:
        yield
    finally:
        torch.set_flush_denormal(flushed)
        if kept:
            give_memory_back()


def keep_memory() -> bool:
    """Make malloc keep freed memory for the next step.

    By default glibc maps each large block and unmaps it when freed: the system then clears, page by
    page, a gigabyte that the step before has just used, a tenth of the time of a step of ResNet-18.
    With this setting the memory of the process does not shrink.

    Returns:
        Whether it was set: on Linux with glibc, where the environment does not set the same
        parameters (``MALLOC_TOP_PAD_`` and the like).
    """
    set_by_user = os.environ.get("GLIBC_TUNABLES", "")
    for name in MEMORY:
        if f"glibc.malloc.{name}" in set_by_user or f"MALLOC_{name.upper()}_" in os.environ:
            return False
    return _set_memory([(number, value) for number, value, _ in MEMORY.values()])


def give_memory_back() -> None:
    """Undo :func:`keep_memory`, and return free memory to the system.

    glibc's parameters cannot be read: they are set to its defaults. Its dynamic adjustment of two
    of them to the sizes of freed blocks stays off.
    """
    _set_memory([(number, default) for number, _, default in MEMORY.values()])
    ctypes.CDLL(None).malloc_trim(0)


def _set_memory(parameters: list[tuple[int, int]]) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return all(mallopt(number, value) == 1 for number, value in parameters)
