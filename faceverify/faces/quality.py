"""Face quality: size, sharpness, pose and exposure.

Each component is measured in its unit and scored from 0 (useless) to 1 (good); the quality is the
worst component, since a single one can spoil a comparison.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from PIL import Image

from faceverify.faces.detection import Face
from faceverify.faces.similarity import HALF, similarity, warp

# Where each component scores 0 and where it scores 1.
EYE_DISTANCE = (8.0, 40.0)
SHARPNESS = (2.0, 9.0)  # on LFW: 6.3 at the 1st percentile, 10.9 at the median
TURN = (1.0, 0.35)
BRIGHTNESS_SPREAD = (8.0, 35.0)
CLIPPED = (0.5, 0.1)

PROBE_SIDE = 64  # pixels; the scale at which sharpness and exposure are measured
PROBE_POINTS = ((20.0, 24.0), (44.0, 24.0), (32.0, 36.0), (23.0, 48.0), (41.0, 48.0))


@dataclass(frozen=True)
class Quality:
    """Quality of a face and its components.

    Attributes:
        score: of the worst component, in [0, 1].
        eye_distance: between the eyes, in pixels of the photo.
        sharpness: mean absolute Laplacian of the grey face at 64 pixels, in grey levels.
        turn: yaw and pitch of the head: the nose's distance from its place between eyes
            and mouth in a frontal face, in eye distances; 0 frontal, about 0.5 at a half profile.
        brightness: mean grey level, 0 to 255.
        contrast: standard deviation of the grey levels.
        clipped: share of pixels that are black or white.
    """

    score: float
    eye_distance: float
    sharpness: float
    turn: float
    brightness: float
    contrast: float
    clipped: float

    def as_dict(self) -> dict[str, float]:
        """Plain values, for JSON."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def measure_quality(image: Image.Image, face: Face, scale: float = 1.0) -> Quality:
    """Quality of a face.

    Args:
        image: RGB, possibly at a reduced scale.
        face: in pixels of the image.
        scale: pixels of the photo per pixel of the image.
    """
    probe = warp(image, similarity(face.points - HALF, PROBE_POINTS), (PROBE_SIDE, PROBE_SIDE))
    grey = np.asarray(probe.convert("L"), np.float32)  # (64, 64)
    inner = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    eye_distance = float(np.hypot(*(face.points[1] - face.points[0]))) * scale
    sharpness = float(np.abs(4 * inner - around).mean())
    turn = head_turn(face)
    contrast = float(grey.std())
    clipped = float(((grey <= 2) | (grey >= 253)).mean())
    parts = (
        ramp(eye_distance, *EYE_DISTANCE),
        ramp(sharpness, *SHARPNESS),
        ramp(turn, *TURN),
        ramp(contrast, *BRIGHTNESS_SPREAD),
        ramp(clipped, *CLIPPED),
    )
    return Quality(min(parts), eye_distance, sharpness, turn, float(grey.mean()), contrast, clipped)


def head_turn(face: Face) -> float:
    """Distance of the nose from its place in a frontal face, in eye distances.

    Measured along the face's axes, so that in-plane rotation does not count.
    """
    left, right, nose, mouth_left, mouth_right = face.points @ np.array([1, 1j])
    eyes, mouth = (left + right) / 2, (mouth_left + mouth_right) / 2
    across, down = right - left, mouth - eyes
    if abs(across) < 1e-6 or abs(down) < 1e-6:
        return 2.0
    # 0.55: the nose of a frontal face, as a share of the way from the eyes to the mouth
    offset = (nose - (eyes + 0.55 * down)) / across
    squeeze = 1 - min(
        1.0, abs(across) / abs(down) / 0.8
    )  # in profile, the eyes lie closer together
    return float(abs(offset) + squeeze)


def ramp(value: float, zero: float, one: float) -> float:
    """Linear from 0 at ``zero`` to 1 at ``one``, constant outside."""
    return float(np.clip((value - zero) / (one - zero), 0, 1))
