"""Comparison scores, counted: how many genuine and impostor comparisons have each distance.

Every error rate is a function of these counts alone, so that 6,000 pairs of a list and a billion
streamed comparisons go through the same code, and ties are exact by construction.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceverify.errors import UsageError


@dataclass(frozen=True, eq=False)
class ScoreCounts:
    """Counts at the K distinct distances of a set of comparisons.

    Args:
        distances: finite, strictly ascending, (K,).
        genuine, impostor: comparisons at each distance, (K,) each.
        failed_genuine, failed_impostor: comparisons that could not be made (failure to enrol):
            they match at no threshold and stay in every denominator.
    """

    distances: NDArray[np.float64]
    genuine: NDArray[np.int64]
    impostor: NDArray[np.int64]
    failed_genuine: int = 0
    failed_impostor: int = 0

    @property
    def genuines(self) -> int:
        """All genuine comparisons, failed ones too."""
        return int(self.genuine.sum()) + self.failed_genuine

    @property
    def impostors(self) -> int:
        """All impostor comparisons, failed ones too."""
        return int(self.impostor.sum()) + self.failed_impostor

    def matches(self, threshold: float) -> tuple[int, int]:
        """Genuine and impostor comparisons with distance <= threshold."""
        end = int(np.searchsorted(self.distances, threshold, side="right"))
        return int(self.genuine[:end].sum()), int(self.impostor[:end].sum())


def checked_scores(
    distances: ArrayLike, same: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return scores and labels as arrays that can be trusted.

    Args:
        distances: (N,); ``inf`` for a comparison that could not be made.
        same: (N,).

    Raises:
        UsageError: none at all, NaN, ``-inf``, or another number of labels than of scores.
    """
    values, labels = np.asarray(distances, np.float64), np.asarray(same)
    if values.ndim != 1 or values.shape != labels.shape:
        raise UsageError(
            f"scores: found shape {values.shape} for labels of shape {labels.shape}, expected one "
            "score a label",
            cure="score every pair; a failed one is inf",
        )
    if not values.size:
        raise UsageError("scores: found none, expected at least one", cure="check the pair list")
    if labels.dtype != np.bool_ and not np.isin(labels, (0, 1)).all():
        raise UsageError("scores: found labels other than 0 and 1", cure="1 is the same person")
    wrong = np.flatnonzero(np.isnan(values) | (values == -np.inf))
    if wrong.size:
        raise UsageError(
            f"scores: found {values[wrong[0]]} at comparison {wrong[0]} and {wrong.size - 1} more, "
            "expected distances",
            cure="a model that gives NaN is broken; a failed comparison is inf",
        )
    return values, labels.astype(bool)


def count_scores(distances: ArrayLike, same: ArrayLike) -> ScoreCounts:
    """Count genuine and impostor comparisons at each distinct distance.

    Args:
        distances: cosine distances, (N,); ``inf`` for a comparison that could not be made.
        same: whether each comparison is genuine, (N,).

    Raises:
        UsageError: see :func:`checked_scores`.
    """
    values, labels = checked_scores(distances, same)
    finite = np.isfinite(values)
    distinct, position = np.unique(values[finite], return_inverse=True)
    genuine = np.bincount(position[labels[finite]], minlength=len(distinct))
    return ScoreCounts(
        distances=distinct,
        genuine=genuine,
        impostor=np.bincount(position, minlength=len(distinct)) - genuine,
        failed_genuine=int(np.count_nonzero(labels & ~finite)),
        failed_impostor=int(np.count_nonzero(~labels & ~finite)),
    )


def histogram(
    counts: ScoreCounts, edges: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count genuine and impostor comparisons between edges, (B + 1,) -> (B,) each."""
    genuine, impostor = (
        np.histogram(counts.distances, edges, weights=column)[0].astype(np.int64)
        for column in (counts.genuine, counts.impostor)
    )
    return genuine, impostor
