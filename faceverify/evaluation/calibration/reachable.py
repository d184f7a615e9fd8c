"""The largest distance that keeps a false match rate, and why there may be none.

It holds for distances that are off by ``RESOLUTION``: so far apart are embeddings of one photo on
two processors, and the distances of a net whose outputs are steps or nearly constant.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from faceverify.evaluation.metrics.error_rates import allowed_errors, error_rates

if TYPE_CHECKING:
    from faceverify.evaluation.metrics.scores import ScoreCounts

STEPS = 10**6  # per unit of distance: thresholds have six digits, as printed distances
RESOLUTION = 1 / STEPS


def largest_distance(counts: ScoreCounts, target: float) -> float | None:
    """The largest distance of the data that keeps the FMR; None where nothing matches that does.

    A step of the last digit is added, so that a tie there matches in spite of rounding.
    """
    kept = _kept(counts, target)
    if not kept:
        return None
    reached = (math.ceil(float(counts.distances[kept - 1]) * STEPS) + 1) / STEPS
    distance = min(reached, limit(counts, target))
    return distance if distance > 0 and any(counts.matches(distance)) else None


def limit(counts: ScoreCounts, target: float) -> float:
    """The largest threshold of six digits that keeps the FMR; at most 0 where none does.

    A distance that is larger by the resolution keeps it, too: no tie is cut in two.
    """
    kept = _kept(counts, target)
    if kept == len(counts.distances):
        return 2.0
    return (math.ceil(float(counts.distances[kept]) * STEPS) - 2) / STEPS


def _kept(counts: ScoreCounts, target: float) -> int:
    """Number of distinct distances up to which the FMR does not exceed the target."""
    allowed = allowed_errors(target, counts.impostors)
    return int(np.searchsorted(np.cumsum(counts.impostor), allowed, side="right"))


def begins_above(counts: ScoreCounts) -> str:
    """The FMR at the smallest distance, as a reason."""
    smallest = max(math.ceil(float(counts.distances[0]) * STEPS), 1) / STEPS
    rate = error_rates(counts, smallest + RESOLUTION).fmr
    assert rate is not None
    return (
        f"at distance {smallest:.6f}, where its matches begin, {100 * rate:.3g} % of "
        f"{counts.impostors:,} impostor comparisons match"
    )
