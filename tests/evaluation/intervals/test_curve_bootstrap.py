"""AUC and EER of all-against-all over identities, against the pair bootstrap on every pair."""

import numpy as np
import pytest

from faceverify.evaluation.intervals import curve_bootstrap as module
from faceverify.evaluation.intervals.bootstrap import bootstrap
from faceverify.evaluation.intervals.curve_bootstrap import (
    counts_by_group,
    curve_replicates,
    grid_of,
)
from faceverify.evaluation.intervals.identity_folds import identity_folds
from faceverify.evaluation.metrics.all_against_all import all_against_all
from faceverify.evaluation.metrics.error_rates import auc, eer
from faceverify.evaluation.metrics.exact_distances import (
    STEPS,
    distance_steps,
    exact_rows,
    unit_rows,
)

REPLICATES = 200


def crowd(people, photos, noise=0.8, seed=0):
    draws = np.random.default_rng(seed)
    owner = np.sort(np.concatenate([np.arange(people), draws.integers(people, size=photos)]))
    hard = noise * draws.lognormal(0, 0.3, people)[owner, None]
    rows = draws.standard_normal((people, 8))[owner]
    rows = rows + hard * draws.standard_normal(rows.shape)
    return unit_rows(rows), [f"p{code:03d}" for code in owner]


def every_pair(rows, names, failed, drawn):
    """The pair bootstrap on every comparison written out, where what is drawn is a group each."""
    everyone = np.array([*names, *failed])
    first, second = np.triu_indices(len(everyone), 1)
    distances = np.full(len(first), np.inf)
    made = second < len(names)
    exact = rows.astype(np.float64)
    cosines = np.sum(exact[first[made]] * exact[second[made]], axis=1)
    distances[made] = np.rint((1 - cosines) * STEPS) / STEPS
    groups = [f"{group:03d}" for group in identity_folds(everyone.tolist(), drawn)]
    return bootstrap(
        distances,
        everyone[first] == everyone[second],
        [groups[i] for i in first],
        [groups[i] for i in second],
        fmr_targets=(),
        replicates=REPLICATES,
        seed=3,
    )


def found(rows, names, failed=()):
    counts = all_against_all(rows, names, failed_identities=failed)
    return curve_replicates(
        rows, names, counts, failed_identities=failed, replicates=REPLICATES, seed=3
    )


@pytest.mark.thorough(but=("7-failed1", "7-failed0"))
@pytest.mark.parametrize("failed", [(), ("p000", "p000", "p003", "stranger")])
@pytest.mark.parametrize("groups", [200, 7])
def test_replicates_are_those_of_every_pair(groups, failed, monkeypatch):
    monkeypatch.setattr(module, "GROUPS", groups)
    monkeypatch.setattr(module, "CELLS", 1000)
    monkeypatch.setattr(module, "ROWS", 5)
    rows, names = crowd(12, 30)
    drawn = min(groups, len({*names, *failed}))
    oracle, ours = every_pair(rows, names, failed, drawn), found(rows, names, failed)
    assert not np.isnan(ours.auc).all()
    np.testing.assert_allclose(ours.auc, oracle.auc, rtol=1e-12)
    np.testing.assert_allclose(ours.eer, oracle.eer, rtol=1e-9)


def test_up_to_as_many_people_as_groups_it_draws_people():
    assert len(set(identity_folds([f"p{code}" for code in range(150)], 150))) == 150


def test_cells_hold_each_comparison_once():
    rows, names = crowd(20, 60)
    exact = exact_rows(rows)
    person = np.unique(names, return_inverse=True)[1]
    group = person % 4
    grid = np.array([STEPS // 2, STEPS, 2 * STEPS])
    genuine, impostor = counts_by_group(exact, person, group, 4, grid)
    cell = np.searchsorted(grid, distance_steps(exact, exact))
    order = np.arange(80)
    for index, (one, other) in enumerate(zip(*np.triu_indices(4), strict=True)):
        for place in range(3):
            pairs = (cell == place) & (order[:, None] < order)
            crossed = pairs & (person[:, None] != person)
            here = np.isin(group[:, None] * 4 + group, (one * 4 + other, other * 4 + one))
            assert impostor[index, place] == np.count_nonzero(crossed & here)
            if one == other:
                own = pairs & ~crossed & (group[:, None] == one)
                assert genuine[one, place] == np.count_nonzero(own)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "noise", [0.2, *(pytest.param(noise, marks=SLOW) for noise in (0.5, 0.8, 1.5, 5))]
)
def test_the_error_of_the_grid_is_far_below_the_width_of_the_interval(noise, monkeypatch):
    rows, names = crowd(300, 700, noise)
    counts = all_against_all(rows, names)
    assert len(grid_of(counts)) <= module.CELLS < len(counts.distances)
    drawn = curve_replicates(rows, names, counts, replicates=REPLICATES)
    once = lambda one, *_, **__: [np.ones((1, len(one)))]  # noqa: E731
    monkeypatch.setattr(module, "identity_weights", once)  # everybody once: the data themselves
    itself = curve_replicates(rows, names, counts)
    for name, exact in (("auc", auc(counts)), ("eer", eer(counts).rate)):
        low, high = np.quantile(getattr(drawn, name), [0.025, 0.975])
        assert low < exact < high
        assert abs(getattr(itself, name)[0] - exact) < 0.02 * (high - low)


@SLOW
@pytest.mark.parametrize("noise", [0.5, 1.5])
def test_drawing_groups_spreads_as_drawing_people_does(noise, monkeypatch):
    """The spread of 40 groups is known to 1 / sqrt(2 * 39), 11 %; mean of 6 crowds: 5 %."""
    ratios = []
    for seed in range(6):
        rows, names = crowd(200, 400, noise, seed)
        counts = all_against_all(rows, names)
        spreads = []
        for groups in (200, 40):
            monkeypatch.setattr(module, "GROUPS", groups)
            replicates = curve_replicates(rows, names, counts, replicates=500, seed=seed)
            spreads.append([np.std(replicates.auc), np.std(replicates.eer)])
        ratios.append(np.divide(spreads[1], spreads[0]))
    assert np.mean(ratios, axis=0) == pytest.approx(1, abs=0.1)


def test_kinds_that_do_not_overlap_have_figures_too():
    ours = found(*crowd(40, 100, noise=0.01))
    assert len(set(ours.auc)) == len(set(ours.eer)) == 1
    assert (ours.auc[0], ours.eer[0]) == (1, 0)


def test_where_a_kind_is_missing_there_are_none():
    rows = crowd(12, 30)[0]
    assert found(rows, ["p"] * len(rows)) is None
    assert found(rows, [str(i) for i in range(len(rows))]) is None
    assert found(np.zeros((0, 8), np.float32), [], ("a", "a", "b")) is None
