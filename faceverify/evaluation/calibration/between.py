"""False match rates between calibrated ones, where interpolation would let in too many.

An identification runs at rates between the calibrated ones, at a distance interpolated between
theirs. That is near enough for smooth distances (ADR 12), and not for a net whose distances are
steps: there one more distance may match ten times as many.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from faceverify.evaluation.calibration.reachable import largest_distance
from faceverify.evaluation.metrics.error_rates import (
    MIN_EXPECTED_ERRORS,
    allowed_errors,
    error_rates,
)
from faceverify.matching.threshold import distance_at

if TYPE_CHECKING:
    from faceverify.evaluation.metrics.scores import ScoreCounts

PER_DECADE = 20  # rates that are checked
TOLERANCE = 1.5  # of the FMR at an interpolated distance over the rate
BELOW = 0.999  # of the FMR after a jump: the rate that is still run before it
MOST = 64  # rates added


def rates_between(counts: ScoreCounts, points: list[tuple[float, float]]) -> list[float]:
    """Rates to calibrate, too, so that the FMR follows the interpolation.

    Args:
        counts: genuine and impostor scores.
        points: calibrated (false match rate, distance).
    """
    known = sorted(points)
    added: list[float] = []
    while len(added) < MOST and (jump := _first_jump(counts, known)) is not None:
        distance = largest_distance(counts, jump * BELOW)
        if distance is None:
            break
        added.append(jump * BELOW)
        known = sorted([*known, (jump * BELOW, distance)])
    return added


def _first_jump(counts: ScoreCounts, points: list[tuple[float, float]]) -> float | None:
    """The FMR after the first jump that interpolation does not see; None where there is none."""
    for (low, _), (high, _) in pairwise(points):
        number = max(2, int(np.ceil(np.log10(high / low) * PER_DECADE)))
        for rate in np.geomspace(low, high, number, endpoint=False)[1:].tolist():
            if allowed_errors(rate, counts.impostors) < MIN_EXPECTED_ERRORS:
                continue
            distance = distance_at(points, rate)
            assert distance is not None
            fmr = error_rates(counts, distance).fmr
            assert fmr is not None
            if fmr > TOLERANCE * rate:
                return fmr
    return None
