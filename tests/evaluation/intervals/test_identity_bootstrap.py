"""All-against-all over identities, against the pair bootstrap on every pair written out."""

import numpy as np
import pytest

from faceverify.evaluation.intervals import identity_bootstrap as module
from faceverify.evaluation.intervals.bootstrap import identity_weights
from faceverify.evaluation.intervals.identity_bootstrap import PersonBootstrap
from faceverify.evaluation.metrics.all_against_all import all_against_all
from faceverify.evaluation.metrics.exact_distances import unit_rows


def crowd(people=15, seed=0):
    draws = np.random.default_rng(seed)
    owner = np.sort(draws.integers(people, size=60))
    rows = draws.standard_normal((people, 8))[owner] + 0.8 * draws.standard_normal((60, 8))
    return unit_rows(rows), [f"p{code:02d}" for code in owner]


@pytest.mark.parametrize("threshold", [0.1, 0.5, 1.2])
@pytest.mark.parametrize("failed", [(), ("p00", "p00", "p03")])
def test_rates_are_those_of_every_pair_weighed_one_by_one(threshold, failed, monkeypatch):
    monkeypatch.setattr(module, "ROWS", 16)
    monkeypatch.setattr(module, "COLUMNS", 32)
    rows, names = crowd()
    everyone = [*names, *failed]
    first, second = np.triu_indices(len(everyone), 1)
    distances = np.full(len(first), np.inf)
    made = second < len(names)
    distances[made] = 1 - np.sum(rows[first[made]].astype(float) * rows[second[made]], axis=1)
    one, other = [everyone[i] for i in first], [everyone[i] for i in second]
    same = np.array(one) == np.array(other)
    (weights,) = identity_weights(one, other, replicates=50, seed=3)
    matched = weights * (distances <= threshold)
    with np.errstate(invalid="ignore"):
        fmr = matched[:, ~same].sum(axis=1) / weights[:, ~same].sum(axis=1)
        fnmr = 1 - matched[:, same].sum(axis=1) / weights[:, same].sum(axis=1)

    found = PersonBootstrap(rows, names, failed_identities=failed, replicates=50, seed=3)
    assert found.fmr(threshold) == pytest.approx(fmr, abs=1e-6)
    assert found.fnmr(threshold) == pytest.approx(fnmr, abs=1e-6)


def test_everybody_once_is_the_count_of_all_against_all_at_each_of_its_distances():
    """A comparison matches at its own distance, here as there."""
    rows, names = crowd()
    counts = all_against_all(rows, names, failed_identities=["p00", "x"])
    people = PersonBootstrap(rows, names, failed_identities=["p00", "x"], replicates=1)
    people._drawn = np.ones((1, people.people), np.int64)
    for distance in counts.distances[::20]:
        true_matches, false_matches = counts.matches(distance)
        assert people.fmr(distance) == [false_matches / counts.impostors]
        assert people.fnmr(distance) == [1 - true_matches / counts.genuines]


def test_the_interval_holds_the_rate_that_all_against_all_counts():
    rows, names = crowd(seed=1)
    counts = all_against_all(rows, names)
    _, false_matches = counts.matches(0.6)
    interval = PersonBootstrap(rows, names).fmr_interval(0.6)
    assert interval.low < false_matches / counts.impostors < interval.high


def test_too_few_and_too_many_people_have_none(monkeypatch):
    rows, _ = crowd()
    alone = PersonBootstrap(rows, ["p"] * 60)
    assert alone.fmr(0.5) is None
    assert alone.fnmr_interval(0.5) is None
    monkeypatch.setattr(module, "MOST_PEOPLE", 3)
    assert PersonBootstrap(*crowd()).fmr_interval(0.5) is None


def test_without_any_embedding_nothing_matches():
    rows = np.zeros((0, 8), np.float32)
    found = PersonBootstrap(rows, [], failed_identities=["a", "a", "b"], replicates=20)
    rates = found.fnmr(0.5)
    assert np.all((rates == 1) | np.isnan(rates))
