"""Bounds of a rate: Wilson, "Probable inference", JASA 22 (1927), 209-212."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Interval:
    """A confidence interval, low <= high."""

    low: float
    high: float


def wilson(errors: int, trials: int, *, z: float = 1.959963984540054) -> Interval | None:
    """Return the bounds of errors / trials, for independent trials; None without trials.

    Args:
        errors: how many trials went wrong.
        trials: how many there were.
        z: quantile of the normal distribution; 1.96 for 95 %.
    """
    if trials == 0:
        return None
    rate = errors / trials
    centre = rate + z * z / (2 * trials)
    half = z * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    low = 0.0 if errors == 0 else (centre - half) / scale
    high = 1.0 if errors == trials else (centre + half) / scale
    return Interval(max(low, 0.0), min(high, 1.0))
