"""The figures that any set of genuine and impostor scores has: AUC, EER, TAR@FAR, failures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from faceverify.evaluation.intervals.bootstrap import interval
from faceverify.evaluation.metrics.error_rates import (
    FMR_TARGETS,
    auc,
    eer,
    error_rates,
    rates_at_fmr,
)
from faceverify.evaluation.results import Figure, Section, rate_figure

if TYPE_CHECKING:
    from collections.abc import Callable

    from faceverify.evaluation.intervals.bootstrap import Replicates
    from faceverify.evaluation.metrics.scores import ScoreCounts
    from faceverify.evaluation.metrics.wilson import Interval
    from faceverify.matching.operating_point import OperatingPoint

ONE_KIND = "needs genuine and impostor pairs"


def data_section(counts: ScoreCounts, photos: int, failures: int, people: int | None) -> Section:
    """What was compared, and how much could not be.

    Args:
        counts: the scores.
        photos: how many there are.
        failures: photos without an embedding.
        people: how many; None where nobody says.
    """
    figures = [
        Figure("genuine", "genuine comparisons", counts.genuines, "count"),
        Figure("impostor", "impostor comparisons", counts.impostors, "count"),
        Figure("photos", "photos", photos, "count"),
        rate_figure(
            "failure_to_enrol", "failure to enrol (photos without a face)", failures, photos
        ),
        Figure(
            "failed_comparisons",
            "comparisons that failed with them",
            counts.failed_genuine + counts.failed_impostor,
            "count",
            detail=f"{counts.failed_genuine:,} genuine, {counts.failed_impostor:,} impostor",
        ),
    ]
    if people is not None:
        figures.insert(2, Figure("people", "people", people, "count"))
    return Section("data", "Data", tuple(figures))


def curve_section(
    counts: ScoreCounts,
    replicates: Replicates | None,
    *,
    fnmr_interval_at: Callable[[float], Interval | None] | None = None,
) -> Section:
    """The figures of the whole curve: AUC, EER, and TAR at each FAR.

    Args:
        counts: the scores.
        replicates: for intervals over identities; None leaves them to Wilson, or out.
        fnmr_interval_at: instead of replicates, gives the FNMR's interval at a fixed threshold.
    """
    equal, area = eer(counts), auc(counts)
    intervals = (interval(replicates.auc), interval(replicates.eer)) if replicates else (None, None)
    why = "" if equal else ONE_KIND
    place = equal.threshold if equal and math.isfinite(equal.threshold) else None
    where = f"at distance {place:.6f}" if place is not None else "where nothing matches"
    figures = [
        Figure("auc", "AUC", area, "number", intervals[0], "identities", why),
        Figure(
            "eer",
            "EER",
            equal.rate if equal else None,
            interval=intervals[1],
            method="identities",
            detail=where if equal else why,
            extra={"threshold": place},
        ),
    ]
    for target in FMR_TARGETS:
        bounds = interval(replicates.tmr.get(target)) if replicates else None
        figures.append(_tar(counts, target, bounds, fnmr_interval_at))
    return Section("curve", "At any threshold", tuple(figures))


def tar_key(target: float) -> str:
    """Name of the TAR at an FAR in JSON.

    >>> tar_key(1e-3)
    'tar_at_1e-3'
    """
    return f"tar_at_{target:.0e}".replace("e-0", "e-")


def _tar(
    counts: ScoreCounts,
    target: float,
    bounds: Interval | None,
    fnmr_interval_at: Callable[[float], Interval | None] | None,
) -> Figure:
    key, name = tar_key(target), f"1 - FNMR (TAR) at FMR (FAR) {target:g}"
    rates = rates_at_fmr(counts, target)
    if rates is None or rates.tmr is None:
        allowed = f"{counts.impostors:,} impostor comparisons allow {target * counts.impostors:.3g}"
        why = f"{allowed} errors, under 10" if counts.genuines else ONE_KIND
        return Figure(key, name, None, detail=why)
    if fnmr_interval_at is not None and (fnmr := fnmr_interval_at(rates.threshold)):
        bounds = type(fnmr)(1 - fnmr.high, 1 - fnmr.low)
    return rate_figure(
        key,
        name,
        rates.genuines - rates.false_non_matches,
        rates.genuines,
        over_identities=bounds,
        detail=f"distance {rates.threshold:.6f}; FMR really {rates.fmr:.3g}",
        threshold=rates.threshold,
        fmr=rates.fmr,
    )


def threshold_section(
    counts: ScoreCounts,
    threshold: float,
    origin: str,
    fmr_interval: Interval | None,
    fnmr_interval: Interval | None,
    accuracy: Figure | None = None,
) -> Section:
    """Both error rates at a fixed threshold: what its user gets.

    Args:
        counts: the scores.
        threshold: comparisons with distance <= threshold match.
        origin: where it comes from, in words.
        fmr_interval: over identities; None for Wilson's.
        fnmr_interval: likewise.
        accuracy: of the decisions, where the mix of pairs gives it a meaning.
    """
    rates = error_rates(counts, threshold)
    figures = [
        Figure("threshold", "threshold", threshold, "distance", detail=origin),
        rate_figure(
            "fmr",
            "FMR (FAR)",
            rates.false_matches,
            rates.impostors,
            over_identities=fmr_interval,
        ),
        rate_figure(
            "fnmr",
            "FNMR (FRR)",
            rates.false_non_matches,
            rates.genuines,
            over_identities=fnmr_interval,
        ),
    ]
    if accuracy is not None:
        figures.insert(1, accuracy)
    return Section("fixed", "At a fixed threshold", tuple(figures))


def calibration_notes(point: OperatingPoint | None) -> list[str]:
    """What a threshold was calibrated on, where it was."""
    if point is None or not point.dataset:
        return []
    return [f"the threshold was calibrated on {point.dataset}"]
