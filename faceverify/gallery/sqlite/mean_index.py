"""One embedding a person: the mean of the person's templates, of length 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from faceverify.gallery.sqlite.nearest import Rows
from faceverify.matching.fusion import mean_direction

SUMMED = 1 << 22  # numbers of sums in memory at once: 32 MB


def means_of(parts: Sequence[Rows]) -> Rows:
    """The mean of each person's rows, ordered by the person's number; in place of a sequence, it.

    Args:
        parts: at least one; all of them together are averaged.
    """
    width = parts[0].embeddings.shape[1]
    places = [_by_person(part) for part in parts]
    owners = [part.identities[rows] for part, rows in zip(parts, places, strict=True)]
    people = np.unique(np.concatenate(owners))
    means = np.empty((len(people), width), np.float32)
    step = SUMMED // width
    for start in range(0, len(people), step):
        some = people[start : start + step]
        sums = np.zeros((len(some), width))
        for part, rows, owner in zip(parts, places, owners, strict=True):
            first, end = np.searchsorted(owner, some), np.searchsorted(owner, some, "right")
            while len(left := np.flatnonzero(first < end)):  # the next template of each person
                sums[left] += part.embeddings[rows[first[left]]]
                first[left] += 1
        means[start : start + step] = mean_direction(sums)
    return Rows(means, people, people.astype(np.int64))


def mean_of(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of some rows, of length 1; (N, D) -> (D,)."""
    return mean_direction(embeddings.sum(axis=0, dtype=np.float64)).astype(np.float32)


def _by_person(part: Rows) -> NDArray[np.int64]:
    """The places of the rows that exist, person by person."""
    rows = np.arange(len(part)) if part.alive is None else np.flatnonzero(part.alive)
    return rows[np.argsort(part.identities[rows], kind="stable")]
