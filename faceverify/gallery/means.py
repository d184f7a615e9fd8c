"""One embedding a person: the mean of the person's templates, of length 1."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from faceverify.gallery.search import Rows
from faceverify.matching.fusion import mean_direction

GATHERED = 1 << 22  # numbers of templates that are summed at once: 16 MB


def means_of(parts: Sequence[Rows]) -> Rows:
    """The mean of each person's rows, ordered by the person's number; in place of a sequence, it.

    Sums are taken in double precision. Rows that cancel out have no direction: their mean is 0,
    whose distance to everybody is 1.
    """
    pieces = list(_means(parts))
    width = parts[0].embeddings.shape[1]
    if not pieces:
        nobody = np.zeros(0, np.int32)
        return Rows(np.zeros((0, width), np.float32), nobody, nobody.astype(np.int64))
    people = np.concatenate([piece.identities for piece in pieces])
    return Rows(
        np.concatenate([piece.embeddings for piece in pieces]), people, people.astype(np.int64)
    )


def mean_of(embeddings: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean of some rows, of length 1; (N, D) -> (D,)."""
    nobody = np.zeros(len(embeddings), np.int32)
    mean: NDArray[np.float32] = means_of(
        [Rows(embeddings, nobody, nobody.astype(np.int64))]
    ).embeddings[0]
    return mean


def _means(parts: Sequence[Rows]) -> Iterator[Rows]:
    """Means of some people at a time."""
    alive = [_alive(part) for part in parts]
    owners = np.concatenate(
        [part.identities[rows] for part, rows in zip(parts, alive, strict=True)]
    )
    order = np.argsort(owners, kind="stable")
    people, firsts = np.unique(owners[order], return_index=True)
    ends = np.append(firsts[1:], len(order))
    step = 0
    while step < len(people):
        # as many people as fit, and at least one
        height = GATHERED // parts[0].embeddings.shape[1]
        stop = max(int(np.searchsorted(ends, firsts[step] + height, "right")), step + 1)
        rows = order[firsts[step] : ends[stop - 1]]
        sums = np.add.reduceat(
            _gathered(parts, alive, rows).astype(np.float64),
            firsts[step:stop] - firsts[step],
            axis=0,
        )
        some = people[step:stop]
        yield Rows(mean_direction(sums).astype(np.float32), some, some.astype(np.int64))
        step = stop


def _gathered(
    parts: Sequence[Rows], alive: Sequence[NDArray[np.int64]], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """The embeddings of some rows, counted over all parts."""
    gathered = np.empty((len(rows), parts[0].embeddings.shape[1]), np.float32)
    start = 0
    for part, living in zip(parts, alive, strict=True):
        mine = (rows >= start) & (rows < start + len(living))
        gathered[mine] = part.embeddings[living[rows[mine] - start]]
        start += len(living)
    return gathered


def _alive(part: Rows) -> NDArray[np.int64]:
    return np.arange(len(part)) if part.alive is None else np.flatnonzero(part.alive)
