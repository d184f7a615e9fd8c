"""Rates between calibrated ones: interpolation lets in no crowd where distances are steps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceverify.evaluation.calibration.between import BELOW, TOLERANCE, rates_between
from faceverify.evaluation.calibration.thresholds import thresholds_from_scores
from faceverify.evaluation.metrics.error_rates import error_rates
from faceverify.evaluation.metrics.scores import count_scores
from faceverify.matching.threshold import distance_at

TARGETS = [1e-1, 1e-2, 1e-3]


def calibrated(distances, same):
    return thresholds_from_scores(count_scores(distances, same), TARGETS, "made up").thresholds


def worst(distances, same, thresholds):
    """The FMR over the rate, at its largest between calibrated rates."""
    counts = count_scores(distances, same)
    points = [(one.fmr, one.distance) for one in thresholds]
    rates = np.geomspace(min(points)[0], max(points)[0], 997).tolist()
    return max(error_rates(counts, distance_at(points, rate)).fmr / rate for rate in rates)


def bell(seed, impostors=20_000):
    draws = np.random.default_rng(seed)
    same = np.arange(impostors + 500) < 500
    return np.where(same, 0.4, 1.0) + 0.12 * draws.standard_normal(len(same)), same


@pytest.mark.parametrize("seed", range(5))
def test_smooth_distances_need_no_more_than_was_asked_for(seed):
    distances, same = bell(seed)
    assert [one.fmr for one in calibrated(distances, same)] == TARGETS


@pytest.mark.thorough
@given(st.integers(0, 20), st.sampled_from([0.02, 0.05, 0.1, 0.25]))
def test_distances_in_steps(seed, step):
    distances, same = bell(seed)
    distances = np.round(distances / step) * step
    found = calibrated(distances, same)
    assert worst(distances, same, found) <= TOLERANCE * 1.07  # 20 rates a decade are checked
    left_out = thresholds_from_scores(count_scores(distances, same), TARGETS, "").unreachable
    assert {one.fmr for one in (*found, *left_out)} >= set(TARGETS)
    for one in found:
        counted = np.count_nonzero(distances[~same] <= one.distance + 1e-6)
        assert counted <= one.fmr * 20_000
        assert one.holds


def test_one_jump_between_two_rates():
    """A hundredth at 0.3, nothing, then nine hundredths at 0.39, and the rest at 0.9."""
    distances = np.repeat([0.2, 0.3, 0.39, 0.5, 0.9], [250, 100, 900, 250, 9000])
    same = np.isin(distances, (0.2, 0.5))
    counts = count_scores(distances, same)
    assert rates_between(counts, [(0.1, 0.5), (0.01, 0.300001)]) == [pytest.approx(0.1 * BELOW)]
    found = calibrated(distances, same)
    assert [round(one.fmr, 4) for one in found] == [0.1, 0.0999, 0.01, 0.001]
    assert found[0].distance == pytest.approx(0.5, abs=2e-6)
    assert found[1].distance == found[2].distance == pytest.approx(0.3, abs=2e-6)
    assert worst(distances, same, found) < 1.01
    assert worst(distances, same, (found[0], *found[2:])) > 3  # without the one that was added
