"""Estimates common to all sets of scores: AUC, EER, TAR at FAR, FMR and FNMR, failures."""

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
from faceverify.evaluation.results import Estimate, Section, rate_estimate

if TYPE_CHECKING:
    from collections.abc import Callable

    from faceverify.evaluation.intervals.bootstrap import Replicates, Rows
    from faceverify.evaluation.metrics.scores import ScoreCounts
    from faceverify.evaluation.metrics.wilson import Interval
    from faceverify.matching.operating_point import OperatingPoint

LEAST_AUC = 0.7  # 0.5 is chance; the poorest model of faces has more
ONE_KIND = "needs genuine and impostor pairs"


def data_section(
    counts: ScoreCounts, photos: int, failures: int, num_identities: int | None
) -> Section:
    """Numbers of comparisons and photos, failure to enroll, failed comparisons.

    Args:
        counts: the scores.
        photos: number of photos.
        failures: number of photos without an embedding.
        num_identities: number of identities; None where unknown.
    """
    estimates = [
        Estimate("genuine", "genuine comparisons", counts.genuines, "count"),
        Estimate("impostor", "impostor comparisons", counts.impostors, "count"),
        Estimate("photos", "photos", photos, "count"),
        rate_estimate(
            "failure_to_enroll", "failure to enroll (photos without a face)", failures, photos
        ),
        Estimate(
            "failed_comparisons",
            "comparisons that failed with them",
            counts.failed_genuine + counts.failed_impostor,
            "count",
            detail=f"{counts.failed_genuine:,} genuine, {counts.failed_impostor:,} impostor",
        ),
    ]
    if num_identities is not None:
        estimates.insert(2, Estimate("people", "people", num_identities, "count"))
    return Section("data", "Data", tuple(estimates))


def curve_section(
    counts: ScoreCounts,
    replicates: Replicates | None,
    *,
    fnmr_interval_at: Callable[[float], Interval | None] | None = None,
) -> Section:
    """Estimates over all thresholds: AUC, EER, and TAR at each FAR.

    Args:
        counts: the scores.
        replicates: of the bootstrap; None for Wilson's intervals, and none of AUC and EER.
        fnmr_interval_at: FNMR interval at a threshold, for the TAR, instead of replicates.
    """
    equal, area = eer(counts), auc(counts)
    intervals = (interval(replicates.auc), interval(replicates.eer)) if replicates else (None, None)
    why = "" if equal else ONE_KIND
    place = equal.threshold if equal and math.isfinite(equal.threshold) else None
    where = f"at distance {place:.6f}" if place is not None else "where nothing matches"
    estimates = [
        Estimate("auc", "AUC", area, "number", intervals[0], "identities", why),
        Estimate(
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
        estimates.append(_tar(counts, target, bounds, fnmr_interval_at))
    return Section("curve", "At any threshold", tuple(estimates))


def replicates_by_key(replicates: Replicates | None) -> dict[str, Rows | None]:
    """Replicates of accuracy, AUC, EER and TAR, by the keys of their estimates; empty for None."""
    if replicates is None:
        return {}
    rates = {tar_key(target): replicates.tmr.get(target) for target in FMR_TARGETS}
    curve = {"auc": replicates.auc, "eer": replicates.eer, **rates}
    return {"accuracy": replicates.accuracy, **curve}


def tar_key(target: float) -> str:
    """JSON key of the TAR at a FAR.

    >>> tar_key(1e-3)
    'tar_at_1e-3'
    """
    return f"tar_at_{target:.0e}".replace("e-0", "e-")


def _tar(
    counts: ScoreCounts,
    target: float,
    bounds: Interval | None,
    fnmr_interval_at: Callable[[float], Interval | None] | None,
) -> Estimate:
    key, name = tar_key(target), f"1 - FNMR (TAR) at FMR (FAR) {target:g}"
    rates = rates_at_fmr(counts, target)
    if rates is None or rates.tmr is None:
        allowed = f"{counts.impostors:,} impostor comparisons allow {target * counts.impostors:.3g}"
        why = f"{allowed} errors, under 10" if counts.genuines else ONE_KIND
        return Estimate(key, name, None, detail=why)
    if fnmr_interval_at is not None and (fnmr := fnmr_interval_at(rates.threshold)):
        bounds = type(fnmr)(1 - fnmr.high, 1 - fnmr.low)
    return rate_estimate(
        key,
        name,
        rates.genuines - rates.false_non_matches,
        rates.genuines,
        over_identities=bounds,
        detail=f"distance {rates.threshold:.6f}; FMR really {rates.fmr:.3g}"
        if rates.threshold >= 0
        else "where nothing matches",
        threshold=rates.threshold,
        fmr=rates.fmr,
    )


def threshold_section(
    counts: ScoreCounts,
    threshold: float,
    origin: str,
    fmr_interval: Interval | None,
    fnmr_interval: Interval | None,
    accuracy: Estimate | None = None,
) -> Section:
    """Estimates at a fixed threshold: FMR, FNMR, and the accuracy of a pair list.

    Args:
        counts: the scores.
        threshold: comparisons with distance <= threshold match.
        origin: source of the threshold, as text.
        fmr_interval: bootstrap interval; None for Wilson's.
        fnmr_interval: likewise.
        accuracy: of the decisions; None for comparisons without official proportions.
    """
    rates = error_rates(counts, threshold)
    estimates = [
        Estimate("threshold", "threshold", threshold, "distance", detail=origin),
        rate_estimate(
            "fmr",
            "FMR (FAR)",
            rates.false_matches,
            rates.impostors,
            over_identities=fmr_interval,
        ),
        rate_estimate(
            "fnmr",
            "FNMR (FRR)",
            rates.false_non_matches,
            rates.genuines,
            over_identities=fnmr_interval,
        ),
    ]
    if accuracy is not None:
        estimates.insert(1, accuracy)
    return Section("fixed", "At a fixed threshold", tuple(estimates))


def alike_notes(area: float | None) -> list[str]:
    """A note where people nearly all look alike, as they do where folders are not people.

    Args:
        area: AUC; None where there is none.
    """
    if area is None or area >= LEAST_AUC:
        return []
    return [
        f"people can hardly be told apart (AUC {area:.2f}): is each of them one person, and the "
        "model one of faces?"
    ]


def calibration_notes(point: OperatingPoint | None) -> list[str]:
    """A note on the calibration data of a threshold; empty for one set by hand."""
    if point is None or not point.dataset:
        return []
    return [f"the threshold was calibrated on {point.dataset}"]
