"""Clustering of faces by person, and detection of people enrolled under two names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceverify.choices import ClusteringMethod
from faceverify.errors import UsageError
from faceverify.gallery.store import Store

MOST_FACES = 20_000  # linkage holds all distances: 3.2 GB
BATCH = 256  # templates in one search


@dataclass(frozen=True)
class Duplicate:
    """Two names that are probably one person.

    Attributes:
        first, second: the names, in alphabetical order.
        distance: cosine distance of their nearest templates.
    """

    first: str
    second: str
    distance: float


def cluster_faces(
    embeddings: NDArray[np.float32],
    distance: float,
    *,
    method: ClusteringMethod = ClusteringMethod.AGGLOMERATIVE,
) -> NDArray[np.int64]:
    """Cluster faces by person.

    Average-linkage agglomerative clustering, or HDBSCAN (Campello, Moulavi and Sander, 2013).

    Args:
        embeddings: unit length, (N, D).
        distance: cosine distance up to which two faces are of one person. Agglomerative: clusters
            are merged while the mean distance between their faces is at most this. HDBSCAN:
            clusters that are nearer are never split (``cluster_selection_epsilon``).
        method: agglomerative needs all N x N distances; HDBSCAN does not.

    Returns:
        The cluster of each face, (N,), numbered from 0 by size, largest first. With HDBSCAN, each
        noise point is a cluster by itself.

    Raises:
        UsageError: too many faces for the method.
    """
    count = len(embeddings)
    if count < 2:
        return np.zeros(count, np.int64)
    if method is ClusteringMethod.HDBSCAN:
        from sklearn.cluster import HDBSCAN

        # |a - b|^2 = 2 (1 - cos) for unit rows: Euclidean distances give the same clusters
        labels = HDBSCAN(
            min_cluster_size=2,
            min_samples=1,
            cluster_selection_epsilon=float(np.sqrt(2 * distance)),
            allow_single_cluster=True,
            copy=True,
        ).fit_predict(embeddings.astype(np.float64))
    else:
        from sklearn.cluster import AgglomerativeClustering

        if count > MOST_FACES:
            raise UsageError(
                f"{count:,} faces are too many to group by linkage, which takes {MOST_FACES:,}",
                cure="use --method hdbscan",
            )
        distances = np.clip(1 - embeddings.astype(np.float64) @ embeddings.T, 0, 2)
        np.fill_diagonal(distances, 0)
        labels = AgglomerativeClustering(
            n_clusters=None, metric="precomputed", linkage="average", distance_threshold=distance
        ).fit_predict(distances)
    return _by_size(labels)


def _by_size(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number clusters by size, ties by their first face; each -1 (noise) becomes a cluster."""
    alone = labels < 0
    labels = np.where(alone, labels.max() + 1 + np.cumsum(alone), labels)
    _, first, group, sizes = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.empty(len(sizes), np.int64)
    rank[np.lexsort((first, -sizes))] = np.arange(len(sizes))
    return rank[group]


def find_duplicates(
    store: Store, model: str, distance: float, *, top: int = 10
) -> Iterator[Duplicate]:
    """Find pairs of names in a gallery whose templates match; each pair once.

    Args:
        store: the gallery.
        model: id of the model whose templates are compared.
        distance: cosine distance up to which two templates are of one person.
        top: number of nearest people compared with each template.
    """
    seen: set[tuple[str, str]] = set()
    stream = store.since(0, model=model)
    while batch := [template for template, _ in zip(stream, range(BATCH), strict=False)]:
        queries = np.stack([template.embedding for template in batch])
        found = store.search(queries, top + 1, model=model)
        for template, candidates in zip(batch, found, strict=True):
            for candidate in candidates:
                first, second = sorted((template.name, candidate.name))
                if first == second or candidate.distance > distance or (first, second) in seen:
                    continue
                seen.add((first, second))
                yield Duplicate(first, second, candidate.distance)
