"""Extrapolation of the FMR below the rates that the data support: peaks over threshold.

Pickands, "Statistical inference using extreme order statistics", Annals of Statistics 3, 1975, with
shape 0 (exponential tail): below a quantile u of the impostor distances,
FMR(d) = k / N * exp(-(u - d) / scale). Impostor distances usually have a lighter, nearly normal
tail, which makes this conservative: the true FMR is below the extrapolated one. It does not account
for what is missing from the data: twins, siblings, mislabelled photos.
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

MIN_IMPOSTORS = 1000
MAX_FACTOR = 100  # smallest supported FMR over smallest extrapolated FMR
TAIL_SHARE, MIN_FITTED, MAX_FITTED = 1e-3, 100, 10_000  # nearest impostor scores in the fit


@dataclass(frozen=True)
class Extrapolation:
    """A fitted exponential tail of the impostor distances.

    Args:
        start: u, the largest distance in the fit.
        scale: mean excess; the FMR falls by a factor of e over this distance.
        fitted: k, number of impostor comparisons at or below u.
        impostors: N, number of impostor comparisons, failed ones included.
    """

    start: float
    scale: float
    fitted: int
    impostors: int

    def __str__(self) -> str:
        return f"exponential tail of the {self.fitted:,} nearest impostor distances"

    def distance_at(self, fmr: float) -> float:
        """Threshold of an FMR; negative where the tail reaches 0 at a larger rate."""
        return self.start + self.scale * math.log(fmr * self.impostors / self.fitted)

    def fmr_at(self, distance: float) -> float:
        """FMR at a threshold below u."""
        share = self.fitted / self.impostors
        return share * math.exp(-(self.start - distance) / self.scale)

    def interval_at(self, distance: float, *, z: float = 1.959963984540054) -> Interval:
        """95 % interval of the FMR at a threshold: delta method on its log.

        log FMR = log k - (u - d) / scale + const: variances 1 / k and ((u - d) / scale)^2 / k.
        """
        depth = (self.start - distance) / self.scale
        half = z * math.sqrt((1 + depth * depth) / self.fitted)
        rate = self.fmr_at(distance)
        return Interval(rate * math.exp(-half), min(rate * math.exp(half), 1.0))


def fit_extrapolation(counts: ScoreCounts) -> Extrapolation:
    """Maximum-likelihood fit of the exponential tail: the scale is the mean excess.

    Raises:
        UsageError: fewer than 1,000 impostor comparisons, or all fitted distances are equal.
    """
    made = int(counts.impostor.sum())
    if made < MIN_IMPOSTORS:
        raise UsageError(
            f"extrapolation: found {made} impostor comparisons, expected {MIN_IMPOSTORS}",
            cure="add people",
        )
    target = min(max(round(TAIL_SHARE * made), MIN_FITTED), MAX_FITTED)
    cumulative = np.cumsum(counts.impostor)
    end = int(np.searchsorted(cumulative, target)) + 1  # ties at u are fitted, too
    start, fitted = float(counts.distances[end - 1]), int(cumulative[end - 1])
    excess = start - counts.distances[:end]
    scale = float(np.sum(excess * counts.impostor[:end]) / fitted)
    if scale <= 0:
        raise UsageError(
            f"extrapolation: found the {fitted} nearest impostor comparisons at one distance",
            cure="check the photos",
        )
    return Extrapolation(start, scale, fitted, counts.impostors)
