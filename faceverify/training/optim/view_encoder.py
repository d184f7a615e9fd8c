"""Encoder of several views of each image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import torch
from torch import Tensor, nn

from faceverify.training.config.fields import config_error
from faceverify.training.optim.freezing import eval_mode

Embed = Callable[..., list[Tensor]]
"""From images of each view, (N, 3, H, W), to raw embeddings of each, (N, D); from L parts of each
image, (N, L, 3, h, w), to theirs, (N, L, D).

With ``keep``, the patches of each image to look at, (N, L), to their tokens, (N, L, D), for a
backbone with patches. With ``maps=True`` to the embeddings of each view, then the feature maps of
each, (N, C, h, w), for a backbone with those."""


class ViewEncoder(nn.Module):
    """Embeds all views of a batch in one call of itself, those of one size in one of the backbone.

    So its gradient is averaged over processes once a step, and batch normalisation uses the
    statistics of all views of a size.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone: Any = backbone

    def forward(
        self, views: Sequence[Tensor], keep: Tensor | None = None, *, maps: bool = False
    ) -> list[Tensor]:
        """Images of each view, (N, 3, H, W), to raw embeddings of each, (N, D); see ``Embed``."""
        if keep is not None:
            return [self.backbone.tokens(view, keep) for view in views]
        if maps:
            features = each_view(self.backbone.maps, views)
            return each_view(self.backbone.from_maps, features) + features
        return each_view(self.parts, views)

    def parts(self, images: Tensor) -> Tensor:
        """Embeddings of images, or of the parts of each."""
        if images.dim() < 5:
            rows: Tensor = self.backbone(images)
            return rows
        rows = self.backbone(images.flatten(0, 1))
        return rows.view(*images.shape[:2], -1)


def each_view(made: Callable[[Tensor], Tensor], views: Sequence[Tensor]) -> list[Tensor]:
    """What is made of each view, those of one size together."""
    rows: list[Tensor] = []
    for _, same in groupby(views, key=lambda view: view.shape[1:]):
        group = list(same)
        if len(group) == 1:
            rows.append(made(group[0]))
        else:
            rows += torch.split(made(torch.cat(group)), [len(view) for view in group])
    return rows


def require_side(backbone: nn.Module, side: int, parts: str) -> None:
    """Check that a backbone embeds the parts that a method cuts out of a crop.

    Args:
        backbone: on any device; its mode is restored.
        side: of a part, in pixels.
        parts: what has them, for the message: "method cpc has patches".

    Raises:
        TrainingError: it does not.
    """
    if not embeds_side(backbone, side):
        raise config_error(
            f"{parts} of {side} pixels, and this backbone does not embed them",
            "use --backbone resnet18, or another for images of any size",
        )


def embeds_side(backbone: nn.Module, side: int) -> bool:
    """Whether a backbone embeds images of another size than its input.

    Args:
        backbone: on any device; its mode is restored.
        side: of the images, in pixels.
    """
    image = torch.zeros(1, 3, side, side, device=next(backbone.parameters()).device)
    try:
        with torch.no_grad(), eval_mode(backbone):
            return bool(backbone(image).isfinite().all())  # of no patch at all: the mean is NaN
    except (ArithmeticError, AssertionError, RuntimeError):  # timm's checks are assertions
        return False
