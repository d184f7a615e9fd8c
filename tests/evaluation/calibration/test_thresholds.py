"""Thresholds out of scores: counted where the data can, extrapolated only where asked."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceverify.errors import UsageError
from faceverify.evaluation.calibration.extrapolation import fit_tail
from faceverify.evaluation.calibration.thresholds import supported_targets, thresholds_from_scores
from faceverify.evaluation.metrics.scores import ScoreCounts, count_scores
from faceverify.evaluation.metrics.wilson import Interval
from faceverify.models.model_file import threshold_from_dict


def normal_scores(impostors, seed=0):
    draws = np.random.default_rng(seed)
    same = np.arange(impostors + 500) < 500
    distances = np.where(same, 0.4, 1.0) + 0.1 * draws.standard_normal(len(same))
    return np.clip(distances, 0, 2), same


@given(st.integers(0, 50), st.sampled_from([0.5, 0.2, 0.1, 0.05]))
def test_the_rate_is_kept_and_the_next_threshold_would_break_it(seed, target):
    distances, same = normal_scores(400, seed)
    (found,) = thresholds_from_scores(count_scores(distances, same), [target], "made up")
    matches = np.count_nonzero(distances[~same] <= found.distance)
    assert matches <= target * 400
    # Six digits are kept: the step after the next one admits the first that is too many.
    first_too_many = np.sort(distances[~same])[int(target * 400)]
    assert np.count_nonzero(distances <= found.distance + 2e-6) >= np.count_nonzero(
        distances < first_too_many
    )
    assert found.fnmr == np.mean(distances[same] > found.distance)
    assert found.interval[0] <= matches / 400 <= found.interval[1]


def test_rounding_admits_nobody():
    """Six digits are kept, downwards: the eleventh impostor lies 1e-7 beyond the tenth."""
    impostors = 0.5 + 1e-7 * np.arange(100) + 6e-7
    distances, same = np.append(impostors, 0.1), np.append(np.zeros(100, bool), True)
    (found,) = thresholds_from_scores(count_scores(distances, same), [0.1], "made up")
    assert np.count_nonzero(impostors <= found.distance) <= 10
    assert found.distance == 0.500001


def test_thresholds_are_what_a_model_file_reads():
    counts = count_scores(*normal_scores(2000))
    found = thresholds_from_scores(counts, [1e-2, 1e-1], "made up")
    assert [one.fmr for one in found] == [1e-1, 1e-2]
    for one in found:
        assert threshold_from_dict(json.loads(json.dumps(asdict(one)))) == one


def test_an_interval_over_identities_takes_the_place_of_wilsons():
    counts = count_scores(*normal_scores(2000))
    (found,) = thresholds_from_scores(
        counts, [1e-1], "made up", interval_at=lambda _: Interval(0.01, 0.5)
    )
    assert found.interval == (0.01, 0.5)


def test_a_rate_that_the_data_cannot_count_is_refused_with_what_they_can():
    counts = count_scores(*normal_scores(2000))
    assert supported_targets(counts, [1e-1, 5e-3, 4.9e-3]) == [1e-1, 5e-3]
    with pytest.raises(UsageError, match=r"2,000 .* allow 2 false matches.* 0\.005 or more"):
        thresholds_from_scores(counts, [1e-3], "made up")


def test_failed_comparisons_are_in_both_denominators():
    distances, same = normal_scores(2000)
    distances[::4] = np.inf
    (found,) = thresholds_from_scores(count_scores(distances, same), [1e-1], "made up")
    assert (found.impostors, found.genuine) == (2000, 500)
    assert found.fnmr == np.mean(distances[same] > found.distance)
    assert np.count_nonzero(distances[~same] <= found.distance) in (199, 200)


@pytest.mark.parametrize("same", [True, False])
def test_one_kind_alone_is_refused(same):
    with pytest.raises(UsageError, match="found only"):
        thresholds_from_scores(count_scores([0.1, 0.2], [same, same]), [0.1], "made up")


def test_an_exponential_tail_is_found_again():
    """On data that are exponential, scale and extrapolated distance are the true ones."""
    draws = np.random.default_rng(0)
    distances = 1.0 - 0.03 * (-np.log(draws.uniform(size=1_000_000)))  # FMR(d) = exp((d - 1)/0.03)
    tail = fit_tail(count_scores(distances, np.zeros(len(distances), bool)))
    assert tail.scale == pytest.approx(0.03, rel=0.1)
    true = 1.0 + 0.03 * np.log(1e-7)
    assert tail.distance_at(1e-7) == pytest.approx(true, abs=0.03)
    interval = tail.interval_at(true)
    assert interval.low < 1e-7 < interval.high
    assert tail.fmr_at(tail.distance_at(1e-7)) == pytest.approx(1e-7)


def test_a_bell_curves_tail_errs_to_the_safe_side():
    """Impostor scores fall off faster than the line: the true rate lies below the wanted one."""
    distances, same = normal_scores(20_000)
    tail = fit_tail(count_scores(distances, same))
    many, _ = normal_scores(5_000_000, seed=1)
    found = tail.distance_at(1e-5)
    assert np.count_nonzero(many[500:] <= found) <= 1e-5 * 5_000_000
    assert found > 0.4


def test_the_tails_interval_covers_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        draws = np.random.default_rng(seed)
        distances = 1.0 + 0.02 * np.log(draws.uniform(size=100_000))
        tail = fit_tail(count_scores(distances, np.zeros(len(distances), bool)))
        true = 1.0 + 0.02 * np.log(1e-5)
        interval = tail.interval_at(true)
        covered += interval.low <= 1e-5 <= interval.high
    assert 180 <= covered <= 199


def test_a_tail_needs_impostors_that_differ():
    with pytest.raises(UsageError, match="found 999 impostor"):
        fit_tail(ScoreCounts(np.array([0.5]), np.array([0]), np.array([999])))
    with pytest.raises(UsageError, match="at one distance"):
        fit_tail(ScoreCounts(np.array([0.5]), np.array([0]), np.array([5000])))
