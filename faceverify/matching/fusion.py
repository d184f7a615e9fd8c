"""Mean fusion: one direction for several embeddings of a person."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def mean_direction(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """The means of embeddings, of length 1, from the embeddings' sums: (..., D) -> (..., D).

    Embeddings that cancel out have no direction: their mean is 0, at distance 1 from everybody.
    """
    lengths = np.linalg.norm(sums, axis=-1, keepdims=True)
    means: NDArray[np.float64] = np.divide(
        sums, lengths, out=np.zeros_like(sums), where=lengths > 1e-9
    )
    return means
