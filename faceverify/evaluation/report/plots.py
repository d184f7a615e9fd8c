"""The plots of a report: ROC, DET, score histogram, reliability, error versus discard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceverify.choices import Distance
from faceverify.evaluation.intervals.bands import smallest_fmr
from faceverify.evaluation.metrics.error_rates import roc
from faceverify.evaluation.metrics.scores import ScoreCounts, histogram
from faceverify.evaluation.report.svg import COLOURS, Axis, Chart
from faceverify.evaluation.results import Band

if TYPE_CHECKING:
    from faceverify.evaluation.metrics.error_versus_discard import DiscardCurve
    from faceverify.matching.probability import Reliability

PER_DECADE = 60  # points of a curve per decade of FMR
BINS = 80
DISCARD_STEPS = 200


@dataclass(frozen=True, eq=False)
class Series:
    """Scores of one model and the confidence band of its ROC."""

    name: str
    counts: ScoreCounts
    band: Band


def roc_chart(series: Sequence[Series]) -> Chart:
    """ROC curves: TMR over FMR (logarithmic), with confidence bands."""
    low = min(smallest_fmr(one.counts) for one in series)
    floor = min((float(curve(one, low)[1].min()) for one in series), default=0.0)
    bottom = max(np.floor(min(floor, 0.9) * 10) / 10, 0.0)
    chart = Chart("ROC", _fmr_axis(low), Axis("1 - FNMR (TAR)", bottom, 1.0, percent=True))
    for colour, one in zip(COLOURS, series, strict=False):
        fmr, tmr = curve(one, low)
        chart.area(
            [(x, upper) for x, _, upper in one.band]
            + [(x, lower) for x, lower, _ in reversed(one.band)],
            colour,
        )
        chart.line(list(zip(fmr, tmr, strict=True)), colour, one.name)
    return chart


def det_chart(series: Sequence[Series]) -> Chart:
    """DET curves: FNMR over FMR, both logarithmic, with confidence bands."""
    low = min(smallest_fmr(one.counts) for one in series)
    least = min(1 / max(one.counts.genuines, 10) for one in series)
    axis = Axis("FNMR (1 - TAR)", 10.0 ** np.floor(np.log10(least)), 1.0, log=True, percent=True)
    chart = Chart("DET", _fmr_axis(low), axis, legend="bottom left")
    for colour, one in zip(COLOURS, series, strict=False):
        fmr, tmr = curve(one, low)
        chart.area(
            [(x, 1 - lower) for x, lower, _ in one.band]
            + [(x, 1 - upper) for x, _, upper in reversed(one.band)],
            colour,
        )
        some = tmr < 1  # an FNMR of 0 has no logarithm
        chart.line(list(zip(fmr[some], 1 - tmr[some], strict=True)), colour, one.name)
    chart.line([(x, x) for x in np.geomspace(low, 1, 50)], "#999", "FMR = FNMR", dashed=True)
    return chart


def histogram_chart(
    counts: ScoreCounts,
    threshold: float | None,
    name: str,
    distance: Distance = Distance.COSINE,
) -> Chart:
    """Histograms of genuine and impostor distances, each with a sum of 1."""
    last = counts.distances[-1] if len(counts.distances) else 2.0
    top = float(np.ceil(20 * max(last, 0.05)) / 20)
    edges = np.linspace(0, top, BINS + 1)
    columns = histogram(counts, edges)
    shares = [column / max(int(column.sum()), 1) for column in columns]
    highest = max(float(max(share.max() for share in shares)) * 1.15, 1e-9)
    chart = Chart(
        f"Scores of {name}",
        Axis(f"{distance.value} distance", 0.0, top),
        Axis(f"share in a bin of {edges[1]:.3g}", 0.0, highest, percent=True),
        legend="top right",
    )
    for share, colour, kind in zip(shares, COLOURS, ("genuine", "impostor"), strict=False):
        outline = [(0.0, 0.0)]
        for left, right, value in zip(edges[:-1], edges[1:], share, strict=True):
            outline += [(float(left), float(value)), (float(right), float(value))]
        chart.area([*outline, (top, 0.0)], colour)
        chart.line(outline, colour, kind)
    if threshold is not None:
        chart.upright(threshold, f"threshold {threshold:.4f}")
    return chart


def reliability_chart(reliability: Reliability) -> Chart:
    """Reliability diagram: observed share of genuine comparisons over predicted probability."""
    chart = Chart(
        "Reliability",
        Axis("predicted probability of the same person", 0.0, 1.0),
        Axis("observed share of the same person", 0.0, 1.0),
    )
    chart.line([(0, 0), (1, 1)], "#999", "ideal", dashed=True)
    points = [
        (predicted, seen)
        for predicted, seen in zip(reliability.predicted, reliability.observed, strict=True)
    ]
    chart.line(points, COLOURS[0], f"Brier score {reliability.brier:.5f}, as fitted")
    chart.dots(points, COLOURS[0])
    return chart


def discard_chart(rate: str, curves: Sequence[tuple[str, DiscardCurve | None]]) -> Chart:
    """Error-versus-discard curves of a rate, one a kind of degradation."""
    known = [(kind, found) for kind, found in curves if found is not None]
    highest = max((float(found.error.max()) for _, found in known), default=0.0)
    chart = Chart(
        f"{rate} without the comparisons of the lowest quality",
        Axis("share of comparisons discarded", 0.0, 1.0, percent=True),
        Axis(rate, 0.0, max(highest, 1e-6), percent=True),
        legend="top right",
    )
    for number, (kind, found) in enumerate(known):
        shares = np.linspace(0, 1, DISCARD_STEPS, endpoint=False)
        colour = COLOURS[number % len(COLOURS)]
        points = [(share, found.at(share)) for share in shares.tolist()]
        again = number >= len(COLOURS)
        chart.line(points, colour, f"{kind}, dashed" if again else kind, dashed=again)
    return chart


def movement_chart(movements: Sequence[tuple[str, Sequence[float | None]]]) -> Chart:
    """Distance moved over the strengths of each kind of change, from mild to strong."""
    most = max(len(values) for _, values in movements)
    known = [value for _, values in movements for value in values if value is not None]
    chart = Chart(
        "Distance moved",
        Axis("strength, from the mildest", 1.0, max(most, 2), ticks=range(1, max(most, 2) + 1)),
        Axis("cosine distance to the untouched photo", 0.0, max(max(known, default=0.0), 1e-6)),
    )
    for number, (kind, values) in enumerate(movements):
        points = [(step, value) for step, value in enumerate(values, 1) if value is not None]
        colour, again = COLOURS[number % len(COLOURS)], number >= len(COLOURS)
        chart.line(points, colour, f"{kind}, dashed" if again else kind, dashed=again)
        chart.dots(points, colour)
    return chart


def curve(one: Series, low: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """TMR at a grid of FMRs, each at the largest threshold whose FMR does not exceed it."""
    found = roc(one.counts)
    if found is None:
        return np.zeros(1), np.zeros(1)
    grid = np.geomspace(low, 1, round(-np.log10(low) * PER_DECADE) + 1)
    grid = grid[grid >= 1 / one.counts.impostors]
    grid[-1] = 1.0
    return grid, found.tmr[np.searchsorted(found.fmr, grid, side="right") - 1]


def _fmr_axis(low: float) -> Axis:
    return Axis("FMR (FAR)", low, 1.0, log=True)
