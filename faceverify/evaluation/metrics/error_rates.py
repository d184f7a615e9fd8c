"""Error rates of a verification system, exact on its scores: ROC, AUC, EER, TAR@FAR.

Definitions: ISO/IEC 19795-1:2021 (FMR, FNMR, EER); Fawcett, "An introduction to ROC analysis",
2006. What the data cannot say (one class only, too few impostors) is None: print it as n/a.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.evaluation.metrics.wilson import Interval, wilson

if TYPE_CHECKING:
    from faceverify.evaluation.metrics.scores import ScoreCounts

FMR_TARGETS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
FEWEST_EXPECTED_ERRORS = 10  # below, a rate is noise: 3 of 3,000 has the interval [3e-4, 2.9e-3]


@dataclass(frozen=True, eq=False)
class Roc:
    """The ROC: one point before the first distance, and one at each distinct distance.

    Args:
        threshold: ascending, the first is ``-inf`` (nothing matches), (K + 1,).
        fmr, tmr: false and true match rate at it (FAR and TAR), ascending, (K + 1,) each.
    """

    threshold: NDArray[np.float64]
    fmr: NDArray[np.float64]
    tmr: NDArray[np.float64]


@dataclass(frozen=True)
class EqualErrorRate:
    """Where FMR and FNMR are equal.

    Args:
        rate: on the ROC's straight line between its neighbouring points.
        threshold: the distance at which the larger of the two rates is smallest.
    """

    rate: float
    threshold: float


@dataclass(frozen=True)
class ErrorRates:
    """What happens at one threshold, with 95 % Wilson bounds; a rate of nothing is None.

    Args:
        threshold: comparisons with distance <= threshold match.
        false_matches, impostors: FMR is their ratio.
        false_non_matches, genuines: FNMR is their ratio; failed comparisons are in both.
        failures: comparisons that could not be made, genuine and impostor.
    """

    threshold: float
    false_matches: int
    impostors: int
    false_non_matches: int
    genuines: int
    failures: int

    @property
    def fmr(self) -> float | None:
        """False match rate (FAR)."""
        return self.false_matches / self.impostors if self.impostors else None

    @property
    def fnmr(self) -> float | None:
        """False non-match rate (1 - TAR)."""
        return self.false_non_matches / self.genuines if self.genuines else None

    @property
    def tmr(self) -> float | None:
        """True match rate (TAR)."""
        return None if self.fnmr is None else 1 - self.fnmr

    @property
    def fmr_interval(self) -> Interval | None:
        """Wilson bounds of the FMR."""
        return wilson(self.false_matches, self.impostors)

    @property
    def fnmr_interval(self) -> Interval | None:
        """Wilson bounds of the FNMR."""
        return wilson(self.false_non_matches, self.genuines)


def roc(counts: ScoreCounts) -> Roc | None:
    """Return the whole ROC; None when there are not both kinds of comparison."""
    if not counts.genuines or not counts.impostors:
        return None
    return Roc(
        threshold=np.concatenate(([-np.inf], counts.distances)),
        fmr=_from_zero(counts.impostor) / counts.impostors,
        tmr=_from_zero(counts.genuine) / counts.genuines,
    )


def auc(counts: ScoreCounts) -> float | None:
    """Return the area under the ROC: P(genuine < impostor) + P(equal) / 2 (Mann and Whitney).

    Failed comparisons count as the largest distance of all.
    """
    curve = roc(counts)
    if curve is None:
        return None
    fmr, tmr = (np.append(rate, 1.0) for rate in (curve.fmr, curve.tmr))
    return float(np.sum(np.diff(fmr) * (tmr[1:] + tmr[:-1])) / 2)


def eer(counts: ScoreCounts) -> EqualErrorRate | None:
    """Return the equal error rate: where the ROC crosses FMR = FNMR."""
    curve = roc(counts)
    if curve is None:
        return None
    fmr, fnmr = np.append(curve.fmr, 1.0), np.append(1 - curve.tmr, 0.0)
    after = int(np.argmax(fmr >= fnmr))  # FMR rises and FNMR falls: they cross once
    gap = fnmr[after - 1] - fmr[after - 1]
    share = gap / (gap + fmr[after] - fnmr[after])
    rate = fmr[after - 1] + share * (fmr[after] - fmr[after - 1])
    best = int(np.argmin(np.maximum(curve.fmr, 1 - curve.tmr)))
    return EqualErrorRate(float(rate), float(curve.threshold[best]))


def error_rates(counts: ScoreCounts, threshold: float) -> ErrorRates:
    """Return both error rates at a given threshold."""
    true_matches, false_matches = counts.matches(threshold)
    return ErrorRates(
        threshold=threshold,
        false_matches=false_matches,
        impostors=counts.impostors,
        false_non_matches=counts.genuines - true_matches,
        genuines=counts.genuines,
        failures=counts.failed_genuine + counts.failed_impostor,
    )


def allowed_errors(rate: float, comparisons: int) -> int:
    """Return how many errors a rate allows: 0.29 of 100 is 29, whatever 0.29 is in binary."""
    return math.floor(rate * comparisons * (1 + 1e-12))


def rates_at_fmr(counts: ScoreCounts, fmr: float) -> ErrorRates | None:
    """Return the error rates (TAR@FAR, FNMR@FMR) at the most permissive threshold for an FMR.

    That is the largest distance of the data at which the FMR does not exceed the target; if even
    the smallest does, a threshold just below it.

    Args:
        counts: the scores.
        fmr: the target, in (0, 1].

    Returns:
        None when the data cannot say: fewer than 10 false matches allowed, or no genuines.
    """
    allowed = allowed_errors(fmr, counts.impostors)
    if allowed < FEWEST_EXPECTED_ERRORS or not counts.genuines:
        return None
    end = int(np.searchsorted(np.cumsum(counts.impostor), allowed, side="right"))
    if not len(counts.distances):
        return error_rates(counts, 0.0)  # every comparison failed
    threshold = counts.distances[end - 1] if end else np.nextafter(counts.distances[0], -np.inf)
    return error_rates(counts, float(threshold))


def best_threshold(counts: ScoreCounts) -> tuple[float, float]:
    """Choose the threshold of the highest accuracy, exactly.

    Accuracy changes only at distances of the data. Among the plateaus between them that reach the
    best accuracy the widest is taken (the first of equals), and of it the middle.

    Returns:
        threshold, accuracy. Failed comparisons are wrong at any threshold, genuine or impostor.
    """
    correct = _from_zero(counts.genuine) - _from_zero(counts.impostor) + counts.impostor.sum()
    total = counts.genuines + counts.impostors
    if not len(counts.distances):
        return 0.0, 0.0
    first, last = counts.distances[0], counts.distances[-1]
    edges = np.concatenate(([min(0.0, first)], counts.distances, [max(2.0, last)]))
    width = np.diff(edges)  # (K + 1,): plateau k reaches from edge k up to, not with, edge k + 1
    if first <= 0:  # at distance 0 lies a score: only a negative threshold rejects it
        edges[0], width[0] = np.nextafter(first, -np.inf), 0.0
    best = correct == correct.max()
    plateau = int(np.argmax(np.where(best, width, -1.0)))
    low, high = edges[plateau], edges[plateau + 1]
    middle = low + (high - low) / 2
    threshold = middle if middle < high else low  # between two neighbouring floats lies none
    return float(threshold), float(correct[plateau] / total)


def _from_zero(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(K,) -> (K + 1,): how many lie at or before each distance, and none before the first."""
    return np.concatenate(([0], np.cumsum(counts)))
