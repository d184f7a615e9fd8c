"""Removal of torch.compile and DistributedDataParallel wrappers."""

from __future__ import annotations

from torch import nn


def plain_module(module: nn.Module) -> nn.Module:
    """The module inside torch.compile and DistributedDataParallel wrappers."""
    while True:
        inner = getattr(module, "_orig_mod", None) or getattr(module, "module", None)
        if not isinstance(inner, nn.Module):
            return module
        module = inner
