"""Gaussian noise of a sensor, independent in every pixel and colour."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.degradation.face_frame import FaceFrame, Pixels


def noise(photo: Pixels, frame: FaceFrame, strength: float, draws: np.random.Generator) -> Pixels:
    """Normal noise added, clipped to what a byte holds.

    Args:
        photo: RGB, (H, W, 3).
        frame: of its face.
        strength: standard deviation in grey levels, in a pixel of the aligned crop; a finer photo,
            whose pixels are averaged there, gets more.
        draws: of the noise.
    """
    return to_bytes(photo + draws.standard_normal(photo.shape) * (strength * frame.scale))


def to_bytes(levels: NDArray[np.float64]) -> Pixels:
    """Grey levels rounded and clipped to 0 to 255."""
    return np.asarray(np.clip(np.rint(levels), 0, 255), np.uint8)
