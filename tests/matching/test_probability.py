"""The calibrated probability, against scikit-learn on the listed scores."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss

from faceverify.errors import UsageError
from faceverify.matching.probability import binned, fit_probability, reliability


def scores(seed=0, genuine=400, impostor=1200):
    """(distances, same) of two overlapping kinds, in unequal numbers."""
    draws = np.random.default_rng(seed)
    distances = np.concatenate(
        (draws.normal(0.4, 0.12, genuine), draws.normal(0.8, 0.12, impostor))
    )
    return distances, np.arange(genuine + impostor) < genuine


def counted(distances, same):
    values, place = np.unique(distances, return_inverse=True)
    genuine = np.bincount(place[same], minlength=len(values))
    return values, genuine, np.bincount(place, minlength=len(values)) - genuine


def test_the_fit_is_balanced_logistic_regression():
    distances, same = scores()
    model = fit_probability(*counted(distances, same))
    oracle = LogisticRegression(C=np.inf, class_weight="balanced", tol=1e-10, max_iter=10_000)
    oracle.fit(distances[:, None], same)
    assert model.slope == pytest.approx(oracle.coef_[0, 0], rel=1e-3)
    assert model.intercept == pytest.approx(oracle.intercept_[0], rel=1e-3)
    assert model.probability(distances) == pytest.approx(
        oracle.predict_proba(distances[:, None])[:, 1], abs=1e-3
    )


def test_the_number_of_impostors_changes_nothing():
    """At prior one half, a kind listed three times over weighs no more."""
    values, genuine, impostor = counted(*scores())
    one, three = (fit_probability(values, genuine, impostor * times) for times in (1, 3))
    assert one.slope == pytest.approx(three.slope, rel=1e-4)
    assert one.intercept == pytest.approx(three.intercept, rel=1e-4)


def test_the_brier_score_is_scikit_learns_with_balanced_weights():
    distances, same = scores()
    table = counted(distances, same)
    model = fit_probability(*table)
    weight = np.where(same, 0.5 / same.sum(), 0.5 / (~same).sum())
    oracle = brier_score_loss(same, model.probability(distances), sample_weight=weight)
    found = reliability(model, *table)
    assert found.brier == pytest.approx(oracle)
    assert found.weight.sum() == pytest.approx(1)
    assert np.all(np.diff(found.told) > 0)
    assert found.expected_error < 0.03  # normal scores of one spread are exactly logistic
    assert found.expected_error == pytest.approx(
        sum(
            w * abs(t - o) for w, t, o in zip(found.weight, found.told, found.observed, strict=True)
        )
    )


def test_probability_falls_with_distance_and_ends_at_nothing():
    model = fit_probability(*counted(*scores()))
    told = model.probability([0, 0.5, 1, 2, np.inf])
    assert np.all(np.diff(told[:4]) < 0)
    assert told[-1] == 0


def test_kinds_that_do_not_overlap_still_fit():
    model = fit_probability(np.array([0.1, 0.2, 0.8]), np.array([5, 5, 0]), np.array([0, 0, 5]))
    assert np.isfinite([model.slope, model.intercept]).all()
    assert model.probability(0.1) > 0.99
    assert model.probability(0.8) < 0.01


def test_pooling_many_distances_changes_little():
    values, genuine, impostor = counted(*scores(genuine=8000, impostor=8000))
    few = binned(values, genuine, impostor)
    assert len(few[0]) <= 4096
    assert few[1].sum() == genuine.sum()
    assert np.all(np.diff(few[0]) > 0)
    pooled = fit_probability(values, genuine, impostor)
    distances, same = scores(genuine=8000, impostor=8000)
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000)
    oracle.fit(distances[:, None], same)
    assert pooled.slope == pytest.approx(oracle.coef_[0, 0], rel=2e-3)


@pytest.mark.parametrize(("genuine", "impostor"), [((1, 1), (0, 0)), ((0, 0), (1, 1))])
def test_one_kind_alone_is_refused(genuine, impostor):
    table = np.array([0.1, 0.2]), np.array(genuine), np.array(impostor)
    with pytest.raises(UsageError, match="needs genuine and impostor"):
        fit_probability(*table)
