"""Means over photos, and how far they could be off with other people."""

import numpy as np
import pytest

from faceverify.evaluation.intervals.bootstrap import interval
from faceverify.evaluation.intervals.identity_mean import mean_replicates, share_estimate

NAMES = [f"p{i % 40}" for i in range(400)]


def test_it_is_the_bootstrap_written_out():
    draws = np.random.default_rng(1)
    values = draws.random(400) + np.array([int(name[1:]) for name in NAMES]) / 40
    found = interval(mean_replicates(values, NAMES, replicates=800, seed=3))
    of = {name: values[[one == name for one in NAMES]] for name in set(NAMES)}
    people = sorted(of)
    means = [
        np.concatenate([of[people[one]] for one in draws.integers(40, size=40)]).mean()
        for _ in range(800)
    ]
    low, high = np.quantile(means, [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.03)
    assert found.high == pytest.approx(high, abs=0.03)
    # photos of one person are not independent: as single photos they would promise too much
    alone = interval(mean_replicates(values, [str(i) for i in range(400)], replicates=800))
    assert found.high - found.low > 1.5 * (alone.high - alone.low)


def test_without_people_or_replicates():
    assert mean_replicates([1, 0], ["a", "a"], replicates=10) is None
    assert mean_replicates([1, 0], ["a", "b"], replicates=0) is None


def share_of(right):
    return share_estimate("x", "x", right, mean_replicates(right, NAMES, replicates=50))


def test_shares_with_few_errors_are_wilsons():
    few = share_of(np.arange(400) > 5)
    assert (few.method, few.value) == ("wilson", 394 / 400)
    assert few.extra == {"correct": 394, "asked": 400}
    many = share_of(np.arange(400) > 100)
    assert many.method == "identities"
    assert share_estimate("x", "x", np.zeros(0, bool), None, why="no").detail == "no"
