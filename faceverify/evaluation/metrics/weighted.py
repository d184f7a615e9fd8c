"""Weighted error rates: AUC, EER, TMR, FMR and FNMR of many bootstrap replicates at once.

Row r of each array is one weighting of the same comparisons. The tests compare each row with the
unweighted metrics on comparisons repeated according to their weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Rows = NDArray[np.float64]

CORRECTED = 1 + 1e-12  # as in allowed_errors


@dataclass(frozen=True, eq=False)
class WeightedSums:
    """Cumulative weights at each of K distinct distances, (r, K), and their totals, (r, 1)."""

    genuine: Rows
    impostor: Rows
    genuines: Rows
    impostors: Rows


def weighted_sums(weights: Rows, labels: NDArray[np.bool_], last: NDArray[np.intp]) -> WeightedSums:
    """Cumulative genuine and impostor weights up to each distinct distance.

    Args:
        weights: of N comparisons in ascending order of distance, (r, N).
        labels: whether each comparison is genuine, (N,).
        last: index of the last comparison at each of the K finite distances, (K,).
    """
    genuine = np.cumsum(weights * labels, axis=1)
    impostor = np.cumsum(weights, axis=1) - genuine
    totals = (genuine[:, -1:].copy(), impostor[:, -1:].copy())
    if not len(last):  # every comparison failed: none matches at any threshold
        genuine = impostor = np.zeros((len(weights), 1))
    elif len(last) < weights.shape[1]:
        genuine, impostor = genuine[:, last], impostor[:, last]
    return WeightedSums(genuine, impostor, *totals)


def weighted_metrics(
    sums: WeightedSums,
    distances: Rows,
    targets: Sequence[float],
    threshold: float | None,
    *,
    both: bool,
) -> dict[object, Rows]:
    """Metrics of r replicates, (r,) each, by "auc", "eer", "fmr", "fnmr" or the TMR's FMR target.

    Args:
        sums: cumulative weights.
        distances: the K distinct distances, (K,).
        targets: FMR targets of the TMR.
        threshold: of FMR and FNMR; None leaves them out.
        both: whether there are genuine and impostor comparisons; if not, no AUC and EER.
    """
    estimates: dict[object, Rows] = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        if both:
            estimates["auc"], estimates["eer"] = _auc(sums), _eer(sums)
        for target in targets:
            limit = np.floor(target * sums.impostors * CORRECTED)
            end = np.count_nonzero(sums.impostor <= limit, axis=1)[:, None]
            matched = np.take_along_axis(sums.genuine, np.maximum(end - 1, 0), axis=1)
            estimates[target] = (np.where(end > 0, matched, 0) / sums.genuines)[:, 0]
        if threshold is not None:
            end_ = int(np.searchsorted(distances, threshold, side="right"))
            genuine, impostor = (
                column[:, end_ - 1] if end_ else np.zeros(len(column))
                for column in (sums.genuine, sums.impostor)
            )
            estimates["fmr"] = impostor / sums.impostors[:, 0]
            estimates["fnmr"] = 1 - genuine / sums.genuines[:, 0]
    return estimates


def _auc(sums: WeightedSums) -> Rows:
    width = np.diff(sums.impostor, axis=1, prepend=0.0)  # (r, K)
    height = sums.genuine - np.diff(sums.genuine, axis=1, prepend=0.0) / 2
    area = np.einsum("rk,rk->r", width, height)
    failed = sums.impostors[:, 0] - sums.impostor[:, -1]
    area += failed * (sums.genuine[:, -1] + sums.genuines[:, 0]) / 2
    return np.asarray(area / (sums.impostors * sums.genuines)[:, 0])


def _eer(sums: WeightedSums) -> Rows:
    """Where the weighted ROC crosses FMR = FNMR, by linear interpolation."""
    missed = sums.genuines * sums.impostors
    gap = sums.impostor * sums.genuines + sums.genuine * sums.impostors - missed  # FMR - FNMR
    after = np.count_nonzero(gap < 0, axis=1)  # it rises along each row
    row = np.arange(len(gap))
    columns = sums.impostor.shape[1]
    inside, before = np.minimum(after, columns - 1), np.maximum(after - 1, 0)
    impostors, total = sums.impostors[:, 0], missed[:, 0]
    low_gap = np.where(after > 0, gap[row, before], -total)
    high_gap = np.where(after < columns, gap[row, inside], total)
    low = np.where(after > 0, sums.impostor[row, before], 0)
    high = np.where(after < columns, sums.impostor[row, inside], impostors)
    share = low_gap / (low_gap - high_gap)
    return np.asarray((low + share * (high - low)) / impostors)
