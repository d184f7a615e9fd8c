"""What makes a step fast on a processor, and safe; see ``docs/adr/0016`` and ``0024``."""

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

# of glibc's malloc.h: each parameter's number, what a run sets it to, and its default
MEMORY = {
    "mmap_max": (-4, 0, 65_536),
    "trim_threshold": (-1, 2**31 - 1, 128 << 10),
    "top_pad": (-2, 64 << 20, 128 << 10),
}


def prepare(backbone: nn.Module, device: torch.device) -> None:
    """Make a backbone's steps safe, and as fast as its device can; what it computes stays.

    On a GPU there is nothing to do here: its convolutions have no weak spot. The memory layout,
    precision and compilation are the caller's.

    Args:
        backbone: is changed; the names of its weights stay.
        device: that it runs on.
    """
    if device.type == "cpu":
        subsample_first(backbone)
        use_for_small_maps(backbone)


@contextmanager
def tuned_process(device: torch.device) -> Iterator[None]:
    """Inside, the whole process is set up for training on its processor; afterwards as it was.

    Numbers next to zero count as zero: arithmetic with them is many times slower. Memory that is
    freed is kept for the next step (see :func:`keep_memory`).

    Args:
        device: that it trains on; other ones than a CPU need none of it.
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
    """Have the process keep memory that it frees, for the next step.

    By default glibc maps every large block anew and gives it back when freed: the system then
    clears, page by page, a gigabyte that the step before has just used, a tenth of the time of a
    step of ResNet-18. What a process holds no longer falls below the most it ever needed.

    Returns:
        Whether it could be asked for: on Linux with glibc, where the environment has not set the
        same parameters (``MALLOC_TOP_PAD_`` and the like).
    """
    set_by_user = os.environ.get("GLIBC_TUNABLES", "")
    for name in MEMORY:
        if f"glibc.malloc.{name}" in set_by_user or f"MALLOC_{name.upper()}_" in os.environ:
            return False
    return _set_memory([(number, value) for number, value, _ in MEMORY.values()])


def give_memory_back() -> None:
    """Undo :func:`keep_memory`, and return what is free to the system.

    glibc does not tell what its parameters are: they become its defaults. That it adjusts two of
    them to the blocks that a process uses does not come back.
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
