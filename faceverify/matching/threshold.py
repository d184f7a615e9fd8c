"""The threshold of open-set identification (1:N), from the FPIR and the size of the gallery.

A search is a false positive when any of its comparisons is a false match. However the comparisons
depend on each other, the union bound holds: FPIR <= comparisons x FMR. The threshold for
FMR = FPIR / comparisons therefore guarantees the FPIR. For independent comparisons the exact rate
is 1 - (1 - FPIR)^(1 / comparisons), larger only by a factor of about 1 + FPIR / 2. Between
calibrated rates the distance is interpolated linearly in sqrt(-log FMR), in which the tail of a
normal distribution is nearly straight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from faceverify.errors import ModelError
from faceverify.matching.operating_point import OperatingPoint

Calibration = Sequence[tuple[float, float]]
"""Calibrated points of a model: (false match rate, distance)."""

MEAN_MARGIN = 1.5
"""Upper bound on the false matches of a mean template, relative to the sum over its templates. A
normalised mean is nearer to other faces than its members are: 1.4 on LFW, for two templates."""

PLACES = 1e6  # thresholds have six decimal places, like printed distances
ROUNDING = 1 + 1e-9  # FPIR / comparisons may differ from a calibrated rate by rounding


def identification_point(
    calibration: Calibration,
    fpir: float,
    comparisons: int,
    *,
    model: str,
    model_id: str,
    margin: float = 1.0,
) -> OperatingPoint:
    """The operating point of an identification (1:N) for a target FPIR.

    Args:
        calibration: calibrated points of the model.
        fpir: target false positive identification rate, in (0, 1].
        comparisons: number of templates that one search compares with.
        model: name of the model.
        model_id: its id.
        margin: factor on the number of comparisons, such as ``MEAN_MARGIN``.

    Raises:
        ModelError: the model was not calibrated for so small an FMR (``model-not-calibrated``).
    """
    fmr = fpir / max(comparisons * margin, 1)
    distance = distance_at(calibration, fmr)
    if distance is not None:
        largest = max(rate for rate, _ in calibration)
        fmr = min(fmr, largest)
        return OperatingPoint(
            distance, model, model_id, fmr=fmr, fpir=fpir, comparisons=comparisons
        )
    found = f"{model}: "
    if not calibration:
        found += "it has no calibrated thresholds"
        cure = "give --threshold"
    else:
        found += (
            f"--fpir {fpir:g} among {comparisons:,} templates takes a false match rate of "
            f"{fmr:.2g}, and it is calibrated down to {smallest_rate(calibration):g}"
        )
        least = smallest_fpir(calibration, comparisons * margin)
        cure = f"give --fpir {least:g} or more, --threshold" if least <= 1 else "give --threshold"
    raise ModelError(
        found,
        cure=f"{cure}, or a model calibrated for it: `faceverify calibrate`",
        code="model-not-calibrated",
    )


def distance_at(calibration: Calibration, fmr: float) -> float | None:
    """The threshold for a false match rate, interpolated linearly in sqrt(-log FMR).

    Above the largest calibrated rate, the threshold of that rate (conservative); None below the
    smallest.
    """
    points = sorted(calibration)
    if not points or fmr * ROUNDING < points[0][0]:
        return None
    below = [point for point in points if point[0] <= fmr * ROUNDING][-1]
    above = [point for point in points if point[0] > fmr * ROUNDING][:1]
    if not above:
        return below[1]
    ((rate, distance),) = above
    start, here, end = (math.sqrt(-math.log(one)) for one in (below[0], fmr, rate))
    share = (start - here) / (start - end)
    if share <= 0:
        return below[1]
    between = below[1] + share * (distance - below[1])
    return math.floor(between * PLACES) / PLACES


DECADES = 2.5
"""Powers of ten by which comparisons of quality 0 are decided at a smaller rate than those of
quality 1: so much larger are the rates of false matches among degraded photos, on LFW View 1."""


def point_at_quality(
    point: OperatingPoint, calibration: Calibration, quality: float, *, rate: float | None = None
) -> OperatingPoint:
    """The operating point for faces of a quality: the lower it is, the smaller the distance.

    Photos that are degraded alike resemble one another, whoever is on them. They are decided at the
    rate times 10^(-2.5 (1 - quality)), down to the smallest calibrated one, so that the rate that
    was asked for holds among them, too.

    Args:
        point: for good photos; returned as it is where its threshold was set by hand.
        calibration: calibrated points of the model.
        quality: the lower one of the faces compared, in [0, 1].
        rate: false match rate of a comparison, where it is not ``point.fmr``.
    """
    rate = point.fmr if rate is None else rate
    if rate is None or not calibration:
        return point
    rate = max(rate * 10 ** (-DECADES * (1 - quality)), smallest_rate(calibration))
    distance = distance_at(calibration, rate)
    if distance is None or distance >= point.threshold:
        return point
    return replace(point, threshold=distance)


def smallest_rate(calibration: Calibration) -> float:
    """The smallest calibrated false match rate."""
    return min(rate for rate, _ in calibration)


def smallest_fpir(calibration: Calibration, comparisons: float) -> float:
    """The smallest FPIR that the calibration supports, rounded up to two digits."""
    least = smallest_rate(calibration) * comparisons
    unit = 10.0 ** (math.floor(math.log10(least)) - 1)
    return float(f"{math.ceil(least / unit / ROUNDING) * unit:.6g}")
