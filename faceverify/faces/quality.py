"""Face quality: how much of an identity the aligned face still shows.

Each component is measured in the face's crop (arcface-112) and scored from 0 (nothing left) to 1
(as in good photos); the quality is their product: one alone can spoil a comparison, and what is
spoilt slightly in several ways is worth little, too.
The model adds one of its own, the length of the embedding before it is scaled to 1, which no
measure of pixels can stand for (:mod:`faceverify.embeddings.extractor`).

The limits are set on LFW View 1, degraded by ``faceverify.evaluation.degradation``, so that the
rate of false matches among what is decided stays near its promise (docs/adr/0028-quality.md).
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceverify.faces.alignment import REFERENCE_POINTS
from faceverify.faces.detection import Face
from faceverify.faces.similarity import similarity, warp

Grey: TypeAlias = "NDArray[np.float32]"

# Where each component scores 0 and where it scores 1.
DETAIL = (3.1, 6.6)  # on LFW: 4.0 at the 0.1th percentile, 10.1 at the median
EYE_DETAIL = (3.0, 7.0)  # 4.6, 13
EYE_COVER = (0.6, 0.2)  # 0.12 at the 99.9th percentile, 0 at the median
FLATNESS = (0.33, 0.08)  # 0.11, 0
GRID = (3.2, 2.0)  # 2.7, 1.5
RESPONSE = (0.65, 1.0)  # 1 at the 5th percentile

FRAME = REFERENCE_POINTS["arcface-112"]
SIDE = FRAME.side  # pixels of the crop
FACE = (slice(30, 106), slice(22, 90))  # its rows and columns without hair and background
UPPER = (slice(34, 70), slice(22, 90))  # without what a mask covers
# Its left and its right half, and the eye in each
HALVES = (
    ((slice(34, 70), slice(22, 56)), (slice(42, 62), slice(26, 52))),
    ((slice(34, 70), slice(56, 90)), (slice(42, 62), slice(60, 86))),
)
CONTRAST = (12.0, 45.0)  # grey levels between which detail is taken relative to contrast
USUAL_CONTRAST = 35.0


@dataclass(frozen=True)
class Quality:
    """Quality of a face and what was measured.

    Attributes:
        score: product of the components' scores, in [0, 1].
        detail: second differences of the upper face, two pixels apart, in the direction in which
            they are smallest, in grey levels at usual contrast: low for blur, motion, enlarged
            faces. The lower face does not count: a mask has little detail.
        eye_detail: the same of an eye. Here and in the next two the better half of the upper face
            counts, since a profile shows one.
        eye_cover: share of the eye's region that is even: high behind a bar or under a hand.
        flatness: share of the upper face that is even: high for mosaics and strong compression.
        grid: how far lines of the crop stand out in both directions: high for mosaics.
        response: length of the model's embedding before it is scaled to 1, as a share of its usual
            length; 0 where there is no model or its usual length is unknown.
        eye_distance: between the eyes, in pixels of the photo.
        turn: yaw and pitch of the head: the nose's distance from its place between eyes and mouth
            in a frontal face, in eye distances; 0 frontal, about 0.5 at a half profile.
        brightness: mean grey level, 0 to 255.
        contrast: standard deviation of the grey levels.
    """

    score: float
    detail: float
    eye_detail: float
    eye_cover: float
    flatness: float
    grid: float
    eye_distance: float
    turn: float
    brightness: float
    contrast: float
    response: float = 0.0

    def as_dict(self) -> dict[str, float]:
        """Plain values, for JSON."""
        return {name: round(value, 4) for name, value in asdict(self).items()}

    @property
    def weakness(self) -> str:
        """What the worst component shows."""
        scored = [
            (ramp(self.eye_cover, *EYE_COVER), "an eye cannot be seen"),
            (ramp(self.detail, *DETAIL), "blurred, enlarged or moved"),
            (ramp(self.eye_detail, *EYE_DETAIL), "an eye cannot be seen"),
            (ramp(self.flatness, *FLATNESS), "pixelated or compressed"),
            (ramp(self.grid, *GRID), "pixelated or compressed"),
        ]
        if self.response:
            scored.append((ramp(self.response, *RESPONSE), "the model finds little in it"))
        return min(scored, key=lambda part: part[0])[1]  # the first of equal ones

    def with_response(self, response: float) -> Quality:
        """The quality with the component of the model.

        Args:
            response: length of the embedding as a share of the model's usual length.
        """
        score = self.score * ramp(response, *RESPONSE)
        return replace(self, score=score, response=response)


def measure_quality(image: Image.Image, face: Face, scale: float = 1.0) -> Quality:
    """Quality of a face, without the component of the model.

    Args:
        image: RGB, possibly at a reduced scale.
        face: in pixels of the image.
        scale: pixels of the photo per pixel of the image.
    """
    crop = warp(image, similarity(face.points, FRAME.points), (SIDE, SIDE))
    return quality_of_crop(np.asarray(crop.convert("L"), np.float32), face, scale)


Half: TypeAlias = "tuple[float, float, float]"


def measure_half(upper: Grey, eye: Grey) -> Half:
    """Eye detail, eye cover and flatness of a half of the upper face."""
    detail = least_detail(eye) * to_usual_contrast(upper)
    return detail, float(even(eye, 3).mean()), float(even(upper, 2).mean())


def score_of_half(half: Half) -> float:
    """Product of the scores of the components of a half of the upper face."""
    limits = (EYE_DETAIL, EYE_COVER, FLATNESS)
    return math.prod(ramp(value, *limit) for value, limit in zip(half, limits, strict=True))


def to_usual_contrast(grey: Grey) -> float:
    """Factor by which differences of grey levels are those of usual contrast."""
    return USUAL_CONTRAST / float(np.clip(grey.std(), *CONTRAST))


def quality_of_crop(grey: Grey, face: Face, scale: float = 1.0) -> Quality:
    """Quality of a face by its aligned crop, grey, (112, 112)."""
    inner, upper = grey[FACE], grey[UPPER]
    detail, grid = least_detail(upper) * to_usual_contrast(upper), lines(inner)
    half = max((measure_half(grey[upper], grey[eye]) for upper, eye in HALVES), key=score_of_half)
    return Quality(
        score_of_half(half) * ramp(detail, *DETAIL) * ramp(grid, *GRID),
        detail,
        *half,
        grid,
        eye_distance=float(np.hypot(*(face.points[1] - face.points[0]))) * scale,
        turn=head_turn(face),
        brightness=float(inner.mean()),
        contrast=float(inner.std()),
    )


# Directions of second differences: pixels down and across, and their usual size
DIRECTIONS = (
    (0, 2, 1.0),
    (2, 0, 1.0),
    (2, 2, 1.25),
    (2, -2, 1.25),
    (1, 2, 1.06),
    (2, 1, 1.06),
    (1, -2, 1.06),
    (2, -1, 1.06),
)


def least_detail(grey: Grey) -> float:
    """Mean absolute second difference, about two pixels apart, in the least of 8 directions."""
    height, width = grey.shape

    def shifted(down: int, across: int) -> Grey:
        return grey[2 + down : height - 2 + down, 2 + across : width - 2 + across]

    middle = 2 * shifted(0, 0)
    return min(
        float(np.abs(middle - shifted(down, across) - shifted(-down, -across)).mean()) / usual
        for down, across, usual in DIRECTIONS
    )


def even(grey: Grey, levels: float) -> NDArray[np.bool_]:
    """Whether the 3 x 3 pixels around each differ by at most so many grey levels."""
    views = [grey[row : row - 2 or None, column : column - 2 or None]
             for row in range(3) for column in range(3)]  # fmt: skip
    return np.asarray(np.maximum.reduce(views) - np.minimum.reduce(views) <= levels)


def lines(grey: Grey) -> float:
    """How far the strongest lines of pixels stand out from the others, in both directions.

    Of the mean absolute differences between neighbouring columns, and between rows: the 90th
    percentile over the median; the smaller of the two.
    """
    found = []
    for axis in (0, 1):
        steps = np.abs(np.diff(grey, axis=axis)).mean(axis=1 - axis)
        found.append(float(np.percentile(steps, 90) / (np.median(steps) + 0.3)))
    return min(found)


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
