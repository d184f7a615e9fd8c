"""The usual figures, to the digit: what the scripts of InsightFace and facenet print.

Squared Euclidean distance of embeddings; ten folds of consecutive pairs; thresholds 0, 0.01, ...,
3.99, of which the best on the nine other folds (the lowest of equals), a pair matching when its
distance is strictly below; mean and *population* standard deviation. VAL@FAR: per fold, the
threshold at which the nine others have the FAR, by linear interpolation on the grid 0, 0.001, ...,
3.999. Where a FAR holds over several thresholds, on which interpolation is undefined (and those
scripts crash with today's SciPy), its last threshold before it changes is the node.

Use it to compare with published figures, and ``folded_accuracy`` to know how good a model is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.scores import checked_scores
from faceverify.evaluation.results import Figure, Section

THRESHOLDS = np.arange(0, 4, 0.01)
FINE_THRESHOLDS = np.arange(0, 4, 0.001)
FOLDS = 10

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class UsualFigures:
    """What the usual scripts print.

    Args:
        accuracy, accuracy_std: mean and population standard deviation over the folds.
        val, val_std, far: VAL at the FAR target and the FAR it was really at, means over the folds;
            None when a fold lacks one kind of pair (there the scripts divide by zero).
        auc, eer: of the mean of the folds' ROCs; None likewise.
    """

    accuracy: float
    accuracy_std: float
    val: float | None
    val_std: float | None
    far: float | None
    auc: float | None
    eer: float | None


def insightface(
    first: NDArray[np.floating], second: NDArray[np.floating], same: NDArray[np.bool_]
) -> UsualFigures:
    """Compute the figures as InsightFace does: of embeddings that are normalised here.

    Args:
        first: embeddings (of photo plus mirrored photo, summed) of the first photos, (N, D).
        second: of the second photos, (N, D).
        same: (N,).

    Raises:
        UsageError: NaN, or fewer than 10 pairs.
    """
    return facenet(_normalised(first), _normalised(second), same)


def facenet(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    same: NDArray[np.bool_],
    *,
    far_target: float = 1e-3,
) -> UsualFigures:
    """Compute the figures as facenet does: of embeddings as they are.

    Args:
        first: (N, D).
        second: (N, D).
        same: (N,).
        far_target: for VAL.

    Raises:
        UsageError: NaN, or fewer than 10 pairs.
    """
    distances, labels = checked_scores(np.sum(np.square(np.subtract(first, second)), 1), same)
    if len(labels) < FOLDS:
        raise UsageError(f"compat: found {len(labels)} pairs, expected at least {FOLDS}")
    # Consecutive folds, the first ones a pair longer: KFold(10, shuffle=False).
    fold = np.concatenate(
        [np.full(len(part), i) for i, part in enumerate(np.array_split(labels, FOLDS))]
    )
    kinds = (labels, ~labels)
    true, false = (_below(distances[kind], fold[kind], THRESHOLDS) for kind in kinds)
    fine_false = _below(distances[~labels], fold[~labels], FINE_THRESHOLDS)
    genuines, impostors = (np.bincount(fold[kind], minlength=FOLDS)[:, None] for kind in kinds)

    right = true + impostors - false  # (folds, thresholds)
    pairs = genuines + impostors
    others = (right.sum(axis=0) - right) / (len(labels) - pairs)
    accuracies = (right / pairs)[np.arange(FOLDS), np.argmax(others, axis=1)]
    figures = (float(np.mean(accuracies)), float(np.std(accuracies)))
    if not genuines.all() or not impostors.all():
        return UsualFigures(*figures, val=None, val_std=None, far=None, auc=None, eer=None)

    far_of_others = (fine_false.sum(axis=0) - fine_false) / (len(labels) - labels.sum() - impostors)
    thresholds = [_threshold_at(row, far_target) for row in far_of_others]
    val, far = np.empty((2, FOLDS))
    for index, threshold in enumerate(thresholds):
        accepted = (fold == index) & (distances < threshold)
        val[index] = np.count_nonzero(accepted & labels) / genuines[index, 0]
        far[index] = np.count_nonzero(accepted & ~labels) / impostors[index, 0]
    tpr, fpr = (true / genuines).mean(axis=0), (false / impostors).mean(axis=0)
    area = float(np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1])) / 2)
    return UsualFigures(
        *figures,
        val=float(np.mean(val)),
        val_std=float(np.std(val)),
        far=float(np.mean(far)),
        auc=area,
        eer=_crossing(fpr, tpr),
    )


def _normalised(embeddings: NDArray[np.floating]) -> Rows:
    rows = np.asarray(embeddings, np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    lengths[lengths == 0] = 1.0  # a zero embedding stays zero, as there
    return np.asarray(rows / lengths[:, None])


def _below(distances: Rows, fold: NDArray[np.int64], thresholds: Rows) -> NDArray[np.int64]:
    """Count the distances of each fold strictly below each threshold, (folds, thresholds)."""
    return np.array(
        [np.searchsorted(np.sort(distances[fold == i]), thresholds) for i in range(FOLDS)]
    )


def _threshold_at(far: Rows, target: float) -> float:
    """Interpolate where a FAR that rises over the fine grid reaches the target; 0 if nowhere."""
    after = int(np.searchsorted(far, target, side="right"))
    if after == 0 or far[-1] < target:
        return 0.0
    if after == len(far):
        return float(FINE_THRESHOLDS[-1])
    low, high = FINE_THRESHOLDS[after - 1], FINE_THRESHOLDS[after]
    share = (target - far[after - 1]) / (far[after] - far[after - 1])
    return float(low + share * (high - low))


def _crossing(fpr: Rows, tpr: Rows) -> float | None:
    """Return where the ROC crosses fpr = 1 - tpr, on the line between its points."""
    gap = fpr + tpr - 1
    if gap[0] > 0 or gap[-1] < 0:
        return None
    after = max(int(np.argmax(gap >= 0)), 1)
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(fpr[after - 1] + share * (fpr[after] - fpr[after - 1]))


COMPAT = {"insightface": insightface, "facenet": facenet}


def compat_section(
    name: str,
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    same: NDArray[np.bool_],
    missing: int,
) -> Section:
    """The figures that the usual scripts print, on the same embeddings.

    Args:
        name: "insightface" or "facenet".
        first: embeddings of the first photos, (N, D).
        second: of the second photos, (N, D).
        same: (N,).
        missing: how many photos have no embedding.
    """
    key, title = f"compat_{name}", f"As the scripts of {name} print it"
    if missing:
        why = f"the scripts need a face in every photo, {missing} have none"
        return Section(key, title, (Figure("accuracy", "accuracy", None, detail=why),))
    usual = COMPAT[name](first, second, same)
    why = "a fold lacks one kind of pair"
    val = None if usual.val is None else f"+- {usual.val_std:.5f} at FAR {usual.far:.5f}"
    return Section(
        key,
        title,
        (
            Figure(
                "accuracy",
                "accuracy",
                usual.accuracy,
                detail=f"+- {usual.accuracy_std:.5f} (population SD)",
                extra={"population_standard_deviation": usual.accuracy_std},
            ),
            Figure(
                "val",
                "validation rate at FAR 0.001",
                usual.val,
                detail=val or why,
                extra={"population_standard_deviation": usual.val_std, "far": usual.far},
            ),
            Figure("auc", "AUC of the mean ROC", usual.auc, "number", detail="" if val else why),
            Figure("eer", "EER of the mean ROC", usual.eer, detail="" if val else why),
        ),
    )
