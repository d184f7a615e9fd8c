"""Distances of listed pairs, from one embedding for each photo."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceverify.choices import Distance
from faceverify.evaluation.metrics.exact_distances import exact_rows
from faceverify.matching.distance import cosine_distance

BLOCK = 16_384  # pairs per block: 2 x 32 MB of 512 floats


def pair_distances(
    embeddings: NDArray[np.float32],
    enrolled: NDArray[np.bool_],
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    distance: Distance = Distance.COSINE,
) -> NDArray[np.float64]:
    """Distance of each pair of photos.

    Of unit rows the Euclidean distance is sqrt(2 x cosine distance): the same order of pairs. The
    Manhattan distance, of the same rows, orders them otherwise.

    Args:
        embeddings: L2-normalised, (P, D).
        enrolled: whether each photo has an embedding, (P,).
        first: index of the first photo of each pair, (N,).
        second: likewise.
        distance: that is measured.

    Returns:
        Distances, (N,), cosine ones in [0, 2]; ``inf`` where a photo has no embedding.
    """
    distances = np.full(len(first), np.inf)
    made = np.flatnonzero(enrolled[first] & enrolled[second])
    for start in range(0, len(made), BLOCK):
        pairs = made[start : start + BLOCK]
        one, other = embeddings[first[pairs]], embeddings[second[pairs]]
        if distance is Distance.MANHATTAN:  # exact, so that no order of additions matters
            distances[pairs] = np.abs(exact_rows(one) - exact_rows(other)).sum(axis=1)
            continue
        distances[pairs] = cosine_distance(one, other)
        if distance is Distance.EUCLIDEAN:
            distances[pairs] = np.sqrt(2 * distances[pairs])
    return distances
