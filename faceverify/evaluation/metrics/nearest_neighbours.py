"""Identification by the k nearest neighbours, with weighted votes.

Wu et al., "Unsupervised feature learning via non-parametric instance discrimination", 2018,
https://arxiv.org/abs/1805.01978, section 3.4: each of the k nearest photos votes for its person
with the weight exp(cosine / 0.07). DINO, https://arxiv.org/abs/2104.14294, does so with k = 20.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faceverify.choices import Distance
from faceverify.evaluation.metrics.exact_distances import RANKINGS, STEPS, exact_rows

TEMPERATURE = 0.07
QUERIES = 512  # per block
BEYOND = 2 * STEPS + 1  # above any distance: excludes the query itself
CLEARLY = 1 + 1e-9  # votes nearer to each other than this are a tie, whatever the processor


def votes_won(
    queries: NDArray[np.floating],
    query_codes: NDArray[np.int64],
    gallery: NDArray[np.floating],
    gallery_codes: NDArray[np.int64],
    *,
    ks: Sequence[int],
    own: NDArray[np.int64] | None = None,
    distance: Distance = Distance.COSINE,
) -> NDArray[np.bool_]:
    """Whether the person of each query has the most votes, worst case in ties, (len(ks), Q).

    Of photos equally far, those of other people count as nearer; a tied vote is lost.

    Args:
        queries: embeddings, (Q, D).
        query_codes: number of each query's person, (Q,).
        gallery: embeddings, (G, D).
        gallery_codes: number of each person, (G,).
        ks: numbers of neighbours, each at most G, or G - 1 with ``own``.
        own: index of each query itself in the gallery, where it does not vote, (Q,).
        distance: by which neighbours are nearest; votes are weighed by the cosine.

    Raises:
        ModelError: an embedding is NaN, infinite or zero.
    """
    searched, known = exact_rows(queries), exact_rows(gallery)
    won = np.zeros((len(ks), len(searched)), bool)
    most = max(ks, default=0)
    for top in range(0, len(searched) if most else 0, QUERIES):
        matrix = RANKINGS[distance](searched[top : top + QUERIES], known)
        for query, distances in enumerate(matrix, top):
            if own is not None:
                distances[own[query]] = BEYOND
            farthest = np.partition(distances, most - 1)[most - 1]
            near = np.flatnonzero(distances <= farthest)
            person = gallery_codes[near]
            mine = person == query_codes[query]
            order = np.lexsort((person, mine, distances[near]))[:most]
            mine, (_, person) = mine[order], np.unique(person[order], return_inverse=True)
            cosine = known[near[order]] @ searched[query]
            weight = np.exp((cosine - 1) / TEMPERATURE)
            for place, k in enumerate(ks):
                votes = np.bincount(person[:k], weights=weight[:k])
                own_votes = weight[:k][mine[:k]].sum()
                others = np.delete(votes, person[:k][mine[:k]][:1])
                won[place, query] = own_votes > CLEARLY * others.max(initial=0)
    return won
