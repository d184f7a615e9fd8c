"""From scores to the calibrated thresholds that travel in a model file."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from faceverify.errors import UsageError
from faceverify.evaluation.calibration.extrapolation import FARTHEST, Tail, fit_tail
from faceverify.evaluation.metrics.error_rates import (
    FEWEST_EXPECTED_ERRORS,
    allowed_errors,
    error_rates,
    rates_at_fmr,
)
from faceverify.models.metadata import Threshold

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from faceverify.evaluation.metrics.scores import ScoreCounts
    from faceverify.evaluation.metrics.wilson import Interval

DIGITS = 6  # of a threshold; distances are printed with as many


def supported_targets(counts: ScoreCounts, fmr_targets: Sequence[float]) -> list[float]:
    """Return the targets that allow at least 10 false matches on this data."""
    return [
        target
        for target in fmr_targets
        if allowed_errors(target, counts.impostors) >= FEWEST_EXPECTED_ERRORS
    ]


def thresholds_from_scores(
    counts: ScoreCounts,
    fmr_targets: Sequence[float],
    dataset: str,
    *,
    interval_at: Callable[[float], Interval | None] | None = None,
    extrapolate: bool = False,
) -> list[Threshold]:
    """Set a threshold for each false match rate: the largest at which the data stay within it.

    Args:
        counts: all genuine and impostor comparisons.
        fmr_targets: rates, in (0, 1).
        dataset: what the scores were measured on, one line.
        interval_at: gives the 95 % interval of the FMR at a distance, over identities; by default
            Wilson's, which takes the comparisons for independent.
        extrapolate: whether a target with fewer than 10 expected errors may come from a fitted
            tail (see ``tail``); its dataset text then says so.

    Returns:
        One threshold a target, from the largest rate to the smallest.

    Raises:
        UsageError: a target that the data cannot support; a rate outside (0, 1); scores of one
            kind only.
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
    tail = None
    thresholds = []
    for target in sorted(set(fmr_targets), reverse=True):
        if target in supported:
            thresholds.append(_counted(counts, target, dataset, interval_at))
            continue
        _refuse_unsupported(counts, target, extrapolate=extrapolate)
        tail = tail or fit_tail(counts)
        thresholds.append(_extrapolated(counts, target, dataset, tail))
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


def _extrapolated(counts: ScoreCounts, target: float, dataset: str, tail: Tail) -> Threshold:
    distance = _rounded_down(tail.distance_at(target))
    interval = tail.interval_at(distance)
    fnmr = error_rates(counts, distance).fnmr
    assert fnmr is not None
    return Threshold(
        fmr=target,
        distance=distance,
        fnmr=fnmr,
        impostors=counts.impostors,
        genuine=counts.genuines,
        interval=(interval.low, interval.high),
        dataset=f"{dataset}; extrapolated: {tail}",
    )


def _refuse_unsupported(counts: ScoreCounts, target: float, *, extrapolate: bool) -> None:
    expected = target * counts.impostors
    found = (
        f"FMR {target:g}: {counts.impostors:,} impostor comparisons allow {expected:.3g} false "
        f"matches, expected at least {FEWEST_EXPECTED_ERRORS}"
    )
    smallest = FEWEST_EXPECTED_ERRORS / counts.impostors
    decade = 10.0 ** math.floor(math.log10(smallest))
    smallest = math.ceil(smallest / decade - 1e-9) * decade  # one digit, rounded up
    if not extrapolate:
        raise UsageError(
            found,
            cure=f"add people, ask for {smallest:.1g} or more, or extrapolate from a fitted tail "
            "with --extrapolate",
        )
    if expected * FARTHEST < FEWEST_EXPECTED_ERRORS:
        raise UsageError(
            f"{found}; a tail is followed {FARTHEST} times below that at most", cure="add people"
        )


def _rounded_down(distance: float) -> float:
    """A threshold of few digits that admits nothing more; not below 0."""
    steps: int = 10**DIGITS
    return max(math.floor(distance * steps) / steps, 0.0)
