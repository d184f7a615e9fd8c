"""Darkness: little light, and the noise of photons and of the sensor in what is left."""

from __future__ import annotations

import numpy as np

from faceverify.evaluation.degradation.face_frame import FaceFrame, Pixels
from faceverify.evaluation.degradation.noise import to_bytes

FULL_WELL = 2000.0  # electrons of a white pixel in good light: a small sensor's
READ_NOISE = 6.0  # electrons


def dark(photo: Pixels, frame: FaceFrame, strength: float, draws: np.random.Generator) -> Pixels:
    """Light divided; photon noise (normal, its variance the number of electrons) and read noise.

    Args:
        photo: RGB, (H, W, 3).
        frame: of its face; noise is per pixel of the aligned crop, as in ``noise``.
        strength: by how much the light is divided.
        draws: of the noise.
    """
    electrons = photo * (FULL_WELL / 255 / strength)
    deviation = np.sqrt(electrons + READ_NOISE**2) * frame.scale
    return to_bytes((electrons + draws.standard_normal(photo.shape) * deviation) * 255 / FULL_WELL)
