"""Matrices of cosine distances without rounding errors: identical on every processor.

A float32 matrix product is rounded at each addition, in an order that depends on the processor and
on the shape of the block: the distance of one pair varies by about 1e-6. Here nothing is rounded.
Coordinates are multiples of 2^-26, so a product of two is a multiple of 2^-52, and no sum
of such products of two unit vectors exceeds 1 (Cauchy-Schwarz): each fits the 53
bits of a float64, in any order of addition. After Ozaki et al., "Error-free transformations of
matrix multiplication by using fast routines of matrix multiplication", 2012.

Distances are quantised to steps of 2^-23 (1.2e-7), the resolution of float32 at a distance of 1:
a histogram of 2^24 + 1 bins holds the scores of any number of comparisons.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from faceverify.choices import Distance
from faceverify.errors import ModelError

Rows = NDArray[np.float64]

STEPS = 2**23  # per unit of distance
COORDINATE = 2.0**-26


def unit_rows(embeddings: NDArray[np.floating]) -> NDArray[np.float32]:
    """L2-normalised embeddings, (N, D) float32.

    Raises:
        ModelError: a row holds NaN or infinity, or is zero.
    """
    rows = np.asarray(embeddings, np.float32)
    if rows.ndim != 2:
        raise ModelError(f"embeddings: found shape {rows.shape}, expected (photos, dimensions)")
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    wrong = np.flatnonzero(~np.isfinite(lengths) | (lengths == 0))
    if wrong.size:
        what = "a zero embedding" if lengths[wrong[0], 0] == 0 else "NaN or infinity"
        raise ModelError(
            f"embeddings: found {what} in row {wrong[0]}, {wrong.size} such rows of {len(rows)}, "
            "expected directions",
            cure="leave failed photos out and count them as failures to enroll",
        )
    return np.asarray(rows / lengths, np.float32)


def exact_rows(embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    """L2-normalised embeddings whose inner products are exact in float64, (N, D).

    Raises:
        ModelError: a row holds NaN or infinity, or is zero.
    """
    rows = unit_rows(embeddings).astype(np.float64)
    return np.asarray(np.rint(rows / COORDINATE) * COORDINATE)


def distance_steps(
    first: NDArray[np.float64], second: NDArray[np.float64], room: NDArray[np.float64] | None = None
) -> NDArray[np.int32]:
    """Pairwise cosine distances in steps of 2^-23, from 0 to 2^24, (N, M).

    Args:
        first: from :func:`exact_rows`, (N, D).
        second: likewise, (M, D).
        room: buffer for the cosines, at least N M numbers.
    """
    block = None if room is None else room[: len(first) * len(second)].reshape(len(first), -1)
    cosines = np.matmul(first, second.T, out=block)
    np.subtract(1, cosines, out=cosines)
    np.multiply(cosines, STEPS, out=cosines)
    np.rint(cosines, out=cosines)
    np.clip(cosines, 0, 2 * STEPS, out=cosines)  # lengths are 1 up to 2^-24
    return cosines.astype(np.int32)


def manhattan_distances(
    first: NDArray[np.float64], second: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Pairwise Manhattan distances, the sums of absolute differences, (N, M).

    Exact, as above: differences are multiples of 2^-26, and their sums stay below 2^27 of them
    times the dimensions.

    Args:
        first: from :func:`exact_rows`, (N, D).
        second: likewise, (M, D).
    """
    from sklearn.metrics.pairwise import manhattan_distances as sums

    return np.asarray(sums(first, second))


RANKINGS: dict[Distance, Callable[[Rows, Rows], NDArray[np.int32] | Rows]] = {
    Distance.COSINE: distance_steps,
    Distance.EUCLIDEAN: distance_steps,  # of unit rows it is sqrt(2 x cosine distance)
    Distance.MANHATTAN: manhattan_distances,
}
"""Matrices that rank as a distance does; none exceeds 2 x STEPS."""
