"""Verification accuracy over folds and at a fixed threshold.

Cross-validation of LFW View 2 (Huang et al., 2007, section 4.2): the threshold of each of ten folds
is chosen on the nine others. A failed comparison (distance ``inf``) counts as an error.
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
    """Accuracy of one fold, at the threshold chosen on the other folds."""

    fold: int
    threshold: float
    accuracy: float
    pairs: int


@dataclass(frozen=True, eq=False)
class FoldedAccuracy:
    """Cross-validated accuracy over F folds.

    Args:
        folds: in order.
        accuracy: mean accuracy of the folds.
        standard_deviation: sample standard deviation of the folds' accuracies (F - 1).
        standard_error: standard_deviation / sqrt(F), as LFW requires.
        correct: whether each decision is correct at the threshold of its fold, (N,).
        failures: number of failed comparisons, all counted as errors.
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
    """Cross-validated accuracy: each fold at the threshold that is best on all the others.

    Args:
        distances: (N,); ``inf`` for a failed comparison.
        same: whether each pair is genuine, (N,).
        fold: of each pair, (N,), from the complete list, failed pairs included.

    Returns:
        None when all pairs are genuine, or all impostor.

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
        correct[own] = correct_decisions(values[own], labels[own], threshold)
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


def correct_decisions(distances: ArrayLike, same: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """Whether each decision at a threshold is correct, (N,); a failed comparison is not.

    The mean is the accuracy at that threshold (protocol ``fixed``).

    Args:
        distances: (N,); ``inf`` for a failed comparison.
        same: whether each pair is genuine, (N,).
        threshold: a pair matches when distance <= threshold.
    """
    values, labels = checked_scores(distances, same)
    return np.asarray(((values <= threshold) == labels) & np.isfinite(values))
