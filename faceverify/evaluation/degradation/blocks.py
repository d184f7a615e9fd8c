"""Pixelation: square blocks of one colour, as in mosaics and thumbnails shown large."""

from __future__ import annotations

import numpy as np
from PIL import Image

from faceverify.evaluation.degradation.face_frame import FaceFrame, Pixels


def blocks(photo: Pixels, frame: FaceFrame, strength: float, _: np.random.Generator) -> Pixels:
    """Each block takes its mean colour.

    Args:
        photo: RGB, (H, W, 3).
        frame: of its face.
        strength: side of a block, in pixels of the aligned crop.
    """
    side = frame.pixels(strength)
    height, width = photo.shape[:2]
    few = (max(1, width // side), max(1, height // side))
    small = Image.fromarray(photo).resize(few, Image.Resampling.BOX)
    return np.asarray(small.resize((width, height), Image.Resampling.NEAREST))
