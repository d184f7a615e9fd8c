"""The report: plots that show the right points, worst pairs, a page that needs nothing else."""

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image
from scored_pairs import lfw_like

from faceverify.evaluation.intervals.bands import BAND_TARGETS, band_of_replicates
from faceverify.evaluation.intervals.bootstrap import bootstrap
from faceverify.evaluation.lists.pair_list import PairList
from faceverify.evaluation.metrics.all_against_all import all_against_all
from faceverify.evaluation.metrics.error_rates import FMR_TARGETS, rates_at_fmr
from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.metrics.scores import count_scores
from faceverify.evaluation.metrics.wilson import Interval
from faceverify.evaluation.protocols.comparison import difference_section, p_value
from faceverify.evaluation.protocols.pairs import PairScores, evaluate_pairs
from faceverify.evaluation.protocols.protocol import Measurement
from faceverify.evaluation.protocols.worst import worst_of_all, worst_pairs
from faceverify.evaluation.report.page import ShownModel, ShownPair, page
from faceverify.evaluation.report.plots import (
    Series,
    curve,
    det_chart,
    histogram_chart,
    roc_chart,
)
from faceverify.evaluation.report.svg import Axis, Chart, round_steps
from faceverify.evaluation.report.thumbnails import thumbnail
from faceverify.evaluation.report.writing import write_report
from faceverify.evaluation.results import Evaluation, Figure, Section, rate_figure, written

SVG = "{http://www.w3.org/2000/svg}"


def measured(seed=0, spread=0.15, replicates=200, name="m"):
    """An LFW-like list evaluated: the evaluation, its replicates, and the distances."""
    distances, same, fold, first, second = lfw_like(seed, pairs=2000, people=900, spread=spread)
    count = len(same)
    pairs = PairList(
        "list", "csv", [f"{i}a" for i in range(count)], [f"{i}b" for i in range(count)], same,
        fold, None, list(first), list(second),
    )  # fmt: skip
    scores = PairScores(pairs, distances, 2 * count, 0)
    found, resampled = evaluate_pairs(
        scores, name, name * 16, protocol="10fold", replicates=replicates, fmr_targets=BAND_TARGETS
    )
    return found, resampled, (distances, same)


# Plots


def test_a_curve_is_exact_at_every_fmr():
    found, _, (distances, same) = measured()
    fmr, tmr = curve(Series("m", found.counts, ()), 1e-3)
    impostors = np.sort(distances[~same])
    for target, value in list(zip(fmr, tmr, strict=True))[::7]:
        allowed = int(np.floor(target * len(impostors) * (1 + 1e-12)))
        limit = impostors[allowed] if allowed < len(impostors) else np.inf
        assert value == np.mean(distances[same] < limit)


def test_the_band_holds_the_curve():
    found, resampled, _ = measured()
    band = band_of_replicates(resampled)
    assert len(band) > 5
    for target, low, high in band:
        assert low <= rates_at_fmr(found.counts, target).tmr <= high
    assert set(FMR_TARGETS) <= set(BAND_TARGETS)


@pytest.mark.parametrize("draw", [roc_chart, det_chart])
def test_plots_are_well_formed_and_inside_their_frame(draw):
    found, resampled, _ = measured()
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
    found, *_ = measured()
    tree = ElementTree.fromstring(histogram_chart(found.counts, 0.7, "m").svg())
    assert len(tree.findall(f"{SVG}polygon")) == 2
    assert "threshold 0.7000" in [text.text for text in tree.iter(f"{SVG}text")]


def test_axes_place_values():
    log = Axis("", 1e-4, 1, log=True)
    assert [log.place(value) for value in (1e-9, 1e-4, 1e-2, 1, 5)] == [0, 0, 0.5, 1, 1]
    assert [text for _, text in log.marks()] == ["0.0001", "0.001", "0.01", "0.1", "1"]
    assert round_steps(0.0, 0.12) == [0.0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.12]
    chart = Chart("", Axis("", 0, 1), Axis("", 0, 1))
    assert chart.at(0, 0)[1] > chart.at(0, 1)[1]  # y grows upwards


# Worst pairs


def test_the_worst_of_listed_pairs():
    distances = np.array([0.1, 0.9, 0.5, np.inf, 0.3, np.inf])
    same = np.array([False, False, True, True, False, False])
    first, second = np.arange(6), np.arange(6) + 10
    found = worst_pairs(distances, same, first, second, most=2)
    assert [pair.first for pair in found.false_matches] == [0, 4]
    assert [pair.second for pair in found.false_non_matches] == [13, 12]  # failed ones first


def test_the_worst_of_all_pairs_is_that_of_every_pair_written_out(monkeypatch):
    from faceverify.evaluation.protocols import worst as module

    monkeypatch.setattr(module, "ROWS", 8)
    monkeypatch.setattr(module, "COLUMNS", 16)
    draws = np.random.default_rng(0)
    rows = unit_rows(draws.standard_normal((50, 6)))
    names = [str(code) for code in draws.integers(7, size=50)]
    enrolled = draws.uniform(size=50) < 0.9
    found = worst_of_all(rows, enrolled, names, most=5)
    pairs = [
        (float(1 - rows[i] @ rows[j]), i, j)
        for i in range(50) for j in range(i + 1, 50) if enrolled[i] and enrolled[j]
    ]  # fmt: skip
    near = sorted(pair for pair in pairs if names[pair[1]] != names[pair[2]])[:5]
    far = sorted((pair for pair in pairs if names[pair[1]] == names[pair[2]]), reverse=True)[:5]
    assert [{p.first, p.second} for p in found.false_matches] == [{i, j} for _, i, j in near]
    assert [{p.first, p.second} for p in found.false_non_matches] == [{i, j} for _, i, j in far]
    assert found.false_matches[0].distance == pytest.approx(near[0][0], abs=1e-6)
    assert found.false_non_matches[0].distance == pytest.approx(far[0][0], abs=1e-6)


def test_fewer_pairs_than_wanted():
    rows, enrolled = unit_rows(np.eye(2)), np.ones(2, bool)
    assert len(worst_of_all(rows, enrolled, ["a", "b"]).false_matches) == 1
    assert worst_of_all(rows, enrolled, ["a", "b"]).false_non_matches == ()


# Comparison


def test_a_better_model_is_told_from_a_worse_one():
    """The same seed draws the same people: the difference is paired."""
    worse, better = measured(spread=0.2, name="w"), measured(spread=0.12, name="b")
    section = difference_section(worse[:2], better[:2])
    by_key = {figure.key: figure for figure in section.figures}
    assert by_key["auc"].value > 0
    assert by_key["auc"].interval.low > 0
    assert by_key["auc"].extra["p_value"] < 0.05
    assert by_key["eer"].interval.high < 0
    assert by_key["tar_at_1e-3"].value is None


def test_a_model_does_not_differ_from_itself():
    one = measured()
    for figure in difference_section(one[:2], one[:2]).figures:
        if figure.value is not None:
            assert figure.value == 0
            assert figure.extra["p_value"] == 1


def test_pairing_narrows_the_difference():
    """Models that err on the same people differ by less than their own intervals suggest."""
    distances, same, _, first, second = lfw_like(pairs=2000, people=900)
    nudged = distances + 0.005 * np.random.default_rng(1).standard_normal(2000)
    one, two = (bootstrap(d, same, first, second, replicates=300) for d in (distances, nudged))
    assert np.std(two.auc - one.auc) < 0.3 * np.std(one.auc)


def test_p_values():
    assert p_value(np.full(99, 1.0)) == pytest.approx(0.02)
    assert p_value(np.concatenate((np.ones(50), -np.ones(50)))) == 1
    assert p_value(np.full(10, np.nan)) is None


# Page and files


def test_names_are_escaped_and_nothing_is_asked_for():
    evil = '<script>alert(1)</script>" onload="x'
    found, *_ = measured()
    section = Section("s", evil, (Figure("k", evil, 0.5, detail=evil),))
    evaluation = Evaluation(evil, "10fold", evil, "id", (section,), (evil,), found.counts)
    pair = ShownPair((evil, evil), ("data:image/jpeg;base64,AA", None), np.inf, error=True)
    text = page([ShownModel(evaluation, [], [pair], [])], [], [])
    assert "<script" not in text
    assert 'onload="x' not in text
    assert "no face found" in text
    assert "default-src 'none'" in text
    assert set(re.findall(r'(?:src|href)="([^"]{0,11})', text)) == {"data:image/", "data:,"}


def test_a_thumbnail_is_small_and_a_broken_photo_has_none(tmp_path):
    Image.new("RGB", (1000, 500), "red").save(tmp_path / "red.png")
    assert thumbnail(tmp_path / "red.png").startswith("data:image/jpeg;base64,")
    assert len(thumbnail(tmp_path / "red.png")) < 2000
    assert thumbnail(b"no image") is None
    assert thumbnail(tmp_path / "none.png") is None


def test_files_appear_whole_and_only_the_report(tmp_path):
    rows = unit_rows(np.random.default_rng(0).standard_normal((30, 4)))
    names = [str(index // 3) for index in range(30)]
    counts = all_against_all(rows, names)
    evaluation = Evaluation("folder", "all", "m", "id", (), (), counts, 0.5)
    worst = worst_of_all(rows, np.ones(30, bool), names)
    photos = [tmp_path / f"{index}.jpg" for index in range(30)]
    written_files = write_report(
        tmp_path / "a" / "b", [Measurement(evaluation, worst=worst)], photos, names
    )
    assert written_files[0].name == "report.html"
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == sorted(
        p.name for p in written_files
    )
    assert "no picture" in written_files[0].read_text()


# Figures


def test_numbers_are_written_for_people():
    assert written(0.9987654, "rate") == "99.877 %"
    assert written(2e-5, "rate") == "0.002 %"
    assert written(3.2e-8, "rate") == "3.20e-06 %"
    assert written(0.0, "rate") == "0.000 %"
    assert written(29_640_749, "count") == "29,640,749"
    assert written(float("nan"), "number") == "n/a"


def test_few_errors_have_wilsons_bounds():
    few = rate_figure("k", "n", 2, 3000, over_identities=Interval(0.0, 0.002))
    many = rate_figure("k", "n", 200, 3000, over_identities=Interval(0.05, 0.08))
    assert (few.method, many.method) == ("wilson", "identities")
    assert few.interval.low > 0
    assert rate_figure("k", "n", 0, 0).value is None


def test_groups_that_no_threshold_can_compare_are_na():
    counts = count_scores([0.1, 0.2], [True, True])
    assert counts.impostors == 0
    pairs = PairList("l", "csv", ["a", "b"], ["c", "d"], np.array([True, True]))
    found, _ = evaluate_pairs(
        PairScores(pairs, np.array([0.1, 0.2]), 4, 0), "m", "id", protocol="10fold",
        groups=["x", "y"], replicates=0,
    )  # fmt: skip
    assert found.figure("rates").value is None
