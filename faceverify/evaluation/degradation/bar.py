"""Bars over the eyes, as newspapers print them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from faceverify.evaluation.degradation.face_frame import (
    BOTTOM,
    CROP,
    LEFT,
    RIGHT,
    TOP,
    FaceFrame,
    Pixels,
)


def bar(photo: Pixels, frame: FaceFrame, strength: float, draws: np.random.Generator) -> Pixels:
    """A bar across both eyes, of a random grey.

    Args:
        photo: RGB, (H, W, 3).
        frame: of its face.
        strength: share of the face's height that is covered, 0 to 1.
        draws: of the grey.
    """
    eyes = (CROP.points[0][1] + CROP.points[1][1]) / 2
    half = strength * (BOTTOM - TOP) / 2
    top = max(eyes - half, TOP)
    bottom = top + 2 * half
    grey = int(draws.integers(0, 256))
    outline = [(LEFT - 10, top), (RIGHT + 10, top), (RIGHT + 10, bottom), (LEFT - 10, bottom)]
    image = Image.fromarray(photo)
    ImageDraw.Draw(image).polygon(frame.place(outline), fill=(grey, grey, grey))
    return np.asarray(image)
