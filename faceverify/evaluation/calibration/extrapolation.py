"""The tail of the impostor distances, to extrapolate thresholds that the data cannot count.

Peaks over threshold (Pickands, "Statistical inference using extreme order statistics", Annals of
Statistics 3, 1975) with shape 0: beyond a quantile u, the log of the FMR falls in a straight line,
FMR(d) = k / N * exp(-(u - d) / scale). Impostor distances fall off faster than that (like a bell
curve), so that a line errs to the safe side: the true FMR lies below the extrapolated one. It
cannot know of what is not in the data: twins, siblings, photos under the wrong name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.wilson import Interval

if TYPE_CHECKING:
    from faceverify.evaluation.metrics.scores import ScoreCounts

FEWEST_IMPOSTORS = 1000
FARTHEST = 100  # how many times below the smallest countable FMR a tail is followed
TAIL_SHARE, FEWEST, MOST = 1e-3, 100, 10_000  # of the nearest impostor scores that are fitted


@dataclass(frozen=True)
class Tail:
    """An exponential tail.

    Args:
        start: u, the largest distance fitted.
        scale: the distance over which the FMR falls by a factor of e.
        fitted: k, impostor comparisons at or below u.
        impostors: N, all impostor comparisons, failed ones too.
    """

    start: float
    scale: float
    fitted: int
    impostors: int

    def __str__(self) -> str:
        return f"exponential tail of the {self.fitted:,} nearest impostor distances"

    def distance_at(self, fmr: float) -> float:
        """Distance at which the FMR is reached; not below 0."""
        return max(self.start + self.scale * math.log(fmr * self.impostors / self.fitted), 0.0)

    def fmr_at(self, distance: float) -> float:
        """FMR at a distance in the tail."""
        share = self.fitted / self.impostors
        return share * math.exp(-(self.start - distance) / self.scale)

    def interval_at(self, distance: float, *, z: float = 1.959963984540054) -> Interval:
        """95 % interval of the FMR there, if the tail is exponential: delta method on its log.

        log FMR = log k - (u - d) / scale: its terms vary by 1 / k, and by ((u - d) / scale)^2 / k.
        """
        depth = (self.start - distance) / self.scale
        half = z * math.sqrt((1 + depth * depth) / self.fitted)
        rate = self.fmr_at(distance)
        return Interval(rate * math.exp(-half), min(rate * math.exp(half), 1.0))


def fit_tail(counts: ScoreCounts) -> Tail:
    """Fit the tail by maximum likelihood: the scale is the mean excess.

    Raises:
        UsageError: under 1,000 impostor comparisons, or all the near ones at one distance.
    """
    made = int(counts.impostor.sum())
    if made < FEWEST_IMPOSTORS:
        raise UsageError(
            f"extrapolation: found {made} impostor comparisons, expected {FEWEST_IMPOSTORS}",
            cure="add people",
        )
    wanted = min(max(round(TAIL_SHARE * made), FEWEST), MOST)
    cumulative = np.cumsum(counts.impostor)
    end = int(np.searchsorted(cumulative, wanted)) + 1  # ties at u belong to the tail
    start, fitted = float(counts.distances[end - 1]), int(cumulative[end - 1])
    excess = start - counts.distances[:end]
    scale = float(np.sum(excess * counts.impostor[:end]) / fitted)
    if scale <= 0:
        raise UsageError(
            f"extrapolation: found the {fitted} nearest impostor comparisons at one distance",
            cure="check the photos",
        )
    return Tail(start, scale, fitted, counts.impostors)
