"""Similarity transforms: fitted to points, and photos sampled through them.

A large face is shrunk by an area filter before the image is sampled, so that its crop does not
alias.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

Floats = NDArray[np.float64]

SHRINK = Image.Resampling.HAMMING  # least aliasing for its cost; a box lets stripes through
SAMPLE = Image.Resampling.BILINEAR


def similarity(source: ArrayLike, target: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Similarity transform (rotation, scale, shift) that best carries points onto others.

    Weighted least squares: Umeyama 1991, https://doi.org/10.1109/34.88573, for the plane, where it
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
    """An image sampled through a similarity transform; black outside the image.

    Args:
        image: RGB.
        matrix: from image to crop, 2 x 3, in pixels from the top left corner of each.
        size: width and height of the crop.
    """
    scale = math.hypot(matrix[0, 0], matrix[1, 0])
    inverse = np.linalg.inv(matrix[:, :2])  # from here on: crop to image, as Pillow takes it
    origin = -inverse @ matrix[:, 2]
    if scale < 1:
        corners = origin + np.array([[0, 0], [1, 0], [0, 1], [1, 1]]) * size @ inverse.T
        reach = 2 / scale  # of the filter kernel, with a margin, at the crop's resolution
        left, top = np.clip(np.floor(corners.min(axis=0) - reach), 0, np.subtract(image.size, 1))
        right, bottom = np.clip(
            np.ceil(corners.max(axis=0) + reach), (left + 1, top + 1), image.size
        )
        region = np.array([right - left, bottom - top])
        shrunk = np.maximum(np.round(region * scale), 1).astype(int)
        image = image.resize(tuple(shrunk.tolist()), SHRINK, box=(left, top, right, bottom))
        ratio = shrunk / region
        inverse, origin = inverse * ratio[:, None], (origin - (left, top)) * ratio
    (a, b), (d, e) = inverse
    coefficients = (a, b, origin[0], d, e, origin[1])
    return image.transform(size, Image.Transform.AFFINE, coefficients, SAMPLE)


def carried_back(points: ArrayLike, matrix: Floats) -> Floats:
    """Points, (K, 2), whose images under a transform, 2 x 3, these are."""
    carried: Floats = (np.asarray(points, float) - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    return carried
