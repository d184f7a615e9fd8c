"""The calibrated probability on people it was not fitted to, against scikit-learn's folds."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from sklearn.model_selection import PredefinedSplit

from faceverify.evaluation.intervals.identity_folds import (
    FOLDS,
    folds_of,
    folds_of_pairs,
    folds_of_photos,
)
from faceverify.evaluation.metrics.exact_distances import unit_rows
from faceverify.evaluation.metrics.scores import count_scores
from faceverify.evaluation.protocols.probability import brier_out_of_fold, probability_section


def pairs(number=600, seed=0):
    """Overlapping scores of 40 people, and who is on each side."""
    draws = np.random.default_rng(seed)
    same = draws.random(number) < 0.5
    first = draws.integers(40, size=number)
    second = np.where(same, first, (first + draws.integers(1, 40, size=number)) % 40)
    distances = draws.normal(np.where(same, 0.5, 0.8), 0.15).clip(0, 2)
    return distances, same, [f"p{i}" for i in first], [f"p{i}" for i in second]


def test_it_is_the_score_of_scikit_learns_curves_on_the_folds_they_have_not_seen():
    distances, same, first, second = pairs()
    fold, other = folds_of([*first, *second]).reshape(2, -1)
    kept = fold == other
    x, y, fold = distances[kept, None], same[kept], fold[kept]
    told = np.zeros(len(y))
    for train, test in PredefinedSplit(fold).split():
        model = LogisticRegression(C=1e6, tol=1e-8, class_weight="balanced")
        told[test] = model.fit(x[train], y[train]).predict_proba(x[test])[:, 1]
    weight = np.where(y, 1 / y.sum(), 1 / (~y).sum())
    found = brier_out_of_fold(folds_of_pairs(distances, same, first, second))
    assert found == pytest.approx(brier_score_loss(y, told, sample_weight=weight), rel=1e-4)


def test_a_fold_is_not_judged_by_a_curve_that_was_fitted_to_it():
    """Each half has its scores the other way round: any curve that has not seen it is wrong."""
    near, far = np.linspace(0.1, 0.3, 20), np.linspace(0.7, 0.9, 20)
    same = np.repeat([True, False], 20)
    halves = [count_scores(np.concatenate(kinds), same) for kinds in ((near, far), (far, near))]
    assert brier_out_of_fold(halves) > 0.9
    both = count_scores(np.concatenate((near, far, far, near)), np.tile(same, 2))
    section, _ = probability_section(both, halves)
    figures = {figure.key: figure.value for figure in section.figures}
    assert figures["brier_score"] == pytest.approx(0.25, abs=1e-3)
    assert figures["brier_score_out_of_fold"] > 0.9


def test_nobody_is_in_two_folds_and_no_genuine_comparison_is_lost():
    names = [f"p{i % 13}" for i in range(60)]
    fold = folds_of(names)
    assert all(
        len({f for f, n in zip(fold, names, strict=True) if n == name}) == 1 for name in names
    )
    assert set(fold.tolist()) == set(range(FOLDS))
    rows = unit_rows(np.random.default_rng(0).standard_normal((60, 8)))
    first, second = np.triu_indices(60, 1)
    whole = sum(names[i] == names[j] for i, j in zip(first, second, strict=True))
    found = folds_of_photos(rows, names)
    assert sum(counts.genuines for counts in found) == whole
    within = np.count_nonzero(fold[first] == fold[second])
    assert sum(counts.genuines + counts.impostors for counts in found) == within


@pytest.mark.parametrize("folds", [[], [count_scores([0.1, 0.5], [True, False])]])
def test_with_fewer_than_two_folds_there_is_none(folds):
    assert brier_out_of_fold(folds) is None


def test_without_one_kind_there_is_none_and_it_says_so():
    counts = count_scores([0.1, 0.5, 0.7], [True, False, False])
    alone = [count_scores([0.1, 0.2], [True, True]), counts]
    assert brier_out_of_fold(alone) is None
    section, _ = probability_section(counts, alone)
    (figure,) = (one for one in section.figures if one.key == "brier_score_out_of_fold")
    assert figure.value is None
    assert "needs both kinds" in figure.detail
