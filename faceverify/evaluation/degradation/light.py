"""Light from one direction: the far side of the face is darker."""

from __future__ import annotations

import numpy as np

from faceverify.evaluation.degradation.face_frame import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    FaceFrame,
    Pixels,
)
from faceverify.evaluation.degradation.linear_light import light_of, pixels_of

SIDES = np.array([[-1.0, 0.0], [1.0, 0.0]])  # as seen in the photo
ABOVE, BELOW = np.array([0.0, -1.0]), np.array([0.0, 1.0])


def from_the_side(
    photo: Pixels, frame: FaceFrame, strength: float, draws: np.random.Generator
) -> Pixels:
    """Light from the left or from the right, drawn; arguments as of :func:`from_above`."""
    return _lit(photo, frame, strength, SIDES[draws.integers(2)])


def from_above(
    photo: Pixels, frame: FaceFrame, strength: float, draws: np.random.Generator
) -> Pixels:
    """Light from above the face, along its own axis.

    Args:
        photo: RGB, (H, W, 3).
        frame: of its face.
        strength: light at the near end of the face over light at the far end, 1 or more.
        draws: not needed.
    """
    return _lit(photo, frame, strength, ABOVE)


def from_below(
    photo: Pixels, frame: FaceFrame, strength: float, draws: np.random.Generator
) -> Pixels:
    """Light from below the face; arguments as of :func:`from_above`."""
    return _lit(photo, frame, strength, BELOW)


def _lit(photo: Pixels, frame: FaceFrame, strength: float, direction: np.ndarray) -> Pixels:
    """The amount of light falls geometrically from sqrt(strength) to its inverse, and stays so."""
    height, width = photo.shape[:2]
    inverse = np.linalg.inv(frame.matrix[:, :2])
    column, row = np.meshgrid(np.arange(width), np.arange(height))
    places = np.stack([column, row], axis=-1) - frame.matrix[:, 2]  # (H, W, 2)
    middle = ((LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2)
    half = (RIGHT - LEFT) / 2 if direction[0] else (BOTTOM - TOP) / 2
    along = np.clip((places @ inverse.T - middle) @ direction / half, -1, 1)  # (H, W)
    return pixels_of(light_of(photo) * strength ** (along / 2)[..., None])
