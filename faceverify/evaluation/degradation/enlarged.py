"""Tiny faces enlarged: a face of a few pixels, shown large."""

from __future__ import annotations

import numpy as np
from PIL import Image

from faceverify.evaluation.degradation.face_frame import FaceFrame, Pixels


def enlarged(photo: Pixels, frame: FaceFrame, strength: float, _: np.random.Generator) -> Pixels:
    """The photo made small (area means), and smoothly enlarged to its size.

    Args:
        photo: RGB, (H, W, 3).
        frame: of its face.
        strength: side of a pixel of the small photo, in pixels of the aligned crop.
    """
    side = max(strength * frame.scale, 1.0)
    height, width = photo.shape[:2]
    few = (max(1, round(width / side)), max(1, round(height / side)))
    small = Image.fromarray(photo).resize(few, Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))
