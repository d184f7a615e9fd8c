"""Interval bands of a plotted curve: at which FMRs they are worked out, and from what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from faceverify.evaluation.intervals.bootstrap import Replicates, interval
from faceverify.evaluation.metrics.error_rates import FMR_TARGETS, rates_at_fmr
from faceverify.evaluation.results import Band

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faceverify.evaluation.metrics.scores import ScoreCounts
    from faceverify.evaluation.metrics.wilson import Interval

BETWEEN = (1, 1.6, 2.5, 4, 6.3)  # steps within a decade
BAND_TARGETS = tuple(
    sorted({*FMR_TARGETS, *(step * decade for decade in FMR_TARGETS for step in BETWEEN[1:])})
)


def band_of_replicates(replicates: Replicates | None) -> Band:
    """TMR bounds at each target that the replicates hold."""
    if replicates is None:
        return ()
    bounds = [(target, interval(rows)) for target, rows in sorted(replicates.tmr.items())]
    return tuple((target, found.low, found.high) for target, found in bounds if found)


def band_at_thresholds(
    counts: ScoreCounts,
    targets: Sequence[float],
    fnmr_interval_at: Callable[[float], Interval | None],
) -> Band:
    """TMR bounds at the thresholds that reach each target; targets the data cannot say are left."""
    band = []
    for target in sorted(targets):
        rates = rates_at_fmr(counts, target)
        found = fnmr_interval_at(rates.threshold) if rates else None
        if found is not None:
            band.append((target, 1 - found.high, 1 - found.low))
    return tuple(band)


def smallest_fmr(counts: ScoreCounts) -> float:
    """The decade of the smallest FMR but 0 that the data can show; for an axis."""
    return float(10.0 ** np.floor(np.log10(1 / max(counts.impostors, 10))))
