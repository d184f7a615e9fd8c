"""Retrieval on a folder of people: Recall@k, mAP, and how well clusters match people (NMI).

Each photo is searched among all others. Manning, Raghavan and Schütze, "Introduction to
Information Retrieval", 2008, chapters 8 and 16.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.exact_distances import (
    STEPS,
    distance_steps,
    exact_rows,
    unit_rows,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

QUERIES = 512  # searched at a time
BEYOND = 2 * STEPS + 1  # farther than any distance: a photo is no result of its own search


@dataclass(frozen=True)
class Retrieval:
    """Figures over the queries; None where there are none.

    Args:
        recall: by k, the share of queries with one of their person among the k nearest.
        mean_average_precision: over the whole ranking.
        queries: photos whose person has another photo; only they are searched for.
        alone: photos whose person has no other: found by mistake only.
    """

    recall: dict[int, float | None]
    mean_average_precision: float | None
    queries: int
    alone: int


def retrieval(
    embeddings: NDArray[np.floating], identities: Sequence[str], *, ks: Sequence[int] = (1, 5, 10)
) -> Retrieval:
    """Search each photo among all others.

    A tie counts against the query: photos of other people come first.

    Args:
        embeddings: (N, D).
        identities: N.
        ks: for Recall@k.

    Raises:
        ModelError: an embedding is NaN, infinite or zero.
        UsageError: another number of identities than of embeddings.
    """
    rows, code = exact_rows(embeddings), _codes(embeddings, identities)
    queries = np.flatnonzero(np.bincount(code, minlength=1)[code] > 1)
    ranks, precisions = [], []
    for top in range(0, len(queries), QUERIES):
        block = queries[top : top + QUERIES]
        for query, distances in zip(block, distance_steps(rows[block], rows), strict=True):
            relevant = code == code[query]
            relevant[query] = False
            own = np.sort(distances[relevant])
            distances[query] = BEYOND
            distances.sort()
            above = np.searchsorted(distances, own, side="right")  # all as near as each of own
            hits = np.searchsorted(own, own, side="right")
            precisions.append(float(np.mean(hits / above)))
            ranks.append(int(above[0] - hits[0]) + 1)
    rank = np.array(ranks)
    return Retrieval(
        recall={k: float(np.mean(rank <= k)) if ranks else None for k in ks},
        mean_average_precision=float(np.mean(precisions)) if ranks else None,
        queries=len(queries),
        alone=len(rows) - len(queries),
    )


def cluster_agreement(
    embeddings: NDArray[np.floating], identities: Sequence[str], *, seed: int = 0
) -> float | None:
    """Cluster into as many clusters as there are people (k-means); return their NMI with them.

    Args:
        embeddings: (N, D).
        identities: N.
        seed: of k-means.

    Returns:
        Normalised mutual information, in [0, 1]; None with fewer than two people.
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
