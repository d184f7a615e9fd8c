import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.interpolate import interp1d
from scipy.optimize import brentq
from scipy.stats import binomtest
from scored_pairs import lfw_like, scored
from sklearn.metrics import roc_auc_score, roc_curve

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.error_rates import (
    allowed_errors,
    auc,
    best_threshold,
    eer,
    error_rates,
    rates_at_fmr,
    roc,
)
from faceverify.evaluation.metrics.scores import count_scores, histogram
from faceverify.evaluation.metrics.wilson import wilson

FAILED_IS_FARTHEST = 1e9  # how scikit-learn is told of a failed comparison


def finite(distances):
    return np.where(np.isinf(distances), FAILED_IS_FARTHEST, distances)


@given(scored(failures=True))
def test_roc_and_auc_are_those_of_scikit_learn(pairs):
    distances, same = pairs
    counts, scores = count_scores(distances, same), -finite(distances)
    fpr, tpr, thresholds = roc_curve(same, scores, drop_intermediate=False)
    kept = thresholds != -FAILED_IS_FARTHEST
    curve = roc(counts)
    assert np.allclose(curve.fmr, fpr[kept], atol=1e-15)
    assert np.allclose(curve.tmr, tpr[kept], atol=1e-15)
    assert np.array_equal(curve.threshold, -thresholds[kept])
    assert auc(counts) == pytest.approx(roc_auc_score(same, scores), abs=1e-12)


@given(scored(failures=True))
def test_eer_is_the_crossing_of_scikit_learns_roc(pairs):
    distances, same = pairs
    fpr, tpr, _ = roc_curve(same, -finite(distances), drop_intermediate=False)
    # A steep part of the curve is no function of FPR: follow it by arc instead.
    arc = np.append(0, np.cumsum(np.diff(fpr) + np.diff(tpr)))
    x, y = interp1d(arc, fpr), interp1d(arc, tpr)
    crossing = brentq(lambda s: x(s) + y(s) - 1, 0, arc[-1])
    assert eer(count_scores(distances, same)).rate == pytest.approx(float(x(crossing)), abs=1e-9)


@given(scored(failures=True), st.floats(-0.5, 2.5))
def test_rates_are_counts_of_the_definition(pairs, threshold):
    distances, same = pairs
    rates = error_rates(count_scores(distances, same), threshold)
    assert rates.false_matches == sum(d <= threshold and not s for d, s in zip(*pairs, strict=True))
    assert rates.false_non_matches == sum(d > threshold and s for d, s in zip(*pairs, strict=True))
    assert rates.fmr == rates.false_matches / np.sum(~same)
    assert rates.fnmr == rates.false_non_matches / np.sum(same)
    assert rates.failures == np.sum(np.isinf(distances))


@given(scored(failures=True), st.randoms(use_true_random=False))
def test_order_does_not_matter(pairs, random):
    distances, same = pairs
    order = list(range(len(same)))
    random.shuffle(order)
    counts, shuffled = count_scores(distances, same), count_scores(distances[order], same[order])
    assert (auc(counts), eer(counts)) == (auc(shuffled), eer(shuffled))
    assert best_threshold(counts) == best_threshold(shuffled)


@given(scored(failures=True))
def test_a_rising_transform_of_the_scores_changes_no_rate(pairs):
    distances, same = pairs
    counts, other = count_scores(distances, same), count_scores(distances**3 + distances, same)
    assert auc(counts) == auc(other)
    assert eer(counts).rate == eer(other).rate
    assert best_threshold(counts)[1] == best_threshold(other)[1]


@given(scored(failures=True))
def test_fmr_rises_and_fnmr_falls_with_the_threshold(pairs):
    curve = roc(count_scores(*pairs))
    assert (np.diff(curve.fmr) >= 0).all()
    assert (np.diff(curve.tmr) >= 0).all()


@given(scored(both=False, failures=True))
def test_best_threshold_is_the_best_of_all_thresholds(pairs):
    distances, same = pairs
    threshold, accuracy = best_threshold(count_scores(distances, same))
    made = np.isfinite(distances)
    steps = np.unique(np.append(distances[made], [-0.05, 5.0]))
    best = max(np.mean(((distances <= t) == same) & made) for t in steps)
    assert accuracy == pytest.approx(best, abs=1e-15)
    assert np.mean(((distances <= threshold) == same) & made) == accuracy or not made.any()


def test_best_threshold_is_the_middle_of_the_widest_best_plateau():
    same = np.array([True, False, True, False])
    assert best_threshold(count_scores([0.1, 0.2, 0.3, 0.9], same)) == (pytest.approx(0.6), 0.75)
    first = 0.5
    for _ in range(2):  # the middle of two neighbouring floats is rounded to one, then the other
        neighbours = [first, np.nextafter(first, 1)]
        assert best_threshold(count_scores(neighbours, [True, False])) == (first, 1.0)
        first = neighbours[1]


def test_tar_at_far_is_the_most_permissive_threshold_within_the_target():
    distances, same, *_ = lfw_like()
    distances = np.round(distances, 3)  # ties
    counts, impostor = count_scores(distances, same), distances[~same]
    for target in (0.1, 0.029, 0.01):
        allowed = [t for t in np.unique(distances) if np.mean(impostor <= t) <= target]
        rates = rates_at_fmr(counts, target)
        assert rates.threshold == max(allowed)
        assert rates.tmr == pytest.approx(np.mean(distances[same] <= max(allowed)), abs=1e-12)


@pytest.mark.parametrize(("impostors", "known"), [(9_999, False), (10_000, True)])
def test_tar_needs_ten_expected_false_matches(impostors, known):
    counts = count_scores(np.ones(impostors + 1), np.arange(impostors + 1) == 0)
    rates = rates_at_fmr(counts, 1e-3)
    assert (rates is not None) == known
    if rates is not None:  # one tie of all: nothing may match
        assert (rates.false_matches, rates.tmr, rates.threshold < 1) == (0, 0.0, True)


def test_allowed_errors_do_not_depend_on_binary_fractions():
    assert [allowed_errors(rate, 100) for rate in (0.29, 0.57, 0.07)] == [29, 57, 7]
    assert allowed_errors(1e-6, 10_000_000) == 10


def test_one_class_is_not_available():
    for same in (np.ones(3, bool), np.zeros(3, bool)):
        counts = count_scores([0.1, 0.2, 0.3], same)
        assert roc(counts) is auc(counts) is eer(counts) is None
        assert rates_at_fmr(counts, 0.1) is None
        rates = error_rates(counts, 0.2)
        assert (rates.fmr is None) == bool(same.all())
        assert (rates.fnmr is None) == (not same.any())


def test_every_comparison_failed():
    counts = count_scores([np.inf] * 300, [True] * 150 + [False] * 150)
    assert auc(counts) == 0.5
    assert eer(counts).rate == 0.5
    assert error_rates(counts, 1.0).fnmr == 1
    assert rates_at_fmr(counts, 0.1).tmr == 0
    assert best_threshold(counts)[1] == 0


@pytest.mark.parametrize(
    ("distances", "same", "found"),
    [
        ([0.1, math.nan], [1, 0], "found nan at comparison 1"),
        ([0.1, -math.inf], [1, 0], "found -inf"),
        ([0.1], [1, 0], "expected one score a label"),
        ([], [], "found none"),
        ([0.1], [2], "labels other than 0 and 1"),
    ],
)
def test_scores_that_cannot_be_used(distances, same, found):
    with pytest.raises(UsageError, match=found):
        count_scores(distances, same)


@given(st.integers(0, 50), st.integers(0, 50))
def test_wilson_bounds_are_those_of_scipy(errors, others):
    trials = errors + others
    bounds = wilson(errors, trials)
    if trials == 0:
        assert bounds is None
    else:
        oracle = binomtest(errors, trials).proportion_ci(0.95, method="wilson")
        assert (bounds.low, bounds.high) == pytest.approx((oracle.low, oracle.high), abs=1e-12)
        assert bounds.low <= errors / trials <= bounds.high


def test_histogram_counts_every_score():
    distances, same, *_ = lfw_like()
    edges = np.linspace(0, 2, 41)
    genuine, impostor = histogram(count_scores(distances, same), edges)
    assert np.array_equal(genuine, np.histogram(distances[same], edges)[0])
    assert np.array_equal(impostor, np.histogram(distances[~same], edges)[0])
