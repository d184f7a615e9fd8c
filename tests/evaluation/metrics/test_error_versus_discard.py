"""The error-versus-discard curve: its steps, its area, and what bounds it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.error_versus_discard import error_versus_discard

COMPARISONS = st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=1, max_size=60)


@given(COMPARISONS)
def test_the_curve_one_threshold_at_a_time(comparisons):
    quality = np.array([one for one, _ in comparisons], float)
    errors = np.array([wrong for _, wrong in comparisons])
    curve = error_versus_discard(quality, errors)
    expected = [
        (np.mean(quality < least), np.mean(errors[quality >= least]), least)
        for least in sorted(set(quality))
    ]
    found = np.stack([curve.discarded, curve.error, curve.quality], axis=1)
    np.testing.assert_allclose(found, expected)
    assert curve.comparisons == len(comparisons)
    for share in (0, 0.1, 1 / 3, 0.5, 1):
        reached = [error for discarded, error, _ in expected if discarded <= share]
        assert curve.at(share) == pytest.approx(reached[-1])


@given(COMPARISONS, st.sampled_from([0.1, 0.37, 1.0]))
def test_the_area_by_small_steps(comparisons, limit):
    curve = error_versus_discard(*zip(*comparisons, strict=True))
    middles = (np.arange(20_000) + 0.5) / 20_000 * limit
    places = np.searchsorted(curve.discarded, middles, side="right") - 1
    assert curve.area(limit) == pytest.approx(np.mean(curve.error[places]), abs=5e-3)


@given(COMPARISONS)
def test_ranks_alone_count(comparisons):
    quality, errors = (np.array(column, float) for column in zip(*comparisons, strict=True))
    one, other = error_versus_discard(quality, errors), error_versus_discard(quality**3 - 9, errors)
    np.testing.assert_array_equal(one.error, other.error)
    assert one.area() == other.area()


def test_a_measure_that_knows_nothing_and_one_that_knows_all():
    rng = np.random.default_rng(0)
    errors = rng.random(5000) < 0.2
    share = errors.mean()
    constant = error_versus_discard(np.ones(5000), errors)
    assert (constant.area(), constant.at(0.9)) == (pytest.approx(share), pytest.approx(share))
    perfect = error_versus_discard(rng.random(5000) - 2 * errors, errors)
    chance = error_versus_discard(rng.random(5000), errors)
    for limit in (0.05, 0.2, 0.6, 1.0):
        assert perfect.area(limit) == pytest.approx(perfect.least_area(limit), abs=1e-3)
        assert chance.area(min(limit, 0.9)) == pytest.approx(share, abs=0.03)
    assert perfect.at(share + 1e-9) == 0
    inverse = error_versus_discard(rng.random(5000) + 2 * errors, errors)
    assert inverse.area() > share  # worse than nothing


@pytest.mark.parametrize(("errors", "area"), [([True] * 4, 1.0), ([False] * 4, 0.0)])
def test_all_or_no_errors(errors, area):
    curve = error_versus_discard([1, 2, 3, 4], errors)
    assert (curve.area(), curve.least_area()) == (area, area)


def test_nothing_and_what_is_no_quality():
    assert error_versus_discard([], []) is None
    with pytest.raises(UsageError, match="1 of them NaN"):
        error_versus_discard([0.5, np.nan], [True, False])
    with pytest.raises(UsageError, match="expected one number a comparison"):
        error_versus_discard([0.5, 0.4], [True])
