import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scored_pairs import lfw_like, scored

from faceverify.errors import UsageError
from faceverify.evaluation.metrics.fold_accuracy import folded_accuracy, right_decisions
from faceverify.evaluation.protocols.group_rates import group_rates


@given(scored(failures=True), st.integers(2, 5))
def test_folded_accuracy_written_out(pairs, folds):
    distances, same = pairs
    fold = np.arange(len(same)) % folds if len(same) >= folds else np.arange(len(same))
    found = folded_accuracy(distances, same, fold)
    made = np.isfinite(distances)
    for one in found.folds:
        own = fold == one.fold
        steps = np.append(np.unique(distances[~own & made]), [-0.05, 5.0])
        best = max(np.mean(((distances <= t) == same)[~own] & made[~own]) for t in steps)
        chosen = ((distances <= one.threshold) == same) & made
        assert chosen[~own].mean() == pytest.approx(best) or not made[~own].any()
        assert one.accuracy == pytest.approx(chosen[own].mean())
        assert np.array_equal(found.correct[own], chosen[own])
    accuracies = [one.accuracy for one in found.folds]
    assert found.accuracy == pytest.approx(np.mean(accuracies))
    assert found.standard_deviation == pytest.approx(np.std(accuracies, ddof=1))
    assert found.standard_error == pytest.approx(
        np.std(accuracies, ddof=1) / len(accuracies) ** 0.5
    )


def test_the_order_of_pairs_within_folds_does_not_matter():
    distances, same, fold, *_ = lfw_like(pairs=2000)
    order = np.random.default_rng(0).permutation(2000)
    one = folded_accuracy(distances, same, fold)
    other = folded_accuracy(distances[order], same[order], fold[order])
    assert one.folds == other.folds


def test_failed_pairs_are_wrong_and_stay_in_the_denominator():
    distances, same, fold, *_ = lfw_like(pairs=2000, spread=0.01)
    distances[::10] = np.inf
    found = folded_accuracy(distances, same, fold)
    assert (found.accuracy, found.failures) == (pytest.approx(0.9), 200)
    assert right_decisions(distances, same, 0.75).mean() == pytest.approx(0.9)


def test_folds_that_cannot_be():
    with pytest.raises(UsageError, match="found 1, expected at least 2"):
        folded_accuracy([0.1, 0.9], [1, 0], np.zeros(2, int))
    assert folded_accuracy([0.1, 0.9], [1, 1], np.arange(2)) is None


@given(scored(failures=True))
def test_groups_add_up_to_the_whole(pairs):
    distances, same = pairs
    group = ["x" if step % 3 else "y" for step in range(len(same))]
    rates = group_rates(distances, same, group, 1.0).rates
    assert sum(rate.false_matches for rate in rates.values()) == np.sum((distances <= 1) & ~same)
    assert sum(rate.genuines for rate in rates.values()) == same.sum()


def test_the_ratio_of_worst_to_best():
    distances, group = [0.1, 0.1, 0.9, 0.1, 0.9, 0.9, 0.9], list("aabbbbb")
    found = group_rates(distances, np.zeros(7, bool), group, 0.5)
    assert found.fmr_ratio == pytest.approx(1 / 0.2)
    assert found.fnmr_ratio is None
    assert group_rates([0.9, 0.1], [0, 0], ["a", "b"], 0.5).fmr_ratio is None
