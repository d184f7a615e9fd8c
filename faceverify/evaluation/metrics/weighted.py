"""The figures of ``metrics`` for many weightings of the same comparisons at once.

Row r of every table is one weighting (a bootstrap replicate); a test holds each row against
``metrics`` on the comparisons repeated as often as they weigh.
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
    """Weighted matches at each of K distinct distances, (r, K), and in all, (r, 1)."""

    genuine: Rows
    impostor: Rows
    genuines: Rows
    impostors: Rows


def weighted_sums(weights: Rows, labels: NDArray[np.bool_], last: NDArray[np.intp]) -> WeightedSums:
    """Sum weights up to each distance.

    Args:
        weights: of N comparisons in ascending order of distance, (r, N).
        labels: which of them are genuine, (N,).
        last: the last comparison at each of the K finite distances, (K,).
    """
    genuine = np.cumsum(weights * labels, axis=1)
    impostor = np.cumsum(weights, axis=1) - genuine
    totals = (genuine[:, -1:].copy(), impostor[:, -1:].copy())
    if not len(last):  # every comparison failed: at any distance, none matches
        genuine = impostor = np.zeros((len(weights), 1))
    elif len(last) < weights.shape[1]:
        genuine, impostor = genuine[:, last], impostor[:, last]
    return WeightedSums(genuine, impostor, *totals)


def weighted_figures(
    sums: WeightedSums,
    distances: Rows,
    targets: Sequence[float],
    threshold: float | None,
    *,
    both: bool,
) -> dict[object, Rows]:
    """Every figure of r replicates, as in ``metrics``, over weights in place of counts."""
    figures: dict[object, Rows] = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        if both:
            figures["auc"], figures["eer"] = _auc(sums), _eer(sums)
        for target in targets:
            limit = np.floor(target * sums.impostors * CORRECTED)
            end = np.count_nonzero(sums.impostor <= limit, axis=1)[:, None]
            matched = np.take_along_axis(sums.genuine, np.maximum(end - 1, 0), axis=1)
            figures[target] = (np.where(end > 0, matched, 0) / sums.genuines)[:, 0]
        if threshold is not None:
            end_ = int(np.searchsorted(distances, threshold, side="right"))
            genuine, impostor = (
                column[:, end_ - 1] if end_ else np.zeros(len(column))
                for column in (sums.genuine, sums.impostor)
            )
            figures["fmr"] = impostor / sums.impostors[:, 0]
            figures["fnmr"] = 1 - genuine / sums.genuines[:, 0]
    return figures


def _auc(sums: WeightedSums) -> Rows:
    width = np.diff(sums.impostor, axis=1, prepend=0.0)  # (r, K)
    height = sums.genuine - np.diff(sums.genuine, axis=1, prepend=0.0) / 2
    area = np.einsum("rk,rk->r", width, height)
    failed = sums.impostors[:, 0] - sums.impostor[:, -1]
    area += failed * (sums.genuine[:, -1] + sums.genuines[:, 0]) / 2
    return np.asarray(area / (sums.impostors * sums.genuines)[:, 0])


def _eer(sums: WeightedSums) -> Rows:
    """Where the weighted ROC crosses FMR = FNMR, on the line between its points."""
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
