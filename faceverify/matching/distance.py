"""How far apart two templates are: a distance, small for the same person, everywhere.

Two faces match where their cosine distance is at most the threshold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cosine_distance(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float64]:
    """1 - cosine of embeddings of length 1, row by row: (..., D) -> (...), in [0, 2]."""
    cosine = np.einsum("...d,...d->...", first, second, dtype=np.float64)
    distance: NDArray[np.float64] = np.clip(1.0 - cosine, 0.0, 2.0)
    return distance
