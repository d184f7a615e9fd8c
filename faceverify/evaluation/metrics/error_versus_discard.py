"""Error-versus-discard curve (EDC) of a quality measure, and the area under it.

ISO/IEC 29794-1:2024; Grother and Tabassi, "Performance of biometric quality measures", IEEE TPAMI
29, 2007. Of all comparisons those of the lowest quality are discarded; how fast does the error rate
of the others fall? The threshold of the comparisons stays. Comparisons of one quality are discarded
together or not at all, so between the shares that can be discarded the curve is a step (Schlett et
al., "Considerations on the evaluation of biometric quality assessment algorithms", 2023).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceverify.errors import UsageError

Rows = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class DiscardCurve:
    """An error-versus-discard curve: a step at each share that can be discarded.

    Args:
        discarded: share of the comparisons, ascending from 0, below 1, (K,).
        error: error rate of the others, (K,).
        quality: the least quality among the others, ascending, (K,).
        comparisons: number of all comparisons.
    """

    discarded: Rows
    error: Rows
    quality: Rows
    comparisons: int

    def at(self, share: float) -> float:
        """Error rate where at most this share is discarded, in [0, 1]."""
        return float(self.error[np.searchsorted(self.discarded, share, side="right") - 1])

    def area(self, limit: float = 1.0) -> float:
        """Mean error rate over discarded shares from 0 to a limit, in (0, 1].

        The overall error rate for a measure that knows nothing, :meth:`least_area` for the best.
        """
        ends = np.minimum(np.append(self.discarded[1:], 1.0), limit)
        widths = np.maximum(ends - np.minimum(self.discarded, limit), 0.0)
        return float(widths @ self.error / limit)

    def least_area(self, limit: float = 1.0) -> float:
        """The area of a measure that ranks every error below everything else.

        Of a share e of errors, (e - x) / (1 - x) are left after x: integrated up to the smaller of
        e and the limit.
        """
        errors = float(self.error[0])
        end = min(errors, limit)
        if end >= 1:
            return 1.0
        return float((end + (1 - errors) * np.log1p(-end)) / limit)


def error_versus_discard(quality: ArrayLike, errors: ArrayLike) -> DiscardCurve | None:
    """The curve of N comparisons; None without any.

    Args:
        quality: of each comparison, the lower one of its two photos', (N,).
        errors: whether each comparison is an error, (N,).

    Raises:
        UsageError: NaN, or different numbers of qualities and errors.
    """
    values, wrong = np.asarray(quality, np.float64), np.asarray(errors, bool)
    if values.ndim != 1 or values.shape != wrong.shape or np.isnan(values).any():
        raise UsageError(
            f"qualities: found shape {values.shape} for errors of shape {wrong.shape}, "
            f"{int(np.isnan(values).sum())} of them NaN, expected one number a comparison",
            cure="leave out photos without a quality",
        )
    if not values.size:
        return None
    levels, place = np.unique(values, return_inverse=True)
    before = np.concatenate(([0], np.cumsum(np.bincount(place))[:-1]))  # (K,)
    gone = np.concatenate(([0], np.cumsum(np.bincount(place, weights=wrong))[:-1]))
    left = values.size - before
    return DiscardCurve(before / values.size, (wrong.sum() - gone) / left, levels, values.size)
