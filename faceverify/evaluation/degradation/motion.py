"""Motion blur: camera or face moved in a straight line while the shutter was open."""

from __future__ import annotations

import math

import numpy as np

from faceverify.evaluation.degradation.face_frame import FaceFrame, Pixels


def motion(photo: Pixels, frame: FaceFrame, strength: float, draws: np.random.Generator) -> Pixels:
    """Mean of the photo shifted step by step along a line of random direction.

    Args:
        photo: RGB, (H, W, 3).
        frame: of its face.
        strength: length of the way, in pixels of the aligned crop.
        draws: of the direction.
    """
    length = frame.pixels(strength)
    angle = draws.uniform(0, math.pi)
    height, width = photo.shape[:2]
    edge = length // 2 + 1
    around = np.pad(photo, ((edge, edge), (edge, edge), (0, 0)), mode="edge")
    total = np.zeros(photo.shape, np.uint32)
    for step in range(length):
        along = step - (length - 1) / 2
        x, y = edge + round(along * math.cos(angle)), edge + round(along * math.sin(angle))
        total += around[y : y + height, x : x + width]
    return ((total + length // 2) // length).astype(np.uint8)
