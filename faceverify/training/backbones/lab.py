"""Two encoders side by side, of luminance and of chrominance, ``lab:NAME``.

Tian et al. 2019 (CMC), https://arxiv.org/abs/1906.05849, section 4.1: the views of an image in the
colour space Lab, and as its representation the embeddings of both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from faceverify.training.config.fields import config_error

# sRGB to CIE XYZ by IEC 61966-2-1, each row divided by that of its white, D65
TO_XYZ = (
    (0.4124564 / 0.95047, 0.3575761 / 0.95047, 0.1804375 / 0.95047),
    (0.2126729, 0.7151522, 0.0721750),
    (0.0193339 / 1.08883, 0.1191920 / 1.08883, 0.9503041 / 1.08883),
)
BEND = 6 / 29  # where the cube root of Lab begins


class Lab(nn.Module):
    """Embeddings of luminance and of chrominance, one after the other; see :func:`lab`."""

    encoders: ClassVar[tuple[str, ...]] = ("luminance", "chrominance")

    def __init__(self, luminance: nn.Module, chrominance: nn.Module) -> None:
        super().__init__()
        self.luminance, self.chrominance = luminance, chrominance

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that the encoders, of timm, have without weight decay."""
        return {
            f"{side}.{name}"
            for side in self.encoders
            for name in getattr(self.get_submodule(side), "no_weight_decay", frozenset)()
        }

    def forward(self, crops: Tensor) -> Tensor:
        """(N, 3, size, size), RGB in [-1, 1], to (N, embedding size): a half from each encoder."""
        light, colour = lab_views(crops)
        return torch.cat([self.luminance(light), self.chrominance(colour)], dim=1)


def lab(
    build: Callable[..., nn.Module], *, embedding_size: int, size: int = 112, **options: Any
) -> Lab:
    """Build both encoders.

    Args:
        build: builds one; its arguments are as here.
        embedding_size: numbers in an embedding, of both together.
        size: side of a crop, in pixels.
        options: of each encoder.

    Raises:
        TrainingError: the embedding cannot be halved, or an encoder cannot be built.
    """
    if embedding_size % 2:
        raise config_error(
            f"backbone.embedding_size is {embedding_size}, and a lab: backbone has two encoders "
            "with half of it each",
            "make it even",
        )
    halves = (build(embedding_size=embedding_size // 2, size=size, **options) for _ in range(2))
    return Lab(*halves)


def lab_views(crops: Tensor) -> tuple[Tensor, Tensor]:
    """Luminance in three equal channels, and chrominance a, b and zeros, (N, 3, H, W) each.

    L* is 0 to 100, a* and b* of skin some tens; all are in fifties, so that distances stay those of
    the colour space.

    Args:
        crops: sRGB, in [-1, 1], (N, 3, H, W).
    """
    level = ((crops.float() + 1) / 2).clamp(0, 1)
    linear = torch.where(level > 0.04045, ((level + 0.055) / 1.055) ** 2.4, level / 12.92)
    red, green, blue = linear.unbind(dim=1)
    x, y, z = (bent(row[0] * red + row[1] * green + row[2] * blue) for row in TO_XYZ)  # (N, H, W)
    light = (116 * y - 16) / 50 - 1
    a, b = 10 * (x - y), 4 * (y - z)
    return torch.stack([light] * 3, dim=1), torch.stack([a, b, torch.zeros_like(a)], dim=1)


def bent(share: Tensor) -> Tensor:
    """Cube root, and a line near 0: CIE 15, eq. 8.4."""
    line = share / (3 * BEND**2) + 4 / 29
    return torch.where(share > BEND**3, share.clamp(min=BEND**3) ** (1 / 3), line)
