"""AUC and EER of all-against-all over identities, against the pair bootstrap on every pair."""

import numpy as np
import pytest

from faceverify.evaluation import person_bootstrap, person_curves
from faceverify.evaluation.all_against_all import all_against_all, unit_rows
from faceverify.evaluation.bootstrap import bootstrap
from faceverify.evaluation.folder_evaluation import evaluate_all
from faceverify.evaluation.metrics import auc, eer
from faceverify.evaluation.person_bootstrap import PersonBootstrap

REPLICATES = 200


def crowd(people, photos, noise=0.8, seed=0):
    draws = np.random.default_rng(seed)
    owner = np.sort(np.concatenate([np.arange(people), draws.integers(people, size=photos)]))
    hard = noise * draws.lognormal(0, 0.3, people)[owner, None]
    rows = draws.standard_normal((people, 8))[owner]
    rows = rows + hard * draws.standard_normal(rows.shape)
    return unit_rows(rows), [f"p{code:03d}" for code in owner]


def every_pair(rows, names, failed=()):
    """The pair bootstrap, on every comparison written out."""
    everyone = [*names, *failed]
    first, second = np.triu_indices(len(everyone), 1)
    distances = np.full(len(first), np.inf)
    made = second < len(names)
    exact = rows.astype(float)
    distances[made] = 1 - np.sum(exact[first[made]] * exact[second[made]], axis=1)
    one, other = [everyone[i] for i in first], [everyone[i] for i in second]
    same = np.array(one) == np.array(other)
    return bootstrap(
        distances, same, one, other, fmr_targets=(), replicates=REPLICATES, seed=3
    )  # fmt: skip


def found(rows, names, failed=()):
    counts = all_against_all(rows, names, failed_identities=failed)
    people = PersonBootstrap(
        rows, names, failed_identities=failed, replicates=REPLICATES, seed=3
    )  # fmt: skip
    return people.curve(counts)


@pytest.mark.parametrize("failed", [(), ("p000", "p000", "p003", "stranger")])
def test_worked_out_everywhere_they_are_those_of_every_pair(failed, monkeypatch):
    monkeypatch.setattr(person_curves, "BLOCK", 16)
    monkeypatch.setattr(person_curves, "REPLICATES", 64)
    monkeypatch.setattr(
        person_bootstrap, "knots_of", lambda _counts, grid, *_: np.arange(len(grid))
    )
    rows, names = crowd(12, 30)
    oracle, ours = every_pair(rows, names, failed), found(rows, names, failed)
    np.testing.assert_allclose(ours.auc, oracle.auc, atol=1e-5)
    np.testing.assert_allclose(ours.eer, oracle.eer, atol=1e-5)


@pytest.mark.parametrize("knots", ["last", 1, 32])
def test_worked_out_on_a_grid_each_replicate_is_nearly_that_of_every_pair(knots, monkeypatch):
    if knots == "last":  # what people do each for himself must nearly do
        last = lambda _counts, grid, *_: np.array([len(grid) - 1])  # noqa: E731
        monkeypatch.setattr(person_bootstrap, "knots_of", last)
    else:
        monkeypatch.setattr(person_curves, "MOST_KNOTS", knots)
    rows, names = crowd(100, 200)
    oracle, ours = every_pair(rows, names), found(rows, names)
    near = {"last": 0.16, 1: 0.08, 32: 0.02}[knots]  # standard deviations
    for our, its in ((ours.auc, oracle.auc), (ours.eer, oracle.eer)):
        assert np.sqrt(np.mean((our - its) ** 2)) < near * np.std(its)
        assert np.std(our) == pytest.approx(np.std(its), rel=0.02)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "noise", [0.2, *(pytest.param(noise, marks=SLOW) for noise in (0.5, 0.8, 1.5))]
)
def test_the_error_of_the_grid_is_far_below_the_width_of_the_interval(noise):
    rows, names = crowd(300, 700, noise)
    counts = all_against_all(rows, names)
    people = PersonBootstrap(rows, names, replicates=REPLICATES)
    drawn = people.curve(counts)
    grid = person_curves.grid_of(counts)
    assert len(grid) <= 3 * person_curves.STEPS_OF_AREA + 1 < len(counts.distances)
    people._drawn = np.ones((1, people.people), np.int64)  # everybody once: the data itself
    once = people.curve(counts)
    for name, exact in (("auc", auc(counts)), ("eer", eer(counts).rate)):
        low, high = np.quantile(getattr(drawn, name), [0.025, 0.975])
        assert low < exact < high
        assert abs(getattr(once, name)[0] - exact) < 0.01 * (high - low)


def test_kinds_that_do_not_overlap_have_figures_too():
    rows, names = crowd(40, 100, noise=0.01)
    ours = found(rows, names)
    np.testing.assert_allclose(ours.auc, 1, atol=1e-12)
    np.testing.assert_allclose(ours.eer, 0, atol=1e-12)


def test_where_a_kind_is_missing_or_people_are_too_many_there_are_none(monkeypatch):
    rows, names = crowd(12, 30)
    assert found(rows, ["p"] * len(rows)) is None
    assert found(rows, [str(i) for i in range(len(rows))]) is None
    assert found(np.zeros((0, 8), np.float32), [], ("a", "a", "b")) is None
    monkeypatch.setattr(person_bootstrap, "MOST_PEOPLE", 3)
    assert found(rows, names) is None


def test_the_evaluation_prints_them():
    rows, names = crowd(30, 60)
    about = ("folder", rows, np.ones(len(rows), bool), names, "model", "id")
    curve = evaluate_all(*about, replicates=50).as_dict()["curve"]
    assert curve["auc"]["interval"][0] < curve["auc"]["value"]
    assert curve["eer"]["value"] < curve["eer"]["interval"][1]
    assert evaluate_all(*about, replicates=0).as_dict()["curve"]["auc"].get("interval") is None
