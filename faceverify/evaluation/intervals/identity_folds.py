"""Folds by identity: nobody is in two of them, so what is fitted to some is strange to the other.

A comparison belongs to a fold if both of its people do. Those across folds belong to none: each
would show a fold people that another holds. That keeps all genuine comparisons and, of five folds,
a fifth of the impostor comparisons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.metrics.all_against_all import all_against_all
from faceverify.evaluation.metrics.scores import ScoreCounts, count_scores

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDS = 5


def folds_of_photos(
    embeddings: NDArray[np.float32], identities: Sequence[str]
) -> list[ScoreCounts]:
    """Compare every photo with every other of its fold; folds without comparisons are left out.

    Args:
        embeddings: of length 1, (N, D).
        identities: who is on each, N.
    """
    fold = folds_of(identities)
    names = np.asarray(identities, dtype=str)
    found = [
        all_against_all(embeddings[fold == one], names[fold == one].tolist())
        for one in range(FOLDS)
    ]
    return [counts for counts in found if len(counts.distances)]


def folds_of_pairs(
    distances: NDArray[np.float64],
    same: NDArray[np.bool_],
    first: Sequence[str],
    second: Sequence[str],
) -> list[ScoreCounts]:
    """Sort N comparisons into the folds of their people; folds without any are left out.

    Args:
        distances: (N,).
        same: (N,).
        first: who is on the first photo of each, N.
        second: who is on the other.
    """
    fold = folds_of([*first, *second])
    one, other = fold[: len(first)], fold[len(first) :]
    within = [(one == number) & (other == number) for number in range(FOLDS)]
    return [count_scores(distances[kept], same[kept]) for kept in within if kept.any()]


def folds_of(identities: Sequence[str], folds: int = FOLDS) -> NDArray[np.int64]:
    """Give each name its person's fold, (N,); people are dealt at random, the same way each time.

    Args:
        identities: N.
        folds: how many.
    """
    people, code = np.unique(np.asarray(identities, dtype=str), return_inverse=True)
    return np.random.default_rng(0).permutation(len(people))[code] % folds
