"""Cosine distances of many embeddings to many others, the same bits on every processor.

A product of float32 matrices is rounded at each addition, in an order that depends on the processor
and on the shape of the block: one pair then has several distances, 1e-6 apart. Here nothing is
rounded. Coordinates are multiples of 2^-26, so a product of two is a multiple of 2^-52, and no sum
of such products along two embeddings of length 1 passes 1 (Cauchy and Schwarz): each fits the 53
bits of a float64, in any order of addition. After Ozaki et al., "Error-free transformations of
matrix multiplication by using fast routines of matrix multiplication", 2012.

Distances are then counted in steps of 2^-23 (1.2e-7), what float32 resolves at a distance of 1:
2^24 + 1 counters hold the scores of any number of comparisons.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import ModelError

STEPS = 2**23  # in a distance of 1
COORDINATE = 2.0**-26


def unit_rows(embeddings: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return embeddings of length 1, (N, D) float32.

    Raises:
        ModelError: a row holds NaN or infinity, or nothing but zeros.
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
            cure="leave failed photos out and count them as failures to enrol",
        )
    return np.asarray(rows / lengths, np.float32)


def exact_rows(embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return embeddings of length 1 whose products are exact, (N, D).

    Raises:
        ModelError: a row holds NaN or infinity, or nothing but zeros.
    """
    rows = unit_rows(embeddings).astype(np.float64)
    return np.asarray(np.rint(rows / COORDINATE) * COORDINATE)


def distance_steps(
    first: NDArray[np.float64], second: NDArray[np.float64], room: NDArray[np.float64] | None = None
) -> NDArray[np.int32]:
    """Distance of each row to each of another set, in steps: from 0 to 2^24, (N, M).

    Args:
        first: as :func:`exact_rows`, (N, D).
        second: likewise, (M, D).
        room: where the cosines are put, at least N M numbers.
    """
    block = None if room is None else room[: len(first) * len(second)].reshape(len(first), -1)
    cosines = np.matmul(first, second.T, out=block)
    np.subtract(1, cosines, out=cosines)
    np.multiply(cosines, STEPS, out=cosines)
    np.rint(cosines, out=cosines)
    np.clip(cosines, 0, 2 * STEPS, out=cosines)  # lengths are 1 but for 2^-24
    return cosines.astype(np.int32)
