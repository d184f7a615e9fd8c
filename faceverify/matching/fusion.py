"""Mean fusion: one embedding for several of the same identity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mean_direction(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """L2-normalised means from sums of embeddings: (..., D) -> (..., D).

    Embeddings that cancel out have the mean 0, which is at distance 1 from every embedding.
    """
    lengths = np.linalg.norm(sums, axis=-1, keepdims=True)
    means: NDArray[np.float64] = np.divide(
        sums, lengths, out=np.zeros_like(sums), where=lengths > 1e-9
    )
    return means
