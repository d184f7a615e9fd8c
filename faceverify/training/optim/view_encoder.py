"""A backbone that embeds several views of each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Embed = Callable[[Sequence[Tensor]], list[Tensor]]
"""From images of each view, (N, 3, H, W), to raw embeddings of each, (N, D)."""


class ViewEncoder(nn.Module):
    """One module for all views of a batch, of one size: they pass the backbone in one call.

    So processes average its gradient once a step, and batch statistics are those of all views.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, views: Sequence[Tensor]) -> list[Tensor]:
        """Images of each view, (N, 3, H, W), to raw embeddings of each, (N, D)."""
        if len(views) == 1:
            return [self.backbone(views[0])]
        return list(self.backbone(torch.cat(tuple(views))).split([len(view) for view in views]))
