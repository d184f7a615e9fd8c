"""Who is whom where nobody says: groups of faces, and people who are enrolled twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceverify.choices import GroupingMethod
from faceverify.errors import UsageError
from faceverify.gallery.store import Store

MOST_FACES = 20_000  # linkage holds every distance: 3.2 GB of them
BATCH = 256  # templates searched for at once


@dataclass(frozen=True)
class Double:
    """Two names that seem to be one person.

    Attributes:
        first, second: the names, in order.
        distance: between their nearest templates.
    """

    first: str
    second: str
    distance: float


def group_faces(
    embeddings: NDArray[np.float32],
    distance: float,
    *,
    method: GroupingMethod = GroupingMethod.AGGLOMERATIVE,
) -> NDArray[np.int64]:
    """Group faces by person.

    Args:
        embeddings: of length 1, (N, D).
        distance: cosine distance up to which two faces are of one person. Agglomerative: groups
            are joined while the mean distance between their faces is at most this. HDBSCAN: groups
            that are nearer are never split.
        method: agglomerative needs all N x N distances; HDBSCAN does not.

    Returns:
        The group of each face, (N,), numbered from 0 by their size, largest first. With HDBSCAN,
        a face that belongs to none has a group of its own.

    Raises:
        UsageError: too many faces for the method.
    """
    count = len(embeddings)
    if count < 2:
        return np.zeros(count, np.int64)
    if method is GroupingMethod.HDBSCAN:
        from sklearn.cluster import HDBSCAN

        # |a - b|^2 = 2 (1 - cos) for rows of length 1: any tree of Euclidean distances serves
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
    """Number groups by size, of equals the one whose first face comes first; -1 is no group."""
    alone = labels < 0
    labels = np.where(alone, labels.max() + 1 + np.cumsum(alone), labels)
    _, first, group, sizes = np.unique(
        labels, return_index=True, return_inverse=True, return_counts=True
    )
    rank = np.empty(len(sizes), np.int64)
    rank[np.lexsort((first, -sizes))] = np.arange(len(sizes))
    return rank[group]


def find_doubles(store: Store, model: str, distance: float, *, top: int = 10) -> Iterator[Double]:
    """Find people of a gallery who match one another, each pair once, as they are met.

    Args:
        model: only templates of this model are compared.
        distance: cosine distance up to which two templates are of one person.
        top: how many people nearest to each template are looked at.
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
                yield Double(first, second, candidate.distance)
