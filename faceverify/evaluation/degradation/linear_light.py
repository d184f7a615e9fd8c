"""Amounts of light of stored values, and back: the curve of sRGB (IEC 61966-2-1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.degradation.face_frame import Pixels
from faceverify.evaluation.degradation.noise import to_bytes

KNEE = 0.0031308  # of the amount of light; below it the curve is a line


def light_of(photo: Pixels) -> NDArray[np.float64]:
    """Amount of light of each value, in [0, 1], (H, W, 3)."""
    value = photo / 255
    return np.where(value <= 12.92 * KNEE, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def pixels_of(light: NDArray[np.float64]) -> Pixels:
    """Stored values of amounts of light; what is above 1 is burnt out."""
    curve = 1.055 * np.clip(light, KNEE, 1) ** (1 / 2.4) - 0.055
    return to_bytes(255 * np.where(light <= KNEE, 12.92 * light, curve))
