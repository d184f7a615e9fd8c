"""How near is near enough among many: from the size of a gallery to a threshold.

A search makes a false positive when any of its comparisons is a false match. Whatever these have to
do with each other, that happens at most as often as all their rates together (the union bound):
FPIR <= comparisons x FMR. So the threshold for an FMR of FPIR / comparisons keeps the FPIR. Were
the comparisons independent, 1 - (1 - FPIR)^(1 / comparisons) would: more by half of the FPIR, a
hair. Distances between calibrated rates are interpolated in the square root of the rate's log, in
which the tail of a bell curve is nearly straight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from faceverify.errors import ModelError
from faceverify.matching.operating_point import OperatingPoint

Calibration = Sequence[tuple[float, float]]
"""Calibrated points of a model: (false match rate, distance)."""

MEAN_MARGIN = 1.5
"""How many times more often than all of them together the mean of templates goes wrong, at most. A
mean of length 1 is nearer to everybody than they are: on LFW 1.4 times as often, for two."""

PLACES = 1e6  # thresholds have six decimal places, as distances are printed
ROUNDING = 1 + 1e-9  # FPIR / comparisons may miss a calibrated rate by a rounding error


def open_set_point(
    calibration: Calibration,
    fpir: float,
    comparisons: int,
    *,
    model: str,
    model_id: str,
    margin: float = 1.0,
) -> OperatingPoint:
    """Set the threshold of a search in a gallery of this size.

    Args:
        calibration: of the model.
        fpir: the false positive identification rate to keep, in (0, 1].
        comparisons: how many a search makes.
        model: name of the model.
        model_id: its id.
        margin: how many times more often than all comparisons together a search goes wrong.

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
    """The distance for a false match rate, between calibrated rates linear in the root of its log.

    That of the largest rate for any rate above it, which errs to the safe side; None below the
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


def smallest_rate(calibration: Calibration) -> float:
    """The smallest calibrated false match rate."""
    return min(rate for rate, _ in calibration)


def smallest_fpir(calibration: Calibration, comparisons: float) -> float:
    """The smallest FPIR that can be kept among so many, in two digits, rounded up."""
    least = smallest_rate(calibration) * comparisons
    unit = 10.0 ** (math.floor(math.log10(least)) - 1)
    return float(f"{math.ceil(least / unit / ROUNDING) * unit:.6g}")
