"""Reference protocols: the results of the scripts of InsightFace and facenet, digit for digit.

Squared Euclidean distance of embeddings; ten folds of consecutive pairs; thresholds 0, 0.01, ...,
3.99, of which the best on the nine other folds (the lowest of equals), a pair matching when its
distance is strictly below; mean and *population* standard deviation. VAL@FAR: per fold, the
threshold at which the nine others have the FAR, by linear interpolation on the grid 0, 0.001, ...,
3.999. Where several thresholds have the same FAR, for which interpolation is undefined (and those
scripts fail with current SciPy), the last of them is the node.

They serve for comparison with published results; ``folded_accuracy`` is the better estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.scores import checked_scores
from faceverify.evaluation.results import Estimate, Section

THRESHOLDS = np.arange(0, 4, 0.01)
FINE_THRESHOLDS = np.arange(0, 4, 0.001)
FOLDS = 10

Rows = NDArray[np.float64]


@dataclass(frozen=True)
class ReferenceResults:
    """Results of a reference protocol.

    Args:
        accuracy, accuracy_std: mean and population standard deviation over the folds.
        val, val_std, far: VAL at the FAR target and the observed FAR, means over the folds; None
            when a fold lacks genuine or impostor pairs (the scripts divide by zero).
        auc, eer: of the mean ROC of the folds; None likewise.
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
) -> ReferenceResults:
    """Results as InsightFace computes them: embeddings are L2-normalised first.

    Args:
        first: embeddings (of photo plus mirrored photo, summed) of the first photos, (N, D).
        second: of the second photos, (N, D).
        same: whether each pair is genuine, (N,).

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
) -> ReferenceResults:
    """Results as facenet computes them: embeddings are not normalised.

    Args:
        first: embeddings of the first photos, (N, D).
        second: of the second photos, (N, D).
        same: whether each pair is genuine, (N,).
        far_target: FAR of the VAL.

    Raises:
        UsageError: NaN, or fewer than 10 pairs.
    """
    distances, labels = checked_scores(np.sum(np.square(np.subtract(first, second)), 1), same)
    if len(labels) < FOLDS:
        raise UsageError(f"--compat: found {len(labels)} pairs, expected at least {FOLDS}")
    # Consecutive folds as of KFold(10, shuffle=False): the first ones have one pair more.
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
    accuracy = (float(np.mean(accuracies)), float(np.std(accuracies)))
    if not genuines.all() or not impostors.all():
        return ReferenceResults(*accuracy, val=None, val_std=None, far=None, auc=None, eer=None)

    far_of_others = (fine_false.sum(axis=0) - fine_false) / (len(labels) - labels.sum() - impostors)
    thresholds = [_threshold_at(row, far_target) for row in far_of_others]
    val, far = np.empty((2, FOLDS))
    for index, threshold in enumerate(thresholds):
        accepted = (fold == index) & (distances < threshold)
        val[index] = np.count_nonzero(accepted & labels) / genuines[index, 0]
        far[index] = np.count_nonzero(accepted & ~labels) / impostors[index, 0]
    tpr, fpr = (true / genuines).mean(axis=0), (false / impostors).mean(axis=0)
    area = float(np.sum(np.diff(fpr) * (tpr[1:] + tpr[:-1])) / 2)
    return ReferenceResults(
        *accuracy,
        val=float(np.mean(val)),
        val_std=float(np.std(val)),
        far=float(np.mean(far)),
        auc=area,
        eer=_crossing(fpr, tpr),
    )


def _normalised(embeddings: NDArray[np.floating]) -> Rows:
    rows = np.asarray(embeddings, np.float64)
    lengths = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    lengths[lengths == 0] = 1.0  # a zero embedding stays zero, as in the scripts
    return np.asarray(rows / lengths[:, None])


def _below(distances: Rows, fold: NDArray[np.int64], thresholds: Rows) -> NDArray[np.int64]:
    """Number of distances of each fold strictly below each threshold, (folds, thresholds)."""
    return np.array(
        [np.searchsorted(np.sort(distances[fold == i]), thresholds) for i in range(FOLDS)]
    )


def _threshold_at(far: Rows, target: float) -> float:
    """Threshold of a target FAR, interpolated on the fine grid; 0 if never reached."""
    after = int(np.searchsorted(far, target, side="right"))
    if after == 0 or far[-1] < target:
        return 0.0
    if after == len(far):
        return float(FINE_THRESHOLDS[-1])
    low, high = FINE_THRESHOLDS[after - 1], FINE_THRESHOLDS[after]
    share = (target - far[after - 1]) / (far[after] - far[after - 1])
    return float(low + share * (high - low))


def _crossing(fpr: Rows, tpr: Rows) -> float | None:
    """Where the ROC crosses fpr = 1 - tpr, by linear interpolation; None if it does not."""
    gap = fpr + tpr - 1
    if gap[0] > 0 or gap[-1] < 0:
        return None
    after = max(int(np.argmax(gap >= 0)), 1)
    share = gap[after - 1] / (gap[after - 1] - gap[after])
    return float(fpr[after - 1] + share * (fpr[after] - fpr[after - 1]))


REFERENCE_PROTOCOLS = {"insightface": insightface, "facenet": facenet}


def reference_section(
    name: str,
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    same: NDArray[np.bool_],
    missing: int,
) -> Section:
    """Estimates of a reference protocol.

    Args:
        name: "insightface" or "facenet".
        first: embeddings of the first photos, (N, D).
        second: of the second photos, (N, D).
        same: whether each pair is genuine, (N,).
        missing: number of photos without an embedding.
    """
    key, title = f"compat_{name}", f"As the scripts of {name} print it"
    if missing:
        why = f"the scripts need a face in every photo, {missing} have none"
        return Section(key, title, (Estimate("accuracy", "accuracy", None, detail=why),))
    usual = REFERENCE_PROTOCOLS[name](first, second, same)
    why = "a fold lacks one kind of pair"
    val = None if usual.val is None else f"+- {usual.val_std:.5f} at FAR {usual.far:.5f}"
    return Section(
        key,
        title,
        (
            Estimate(
                "accuracy",
                "accuracy",
                usual.accuracy,
                detail=f"+- {usual.accuracy_std:.5f} (population SD)",
                extra={"population_standard_deviation": usual.accuracy_std},
            ),
            Estimate(
                "val",
                "validation rate at FAR 0.001",
                usual.val,
                detail=val or why,
                extra={"population_standard_deviation": usual.val_std, "far": usual.far},
            ),
            Estimate("auc", "AUC of the mean ROC", usual.auc, "number", detail="" if val else why),
            Estimate("eer", "EER of the mean ROC", usual.eer, detail="" if val else why),
        ),
    )
