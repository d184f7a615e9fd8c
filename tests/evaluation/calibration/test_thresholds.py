"""Thresholds out of scores: counted where the data can, extrapolated only where asked."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceverify.errors import UsageError
from faceverify.evaluation.calibration.extrapolation import fit_extrapolation
from faceverify.evaluation.calibration.thresholds import supported_targets
from faceverify.evaluation.calibration.thresholds import thresholds_from_scores as calibrated
from faceverify.evaluation.metrics.scores import ScoreCounts, count_scores
from faceverify.evaluation.metrics.wilson import Interval
from faceverify.models.model_file import threshold_from_dict


def thresholds_from_scores(*scores, **options):
    """Thresholds, where every rate can be run at."""
    found = calibrated(*scores, **options)
    assert found.unreachable == ()
    return found.thresholds


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
    # six digits, two of the last kept from the first that is too many
    first_too_many = np.sort(distances[~same])[int(target * 400)]
    near = np.count_nonzero((distances > found.distance + 1e-12) & (distances < first_too_many))
    assert near == np.count_nonzero(
        (distances > first_too_many - 3e-6) & (distances < first_too_many)
        & (distances > found.distance + 1e-12)
    )  # fmt: skip
    assert found.fnmr == np.mean(distances[same] > found.distance)
    assert found.interval[0] <= matches / 400 <= found.interval[1]


def test_rounding_admits_nobody():
    """Six digits are kept: the eleventh impostor lies 1e-7 beyond the tenth."""
    impostors = 0.5 + 1e-7 * np.arange(100) + 6e-7
    distances, same = np.append(impostors, 0.1), np.append(np.zeros(100, bool), True)
    (found,) = thresholds_from_scores(count_scores(distances, same), [0.1], "made up")
    assert np.count_nonzero(impostors <= found.distance + 1e-6) <= 10
    assert found.distance == 0.5  # 0.500001 is nearer to the eleventh than a distance is exact


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


def test_the_rate_is_one_of_comparisons_that_were_made():
    """Failed ones never match: they would make room for strangers among those decided."""
    distances, same = normal_scores(2000)
    distances[::4] = np.inf
    (found,) = thresholds_from_scores(count_scores(distances, same), [1e-1], "made up")
    assert (found.impostors, found.genuine) == (1500, 500)
    assert found.fnmr == np.mean(distances[same] > found.distance)
    assert np.count_nonzero(distances[~same] <= found.distance) in (149, 150)
    distances[~same] = np.where(np.arange(2000) < 1990, np.inf, distances[~same])
    assert supported_targets(count_scores(distances, same), [0.5]) == []
    distances[~same] = np.inf
    with pytest.raises(UsageError, match="no comparison of different people that could be made"):
        calibrated(count_scores(distances, same), [0.5], "made up")


@pytest.mark.parametrize("same", [True, False])
def test_one_kind_alone_is_refused(same):
    with pytest.raises(UsageError, match="found only"):
        thresholds_from_scores(count_scores([0.1, 0.2], [same, same]), [0.1], "made up")


def test_an_exponential_tail_is_found_again():
    """On data that are exponential, scale and extrapolated distance are the true ones."""
    draws = np.random.default_rng(0)
    distances = 1.0 - 0.03 * (-np.log(draws.uniform(size=1_000_000)))  # FMR(d) = exp((d - 1)/0.03)
    extrapolation = fit_extrapolation(count_scores(distances, np.zeros(len(distances), bool)))
    assert extrapolation.scale == pytest.approx(0.03, rel=0.1)
    true = 1.0 + 0.03 * np.log(1e-7)
    assert extrapolation.distance_at(1e-7) == pytest.approx(true, abs=0.03)
    interval = extrapolation.interval_at(true)
    assert interval.low < 1e-7 < interval.high
    assert extrapolation.fmr_at(extrapolation.distance_at(1e-7)) == pytest.approx(1e-7)


def test_a_bell_curves_tail_errs_to_the_safe_side():
    """Impostor scores fall off faster than the line: the true rate lies below the wanted one."""
    distances, same = normal_scores(20_000)
    extrapolation = fit_extrapolation(count_scores(distances, same))
    many, _ = normal_scores(5_000_000, seed=1)
    found = extrapolation.distance_at(1e-5)
    assert np.count_nonzero(many[500:] <= found) <= 1e-5 * 5_000_000
    assert found > 0.4


@pytest.mark.thorough
def test_the_tails_interval_covers_as_often_as_it_says():
    covered = 0
    for seed in range(200):
        draws = np.random.default_rng(seed)
        distances = 1.0 + 0.02 * np.log(draws.uniform(size=100_000))
        extrapolation = fit_extrapolation(count_scores(distances, np.zeros(len(distances), bool)))
        true = 1.0 + 0.02 * np.log(1e-5)
        interval = extrapolation.interval_at(true)
        covered += interval.low <= 1e-5 <= interval.high
    assert 180 <= covered <= 199


def test_a_tail_needs_impostors_that_differ():
    with pytest.raises(UsageError, match="found 999 impostor"):
        fit_extrapolation(ScoreCounts(np.array([0.5]), np.array([0]), np.array([999])))
    with pytest.raises(UsageError, match="at one distance"):
        fit_extrapolation(ScoreCounts(np.array([0.5]), np.array([0]), np.array([5000])))


# A rate that a model cannot run at is named and left out


def unreachable(distances, same, targets, **options):
    found = calibrated(count_scores(distances, same), targets, "made up", **options)
    return [one.fmr for one in found.thresholds], [one.fmr for one in found.unreachable]


SAME = np.arange(1100) < 100


def test_a_constant_net():
    found = calibrated(count_scores(np.zeros(1100), SAME), [0.1, 0.01], "made up")
    assert found.thresholds == ()
    assert str(found.unreachable[0]) == (
        "this model cannot run at FMR 0.1: at distance 0.000001, where its matches begin, 100 % of "
        "1,000 impostor comparisons match"
    )


def test_a_constant_net_has_no_tail_either():
    found = calibrated(count_scores(np.zeros(1100), SAME), [1e-3], "made up", extrapolate=True)
    assert "where its matches begin, 100 %" in str(found.unreachable[0])


@pytest.mark.parametrize("spread", [1e-9, 1.2e-7, 5e-7, 9e-7])
def test_a_nearly_constant_net(spread):
    """Distances that rounding alone makes: their order is that of nothing."""
    distances = spread * np.random.default_rng(0).random(1100)
    assert unreachable(distances, SAME, [0.5, 0.1, 0.01]) == ([], [0.5, 0.1, 0.01])


def test_a_net_constant_but_for_little_is_measured():
    distances = 1e-3 * np.random.default_rng(0).random(1100)
    (found,) = thresholds_from_scores(count_scores(distances, SAME), [0.1], "made up")
    assert np.count_nonzero(distances[~SAME] <= found.distance) in (99, 100)


def test_a_constant_net_at_another_distance_than_0():
    """Two outputs, opposite: half of all comparisons at distance 0, half at 2."""
    distances = np.where(np.arange(1100) % 2, 0.0, 2.0)
    assert unreachable(distances, SAME, [0.4, 0.01]) == ([], [0.4, 0.01])
    (found,) = thresholds_from_scores(count_scores(distances, SAME), [0.5], "made up")
    assert 0 < found.distance < 2
    assert found.fnmr == 0.5


def test_one_placeholder_everywhere():
    """Of 1,000 impostor comparisons 30 are of one photo with itself."""
    distances, same = normal_scores(1000)
    impostors = np.flatnonzero(~same)
    distances[impostors[:30]] = 0.0
    assert unreachable(distances, same, [0.1, 0.03, 0.02]) == ([0.1, 0.03], [0.02])
    found = calibrated(count_scores(distances, same), [0.02], "made up")
    assert "at distance 0.000001, where its matches begin, 3 %" in str(found.unreachable[0])


@given(
    st.lists(st.integers(0, 12), min_size=90, max_size=300),
    st.sampled_from([1.0, 1 / 3, 1e-3, 1e-6]),
    st.sampled_from([0.5, 0.25, 0.2]),
    st.floats(-1e-6, 1e-6),
)
def test_ties_and_steps_are_never_cut_in_two(levels, step, target, off):
    """The rate holds for the same net on another processor: every distance off by 1e-6 or less."""
    distances = 0.3 + step * 0.1 * np.array(levels)
    same = np.arange(len(levels)) % 3 == 0
    for one in calibrated(count_scores(distances, same), [target], "made up").thresholds:
        impostors = distances[~same] + off
        assert np.count_nonzero(impostors <= one.distance) <= target * len(impostors)
        assert one.distance > 0
        assert np.count_nonzero(distances <= one.distance)
        assert one.interval[0] <= one.fmr
        assert one.holds


def test_a_threshold_lies_beyond_its_own_tie():
    """Half of the comparisons at 0.25, the others at 0.5: 0.25 is admitted despite rounding."""
    distances = np.where(np.arange(1100) % 2, 0.25, 0.5)
    (found,) = thresholds_from_scores(count_scores(distances, SAME), [0.5], "made up")
    assert found.distance == 0.250001
    # and where it is one too many, the threshold lies clear of it
    close = np.where(SAME, 0.2499999, distances)
    found = calibrated(count_scores(close, SAME), [0.4], "made up")
    assert [one.fmr for one in found.unreachable] == [0.4]
    closer = np.where(SAME, 0.24999, distances)
    (found,) = thresholds_from_scores(count_scores(closer, SAME), [0.4], "made up")
    assert 0.24999 <= found.distance <= 0.249998
    assert found.fnmr == 0


def test_extrapolation_does_not_go_beyond_what_is_counted():
    """Five copies among 5,000: no threshold has an FMR below 0.001, whatever the tail says."""
    distances, same = normal_scores(5000)
    impostors = np.flatnonzero(~same)
    distances[impostors[:5]] = 0.0
    reached = unreachable(distances, same, [1e-2, 9e-4, 1e-4], extrapolate=True)
    assert reached == ([1e-2], [9e-4, 1e-4])
    distances[impostors[:5]] = 0.2  # far nearer than the tail
    found = calibrated(count_scores(distances, same), [1e-4], "made up", extrapolate=True)
    assert found.thresholds[0].distance == pytest.approx(0.199998)


@given(st.integers(0, 30))
def test_an_extrapolated_rate_is_not_above_what_is_counted_either(seed):
    distances, same = normal_scores(2000, seed)
    found = calibrated(
        count_scores(distances, same), [1e-2, 2e-3, 1e-3, 1e-4], "made up", extrapolate=True
    )
    for one in found.thresholds:
        assert np.count_nonzero(distances[~same] <= one.distance) <= one.fmr * 2000
    steps = [one.distance for one in found.thresholds]
    assert steps == sorted(steps, reverse=True)


def test_a_tail_that_reaches_0_too_early():
    """An FMR that falls by half over the distances left cannot fall a hundredfold."""
    draws = np.random.default_rng(0)
    distances = np.concatenate([np.full(100, 0.00005), 0.0001 + 0.01 * draws.random(9000)])
    same = np.arange(9100) < 100
    found = calibrated(count_scores(distances, same), [1e-2, 2e-5], "made up", extrapolate=True)
    assert [one.fmr for one in found.thresholds] == [1e-2]
    assert "cannot run at FMR 2e-05: the exponential tail of the 100 nearest" in str(
        found.unreachable[0]
    )
    assert "reaches distance 0 at a larger rate" in str(found.unreachable[0])
