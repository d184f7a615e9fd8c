"""Photos turned: by quarter turns, as of cameras without EXIF, and by small angles."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from faceverify.evaluation.degradation.face_frame import FaceFrame, Pixels


def turned(photo: Pixels, _: FaceFrame, strength: float, draws: np.random.Generator) -> Pixels:
    """The photo turned; what a small angle brings in at the corners is mirrored from beside them.

    Args:
        photo: RGB, (H, W, 3).
        strength: degrees; counter-clockwise by multiples of 90, else to a random side.
        draws: of the side.
    """
    clockwise = draws.integers(2)
    if strength % 90 == 0:
        return np.ascontiguousarray(np.rot90(photo, round(strength / 90)))
    height, width = photo.shape[:2]
    edge = math.ceil((math.hypot(height, width) - min(height, width)) / 2) + 2  # the corners
    around = np.pad(photo, ((edge, edge), (edge, edge), (0, 0)), mode="symmetric")
    angle = -strength if clockwise else strength
    image = Image.fromarray(around).rotate(angle, Image.Resampling.BICUBIC)
    box = (edge, edge, edge + width, edge + height)
    return np.asarray(image.crop(box))
