"""How far embeddings move when photos change, and what becomes of the right person's rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.metrics.exact_distances import STEPS, distance_steps, exact_rows

Rows = NDArray[np.float64]

BEYOND = 2 * STEPS + 1  # above any distance


@dataclass(frozen=True, eq=False)
class Movement:
    """Changed photos, K of them, beside references.

    Args:
        identities: of the changed photos, K.
        moved: cosine distance of each to its own reference, NaN without an embedding, (K,).
        ranked: whether the photo's person has a reference to be found by, (K,).
        rank: of the person among all people, from 1, worst case in ties; 0 for a photo that has no
            embedding or is not ranked, (K,).
    """

    identities: list[str]
    moved: Rows
    ranked: NDArray[np.bool_]
    rank: NDArray[np.int64]

    @property
    def decided(self) -> NDArray[np.bool_]:
        """Whether each photo has an embedding, (K,)."""
        return ~np.isnan(self.moved)


def movement(
    changed: NDArray[np.floating],
    made: NDArray[np.bool_],
    own: NDArray[np.int64],
    references: NDArray[np.floating],
    identities: Sequence[str],
    *,
    hidden: bool,
) -> Movement:
    """Movement of changed photos from references, and rank of their people among them.

    Args:
        changed: embeddings of the changed photos, (K, D).
        made: whether each of them has one, (K,).
        own: index of each one's reference, (K,).
        references: embeddings, (N, D).
        identities: of the references, N.
        hidden: whether a photo's own reference is none of those in which its person is looked for.

    Raises:
        ModelError: an embedding is NaN, infinite or zero.
    """
    names, code = np.unique(np.asarray(identities, dtype=str), return_inverse=True)
    order = np.argsort(code, kind="stable")
    known, start = (
        exact_rows(references)[order],
        np.searchsorted(code[order], np.arange(len(names))),
    )
    column = np.empty(len(order), np.int64)
    column[order] = np.arange(len(order))
    sizes = np.bincount(code, minlength=len(names))
    ranked = sizes[code[own]] > int(hidden)
    moved, rank = np.full(len(own), np.nan), np.zeros(len(own), np.int64)
    rows = np.flatnonzero(made)
    if len(rows):
        steps = distance_steps(exact_rows(changed[rows]), known)
        places = column[own[rows]]
        moved[rows] = steps[np.arange(len(rows)), places] / STEPS
        if hidden:
            steps[np.arange(len(rows)), places] = BEYOND
        people = np.minimum.reduceat(steps, start, axis=1)  # (rows, people)
        mine = np.take_along_axis(people, code[own[rows], None], axis=1)
        rank[rows] = np.where(ranked[rows], np.sum(people <= mine, axis=1), 0)
    return Movement([identities[index] for index in own], moved, ranked, rank)
