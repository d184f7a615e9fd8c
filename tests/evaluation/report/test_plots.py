"""ROC, DET and histogram: the right points, inside the frame."""

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from evaluated_pairs import evaluated_pairs

from faceverify.evaluation.intervals.bands import band_of_replicates
from faceverify.evaluation.metrics.error_versus_discard import error_versus_discard
from faceverify.evaluation.report.plots import (
    Series,
    curve,
    det_chart,
    discard_chart,
    histogram_chart,
    roc_chart,
)

SVG = "{http://www.w3.org/2000/svg}"


def test_a_curve_is_exact_at_every_fmr():
    found, _, (distances, same) = evaluated_pairs()
    fmr, tmr = curve(Series("m", found.counts, ()), 1e-3)
    impostors = np.sort(distances[~same])
    for target, value in list(zip(fmr, tmr, strict=True))[::7]:
        allowed = int(np.floor(target * len(impostors) * (1 + 1e-12)))
        limit = impostors[allowed] if allowed < len(impostors) else np.inf
        assert value == np.mean(distances[same] < limit)


@pytest.mark.parametrize("draw", [roc_chart, det_chart])
def test_plots_are_well_formed_and_inside_their_frame(draw):
    found, resampled, _ = evaluated_pairs()
    chart = draw([Series("a <b> & c", found.counts, band_of_replicates(resampled))])
    tree = ElementTree.fromstring(chart.svg())
    lines = tree.findall(f"{SVG}polyline") + tree.findall(f"{SVG}polygon")
    assert len(lines) >= 2
    for line in lines:
        points = np.array([point.split(",") for point in line.get("points").split()], float)
        assert np.isfinite(points).all()
        assert points.min() >= 0
        assert (points.max(axis=0) <= (560, 400)).all()
    assert "a <b> & c" in [text.text for text in tree.iter(f"{SVG}text")]


def test_a_histogram_of_each_kind_has_an_area_of_one():
    found, *_ = evaluated_pairs()
    tree = ElementTree.fromstring(histogram_chart(found.counts, 0.7, "m").svg())
    assert len(tree.findall(f"{SVG}polygon")) == 2
    assert "threshold 0.7000" in [text.text for text in tree.iter(f"{SVG}text")]


def test_error_versus_discard_of_many_kinds():
    """Twelve kinds, twice the colours: the second six are dashed, and say so."""
    curves = [
        (f"kind {n}", error_versus_discard([1, 2, 3, 4], [n > 3, 1, 0, 0])) for n in range(12)
    ]
    tree = ElementTree.fromstring(discard_chart("FMR", [*curves, ("none", None)]).svg())
    lines = tree.findall(f"{SVG}polyline")
    assert len(lines) == 12
    assert [line.get("stroke-dasharray") is None for line in lines] == [True] * 6 + [False] * 6
    names = [text.text for text in tree.findall(f"{SVG}text")]
    assert "kind 3" in names
    assert "kind 9, dashed" in names
    heights = [float(point.split(",")[1]) for point in lines[8].get("points").split()]
    assert heights == sorted(heights)  # the errors are those of the lowest quality
    ElementTree.fromstring(discard_chart("FMR", []).svg())
