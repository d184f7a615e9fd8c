"""Encoder of several views of each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Embed = Callable[[Sequence[Tensor]], list[Tensor]]
"""From images of each view, (N, 3, H, W), to raw embeddings of each, (N, D)."""


class ViewEncoder(nn.Module):
    """Embeds all views of a batch, of one size, in one call of the backbone.

    So its gradient is averaged over processes once a step, and batch normalisation uses the
    statistics of all views.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, views: Sequence[Tensor]) -> list[Tensor]:
        """Images of each view, (N, 3, H, W), to raw embeddings of each, (N, D)."""
        if len(views) == 1:
            return [self.backbone(views[0])]
        return list(self.backbone(torch.cat(tuple(views))).split([len(view) for view in views]))
