import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scored_pairs import lfw_like, scored

from faceverify.errors import UsageError
from faceverify.evaluation.intervals.bootstrap import bootstrap, identity_weights, interval
from faceverify.evaluation.metrics.error_rates import auc, eer, error_rates, rates_at_fmr
from faceverify.evaluation.metrics.scores import count_scores


@settings(max_examples=40)
@given(scored(failures=True), st.integers(2, 8), st.integers(0, 1000))
@example((np.array([np.inf, np.inf]), np.array([True, False])), 2, 0)  # every comparison failed
def test_a_replicate_is_the_metric_of_the_repeated_pairs(pairs, people, seed):
    distances, same = pairs
    draws = np.random.default_rng(seed)
    first = draws.integers(people, size=len(same))
    second = np.where(same, first, (first + 1) % people)
    first[:2], second[:2] = [0, 0], [0, 1]
    order = np.argsort(distances, kind="stable")
    drawn = identity_weights(
        first[order].astype(str), second[order].astype(str), replicates=5, seed=seed
    )
    weights = np.concatenate(list(drawn)).astype(int)
    found = bootstrap(
        distances,
        same,
        first.astype(str),
        second.astype(str),
        threshold=0.7,
        correct=same,
        replicates=5,
        seed=seed,
    )
    for replicate, weight in enumerate(weights):
        repeated = np.repeat(order, weight)
        if not len(repeated):
            assert np.isnan(found.accuracy[replicate])
        if not same[repeated].any() or same[repeated].all():
            assert np.isnan(found.auc[replicate])
            continue
        counts = count_scores(distances[repeated], same[repeated])
        rates = error_rates(counts, 0.7)
        assert found.auc[replicate] == pytest.approx(auc(counts), abs=1e-9)
        assert found.eer[replicate] == pytest.approx(eer(counts).rate, abs=1e-9)
        assert found.fmr[replicate] == pytest.approx(rates.fmr, abs=1e-9)
        assert found.fnmr[replicate] == pytest.approx(rates.fnmr, abs=1e-9)
        assert found.accuracy[replicate] == pytest.approx(same[repeated].mean(), abs=1e-9)


def test_tar_of_a_replicate():
    distances, same, _, first, second = lfw_like(pairs=2000, people=300)
    distances = np.round(distances, 2)
    found = bootstrap(distances, same, first, second, replicates=20, fmr_targets=(0.1, 0.029, 1e-3))
    assert found.tmr[1e-3] is None
    order = np.argsort(distances, kind="stable")
    weights = np.concatenate(list(identity_weights(first[order], second[order], replicates=20)))
    for replicate, weight in enumerate(weights.astype(int)):
        repeated = np.repeat(order, weight)
        counts = count_scores(distances[repeated], same[repeated])
        for target in (0.1, 0.029):
            assert found.tmr[target][replicate] == pytest.approx(
                rates_at_fmr(counts, target).tmr, abs=1e-12
            )


def test_weights_follow_people():
    (weights,) = identity_weights(["a", "a", "b"], ["a", "b", "b"], replicates=50, seed=3)
    assert (weights[:, 0] + weights[:, 2] == 2).all()
    assert np.array_equal(weights[:, 1], weights[:, 0] * weights[:, 2])


def test_a_seed_gives_the_same_people_in_any_blocks(monkeypatch):
    distances, same, _, first, second = lfw_like(pairs=400, people=50)
    whole = bootstrap(distances, same, first, second, replicates=30, seed=7)
    monkeypatch.setattr("faceverify.evaluation.intervals.bootstrap.BLOCK", 4000)
    parts = bootstrap(distances, same, first, second, replicates=30, seed=7)
    assert np.array_equal(whole.auc, parts.auc)
    assert not np.array_equal(
        whole.auc, bootstrap(distances, same, first, second, replicates=30).auc
    )


def test_two_models_are_compared_on_the_same_people():
    distances, same, _, first, second = lfw_like(pairs=1000, people=200)
    one = bootstrap(distances, same, first, second, replicates=40)
    other = bootstrap(2 - (2 - distances) * 0.5, same, first, second, replicates=40)
    assert np.allclose(one.auc - other.auc, 0, atol=1e-12)


@pytest.mark.thorough
def test_intervals_cover():
    # 200 people of differing difficulty, many photos each: pairs of one person hang together.
    draws, covered = np.random.default_rng(5), 0
    people = np.repeat(np.arange(200), 10)
    for _ in range(60):
        hardness = draws.normal(0, 0.1, 200)
        distances = 0.5 + hardness[people] + 0.05 * draws.standard_normal(2000)
        names = people.astype(str)
        found = bootstrap(
            distances, np.ones(2000, bool), names, names, threshold=0.5, replicates=200
        )
        bounds = interval(found.fnmr)
        covered += bounds.low <= 0.5 <= bounds.high
    assert 52 <= covered <= 60  # 95 % of 60 is 57


def test_what_cannot_be_said():
    same = np.ones(20, bool)
    people = np.arange(20).astype(str)
    found = bootstrap(np.linspace(0, 1, 20), same, people, people, threshold=0.5, replicates=10)
    assert found.auc is found.eer is found.fmr is interval(found.auc) is None
    assert found.fnmr is not None
    assert interval(np.array([1.0, np.nan, np.nan])) is None
    with pytest.raises(UsageError, match="found 1 identity"):
        bootstrap([0.1, 0.2], [1, 1], ["a", "a"], ["a", "a"])
