"""Whether a net normalises its input itself, found by running it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Rows = NDArray[np.float32]

IMAGES = 8
CONTRAST = 0.1  # of the small input, which lies around 0
# How differently a net embeds such images, as a share of what it does with pixels of 0 to 255. One
# that normalises its input itself sees images of a thousandth of the usual contrast, all alike:
# 0.0022 for SFace, 1e-4 for dlib's net, less for others. One that does not sees grey ones: 0.3 and
# more.
ITSELF, NOT_ITSELF = 0.01, 0.06


def probe_images(side: int) -> NDArray[np.uint8]:
    """Smooth images of many colours, the same every time, (IMAGES, side, side, 3)."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (IMAGES, 5, 5, 3), np.uint8)
    size, bicubic = (side, side), Image.Resampling.BICUBIC
    return np.stack([np.asarray(Image.fromarray(one).resize(size, bicubic)) for one in coarse])


def normalises_itself(embed: Callable[[Rows], Rows], side: int) -> bool | None:
    """Whether a net takes pixels of 0 to 255, and not numbers around 0 of about -1 to 1.

    Args:
        embed: from its input, (N, 3, side, side), to embeddings, (N, D).
        side: of its input, in pixels.

    Returns:
        None where its embeddings do not tell.
    """
    pixels = probe_images(side).transpose(0, 3, 1, 2).astype(np.float32)
    raw = spread(embed(pixels))
    small = spread(embed((pixels - 127.5) * np.float32(CONTRAST / 127.5)))
    if not np.isfinite(small) or not np.isfinite(raw):
        return bool(np.isfinite(raw)) if np.isfinite(raw) != np.isfinite(small) else None
    if small < ITSELF * raw:
        return True
    return False if small > NOT_ITSELF * raw else None


def spread(rows: Rows) -> float:
    """Mean squared distance of unit rows from their mean; NaN where a row is no embedding."""
    rows64 = rows.astype(np.float64)
    lengths = np.linalg.norm(rows64, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        return float("nan")
    unit = rows64 / lengths
    return float(np.square(unit - unit.mean(axis=0)).sum(axis=1).mean())
