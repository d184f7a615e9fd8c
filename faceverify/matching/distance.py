"""Cosine distance, the comparison score of the whole project: small for the same person.

Two faces match when their distance is at most the threshold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cosine_distance(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """1 - cosine of L2-normalised embeddings, row by row: (..., D) -> (...), in [0, 2]."""
    cosine = np.einsum("...d,...d->...", first, second, dtype=np.float64)
    distance: NDArray[np.float64] = np.clip(1.0 - cosine, 0.0, 2.0)
    return distance
