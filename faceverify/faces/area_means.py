"""Area-averaging resize by a summed-area table, at a cost that depends on the result alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Floats = NDArray[np.float32]


class AreaMeans:
    """Summed-area table of a photo, of which any part can be resized.

    Crow 1984, https://doi.org/10.1145/800031.808600: the mean over a rectangle takes four look-ups.
    An output pixel is the mean of all the source pixels that it touches.
    """

    def __init__(self, image: Image.Image) -> None:
        self.width, self.height = image.size
        table = np.zeros((self.height + 1, self.width + 1, 3), np.uint32)
        # sums wrap around at 2^32, and so do their differences: those below 2^32 stay exact
        np.cumsum(np.asarray(image), axis=0, dtype=np.uint32, out=table[1:, 1:])
        np.cumsum(table, axis=1, out=table)
        self._table = table

    def resized(self, width: int, height: int) -> Floats:
        """The whole photo, resized, (height, width, 3)."""
        left, right = bins(np.array(0), np.array(self.width), width)
        top, bottom = bins(np.array(0), np.array(self.height), height)
        rows = self._table.take(bottom, axis=0) - self._table.take(top, axis=0)
        sums = rows.take(right, axis=1) - rows.take(left, axis=1)
        return means(sums, (bottom - top)[:, None] * (right - left))

    def crops(self, boxes: Floats, side: int) -> Floats:
        """Parts of the photo in boxes, (N, 4), resized to squares, (N, side, side, 3)."""
        limit = np.array([self.width, self.height])
        edges = np.floor(boxes).astype(int)
        first = np.minimum(np.maximum(edges[:, :2], 0), limit - 1)
        last = np.minimum(np.maximum(edges[:, 2:], first + 1), limit)
        starts, stops = bins(first, last, side)  # (N, 2, side)
        left, right = starts[:, None, 0], stops[:, None, 0]  # (N, 1, side)
        top, bottom = starts[:, 1, :, None], stops[:, 1, :, None]  # (N, side, 1)
        areas = (bottom - top) * (right - left)
        table = self._table.reshape(-1, 3)
        top, bottom = top * (self.width + 1), bottom * (self.width + 1)
        sums = table.take(bottom + right, axis=0) - table.take(top + right, axis=0)
        sums += table.take(top + left, axis=0) - table.take(bottom + left, axis=0)
        return means(sums, areas)


def means(sums: NDArray[np.uint32], areas: NDArray[np.int_]) -> Floats:
    """Sums, (..., 3), divided by areas, (...)."""
    quotient: Floats = sums.astype(np.float32) * np.reciprocal(areas, dtype=np.float32)[..., None]
    return quotient


def bins(
    start: NDArray[np.int_], stop: NDArray[np.int_], count: int
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """Starts and stops of equal bins, widened to whole pixels, (..., count) each."""
    start, stop = start[..., None], stop[..., None]
    index = np.arange(count + 1) * (stop - start)
    return start + index[..., :-1] // count, start - (-index[..., 1:] // count)
