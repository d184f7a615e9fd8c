"""Calibrated thresholds of a model file, from genuine and impostor scores.

A threshold is a promise: at most so many of the comparisons of different people match. It is made
about comparisons that were made, as every decision is: failed ones are not in the denominator of
the FMR. And it holds for distances that are off by ``RESOLUTION``: so far apart are embeddings of
one photo on two processors, and the distances of a net whose outputs are steps or nearly constant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from faceverify.errors import UsageError
from faceverify.evaluation.calibration.extrapolation import (
    MAX_FACTOR,
    Extrapolation,
    fit_extrapolation,
)
from faceverify.evaluation.metrics.error_rates import (
    MIN_EXPECTED_ERRORS,
    allowed_errors,
    error_rates,
)
from faceverify.models.metadata import Threshold

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faceverify.evaluation.metrics.scores import ScoreCounts
    from faceverify.evaluation.metrics.wilson import Interval

STEPS = 10**6  # per unit of distance: thresholds have six digits, as printed distances
RESOLUTION = 1 / STEPS


@dataclass(frozen=True)
class Unreachable:
    """A false match rate that a model cannot run at, and why."""

    fmr: float
    reason: str

    def __str__(self) -> str:
        return f"this model cannot run at FMR {self.fmr:g}: {self.reason}"


@dataclass(frozen=True)
class ThresholdSet:
    """Thresholds of the rates that a model can run at, and the other rates.

    Args:
        thresholds: from the largest rate to the smallest.
        unreachable: likewise.
    """

    thresholds: tuple[Threshold, ...]
    unreachable: tuple[Unreachable, ...]


def supported_targets(counts: ScoreCounts, fmr_targets: Sequence[float]) -> list[float]:
    """FMR targets that allow at least 10 false matches on these data."""
    made = int(counts.impostor.sum())
    return [target for target in fmr_targets if allowed_errors(target, made) >= MIN_EXPECTED_ERRORS]


def thresholds_from_scores(
    counts: ScoreCounts,
    fmr_targets: Sequence[float],
    dataset: str,
    *,
    interval_at: Callable[[float], Interval | None] | None = None,
    extrapolate: bool = False,
) -> ThresholdSet:
    """The threshold of each target FMR: the largest distance at which the FMR does not exceed it.

    Args:
        counts: genuine and impostor scores.
        fmr_targets: rates, in (0, 1).
        dataset: description of the calibration data, one line.
        interval_at: 95 % interval of the FMR at a distance; None, or where it returns None, for
            Wilson's, which assumes independent comparisons.
        extrapolate: whether targets with fewer than 10 expected false matches are extrapolated
            (see ``extrapolation``); the dataset text of such a threshold says so.

    Raises:
        UsageError: a target that the data do not support; a rate outside (0, 1); no genuine or no
            impostor comparisons.
    """
    for target in fmr_targets:
        if not 0 < target < 1:
            raise UsageError(f"FMR {target:g}: expected a rate between 0 and 1, such as 1e-3")
    if not counts.genuines or not counts.impostors:
        found = "genuine" if counts.genuines else "impostor"
        raise UsageError(
            f"calibration: found only {found} comparisons, expected both kinds",
            cure="give at least two people, one of them with two photos",
        )
    if not counts.impostor.any():
        raise UsageError(
            "calibration: found no comparison of different people that could be made",
            cure="see failures",
        )
    counts = replace(counts, failed_impostor=0)
    supported = supported_targets(counts, fmr_targets)
    extrapolation = None
    thresholds, unreachable = [], []
    for target in sorted(set(fmr_targets), reverse=True):
        if target in supported:
            distance = _counted_distance(counts, target)
            if distance is None:
                unreachable.append(Unreachable(target, _begins_above(counts)))
            else:
                thresholds.append(_counted(counts, target, distance, dataset, interval_at))
            continue
        _refuse_unsupported(counts, target, extrapolate=extrapolate)
        most = _limit(counts, target)
        if most <= 0:
            unreachable.append(Unreachable(target, _begins_above(counts)))
            continue
        extrapolation = extrapolation or fit_extrapolation(counts)
        distance = min(math.floor(extrapolation.distance_at(target) * STEPS) / STEPS, most)
        if distance <= 0:
            reason = f"the {extrapolation} reaches distance 0 at a larger rate"
            unreachable.append(Unreachable(target, reason))
        else:
            thresholds.append(_extrapolated(counts, target, distance, dataset, extrapolation))
    return ThresholdSet(tuple(thresholds), tuple(unreachable))


def _counted_distance(counts: ScoreCounts, target: float) -> float | None:
    """The largest distance of the data that keeps the FMR; None where nothing matches that does.

    A step of the last digit is added, so that a tie there matches in spite of rounding.
    """
    kept = _kept(counts, target)
    if not kept:
        return None
    reached = (math.ceil(float(counts.distances[kept - 1]) * STEPS) + 1) / STEPS
    distance = min(reached, _limit(counts, target))
    return distance if distance > 0 and any(counts.matches(distance)) else None


def _limit(counts: ScoreCounts, target: float) -> float:
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


def _begins_above(counts: ScoreCounts) -> str:
    """The FMR at the smallest distance, as a reason."""
    smallest = max(math.ceil(float(counts.distances[0]) * STEPS), 1) / STEPS
    rate = error_rates(counts, smallest + RESOLUTION).fmr
    assert rate is not None
    return (
        f"at distance {smallest:.6f}, where its matches begin, {100 * rate:.3g} % of "
        f"{counts.impostors:,} impostor comparisons match"
    )


def _counted(
    counts: ScoreCounts,
    target: float,
    distance: float,
    dataset: str,
    interval_at: Callable[[float], Interval | None] | None,
) -> Threshold:
    rates = error_rates(counts, distance)
    interval = (interval_at(distance) if interval_at else None) or rates.fmr_interval
    assert interval is not None
    assert rates.fnmr is not None
    return Threshold(
        fmr=target,
        distance=distance,
        fnmr=rates.fnmr,
        impostors=rates.impostors,
        genuine=rates.genuines,
        interval=(interval.low, interval.high),
        dataset=dataset,
    )


def _extrapolated(
    counts: ScoreCounts,
    target: float,
    distance: float,
    dataset: str,
    extrapolation: Extrapolation,
) -> Threshold:
    interval = extrapolation.interval_at(distance)
    fnmr = error_rates(counts, distance).fnmr
    assert fnmr is not None
    return Threshold(
        fmr=target,
        distance=distance,
        fnmr=fnmr,
        impostors=counts.impostors,
        genuine=counts.genuines,
        interval=(interval.low, interval.high),
        dataset=f"{dataset}; extrapolated: {extrapolation}",
    )


def _refuse_unsupported(counts: ScoreCounts, target: float, *, extrapolate: bool) -> None:
    expected = target * counts.impostors
    found = (
        f"FMR {target:g}: {counts.impostors:,} impostor comparisons allow {expected:.3g} false "
        f"matches, expected at least {MIN_EXPECTED_ERRORS}"
    )
    smallest = MIN_EXPECTED_ERRORS / counts.impostors
    decade = 10.0 ** math.floor(math.log10(smallest))
    smallest = math.ceil(smallest / decade - 1e-9) * decade  # one digit, rounded up
    if not extrapolate:
        raise UsageError(
            found,
            cure=f"add people, ask for {smallest:.1g} or more, or use --extrapolate",
        )
    if expected * MAX_FACTOR < MIN_EXPECTED_ERRORS:
        raise UsageError(
            f"{found}; extrapolation goes at most {MAX_FACTOR} times below that", cure="add people"
        )
