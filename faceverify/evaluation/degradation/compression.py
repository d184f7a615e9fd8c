"""JPEG compression."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from faceverify.evaluation.degradation.face_frame import FaceFrame, Pixels


def compression(photo: Pixels, _: FaceFrame, strength: float, __: np.random.Generator) -> Pixels:
    """The photo written as JPEG and read back.

    Args:
        photo: RGB, (H, W, 3).
        strength: 101 less the quality of libjpeg, 1 to 100.
    """
    stored = BytesIO()
    Image.fromarray(photo).save(stored, "JPEG", quality=round(101 - strength))
    return np.asarray(Image.open(stored).convert("RGB"))
