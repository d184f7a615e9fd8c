"""Retrieval metrics: Recall@k, mAP, R-precision, mAP@R, and the NMI of clusters with identities.

Each photo is a query against all others. Manning, Raghavan and Schütze, "Introduction to
Information Retrieval", 2008, chapters 8 and 16; mAP@R: Musgrave, Belongie and Lim, "A metric
learning reality check", 2020, https://arxiv.org/abs/2003.08505, eq. 1 and 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.choices import Distance
from faceverify.errors import UsageError
from faceverify.evaluation.metrics.exact_distances import (
    RANKINGS,
    STEPS,
    exact_rows,
    unit_rows,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

QUERIES = 512  # per block
BEYOND = 2 * STEPS + 1  # above any distance: excludes the query itself


@dataclass(frozen=True, eq=False)
class Retrieval:
    """Retrieval results of Q queries, the photos whose identity has another photo.

    Args:
        query: index of each query's photo, ascending, (Q,).
        rank: of the nearest photo of its identity, from 1, (Q,).
        average_precision: over the whole ranking, (Q,).
        r_precision: share of the identity's R other photos among the R nearest, (Q,).
        average_precision_at_r: average precision over the R nearest, (Q,).
    """

    query: NDArray[np.int64]
    rank: NDArray[np.int64]
    average_precision: NDArray[np.float64]
    r_precision: NDArray[np.float64]
    average_precision_at_r: NDArray[np.float64]

    def found_within(self, k: int) -> NDArray[np.bool_]:
        """Whether a photo of the identity is among the k nearest, (Q,): Recall@k is the mean."""
        return np.asarray(self.rank <= k)


def retrieval(
    embeddings: NDArray[np.floating],
    identities: Sequence[str],
    *,
    distance: Distance = Distance.COSINE,
) -> Retrieval:
    """Retrieval of each photo among all others, worst case in ties.

    Args:
        embeddings: (N, D).
        identities: N.
        distance: by which photos are ranked.

    Raises:
        ModelError: an embedding is NaN, infinite or zero.
        UsageError: different numbers of identities and embeddings.
    """
    rows, code = exact_rows(embeddings), _codes(embeddings, identities)
    queries = np.flatnonzero(np.bincount(code, minlength=1)[code] > 1)
    ranks = np.zeros(len(queries), np.int64)
    precisions = np.zeros((3, len(queries)))
    for top in range(0, len(queries), QUERIES):
        block = queries[top : top + QUERIES]
        matrix = RANKINGS[distance](rows[block], rows)
        for place, (query, distances) in enumerate(zip(block, matrix, strict=True), top):
            relevant = code == code[query]
            relevant[query] = False
            own = np.sort(distances[relevant])
            distances[query] = BEYOND
            distances.sort()
            above = np.searchsorted(distances, own, side="right")  # ranks, worst case in ties
            hits = np.searchsorted(own, own, side="right")
            near = above <= len(own)
            ranks[place] = above[0] - hits[0] + 1
            precisions[:, place] = (
                np.mean(hits / above), np.mean(near), np.mean(hits / above * near)
            )  # fmt: skip
    return Retrieval(queries, ranks, *precisions)


def cluster_agreement(
    embeddings: NDArray[np.floating], identities: Sequence[str], *, seed: int = 0
) -> float | None:
    """Normalised mutual information of identities with as many k-means clusters, in [0, 1].

    Args:
        embeddings: (N, D).
        identities: N.
        seed: of k-means.

    Returns:
        None with fewer than two identities.
    """
    from sklearn.cluster import KMeans
    from sklearn.metrics import normalized_mutual_info_score

    rows, code = unit_rows(embeddings), _codes(embeddings, identities)
    people = len(np.unique(code))
    if people < 2:
        return None
    clusters = KMeans(people, n_init=1, random_state=seed).fit_predict(rows)
    return float(normalized_mutual_info_score(code, clusters))


def _codes(embeddings: NDArray[np.floating], identities: Sequence[str]) -> NDArray[np.int64]:
    if len(identities) != len(embeddings):
        raise UsageError(f"identities: found {len(identities)} for {len(embeddings)} embeddings")
    return np.asarray(np.unique(np.asarray(identities, dtype=str), return_inverse=True)[1])
