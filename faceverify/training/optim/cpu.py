"""CPU settings for fast and safe training steps; see ``docs/adr/0016`` and ``0024``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from faceverify.runtime.malloc import give_memory_back, keep_memory
from faceverify.training.optim.prelu import use_few_sweeps
from faceverify.training.optim.small_maps import use_for_small_maps
from faceverify.training.optim.strided_pointwise import subsample_first


def use_cpu_layers(backbone: nn.Module, device: torch.device) -> None:
    """Replace layers that are slow or unsafe on a CPU by equivalent ones.

    GPUs need none of it. Memory layout, precision and compilation are up to the caller.

    Args:
        backbone: changed in place; names and values of its weights stay.
        device: that it runs on.
    """
    if device.type == "cpu":
        subsample_first(backbone)
        use_for_small_maps(backbone)
        use_few_sweeps(backbone)


@contextmanager
def tuned_process(device: torch.device) -> Iterator[None]:
    """Process-wide settings for training on a CPU, restored afterwards.

    Denormal numbers are flushed to zero: arithmetic with them is many times slower. Freed memory is
    kept for the next step (see :func:`keep_memory`): clearing a gigabyte that the step before has
    just used was a tenth of the time of a step of ResNet-18.

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
