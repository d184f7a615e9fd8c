"""Thresholds of searches: the union bound, the interpolation, and what is refused."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceverify.errors import ModelError
from faceverify.matching.operating_point import OperatingPoint
from faceverify.matching.threshold import (
    DECADES,
    distance_at,
    identification_point,
    point_at_quality,
    smallest_fpir,
)

CALIBRATION = [(1e-3, 0.07), (1e-1, 0.12), (1e-5, 0.045), (1e-4, 0.056), (1e-2, 0.09)]


def point(fpir: float, comparisons: int, margin: float = 1.0):
    return identification_point(
        CALIBRATION, fpir, comparisons, model="dlib", model_id="d", margin=margin
    )


@pytest.mark.parametrize(("fmr", "distance"), CALIBRATION)
def test_a_calibrated_rate_gives_its_own_distance(fmr, distance):
    assert distance_at(CALIBRATION, fmr) == distance
    assert point(fmr, 1).threshold == distance


@pytest.mark.parametrize("comparisons", [3, 7, 100, 1000])
def test_rounding_errors_of_a_division_do_not_miss_a_calibrated_rate(comparisons):
    found = point(1e-5 * comparisons, comparisons)
    assert found.threshold == 0.045


def test_between_calibrated_rates_the_distance_is_linear_in_the_root_of_the_log():
    rates = np.geomspace(1e-5, 1e-1, 40)
    known = sorted(CALIBRATION, reverse=True)
    root = np.sqrt(-np.log([rate for rate, _ in known]))
    expected = np.interp(np.sqrt(-np.log(rates)), root, [d for _, d in known])
    found = [distance_at(CALIBRATION, rate) for rate in rates]
    assert found == pytest.approx(expected.tolist(), abs=1.1e-6)
    assert all(d <= e + 1e-12 for d, e in zip(found, expected, strict=True))  # rounded down


def test_on_a_bell_curve_the_interpolation_is_true_to_a_few_percent():
    normal = NormalDist(5, 1)
    calibration = [(rate, normal.inv_cdf(rate)) for rate in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)]
    for rate in np.geomspace(1e-6, 1e-1, 60).tolist():
        assert normal.cdf(distance_at(calibration, rate)) == pytest.approx(rate, rel=0.025)


def test_a_rate_above_all_calibrated_ones_is_run_at_the_largest():
    found = point(1.0, 2)
    assert (found.threshold, found.fmr, found.fpir) == (0.12, 0.1, 1.0)
    assert point(0.01, 0).threshold == 0.09  # an empty gallery


@given(
    fpir=st.floats(1e-4, 1),
    one=st.integers(1, 10**4),
    more=st.integers(0, 10**4),
)
def test_a_larger_gallery_never_loosens_the_threshold(fpir, one, more):
    distances = []
    for comparisons in (one, one + more):
        try:
            found = point(fpir, comparisons)
        except ModelError:
            distances.append(0.0)
        else:
            assert found.fmr * comparisons <= fpir * (1 + 1e-6)  # the union bound
            assert found.comparisons == comparisons
            distances.append(found.threshold)
    assert distances[0] >= distances[1]


@pytest.mark.parametrize(("shared", "least"), [(0.0, 0.04), (0.6, 0.01), (0.95, 0.0)])
def test_the_fpir_is_kept_whatever_the_comparisons_have_to_do_with_each_other(shared, least):
    # distances of a normal distribution; `shared` is how far a probe's distances go together
    normal = NormalDist(5, 1)
    calibration = [(rate, normal.inv_cdf(rate)) for rate in (1e-2, 1e-3, 1e-4, 1e-5)]
    random = np.random.default_rng(0)
    probes, people, fpir = 20_000, 200, 0.05
    common = random.normal(size=(probes, 1)) * math.sqrt(shared)
    distances = 5 + common + random.normal(size=(probes, people)) * math.sqrt(1 - shared)
    found = identification_point(calibration, fpir, people, model="bell", model_id="b")
    positives = (distances <= found.threshold).any(axis=1).mean()
    assert least < positives <= fpir * 1.05


def test_a_margin_counts_as_more_comparisons():
    wide = point(0.01, 20, margin=1.5)
    assert wide.threshold == point(0.01, 30).threshold
    assert (wide.comparisons, wide.fpir) == (20, 0.01)
    with pytest.raises(ModelError, match=r"--fpir 0\.03 or more"):
        point(0.02, 2000, margin=1.5)


def test_beyond_the_calibration_the_message_names_the_smallest_fpir_that_can_be_kept():
    with pytest.raises(ModelError) as caught:
        point(0.01, 2345)
    text = str(caught.value)
    assert caught.value.code == "model-not-calibrated"
    for part in ("dlib", "--fpir 0.01", "2,345 templates", "4.3e-06", "1e-05", "--threshold"):
        assert part in text
    assert "--fpir 0.024 or more" in text  # 0.02345, in two digits, rounded up
    assert point(0.024, 2345).threshold >= 0.045


@given(comparisons=st.integers(1, 10**7))
def test_the_smallest_fpir_can_be_kept_and_is_the_smallest_of_two_digits(comparisons):
    least = smallest_fpir(CALIBRATION, comparisons)
    assert distance_at(CALIBRATION, least / comparisons) is not None
    assert float(f"{least:.2g}") == least
    below = least * 0.9
    assert distance_at(CALIBRATION, below / comparisons) is None


def test_where_no_fpir_can_be_kept_none_is_offered():
    with pytest.raises(ModelError) as caught:
        point(0.01, 10**6)
    assert "or more" not in str(caught.value)
    with pytest.raises(ModelError, match="no calibrated thresholds; give --threshold"):
        identification_point([], 0.01, 5, model="mine", model_id="m")


# --- photos of low quality

QUALITY = st.floats(0, 1)
AT_1E2 = OperatingPoint(0.09, "dlib", "d", fmr=1e-2)


def test_good_photos_are_decided_at_the_rate_asked_for():
    assert point_at_quality(AT_1E2, CALIBRATION, 1.0) == AT_1E2


@pytest.mark.parametrize(("quality", "rate"), [(0.6, 1e-3), (0.2, 1e-4), (0.4, 10**-3.5)])
def test_poor_photos_are_decided_at_a_smaller_one(quality, rate):
    found = point_at_quality(AT_1E2, CALIBRATION, quality)
    assert found.threshold == pytest.approx(distance_at(CALIBRATION, rate), abs=2e-6)
    assert (found.fmr, found.model, found.model_id) == (1e-2, "dlib", "d")  # what is promised


@given(one=QUALITY, other=QUALITY, rate=st.sampled_from(CALIBRATION))
def test_a_better_photo_never_has_a_stricter_threshold(one, other, rate):
    fmr, distance = rate
    point = OperatingPoint(distance, "dlib", "d", fmr=fmr)
    low, high = sorted([one, other])
    stricter, looser = (point_at_quality(point, CALIBRATION, q).threshold for q in (low, high))
    assert 0.045 <= stricter <= looser <= distance


@pytest.mark.parametrize("fmr", [1e-5, 1e-4, 1e-3])
def test_no_rate_below_the_calibrated_ones_is_asked_for(fmr):
    point = OperatingPoint(distance_at(CALIBRATION, fmr), "dlib", "d", fmr=fmr)
    assert fmr * 10**-DECADES < 1e-5
    assert point_at_quality(point, CALIBRATION, 0.0).threshold == 0.045


def test_a_threshold_set_by_hand_stays():
    by_hand = OperatingPoint(0.2, "dlib", "d")
    assert point_at_quality(by_hand, CALIBRATION, 0.0) is by_hand
    assert point_at_quality(AT_1E2, [], 0.0) is AT_1E2  # nothing to go by


def test_the_rate_of_a_comparison_may_be_another_than_that_of_the_decision():
    shared = OperatingPoint(
        distance_at(CALIBRATION, 1e-3), "dlib", "d", fmr=1e-2
    )  # by 10 templates
    assert point_at_quality(shared, CALIBRATION, 1.0, rate=1e-3) == shared
    found = point_at_quality(shared, CALIBRATION, 0.6, rate=1e-3)
    assert found.threshold == pytest.approx(distance_at(CALIBRATION, 1e-4), abs=2e-6)
    # the rate of the decision would be met by a looser threshold than the one at hand
    assert point_at_quality(shared, CALIBRATION, 0.9) == shared
