"""From five points to an aligned crop: a similarity transform onto a template.

Shrinking goes through an area-aware filter before the image is sampled, so that a crop of a large
face does not alias.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from faceverify.faces.detection import Face

Floats = NDArray[np.float64]


SHRINK = Image.Resampling.BOX
SAMPLE = Image.Resampling.BICUBIC


@dataclass(frozen=True)
class FivePoints:
    """Rotate, scale and shift so that the face's five points fall on these.

    Attributes:
        points: left eye, right eye, nose, left and right mouth corner as seen in the crop; x and y
            in pixels of the crop.
        weights: how much each point counts in the fit.
    """

    points: tuple[tuple[float, float], ...]
    weights: tuple[float, ...] = (1.0, 1.0, 1.0, 1.0, 1.0)

    def crop(self, image: Image.Image, face: Face, size: tuple[int, int]) -> Image.Image:
        """Cut the aligned face out of its photo, (width, height) = size."""
        return warp(image, similarity(face.points, self.points, self.weights), size)

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        points = [list(point) for point in self.points]
        return {"kind": "five-points", "points": points, "weights": list(self.weights)}


@dataclass(frozen=True)
class BoxCrop:
    """Cut out the detector's box, widened, and stretch it; no rotation (facenet's way).

    Attributes:
        margin: share of the crop's side that lies outside the box, both sides together.
    """

    margin: float = 0.0

    def crop(self, image: Image.Image, face: Face, size: tuple[int, int]) -> Image.Image:
        """Cut the face's box out of its photo, (width, height) = size."""
        left, top, right, bottom = face.box
        extra_x, extra_y = ((side * self.margin / (1 - self.margin) / 2) for side in (right - left, bottom - top))
        box = (
            max(left - extra_x, 0),
            max(top - extra_y, 0),
            min(right + extra_x, image.width),
            min(bottom + extra_y, image.height),
        )
        return image.resize(size, SHRINK, box=box)

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return {"kind": "box", "margin": self.margin}


def similarity(source: ArrayLike, target: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """The rotation, scale and shift that best carry one set of points onto another.

    Weighted least squares; Umeyama 1991, https://doi.org/10.1109/34.88573, for the plane, where it
    is a complex number: target = a * source + b.

    Args:
        source, target: points, (K, 2).
        weights: how much each point counts, (K,); all alike by default.

    Returns:
        The 2 x 3 matrix [A | b] of ``target = A @ source + b``.
    """
    z, w = (np.asarray(points, float) @ np.array([1, 1j]) for points in (source, target))
    share = np.ones(len(z)) if weights is None else np.asarray(weights, float)
    share = share / share.sum()
    z_mean, w_mean = share @ z, share @ w
    spread = share @ np.abs(z - z_mean) ** 2
    a = share @ (np.conj(z - z_mean) * (w - w_mean)) / spread
    b = w_mean - a * z_mean
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def warp(image: Image.Image, matrix: Floats, size: tuple[int, int]) -> Image.Image:
    """Sample the image through a similarity; black where the crop reaches beyond it.

    Args:
        image: RGB.
        matrix: from image to crop, 2 x 3, in pixels with the centre of the first at (0, 0).
        size: width and height of the crop.
    """
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    half = np.array([0.5, 0.5])
    inverse = np.linalg.inv(matrix[:, :2])  # from here on: crop to image, as Pillow wants it,
    origin = half - inverse @ (half + matrix[:, 2])  # in pixels from the first one's edge
    if scale < 1:
        corners = origin + np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * size @ inverse.T
        reach = 2 / scale  # the bicubic kernel's, at the crop's resolution
        left, top = np.clip(np.floor(corners.min(axis=0) - reach), 0, np.subtract(image.size, 1))
        right, bottom = np.clip(np.ceil(corners.max(axis=0) + reach), (left + 1, top + 1), image.size)
        region = np.array([right - left, bottom - top])
        shrunk = np.maximum(np.round(region * scale), 1).astype(int)
        image = image.resize(tuple(shrunk.tolist()), SHRINK, box=(left, top, right, bottom))
        ratio = shrunk / region
        inverse, origin = inverse * ratio[:, None], (origin - (left, top)) * ratio
    (a, b), (d, e) = inverse
    coefficients = (a, b, origin[0], d, e, origin[1])
    return image.transform(size, Image.Transform.AFFINE, coefficients, SAMPLE)
