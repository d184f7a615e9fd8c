"""Means over areas, against brute force."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from faceverify.faces.area_means import AreaMeans


def adaptive_mean(pixels: np.ndarray, height: int, width: int) -> np.ndarray:
    """Brute force: the mean of every source pixel that an output pixel touches."""
    out = np.zeros((height, width, 3))
    for row in range(height):
        top, bottom = row * len(pixels) // height, -(-(row + 1) * len(pixels) // height)
        for column in range(width):
            left = column * pixels.shape[1] // width
            right = -(-(column + 1) * pixels.shape[1] // width)
            out[row, column] = pixels[top:bottom, left:right].mean(axis=(0, 1))
    return out


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 30), st.integers(1, 30))
@settings(max_examples=40, deadline=None)
def test_resized_is_the_mean_over_touched_pixels(height, width, rows, columns):
    pixels = np.random.default_rng(height * 41 + width).integers(0, 256, (height, width, 3))
    area = AreaMeans(Image.fromarray(pixels.astype(np.uint8)))
    expected = adaptive_mean(pixels, rows, columns)
    assert np.allclose(area.resized(columns, rows), expected, atol=1e-3)


def test_crops_are_cut_at_whole_pixels_within_the_photo():
    pixels = np.random.default_rng(1).integers(0, 256, (50, 60, 3))
    boxes = np.array([[3.7, 4.2, 33.9, 40.1], [-8, -3, 20, 25], [50, 40, 90, 80]], np.float32)
    crops = AreaMeans(Image.fromarray(pixels.astype(np.uint8))).crops(boxes, 24)
    parts = [pixels[4:40, 3:33], pixels[0:25, 0:20], pixels[40:50, 50:60]]
    for crop, part in zip(crops, parts, strict=True):
        assert np.allclose(crop, adaptive_mean(part, 24, 24), atol=1e-3)
