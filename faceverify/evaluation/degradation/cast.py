"""Colour casts: light of another colour than the camera's white balance assumes."""

from __future__ import annotations

import numpy as np

from faceverify.evaluation.degradation.face_frame import FaceFrame, Pixels
from faceverify.evaluation.degradation.linear_light import light_of, pixels_of


def warm(photo: Pixels, _: FaceFrame, strength: float, draws: np.random.Generator) -> Pixels:
    """More red and less blue, as in the light of a bulb (von Kries: a factor a channel).

    Args:
        photo: RGB, (H, W, 3).
        strength: factor of red over that of blue; green stays.
        draws: not needed.
    """
    return pixels_of(light_of(photo) * (strength**0.5, 1.0, strength**-0.5))


def cold(photo: Pixels, _: FaceFrame, strength: float, draws: np.random.Generator) -> Pixels:
    """More blue and less red, as in shade; ``strength`` is the factor of blue over that of red."""
    return pixels_of(light_of(photo) * (strength**-0.5, 1.0, strength**0.5))
