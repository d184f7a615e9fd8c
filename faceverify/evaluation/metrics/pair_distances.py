"""Distances of listed pairs, from one embedding a photo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceverify.matching.distance import cosine_distance

BLOCK = 16_384  # pairs compared at a time: 2 x 32 MB of 512 floats


def pair_distances(
    embeddings: NDArray[np.float32],
    enrolled: NDArray[np.bool_],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Compare photos pair by pair.

    Args:
        embeddings: of length 1, (P, D).
        enrolled: which photos have one, (P,).
        first: position of each pair's first photo, (N,).
        second: likewise.

    Returns:
        Cosine distances in [0, 2], (N,); ``inf`` where a photo has no embedding.
    """
    distances = np.full(len(first), np.inf)
    made = np.flatnonzero(enrolled[first] & enrolled[second])
    for start in range(0, len(made), BLOCK):
        pairs = made[start : start + BLOCK]
        one, other = embeddings[first[pairs]], embeddings[second[pairs]]
        distances[pairs] = cosine_distance(one, other)
    return distances
