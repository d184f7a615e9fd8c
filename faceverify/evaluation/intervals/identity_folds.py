"""Cross-validation folds with disjoint identities.

A comparison belongs to a fold if both of its identities do; comparisons across folds are left out.
Five folds keep all genuine comparisons and about a fifth of the impostor comparisons.
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
    """Score counts of the full cross-comparison within each fold; empty folds are left out.

    Args:
        embeddings: L2-normalised, (N, D).
        identities: of the photos, N.
    """
    fold = identity_folds(identities)
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
    """Score counts of the N comparisons within each fold; empty folds are left out.

    Args:
        distances: (N,).
        same: whether each comparison is genuine, (N,).
        first: identity of the first photo of each, N.
        second: identity of the second photo, N.
    """
    fold = identity_folds([*first, *second])
    one, other = fold[: len(first)], fold[len(first) :]
    within = [(one == number) & (other == number) for number in range(FOLDS)]
    return [count_scores(distances[kept], same[kept]) for kept in within if kept.any()]


def identity_folds(identities: Sequence[str], folds: int = FOLDS) -> NDArray[np.int64]:
    """Fold of each photo, (N,), from 0; identities are assigned at random with a fixed seed.

    Args:
        identities: of the photos, N.
        folds: number of folds.
    """
    people, code = np.unique(np.asarray(identities, dtype=str), return_inverse=True)
    return np.random.default_rng(0).permutation(len(people))[code] % folds
