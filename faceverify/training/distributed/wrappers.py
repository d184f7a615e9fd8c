"""A backbone without what compilation and several processes wrap around it."""

from __future__ import annotations

from torch import nn


def plain_module(module: nn.Module) -> nn.Module:
    """Take off what compiling and running on several processes wrapped around a backbone."""
    while True:
        inner = getattr(module, "_orig_mod", None) or getattr(module, "module", None)
        if not isinstance(inner, nn.Module):
            return module
        module = inner
