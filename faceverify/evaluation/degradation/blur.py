"""Gaussian blur: a lens out of focus."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from faceverify.evaluation.degradation.face_frame import FaceFrame, Pixels


def blur(photo: Pixels, frame: FaceFrame, strength: float, _: np.random.Generator) -> Pixels:
    """Gaussian filter.

    Args:
        photo: RGB, (H, W, 3).
        frame: of its face.
        strength: standard deviation, in pixels of the aligned crop.
    """
    softened = Image.fromarray(photo).filter(ImageFilter.GaussianBlur(strength * frame.scale))
    return np.asarray(softened)
