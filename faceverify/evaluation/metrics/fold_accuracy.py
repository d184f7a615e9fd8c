"""Verification accuracy over folds and at a fixed threshold.

Ten folds as in LFW View 2 (Huang et al., 2007, section 4.2): the threshold of a fold is chosen on
the nine others. A failed comparison (distance ``inf``) is no right answer: it counts as wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.error_rates import best_threshold
from faceverify.evaluation.metrics.scores import checked_scores, count_scores


@dataclass(frozen=True)
class Fold:
    """One fold: chosen on the others, measured on its own pairs."""

    fold: int
    threshold: float
    accuracy: float
    pairs: int


@dataclass(frozen=True, eq=False)
class FoldedAccuracy:
    """Accuracy over F folds.

    Args:
        folds: in order.
        accuracy: mean of the folds' accuracies.
        standard_deviation: of the folds' accuracies, sample (divided by F - 1).
        standard_error: standard_deviation / sqrt(F): what LFW asks to be reported.
        correct: decisions that were right, each at the threshold of its fold, (N,).
        failures: comparisons that could not be made; all are counted as wrong.
    """

    folds: tuple[Fold, ...]
    accuracy: float
    standard_deviation: float
    standard_error: float
    correct: NDArray[np.bool_]
    failures: int


def folded_accuracy(
    distances: ArrayLike, same: ArrayLike, fold: NDArray[np.int64]
) -> FoldedAccuracy | None:
    """Measure accuracy fold by fold, each at the threshold that is best on all the others.

    Args:
        distances: (N,); ``inf`` for a failed comparison.
        same: (N,).
        fold: of each pair, (N,); never derived from what is left after skipping pairs.

    Returns:
        None when all pairs are of one kind: accuracy then says nothing.

    Raises:
        UsageError: fewer than two folds.
    """
    values, labels = checked_scores(distances, same)
    names = np.unique(fold)
    if len(fold) != len(values):
        raise UsageError(f"folds: found {len(fold)} for {len(values)} pairs")
    if len(names) < 2:
        raise UsageError(
            "folds: found 1, expected at least 2", cure="measure at a fixed threshold instead"
        )
    if labels.all() or not labels.any():
        return None
    correct = np.zeros(len(values), bool)
    folds = []
    for name in names:
        own = fold == name
        threshold, _ = best_threshold(count_scores(values[~own], labels[~own]))
        correct[own] = right_decisions(values[own], labels[own], threshold)
        share = float(correct[own].mean())
        folds.append(Fold(int(name), threshold, share, int(np.count_nonzero(own))))
    accuracies = np.array([one.accuracy for one in folds])
    deviation = float(accuracies.std(ddof=1))
    return FoldedAccuracy(
        folds=tuple(folds),
        accuracy=float(accuracies.mean()),
        standard_deviation=deviation,
        standard_error=deviation / math.sqrt(len(folds)),
        correct=correct,
        failures=int(np.count_nonzero(np.isinf(values))),
    )


def right_decisions(distances: ArrayLike, same: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """Tell which decisions at a threshold are right, (N,); a failed comparison decides nothing.

    Their mean is the accuracy of protocol ``fixed``: what a user of that threshold gets.

    Args:
        distances: (N,).
        same: (N,).
        threshold: a pair matches when distance <= threshold.
    """
    values, labels = checked_scores(distances, same)
    return np.asarray(((values <= threshold) == labels) & np.isfinite(values))
