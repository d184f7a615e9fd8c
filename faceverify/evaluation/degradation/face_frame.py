"""A face's frame: the coordinates of its aligned crop, 112 x 112, and where they lie in the photo.

Strengths are measured in it, so that a degradation takes as much from a large face as from a small
one, and whatever box a detector draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceverify.faces.alignment import REFERENCE_POINTS
from faceverify.faces.similarity import similarity

Pixels = NDArray[np.uint8]
"""A photo, RGB, (H, W, 3)."""

CROP = REFERENCE_POINTS["arcface-112"]
TOP, BOTTOM = 12.0, 120.0  # of a face in its frame: hairline and chin
LEFT, RIGHT = 10.0, 102.0


@dataclass(frozen=True, eq=False)
class FaceFrame:
    """The frame of a face in a photo.

    Attributes:
        matrix: from the frame to pixels of the photo, (2, 3).
    """

    matrix: NDArray[np.float64]

    @classmethod
    def of(cls, points: ArrayLike) -> FaceFrame:
        """The frame of five points, (5, 2), in pixels of the photo."""
        return cls(similarity(CROP.points, points))

    @property
    def scale(self) -> float:
        """Pixels of the photo per pixel of the crop."""
        return math.hypot(self.matrix[0, 0], self.matrix[1, 0])

    def pixels(self, length: float) -> int:
        """A length of the frame in whole pixels of the photo, at least 1."""
        return max(1, round(length * self.scale))

    def place(self, outline: ArrayLike) -> list[tuple[float, float]]:
        """Points of the frame, (K, 2), in pixels of the photo."""
        placed = np.asarray(outline, float) @ self.matrix[:, :2].T + self.matrix[:, 2]
        return [(x, y) for x, y in placed.tolist()]
