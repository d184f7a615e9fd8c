"""Calibrated thresholds of a model file, from genuine and impostor scores."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

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
    rates_at_fmr,
)
from faceverify.models.metadata import Threshold

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faceverify.evaluation.metrics.scores import ScoreCounts
    from faceverify.evaluation.metrics.wilson import Interval

DIGITS = 6  # of a threshold, as of printed distances


def supported_targets(counts: ScoreCounts, fmr_targets: Sequence[float]) -> list[float]:
    """FMR targets that allow at least 10 false matches on these data."""
    return [
        target
        for target in fmr_targets
        if allowed_errors(target, counts.impostors) >= MIN_EXPECTED_ERRORS
    ]


def thresholds_from_scores(
    counts: ScoreCounts,
    fmr_targets: Sequence[float],
    dataset: str,
    *,
    interval_at: Callable[[float], Interval | None] | None = None,
    extrapolate: bool = False,
) -> list[Threshold]:
    """The threshold of each target FMR: the largest distance at which the FMR does not exceed it.

    Args:
        counts: genuine and impostor scores.
        fmr_targets: rates, in (0, 1).
        dataset: description of the calibration data, one line.
        interval_at: 95 % interval of the FMR at a distance; None, or where it returns None, for
            Wilson's, which assumes independent comparisons.
        extrapolate: whether targets with fewer than 10 expected false matches are extrapolated
            (see ``extrapolation``); the dataset text of such a threshold says so.

    Returns:
        One threshold for each target, from the largest rate to the smallest.

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
    if not len(counts.distances):
        raise UsageError("calibration: found no comparison that could be made", cure="see failures")
    supported = supported_targets(counts, fmr_targets)
    extrapolation = None
    thresholds = []
    for target in sorted(set(fmr_targets), reverse=True):
        if target in supported:
            thresholds.append(_counted(counts, target, dataset, interval_at))
            continue
        _refuse_unsupported(counts, target, extrapolate=extrapolate)
        extrapolation = extrapolation or fit_extrapolation(counts)
        thresholds.append(_extrapolated(counts, target, dataset, extrapolation))
    return thresholds


def _counted(
    counts: ScoreCounts,
    target: float,
    dataset: str,
    interval_at: Callable[[float], Interval | None] | None,
) -> Threshold:
    reached = rates_at_fmr(counts, target)
    assert reached is not None
    distance = _rounded_down(reached.threshold)
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
    counts: ScoreCounts, target: float, dataset: str, extrapolation: Extrapolation
) -> Threshold:
    distance = _rounded_down(extrapolation.distance_at(target))
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


def _rounded_down(distance: float) -> float:
    """A threshold rounded down to six digits, at least 0."""
    steps: int = 10**DIGITS
    return max(math.floor(distance * steps) / steps, 0.0)
