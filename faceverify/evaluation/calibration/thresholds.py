"""Calibrated thresholds of a model file, from genuine and impostor scores.

A threshold is a promise: at most so many of the comparisons of different people match. It is made
about comparisons that were made, as every decision is: failed ones are not in the denominator of
the FMR.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from faceverify.errors import UsageError
from faceverify.evaluation.calibration.between import rates_between
from faceverify.evaluation.calibration.extrapolation import (
    MAX_FACTOR,
    Extrapolation,
    fit_extrapolation,
)
from faceverify.evaluation.calibration.reachable import (
    STEPS,
    begins_above,
    largest_distance,
    limit,
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

    Where the distances are steps, so that the FMR jumps between two targets, thresholds in between
    are added: an identification interpolates (``matching/threshold.py``).

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
            distance = largest_distance(counts, target)
            if distance is None:
                unreachable.append(Unreachable(target, begins_above(counts)))
            else:
                thresholds.append(_counted(counts, target, distance, dataset, interval_at))
            continue
        _refuse_unsupported(counts, target, extrapolate=extrapolate)
        most = limit(counts, target)
        if most <= 0:
            unreachable.append(Unreachable(target, begins_above(counts)))
            continue
        extrapolation = extrapolation or fit_extrapolation(counts)
        distance = min(math.floor(extrapolation.distance_at(target) * STEPS) / STEPS, most)
        if distance <= 0:
            reason = f"the {extrapolation} reaches distance 0 at a larger rate"
            unreachable.append(Unreachable(target, reason))
        else:
            thresholds.append(_extrapolated(counts, target, distance, dataset, extrapolation))
    for target in rates_between(counts, [(one.fmr, one.distance) for one in thresholds]):
        distance = largest_distance(counts, target)
        assert distance is not None
        thresholds.append(_counted(counts, target, distance, dataset, interval_at))
    thresholds.sort(key=lambda one: one.fmr, reverse=True)
    return ThresholdSet(tuple(thresholds), tuple(unreachable))


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
